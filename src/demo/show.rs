//! The course of a demo: from the first row on the screen to the verdict.

use std::time::{Duration, Instant};

use super::DemoError;
use super::input::{Input, Wish};
use super::line::Log;
use super::screen::{Look, Row, Screen};
use super::script::Script;
use super::settings::Guest;
use super::stage::Stage;
use super::status::{self, Clock, Events, Next};
use super::tally::{Tally, Written};
use super::verdict::{Ending, Outcome};

/// How long a demo lasts of which nobody said how long.
const USUAL_LENGTH: Duration = Duration::from_secs(60);

/// Then, it does not end sooner than this after a key.
const AFTER_KEY: Duration = Duration::from_secs(30);

/// Between two steps: short enough that writing looks steady and keys work at once.
const STEP: Duration = Duration::from_millis(20);

/// Between two pictures.
const PICTURE: Duration = Duration::from_millis(100);

/// Between two status lines where there is no foot that is redrawn.
const STATUS: Duration = Duration::from_secs(5);

/// At the end, what is on its way may take so long without anything arriving.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the visitor's own log may keep the end waiting.
const GUEST_PATIENCE: Duration = Duration::from_secs(5);

/// How long the service may take to end: its own deadline of 20 s, and some.
const DRAIN: Duration = Duration::from_secs(25);

/// A service that ends by itself so often will not ship anything any more.
const TOO_MANY_DEATHS: u32 = 5;

/// So many gaps are named at the end.
const GAPS: usize = 10;

/// A demo that is under way.
pub struct Show {
    stage: Stage,
    screen: Screen,
    input: Input,
    script: Script,
    events: Events,
    guest: Option<Guest>,
    start: Instant,
    end: Instant,
    /// Whether keys put off the end.
    open_end: bool,
    picture: Option<Instant>,
    status: Instant,
}

/// The visitor does not want to wait for the end.
struct Cut;

impl Show {
    /// Sets up everything. Without `length` it lasts a minute, and longer while keys are pressed.
    pub fn open(guest: Option<Guest>, length: Option<Duration>, start: Instant) -> Result<Self, DemoError> {
        let stage = Stage::set(guest.as_ref(), start)?;
        let mut screen = Screen::open()?;
        let input = Input::listen(screen.is_live())?;
        screen.print(&status::head(&stage))?;
        let events = Events::new(stage.directory());
        let end = start + length.unwrap_or(USUAL_LENGTH);
        let script = Script::new(start, end, screen.is_live());
        Ok(Self {
            stage,
            screen,
            input,
            script,
            events,
            guest,
            start,
            end,
            open_end: length.is_none(),
            picture: None,
            status: start,
        })
    }

    /// Plays it; whether all is well at the end.
    pub fn play(mut self) -> Result<bool, DemoError> {
        if let Some(guest) = self.guest.as_ref().filter(|guest| guest.from_end) {
            self.stage.say(format!(
                "`{}` is large: what is appended from now on is shipped",
                guest.path
            ));
        }
        loop {
            let wish = self.input.wait(STEP)?;
            let now = Instant::now();
            match wish {
                Some(Wish::End) => break,
                Some(Wish::Fault(fault)) => {
                    self.script.interrupt(now, fault);
                    if self.open_end && now + AFTER_KEY > self.end {
                        self.end = now + AFTER_KEY;
                        self.script.extend(self.end);
                    }
                    self.stage.cause(fault);
                }
                None => {}
            }
            if now >= self.end || self.stage.deaths >= TOO_MANY_DEATHS {
                break;
            }
            if let Some(fault) = self.script.due(now) {
                self.stage.cause(fault);
            }
            self.stage.tick(now)?;
            let next = match self.script.next() {
                Some((fault, at)) => Next::Fault(fault, at.saturating_duration_since(now).as_secs() + 1),
                None => Next::End,
            };
            self.show(now, &next)?;
        }
        self.finish()
    }

    /// Everything that was written has its chance to arrive, then the service ends, then the account is made up.
    fn finish(mut self) -> Result<bool, DemoError> {
        self.stage
            .say("the writers have stopped; what is on its way may arrive");
        let ending = match self.settle()? {
            Ok(()) => self.end_service()?,
            Err(cut) => Err(cut),
        };
        let Ok(ending) = ending else {
            self.stage.say("ended before everything could be checked");
            self.show_now(&Next::End)?;
            return Ok(false);
        };
        self.show_now(&Next::Ending("reading the rest"))?;
        self.conclude(ending)
    }

    /// Takes everything down and says what came of it.
    fn conclude(self, ending: Ending) -> Result<bool, DemoError> {
        let Self { stage, mut screen, .. } = self;
        let (kills, deaths, written) = (stage.kills, stage.deaths, stage.writers.written().clone());
        let edited = stage.settings.is_edited();
        let (tally, directory) = stage.strike();
        let verdict = Outcome {
            written: &written,
            tally: &tally,
            kills,
            deaths,
            ending,
        }
        .verdict();
        let look = if verdict.good { Look::Good } else { Look::Bad };
        let blank = Row::default().with(Look::Plain, "");
        screen.draw(&[blank, Row::default().with(look, verdict.sentence)], &[])?;
        if !verdict.good {
            let edited = edited.then(|| "the settings were edited, which may be why".to_owned());
            let kept = format!("kept to look into: {}", directory.keep().display());
            let notes = edited.into_iter().chain(gaps(&tally, &written)).chain([kept]);
            let rows: Vec<Row> = notes.map(|note| Row::default().with(Look::Dim, note)).collect();
            screen.print(&rows)?;
        }
        Ok(verdict.good)
    }

    /// Waits until nothing is on its way any more, or nothing moves.
    fn settle(&mut self) -> Result<Result<(), Cut>, DemoError> {
        let start = Instant::now();
        let mut last = (start, 0, 0);
        loop {
            let now = Instant::now();
            self.stage.calm(now)?;
            let tally = self.stage.checker.tally();
            if (tally.arrived(), tally.guests) != (last.1, last.2) {
                last = (now, tally.arrived(), tally.guests);
            }
            let still = now - last.0;
            let all_here = tally.absent(self.stage.writers.written()) == 0;
            let guest_done = self.guest.is_none() || still > Duration::from_secs(1) || now - start > GUEST_PATIENCE;
            let hopeless = still > PATIENCE || self.stage.deaths >= TOO_MANY_DEATHS;
            let up = self.stage.service.pid().is_some();
            if (all_here && guest_done && up) || hopeless {
                return Ok(Ok(()));
            }
            if self.wait_on("waiting for what is on its way")?.is_err() {
                return Ok(Err(Cut));
            }
        }
    }

    fn end_service(&mut self) -> Result<Result<Ending, Cut>, DemoError> {
        if self.stage.service.pid().is_none() {
            return Ok(Ok(Ending::Absent));
        }
        self.stage.say("SIGTERM: the service drains and ends");
        self.stage.ended = None;
        self.stage.service.terminate()?;
        let deadline = Instant::now() + DRAIN;
        while Instant::now() < deadline {
            self.stage.watch(Instant::now())?;
            if let Some(status) = self.stage.ended {
                // Its last messages come by another way than the news of its end.
                let _ = self.wait_on("the service has ended")?;
                self.stage.watch(Instant::now())?;
                self.stage.say(format!("the service has ended: {status}"));
                return Ok(Ok(Ending::Status(status)));
            }
            if self.wait_on("the service drains")?.is_err() {
                return Ok(Err(Cut));
            }
        }
        Ok(Ok(Ending::Hung))
    }

    fn wait_on(&mut self, what: &'static str) -> Result<Result<(), Cut>, DemoError> {
        let wish = self.input.wait(STEP)?;
        self.show(Instant::now(), &Next::Ending(what))?;
        Ok(if wish == Some(Wish::End) { Err(Cut) } else { Ok(()) })
    }

    fn show_now(&mut self, next: &Next) -> Result<(), DemoError> {
        self.picture = None;
        self.show(Instant::now(), next)
    }

    fn show(&mut self, now: Instant, next: &Next) -> Result<(), DemoError> {
        if self.picture.is_some_and(|picture| now - picture < PICTURE) {
            return Ok(());
        }
        self.picture = Some(now);
        let clock = Clock {
            elapsed: now - self.start,
            length: self.end - self.start,
        };
        let tally = self.stage.checker.tally();
        let said = self.stage.said();
        let mut events = self.events.rows(clock.elapsed, said);
        if !self.screen.is_live() && now - self.status >= STATUS {
            self.status = now;
            events.push(status::line(&self.stage, &tally, clock));
        }
        self.screen
            .draw(&events, &status::foot(&self.stage, &tally, clock, next))?;
        Ok(())
    }
}

/// Where lines were lost, for a look into the logs; the first few.
fn gaps(tally: &Tally, written: &Written) -> Vec<String> {
    let gap = |(log, generation, first, last): (Log, u32, u64, u64)| {
        format!("lost: {} {generation}, lines {first} to {last}", log.name())
    };
    tally.gaps(written).into_iter().take(GAPS).map(gap).collect()
}
