//! How many log files are open at once, and whose turn it is when there are more files than handles.
//!
//! A live file is held open by a watcher that has a turn. When none is left, others wait in a queue, and holders are
//! asked for theirs: those that rest first, least recently active first, then those that held theirs for a while. A
//! generation that was renamed or deleted keeps its handle, because nothing else may lead to it; it counts.
//!
//! Looking at a file takes no turn: it opens it for a moment only.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use slab::Slab;

use crate::packed::pack;

/// A file that has more to read keeps its handle this long while others wait: opening it again costs some 20 us, which
/// is nothing beside it, and with a hundred files for each handle every one still has its turn within a minute.
pub const HOLD: Duration = Duration::from_millis(500);
/// Without a setting; idle files cost a handle each and nothing else, and systems allow this many.
const DEFAULT: u64 = 65_536;
/// Of what the process may open, one part in so many is left to sockets, the store and directories,
const RESERVED_PART: u64 = 5;
/// and so many at the least: an idle service with one broker has some 40 open.
const RESERVED: u64 = 64;
/// Handles of the limit that are kept for looks, one for each thread that reads.
const LOOKS: usize = 4;
/// That files wait is said again after this.
const SAY_AGAIN: Duration = Duration::from_secs(600);

/// Wakes a watcher: it has a turn now, or is asked for its own.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The handles of all watchers.
#[derive(Debug)]
pub struct Handles {
    state: Mutex<State>,
    /// How many are wanted and not there, or asked for: so that a watcher can tell at no cost that there are enough.
    missing: AtomicUsize,
}

#[derive(Debug)]
struct State {
    limit: usize,
    /// Turns given, and handles of rotated generations.
    open: usize,
    /// Counts up with each file that comes to rest.
    stamp: u64,
    members: Slab<Member>,
    /// Holders that have nothing to read, least recently active first.
    resting: BTreeMap<u64, usize>,
    /// Holders that have, by when they got their turn.
    reading: BTreeSet<(Instant, usize)>,
    /// Holders that were asked for their turn and have not given it up yet, by when they got it.
    asked: BTreeSet<(Instant, usize)>,
    waiting: VecDeque<usize>,
    /// When it was last said that files wait, and that the system has no handle left.
    said: [Option<Instant>; 2],
}

struct Member {
    wake: Wake,
    turn: Turn,
    /// Handles of rotated generations.
    rotated: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    None,
    Waiting,
    /// Not taken up yet.
    Given,
    Reading(Instant),
    Resting(u64, Instant),
    Asked(Instant),
}

/// One watcher's part of the handles.
#[derive(Debug)]
pub struct Seat {
    handles: Arc<Handles>,
    id: usize,
    /// What was reported last, so that nothing is locked when nothing changed.
    rotated: usize,
    has_turn: bool,
    waits: bool,
    rests: bool,
}

// === impl Handles ===

/// How many files may be held open, looks left out: what is `wanted`, or 65536, and no more than what the process may
/// open leaves room for.
#[must_use]
pub fn open_files(wanted: Option<u64>) -> usize {
    let room = room();
    if let Some(wanted) = wanted.filter(|wanted| *wanted > room) {
        log::warn!(wanted, room, help = "raise the limit of the process, as with LimitNOFILE= under systemd";
            "limits.open_files is more than the process may open");
    }
    let limit = wanted.map_or_else(default_open_files, |wanted| wanted.min(room));
    usize::try_from(limit)
        .unwrap_or(usize::MAX)
        .saturating_sub(LOOKS)
        .max(1)
}

/// What [`open_files`] takes if nothing is wanted.
#[must_use]
pub fn default_open_files() -> u64 {
    DEFAULT.min(room())
}

fn room() -> u64 {
    let process = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    process.saturating_sub(RESERVED.max(process / RESERVED_PART))
}

impl Handles {
    /// At most `limit` files open at once.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                limit,
                open: 0,
                stamp: 0,
                members: Slab::new(),
                resting: BTreeMap::new(),
                reading: BTreeSet::new(),
                asked: BTreeSet::new(),
                waiting: VecDeque::new(),
                said: [None; 2],
            }),
            missing: AtomicUsize::new(0),
        })
    }

    /// A place for one watcher; `wake` is called when it should poll.
    #[must_use]
    pub fn seat(self: &Arc<Self>, wake: Wake) -> Seat {
        let member = Member {
            wake,
            turn: Turn::None,
            rotated: 0,
        };
        let id = self.change(|state, _| state.members.insert(member));
        Seat {
            handles: Arc::clone(self),
            id,
            rotated: 0,
            has_turn: false,
            waits: false,
            rests: false,
        }
    }

    /// Changes the limit. Beyond a smaller one handles are given up as soon as their files allow.
    pub fn set_limit(&self, limit: usize) {
        self.change(|state, _| state.limit = limit);
    }

    /// Files that are held open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.lock().open
    }

    /// Many watchers came: the room between them goes.
    pub(crate) fn pack(&self) {
        let mut state = self.lock();
        state.members.shrink_to_fit();
        pack(&mut state.resting);
    }

    /// Files that have something to read and wait for a handle.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// To be called each second or so: asks also those that held a handle for long, and says when files wait.
    pub fn tick(&self, now: Instant) {
        if self.missing.load(Ordering::Relaxed) == 0 {
            return;
        }
        self.change(|state, wakes| {
            // Those that had something in flight when they were asked are told again, and one more is asked in case that
            // one does not answer.
            for (_, id) in state.asked.iter().filter(|(since, _)| is_long_held(*since, Some(now))) {
                state.wake(*id, wakes);
            }
            let missing = state.missing();
            if missing > 0 {
                state.ask(missing.max(state.asked.len() + 1), Some(now), wakes);
            }
            if !state.waiting.is_empty() && may_say(&mut state.said[0], now) {
                log::warn!(waiting = state.waiting.len(), open = state.open,
                    help = "raise limits.open_files, and the limit of the process if that is lower";
                    "files wait for a handle; they take turns");
            }
        });
    }

    /// The process or the system has no handle left, whatever the limit says.
    pub(crate) fn exhausted(&self, error: &io::Error, now: Instant) {
        if may_say(&mut self.lock().said[1], now) {
            log::warn!(cause:% = error, help = "raise the limit of the process or fs.file-max, or lower limits.open_files";
                "no file handle is left; waiting for one");
        }
    }

    /// Changes the state, passes free turns on, asks for those that are missing, and wakes whom that concerns.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Vec<Wake>) -> T) -> T {
        let mut wakes = Vec::new();
        let done = {
            let mut state = self.lock();
            let done = change(&mut state, &mut wakes);
            state.give(&mut wakes);
            let missing = state.missing();
            state.ask(missing, None, &mut wakes);
            self.missing
                .store(state.missing() + state.asked.len(), Ordering::Relaxed);
            done
        };
        wakes.iter().for_each(|wake| wake());
        done
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Handles that are wanted, or beyond the limit.
    fn missing(&self) -> usize {
        self.waiting.len() + self.open.saturating_sub(self.limit)
    }

    fn set(&mut self, id: usize, turn: Turn) {
        let Some(member) = self.members.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut member.turn, turn);
        match before {
            Turn::None | Turn::Given => {}
            Turn::Waiting if self.waiting.front() == Some(&id) => drop(self.waiting.pop_front()),
            Turn::Waiting => self.waiting.retain(|other| *other != id),
            Turn::Reading(since) => drop(self.reading.remove(&(since, id))),
            Turn::Resting(stamp, _) => drop(self.resting.remove(&stamp)),
            Turn::Asked(since) => drop(self.asked.remove(&(since, id))),
        }
        match turn {
            Turn::None | Turn::Given => {}
            Turn::Waiting => self.waiting.push_back(id),
            Turn::Reading(since) => drop(self.reading.insert((since, id))),
            Turn::Resting(stamp, _) => drop(self.resting.insert(stamp, id)),
            Turn::Asked(since) => drop(self.asked.insert((since, id))),
        }
        self.open += usize::from(turn.is_held());
        self.open -= usize::from(before.is_held());
    }

    fn turn(&self, id: usize) -> Turn {
        self.members.get(id).map_or(Turn::None, |member| member.turn)
    }

    fn rest(&mut self, id: usize, since: Instant) {
        self.stamp += 1;
        self.set(id, Turn::Resting(self.stamp, since));
    }

    fn wake(&self, id: usize, wakes: &mut Vec<Wake>) {
        wakes.extend(self.members.get(id).map(|member| Arc::clone(&member.wake)));
    }

    fn give(&mut self, wakes: &mut Vec<Wake>) {
        while self.open < self.limit
            && let Some(id) = self.waiting.front().copied()
        {
            self.set(id, Turn::Given);
            self.wake(id, wakes);
        }
    }

    /// Asks holders until so many are asked: those that rest, and with `now` those that held theirs for a while.
    fn ask(&mut self, enough: usize, now: Option<Instant>, wakes: &mut Vec<Wake>) {
        while self.asked.len() < enough {
            let resting = self.resting.first_key_value().map(|(_, id)| *id);
            let reading = self.reading.first().filter(|(since, _)| is_long_held(*since, now));
            let Some(id) = resting.or(reading.map(|(_, id)| *id)) else {
                return;
            };
            let Some(since) = self.turn(id).since() else { return };
            self.set(id, Turn::Asked(since));
            self.wake(id, wakes);
        }
    }
}

fn is_long_held(since: Instant, now: Option<Instant>) -> bool {
    now.is_some_and(|now| now.saturating_duration_since(since) >= HOLD)
}

// === impl Turn ===

impl Turn {
    fn is_held(self) -> bool {
        !matches!(self, Turn::None | Turn::Waiting)
    }

    fn since(self) -> Option<Instant> {
        match self {
            Turn::Reading(since) | Turn::Resting(_, since) | Turn::Asked(since) => Some(since),
            Turn::None | Turn::Waiting | Turn::Given => None,
        }
    }
}

// === impl Seat ===

impl Seat {
    /// Whether the watcher may hold its live file open: a turn it has, or one that is free.
    pub fn try_take(&mut self, now: Instant) -> bool {
        if !self.has_turn {
            let id = self.id;
            self.has_turn = self.handles.change(|state, _| {
                let is_free = state.waiting.is_empty() && state.open < state.limit;
                let turn = state.turn(id);
                let has_turn = turn.is_held() || is_free;
                if has_turn && turn.since().is_none() {
                    state.set(id, Turn::Reading(now));
                }
                has_turn
            });
            self.rests = false;
            self.waits &= !self.has_turn;
        }
        self.has_turn
    }

    /// Like [`Seat::try_take`]; without a turn it waits for one, and is woken when it has it.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.try_take(now) || self.waits {
            return self.has_turn;
        }
        self.waits = true;
        let id = self.id;
        self.handles.change(|state, _| {
            if state.turn(id) == Turn::None {
                state.set(id, Turn::Waiting);
            }
        });
        // Free at once when somebody gave theirs up meanwhile; then it was woken, too.
        false
    }

    /// Gives the turn back, or waits for none any more.
    pub fn give_up(&mut self) {
        if self.has_turn || self.waits {
            let id = self.id;
            (self.has_turn, self.waits) = (false, false);
            self.handles.change(|state, _| state.set(id, Turn::None));
        }
    }

    /// Whether some file lacks a handle.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.handles.missing.load(Ordering::Relaxed) > 0
    }

    /// Whether a turn may be kept though others lack one: a file that has `news` keeps it for a while, one that is
    /// read to its end until it is asked for it, and then also for a while when not all of it is `settled`.
    #[must_use]
    pub fn may_keep(&mut self, now: Instant, news: bool, settled: bool) -> bool {
        let id = self.id;
        self.handles.change(|state, _| {
            let turn = state.turn(id);
            let Some(since) = turn.since() else { return true };
            let held = is_long_held(since, Some(now));
            let is_asked = matches!(turn, Turn::Asked(_));
            let is_missing = state.missing() > 0;
            let may_keep = !is_missing || if news { !held } else { !is_asked || !(settled || held) };
            match (may_keep && is_asked, news, settled) {
                (false, ..) => {}
                (true, true, _) => state.set(id, Turn::Reading(since)),
                // Still asked: it gives its turn up when it is settled, or has held it for a while.
                (true, false, false) if is_missing => {}
                (true, false, _) => state.rest(id, since),
            }
            may_keep
        })
    }

    /// Takes down whether the watcher has nothing to read, and how many rotated generations it holds open.
    pub fn report(&mut self, rests: bool, rotated: usize) {
        let rests = rests && self.has_turn;
        if (rests, rotated) == (self.rests, self.rotated) {
            return;
        }
        let (id, is_same) = (self.id, rests == self.rests);
        (self.rests, self.rotated) = (rests, rotated);
        self.handles.change(|state, _| {
            if let Some(member) = state.members.get_mut(id) {
                state.open = state.open + rotated - std::mem::replace(&mut member.rotated, rotated);
            }
            match state.turn(id).since() {
                Some(since) if rests && !is_same => state.rest(id, since),
                Some(since) if !rests && !is_same => state.set(id, Turn::Reading(since)),
                _ => {}
            }
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let id = self.id;
        self.handles.change(|state, _| {
            state.set(id, Turn::None);
            let member = state.members.try_remove(id);
            state.open -= member.map_or(0, |member| member.rotated);
        });
    }
}

fn may_say(said: &mut Option<Instant>, now: Instant) -> bool {
    let may = said.is_none_or(|at| now.saturating_duration_since(at) >= SAY_AGAIN);
    if may {
        *said = Some(now);
    }
    may
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("turn", &self.turn)
            .finish_non_exhaustive()
    }
}
