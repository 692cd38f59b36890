//! What the shipper wants done off its thread, because it may block.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Code;
use crate::letters::{BuryError, DeadLetters, Letter};
use crate::options::{Options, StartError};
use crate::outlet::{Inquire, Outlet};
use crate::transact::{Cure, OpenError, Opened, PositionLog, Transact, TransactError};

/// Creates outlets: from options and the limit of one batch in bytes, if there is one to keep.
pub type Builder<O> = Arc<dyn Fn(&Options, Option<u64>) -> Result<O, StartError> + Send + Sync>;

/// An errand: [`Errand::run`] it on a thread that may block, and give the answer to
/// [`Shipper::done`](crate::Shipper::done).
pub struct Errand<O: Outlet>(pub(crate) Task<O>);

/// What came of an errand.
pub struct Answer<O: Outlet>(pub(crate) Found<O>);

/// Which producer of a shipper was asked, the first, the second ...: what an earlier one answers may tell of another cluster.
pub(crate) type Era = u64;

pub(crate) enum Task<O: Outlet> {
    Ask {
        era: Era,
        topics: Vec<Arc<str>>,
        inquirer: O::Inquirer,
    },
    Limit {
        era: Era,
        topic: Arc<str>,
        inquirer: O::Inquirer,
    },
    Bury {
        letters: Vec<Letter>,
        sink: Arc<dyn DeadLetters>,
    },
    Build {
        options: Options,
        batch_bytes: Option<u64>,
        builder: Builder<O>,
    },
    Token {
        inquirer: O::Inquirer,
    },
    Retire(O),
    Transact {
        era: u64,
        call: Call,
        inquirer: O::Inquirer,
        log: Arc<dyn PositionLog>,
        options: Options,
    },
}

/// What to do about a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    /// Read positions back and begin the first one, after fencing others where that was not done.
    Open {
        fence: bool,
        /// Others fenced us: before we fence them, we look whether one took over.
        wary: bool,
    },
    /// Commit it and begin the next.
    Commit,
    /// Abort it and begin the next.
    Abort,
}

/// What came of a [`Call`]. The last result is that of beginning the next transaction.
pub(crate) enum Came {
    Opened {
        /// Others are fenced by now.
        fenced: bool,
        result: Result<Opened, OpenFailure>,
    },
    Committed(Result<(), TransactError>, Result<(), TransactError>),
    Aborted {
        /// What made it fail, where that is known.
        why: Option<Code>,
        aborted: Result<(), TransactError>,
        begun: Result<(), TransactError>,
    },
}

pub(crate) enum OpenFailure {
    Client(TransactError),
    Positions(OpenError),
}

pub(crate) enum Found<O: Outlet> {
    Partitions(Era, Vec<(Arc<str>, Result<u32, Code>)>),
    Limit(Era, Option<u64>),
    Buried(Result<(), BuryError>),
    Built {
        /// What it was made of.
        options: Options,
        outlet: Result<O, StartError>,
    },
    Token,
    Retired,
    Transacted {
        era: u64,
        came: Came,
    },
}

/// A commit that is not answered within this is asked for again, after a look at what came back.
const STEP: Duration = Duration::from_secs(1);

/// The longest that a question waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl<O: Outlet> Errand<O> {
    /// Whether it commits a transaction.
    pub fn commits(&self) -> bool {
        matches!(self.0, Task::Transact { call: Call::Commit, .. })
    }

    /// Runs it; blocks for some seconds at most.
    pub fn run(self) -> Answer<O> {
        Answer(match self.0 {
            Task::Ask { era, topics, inquirer } => Found::Partitions(era, ask(topics, &inquirer)),
            Task::Limit { era, topic, inquirer } => Found::Limit(era, inquirer.max_message_bytes(&topic, PATIENCE)),
            Task::Bury { letters, sink } => Found::Buried(sink.bury(&letters)),
            Task::Build {
                options,
                batch_bytes,
                builder,
            } => Found::Built {
                outlet: builder(&options, batch_bytes),
                options,
            },
            Task::Token { inquirer } => {
                // What comes of it is reported like anything else of the connection.
                inquirer.renew_token();
                Found::Token
            }
            Task::Retire(outlet) => {
                drop(outlet);
                Found::Retired
            }
            Task::Transact {
                era,
                call,
                inquirer,
                log,
                options,
            } => Found::Transacted {
                era,
                came: transact(call, &inquirer, &*log, &options),
            },
        })
    }
}

/// Blocks for some seconds at most, or as long as reading positions takes.
fn transact<I: Transact + Inquire>(call: Call, inquirer: &I, log: &dyn PositionLog, options: &Options) -> Came {
    let next = |done: &Result<(), TransactError>| if done.is_ok() { inquirer.begin() } else { Ok(()) };
    match call {
        Call::Open { fence, wary } => {
            if wary && let Err(error) = log.open(options) {
                return Came::Opened {
                    fenced: false,
                    result: Err(OpenFailure::Positions(error)),
                };
            }
            if fence && let Err(error) = inquirer.init(PATIENCE) {
                return Came::Opened {
                    fenced: false,
                    result: Err(OpenFailure::Client(error)),
                };
            }
            let opened = log.open(options).map_err(OpenFailure::Positions);
            let result = opened.and_then(|opened| inquirer.begin().map(|()| opened).map_err(OpenFailure::Client));
            Came::Opened { fenced: true, result }
        }
        Call::Commit => {
            let committed = inquirer
                .commit(STEP)
                .map_err(|error| explain(error, inquirer, log.topic()));
            let begun = next(&committed);
            Came::Committed(committed, begun)
        }
        Call::Abort => {
            let why = inquirer.why();
            let aborted = inquirer.abort(PATIENCE);
            let begun = next(&aborted);
            Came::Aborted { why, aborted, begun }
        }
    }
}

/// The library does not say why a commit does not begin: positions may wait for a topic that somebody deleted.
fn explain<I: Inquire>(error: TransactError, inquirer: &I, topic: &str) -> TransactError {
    let is_missing = || {
        let answer = inquirer.partitions(topic, STEP);
        matches!(answer, Err(Code::UNKNOWN_TOPIC | Code::UNKNOWN_TOPIC_OR_PARTITION))
    };
    if error.cure != Cure::Again || !is_missing() {
        return error;
    }
    TransactError {
        text: format!("the topic `{topic}` is missing, and is made again when logcatch starts"),
        ..error
    }
}

/// Asks for one topic after the other; when nobody answers, the others are not waited for one by one.
fn ask<I: Inquire>(topics: Vec<Arc<str>>, inquirer: &I) -> Vec<(Arc<str>, Result<u32, Code>)> {
    let mut nobody = None;
    let answer = |topic: Arc<str>| {
        let answer = match nobody {
            Some(code) => Err(code),
            None => inquirer.partitions(&topic, PATIENCE),
        };
        if let Err(code) = answer
            && is_silence(code)
        {
            nobody = Some(code);
        }
        (topic, answer)
    };
    topics.into_iter().map(answer).collect()
}

/// True for an error that is the client's own, and says that no broker answered.
pub(crate) fn is_silence(code: Code) -> bool {
    code.0 < 0 && !matches!(code, Code::UNKNOWN_TOPIC | Code::UNKNOWN_PARTITION)
}
