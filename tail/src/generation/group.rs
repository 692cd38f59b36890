//! The lines at the end of a file of which it is not known whether more belong to them.

use std::time::Instant;

use super::Generation;
use crate::filter::{Ends, Sieve};
use crate::frame::Framed;
use crate::position::Mark;
use crate::shape::Recipe;

/// What is expected after what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Anything.
    Open,
    /// Anything came, but no line that belongs to the record that waited long enough for one, if it still waits.
    Waited,
    /// No line that belongs to the last record: one that could waited long enough for it.
    Group,
    /// Nothing: a line without its end comes, too.
    Last,
}

impl Ending {
    /// Of a file with something to read, or a group that waited long enough.
    pub(crate) fn of(has_news: bool, is_over: bool) -> Self {
        match (has_news, is_over) {
            (true, true) => Self::Waited,
            (true, false) => Self::Open,
            (false, _) => Self::Group,
        }
    }
}

/// Whole lines that may be a part of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// The file offset behind them.
    end: u64,
    /// Since when it is there.
    since: Option<Instant>,
}

impl Group {
    /// Of a group that a limit ended at a position: what that cut off may follow.
    pub(super) fn behind_cut(mark: &Mark) -> Option<Self> {
        let (end, since) = (mark.offset, None);
        mark.is_behind_cut().then_some(Self { end, since })
    }

    /// What ends there now; it waits for as long as nothing was added to it.
    pub(super) fn seen(before: Option<Self>, end: Option<u64>) -> Option<Self> {
        let end = end?;
        Some(
            before
                .filter(|group| group.end == end)
                .unwrap_or(Self { end, since: None }),
        )
    }
}

impl Sieve {
    /// The same for data after which so much is expected.
    pub(crate) fn ending(self, ends: Ends) -> Self {
        Self { ends, ..self }
    }

    /// The same for records of a container that take no more memory than that.
    pub(crate) fn within(self, space: usize) -> Self {
        let containers = self.containers.map(|containers| containers.within(space));
        Self { containers, ..self }
    }
}

impl Generation {
    /// Says once that its lines are not all as a container runtime writes them.
    pub(super) fn say_if_odd(&mut self, framed: &Framed) {
        if framed.is_odd && !std::mem::replace(&mut self.is_odd, true) {
            log::warn!(path:% = self.stream.record().path.display(), log = self.stream.key().log,
                help = "set `input` only for logs that a container runtime writes";
                "lines that are neither CRI nor Docker JSON ship as they are");
        }
    }

    /// Which group ends in data from `start` of the file to its end.
    pub(super) fn ends(&self, ending: Ending, start: u64) -> Ends {
        let waited = self.group.as_ref().and_then(|group| group.end.checked_sub(start));
        match ending {
            Ending::Open => Ends::None,
            Ending::Waited => waited.map_or(Ends::None, |end| usize::try_from(end).map_or(Ends::None, Ends::At)),
            Ending::Group | Ending::Last => Ends::Any,
        }
    }

    /// Whether lines wait for one more.
    pub(crate) fn has_group(&self) -> bool {
        self.group.is_some()
    }

    /// When those lines are a record, if none comes before that belongs to them.
    pub(crate) fn group_ends(&mut self, now: Instant, recipe: &Recipe) -> Option<Instant> {
        let Some(timeout) = recipe.group_timeout() else {
            self.group = None;
            return None;
        };
        let group = self.group.as_mut()?;
        let ends = *group.since.get_or_insert(now) + timeout;
        if group.end > self.next.offset || ends > now {
            return Some(ends);
        }
        // What a limit cut off waited for as long. What is there already came before that.
        self.group = None;
        if self.largest == self.next.offset {
            self.next.forget_cut();
        }
        None
    }

    /// Takes down up to where what was read may have more to come: behind the lines that wait, or where a limit cut a group.
    pub(super) fn saw_group(&mut self, open: Option<u64>) {
        let cut = Group::behind_cut(&self.next).map(|group| group.end);
        let before = self.group.take().map(|group| *group);
        self.group = Group::seen(before, open.or(cut)).map(Box::new);
    }

    /// What was seen and not read may be other records now.
    pub(crate) fn look_anew(&mut self) {
        (self.looked, self.looked_modified, self.group) = (self.next.offset, 0, None);
    }
}
