//! The terminal of the live view: taken at its start, given back however it ends.

use std::io::{self, Stdout, Write as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyEventKind};
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use logcatch_actors::Report;
use tokio::signal::unix::{SignalKind, signal};

use super::PACE;
use super::origin::Origin;
use super::view::{After, View};
use crate::error::{CannotPrint, Failure};

/// How long keys are waited for, and then news looked at.
const TICK: Duration = Duration::from_millis(100);
/// Where a terminal does not tell its size.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// What the threads beside the view tell it.
enum News {
    Report(Box<Report>),
    Trouble(String),
    /// A signal that ends the program.
    End,
}

/// Shows the reports of a service, beginning with the first one, until somebody ends it.
pub fn run(origin: Origin, first: Report) -> Result<(), Failure> {
    let (tell, news) = mpsc::channel();
    listen_for_signals(tell.clone());
    thread::spawn(move || fetch(origin, &tell));
    let mut screen = Screen::open().map_err(cannot_draw)?;
    let shown = show(&mut screen, first, &news);
    drop(screen);
    shown.map_err(cannot_draw)
}

fn show(screen: &mut Screen, mut report: Report, news: &Receiver<News>) -> io::Result<()> {
    let (mut view, mut trouble, mut redraw) = (View::default(), None, true);
    loop {
        if redraw {
            let size = terminal::size().unwrap_or(USUAL_SIZE);
            let lines = view.lines(&report, trouble.as_deref(), (size.0.into(), size.1.into()));
            screen.draw(&lines)?;
        }
        redraw = event::poll(TICK)?;
        if redraw {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press && view.key(key) == After::Quit => return Ok(()),
                _ => {}
            }
        }
        for news in news.try_iter() {
            redraw = true;
            match news {
                News::Report(newer) => (report, trouble) = (*newer, None),
                News::Trouble(text) => trouble = Some(text),
                News::End => return Ok(()),
            }
        }
    }
}

/// Asks again and again, on a thread of its own: a service that hangs must not keep keys from working.
fn fetch(mut origin: Origin, tell: &Sender<News>) {
    loop {
        thread::sleep(PACE);
        let answered = origin.report();
        let news = match answered {
            Ok(report) => News::Report(Box::new(report)),
            Err(failure) => News::Trouble(failure.sentence()),
        };
        if tell.send(news).is_err() {
            return;
        }
    }
}

/// A signal ends the view as a key does, so that the terminal is given back.
fn listen_for_signals(tell: Sender<News>) {
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        let listened = runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut hangup = signal(SignalKind::hangup())?;
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            io::Result::Ok(())
        });
        if listened.is_ok() {
            // The view may have ended by itself.
            let _ = tell.send(News::End);
        }
    });
}

fn cannot_draw(error: io::Error) -> Failure {
    Failure::from(CannotPrint(error))
}

/// The terminal, in raw mode and on its second page.
struct Screen {
    out: Stdout,
}

impl Screen {
    fn open() -> io::Result<Self> {
        // A panic's message belongs on the first page.
        let hook = Arc::new(Mutex::new(Some(std::panic::take_hook())));
        std::panic::set_hook(Box::new(move |info| {
            restore(&mut io::stdout());
            if let Some(hook) = &*hook.lock().unwrap_or_else(PoisonError::into_inner) {
                hook(info);
            }
        }));
        terminal::enable_raw_mode()?;
        let mut screen = Self { out: io::stdout() };
        execute!(screen.out, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        queue!(self.out, BeginSynchronizedUpdate, MoveTo(0, 0))?;
        for (row, line) in (0..).zip(lines) {
            queue!(self.out, MoveTo(0, row), Clear(ClearType::CurrentLine))?;
            self.out.write_all(line.as_bytes())?;
        }
        queue!(self.out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
        self.out.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore(&mut self.out);
    }
}

/// Gives the terminal back; one that is gone needs nothing.
fn restore(out: &mut Stdout) {
    let _ = execute!(out, Show, LeaveAlternateScreen);
    let _ = terminal::disable_raw_mode();
}
