//! Answers requests: reads from the board, sends orders to the actors, and does on threads of its own what may take long.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_rt::task::spawn_blocking;
use logcatch_actors::{
    Change, ChangePosition, Changed, Common, ConfigActor, DeadLetterStore, GetStats, KafkaActor, Key, OrderError,
    Reload, Report, Restart, Scope, Sources, SupervisorActor, load,
};
use logcatch_kafka::Stats;
use logcatch_settings::Environment;
use logcatch_settings::cause::chain;
use logcatch_tail::{EditError, Moved, Positions};
use tokio::sync::mpsc::Receiver;

use super::letters;
use super::plan::plan;
use super::protocol::{Answer, Done, Meant, Named, PositionRow, Refused, Request};
use super::targets::pick;

/// A watcher whose lines Kafka does not acknowledge rests for as long as that lasts. Who ordered it is told sooner.
const PATIENCE: Duration = Duration::from_secs(20);
/// The Kafka side answers within milliseconds, also under load.
pub const GLANCE: Duration = Duration::from_secs(2);

/// The service, as the control socket and the page reach it.
#[derive(Clone)]
pub struct Desk {
    /// All watchers.
    pub supervisor: Addr<SupervisorActor>,
    /// The settings.
    pub config: Addr<ConfigActor>,
    /// The Kafka side.
    pub kafka: Addr<KafkaActor>,
    /// What is read without asking anybody.
    pub common: Common,
    /// What Kafka refused.
    pub letters: Arc<DeadLetterStore>,
    /// The settings file.
    pub settings: PathBuf,
}

/// What answers a request.
pub enum Reply {
    /// One answer.
    One(Answer),
    /// Answers one after the other, of which [`Answer::is_last`] is the last. Whoever takes no more ends them.
    Parts(Receiver<Answer>),
}

impl Desk {
    /// Answers a request of one who may only look, or change things, too.
    pub async fn answer(&self, request: Request, may_change: bool) -> Reply {
        let changes = !matches!(
            request,
            Request::Status { .. } | Request::Plan | Request::PositionsList { .. } | Request::DeadLettersList { .. }
        );
        if changes && !may_change {
            let refused = Refused::new("cannot change anything: only root and the service's own user may, others look");
            return Reply::One(Answer::Refused(refused.help("run it as root, as with sudo")));
        }
        let of_watchers = !matches!(
            request,
            Request::Status { .. }
                | Request::Reload
                | Request::Plan
                | Request::DeadLettersList { .. }
                | Request::DeadLettersResend { .. }
        );
        if of_watchers && let Some(what) = self.common.board.waits_for(&Stats::default()) {
            let refused = Refused::new(format!("cannot do that yet: the service waits for {what}"));
            return Reply::One(Answer::Refused(refused.help("`logcatch status` says why")));
        }
        let answered = match request {
            Request::Status { of } => self.status(of).await,
            Request::Restart { of } => self.restart(&of).await,
            Request::Reload => self.reload().await,
            Request::Plan => self.plan().await,
            Request::PositionsList { of } => self.positions(of).await,
            Request::PositionsSet { path, to } => self.change(&path, "set a position in", Change::Set(to.into())).await,
            Request::PositionsReset { of } => self.change(&of, "reset", Change::Reset).await,
            Request::DeadLettersList { meant } => return Reply::Parts(letters::list(&self.letters, meant)),
            Request::DeadLettersResend { meant, topic } => match self.resend(meant, topic).await {
                Ok(parts) => return Reply::Parts(parts),
                Err(refused) => Err(refused),
            },
        };
        Reply::One(answered.unwrap_or_else(Answer::Refused))
    }

    /// How everything stands, with what the Kafka side counts. Looks at all watchers, so not for an arbiter.
    pub fn report(&self, stats: &Stats, scope: Scope) -> Report {
        let sources = Sources {
            common: &self.common,
            stats,
            settings_path: self.settings.display().to_string(),
            version: env!("CARGO_PKG_VERSION"),
        };
        self.common.board.report(&sources, scope)
    }

    async fn status(&self, of: Option<Named>) -> Result<Answer, Refused> {
        // Of a Kafka side that hangs nothing is known, and the files still show.
        let stats = tokio::time::timeout(GLANCE, self.kafka.send(GetStats)).await;
        let stats = stats.map_or_else(|_| Ok(Stats::default()), |stats| stats.map_err(broken))?;
        let desk = self.clone();
        let report = blocking(move || {
            let mut report = desk.report(&stats, Scope::All);
            of.map_or(Ok(()), |of| narrow(&mut report, &of))?;
            Ok(report)
        });
        report.await?.map(|report| Answer::Status(Box::new(report)))
    }

    async fn restart(&self, of: &Named) -> Result<Answer, Refused> {
        let keys = pick(&self.common.board.keys(), of, "restart")?;
        let orders = keys
            .into_iter()
            .map(|key| (key.clone(), self.supervisor.send(Restart(key))));
        self.carry_out(orders.collect(), |()| "restarted".to_owned()).await
    }

    async fn change(&self, of: &Named, verb: &str, change: Change) -> Result<Answer, Refused> {
        let mut keys = self.common.board.keys();
        // Files that nobody watches any more have positions, too.
        keys.extend(keys_of(&self.common.world.positions));
        keys.sort_unstable();
        keys.dedup();
        let orders = pick(&keys, of, verb)?.into_iter().map(|key| {
            let order = ChangePosition {
                key: key.clone(),
                change,
            };
            (key, self.supervisor.send(order))
        });
        self.carry_out(orders.collect(), said).await
    }

    /// Waits for the outcome of orders that are carried out side by side.
    async fn carry_out<M, T>(
        &self,
        orders: Vec<(Key, actix::dev::Request<SupervisorActor, M>)>,
        words: impl Fn(T) -> String,
    ) -> Result<Answer, Refused>
    where
        M: actix::Message<Result = Result<T, OrderError>> + Send + 'static,
        T: Send + 'static,
        SupervisorActor: actix::Handler<M>,
    {
        // Polled as a whole, so that each is under way before the first one is waited for.
        let running: Vec<_> = orders
            .into_iter()
            .map(|(key, order)| (key, actix_rt::spawn(order)))
            .collect();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut done = Vec::new();
        for ((log, path), order) in running {
            let words = match tokio::time::timeout_at(deadline, order).await {
                // It is carried out all the same, when Kafka acknowledges.
                Err(_) => {
                    "waits until what is on its way to Kafka is acknowledged; `logcatch status` shows it".to_owned()
                }
                Ok(Err(error)) => return Err(broken(error)),
                Ok(Ok(Err(error))) => return Err(broken(error)),
                Ok(Ok(Ok(Err(error)))) => return Err(refused(&error)),
                Ok(Ok(Ok(Ok(outcome)))) => words(outcome),
            };
            let path = path.display().to_string();
            done.push(Done {
                log: log.to_string(),
                path,
                done: words,
            });
        }
        Ok(Answer::Done(done))
    }

    async fn reload(&self) -> Result<Answer, Refused> {
        let path = self.settings.display().to_string();
        match self.config.send(Reload).await.map_err(broken)? {
            Ok(()) => Ok(Answer::Done(vec![Done {
                log: String::new(),
                path,
                done: "in force".to_owned(),
            }])),
            Err(why) => Err(Refused {
                settings: true,
                // The settings crate says it in full; the supervisor says only what it cannot do.
                error: if why.starts_with("cannot ") {
                    why
                } else {
                    format!("cannot apply `{path}`: {why}")
                },
                help: Some("correct what is named; everything stays as it was until then".to_owned()),
            }),
        }
    }

    async fn plan(&self) -> Result<Answer, Refused> {
        let Some(before) = self.common.board.settings() else {
            return Err(Refused::new("cannot compare: no settings are in force yet"));
        };
        let (path, watched) = (self.settings.clone(), self.common.board.keys());
        let planned = blocking(move || {
            let environment: &Environment<'_> = &|name| std::env::var(name).ok();
            let loaded = load(&path, environment).map_err(|refused| Refused {
                error: refused.in_full(),
                help: Some("correct what is named; applying it would change nothing".to_owned()),
                settings: true,
            })?;
            let mut plan = plan(&before, &loaded.settings, &watched);
            plan.notices = loaded.notices;
            Ok(Answer::Plan(plan))
        });
        planned.await?
    }

    async fn resend(&self, meant: Meant, topic: Option<String>) -> Result<Receiver<Answer>, Refused> {
        let Some(settings) = self.common.board.settings() else {
            return Err(Refused::new(
                "cannot send dead letters again: no settings are in force yet",
            ));
        };
        let letters = Arc::clone(&self.letters);
        let sealed = blocking(move || letters.seal()).await?;
        let sealed = sealed.map_err(|error| letters::seal_refused(&error))?;
        Ok(letters::resend_sealed(&settings, sealed, meant, topic))
    }

    async fn positions(&self, of: Option<Named>) -> Result<Answer, Refused> {
        let positions = Arc::clone(&self.common.world.positions);
        let rows = blocking(move || list(&positions, of.as_ref()));
        rows.await?.map(Answer::Positions)
    }
}

/// The paths that have positions.
pub fn keys_of(positions: &Positions) -> Vec<Key> {
    let key = |record: logcatch_tail::StreamRecord| (record.log, record.path);
    let mut keys: Vec<Key> = positions.all().iter().map(|stream| key(stream.record())).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Positions by entry and path, oldest generation first.
pub fn list(positions: &Positions, of: Option<&Named>) -> Result<Vec<PositionRow>, Refused> {
    let mut keys = keys_of(positions);
    if let Some(of) = of {
        keys = pick(&keys, of, "list positions of")?;
    }
    let of_key = |(log, path): &Key| positions.of(log, path);
    let streams = keys.iter().flat_map(of_key);
    Ok(streams.map(|stream| stream.record().into()).collect())
}

/// What became of a position, in words.
pub fn said(changed: Changed) -> String {
    match changed {
        Changed::Moved(moved) => {
            let Moved {
                from,
                to,
                size,
                unfinished,
            } = moved;
            let line = if unfinished {
                ", with the line that has no end yet"
            } else {
                ""
            };
            format!("goes on at byte {to} of {size}{line}; it was at {from}")
        }
        Changed::Forgotten(0) => "had no position".to_owned(),
        Changed::Forgotten(1) => "forgotten; what is there is read from its beginning".to_owned(),
        Changed::Forgotten(count) => {
            format!("forgotten, with {count} generations; what is there is read from its beginning")
        }
    }
}

/// An order that was refused.
pub fn refused(error: &OrderError) -> Refused {
    match error {
        OrderError::Edit(error) => edit_refused(error),
        other => Refused::new(other.to_string()),
    }
}

/// A position that stays as it is.
pub fn edit_refused(error: &EditError) -> Refused {
    let refused = Refused::new(chain(error));
    match error {
        EditError::InLine { start: Some(start), .. } => refused.help(format!("its line starts at {start}")),
        EditError::InLine { .. } | EditError::Beyond { .. } => {
            refused.help("name the first byte of a line, `begin` or `end`")
        }
        EditError::Unknown(_) => refused.help("start the service first: it gives the file a position when it sees it"),
        EditError::InFlight(_) => refused.help("try again when Kafka has acknowledged them"),
        EditError::Copy(_) => refused.help("`logcatch status` names the other file"),
        EditError::File { .. } => refused,
    }
}

/// Leaves what is named in a report.
pub fn narrow(report: &mut Report, of: &Named) -> Result<(), Refused> {
    let keys: Vec<Key> = report
        .files
        .iter()
        .map(|file| (file.log.as_str().into(), Path::new(&file.path).into()))
        .collect();
    let is_entry = report.settings.unmatched.iter().any(|name| of.is_entry(name));
    let wanted = if is_entry { Vec::new() } else { pick(&keys, of, "show")? };
    report.files.retain(|file| {
        let (log, path) = (&file.log, Path::new(&file.path));
        wanted.iter().any(|(of, at)| **of == **log && **at == *path)
    });
    report.settings.unmatched.retain(|name| of.is_entry(name));
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    spawn_blocking(work).await.map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> Refused {
    Refused::new(format!("cannot answer: {error}")).help("the service's log says more")
}
