//! The threads of the watchers: who works where, which of them hangs, and how many were given up.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actix_rt::{Arbiter, ArbiterHandle};

use crate::tail::{Pulse, Stuck};

/// A step reads 256 KiB at most. A disk that needs longer for that holds up every file of the thread.
const PATIENCE: Duration = Duration::from_secs(10);
/// It is given up when it still hangs this long after that was seen first: the whole process may have been stopped, and then
/// the step goes on with it.
const CONFIRM: Duration = Duration::from_millis(500);
/// More threads do not help: reading is cheap, and librdkafka has threads of its own.
const SHARED: usize = 4;
/// A directory in which more threads than this hang gets no other until one of them is back: a mount that is dead for days
/// must not collect them.
const MOST_STUCK: usize = 4;
/// A thread that no watcher has needed for this long ends.
const UNUSED: Duration = Duration::from_secs(600);

/// A thread that watchers run on.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where to start them.
    pub arbiter: ArbiterHandle,
    /// What it is at.
    pub pulse: Arc<Pulse>,
    /// When it was first seen to hang.
    suspected: Option<Instant>,
}

/// All threads of watchers.
#[derive(Debug, Default)]
pub struct Crew {
    shared: Vec<Post>,
    next: usize,
    /// A directory in which a step hung has a thread of its own, so that it holds up nothing else again; and since when.
    apart: HashMap<PathBuf, (Post, Instant)>,
    /// What was given up, by directory, for as long as the thread is not back.
    stuck: Vec<(PathBuf, Weak<Pulse>)>,
}

// === impl Crew ===

impl Crew {
    /// Where the watcher of `path` works from now on.
    pub fn place(&mut self, path: &Path) -> Post {
        if let Some((post, since)) = self.apart.get_mut(directory(path)) {
            *since = Instant::now();
            return post.clone();
        }
        if self.shared.is_empty() {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            self.shared = (0..cores.min(SHARED)).map(|_| Post::new()).collect();
        }
        self.next += 1;
        self.shared[self.next % self.shared.len()].clone()
    }

    /// The threads that hang and are given up now, each with its step. Others take their places.
    pub fn give_up(&mut self, now: Instant) -> Vec<(Arc<Pulse>, Stuck)> {
        self.stuck.retain(|(_, pulse)| pulse.strong_count() > 0);
        let mut given_up = Vec::new();
        for post in &mut self.shared {
            given_up.extend(post.give_up(now));
        }
        for (directory, (post, since)) in &mut self.apart {
            let stuck = self.stuck.iter().filter(|(of, _)| of == directory).count();
            if stuck < MOST_STUCK {
                given_up.extend(post.give_up(now).inspect(|_| *since = now));
            }
        }
        self.apart.retain(|_, (post, since)| {
            // The one count is the post's own.
            let is_used = Arc::strong_count(&post.pulse) > 1 || now.saturating_duration_since(*since) < UNUSED;
            if !is_used {
                post.arbiter.stop();
            }
            is_used
        });
        given_up
    }

    /// The step that made a thread hang was one of the watcher of `path`: its directory gets a thread of its own.
    pub fn set_apart(&mut self, path: &Path, pulse: &Arc<Pulse>) {
        let directory = directory(path).to_owned();
        self.stuck.push((directory.clone(), Arc::downgrade(pulse)));
        self.apart
            .entry(directory)
            .or_insert_with(|| (Post::new(), Instant::now()));
    }

    /// Threads that were given up and are not back.
    pub fn stuck(&self) -> usize {
        self.stuck.iter().filter(|(_, pulse)| pulse.strong_count() > 0).count()
    }
}

// === impl Post ===

impl Post {
    fn new() -> Self {
        Self {
            arbiter: Arbiter::new().handle(),
            pulse: Arc::default(),
            suspected: None,
        }
    }

    fn give_up(&mut self, now: Instant) -> Option<(Arc<Pulse>, Stuck)> {
        let Some(stuck) = self.pulse.stuck(now, PATIENCE) else {
            self.suspected = None;
            return None;
        };
        let suspected = *self.suspected.get_or_insert(now);
        if now.saturating_duration_since(suspected) < CONFIRM {
            return None;
        }
        let hung = std::mem::replace(self, Self::new());
        hung.pulse.give_up();
        // Heard when it is back.
        hung.arbiter.stop();
        Some((hung.pulse, stuck))
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[actix::test]
    async fn a_directory_that_hangs_is_set_apart_and_collects_no_threads() {
        let mut crew = Crew::default();
        let (dead, other) = (Path::new("/dead/a.log"), Path::new("/fine/a.log"));
        let mut hung = crew.place(dead).pulse;
        let mut held = Vec::new();
        for times in 1.. {
            // As a step does that never ends.
            std::mem::forget(hung.step(times));
            let later = Instant::now() + PATIENCE;
            assert!(crew.give_up(later).is_empty(), "the process may have been stopped");
            let given_up = crew.give_up(later + CONFIRM);
            if given_up.is_empty() {
                assert_eq!(crew.stuck(), MOST_STUCK);
                break;
            }
            assert_eq!(given_up[0].1.whose, times);
            assert!(hung.is_given_up());
            crew.set_apart(dead, &hung);
            held.push(std::mem::replace(&mut hung, crew.place(dead).pulse));
            assert!(
                (0..SHARED).all(|_| !Arc::ptr_eq(&crew.place(other).pulse, &hung)),
                "set apart"
            );
            drop(given_up);
        }
        // One is back: the place is given to another thread again.
        held.pop();
        let later = Instant::now() + PATIENCE;
        assert!(crew.give_up(later).is_empty());
        assert_eq!(crew.give_up(later + CONFIRM).len(), 1);
    }
}
