//! Generations that were read to their end and whose handle is closed: they are followed by looking.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::Instant;

use crate::file::open_regular;
use crate::generation::Generation;
use crate::olds::Old;
use crate::resume::record_fits;
use crate::watcher::{KEEP_ABSENT, Watcher};

impl Watcher {
    /// Looks at rotated generations whose handle is closed: what grew is read, what is gone for a day is forgotten.
    pub(crate) fn look_for_parked(&mut self, now: Instant) -> io::Result<()> {
        let elapsed = self
            .looked_around
            .map_or(0, |at| now.saturating_duration_since(at).as_secs());
        self.looked_around = Some(now);
        if self.parked.is_empty() && self.missing.is_empty() {
            return Ok(());
        }
        let looked = self.around()?;
        let (around, is_whole) = (looked.siblings, looked.unreadable.is_empty());
        let (parked, missing) = (std::mem::take(&mut self.parked), std::mem::take(&mut self.missing));
        // There may be thousands of each. Of two names of a file the younger one counts.
        let places: HashMap<_, _> = around.iter().rev().map(|place| (place.stat.inode, place)).collect();
        let mut held: HashSet<_> = self.inodes().collect();
        let mut known: HashSet<_> = self.generations().map(Generation::inode).collect();
        let suspect = self.suspect.as_ref().map(|suspect| suspect.inode);
        for stream in parked.into_iter().chain(missing) {
            let record = stream.record();
            if self.has_other_owner(record.inode) {
                // The watcher of another path goes on with it, or has its content.
                if record.copy && !self.world.claims.is_copy(&self.spec.log, record.inode) {
                    stream.retire();
                }
                continue;
            }
            // Not where another generation of ours took its place.
            let is_held = held.contains(&record.inode);
            let place = places.get(&record.inode).filter(|_| !is_held);
            if place.is_some() {
                held.insert(record.inode);
            } else if !is_held && suspect != Some(record.inode) {
                self.release_unheld(record.inode);
            }
            let could_look = place.is_none() && self.could_look(&record, is_whole);
            match place {
                Some(sibling) if sibling.is_archive() => {
                    let is_left = record.is_left_in(&sibling.stat);
                    if !is_left && let Ok((source, stat)) = self.inspections.open(sibling) {
                        let generation = Generation::open(source, &stat, stream)?;
                        self.olds.push(Old::new(generation, now));
                        known.insert(record.inode);
                    } else {
                        self.parked.push(stream);
                        known.extend(is_left.then_some(record.inode));
                    }
                }
                Some(sibling) if sibling.stat.size > record.mark.offset && stream.is_settled() => {
                    let opened = open_regular(&sibling.path).ok();
                    let Some((file, stat)) = opened.filter(|(_, stat)| stat.inode == record.inode) else {
                        // Rotation went on since the directory was listed.
                        self.look_around = true;
                        self.parked.push(stream);
                        continue;
                    };
                    if record_fits(&file, &stat, &record)? {
                        stream.goes_on_in_copy();
                        let generation = Generation::open(file, &stat, stream)?;
                        self.olds.push(Old::new(generation, now));
                    } else {
                        // The inode went to another file, perhaps of ours.
                        held.remove(&record.inode);
                        self.release_unheld(record.inode);
                        stream.retire();
                    }
                }
                Some(_) => {
                    if record.absent_seconds > 0 {
                        stream.update(|record| record.absent_seconds = 0);
                    }
                    // Where another watcher was faster, the next look finds that out.
                    let _ = self.claim(record.inode);
                    self.parked.push(stream);
                }
                None if could_look && record.absent_seconds + elapsed >= KEEP_ABSENT.as_secs() => {
                    stream.retire();
                }
                None => {
                    if elapsed > 0 && could_look {
                        stream.update(|record| record.absent_seconds += elapsed);
                    }
                    self.missing.push(stream);
                }
            }
        }
        let mut archives = around.iter().filter(|sibling| sibling.is_archive());
        self.look_into = !self.missing.is_empty() && archives.any(|archive| !known.contains(&archive.stat.inode));
        Ok(())
    }
}
