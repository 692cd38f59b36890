//! The watcher of one path: the file that is there now, and its earlier generations, oldest first.
//!
//! It is polled: [`Watcher::poll`] says what to do next, [`Watcher::read`] does it. It knows no clock, no runtime and
//! no Kafka, and never waits.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use thin_vec::ThinVec;
use thiserror::Error;

use crate::batch::{Batch, hand_out};
use crate::claims::Claims;
pub use crate::condition::Condition;
use crate::copies::{Adrift, Suspect};
use crate::file::is_exhausted;
use crate::generation::{Ending, Generation, Reading, STEP};
use crate::handles::{Handles, Seat, Wake};
use crate::identity::Stat;
use crate::inspect::{Inspections, is_undecided};
use crate::lease::Lease;
use crate::listings::Listings;
use crate::looks::Looker;
use crate::olds::Old;
use crate::positions::Positions;
use crate::shape::{Recipe, Shape};
use crate::siblings::Rotated;
use crate::spares::Spares;
use crate::spec::Spec;
use crate::stream::Stream;
use crate::turns::Closed;
use crate::wrong::{Wrong, does};

/// A rotated file without growth for this long is taken as finished: its last line ships, and its successor waits no more.
pub const QUIET: Duration = Duration::from_secs(5);
/// The handle of a rotated file is kept this long after its last growth; later growth is found by looking.
pub(crate) const KEEP_NAMED: Duration = Duration::from_secs(60);
/// A deleted file can only be read by its handle, so that is kept longer.
pub(crate) const KEEP_NAMELESS: Duration = Duration::from_secs(300);
/// A path that cannot be read for a reason that no notification ends is looked at again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// A rotated file whose handle is open is looked at this often: its name is no longer one that is watched.
pub(crate) const OLD_LOOK: Duration = Duration::from_secs(1);
/// Room at the end of a file is looked at this often: what is written to a mapping notifies nobody.
const ROOM_LOOK: Duration = Duration::from_secs(1);
/// A generation that could be let go but for batches that Kafka has not acknowledged is looked at again after this.
pub(crate) const SETTLE_LOOK: Duration = Duration::from_secs(1);
/// How long the record of a rotated file that has no name any more is kept, in running time.
pub(crate) const KEEP_ABSENT: Duration = Duration::from_secs(24 * 3600);

/// What to watch.
#[derive(Debug, Clone)]
pub struct WatchSpec {
    /// Name of the settings entry.
    pub log: Arc<str>,
    /// The path.
    pub path: Arc<Path>,
    /// Longer lines are split; bytes.
    pub max_line: usize,
    /// How its bytes become records.
    pub shape: Shape,
    /// A file that is there at first sight starts at its end.
    pub from_end: bool,
    /// Where its rotated generations are.
    pub rotated: Rotated,
    /// A file that was last modified before this when first seen starts at its end; nanoseconds since the epoch.
    pub ignore_before: Option<i64>,
}

/// What all watchers share.
#[derive(Debug, Clone)]
pub struct World {
    /// All positions.
    pub positions: Arc<Positions>,
    /// Who reads which file.
    pub claims: Arc<Claims>,
    /// How many files may be open.
    pub handles: Arc<Handles>,
    /// What is in the directories that are looked at.
    pub listings: Arc<Listings>,
    /// Buffers that were read into.
    pub spares: Arc<Spares>,
    /// Whether it still may.
    pub lease: Lease,
}

impl World {
    /// Many watchers came: the room that is left between them goes.
    pub fn pack(&self) {
        self.positions.pack();
        self.claims.pack();
        self.handles.pack();
    }
}

/// What a watcher wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// [`Watcher::read`] with a budget of so many bytes.
    Read {
        /// Bytes of memory the read may take.
        cost: usize,
    },
    /// Positions must be on disk before any line ships: see [`Positions::when_saved`], then [`Watcher::saved`].
    Save {
        /// For [`Watcher::saved`].
        order: u64,
    },
    /// Nothing until it is woken, or until then.
    Wait {
        /// When to poll again at the latest.
        until: Option<Instant>,
    },
}

/// A read that failed: the watcher is restarted from its saved position.
#[derive(Debug, Error)]
#[error("cannot read `{path}`")]
pub struct WatchError {
    /// The watched path.
    pub path: PathBuf,
    /// What the system answered.
    #[source]
    pub source: io::Error,
}

/// Which generation [`Watcher::read`] reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    Old { index: usize, ending: Ending, stat: Stat },
    Live { ending: Ending, stat: Stat },
}

/// The watcher of one path.
#[derive(Debug)]
pub struct Watcher {
    pub(crate) spec: Spec,
    pub(crate) world: Arc<World>,
    pub(crate) recipe: Recipe,
    pub(crate) live: Option<Generation>,
    /// The live file while others have its handle.
    pub(crate) closed: Option<Box<Closed>>,
    pub(crate) seat: Seat,
    looker: Looker,
    /// The file at the path, while it is taken for a copy.
    pub(crate) suspect: Option<Box<Suspect>>,
    pub(crate) adrift: ThinVec<Adrift>,
    pub(crate) olds: ThinVec<Old>,
    /// Rotated generations that were read to their end and whose handle is closed.
    pub(crate) parked: ThinVec<Arc<Stream>>,
    /// Generations that no file is known to hold now. They claim nothing.
    pub(crate) missing: ThinVec<Arc<Stream>>,
    pub(crate) order: u64,
    /// Whether the path must be looked at.
    pub(crate) look: bool,
    /// Whether directories must be listed for parked generations.
    pub(crate) look_around: bool,
    pub(crate) looked_around: Option<Instant>,
    /// Whether generations without a file are to be looked for in archives.
    pub(crate) look_into: bool,
    pub(crate) inspections: Inspections,
    pub(crate) resumed: bool,
    /// The first positions of generations up to this one are on disk.
    saved: u64,
    /// When to look at the path again though nothing happened.
    pub(crate) look_again: Option<Instant>,
    pub(crate) pick: Option<Box<Pick>>,
    /// What a truncation took away in the file, and memory still had.
    pub(crate) rescued: Option<Box<Batch>>,
    pub(crate) condition: Condition,
    /// For [`Watcher::take_read`].
    pub(crate) read_bytes: u64,
}

/// Bytes: one a file, of which there may be tens of thousands. What few files need is in a box.
const _: () = assert!(size_of::<Watcher>() <= 616);

impl Watcher {
    /// A watcher of `spec.path`; nothing is opened before the first poll. `wake` asks for one, for the sake of a
    /// handle, or of a file that may be a copy of this one.
    #[must_use]
    pub fn new(spec: WatchSpec, world: impl Into<Arc<World>>, wake: Wake) -> Self {
        let world = world.into();
        Self {
            looker: world.claims.looks.watcher(&spec.log, &spec.path, Arc::clone(&wake)),
            seat: world.handles.seat(wake),
            recipe: Recipe::new(spec.max_line, &spec.shape),
            spec: Spec::of(spec),
            world,
            live: None,
            closed: None,
            suspect: None,
            adrift: ThinVec::new(),
            olds: ThinVec::new(),
            parked: ThinVec::new(),
            missing: ThinVec::new(),
            order: 0,
            look: true,
            look_around: false,
            looked_around: None,
            look_into: false,
            inspections: Inspections::new(),
            resumed: false,
            saved: 0,
            look_again: None,
            pick: None,
            rescued: None,
            condition: Condition::Absent,
            read_bytes: 0,
        }
    }

    /// Something happened to the path or its directory: the next poll looks.
    pub fn wake(&mut self) {
        self.look = true;
    }

    /// The slow reconcile: the next poll also looks for growth of rotated generations whose handle is closed.
    pub fn reconcile(&mut self) {
        self.look = true;
        self.look_around = true;
    }

    /// Lines longer than this, in bytes, are split from now on; what is not read yet becomes records of this shape.
    pub fn set_shape(&mut self, max_line: usize, shape: &Shape) {
        self.recipe = Recipe::new(max_line, shape);
        self.look_anew();
        if does(Wrong::DuplicateAfterReload) {
            self.live.iter_mut().for_each(Generation::begin_again);
        }
    }

    /// Rotated generations are looked for there from now on.
    pub fn set_rotated(&mut self, rotated: Rotated) {
        self.spec.set_rotated(rotated);
    }

    /// Positions are on disk, as [`Todo::Save`] asked for.
    pub fn saved(&mut self, order: u64) {
        self.saved = self.saved.max(order);
    }

    /// Why the path is not read, if it is not.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// File bytes and batches handed over and not settled, all generations.
    #[must_use]
    pub fn in_flight(&self) -> (u64, usize) {
        let each = self.streams().map(|stream| (stream.in_flight(), stream.batches()));
        each.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Batches that are settled, behind one that is not: of the generation that has most.
    #[must_use]
    pub fn ahead(&self) -> usize {
        self.streams().map(|stream| stream.ahead()).max().unwrap_or(0)
    }

    fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        let closed = self.closed.iter().map(|closed| closed.paused.stream());
        self.generations().map(Generation::stream).chain(closed)
    }

    /// Whether nothing is open, followed or remembered: the watcher can go when its path is gone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_live = self.live.is_some() || self.closed.is_some() || self.suspect.is_some();
        let follows =
            !self.adrift.is_empty() || !self.olds.is_empty() || !self.parked.is_empty() || !self.missing.is_empty();
        self.resumed && !is_live && !follows
    }

    pub(crate) fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.olds.iter().map(|old| &old.generation).chain(&self.live)
    }

    /// What to do next.
    ///
    /// # Errors
    /// When a file or directory that is there cannot be looked at.
    pub fn poll(&mut self, now: Instant) -> Result<Todo, WatchError> {
        self.inspections.now = now;
        self.inspections.again = None;
        let todo = match self.poll_inner(now) {
            // Between two steps through an archive the other watchers have their turn, as between two reads.
            Err(error) if is_undecided(&error) => {
                // What was being looked at is not forgotten.
                self.look = true;
                let later = self.inspections.again.map(|at| Todo::Wait { until: Some(at) });
                Ok(later.unwrap_or(Todo::Read { cost: STEP }))
            }
            Err(error) if is_exhausted(&error) => Ok(self.out_of_handles(&error, now)),
            todo => todo,
        };
        self.seat.report(matches!(todo, Ok(Todo::Wait { .. })), self.olds.len());
        todo.map_err(|source| WatchError {
            path: self.spec.path.to_path_buf(),
            source,
        })
    }

    /// Reads what [`Watcher::poll`] picked, within the budget it was granted. None when there was nothing whole.
    ///
    /// # Errors
    /// When the file cannot be read; nothing is passed over.
    pub fn read(&mut self, now: Instant, budget: usize) -> Result<Option<Batch>, WatchError> {
        // What is not decided, or no handle was left for, is found again by the next poll.
        let read = self.read_inner(now, budget);
        let passes = |error: &io::Error| is_undecided(error) || is_exhausted(error);
        read.or_else(|error| passes(&error).then_some(None).ok_or(error))
            .map_err(|source| WatchError {
                path: self.spec.path.to_path_buf(),
                source,
            })
    }

    fn poll_inner(&mut self, now: Instant) -> io::Result<Todo> {
        self.pick = None;
        if self.looker.take_asked() {
            self.reconcile();
        }
        let looks = self.look || !self.resumed || self.look_again.is_some_and(|at| at <= now);
        self.looker.begin_if(looks, &self.world.claims.looks);
        self.look_at_path(now)?;
        let look_around = std::mem::take(&mut self.look_around);
        if look_around {
            self.look_for_parked(now)?;
        }
        self.settle_adrift(now)?;
        self.look_for_beginning(look_around, now)?;
        loop {
            // Also while older ones wait to be read, or positions to be saved: the copy may be gone by then.
            if let Some(live) = self.live.as_mut().filter(|live| live.next().offset > 0) {
                let stat = live.stat()?;
                if live.was_cut(&stat)? {
                    self.truncated(now)?;
                    continue;
                }
            }
            if self.saved < self.order {
                return Ok(Todo::Save { order: self.order });
            }
            if let Some(batch) = &self.rescued {
                let cost = batch.buffer.len();
                return Ok(Todo::Read { cost });
            }
            // How far the live file goes is asked before the old ones are read to their end: a writer that moved on
            // to the new file wrote everything that is in the old one before that.
            let live = self.live.as_mut().map(Generation::stat).transpose()?;
            if does(Wrong::SuccessorReadFirst)
                && let (Some(generation), Some(stat)) = (&mut self.live, live)
                && generation.has_news(&stat)
            {
                let ending = Ending::Open;
                self.pick = Some(Box::new(Pick::Live { ending, stat }));
                let cost = generation.cost(&self.recipe, stat.size);
                return Ok(Todo::Read { cost });
            }
            let mut until = match self.pick_old(now)? {
                Ok(todo) => return Ok(todo),
                Err(wait) => wait,
            };
            if let Some(blocked) = until.blocked {
                return Ok(Todo::Wait { until: Some(blocked) });
            }
            self.look_again = None;
            if !self.adrift.is_empty() {
                until.at(now + OLD_LOOK);
            }
            let waits_for_others = match self.condition {
                // For the other watcher to take it, or for it to be finished.
                Condition::CopyOf(_) if !self.suspect.as_deref().is_some_and(Suspect::is_decided) => Some(OLD_LOOK),
                Condition::SharedWith(_) | Condition::Refused { .. } | Condition::CopyOf(_) => Some(LOOK_AGAIN),
                _ if self.closed.as_ref().is_some_and(|closed| closed.is_lost) => Some(LOOK_AGAIN),
                _ => None,
            };
            if let Some(pause) = waits_for_others {
                // Nothing tells when another watcher gives the file up, or when rights change on the way to it.
                let at = now + pause;
                self.look_again = Some(at);
                until.at(at);
            }
            let (Some(generation), Some(stat)) = (self.live.as_mut(), live) else {
                let hides_copies = |closed: &Closed| closed.hides_copies(look_around);
                self.looker.end_unless(self.closed.as_deref().is_some_and(hides_copies));
                if self.look_into {
                    self.look_into_archives(now)?;
                    continue;
                }
                return Ok(Todo::Wait { until: until.next });
            };
            if generation.was_cut(&stat)? {
                self.truncated(now)?;
                continue;
            }
            // Copies of an empty file in which nothing was ever seen are looked for at times only.
            self.looker
                .end_unless(stat.size == 0 && generation.is_untouched() && !look_around);
            let has_news = generation.is_room_filled(now)? || generation.has_news(&stat);
            let group_ends = generation.group_ends(now, &self.recipe);
            let is_over = group_ends.is_some_and(|at| at <= now);
            if has_news || is_over {
                let cost = generation.cost(&self.recipe, stat.size);
                let ending = Ending::of(has_news, is_over);
                self.pick = Some(Box::new(Pick::Live { ending, stat }));
                return Ok(Todo::Read { cost });
            }
            group_ends.into_iter().for_each(|at| until.at(at));
            if self.look_into {
                self.look_into_archives(now)?;
                continue;
            }
            if generation.has_room() {
                until.at(now + ROOM_LOOK);
            }
            return Ok(Todo::Wait { until: until.next });
        }
    }

    fn read_inner(&mut self, now: Instant, budget: usize) -> io::Result<Option<Batch>> {
        if let Some(batch) = self.rescued.take() {
            self.read_bytes += batch.bytes;
            return Ok(Some(*batch));
        }
        let reading = match self.pick.take().map(|pick| *pick) {
            None => return Ok(None),
            Some(Pick::Live { ending, stat }) => {
                let Some(generation) = self.live.as_mut() else {
                    return Ok(None);
                };
                let reading = generation.read(&self.recipe, &stat, (budget, &self.world.spares), ending)?;
                if let Reading::Chunk(chunk) = reading {
                    self.read_bytes += chunk.lines_bytes();
                    return Ok(hand_out(generation, &stat, *chunk));
                }
                reading
            }
            Some(Pick::Old { index, ending, stat }) => {
                let Some(old) = self.olds.get_mut(index) else {
                    return Ok(None);
                };
                let reading = old
                    .generation
                    .read(&self.recipe, &stat, (budget, &self.world.spares), ending)?;
                if let Reading::Chunk(chunk) = reading {
                    self.read_bytes += chunk.lines_bytes();
                    return Ok(hand_out(&mut old.generation, &stat, *chunk));
                }
                match reading {
                    Reading::Rewritten => self.lost_old(index, now)?,
                    // Once more it would be the same, for ever.
                    Reading::Nothing if ending == Ending::Last && !old.generation.has_rest(stat.size) => {
                        old.is_over = Some((stat.size, stat.modified));
                    }
                    _ => {}
                }
                return Ok(None);
            }
        };
        if matches!(reading, Reading::Rewritten) {
            self.truncated(now)?;
        }
        Ok(None)
    }

    /// The watched path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.spec.path
    }
}
