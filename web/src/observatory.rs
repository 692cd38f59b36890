//! Looks at the service: at most so often as it changes for an eye, however many ask; every few seconds for the history, and to
//! tell what nobody else notices. Nobody asks for rows of idle files then, so they cost nothing while no page is open.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use logcatch_actors::{Board, Event, EventKind, FileRow, Scope, words};
use logcatch_tail::Balance;
use tokio::sync::Mutex;

use crate::history::{History, Sample};
use crate::service::{Service, Snapshot};

/// From one sample of the history to the next: 180 of them.
pub const PACE: Duration = Duration::from_secs(5);
/// A look this old is good enough for who asks.
const FRESH: Duration = Duration::from_millis(500);
/// The log warns this long before rotation deletes what is not acknowledged: as the alert does.
const LOSS_AHEAD: Duration = Duration::from_secs(3600);

/// See the module.
pub struct Observatory<S> {
    service: S,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<(Instant, Arc<Snapshot>)>,
    history: History,
    sampled: Option<Instant>,
    reached_kafka: bool,
    kafka_is_up: Option<bool>,
    /// Per entry, the most that was counted. What is read again is first taken back, which a counter must not show.
    counted: HashMap<String, Balance>,
    unreachable: HashMap<String, u64>,
    /// Of these files it was said that loss is ahead.
    warned: HashSet<(String, String)>,
}

impl<S: Service> Observatory<S> {
    /// One that has not looked yet.
    pub fn new(service: S) -> Self {
        Self {
            service,
            state: Mutex::default(),
        }
    }

    /// How the service stands, half a second ago at most.
    pub async fn now(&self) -> Arc<Snapshot> {
        let mut state = self.state.lock().await;
        match &state.last {
            Some((at, snapshot)) if at.elapsed() < FRESH => Arc::clone(snapshot),
            _ => {
                let snapshot = Arc::new(self.look(&mut state, Scope::All).await);
                state.last = Some((Instant::now(), Arc::clone(&snapshot)));
                snapshot
            }
        }
    }

    /// Whoever asks next is shown a new look: settings changed what is in it.
    pub async fn forget(&self) {
        self.state.lock().await.last = None;
    }

    /// Takes a sample for the history; called every [`PACE`].
    pub async fn sample(&self) {
        let mut state = self.state.lock().await;
        let snapshot = self.look(&mut state, Scope::Behind).await;
        // Whoever asks next is shown another one: its rows are not kept until then.
        state.last.take_if(|(at, _)| at.elapsed() >= FRESH);
        let now = Instant::now();
        let elapsed = state.sampled.replace(now).map_or(PACE, |before| now - before);
        let at = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        state.history.add(&snapshot, at, elapsed);
    }

    /// The last 15 minutes.
    pub async fn history(&self) -> Vec<Sample> {
        self.state.lock().await.history.samples()
    }

    /// What happened after the event with this number.
    pub fn events(&self, after: u64) -> Vec<Event> {
        self.service.board().events().after(after)
    }

    /// The parts of the service that do not answer.
    pub async fn silent(&self) -> Vec<&'static str> {
        self.service.silent().await
    }

    async fn look(&self, state: &mut State, scope: Scope) -> Snapshot {
        let mut snapshot = self.service.look(scope).await;
        state.reached_kafka |= snapshot.stats.connected == Some(true) || snapshot.stats.last_ack.is_some();
        snapshot.reached_kafka = state.reached_kafka;
        for entry in &mut snapshot.entries {
            let most = state.counted.entry(entry.log.clone()).or_default();
            *most = entry.balance.held_at(most);
            entry.balance = *most;
        }
        state.tell(&snapshot, self.service.board());
        snapshot
    }
}

impl State {
    /// Tells what changed since the last look.
    fn tell(&mut self, snapshot: &Snapshot, board: &Board) {
        let (events, report) = (board.events(), &snapshot.report);
        // What was reached before the first look counts as up.
        let before = std::mem::replace(&mut self.kafka_is_up, report.kafka.up).or(Some(self.reached_kafka));
        match (before, report.kafka.up) {
            (Some(true), Some(false)) => {
                let cause = report.kafka.trouble.as_deref().unwrap_or("no broker answers");
                // librdkafka adds how long it tried and how often it kept silent.
                events.say(EventKind::KafkaAway, cause.split(" (after ").next().unwrap_or(cause));
            }
            (Some(false), Some(true)) => events.say(EventKind::KafkaBack, "a broker answers again"),
            _ => {}
        }
        for entry in &snapshot.entries {
            let now = entry.balance.unreachable;
            let before = self.unreachable.insert(entry.log.clone(), now).unwrap_or(0);
            if now > before {
                let text = format!(
                    "{} of `{}` can no longer be read",
                    words::bytes((now - before) as f64),
                    entry.log
                );
                events.say(EventKind::Unreachable, text);
            }
        }
        for file in &report.files {
            self.warn_of_loss(file, board);
        }
        let is_there = |key: &(String, String)| {
            report
                .files
                .iter()
                .any(|file| (&file.log, &file.path) == (&key.0, &key.1))
        };
        self.warned.retain(is_there);
    }

    fn warn_of_loss(&mut self, file: &FileRow, board: &Board) {
        let key = || (file.log.clone(), file.path.clone());
        let Some(left) = file
            .time_to_loss_seconds
            .filter(|left| *left < LOSS_AHEAD.as_secs_f64())
        else {
            if !self.warned.is_empty() {
                self.warned.remove(&key());
            }
            return;
        };
        if !self.warned.insert(key()) {
            return;
        }
        log::warn!(log = file.log, path = file.path, seconds_left:? = left.round(), lag_bytes = file.lag_bytes,
            help = "see why it lags (`logcatch status`), or keep more rotated files until it does not";
            "rotation is about to delete lines that Kafka has not acknowledged");
        let text = format!("rotation deletes unread bytes in about {}", words::seconds(left));
        board
            .events()
            .say_of(EventKind::LossAhead, (&file.log, file.path.clone()), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{EntryFigures, Looking};

    /// A service that stands as a test says.
    #[derive(Default)]
    struct Staged {
        board: Board,
        looks: std::sync::Mutex<Vec<Snapshot>>,
        asked: std::sync::Mutex<Vec<Scope>>,
    }

    impl Service for Staged {
        fn look(&self, scope: Scope) -> Looking<'_, Snapshot> {
            self.asked.lock().unwrap().push(scope);
            let mut looks = self.looks.lock().unwrap();
            let next = if looks.len() > 1 {
                looks.remove(0)
            } else {
                looks[0].clone()
            };
            Box::pin(async { next })
        }

        fn silent(&self) -> Looking<'_, Vec<&'static str>> {
            Box::pin(async { Vec::new() })
        }

        fn board(&self) -> &Board {
            &self.board
        }
    }

    fn observatory(looks: Vec<Snapshot>) -> Observatory<Staged> {
        Observatory::new(Staged {
            looks: std::sync::Mutex::new(looks),
            ..Staged::default()
        })
    }

    fn read(bytes: u64, up: bool) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut entry = EntryFigures::default();
        entry.balance.read = bytes;
        snapshot.entries.push(entry);
        snapshot.report.kafka.up = Some(up);
        snapshot.stats.connected = Some(up);
        snapshot
    }

    #[actix_rt::test]
    async fn who_asks_at_once_is_shown_the_same_look_unless_settings_changed() {
        let observatory = observatory(vec![read(1, true), read(2, true)]);
        let (one, two) = (observatory.now().await, observatory.now().await);
        assert!(Arc::ptr_eq(&one, &two));
        observatory.forget().await;
        assert!(!Arc::ptr_eq(&two, &observatory.now().await));
    }

    #[actix_rt::test]
    async fn while_nobody_asks_no_rows_of_idle_files_are_made_or_kept() {
        let observatory = observatory(vec![read(1, true)]);
        observatory.sample().await;
        observatory.sample().await;
        assert_eq!(*observatory.service.asked.lock().unwrap(), [Scope::Behind; 2]);
        observatory.now().await;
        assert_eq!(observatory.service.asked.lock().unwrap().last(), Some(&Scope::All));
        if let Some((at, _)) = &mut observatory.state.lock().await.last {
            *at -= FRESH;
        }
        observatory.sample().await;
        assert!(observatory.state.lock().await.last.is_none());
    }

    #[actix_rt::test]
    async fn bytes_that_are_taken_back_do_not_show_and_kafka_once_reached_stays_so() {
        let looks = vec![read(0, false), read(100, true), read(60, false), read(130, false)];
        let observatory = observatory(looks);
        let mut seen = Vec::new();
        for _ in 0..4 {
            let mut state = observatory.state.lock().await;
            let now = observatory.look(&mut state, Scope::All).await;
            seen.push((now.entries[0].balance.read, now.reached_kafka));
        }
        assert_eq!(seen, [(0, false), (100, true), (100, true), (130, true)]);
        let events = observatory.events(0);
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::KafkaBack, EventKind::KafkaAway]);
    }

    #[actix_rt::test]
    async fn loss_ahead_is_told_once_until_it_has_passed() {
        let file = |left| {
            let mut snapshot = read(0, true);
            let row = r#"{"log":"app","path":"/a","topic":"t","state":"waiting","since_seconds":1.0,"size":9,"position":0,
                "lag_bytes":9,"lag_seconds":99.0,"in_flight_bytes":0,"bytes_per_second":0.0,"lines_per_second":0.0,
                "restarts":0,"generations":1}"#;
            let mut row: FileRow = serde_json::from_str(row).unwrap();
            row.time_to_loss_seconds = left;
            snapshot.report.files.push(row);
            snapshot
        };
        let looks = [Some(4000.0), Some(3000.0), Some(2000.0), None, Some(1000.0)];
        let observatory = observatory(looks.map(file).to_vec());
        let mut told = Vec::new();
        for _ in looks {
            observatory.sample().await;
            told.push(observatory.events(0).len());
        }
        assert_eq!(told, [0, 1, 1, 1, 2]);
    }
}
