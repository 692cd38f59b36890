//! A live file is open while its watcher has a turn, see [`crate::handles`]. Without one it is closed, and known by its
//! inode, size and modification time: what was read of it, and what of that is in flight, goes on when it is opened again.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::file::{is_absent, open_found, open_regular};
use crate::generation::{Generation, Paused};
use crate::identity::{Inode, Stat};
use crate::watcher::{Condition, Todo, Watcher};

/// Without a handle left in the process or the system, the next try comes after this.
const HANDLE_LOOK: Duration = Duration::from_secs(1);

/// A live file that is closed.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) paused: Paused,
    /// Size and modification time when it was closed.
    seen: (u64, i64),
    /// Size at the last look.
    pub(crate) size: u64,
    /// There is something to read: it waits for a turn.
    pub(crate) is_wanted: bool,
    /// It is not where it was, and what is in flight of it must be settled before it is looked for.
    pub(crate) is_lost: bool,
}

impl Closed {
    /// Whether a copy of it can be there that nobody has looked for, as [`Watcher::look_for_beginning`] does it.
    pub(crate) fn hides_copies(&self, looked_around: bool) -> bool {
        self.is_wanted || (self.paused.is_untouched() && !looked_around)
    }
}

/// Whether a path leads to a file: one that is closed is found there again.
///
/// # Errors
/// When that cannot be looked at.
fn is_at(path: &Path, inode: Inode) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Stat::from(&meta).inode == inode),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Watcher {
    /// Open file handles.
    #[must_use]
    pub fn handles(&self) -> usize {
        self.generations().count()
    }

    /// Finds out what the path leads to, when that is not known, and has it open or closed as its turn says.
    pub(crate) fn look_at_path(&mut self, now: Instant) -> io::Result<()> {
        loop {
            if !self.resumed {
                // What an earlier try found is found again.
                self.live = None;
                self.parked.clear();
                self.missing.clear();
                self.resume(now)?;
                self.resumed = true;
            }
            if std::mem::take(&mut self.look) || self.look_again.take_if(|at| *at <= now).is_some() {
                self.observe(now)?;
            }
            if self.resumed {
                self.take_turn(now)?;
            }
            if self.resumed && !self.look {
                return Ok(());
            }
        }
    }

    /// Opens or closes the live file, as its turn says.
    fn take_turn(&mut self, now: Instant) -> io::Result<()> {
        if let Some(closed) = &self.closed {
            if !closed.is_wanted || closed.is_lost {
                self.seat.give_up();
            } else if self.seat.take(now) {
                self.open_again(now)?;
            }
            return Ok(());
        }
        let Some(live) = self.live.as_mut() else {
            self.seat.give_up();
            return Ok(());
        };
        let has_turn = self.seat.try_take(now);
        if has_turn && !self.seat.is_short() {
            return Ok(());
        }
        let stat = live.stat()?;
        let news = live.has_news(&stat) || live.has_group() || stat.size < live.next().offset;
        if has_turn && self.seat.may_keep(now, news, live.stream().is_settled()) {
            return Ok(());
        }
        let is_read = !news && !live.has_rest(stat.size);
        match is_at(&self.spec.path, live.inode()) {
            Ok(true) => {}
            // It is read by its handle, as one of the old ones: the next look finds out.
            Ok(false) => {
                self.look = true;
                return Ok(());
            }
            Err(_) if is_read => {}
            // It may be nowhere any more.
            Err(_) => return Ok(()),
        }
        // What is written after this look changes size or time, and the next look tells.
        self.close(&stat, news);
        self.seat.give_up();
        if news {
            self.seat.take(now);
        }
        Ok(())
    }

    fn close(&mut self, stat: &Stat, is_wanted: bool) {
        if let Some(live) = self.live.take() {
            live.stream().saw(live.head(), stat);
            self.closed = Some(Box::new(Closed {
                paused: live.pause(),
                seen: (stat.size, stat.modified),
                size: stat.size,
                is_wanted,
                is_lost: false,
            }));
        }
    }

    fn open_again(&mut self, now: Instant) -> io::Result<()> {
        let opened = match open_regular(&self.spec.path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.set_condition(Condition::refused(&error));
                self.seat.give_up();
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.observe(now),
            Err(error) => return Err(error),
        };
        let (file, stat) = opened;
        match self.closed.take_if(|closed| closed.paused.inode() == stat.inode) {
            Some(closed) => {
                self.set_condition(Condition::Present);
                self.live = Some(Generation::unpause(closed.paused, file));
                Ok(())
            }
            None => self.observe(now),
        }
    }

    /// [`Watcher::look_for_lost_beginning`], also for a file that is closed: it is opened for the look.
    pub(crate) fn look_for_beginning(&mut self, looked_around: bool, now: Instant) -> io::Result<()> {
        let is_untouched = |closed: &Closed| looked_around && closed.paused.is_untouched();
        if !self.closed.as_deref().is_some_and(is_untouched) {
            return self.look_for_lost_beginning(looked_around, now);
        }
        if let Some((file, stat)) = open_found(&self.spec.path)?
            && let Some(closed) = self.closed.take_if(|closed| closed.paused.inode() == stat.inode)
        {
            self.live = Some(Generation::unpause(closed.paused, file));
            self.look_for_lost_beginning(looked_around, now)?;
            self.take_turn(now)?;
        }
        Ok(())
    }

    /// Looks whether the path leads to the live file that is closed. True when it is all that can be said now; else it
    /// is as if it had never been closed.
    pub(crate) fn is_closed_still(&mut self, found: Option<&Stat>) -> io::Result<bool> {
        let Some(closed) = self.closed.as_mut() else {
            return Ok(false);
        };
        if let Some(stat) = found
            && stat.inode == closed.paused.inode()
        {
            closed.is_wanted |= (stat.size, stat.modified) != closed.seen;
            closed.is_lost = false;
            closed.size = stat.size;
            closed.paused.saw_size(stat.size);
            return Ok(true);
        }
        let inode = closed.paused.inode();
        for sibling in self.siblings()?.iter().filter(|sibling| sibling.stat.inode == inode) {
            if let Some((file, stat)) = open_found(&sibling.path)?
                && let Some(closed) = self.closed.take_if(|_| stat.inode == inode)
            {
                let mut generation = Generation::unpause(closed.paused, file);
                // Where nothing was ever seen, nothing can have changed.
                let is_same = generation.is_untouched()
                    || (stat.size >= generation.next().offset && generation.is_unchanged(&stat)?);
                if is_same {
                    self.live = Some(generation);
                    return Ok(false);
                }
                // Written anew before it was renamed.
                let paused = generation.pause();
                self.closed = Some(Box::new(Closed { paused, ..*closed }));
            }
        }
        // It is looked for as across a restart, which likewise begins with what is settled.
        let closed = self.closed.take_if(|closed| closed.paused.stream().is_settled());
        match (closed, self.closed.as_mut()) {
            (None, Some(closed)) => closed.is_lost = true,
            _ => (self.resumed, self.look) = (false, true),
        }
        Ok(true)
    }

    /// Whether other files lack a handle: when all of this one is settled, a poll can give its own away.
    #[must_use]
    pub fn others_wait(&self) -> bool {
        self.seat.is_short()
    }

    /// No handle is left in the process or the system: it looks again in a while, and nothing is lost meanwhile.
    pub(crate) fn out_of_handles(&mut self, error: &io::Error, now: Instant) -> Todo {
        self.world.handles.exhausted(error, now);
        (self.look, self.look_around) = (true, true);
        let until = Some(now + HANDLE_LOOK);
        Todo::Wait { until }
    }
}
