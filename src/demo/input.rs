//! What comes from outside while the demo runs: keys, and signals that ask it to end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};

use super::DemoError;
use super::script::Fault;

/// What the visitor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// That something happens to the service.
    Fault(Fault),
    /// That the demo ends: a key, Ctrl-C, or a signal.
    End,
}

/// Keys, where there is a terminal, and signals.
pub struct Input {
    keys: bool,
    signals: Arc<AtomicUsize>,
}

impl Input {
    /// Begins to listen. From now on SIGINT, SIGTERM and SIGHUP do not end the process by themselves, so that the
    /// service is always ended and the temporary directory removed.
    pub fn listen(keys: bool) -> Result<Self, DemoError> {
        let signals = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&signals);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(DemoError::Thread)?;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || runtime.block_on(count_signals(&count)))
            .map_err(DemoError::Thread)?;
        Ok(Self { keys, signals })
    }

    /// Waits so long at most, less if something comes.
    pub fn wait(&mut self, time: Duration) -> io::Result<Option<Wish>> {
        let key = if !self.keys {
            thread::sleep(time);
            None
        } else if event::poll(time)? {
            wish(&event::read()?)
        } else {
            None
        };
        let taken = self
            .signals
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| count.checked_sub(1));
        Ok(if taken.is_ok() { Some(Wish::End) } else { key })
    }
}

async fn count_signals(count: &AtomicUsize) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        count.fetch_add(1, Ordering::AcqRel);
    }
}

fn wish(event: &Event) -> Option<Wish> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if control => Some(Wish::End),
        KeyCode::Esc => Some(Wish::End),
        KeyCode::Char(_) if control => None,
        KeyCode::Char(char) => match char.to_ascii_lowercase() {
            'q' => Some(Wish::End),
            char => Fault::of(char).map(Wish::Fault),
        },
        _ => None,
    }
}
