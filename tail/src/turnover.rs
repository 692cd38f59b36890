//! What becomes of the generations of a path: files appear, are renamed, cut, deleted, and let go.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::account::Skip;
use crate::batch::hand_out;
use crate::charset::Charset;
use crate::file::{first_bytes, is_absent, is_exhausted, mark_at, open_regular};
use crate::generation::Generation;
use crate::identity::{Head, Stat};
use crate::olds::Old;
use crate::position::{Archived, Life, Mark, StreamRecord};
use crate::source::Source;
use crate::stream::Stream;
use crate::unseen::Later;
use crate::watcher::{Condition, Watcher};
use crate::wrong::{Wrong, does};

impl Watcher {
    /// Looks at the path: is the file there still the one that is read?
    pub(crate) fn observe(&mut self, now: Instant) -> io::Result<()> {
        let meta = match std::fs::metadata(&self.spec.path) {
            Ok(meta) => meta,
            Err(error) => {
                if is_absent(&error) {
                    if !self.is_closed_still(None)? {
                        self.rotate(now)?;
                        self.drop_suspect(now)?;
                        self.set_condition(Condition::Absent);
                    }
                } else {
                    // "Could not look" is never "deleted".
                    self.set_condition(Condition::refused(&error));
                }
                return Ok(());
            }
        };
        let stat = Stat::from(&meta);
        if self.is_closed_still(Some(&stat))? {
            return Ok(());
        }
        if self.live.as_ref().is_some_and(|live| live.inode() == stat.inode) {
            self.set_condition(Condition::Present);
            return Ok(());
        }
        self.rotate(now)?;
        if !stat.regular {
            self.drop_suspect(now)?;
            self.set_condition(Condition::NotAFile);
            return Ok(());
        }
        self.open_live(false, now)
    }

    /// Opens the file at the path as a new generation. At first sight of the path, settings may skip what is there.
    pub(crate) fn open_live(&mut self, is_first: bool, now: Instant) -> io::Result<()> {
        let (file, stat) = match open_regular(&self.spec.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.set_condition(Condition::Absent);
                return Ok(());
            }
            Err(error) if is_exhausted(&error) => return Err(error),
            Err(error) => {
                self.set_condition(Condition::refused(&error));
                return Ok(());
            }
        };
        if self.is_left_alone(&file, &stat, now)? {
            return Ok(());
        }
        if let Err(owner) = self.claim(stat.inode) {
            self.set_condition(Condition::SharedWith(owner.into()));
            return Ok(());
        }
        self.set_condition(Condition::Present);
        if self.take_back(&file, &stat, now)? || self.adopt(&file, &stat, now)? {
            return Ok(());
        }
        let stream = match self.skips(&stat).filter(|_| is_first) {
            Some(why) => self.begin_at_end(&file, &stat, why)?,
            None => {
                let head = Head::of(&first_bytes(&file)?);
                self.open_unseen_before_live(stat.inode, now)?;
                self.begin(head, &stat)
            }
        };
        self.live = Some(Generation::open(file, &stat, stream)?);
        Ok(())
    }

    /// Why a file is skipped at first sight.
    fn skips(&self, stat: &Stat) -> Option<Skip> {
        let is_old = self.spec.ignore_before.is_some_and(|before| stat.modified < before);
        let start = self.spec.from_end.then_some(Skip::Start);
        start.or(is_old.then_some(Skip::Old))
    }

    /// A new stream at the start of a file.
    pub(crate) fn begin(&mut self, head: Head, stat: &Stat) -> Arc<Stream> {
        self.begin_with(stat, false, Mark::default(), head)
    }

    /// A new stream at the start of a file that was cut. What a byte-order mark said before holds on: who appends writes no
    /// other.
    pub(crate) fn begin_after_cut(&mut self, head: Head, stat: &Stat, charset: Option<Charset>) -> Arc<Stream> {
        let stream = self.begin_with(stat, true, Mark::default(), head);
        stream.update(|record| record.charset = charset);
        stream
    }

    /// A new stream of which nothing can be seen yet.
    pub(crate) fn begin_unread(&mut self, stat: &Stat) -> Arc<Stream> {
        self.begin_with(stat, false, Mark::default(), Head::default())
    }

    /// A new stream at the end of a file; what is before is skipped and counted.
    fn begin_at_end(&mut self, file: &File, stat: &Stat, why: Skip) -> io::Result<Arc<Stream>> {
        let (mark, head) = mark_at(file, stat.size)?;
        let stream = self.begin_with(stat, false, mark, head);
        stream.skip(why, stat.size);
        Ok(stream)
    }

    pub(crate) fn begin_with(&mut self, stat: &Stat, truncated: bool, mark: Mark, head: Head) -> Arc<Stream> {
        self.order += 1;
        let record = StreamRecord {
            log: Arc::clone(&self.spec.log),
            path: Arc::clone(&self.spec.path),
            id: self.world.positions.new_id(),
            order: self.order,
            inode: stat.inode,
            head,
            mark,
            size: stat.size,
            modified: stat.modified,
            life: Life::Live,
            truncated,
            copy: false,
            absent_seconds: 0,
            archived: None,
            charset: None,
            target: self.target(),
            placement: None,
        };
        self.world.positions.begin_under(&self.world.lease, record)
    }

    /// The live file is no longer at its path: it is read to its end before its successors.
    fn rotate(&mut self, now: Instant) -> io::Result<()> {
        let Some(live) = self.live.as_mut() else {
            return Ok(());
        };
        let (stat, was_untouched) = (live.stat()?, live.is_untouched());
        if live.was_cut(&stat)? {
            // It was cut before it was rotated, between two looks.
            self.truncated(now)?;
        }
        let before = if was_untouched {
            let record = self.live.as_ref().map(|live| live.stream().record());
            record.map_or(Ok(Vec::new()), |record| self.unseen_before(stat.inode, &record))?
        } else {
            Vec::new()
        };
        let Some(mut generation) = self.live.take() else {
            return Ok(());
        };
        generation.stream().update(|record| record.life = Life::Rotated);
        if does(Wrong::OldGenerationClosedAtRename) {
            return Ok(());
        }
        let stat = generation.stat()?;
        log::debug!(path:% = self.spec.path.display(), unread = generation.unread(), names = stat.links; "file was rotated or deleted");
        // What was written to one that was empty whenever it was looked at may have been copied away, and the copy be
        // rotated with it.
        let is_behind = !before.is_empty();
        let looked = self.open_each(before);
        // Where it could not be looked what came before or after it, it stays what it was until it can.
        let record = generation.stream().record();
        let looked = looked.and_then(|before| Ok((before, self.unseen_after(&record, &stat, stat.inode)?)));
        let (before, later) = match looked {
            Ok(looked) => looked,
            Err(error) => {
                self.live = Some(generation);
                return Err(error);
            }
        };
        self.take_in(before, now)?;
        if is_behind {
            self.is_youngest(generation.stream());
        }
        self.olds.push(Old::new(generation, now));
        self.take_in_after(later, now)
    }

    /// The live file was cut or written anew in place: what was unread is in a copy beside it, or nowhere.
    pub(crate) fn truncated(&mut self, now: Instant) -> io::Result<()> {
        let Some(mut generation) = self.live.take() else {
            return Ok(());
        };
        let found = generation.stat().and_then(|stat| {
            let file = generation.try_clone_file()?;
            // Before the copies are looked for: another truncation after this moment shows by another beginning.
            let head = Head::of(&first_bytes(&file)?);
            Ok((stat, file, head, self.find_copy(&generation)?))
        });
        let (stat, file, head, copied) = match found {
            Ok(found) => found,
            Err(error) => {
                // Not known yet, perhaps: the next poll finds the same.
                self.live = Some(generation);
                return Err(error);
            }
        };
        // Then the copy has nothing that memory does not have, but not all that it has.
        let is_in_memory = copied.as_ref().is_some_and(|copy| match &copy.source {
            Source::Plain(file) => generation.outreaches(file, &copy.stat),
            Source::Archive(_) => false,
        });
        // What came after the copy was copied as well, if it was cut more than once since the last look.
        let later = match &copied {
            None => Ok(Later::default()),
            Some(copy) if copy.is_whole && !is_in_memory => {
                self.unseen_after(&generation.stream().record(), &copy.stat, stat.inode)
            }
            Some(shorter) => self.unseen_after_copy(&shorter.stat, &generation, &stat),
        };
        let later = match later {
            Ok(later) => later,
            Err(error) => {
                self.live = Some(generation);
                return Err(error);
            }
        };
        match copied {
            Some(copy) if copy.is_whole && !is_in_memory => {
                // What the copying program did not copy, nobody can read.
                let end = match copy.source {
                    Source::Plain(_) => copy.stat.size.max(generation.next().offset),
                    Source::Archive(_) => u64::MAX,
                };
                let never_copied = generation.largest().saturating_sub(end);
                self.unreachable(
                    &generation,
                    never_copied,
                    "bytes were written between a copy and its truncation",
                );
                let in_copy = generation.in_copy(copy.source, &copy.stat)?;
                in_copy.stream().update(|record| record.life = Life::Rotated);
                self.olds.push(Old {
                    complete: true,
                    ..Old::new(in_copy, now)
                });
                let opened = self.olds.len();
                self.take_in_after(later, now)?;
                self.are_written_in(opened, generation.charset());
            }
            shorter => {
                if let Some(chunk) = generation.take_rest(&self.recipe) {
                    self.rescued = hand_out(&mut generation, &stat, chunk).map(Box::new);
                }
                if let Some(copy) = shorter {
                    // Everything in it was read from the file itself: it is known, so that nobody reads it again.
                    self.unreachable(
                        &generation,
                        generation.unread(),
                        "bytes were written between a copy and its truncation",
                    );
                    if let Source::Plain(file) = &copy.source {
                        let (end, head) = mark_at(file, copy.stat.size)?;
                        generation.stream().end_in_copy(copy.stat.inode, end, head);
                    }
                    self.parked.push(Arc::clone(generation.stream()));
                    let opened = self.olds.len();
                    self.take_in(later.unseen, now)?;
                    self.are_written_in(opened, generation.charset());
                } else {
                    self.lost(
                        &generation,
                        "file was truncated before it was read to its end and no copy of it was found",
                    );
                }
            }
        }
        log::info!(path:% = self.spec.path.display(); "file was truncated or written anew; reading it from its start");
        let stream = self.begin_after_cut(head, &stat, generation.charset());
        self.live = Some(Generation::open(file, &stat, stream)?);
        Ok(())
    }

    /// Copies that were opened since there were so many are encoded as what they are copies of, whatever they begin with.
    fn are_written_in(&mut self, opened: usize, charset: Option<Charset>) {
        let copies = self.olds[opened..].iter_mut();
        copies.for_each(|copy| copy.generation.is_written_in(charset));
    }

    /// A rotated file is not what it was: its unread bytes can no longer be reached.
    pub(crate) fn lost_old(&mut self, index: usize, now: Instant) -> io::Result<()> {
        let old = self.olds.remove(index);
        if old.generation.archive().is_some() {
            return self.in_other_archive(index, old.generation, now);
        }
        self.release(old.generation.inode());
        self.lost(
            &old.generation,
            "a rotated file was cut or written anew before it was read to its end",
        );
        Ok(())
    }

    /// An archive that was not complete when it was opened, or was written anew since, does not hold the generation it was
    /// opened for: that one is missing, and the archive one that nobody saw, unless it is read already.
    fn in_other_archive(&mut self, index: usize, mut generation: Generation, now: Instant) -> io::Result<()> {
        let stat = generation.stat()?;
        let stream = generation.stream();
        stream.update(|record| record.archived = None);
        stream.forget_in_flight();
        self.missing.push(Arc::clone(stream));
        if !self.inodes().any(|known| known == stat.inode) {
            let stream = self.begin_unread(&Stat { size: 0, ..stat });
            stream.update(|record| record.life = Life::Rotated);
            let generation = Generation::open(generation.into_source(), &stat, stream)?;
            self.olds.insert(index, Old::new(generation, now));
        }
        Ok(())
    }

    /// Nothing of this content is left under the inode: what is unread of it can no longer be reached, and its record
    /// goes with its last batch.
    fn lost(&self, generation: &Generation, what: &str) {
        self.unreachable(generation, generation.unread(), what);
        generation.stream().update(|record| record.life = Life::Rotated);
        generation.stream().retire();
    }

    fn unreachable(&self, generation: &Generation, bytes: u64, what: &str) {
        if bytes > 0 {
            generation.stream().unreachable(bytes);
            log::warn!(path:% = self.spec.path.display(), bytes; "{what}");
        }
    }

    /// Closes the handle of a rotated generation that is read, acknowledged and quiet.
    pub(crate) fn let_go(&mut self, index: usize, stat: &Stat, now: Instant) -> io::Result<()> {
        let generation = &self.olds[index].generation;
        let stream = Arc::clone(generation.stream());
        if let Some(archive) = generation.archive() {
            let ((size, modified), is_read) = (archive.seen(), archive.is_whole());
            if !is_read {
                log::warn!(path:% = self.spec.path.display(), bytes = size;
                    "a compressed rotated file is damaged or not complete; it is read on when it changes");
            }
            stream.update(|record| {
                record.archived = Some(Box::new(Archived {
                    size,
                    modified,
                    is_read,
                }));
            });
        } else if stat.links == 0
            && let Some(followed) = self.follow(&stream, now)?
        {
            let gone = std::mem::replace(&mut self.olds[index], followed);
            self.release(gone.generation.inode());
            return Ok(());
        }
        let old = self.olds.remove(index);
        if stat.links == 0 {
            self.release(old.generation.inode());
            stream.retire();
        } else {
            self.parked.push(stream);
            // Under another name of the pattern its watcher takes over; nowhere to be found, it may be claimed again.
            self.look_around = true;
            self.look = true;
        }
        Ok(())
    }

    pub(crate) fn set_condition(&mut self, condition: Condition) {
        if self.condition == condition {
            return;
        }
        let path = self.spec.path.display();
        match &condition {
            Condition::Present => log::debug!(path:%; "file is there"),
            Condition::Absent => log::info!(path:%, log = self.spec.log; "no file at this path; waiting for it"),
            Condition::SharedWith(other) => {
                log::info!(path:%, log = self.spec.log, other:% = other.display(); "file is read under another path already");
            }
            Condition::CopyOf(other) => {
                log::info!(path:%, log = self.spec.log, other:% = other.display(); "file begins like another that is read; taken for a copy of it");
            }
            Condition::NotAFile => log::warn!(path:%, log = self.spec.log; "not a regular file; ignored"),
            Condition::Refused { cause, .. } => {
                log::warn!(path:%, log = self.spec.log, cause:%, help = "give the service's user the right to read it"; "file cannot be opened; waiting");
            }
        }
        self.condition = condition;
    }
}
