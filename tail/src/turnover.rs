//! What becomes of the generations of a path: files appear, are renamed, cut, deleted, and let go.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::account::Skip;
use crate::generation::{Generation, open_regular};
use crate::identity::{GUARD_LEN, Guard, HEAD_LEN, Head, Stat, read_at};
use crate::position::{Life, Mark, StreamRecord};
use crate::stream::Stream;
use crate::watcher::{Condition, Old, Watcher, hand_out};
use crate::wrong::{Wrong, does};

impl Watcher {
    /// Looks at the path: is the file there still the one that is read?
    pub(crate) fn observe(&mut self, now: Instant) -> io::Result<()> {
        let meta = match std::fs::metadata(&self.spec.path) {
            Ok(meta) => meta,
            Err(error) => {
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) {
                    self.rotate(now)?;
                    self.set_condition(Condition::Absent);
                } else {
                    // "Could not look" is never "deleted".
                    self.set_condition(Condition::Refused(error.to_string()));
                }
                return Ok(());
            }
        };
        let stat = Stat::from(&meta);
        if self.live.as_ref().is_some_and(|live| live.inode() == stat.inode) {
            self.set_condition(Condition::Present);
            return Ok(());
        }
        self.rotate(now)?;
        if !stat.regular {
            self.set_condition(Condition::NotAFile);
            return Ok(());
        }
        self.open_live(false)
    }

    /// Opens the file at the path as a new generation. `from_end` is for files that are there at first sight.
    pub(crate) fn open_live(&mut self, from_end: bool) -> io::Result<()> {
        let (file, stat) = match open_regular(&self.spec.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.set_condition(Condition::Absent);
                return Ok(());
            }
            Err(error) if is_exhausted(&error) => return Err(error),
            Err(error) => {
                self.set_condition(Condition::Refused(error.to_string()));
                return Ok(());
            }
        };
        if let Err(owner) = self.claim(stat.inode) {
            self.set_condition(Condition::SharedWith(owner));
            return Ok(());
        }
        self.set_condition(Condition::Present);
        if self.take_back(&file, &stat)? || self.adopt(&file, &stat)? {
            return Ok(());
        }
        let stream = if from_end {
            self.begin_at_end(&file, &stat)?
        } else {
            self.begin(&stat, false)
        };
        self.live = Some(Generation::open(file, &stat, stream)?);
        Ok(())
    }

    /// A new stream at the start of a file.
    pub(crate) fn begin(&mut self, stat: &Stat, truncated: bool) -> Arc<Stream> {
        self.begin_with(stat, truncated, Mark::default(), Head::default())
    }

    /// A new stream at the end of a file; what is before is skipped and counted.
    fn begin_at_end(&mut self, file: &File, stat: &Stat) -> io::Result<Arc<Stream>> {
        let mut bytes = Vec::new();
        let length = stat.size.min(GUARD_LEN as u64);
        read_at(
            file,
            &mut bytes,
            stat.size - length,
            usize::try_from(length).unwrap_or(0),
        )?;
        let guard = Guard::of(&bytes);
        bytes.clear();
        read_at(file, &mut bytes, 0, HEAD_LEN)?;
        let mark = Mark {
            offset: stat.size,
            guard,
            part: 0,
        };
        let head = Head::of(&bytes);
        let stream = self.begin_with(stat, false, mark, head);
        stream.account().add_skipped(Skip::Start, stat.size);
        Ok(stream)
    }

    fn begin_with(&mut self, stat: &Stat, truncated: bool, mark: Mark, head: Head) -> Arc<Stream> {
        self.order += 1;
        self.world.positions.begin(StreamRecord {
            log: self.spec.log.clone(),
            path: self.spec.path.clone(),
            id: self.world.positions.new_id(),
            order: self.order,
            inode: stat.inode,
            head,
            mark,
            size: stat.size,
            modified: stat.modified,
            life: Life::Live,
            truncated,
            absent_seconds: 0,
            placement: None,
        })
    }

    /// The live file is no longer at its path: it is read to its end before its successors.
    fn rotate(&mut self, now: Instant) -> io::Result<()> {
        let Some(mut generation) = self.live.take() else {
            return Ok(());
        };
        generation.stream().update(|record| record.life = Life::Rotated);
        if does(Wrong::OldGenerationClosedAtRename) {
            return Ok(());
        }
        let stat = generation.stat()?;
        log::debug!(path:% = self.spec.path.display(), unread = generation.unread(), names = stat.links; "file was rotated or deleted");
        self.olds.push(Old::new(generation, now));
        self.open_unseen_after(&stat, now)
    }

    /// The live file was cut or written anew in place: what was unread is in a copy beside it, or nowhere.
    pub(crate) fn truncated(&mut self, now: Instant) -> io::Result<()> {
        let Some(mut generation) = self.live.take() else {
            return Ok(());
        };
        let stat = generation.stat()?;
        let file = generation.try_clone_file()?;
        let copied = self.find_copy(&generation)?;
        if let Some((copy, copy_stat)) = copied {
            let in_copy = generation.in_copy(copy, &copy_stat)?;
            in_copy.stream().update(|record| record.life = Life::Rotated);
            self.olds.push(Old {
                complete: true,
                ..Old::new(in_copy, now)
            });
            self.open_unseen_after(&copy_stat, now)?;
        } else {
            if let Some(chunk) = generation.take_rest(&self.framer) {
                self.rescued = hand_out(&mut generation, &stat, chunk);
            }
            self.lost(
                &generation,
                "file was truncated before it was read to its end and no copy of it was found",
            );
        }
        let stream = self.begin(&stat, true);
        self.live = Some(Generation::open(file, &stat, stream)?);
        Ok(())
    }

    /// A rotated file is not what it was: its unread bytes can no longer be reached.
    pub(crate) fn lost_old(&mut self, index: usize) {
        let old = self.olds.remove(index);
        self.release(old.generation.inode());
        self.lost(
            &old.generation,
            "a rotated file was cut or written anew before it was read to its end",
        );
    }

    /// Nothing of this content is left under the inode: what is unread of it can no longer be reached, and its record
    /// goes with its last batch.
    fn lost(&self, generation: &Generation, what: &str) {
        let (stream, unread) = (generation.stream(), generation.unread());
        if unread > 0 {
            stream.account().add_unreachable(unread);
            log::warn!(path:% = self.spec.path.display(), bytes = unread; "{what}");
        }
        stream.update(|record| record.life = Life::Rotated);
        stream.retire();
    }

    /// Closes the handle of a rotated generation that is read, acknowledged and quiet.
    pub(crate) fn let_go(&mut self, index: usize, stat: &Stat) {
        let old = self.olds.remove(index);
        if stat.links == 0 {
            self.release(old.generation.inode());
            old.generation.stream().retire();
        } else {
            self.parked.push(Arc::clone(old.generation.stream()));
            // Under another name of the pattern its watcher takes over; nowhere to be found, it may be claimed again.
            self.look_around = true;
            self.look = true;
        }
    }

    fn set_condition(&mut self, condition: Condition) {
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
            Condition::NotAFile => log::warn!(path:%, log = self.spec.log; "not a regular file; ignored"),
            Condition::Refused(cause) => {
                log::warn!(path:%, log = self.spec.log, cause, help = "give the service's user the right to read it"; "file cannot be opened; waiting");
            }
        }
        self.condition = condition;
    }
}

/// No handle is left: that passes, and is not the file's fault.
fn is_exhausted(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code == Some(rustix::io::Errno::MFILE.raw_os_error()) || code == Some(rustix::io::Errno::NFILE.raw_os_error())
}
