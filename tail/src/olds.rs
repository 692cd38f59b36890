//! Which of the earlier generations of a path is read next, and how long they are waited for.

use std::io;
use std::time::{Duration, Instant};

use crate::archive::Archive;
use crate::generation::{Ending, Generation};
use crate::identity::Inode;
use crate::watcher::{KEEP_NAMED, KEEP_NAMELESS, OLD_LOOK, Pick, QUIET, SETTLE_LOOK, Todo, Watcher};

/// The live file waits no longer than this for the end of a line in an old one to which a writer adds all the while: it
/// may never come.
const HOLD: Duration = Duration::from_secs(30);

/// A generation that is no longer what the path leads to.
#[derive(Debug)]
pub(crate) struct Old {
    pub(crate) generation: Generation,
    /// Since when it is an old one, or open again as such.
    pub(crate) since: Instant,
    /// Since when it has not changed.
    pub(crate) quiet: Instant,
    /// Size and modification time then.
    pub(crate) seen: (u64, i64),
    /// No writer has it open: it is a copy, or an earlier run of ours left it finished.
    pub(crate) complete: bool,
    /// With that size and time it was asked for what is left at its end, all of it was read, and nothing was made of that.
    pub(crate) is_over: Option<(u64, i64)>,
    /// Archives that were there when it was rotated, and that nobody had read: once it is read to its end, it can be
    /// told which of them hold generations that came after it.
    pub(crate) archives: Vec<Inode>,
}

impl Old {
    pub(crate) fn new(generation: Generation, now: Instant) -> Self {
        Self {
            generation,
            since: now,
            quiet: now,
            seen: (0, 0),
            complete: false,
            is_over: None,
            archives: Vec::new(),
        }
    }
}

impl Watcher {
    /// Whether a file has one of the rotated names, so that what is added to it is found without a handle.
    fn is_rotated(&self, inode: Inode) -> bool {
        let siblings = self.siblings();
        siblings.is_ok_and(|siblings| siblings.iter().any(|sibling| sibling.stat.inode == inode))
    }

    /// The oldest generation that has something to read, or how long to wait.
    pub(crate) fn pick_old(&mut self, now: Instant) -> io::Result<Result<Todo, Until>> {
        let mut until = Until::default();
        let mut index = 0;
        while index < self.olds.len() {
            let old = &mut self.olds[index];
            let stat = old.generation.stat()?;
            if old.generation.was_cut(&stat)? {
                self.lost_old(index, now)?;
                continue;
            }
            let filled = old.generation.is_room_filled(now)?;
            let news = filled || old.generation.has_news(&stat);
            if filled || old.seen != (stat.size, stat.modified) {
                (old.seen, old.quiet) = ((stat.size, stat.modified), now);
            }
            let archive = old.generation.archive();
            let (is_archive, is_cut) = (archive.is_some(), archive.is_some_and(Archive::is_cut));
            let is_complete = old.complete || archive.is_some_and(Archive::is_whole);
            let quiet_at = if is_complete { now } else { old.quiet + QUIET };
            let awaits = self.recipe.is_container() && old.generation.next().awaits_last_part();
            let in_line = awaits && old.is_over != Some(old.seen);
            let rest = in_line || old.generation.has_rest(stat.size);
            let last = rest && now >= quiet_at && (is_complete || !is_archive);
            // Its last lines are a record when no other can belong to them.
            let group_ends = old.generation.group_ends(now, &self.recipe);
            let is_over = group_ends.is_some_and(|at| at <= now);
            if news || last || is_over {
                let cost = old.generation.cost(&self.recipe, stat.size);
                let ending = if last { Ending::Last } else { Ending::of(news, is_over) };
                self.pick = Some(Box::new(Pick::Old { index, ending, stat }));
                return Ok(Ok(Todo::Read { cost }));
            }
            if !old.archives.is_empty() {
                self.open_archives_after(index, now)?;
                continue;
            }
            let is_unfinished = (rest || is_cut) && now < quiet_at;
            // An archive ends when its program does.
            if is_unfinished && (is_archive || now < self.olds[index].since + HOLD) {
                until.block(group_ends.map_or(quiet_at, |ends| ends.min(quiet_at)));
                if group_ends.is_some() {
                    // What every rotation leaves in its file must not make younger lines overtake it.
                    return Ok(Err(until));
                }
            }
            let keep = match (is_archive && is_complete, stat.links) {
                (true, _) => Duration::ZERO,
                (false, 0) => KEEP_NAMELESS,
                (false, _) => KEEP_NAMED,
            };
            let quiet = self.olds[index].quiet;
            let is_wanted = self.seat.is_short() && !is_archive && stat.links > 0 && now >= quiet + QUIET;
            let is_found = is_wanted && self.is_rotated(self.olds[index].generation.inode());
            let keep = if is_found { QUIET } else { keep };
            let mut next = if is_unfinished { quiet_at } else { quiet + keep };
            if !is_unfinished && now >= next {
                if self.olds[index].generation.stream().is_settled() {
                    self.let_go(index, &stat, now)?;
                    continue;
                }
                next = now + SETTLE_LOOK;
            }
            until.at(next.min(now + OLD_LOOK));
            index += 1;
        }
        Ok(Err(until))
    }
}

/// When to poll again.
#[derive(Debug, Default)]
pub(crate) struct Until {
    pub(crate) next: Option<Instant>,
    /// Until then the live file must not be read.
    pub(crate) blocked: Option<Instant>,
}

impl Until {
    pub(crate) fn at(&mut self, when: Instant) {
        self.next = Some(self.next.map_or(when, |next| next.min(when)));
    }

    fn block(&mut self, when: Instant) {
        self.blocked = Some(self.blocked.map_or(when, |blocked| blocked.min(when)));
    }
}
