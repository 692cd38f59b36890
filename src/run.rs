//! `logcatch run`: the service. Opens what must be there, starts the actors, and ends them in order.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::prelude::*;
use actix_rt::signal::unix::{SignalKind, signal};
use logcatch_actors::{
    ApplySettings, Board, Budget, Common, ConfigActor, DeadLetterStore, Drain, DrainKafka, Herald, KafkaActor, Ping,
    Reload, Side, Standing, SupervisorActor, load,
};
use logcatch_kafka::StartError;
use logcatch_settings::{Loaded, Refused, Settings, Texts};
use logcatch_tail::{Claims, Handles, Lease, Positions, StateLock, World};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::cli::environment;
use crate::control::{Desk, Server};
use crate::error::{Exit, Failure};
use crate::exactly_once;
use crate::last_good::{self, Keeper};
use crate::logging;
use crate::service_manager::{ServiceManager, feed_watchdog};
use crate::state_failure::state_failure;
use crate::web::Web;

/// Runs until SIGTERM or SIGINT.
pub fn run(config: &Path) -> Result<(), Failure> {
    let config = std::path::absolute(config).map_err(Failure::new)?;
    // Before settings are read: what one of them is by default follows it.
    let raised = raise_open_files();
    let (loaded, refused) = match load(&config, &environment) {
        Ok(loaded) => (loaded, None),
        Err(refused) => match last_good::fall_back(&config) {
            Some(loaded) => (loaded, Some(refused)),
            None => return Err(refused.into()),
        },
    };
    logging::install(&loaded.settings.log);
    if let Some(refused) = &refused {
        log::error!(help = "correct the file; it is applied as soon as it is good";
            "settings refused; running on those that were in force last, and not ready: {}", refused.in_full());
    }
    for notice in &loaded.notices {
        log::warn!("{notice}");
    }
    if let Err(error) = raised {
        log::warn!(cause:% = error, limit:? = getrlimit(Resource::Nofile).current; "cannot raise the limit of open files");
    }
    let state = &loaded.settings.state;
    let lock = StateLock::acquire(&state.directory).map_err(state_failure)?;
    let opened = Positions::open(&state.directory, lock, state.checkpoint_interval);
    let (positions, damaged) = opened.map_err(state_failure)?;
    if let Some(moved) = damaged {
        log::error!(moved_to:% = moved.display();
            "the position store was damaged and is moved aside: every file is read from its beginning, lines repeat and none is lost");
    }
    let system = System::new();
    let keeper = Keeper::new(&loaded.settings.state.directory);
    let board = Arc::<Board>::default();
    let kept = (Arc::clone(&positions), keeper.clone(), Arc::clone(&board));
    let ended = system.block_on(serve(config, loaded, refused, kept));
    say_accounts(&positions, &board);
    let saved = positions.close();
    keeper.flush();
    logging::flush();
    // Its drop would wait for calls into dead network file systems. The threads end with the process.
    std::mem::forget(system);
    match &ended {
        _ if !saved => log::error!("the last positions could not be saved: the next start may repeat lines"),
        Ok(End::Drained) => {
            log::info!("drained: everything that was read is acknowledged; the next start repeats nothing");
        }
        _ => {}
    }
    ended.map(drop)
}

/// Where every byte that was read went, a line an entry: read = delivered + skipped + dead_lettered + in_flight.
fn say_accounts(positions: &Positions, board: &Board) {
    let mut unread = board.never_read(positions);
    for stream in positions.all() {
        *unread.entry(stream.key().log.to_string()).or_default() += stream.unread();
    }
    let accounts: HashMap<_, _> = positions.accounts().into_iter().collect();
    for log in accounts.keys() {
        unread.entry(log.clone()).or_default();
    }
    for (log, unread) in unread {
        let balance = accounts.get(&log).map(|account| account.balance()).unwrap_or_default();
        log::info!(log, read = balance.read, delivered = balance.delivered, delivered_lines = balance.delivered_lines,
            skipped = balance.skipped(), dead_lettered = balance.dead_lettered, in_flight = balance.in_flight,
            unreachable = balance.unreachable, unread;
            "account since the start, in bytes");
    }
}

/// How the service ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Nothing is in flight.
    Drained,
    /// Nothing was read: positions were not there yet.
    Unopened,
    /// What is in flight will be sent again.
    Cut,
}

async fn serve(
    config: PathBuf,
    loaded: Loaded,
    refused: Option<Refused>,
    (positions, keeper, board): (Arc<Positions>, Keeper, Arc<Board>),
) -> Result<End, Failure> {
    let manager = Rc::new(ServiceManager::of_process());
    let settings = Arc::new(loaded.settings.clone());
    let mut signals = Signals::listen().map_err(Failure::new)?;
    let letters = Arc::new(DeadLetterStore::new(
        &settings.state.directory,
        settings.state.dead_letters,
    ));
    let side = Side::new(Arc::clone(&letters) as _, Arc::clone(&positions));
    let mut standing = side.standing();
    let (kafka, lanes) = KafkaActor::start_service(&settings, side).map_err(|error| kafka_failure(error, &config))?;
    let common = Common {
        world: Arc::new(World {
            positions,
            claims: Arc::new(Claims::default()),
            // What the settings say comes with them.
            handles: Handles::new(0),
            listings: Arc::default(),
            spares: Arc::default(),
            lease: Lease::default(),
        }),
        budget: Arc::new(Budget::new(settings.limits.in_flight, settings.limits.in_flight_of_one)),
        lanes,
        host: settings.host.as_str().into(),
        board,
        rates: Arc::default(),
    };
    let supervisor = SupervisorActor::new(common.clone(), kafka.clone()).when_open(standing.clone());
    let supervisor = supervisor.start();
    log::info!(version = env!("CARGO_PKG_VERSION"), settings:% = config.display(), host = settings.host,
        state:% = settings.state.directory.display(), brokers:? = settings.kafka.brokers, entries = settings.logs.len();
        "logcatch starts");
    let applied = supervisor.send(ApplySettings(Arc::clone(&settings))).await;
    applied.map_err(Failure::new)?.map_err(Failure::new)?;
    let outside = Rc::new(Outside {
        manager: Rc::clone(&manager),
        letters: Arc::clone(&letters),
        keeper,
        web: Web::new(&settings, loaded.effective.clone()),
        is_open: Cell::new(false),
        standing: standing.clone(),
        in_force: RefCell::default(),
        #[cfg(feature = "etcd")]
        etcd: crate::etcd::Follower::new(&config, &settings.state.directory),
    });
    let settings_path = config.clone();
    let texts = refused.is_none().then(|| loaded.texts.clone());
    let config = ConfigActor::new(
        config,
        loaded,
        refused.as_ref(),
        supervisor.clone(),
        Rc::clone(&outside) as _,
    )
    .shown_on(Arc::clone(&common.board))
    .start();
    #[cfg(feature = "etcd")]
    outside.etcd.tell(config.clone().recipient(), Arc::clone(&common.board));
    let desk = Desk {
        supervisor: supervisor.clone(),
        config: config.clone(),
        kafka: kafka.clone(),
        common,
        letters: Arc::clone(&letters),
        settings: settings_path,
    };
    outside.web.start(desk.clone());
    #[cfg(feature = "etcd")]
    outside.etcd.follow(settings.etcd.as_ref());
    // Without it the service ships all the same.
    let _control = Server::start(&settings.state.directory, desk).inspect_err(|error| {
        log::error!(cause:% = error, state:% = settings.state.directory.display(),
            help = "make the state directory writable for this user; its path must be short enough for a socket (107 bytes)";
            "no control socket: status, restart and the like do not work; shipping goes on");
    });
    // What changes from here on is noticed.
    config.send(Ping).await.map_err(Failure::new)?;
    match texts {
        Some(texts) => outside.in_force(&settings, &texts),
        None => outside.say_ready(),
    }
    actix_rt::spawn(logging::say_repeats());
    actix_rt::spawn(feed_watchdog(
        Rc::clone(&manager),
        config.clone(),
        supervisor.clone(),
        kafka.clone(),
    ));
    let mut opening = standing.clone();
    exactly_once::say_opening(&settings, &opening);
    let name = loop {
        tokio::select! {
            () = exactly_once::opened(&mut opening), if !outside.is_open.get() => outside.opened(),
            signal = signals.next() => match signal {
                Signal::Reload => config.do_send(Reload),
                Signal::End(name) => break name,
            },
            lost = exactly_once::lost(&mut standing) => return Err(exactly_once::lost_failure(lost)),
            () = end_of(&kafka) => {
                let failure = Failure::new("cannot go on: the Kafka side ended, which is a fault in logcatch");
                return Err(failure.help("start it again: it goes on from the saved positions; please report what the log says"));
            }
        }
    };
    let timeout = settings.limits.shutdown_timeout;
    if *standing.borrow() == Standing::Opening {
        manager.stopping("stopping: nothing is in flight");
        // After a change of the mode: since then.
        log::info!(signal = name; "stopped before positions were read back: nothing was shipped");
        tokio::select! {
            () = end_resend(&letters, timeout) => {}
            _ = signals.end() => {}
        }
        return Ok(End::Unopened);
    }
    manager.stopping("stopping: waits for what is in flight");
    log::info!(signal = name, timeout_seconds = timeout.as_secs(); "logcatch stops: nothing more is read, what is in flight is waited for");
    tokio::select! {
        (end, ()) = async { tokio::join!(drain(&supervisor, &kafka, timeout), end_resend(&letters, timeout)) } => Ok(end),
        lost = exactly_once::lost(&mut standing) => Err(exactly_once::lost_failure(lost)),
        signal = signals.end() => {
            log::warn!(signal; "stopped at once: what was in flight will be sent again at the next start");
            Ok(End::Cut)
        }
    }
}

/// The status of a start on the settings of before.
const NOT_READY: &str = "not ready: the settings are refused; ships by those that were in force last";

/// The same, while nothing is shipped yet.
const NOT_READY_NOR_OPEN: &str =
    "not ready: the settings are refused; waits for its positions, by the settings that were in force last";

/// The status of a start while positions are not open.
const WAITS: &str = "waits for its positions: `logcatch status` says why";

/// What follows from settings outside the actors.
struct Outside {
    manager: Rc<ServiceManager>,
    letters: Arc<DeadLetterStore>,
    keeper: Keeper,
    web: Web,
    /// Positions were open once.
    is_open: Cell<bool>,
    /// Whether they are now.
    standing: watch::Receiver<Standing>,
    /// What the settings in force say to the service manager; none while those of the start are refused.
    in_force: RefCell<Option<String>>,
    #[cfg(feature = "etcd")]
    etcd: crate::etcd::Follower,
}

impl Herald for Outside {
    fn reading(&self) {
        self.manager.reloading();
    }

    fn in_force(&self, settings: &Settings, texts: &Texts) {
        logging::apply(&settings.log);
        self.letters.set_limit(settings.state.dead_letters);
        self.keeper.keep(texts);
        self.web.in_force(settings, texts);
        #[cfg(feature = "etcd")]
        self.etcd.follow(settings.etcd.as_ref());
        self.in_force.replace(Some(status(settings)));
        self.say_ready();
    }

    fn refused(&self) {
        // The look that follows the start on a broken file refuses it once more, before or after that start said so.
        if self.manager.is_ready() {
            self.manager
                .reloaded("the settings are refused, the log says why; ships by those that were in force before");
        } else {
            self.say_ready();
        }
    }
}

impl Outside {
    /// Positions are open.
    fn opened(&self) {
        self.is_open.set(true);
        self.web.opened();
        self.say_ready();
    }

    /// The service is ready when its settings apply and its positions are open.
    fn say_ready(&self) {
        match &*self.in_force.borrow() {
            Some(_) if !self.is_open.get() => self.manager.status(WAITS),
            Some(status) => self.manager.ready(status),
            None if *self.standing.borrow() == Standing::Opening => self.manager.status(NOT_READY_NOR_OPEN),
            None => self.manager.status(NOT_READY),
        }
    }
}

/// One line for `systemctl status`.
fn status(settings: &Settings) -> String {
    format!(
        "entries: {}, brokers: {}",
        settings.logs.len(),
        settings.kafka.brokers.join(",")
    )
}

/// Returns when the KafkaActor is no more, as after a panic: nobody restarts it, and without it nothing ships.
async fn end_of(kafka: &Addr<KafkaActor>) {
    while kafka.connected() {
        actix_rt::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Ends reading, then waits for what is on its way to Kafka, `timeout` in all.
async fn drain(supervisor: &Addr<SupervisorActor>, kafka: &Addr<KafkaActor>, timeout: Duration) -> End {
    let deadline = Instant::now() + timeout;
    let stopped = tokio::time::timeout_at(deadline.into(), supervisor.send(Drain)).await;
    if stopped.is_err() {
        log::warn!("some watchers did not stop in time");
    }
    match kafka.send(DrainKafka { deadline }).await {
        Ok(0) => return End::Drained,
        Ok(left) => log::warn!(batches = left;
            "not drained in time: what Kafka did not acknowledge will be sent again at the next start, and nothing is lost"),
        Err(error) => log::error!(cause:% = error; "the Kafka side ended early; what was in flight will be sent again"),
    }
    End::Cut
}

/// Has dead letters that are being sent again end in order, so that none comes twice.
async fn end_resend(letters: &DeadLetterStore, timeout: Duration) {
    if tokio::time::timeout(timeout, letters.end_resend()).await.is_err() {
        log::warn!("dead letters were still on their way: some may be sent again the next time");
    }
}

/// Properties of these settings that make no producer: each is good by itself.
pub fn kafka_failure(error: StartError, config: &Path) -> Failure {
    if matches!(error, StartError::Wake(_)) {
        return Failure::new(error);
    }
    Failure::new(error)
        .place(format!("{}: [kafka.properties]", config.display()))
        .help("correct it there; `logcatch check` tries it and starts nothing")
        .exit(Exit::Settings)
}

/// Each watched file takes a handle, and common limits are low for historic reasons only.
pub fn raise_open_files() -> Result<(), Errno> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
}

/// What an operator asks for by signal.
enum Signal {
    Reload,
    End(&'static str),
}

struct Signals {
    hangup: actix_rt::signal::unix::Signal,
    terminate: actix_rt::signal::unix::Signal,
    interrupt: actix_rt::signal::unix::Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::Reload,
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
        }
    }

    /// The next signal that ends the service.
    async fn end(&mut self) -> &'static str {
        loop {
            if let Signal::End(name) = self.next().await {
                return name;
            }
        }
    }
}
