//! The status page of the service: what it looks at, and where it listens, which may change while the service runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_rt::task::spawn_blocking;
use logcatch_actors::{Board, Common, GetStats, Ping, Scope};
use logcatch_kafka::Stats;
use logcatch_settings::{Section, Settings, Texts, WebSettings, effective};
use logcatch_web::{EntryFigures, Listening, Looking, Observatory, PACE, Service, Snapshot, listen};
use tokio::sync::watch;

use crate::cli::environment;
use crate::control::{Desk, GLANCE};

/// An address that is taken is tried again this often.
const RETRY: Duration = Duration::from_secs(10);

/// What settings in force mean for the page.
pub struct Web {
    settings: watch::Sender<WebSettings>,
    shown: Arc<Shown>,
}

/// What the page shows of settings besides what is on the board.
struct Shown {
    were_in_force: AtomicBool,
    were_open: AtomicBool,
    effective: Mutex<Arc<Vec<Section>>>,
}

struct Seen {
    service: Desk,
    web: watch::Receiver<WebSettings>,
    shown: Arc<Shown>,
    /// Of a Kafka side that hangs the counters stay what they were.
    stats: Mutex<Stats>,
}

impl Web {
    /// For settings of which these are the values to show.
    pub fn new(settings: &Settings, effective: Vec<Section>) -> Self {
        Self {
            settings: watch::Sender::new(settings.web.clone()),
            shown: Arc::new(Shown {
                were_in_force: AtomicBool::new(false),
                were_open: AtomicBool::new(false),
                effective: Mutex::new(Arc::new(effective)),
            }),
        }
    }

    /// These settings, made from these files, are in force.
    pub fn in_force(&self, settings: &Settings, texts: &Texts) {
        self.shown.were_in_force.store(true, Ordering::Relaxed);
        self.settings.send_if_modified(|known| {
            let is_new = *known != settings.web;
            known.clone_from(&settings.web);
            is_new
        });
        let (shown, texts) = (Arc::clone(&self.shown), texts.clone());
        spawn_blocking(move || {
            // What `${file:...}` names may be gone by now; then the page goes on with what it showed.
            if let Some(sections) = effective(&texts, &environment) {
                *lock(&shown.effective) = Arc::new(sections);
            }
        });
    }

    /// Positions are open.
    pub fn opened(&self) {
        self.shown.were_open.store(true, Ordering::Relaxed);
    }

    /// Starts to look at the service, and to listen.
    pub fn start(&self, service: Desk) {
        let seen = Seen {
            service,
            web: self.settings.subscribe(),
            shown: Arc::clone(&self.shown),
            stats: Mutex::default(),
        };
        let observatory = Arc::new(Observatory::new(seen));
        actix_rt::spawn(keep_listening(self.settings.subscribe(), Arc::clone(&observatory)));
        actix_rt::spawn(async move {
            let mut beats = tokio::time::interval(PACE);
            beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                beats.tick().await;
                observatory.sample().await;
            }
        });
    }
}

/// Listens where the settings say, for as long as they do.
async fn keep_listening(mut settings: watch::Receiver<WebSettings>, observatory: Arc<Observatory<Seen>>) {
    loop {
        let address = settings.borrow_and_update().listen.clone();
        let Some(address) = address else {
            if changed(&mut settings, None).await.is_err() {
                return;
            }
            continue;
        };
        observatory.forget().await;
        let server = tokio::select! {
            server = begin(&address, &observatory) => server,
            changed = changed(&mut settings, Some(&address)) => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let goes_on = changed(&mut settings, Some(&address)).await;
        server.stop().await;
        if goes_on.is_err() {
            return;
        }
        log::info!(address; "the status page is closed there: the settings changed");
    }
}

/// Waits until the settings name another address than this.
async fn changed(
    settings: &mut watch::Receiver<WebSettings>,
    address: Option<&str>,
) -> Result<(), watch::error::RecvError> {
    let is_other = |web: &WebSettings| web.listen.as_deref() != address;
    settings.wait_for(is_other).await.map(|_| ())
}

/// Listens as soon as the address is free.
async fn begin(address: &str, observatory: &Arc<Observatory<Seen>>) -> Listening {
    let mut is_said = false;
    loop {
        match listen(address, observatory).await {
            Ok(server) => {
                for address in &server.addresses {
                    log::info!(url:% = format_args!("http://{address}/"); "the status page is there");
                    if !address.ip().is_loopback() {
                        log::warn!(address:%, help = "whoever reaches it sees paths, topics and settings; let a proxy or a firewall stand before it";
                            "the status page is not on loopback");
                    }
                }
                return server;
            }
            Err(error) if !is_said => {
                is_said = true;
                let cause = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
                log::error!(cause, help = "free it, or name another one as web.listen; it is tried again, and shipping goes on";
                    "{error}: no status page and no metrics there");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

impl Seen {
    async fn see(&self, scope: Scope) -> Snapshot {
        let service = &self.service;
        let answer = tokio::time::timeout(GLANCE, service.kafka.send(GetStats)).await;
        if let Ok(Ok(stats)) = answer {
            *lock(&self.stats) = stats;
        }
        let stats = lock(&self.stats).clone();
        let service = service.clone();
        let looked = spawn_blocking(move || {
            let report = service.report(&stats, scope);
            Snapshot {
                report,
                entries: entries(&service.common),
                reloads: service.common.board.reloads(),
                dead_letter_bytes: service.letters.stored(),
                stats,
                ..Snapshot::default()
            }
        });
        // What panicked is in the log; an empty look is the next best.
        let looked = looked.await.unwrap_or_default();
        Snapshot {
            file_metrics: self.web.borrow().file_metrics,
            were_in_force: self.shown.were_in_force.load(Ordering::Relaxed),
            were_open: self.shown.were_open.load(Ordering::Relaxed),
            effective: Arc::clone(&lock(&self.shown.effective)),
            ..looked
        }
    }

    async fn not_answering(&self) -> Vec<&'static str> {
        let service = &self.service;
        let answers = tokio::join!(
            tokio::time::timeout(GLANCE, service.config.send(Ping)),
            tokio::time::timeout(GLANCE, service.supervisor.send(Ping)),
            tokio::time::timeout(GLANCE, service.kafka.send(Ping)),
        );
        let silent = [
            ("settings", !matches!(answers.0, Ok(Ok(_)))),
            ("supervisor", !matches!(answers.1, Ok(Ok(_)))),
            ("kafka", !matches!(answers.2, Ok(Ok(_)))),
        ];
        silent.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect()
    }
}

impl Service for Seen {
    fn look(&self, scope: Scope) -> Looking<'_, Snapshot> {
        Box::pin(self.see(scope))
    }

    fn silent(&self) -> Looking<'_, Vec<&'static str>> {
        Box::pin(self.not_answering())
    }

    fn board(&self) -> &Board {
        &self.service.common.board
    }
}

/// The figures of every entry that has or had any.
fn entries(common: &Common) -> Vec<EntryFigures> {
    let mut entries: BTreeMap<String, EntryFigures> = BTreeMap::new();
    let settings = common.board.settings();
    for entry in settings.iter().flat_map(|settings| &settings.logs) {
        entries.entry(entry.name.clone()).or_default().is_in_force = true;
    }
    for (log, account) in common.world.positions.accounts() {
        entries.entry(log).or_default().balance = account.balance();
    }
    for (log, tally) in common.board.tallies() {
        entries.entry(log).or_default().counts = tally.counts();
    }
    let named = entries
        .into_iter()
        .map(|(log, figures)| EntryFigures { log, ..figures });
    named.collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
