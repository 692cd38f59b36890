//! What will happen: every action and its order, decided by the seed alone. How fast the machine is decides only how long
//! the actions themselves take.

use super::random::Random;
use super::rotator::Kind;

/// Something that happens to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lines are appended to a log: by one system call, or by one each.
    Write { log: usize, lines: usize, singly: bool },
    /// A program that still holds an old handle of a log writes so many lines.
    Late { log: usize, lines: usize },
    /// Half a line is written; the rest comes with the next action on the log that writes.
    Half { log: usize },
    /// A log is rotated, by the kind's own means.
    Rotate { log: usize, kind: Kind },
    /// The service is killed.
    Kill,
    /// The service is asked to end.
    Terminate,
    /// The service is started.
    Start,
    /// The service is stopped where it is (SIGSTOP).
    Freeze,
    /// It goes on (SIGCONT).
    Thaw,
    /// Something becomes of Kafka for this long.
    Kafka { outage: Outage, millis: u64 },
    /// The settings file changes.
    Settings(Touch),
    /// Everything is mended, nothing is written, and all that is owed must arrive.
    Calm,
}

/// What becomes of Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// SIGKILL, then a start.
    Killed,
    /// SIGSTOP, then SIGCONT: connections stay open and nobody answers.
    Paused,
    /// Stopped as an operator does, then started.
    Restarted,
}

/// What becomes of the settings file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// Written again as it is.
    Same,
    /// Another checkpoint interval, in-flight limit and longest line.
    Limits,
    /// It is no TOML for a moment.
    Broken,
    /// The entry of the second directory goes.
    SideOff,
    /// It comes back.
    SideOn,
    /// The same file, and SIGHUP.
    Hangup,
}

/// How often what happens.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The logs, by how each is rotated.
    pub logs: Vec<Vec<Kind>>,
    /// Weights of writing, late lines, half lines, rotation.
    pub write: u64,
    pub late: u64,
    pub half: u64,
    pub rotate: u64,
    /// Weights of what becomes of the service and of Kafka.
    pub kill: u64,
    pub terminate: u64,
    pub freeze: u64,
    pub outage: u64,
    pub settings: u64,
    /// The most lines of one write.
    pub burst: u64,
    /// Planned milliseconds from one calm to the next.
    pub calm_every: u64,
}

impl Profile {
    /// Everything at once.
    pub fn everything() -> Profile {
        let style = |kinds: &[Kind]| kinds.to_vec();
        let logs = vec![
            style(&[Kind::Compress { keep: 5 }]),
            style(&[Kind::Rename { keep: 2 }]),
            style(&[Kind::Dated { keep: 3 }]),
            style(&[Kind::Copy { keep: 4 }, Kind::CopyAndCompress { keep: 4 }]),
            style(&[Kind::Recreate, Kind::RenameAndDelete]),
            style(&[Kind::Truncate]),
            style(&[Kind::LogrotateCreate { keep: 3 }]),
            style(&[Kind::LogrotateCopy { keep: 3 }]),
            style(&[Kind::Rename { keep: 4 }, Kind::Recreate]),
            style(&[Kind::CopyInGlob { keep: 3 }]),
            // These two are in the second directory, whose entry comes and goes.
            style(&[Kind::Rename { keep: 4 }]),
            style(&[Kind::Copy { keep: 4 }]),
        ];
        Profile {
            logs,
            write: 900,
            late: 60,
            half: 30,
            rotate: 70,
            kill: 8,
            terminate: 5,
            freeze: 6,
            outage: 3,
            settings: 6,
            burst: 300,
            calm_every: 20_000,
        }
    }

    /// The service and Kafka killed all the time.
    pub fn outages() -> Profile {
        Profile {
            kill: 25,
            outage: 25,
            ..Profile::everything()
        }
    }

    /// Only writers; what else happens is switched on one by one.
    pub fn quiet(logs: Vec<Vec<Kind>>) -> Profile {
        Profile {
            logs,
            late: 0,
            half: 0,
            rotate: 0,
            kill: 0,
            terminate: 0,
            freeze: 0,
            outage: 0,
            settings: 0,
            ..Profile::everything()
        }
    }
}

/// The logs of the second directory are the last so many.
pub const SIDE_LOGS: usize = 2;

/// An action, and how long nothing happens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub pause: u64,
    pub action: Action,
}

/// The steps of a seed, without end: a longer run begins as a shorter one does.
pub struct Plan {
    random: Random,
    profile: Profile,
    /// What must follow in so many steps, because of what was planned before.
    due: Vec<(u32, Action)>,
    up: bool,
    frozen: bool,
    side: bool,
    since_calm: u64,
}

impl Plan {
    /// The plan of a seed. The service runs when it begins.
    pub fn new(seed: u64, profile: Profile) -> Plan {
        Plan {
            random: Random::new(seed),
            profile,
            due: Vec::new(),
            up: true,
            frozen: false,
            side: true,
            since_calm: 0,
        }
    }

    /// What has become due, if anything.
    fn take_due(&mut self) -> Option<Action> {
        for (steps, _) in &mut self.due {
            *steps = steps.saturating_sub(1);
        }
        let at = self.due.iter().position(|(steps, _)| *steps == 0)?;
        Some(self.due.remove(at).1)
    }

    fn later(&mut self, low: u64, high: u64, action: Action) {
        let steps = u32::try_from(self.random.between(low, high)).unwrap();
        self.due.push((steps, action));
    }

    fn draw(&mut self) -> Action {
        let profile = self.profile.clone();
        let log = self.random.index(profile.logs.len());
        let random = &mut self.random;
        loop {
            let choice = random.weighted(&[
                (profile.write, 0),
                (profile.late, 1),
                (profile.half, 2),
                (profile.rotate, 3),
                (profile.kill, 4),
                (profile.terminate, 5),
                (profile.freeze, 6),
                (profile.outage, 7),
                (profile.settings, 8),
            ]);
            return match choice {
                0 => {
                    let lines = match random.between(1, 100) {
                        1 => profile.burst * 10,
                        2..=20 => random.between(1, profile.burst),
                        _ => random.between(1, 10),
                    };
                    let lines = usize::try_from(lines).unwrap();
                    let singly = lines <= 10 && random.percent(50);
                    Action::Write { log, lines, singly }
                }
                1 => Action::Late {
                    log,
                    lines: 1 + random.index(8),
                },
                2 => Action::Half { log },
                3 => {
                    let kinds = &profile.logs[log];
                    Action::Rotate {
                        log,
                        kind: kinds[random.index(kinds.len())],
                    }
                }
                4 | 5 if self.up && !self.frozen => {
                    self.up = false;
                    self.later(1, 80, Action::Start);
                    if choice == 4 { Action::Kill } else { Action::Terminate }
                }
                6 if self.up && !self.frozen => {
                    self.frozen = true;
                    let end = if self.random.percent(20) {
                        Action::Kill
                    } else {
                        Action::Thaw
                    };
                    self.later(2, 100, end);
                    Action::Freeze
                }
                7 => {
                    let outage = random.weighted(&[(3, Outage::Paused), (2, Outage::Killed), (1, Outage::Restarted)]);
                    Action::Kafka {
                        outage,
                        millis: random.between(200, 5000),
                    }
                }
                8 => {
                    let touch = random.weighted(&[
                        (1, Touch::Same),
                        (3, Touch::Limits),
                        (1, Touch::Broken),
                        (1, Touch::Hangup),
                        (2, Touch::SideOff),
                    ]);
                    if touch == Touch::SideOff {
                        if !self.side {
                            continue;
                        }
                        self.side = false;
                        self.later(20, 150, Action::Settings(Touch::SideOn));
                    }
                    Action::Settings(touch)
                }
                _ => continue,
            };
        }
    }

    /// Keeps the plan's own picture of the world.
    fn note(&mut self, action: Action) {
        match action {
            Action::Start => self.up = true,
            Action::Thaw => self.frozen = false,
            Action::Kill if self.frozen => {
                self.frozen = false;
                self.up = false;
                self.later(1, 80, Action::Start);
            }
            Action::Settings(Touch::SideOn) => self.side = true,
            Action::Calm => {
                (self.up, self.frozen, self.side, self.since_calm) = (true, false, true, 0);
                self.due.clear();
            }
            _ => {}
        }
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let pause = match self.random.between(1, 100) {
            1..=40 => 0,
            41..=95 => self.random.between(1, 30),
            _ => self.random.between(30, 300),
        };
        self.since_calm += pause;
        let action = if self.since_calm >= self.profile.calm_every {
            Action::Calm
        } else {
            self.take_due().unwrap_or_else(|| self.draw())
        };
        self.note(action);
        Some(Step { pause, action })
    }
}
