//! A file that is, or may be, a copy of what another path of the same entry holds or held, as `copytruncate` makes them
//! and backups: it is not read a second time.
//!
//! Only a rotated name of the other path can be one. While its beginning is that of a generation of the other path the
//! file waits: the other watcher takes it once it needs what is in there. What stays and is found whole in the other
//! file is remembered as a copy; what is not is read after all, because a line twice is better than none.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::account::Skip;
use crate::explain::came_after;
use crate::file::{first_bytes, is_copy, mark_at, open_found};
use crate::generation::Generation;
use crate::identity::{Head, Inode, Stat};
use crate::inspect::is_undecided;
use crate::looks::Moment;
use crate::olds::Old;
use crate::position::{Life, Mark, StreamRecord};
use crate::resume::record_fits;
use crate::siblings::{Sibling, live_names, siblings};
use crate::stream::Stream;
use crate::watcher::{Condition, QUIET, Watcher};

/// A file that begins unlike everything that is known of the other path may be a generation of it that nobody saw. Its
/// watcher looks when this one does, and takes it if so: it has this long.
const UNLIKE: Duration = Duration::from_secs(2);

/// A file at the path that may be a copy.
#[derive(Debug)]
pub(crate) struct Suspect {
    pub(crate) inode: Inode,
    /// While that is not decided: its name may go before it is.
    file: Option<File>,
    /// Size and modification time at the last look, and since when.
    seen: (u64, i64),
    quiet: Instant,
    /// Since when it is not the beginning of what the other path holds.
    deviates: Option<(Instant, Moment)>,
    /// Remembers it: the mark is the end of what was found to be a copy.
    stream: Arc<Stream>,
    /// Size and modification time with which all of it was.
    found: Option<(u64, i64)>,
}

/// A file that went from the path while it was a [`Suspect`].
#[derive(Debug)]
pub(crate) struct Adrift {
    file: File,
    stream: Arc<Stream>,
    until: Instant,
    since: Moment,
}

impl Suspect {
    /// Whether it is known to be a copy, and nothing is waited for.
    pub(crate) fn is_decided(&self) -> bool {
        self.found == Some(self.seen)
    }
}

/// What a file is to the other path.
enum Kinship {
    /// It begins differently, or was there first.
    None,
    /// It came later than a generation of that path, and begins like none of them.
    Later(PathBuf),
    /// It begins like a generation of that path.
    Alike(PathBuf),
    /// It is the beginning of the file that is there now.
    Prefix(PathBuf),
}

impl Watcher {
    /// Whether the file at the path is left alone for now, because it is or may be a copy.
    pub(crate) fn is_held(&mut self, file: &File, stat: &Stat, now: Instant) -> io::Result<bool> {
        let other_file = self.suspect.as_ref().is_some_and(|known| known.inode != stat.inode);
        if other_file {
            self.drop_suspect(now)?;
        }
        let seen = (stat.size, stat.modified);
        let is_settled = |known: &Suspect| known.found == Some(seen);
        if self.suspect.as_deref().is_some_and(is_settled) {
            return Ok(!self.yields_to_owner(stat.inode, now)?);
        }
        let kinship = self.kinship(file, stat)?;
        let (Kinship::Later(other) | Kinship::Alike(other) | Kinship::Prefix(other)) = &kinship else {
            return self.is_not_a_copy(file, stat);
        };
        let patience = if matches!(kinship, Kinship::Later(_)) {
            UNLIKE
        } else {
            QUIET
        };
        if !self.claim_copy(stat.inode) {
            self.drop_suspect(now)?;
            return Ok(false);
        }
        if self.suspect.is_none() {
            // On record at once: what becomes of it is not forgotten when the service ends before that is decided.
            let stream = self.begin(Head::of(&first_bytes(file)?), stat);
            stream.update(|record| record.copy = true);
            self.suspect = Some(Box::new(Suspect {
                inode: stat.inode,
                file: None,
                seen,
                quiet: now,
                deviates: None,
                stream,
                found: None,
            }));
        }
        let looks = &self.world.claims.looks;
        let Some(suspect) = &mut self.suspect else {
            return Ok(false);
        };
        if suspect.file.is_none() {
            suspect.file = Some(file.try_clone()?);
        }
        if suspect.seen != seen {
            (suspect.seen, suspect.quiet) = (seen, now);
        }
        if matches!(kinship, Kinship::Prefix(_)) {
            suspect.deviates = None;
            if now >= suspect.quiet + QUIET {
                self.is_a_copy(file, stat)?;
            }
        } else {
            let (from, since) = *suspect.deviates.get_or_insert_with(|| (now, looks.now()));
            if now >= from + patience && looks.has_looked(&self.spec.log, other, since) {
                return self.is_not_a_copy(file, stat);
            }
        }
        self.set_condition(Condition::CopyOf(other.as_path().into()));
        Ok(true)
    }

    /// The watcher of the original took the file, so it has its content.
    fn yields_to_owner(&mut self, inode: Inode, now: Instant) -> io::Result<bool> {
        let is_other = self.has_other_owner(inode);
        if is_other {
            self.drop_suspect(now)?;
        }
        Ok(is_other)
    }

    /// The other paths of which this one is a rotated name.
    fn live_paths(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let path = Arc::clone(&self.spec.path);
        let names = path.file_name().map(live_names).unwrap_or_default();
        names.into_iter().map(move |name| path.with_file_name(name))
    }

    /// What is known of the other paths.
    fn kinship(&self, file: &File, stat: &Stat) -> io::Result<Kinship> {
        let mut found = Kinship::None;
        for other in self.live_paths() {
            let streams = self.world.positions.of(&self.spec.log, &other);
            let records: Vec<_> = streams.iter().map(|stream| stream.record()).collect();
            // Only what that path's watcher reads needs no reading here.
            if records.iter().all(|record| record.copy) {
                continue;
            }
            if let Some((original, theirs)) = open_found(&other)? {
                if is_copy(file, stat, &original, &theirs)? {
                    return Ok(Kinship::Prefix(other));
                }
                // Nothing was ever seen in it, and it was changed after this one came: it may have been cut.
                let was_cut = |record: &StreamRecord| {
                    let is_untouched = record.head.is_empty() && record.mark.offset == 0;
                    let is_changed = stat.inode.born.is_some_and(|born| theirs.modified >= born.into());
                    is_untouched && is_changed && record.inode == theirs.inode && came_after(stat, record)
                };
                if records.iter().any(was_cut) {
                    found = Kinship::Alike(other.clone());
                }
            }
            let bytes = first_bytes(file)?;
            // Where there is too little to tell, it waits as well: that costs a few seconds, once.
            let begins_like = |head: Head| match bytes.get(..usize::from(head.len)) {
                Some(beginning) => !head.is_empty() && Head::of(beginning) == head,
                None => true,
            };
            // One that was there first is a log of its own.
            let mut later = records
                .iter()
                .filter(|record| !record.copy && came_after(stat, record))
                .peekable();
            if later.peek().is_some() && matches!(found, Kinship::None) {
                found = Kinship::Later(other.clone());
            }
            if later.any(|record| begins_like(record.head)) {
                found = Kinship::Alike(other);
            }
        }
        Ok(found)
    }

    /// Remembers that everything in the file is in another, too.
    fn is_a_copy(&mut self, file: &File, stat: &Stat) -> io::Result<()> {
        let (mark, head) = mark_at(file, stat.size)?;
        let Some(suspect) = &mut self.suspect else {
            return Ok(());
        };
        let before = suspect.stream.record().mark.offset;
        suspect
            .stream
            .update(|record| (record.mark, record.head, record.size) = (mark, head, stat.size));
        suspect.stream.skip(Skip::Copy, stat.size.saturating_sub(before));
        suspect.found = Some(suspect.seen);
        suspect.file = None;
        Ok(())
    }

    /// It is read: what was taken for a copy, too, where that was too short to be sure.
    fn is_not_a_copy(&mut self, file: &File, stat: &Stat) -> io::Result<bool> {
        let Some(stream) = self.suspect.take().map(|suspect| suspect.stream) else {
            return Ok(false);
        };
        if self.claim(stat.inode).is_err() {
            stream.retire();
            return Ok(false);
        }
        let is_sure = stream.record().head.is_full();
        stream.update(|record| {
            record.copy = false;
            if !is_sure {
                (record.mark, record.head) = (Mark::default(), Head::default());
            }
        });
        if !is_sure {
            stream.read_copy_after_all();
        }
        self.set_condition(Condition::Present);
        self.live = Some(Generation::open(file.try_clone()?, stat, stream)?);
        Ok(true)
    }

    /// Goes on with a stream in the file at the path, which this watcher claimed.
    pub(crate) fn go_on(&mut self, file: &File, stat: &Stat, stream: Arc<Stream>, now: Instant) -> io::Result<()> {
        if !stream.record().copy {
            self.live = Some(Generation::open(file.try_clone()?, stat, stream)?);
            return Ok(());
        }
        if !self.claim_copy(stat.inode) {
            stream.retire();
            return Ok(());
        }
        let seen = (stat.size, stat.modified);
        let is_as_marked = stream.record().mark.offset == stat.size;
        self.suspect = Some(Box::new(Suspect {
            inode: stat.inode,
            file: None,
            seen,
            quiet: now,
            deviates: None,
            stream,
            found: is_as_marked.then_some(seen),
        }));
        self.is_held(file, stat, now).map(|_| ())
    }

    /// The path no longer leads to the file, or another watcher has it.
    pub(crate) fn drop_suspect(&mut self, now: Instant) -> io::Result<()> {
        let Some(suspect) = self.suspect.take() else {
            return Ok(());
        };
        if self.has_other_owner(suspect.inode) {
            suspect.stream.retire();
            return Ok(());
        }
        // Under another name of the pattern it is known by its inode.
        self.release(suspect.inode);
        match suspect.file {
            Some(file) => {
                self.adrift.push(Adrift {
                    file,
                    stream: suspect.stream,
                    until: now + QUIET,
                    since: self.world.claims.looks.now(),
                });
            }
            None => self.missing.push(suspect.stream),
        }
        self.settle_adrift(now)
    }

    /// Whether a file without a name is or will be read from the archive that it became beside another path, by its
    /// watcher: compression keeps the modification time. None when it is not known yet.
    fn is_read_from_archive(&self, file: &File, stat: &Stat, is_late: bool) -> io::Result<Option<bool>> {
        let mut answer = Some(false);
        for other in self.live_paths().filter(|_| stat.links == 0) {
            let around = match siblings(&other, self.spec.rotated(), &self.world.listings) {
                Err(error) if is_undecided(&error) => return Ok(None),
                // Where they cannot be listed, it is read.
                around => around.unwrap_or_default(),
            };
            let streams = self.world.positions.of(&self.spec.log, &other);
            let is_it = |sibling: &&Sibling| sibling.is_archive() && sibling.stat.modified == stat.modified;
            for archive in around.iter().filter(is_it) {
                let mut records = streams.iter().map(|stream| stream.record());
                match records.rfind(|record| record.inode == archive.stat.inode) {
                    Some(record) if record.mark.offset == 0 => answer = None,
                    Some(record) if record_fits(file, stat, &record)? => return Ok(Some(true)),
                    None if !is_late => answer = None,
                    _ => {}
                }
            }
        }
        Ok(answer)
    }

    /// Files that went from the path before it was known whether they are copies: the watcher of another path has a while
    /// to find them under another name; one that nobody has then, or that is nowhere any more, is read.
    pub(crate) fn settle_adrift(&mut self, now: Instant) -> io::Result<()> {
        let mut index = 0;
        // What cannot be told now stays.
        while let Some(adrift) = self.adrift.get(index) {
            let stat = Stat::from(&adrift.file.metadata()?);
            if self.has_other_owner(stat.inode) {
                let stream = self.adrift.remove(index).stream;
                if !self.world.claims.is_copy(&self.spec.log, stat.inode) {
                    stream.retire();
                }
                continue;
            }
            let looks = &self.world.claims.looks;
            let mut originals = self.live_paths();
            let is_late =
                now >= adrift.until && originals.all(|other| looks.has_looked(&self.spec.log, &other, adrift.since));
            let in_archive = self.is_read_from_archive(&adrift.file, &stat, is_late)?;
            if in_archive.is_none() || (stat.links > 0 && !is_late) {
                index += 1;
                continue;
            }
            let is_prefix = matches!(self.kinship(&adrift.file, &stat)?, Kinship::Prefix(_));
            let Adrift { file, stream, .. } = self.adrift.remove(index);
            if in_archive == Some(true) {
                stream.retire();
            } else if stat.size > 0 && !is_prefix && self.claim(stat.inode).is_ok() {
                stream.update(|record| (record.copy, record.life) = (false, Life::Rotated));
                let generation = Generation::open(file, &stat, stream)?;
                self.olds.push(Old::new(generation, now));
            } else {
                self.missing.push(stream);
            }
        }
        Ok(())
    }
}
