//! What the service manager is told: systemd's notification protocol (sd_notify(3)). Without one, nothing is told.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use actix::Addr;
use logcatch_actors::{ConfigActor, KafkaActor, Ping, SupervisorActor};
use sd_notify::NotifyState;

/// Set by a service manager that wants to be told.
const SOCKET: &str = "NOTIFY_SOCKET";

/// The service manager, and what it knows of us.
#[derive(Debug)]
pub struct ServiceManager {
    /// To a thread of its own, because a manager that is slow to listen blocks who tells. None without a manager.
    teller: Option<Sender<Vec<Told>>>,
    is_ready: Cell<bool>,
}

/// One assignment of a message.
#[derive(Debug)]
enum Told {
    Ready,
    Reloading(NotifyState<'static>),
    Stopping,
    Watchdog,
    Status(String),
}

impl ServiceManager {
    /// The one of this process, if it has one.
    pub fn of_process() -> Self {
        let teller = std::env::var_os(SOCKET).and_then(|_| {
            let (teller, messages) = channel();
            let thread = std::thread::Builder::new().name("notify".into());
            let started = thread.spawn(move || tell(&messages));
            started
                .inspect_err(
                    |error| log::error!(cause:% = error; "cannot start the thread that tells the service manager"),
                )
                .is_ok()
                .then_some(teller)
        });
        Self {
            teller,
            is_ready: Cell::new(false),
        }
    }

    fn tell(&self, message: impl Into<Vec<Told>>) {
        if let Some(teller) = &self.teller {
            // The thread ends after us.
            let _ = teller.send(message.into());
        }
    }

    /// The settings apply and positions are open.
    pub fn ready(&self, status: &str) {
        self.is_ready.set(true);
        self.tell([Told::Ready, Told::Status(status.to_owned())]);
    }

    /// Whether it was told that the settings apply.
    pub fn is_ready(&self) -> bool {
        self.is_ready.get()
    }

    /// One line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell([Told::Status(status.to_owned())]);
    }

    /// The settings are read again. Until the first good ones we are not ready, and then nothing is reloaded.
    pub fn reloading(&self) {
        if self.is_ready.get() {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => self.tell([Told::Reloading(now)]),
                Err(error) => log::warn!(cause:% = error; "cannot read the clock for the service manager"),
            }
        }
    }

    /// The reload ended, however.
    pub fn reloaded(&self, status: &str) {
        if self.is_ready.get() {
            self.ready(status);
        } else {
            self.status(status);
        }
    }

    /// The service ends.
    pub fn stopping(&self, status: &str) {
        self.tell([Told::Stopping, Told::Status(status.to_owned())]);
    }
}

/// Feeds the watchdog of the service manager, if it has one for us, for as long as the actors answer.
pub async fn feed_watchdog(
    manager: Rc<ServiceManager>,
    config: Addr<ConfigActor>,
    supervisor: Addr<SupervisorActor>,
    kafka: Addr<KafkaActor>,
) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| *limit > Duration::ZERO) else {
        return;
    };
    // Half of the time, as sd_watchdog_enabled(3) recommends.
    let mut beats = tokio::time::interval(limit / 2);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        let answers = async { tokio::try_join!(config.send(Ping), supervisor.send(Ping), kafka.send(Ping)) };
        match tokio::time::timeout(limit, answers).await {
            Ok(Ok(_)) => manager.tell([Told::Watchdog]),
            Ok(Err(error)) => log::error!(cause:% = error; "an actor does not answer; the watchdog is not fed"),
            Err(_) => log::error!("an actor does not answer; the watchdog is not fed"),
        }
    }
}

fn tell(messages: &Receiver<Vec<Told>>) {
    let mut is_heard = true;
    for message in messages {
        let states = message.iter().flat_map(|told| match told {
            Told::Ready => vec![NotifyState::Ready],
            Told::Reloading(since) => vec![NotifyState::Reloading, since.clone()],
            Told::Stopping => vec![NotifyState::Stopping],
            Told::Watchdog => vec![NotifyState::Watchdog],
            Told::Status(status) => vec![NotifyState::Status(status)],
        });
        let told = sd_notify::notify(&states.collect::<Vec<_>>());
        if let Err(error) = &told
            && is_heard
        {
            log::warn!(cause:% = error; "cannot tell the service manager");
        }
        is_heard = told.is_ok();
    }
}
