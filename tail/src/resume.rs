//! Finding generations again: after a restart by their saved records, after a rotation or truncation by their content,
//! and those that nobody saw because they were born and rotated away meanwhile.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::explain::{came_since, changed_since, is_ahead, since};
use crate::file::{first_bytes, fits, mark_at, open_regular};
use crate::generation::Generation;
use crate::identity::{Head, Inode, Stat};
use crate::olds::Old;
use crate::position::{Life, StreamRecord};
use crate::siblings::{Around, Sibling, around, leads_nowhere};
use crate::source::Source;
use crate::stream::Stream;
use crate::watcher::{Condition, Watcher};

/// A saved generation and the file that holds it.
pub(crate) struct Found {
    pub(crate) stream: Arc<Stream>,
    pub(crate) source: Source,
    pub(crate) stat: Stat,
    /// Place among the siblings, youngest first; none for the live file.
    pub(crate) sibling: Option<usize>,
}

impl Watcher {
    /// Goes on from the saved records of this path, or sees it for the first time.
    pub(crate) fn resume(&mut self, now: Instant) -> io::Result<()> {
        let mut streams = self.world.positions.of(&self.spec.log, &self.spec.path);
        let is_known = !streams.is_empty();
        // Generations that are open go on as they are.
        streams.retain(|stream| !self.olds.iter().any(|old| Arc::ptr_eq(old.generation.stream(), stream)));
        // What the watcher of the original took is its own, wherever it went.
        let (taken, streams): (Vec<_>, Vec<_>) = streams.into_iter().partition(|stream| {
            let record = stream.record();
            record.copy && self.has_other_reader(record.inode)
        });
        taken.iter().for_each(Stream::retire);
        let Some(youngest) = streams.last() else {
            if !is_known {
                self.open_since_damage(now)?;
            }
            self.open_live(!is_known, now)?;
            self.keep_claims();
            return Ok(());
        };
        self.order = self.order.max(youngest.record().order);
        streams.iter().for_each(|stream| stream.forget_in_flight());
        let live = self.claimed_live(now)?;
        // The inode that a record had, with other content, if it turns out so: it was truncated meanwhile.
        let had_inode = |stat: &Stat| {
            streams
                .iter()
                .map(|s| s.record())
                .rfind(|record| record.inode == stat.inode)
        };
        // Or an earlier try found the copy that is left of it, which has another.
        let was_cut = || youngest.is_in_copy().then(|| youngest.record());
        let before_cut = live.as_ref().and_then(|(_, stat)| had_inode(stat).or_else(was_cut));
        let opened = self.olds.len();
        // Before the siblings are looked at: a truncation after this moment shows by another beginning.
        let beginning = live.as_ref().map(|(file, _)| first_bytes(file)).transpose()?;
        let looked = self.around()?;
        let (mut around, is_whole) = (looked.siblings, looked.unreadable.is_empty());
        self.add_former(&streams, &mut around)?;
        let mut found: Vec<Found> = Vec::new();
        let mut missing: Vec<Arc<Stream>> = Vec::new();
        let mut held: HashSet<Inode> = self.inodes().collect();
        for stream in streams.iter().rev() {
            match self.find(stream, live.as_ref(), &around, &held)? {
                Some(hit) => {
                    held.insert(hit.stat.inode);
                    found.push(hit);
                }
                None => missing.push(Arc::clone(stream)),
            }
        }
        let missing = self.unread_in_archives(missing, &around, &mut found)?;
        let youngest_record = youngest.record();
        if let Some(hit) = found.iter().position(|hit| Arc::ptr_eq(&hit.stream, youngest)) {
            let hit = found.swap_remove(hit);
            let contents = self.contents_at_resume(&found, &missing);
            let hit = self.in_oldest_copy(hit, live.as_ref(), &around, &found, contents)?;
            found.push(hit);
        }
        let youngest_found = found.iter().find(|hit| Arc::ptr_eq(&hit.stream, youngest));
        let rotated = || found.iter().filter_map(|hit| Some((hit.sibling?, hit.stream.record())));
        let youngest_rotated = rotated().min_by_key(|(index, _)| *index);
        let oldest_rotated = rotated().max_by_key(|(index, _)| *index);
        // Found when the generation before was, and not yet opened when the service ended: none that has a watcher.
        let is_between = |index: usize, sibling: &Sibling| {
            oldest_rotated.as_ref().is_some_and(|(place, record)| {
                let is_later = index < *place && came_since(sibling, record);
                is_later && sibling.is_like(&around[*place]) && !self.is_someones(sibling.stat.inode)
            })
        };
        let is_unseen = |index: usize, sibling: &Sibling| match (youngest_found, &youngest_rotated) {
            // Between the live file and the youngest one that was rotated.
            (Some(hit), Some((place, record))) if hit.sibling.is_none() => {
                index < *place && came_since(sibling, record) && sibling.is_like(&around[*place])
            }
            (Some(hit), _) => {
                let since = since(&youngest_record, hit.stat.inode, hit.stat.modified);
                index < hit.sibling.unwrap_or(0) && changed_since(sibling, since)
            }
            // What the youngest record knew is gone; younger is what was changed after it was last looked at.
            (None, _) => {
                // And what took its place in its inode.
                let modified = youngest_record.modified;
                sibling.stat.modified > modified
                    || (is_ahead(modified) && came_since(sibling, &youngest_record))
                    || sibling.stat.inode == youngest_record.inode
            }
        };
        let is_found = |sibling: &Sibling| found.iter().any(|hit| hit.stat.inode == sibling.stat.inode);
        let unseen = around
            .iter()
            .enumerate()
            .filter(|(index, sibling)| is_unseen(*index, sibling) || is_between(*index, sibling))
            .filter(|(_, sibling)| !is_found(sibling) && !self.is_at_path(live.as_ref(), sibling));
        let unseen = unseen.map(|(_, sibling)| sibling.clone()).collect();
        let unseen = self.unexplained(unseen, self.contents_at_resume(&found, &missing))?;
        self.inspections.close(&around);
        // Before anything is taken up: the next try, where this one fails, must find what this one found.
        let mut unseen = self.open_each(unseen)?;
        for stream in missing {
            let could_look = self.could_look(&stream.record(), is_whole);
            self.gone(&stream, Arc::ptr_eq(&stream, youngest), could_look);
        }
        let live_is_known = found.iter().any(|hit| hit.sibling.is_none());
        found.sort_by_key(|hit| hit.stream.record().order);
        let place_of = |other: &Sibling| around.iter().position(|s| s.stat.inode == other.stat.inode);
        let mut is_behind = false;
        for hit in found {
            let is_older = |other: &Sibling| hit.sibling.is_none_or(|place| place_of(other) > Some(place));
            while let Some(older) = unseen.pop_if(|unseen| is_older(&unseen.sibling)) {
                self.take_in(vec![older], now)?;
                is_behind = true;
            }
            if is_behind {
                self.is_youngest(&hit.stream);
            }
            self.take_up(hit, now)?;
        }
        self.take_in(unseen, now)?;
        if let Some((file, stat)) = live
            && !live_is_known
            && !self.adopt(&file, &stat, now)?
        {
            let head = beginning.as_deref().map(Head::of).unwrap_or_default();
            let stream = match before_cut {
                Some(record) => {
                    let is_unseen = |old: &&mut Old| !streams.iter().any(|s| Arc::ptr_eq(s, old.generation.stream()));
                    let copies = self.olds[opened..].iter_mut().filter(is_unseen);
                    copies.for_each(|copy| copy.generation.is_written_in(record.charset));
                    self.begin_after_cut(head, &stat, record.charset)
                }
                None => self.begin(head, &stat),
            };
            self.live = Some(Generation::open(file, &stat, stream)?);
        }
        self.keep_claims();
        Ok(())
    }

    /// Claims of an earlier incarnation, or made for it from the saved records, end, and those of what is read no more.
    fn keep_claims(&self) {
        let suspect = self.suspect.as_ref().map(|suspect| suspect.inode);
        let held: Vec<Inode> = self.inodes().chain(suspect).collect();
        if !self.world.lease.is_revoked() {
            self.world.claims.keep_only(&self.spec.log, &self.spec.path, &held);
        }
    }

    /// A generation comes after all that were begun so far.
    pub(crate) fn is_youngest(&mut self, stream: &Arc<Stream>) {
        self.order += 1;
        stream.update(|record| record.order = self.order);
    }

    /// Every file that is open or followed.
    pub(crate) fn inodes(&self) -> impl Iterator<Item = Inode> {
        let open = self.olds.iter().map(|old| &old.generation).chain(&self.live);
        let closed = self.closed.iter().map(|closed| closed.paused.inode());
        open.map(Generation::inode)
            .chain(closed)
            .chain(self.parked.iter().map(|stream| stream.inode()))
    }

    /// The file at the path, when no other watcher has it.
    fn claimed_live(&mut self, now: Instant) -> io::Result<Option<(File, Stat)>> {
        match open_regular(&self.spec.path) {
            Ok((file, stat)) => {
                if self.is_left_alone(&file, &stat, now)? {
                    return Ok(None);
                }
                let known = self.world.positions.known(&self.spec.log, stat.inode);
                let claimed = if known.is_some_and(|stream| stream.record().copy) {
                    self.claim_copy(stat.inode)
                } else {
                    self.claim(stat.inode).is_ok()
                };
                Ok(claimed.then_some((file, stat)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Not readable now: looked at again when it changes. Its record waits for it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied || leads_nowhere(&error) => {
                self.set_condition(Condition::refused(&error));
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rotated generations of the path, as far as they can be seen.
    pub(crate) fn siblings(&self) -> io::Result<Vec<Sibling>> {
        Ok(self.around()?.siblings)
    }

    /// The same, and whether all could be seen.
    pub(crate) fn around(&self) -> io::Result<Around> {
        let around = match around(&self.spec.path, self.spec.rotated(), &self.world.listings) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Around::default()),
            around => around?,
        };
        for (path, error) in &around.unreadable {
            self.world.listings.refused(path, error);
        }
        Ok(around)
    }

    /// The file that holds a stream: its inode is asked first, its content decides.
    fn find(
        &mut self,
        stream: &Arc<Stream>,
        live: Option<&(File, Stat)>,
        around: &[Sibling],
        held: &HashSet<Inode>,
    ) -> io::Result<Option<Found>> {
        let record = stream.record();
        let is_free = |inode: Inode| !held.contains(&inode);
        let found = |source, stat, sibling| {
            Some(Found {
                stream: Arc::clone(stream),
                source,
                stat,
                sibling,
            })
        };
        for by_inode in [true, false] {
            let wanted = |inode: Inode| (inode == record.inode) == by_inode && is_free(inode);
            if !by_inode && let Some((index, source, stat)) = self.oldest_archive(&record, around, is_free)? {
                return Ok(found(source, stat, Some(index)));
            }
            if let Some((file, stat)) = live
                && wanted(stat.inode)
                && record_fits(file, stat, &record)?
                // A rotated generation is never what the path leads to, unless it is that very file.
                && (by_inode || (record.life == Life::Live && record.head.is_full()))
            {
                return Ok(found(file.try_clone()?.into(), *stat, None));
            }
            for (index, sibling) in around
                .iter()
                .enumerate()
                .filter(|(_, sibling)| !(sibling.is_archive() && record.is_undecided_copy()))
                .filter(|(_, sibling)| wanted(sibling.stat.inode))
            {
                let holder = self.holding(sibling, &record, &record.mark, record.head)?;
                if let Some((source, stat)) = holder
                    && self.take(stat.inode)
                {
                    return Ok(found(source, stat, Some(index)));
                }
            }
        }
        // Truncated meanwhile, after more of it was read than was copied: the oldest copy is the one.
        if live.is_none_or(|(_, stat)| stat.inode != record.inode) {
            return Ok(None);
        }
        for (index, sibling) in around.iter().enumerate().rev() {
            if sibling.is_archive() || !is_free(sibling.stat.inode) || !came_since(sibling, &record) {
                continue;
            }
            let Some((Source::Plain(file), stat)) = self.open_sibling(sibling)? else {
                continue;
            };
            if is_shorter_copy(&file, &stat, &record)? && self.take(stat.inode) {
                let (end, head) = mark_at(&file, stat.size)?;
                stream.end_in_copy(stat.inode, end, head);
                return Ok(found(file.into(), stat, Some(index)));
            }
        }
        Ok(None)
    }

    /// Whether a sibling is the file at the path, which may have a rotated name as well: a link leads to it there.
    pub(crate) fn is_at_path(&self, live: Option<&(File, Stat)>, sibling: &Sibling) -> bool {
        let live = live.map(|(_, stat)| stat.inode);
        let suspect = self.suspect.as_ref().map(|suspect| suspect.inode);
        live.into_iter().chain(suspect).any(|inode| inode == sibling.stat.inode)
    }

    /// Goes on with a stream in the file that was found to hold it.
    fn take_up(&mut self, hit: Found, now: Instant) -> io::Result<()> {
        let Found {
            stream,
            source,
            stat,
            sibling,
        } = hit;
        let life = if sibling.is_none() { Life::Live } else { Life::Rotated };
        let target = sibling.is_none().then(|| self.target());
        stream.update(|record| {
            record.inode = stat.inode;
            record.life = life;
            record.absent_seconds = 0;
            record.target = target.unwrap_or_else(|| record.target.take());
            if matches!(source, Source::Plain(_)) {
                record.archived = None;
            }
        });
        let record = stream.record();
        let is_read = match source {
            Source::Plain(_) => record.mark.offset == stat.size,
            Source::Archive(_) => record.is_read_in(&stat),
        };
        if let (Source::Plain(file), Life::Live) = (&source, life) {
            self.go_on(file, &stat, stream, now)?;
        } else if is_read {
            self.parked.push(stream);
        } else {
            let generation = Generation::open(source, &stat, stream)?;
            self.olds.push(Old::new(generation, now));
        }
        Ok(())
    }

    /// No file holds this stream any more.
    fn gone(&mut self, stream: &Arc<Stream>, was_youngest: bool, could_look: bool) {
        let record = stream.record();
        let unread = record.size.saturating_sub(record.mark.offset);
        if was_youngest && could_look && unread > 0 && !record.copy {
            stream.unreachable(unread);
            log::warn!(path:% = self.spec.path.display(), bytes = unread;
                "the file that was read last is gone, with bytes that were never read");
        }
        // Counted once; it may come back, and is remembered as long as a rotated one.
        stream.update(|record| {
            record.life = Life::Rotated;
            if could_look {
                record.size = record.size.min(record.mark.offset);
            }
        });
        self.missing.push(Arc::clone(stream));
    }

    /// Whether a file that is not found is gone. A directory that is away, as a late mount is, says nothing of its files; nor
    /// does the empty mount point in its place, which is on another file system. That the device number of the same one
    /// may change with a reboot does not matter where the live file is found. What may not be opened at the path may be that
    /// file; and one that has unread lines may be where not all could be seen.
    pub(crate) fn could_look(&self, record: &StreamRecord, is_whole: bool) -> bool {
        use std::os::unix::fs::MetadataExt;
        let is_refused = matches!(self.condition, Condition::Refused { .. });
        if is_refused || (!is_whole && record.size > record.mark.offset) {
            return false;
        }
        let Some(Ok(directory)) = self.spec.path.parent().map(std::fs::metadata) else {
            return false;
        };
        let is_on = |inode: Inode| inode.dev == directory.dev();
        let has_live = self.live.as_ref().is_some_and(|live| is_on(live.inode()));
        directory.is_dir() && (has_live || is_on(record.inode))
    }

    /// The file at the path is one of our own generations: it came back, or another inode took its place with the
    /// same content.
    pub(crate) fn take_back(&mut self, file: &File, stat: &Stat, now: Instant) -> io::Result<bool> {
        for index in 0..self.olds.len() {
            let generation = &mut self.olds[index].generation;
            let is_same = generation.inode() == stat.inode;
            let mut is_replaced = || -> io::Result<bool> {
                let (mark, head) = (generation.next(), generation.head());
                let record = generation.stream().record();
                Ok(head.is_full() && generation.stat()?.links == 0 && fits(file, stat, &record, &mark, head)?)
            };
            if is_same {
                self.live = Some(self.olds.remove(index).generation);
            } else if is_replaced()? {
                let old = self.olds.remove(index).generation;
                self.release(old.inode());
                self.live = Some(old.in_copy(file.try_clone()?, stat)?);
            } else {
                continue;
            }
            self.alive();
            return Ok(true);
        }
        let closed = self
            .parked
            .iter()
            .map(|stream| (true, stream))
            .chain(self.missing.iter().map(|s| (false, s)));
        for (is_somewhere, stream) in closed {
            let record = stream.record();
            let may_be = record.inode == stat.inode || (record.head.is_full() && !is_somewhere);
            if may_be && stream.is_settled() && record_fits(file, stat, &record)? {
                let stream = Arc::clone(stream);
                self.parked.retain(|other| !Arc::ptr_eq(other, &stream));
                self.missing.retain(|other| !Arc::ptr_eq(other, &stream));
                stream.update(|record| record.inode = stat.inode);
                self.go_on(file, stat, stream, now)?;
                self.alive();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn alive(&self) {
        if let Some(live) = &self.live {
            live.stream().update(|record| record.life = Life::Live);
        }
    }

    /// A generation of another path that nobody reads, now found under this one, which claimed the file: its stream
    /// goes on.
    pub(crate) fn adopt(&mut self, file: &File, stat: &Stat, now: Instant) -> io::Result<bool> {
        let Some(stream) = self.world.positions.known(&self.spec.log, stat.inode) else {
            return Ok(false);
        };
        if let Some(index) = self
            .olds
            .iter()
            .position(|old| Arc::ptr_eq(old.generation.stream(), &stream))
        {
            // It is open already, and read once.
            self.live = Some(self.olds.remove(index).generation);
            self.alive();
            return Ok(true);
        }
        if !stream.is_settled() || !record_fits(file, stat, &stream.record())? {
            return Ok(false);
        }
        self.go_on(file, stat, stream, now)?;
        self.alive();
        Ok(true)
    }

    /// Whether the file at the path is not read for now, because it is or may be a copy; one that is known is not.
    pub(crate) fn is_left_alone(&mut self, file: &File, stat: &Stat, now: Instant) -> io::Result<bool> {
        let is_suspect = self.suspect.as_ref().is_some_and(|suspect| suspect.inode == stat.inode);
        let is_known = || {
            let missing = self.missing.iter().map(|stream| stream.record().inode);
            self.inodes().chain(missing).any(|inode| inode == stat.inode)
                || self.world.positions.known(&self.spec.log, stat.inode).is_some()
        };
        if !is_suspect && is_known() {
            self.drop_suspect(now)?;
            return Ok(false);
        }
        self.is_held(file, stat, now)
    }
}

/// Whether a file begins like a generation, by all that a head can say, and ends before its position: a copy that was made
/// while the generation was read on.
fn is_shorter_copy(file: &File, stat: &Stat, record: &StreamRecord) -> io::Result<bool> {
    let is_shorter = record.head.is_full() && stat.size < record.mark.offset;
    Ok(is_shorter && Head::of(&first_bytes(file)?) == record.head)
}

pub(crate) fn record_fits(file: &File, stat: &Stat, record: &StreamRecord) -> io::Result<bool> {
    fits(file, stat, record, &record.mark, record.head)
}
