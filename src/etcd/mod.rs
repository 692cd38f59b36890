//! Entries kept in etcd: followed live, and mirrored into the state directory, from where they are read with the settings.
//!
//! The mirror is what makes an outage harmless, also across a restart: what etcd held last stays in force. A value that is
//! not valid does not get into it, so the last good one of its key stays, too.

mod api;
mod mirror;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use actix::Recipient;
use logcatch_actors::{Board, Reload};
use logcatch_settings::EtcdSettings;

use self::api::{Client, EtcdError, Pair};
use self::mirror::Mirror;

/// The first and the longest pause before etcd is tried again: an outage passes, and costs an attempt a while.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Follows one etcd at a time.
pub struct Follower(Arc<Shared>);

struct Shared {
    mirror: Mutex<Mirror>,
    /// Counts changes of what is followed: a thread of an earlier one ends, and changes nothing any more.
    generation: AtomicU64,
    followed: Mutex<Option<EtcdSettings>>,
    told: OnceLock<(Recipient<Reload>, Arc<Board>)>,
}

impl Follower {
    /// Follows none yet. `settings` is the settings file, `state` the state directory.
    pub fn new(settings: &Path, state: &Path) -> Self {
        Self(Arc::new(Shared {
            mirror: Mutex::new(Mirror::new(settings, state)),
            generation: AtomicU64::new(0),
            followed: Mutex::default(),
            told: OnceLock::new(),
        }))
    }

    /// Who reads the settings again when the mirror changed, and where it shows how etcd stands.
    pub fn tell(&self, config: Recipient<Reload>, board: Arc<Board>) {
        // Told once.
        let _ = self.0.told.set((config, board));
    }

    /// Follows this etcd from now on, or none.
    pub fn follow(&self, etcd: Option<&EtcdSettings>) {
        let mut followed = lock(&self.0.followed);
        if followed.as_ref() == etcd {
            return;
        }
        *followed = etcd.cloned();
        let generation = self.0.generation.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.note(Vec::new());
        let Some(etcd) = etcd.cloned() else { return };
        let shared = Arc::clone(&self.0);
        let started = thread::Builder::new()
            .name("etcd".into())
            .spawn(move || shared.follow(&etcd, generation));
        if let Err(error) = started {
            log::error!(cause:% = error; "cannot start a thread: etcd is not followed");
        }
    }
}

impl Shared {
    fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::SeqCst) == generation
    }

    /// One server after the other, until another etcd is followed.
    fn follow(&self, etcd: &EtcdSettings, generation: u64) {
        let mut pause = PAUSES.0;
        let mut is_away = false;
        for endpoint in etcd.endpoints.iter().cycle() {
            let error = Client::new(etcd, endpoint).and_then(|client| {
                loop {
                    let (revision, values) = client.values()?;
                    if std::mem::take(&mut is_away) {
                        log::info!(endpoint; "etcd is reached again");
                    }
                    pause = PAUSES.0;
                    if !self.sync(values, generation) {
                        return Ok(());
                    }
                    client.wait_for_change(revision + 1)?;
                }
            });
            if !self.is_current(generation) {
                return;
            }
            if let Err(error) = error
                && !std::mem::replace(&mut is_away, true)
            {
                self.note(vec![format!(
                    "etcd is away, entries from it stay as they were: {error}"
                )]);
                say_away(endpoint, &error);
            }
            thread::sleep(pause);
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// False if another etcd is followed by now.
    fn sync(&self, values: Vec<Pair>, generation: u64) -> bool {
        let mut mirror = lock(&self.mirror);
        if !self.is_current(generation) {
            return false;
        }
        let has_changed = mirror.sync(values);
        let faulty = mirror.faulty().join("`, `");
        let is_faulty = !faulty.is_empty();
        self.note(Vec::from_iter(is_faulty.then(|| {
            format!("etcd holds values that are not valid, the last good ones stay in force: `{faulty}`")
        })));
        drop(mirror);
        if has_changed && let Some((config, _)) = self.told.get() {
            config.do_send(Reload);
        }
        true
    }

    fn note(&self, notes: Vec<String>) {
        if let Some((_, board)) = self.told.get() {
            board.note("etcd", notes);
        }
    }
}

fn say_away(endpoint: &str, error: &EtcdError) {
    log::warn!(endpoint, cause:% = error,
        help = "entries from etcd stay as they were; see whether etcd runs, and what [etcd] says";
        "cannot reach etcd");
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What is in there is changed in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where keys are mirrored.
fn mirror_directory(state: &Path) -> PathBuf {
    logcatch_settings::etcd_mirror(state)
}
