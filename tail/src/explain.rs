//! Which of our generations an archive holds: one that is known is gone on with, never read twice; one that no known
//! generation explains is one that nobody saw.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::file::{fits, is_exhausted, open_regular};
use crate::generation::Generation;
use crate::identity::{Head, Inode, Stat};
use crate::inspect::undecided;
use crate::olds::Old;
use crate::position::{FileId, Life, Mark, StreamRecord};
use crate::resume::Found;
use crate::siblings::{Sibling, age_of};
use crate::source::Source;
use crate::stream::Stream;
use crate::watcher::Watcher;

/// File systems stamp with the time of the last timer tick, 1/100 s apart at the most; nanoseconds.
const TICK: i64 = 10_000_000;

/// What is known of the content of a generation.
pub(crate) struct Content {
    id: FileId,
    head: Head,
    mark: Mark,
    /// Its archive has this modification time: of one that was never read, a beginning alone would be another's as well.
    modified: Option<i64>,
}

impl Content {
    /// Of a generation whose file is open.
    pub(crate) fn in_file(generation: &Generation) -> Self {
        // Where that cannot be read, a line comes twice rather than not at all.
        let late = generation.late_beginning().ok().flatten();
        Self {
            id: generation.stream().id(),
            head: late.map_or_else(|| generation.head(), |(head, _)| head),
            mark: generation.witness(),
            modified: late.map(|(_, modified)| modified),
        }
    }

    /// Of the live file if it has no name any more: its rotation was not noticed yet, and its archive may be there.
    pub(crate) fn if_nameless(generation: &Generation) -> io::Result<Option<Self>> {
        let is_nameless = generation.links()? == 0;
        Ok(is_nameless.then(|| Self::in_file(generation)))
    }

    pub(crate) fn of(record: &StreamRecord) -> Self {
        Self {
            id: record.id,
            head: record.head,
            mark: record.mark,
            modified: None,
        }
    }

    /// Whether it can be in this archive.
    fn may_be_in(&self, archive: &Sibling) -> bool {
        let is_its_time = self.modified.is_none_or(|modified| modified == archive.stat.modified);
        is_its_time && self.mark.offset > 0 && !self.head.is_empty()
    }
}

impl Watcher {
    /// Opens a sibling; none when it cannot be opened.
    ///
    /// # Errors
    /// When its name went to another file: the next poll looks again.
    pub(crate) fn open_sibling(&mut self, sibling: &Sibling) -> io::Result<Option<(Source, Stat)>> {
        if sibling.is_archive() {
            return match self.inspections.open(sibling) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
                opened => opened.map(Some),
            };
        }
        match open_regular(&sibling.path) {
            Ok((file, stat)) if stat.inode == sibling.stat.inode => Ok(Some((Source::Plain(file), stat))),
            // Rotation went on since the directory was listed.
            Ok(_) => Err(undecided()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(undecided()),
            Err(error) if is_exhausted(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Opens a sibling, unless it holds nothing, as far as it is there: an empty one is nobody's content.
    ///
    /// # Errors
    /// As [`Watcher::open_sibling`], and when it cannot be read.
    pub(crate) fn open_filled(&mut self, sibling: &Sibling) -> io::Result<Option<(Source, Stat)>> {
        let Some((mut source, stat)) = self.open_sibling(sibling)? else {
            return Ok(None);
        };
        let is_empty = source.head(1)?.is_empty();
        Ok((!is_empty).then_some((source, stat)))
    }

    /// Opens a sibling if it holds the content of a record up to `mark`.
    ///
    /// # Errors
    /// When that is not known yet, see [`crate::inspect`]; when it cannot be read.
    pub(crate) fn holding(
        &mut self,
        sibling: &Sibling,
        record: &StreamRecord,
        mark: &Mark,
        head: Head,
    ) -> io::Result<Option<(Source, Stat)>> {
        if !sibling.is_archive() {
            let Some((Source::Plain(file), stat)) = self.open_sibling(sibling)? else {
                return Ok(None);
            };
            return Ok(fits(&file, &stat, record, mark, head)?.then_some((Source::Plain(file), stat)));
        }
        let holds = if head.is_empty() {
            sibling.stat.inode == record.inode
        } else {
            record.is_read_in(&sibling.stat) || self.inspections.holds(sibling, head, mark)?
        };
        if holds { self.open_sibling(sibling) } else { Ok(None) }
    }

    /// Whether a sibling is open, or was read as it is now.
    pub(crate) fn is_known(&self, sibling: &Sibling) -> bool {
        let inode = sibling.stat.inode;
        let open = self.olds.iter().map(|old| &old.generation).chain(&self.live);
        let is_left = |record: StreamRecord| !sibling.is_archive() || record.is_left_in(&sibling.stat);
        open.map(Generation::inode).any(|known| known == inode)
            || self
                .parked
                .iter()
                .any(|stream| stream.inode() == inode && is_left(stream.record()))
    }

    /// What is known of the generations that are in no archive yet.
    pub(crate) fn contents(&self) -> Vec<Content> {
        let open = self.olds.iter().map(|old| &old.generation);
        let closed = self.parked.iter().chain(&self.missing).map(|stream| stream.record());
        let open = open.filter(|generation| generation.archive().is_none());
        open.map(Content::in_file)
            .chain(
                closed
                    .filter(|record| record.archived.is_none())
                    .map(|record| Content::of(&record)),
            )
            .collect()
    }

    /// The generation that an archive holds. It is taken out of `contents`: each explains one archive at the most.
    pub(crate) fn explained(&mut self, archive: &Sibling, contents: &mut Vec<Content>) -> io::Result<Option<FileId>> {
        for (index, content) in contents.iter().enumerate() {
            if content.may_be_in(archive) && self.inspections.holds(archive, content.head, &content.mark)? {
                let id = content.id;
                contents.remove(index);
                return Ok(Some(id));
            }
        }
        // A rotated name may be a path of its own, and what was read there was compressed; ours may be one of another path.
        let is_related = |path: &Arc<Path>| {
            let names = self.spec.path.file_name().zip(path.file_name());
            let is_rotated = |(ours, name)| age_of(ours, name).is_some() || age_of(name, ours).is_some();
            path.parent() == self.spec.path.parent() && names.is_some_and(is_rotated)
        };
        let positions = Arc::clone(&self.world.positions);
        let paths = positions.paths(&self.spec.log).into_iter().filter(is_related);
        for stream in paths
            .flat_map(|path| positions.of(&self.spec.log, &path))
            .collect::<Vec<_>>()
        {
            let record = stream.record();
            let Content { id, head, mark, .. } = Content::of(&record);
            // Of its own path, or read: a beginning alone does not tell whose it is. What may be a copy is the original's.
            let is_its_own = archive.is_of(&record.path) && !record.is_undecided_copy();
            if !head.is_empty() && (mark.offset > 0 || is_its_own) && self.inspections.holds(archive, head, &mark)? {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// Of siblings that no stream was found in, youngest first, those that are no archives of these contents.
    pub(crate) fn unexplained(
        &mut self,
        siblings: Vec<Sibling>,
        mut contents: Vec<Content>,
    ) -> io::Result<Vec<Sibling>> {
        let mut unseen = Vec::new();
        for sibling in siblings.into_iter().rev() {
            if !sibling.is_archive() || self.explained(&sibling, &mut contents)?.is_none() {
                unseen.push(sibling);
            }
        }
        unseen.reverse();
        Ok(unseen)
    }

    /// Opens the archives of generations that were born and rotated away between an old one, which is read, and its
    /// successor, oldest first.
    pub(crate) fn open_archives_after(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let around = self.siblings()?;
        let old = &mut self.olds[index].generation;
        let (record, modified) = (old.stream().record(), old.stat()?.modified);
        let id = record.id;
        let mut contents = self.contents();
        if let Some(live) = &self.live {
            contents.extend(Content::if_nameless(live)?);
        }
        let inode = self.olds[index].generation.inode();
        let mut place = around.iter().position(|sibling| sibling.stat.inode == inode);
        let mut unknown = Vec::new();
        for (at, sibling) in around.iter().enumerate().rev() {
            let inode = sibling.stat.inode;
            let was_there = self.olds[index].archives.contains(&inode);
            if !sibling.is_archive() || !was_there || self.is_known(sibling) || self.has_other_owner(inode) {
                continue;
            }
            match self.explained(sibling, &mut contents)? {
                Some(explained) if explained == id => place = Some(at),
                Some(_) => {}
                None => unknown.push((at, sibling)),
            }
        }
        let since = since(&record, inode, modified);
        // Where the old one itself has no name any more, an archive still has the modification time of what it holds.
        let is_unseen = |at: usize, sibling: &Sibling| match place {
            Some(place) => at < place && changed_since(sibling, since),
            None => sibling.stat.modified > modified,
        };
        let place_of = |old: &Old| around.iter().position(|s| s.stat.inode == old.generation.inode());
        let open = self.olds.len();
        for (at, sibling) in unknown.into_iter().filter(|(at, sibling)| is_unseen(*at, sibling)) {
            // Plain ones that nobody saw either are open already: it lies between them.
            let later = self.olds[index + 1..].iter();
            let older = later
                .take_while(|old| place_of(old).is_some_and(|place| place > at))
                .count();
            if let Some(unseen) = self.open_unseen(sibling.clone())?
                && let Some(unseen) = self.unseen(unseen, now)?
            {
                self.olds.insert(index + 1 + older, unseen);
            }
        }
        if self.olds.len() > open {
            let later = self.olds[index + 1..]
                .iter()
                .map(|old| &old.generation)
                .chain(&self.live);
            let closed = self.closed.iter().map(|closed| closed.paused.stream());
            let streams: Vec<_> = later.map(Generation::stream).chain(closed).cloned().collect();
            streams.iter().for_each(|stream| self.is_youngest(stream));
        }
        self.olds[index].archives.clear();
        self.inspections.close(&around);
        Ok(())
    }

    /// The oldest archive that holds the content of a record and was not changed before it. Where logs say the same each
    /// night, it is that one, and younger ones, and the file at the path, are others: a line twice rather than not at all.
    pub(crate) fn oldest_archive(
        &mut self,
        record: &StreamRecord,
        around: &[Sibling],
        is_free: impl Fn(Inode) -> bool,
    ) -> io::Result<Option<(usize, Source, Stat)>> {
        for (index, sibling) in around.iter().enumerate().rev() {
            if sibling.is_archive()
                && !record.is_undecided_copy()
                && may_hold(sibling, record)
                && is_free(sibling.stat.inode)
                && let Some((source, stat)) = self.holding(sibling, record, &record.mark, record.head)?
                && self.claim(stat.inode).is_ok()
            {
                return Ok(Some((index, source, stat)));
            }
        }
        Ok(None)
    }

    /// A file of which nothing was delivered is known by its inode alone, which its archive does not have: it is the
    /// oldest archive that no other generation is in, was not changed before, and lies before the next younger one's place.
    pub(crate) fn unread_in_archives(
        &mut self,
        missing: Vec<Arc<Stream>>,
        around: &[Sibling],
        found: &mut Vec<Found>,
    ) -> io::Result<Vec<Arc<Stream>>> {
        let is_untouched = |record: &StreamRecord| record.head.is_empty() && !record.is_undecided_copy();
        let records: Vec<_> = missing.iter().map(|stream| stream.record()).collect();
        let may_hold = |sibling: &Sibling| {
            let is_found = found.iter().any(|hit| hit.stat.inode == sibling.stat.inode);
            let mut untouched = records.iter().filter(|record| is_untouched(record));
            sibling.is_archive()
                && !is_found
                && !self.is_known(sibling)
                && untouched.any(|record| came_since(sibling, record))
        };
        let candidates = around.iter().filter(|sibling| may_hold(sibling)).cloned().collect();
        let mut free = Vec::new();
        for sibling in self.unexplained(candidates, self.contents_at_resume(found, &missing))? {
            if self.open_filled(&sibling)?.is_some() {
                free.push(sibling.stat.inode);
            }
        }
        let mut still_missing = Vec::new();
        for stream in missing.into_iter().rev() {
            let record = stream.record();
            let younger = found.iter().filter(|hit| hit.stream.record().order > record.order);
            let first = younger.map(|hit| hit.sibling.map_or(0, |index| index + 1)).max();
            let place = around
                .iter()
                .enumerate()
                .skip(first.unwrap_or(0))
                .rfind(|(_, sibling)| {
                    let inode = sibling.stat.inode;
                    free.contains(&inode)
                        && came_since(sibling, &record)
                        && found.iter().all(|hit| hit.stat.inode != inode)
                });
            if is_untouched(&record)
                && let Some((index, sibling)) = place
                && let Some((source, stat)) = self.open_sibling(sibling)?
                && self.claim(stat.inode).is_ok()
            {
                found.push(Found {
                    stream,
                    source,
                    stat,
                    sibling: Some(index),
                });
            } else {
                still_missing.push(stream);
            }
        }
        Ok(still_missing)
    }

    /// As [`Watcher::contents`], while it is not said yet where the saved generations are.
    pub(crate) fn contents_at_resume(&self, found: &[Found], missing: &[Arc<Stream>]) -> Vec<Content> {
        let open = self.olds.iter().map(|old| &old.generation);
        let open = open.filter(|generation| generation.archive().is_none());
        let in_files = found.iter().filter(|hit| matches!(hit.source, Source::Plain(_)));
        let saved = in_files.map(|hit| &hit.stream).chain(missing);
        open.map(Content::in_file)
            .chain(saved.map(|stream| Content::of(&stream.record())))
            .collect()
    }

    /// Goes on with a generation whose file is gone in the archive that it became: late lines may be in it, and it is
    /// known as long as the archive is there.
    pub(crate) fn follow(&mut self, stream: &Arc<Stream>, now: Instant) -> io::Result<Option<Old>> {
        let record = stream.record();
        if record.is_undecided_copy() {
            return Ok(None);
        }
        let around = self.siblings()?;
        let first = self.place_before(&record, &around);
        // Oldest first: what is known by its inode alone is in the oldest one that it can be in.
        for (index, sibling) in around.iter().enumerate().rev() {
            if !sibling.is_archive() || self.is_known(sibling) {
                continue;
            }
            let holder = if !record.head.is_empty() {
                self.holding(sibling, &record, &record.mark, record.head)?
            } else if index >= first
                && may_hold(sibling, &record)
                && self.explained(sibling, &mut self.contents())?.is_none()
            {
                self.open_filled(sibling)?
            } else {
                None
            };
            let Some((source, stat)) = holder.filter(|(_, stat)| self.claim(stat.inode).is_ok()) else {
                continue;
            };
            log::debug!(path:% = self.spec.path.display(), archive:% = sibling.path.display(); "a rotated file was compressed");
            stream.update(|record| {
                record.inode = stat.inode;
                record.life = Life::Rotated;
                record.absent_seconds = 0;
            });
            return Ok(Some(Old::new(
                Generation::open(source, &stat, Arc::clone(stream))?,
                now,
            )));
        }
        Ok(None)
    }

    /// Where among the siblings those begin that are older than the next younger generation that is there.
    fn place_before(&self, record: &StreamRecord, around: &[Sibling]) -> usize {
        let open = self.olds.iter().map(|old| old.generation.stream().record());
        let known = open.chain(self.parked.iter().map(|stream| stream.record()));
        let place = |inode| around.iter().position(|sibling| sibling.stat.inode == inode);
        let younger = known.filter(|other| other.order > record.order);
        younger
            .filter_map(|other| place(other.inode))
            .max()
            .map_or(0, |index| index + 1)
    }

    /// Looks for generations that no file is known to hold in archives.
    pub(crate) fn look_into_archives(&mut self, now: Instant) -> io::Result<()> {
        for stream in self.missing.clone() {
            if stream.is_settled()
                && let Some(old) = self.follow(&stream, now)?
            {
                self.missing.retain(|other| !Arc::ptr_eq(other, &stream));
                self.olds.push(old);
            }
        }
        self.look_into = false;
        self.inspections.close(&self.siblings()?);
        Ok(())
    }
}

/// Whether an archive may hold a generation: it comes to be long after what it holds, and keeps its modification time.
fn may_hold(archive: &Sibling, record: &StreamRecord) -> bool {
    archive.stat.modified >= record.modified
}

/// Whether what a sibling holds came to be after a generation was first seen. In doubt it did: a line twice rather than
/// not at all.
pub(crate) fn came_since(sibling: &Sibling, record: &StreamRecord) -> bool {
    let mut stat = sibling.stat;
    if sibling.is_archive() {
        // It keeps the modification time of what it holds.
        stat.inode.born = None;
    }
    came_after(&stat, record)
}

/// Since when what is younger than a generation came to be, or changed, at the earliest: the clock of the file system may not
/// be ours, and then what it says of the generation's own file holds.
pub(crate) fn since(record: &StreamRecord, inode: Inode, modified: i64) -> i64 {
    let since = first_seen(record)
        .min(modified)
        .min(inode.born.map_or(i64::MAX, i64::from));
    if is_ahead(since) { i64::MIN } else { since }
}

/// Whether a sibling came to be or was changed since: whatever its name says, what was there before and left alone is
/// nothing new.
pub(crate) fn changed_since(sibling: &Sibling, since: i64) -> bool {
    // An archive is made of what may be old, and keeps its modification time.
    let born = sibling.stat.inode.born.filter(|_| !sibling.is_archive());
    born.map_or(i64::MIN, i64::from)
        .max(sibling.stat.modified)
        .saturating_add(TICK)
        >= since
}

/// Whether a plain file came to be after a generation was first seen.
pub(crate) fn came_after(stat: &Stat, record: &StreamRecord) -> bool {
    let first_seen = first_seen(record);
    let came = stat.inode.born.map_or(stat.modified, i64::from).saturating_add(TICK);
    if came >= first_seen || !is_ahead(first_seen) {
        return came >= first_seen;
    }
    // Then its own file was there before, unless that is an archive.
    let born = record.inode.born.filter(|_| record.archived.is_none()).map(i64::from);
    born.is_none_or(|born| is_ahead(born) || came >= born)
}

/// Ids are nanoseconds of first sight.
fn first_seen(record: &StreamRecord) -> i64 {
    i64::try_from(record.id.0).unwrap_or(i64::MAX)
}

/// Whether the clock was ahead when it said so: what is earlier may have come later.
pub(crate) fn is_ahead(time: i64) -> bool {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    i64::try_from(now).is_ok_and(|now| time.saturating_sub(TICK) > now)
}
