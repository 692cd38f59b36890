//! What the shipper wants done off its thread, because it may block.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Code;
use crate::letters::{BuryError, DeadLetters, Letter};
use crate::options::{Options, StartError};
use crate::outlet::{Inquire, Outlet};

/// Creates outlets: from options and the limit of one batch in bytes, if there is one to keep.
pub type Builder<O> = Arc<dyn Fn(&Options, Option<u64>) -> Result<O, StartError> + Send + Sync>;

/// An errand: [`Errand::run`] it on a thread that may block, and give the answer to
/// [`Shipper::done`](crate::Shipper::done).
pub struct Errand<O: Outlet>(pub(crate) Task<O>);

/// What came of an errand.
pub struct Answer<O: Outlet>(pub(crate) Found<O>);

pub(crate) enum Task<O: Outlet> {
    Ask {
        topics: Vec<Arc<str>>,
        inquirer: O::Inquirer,
    },
    Limit {
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
}

pub(crate) enum Found<O: Outlet> {
    Partitions(Vec<(Arc<str>, Result<u32, Code>)>),
    Limit(Option<u64>),
    Buried(Result<(), BuryError>),
    Built(Result<O, StartError>),
    Token,
    Retired,
}

/// The longest that a question waits for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

impl<O: Outlet> Errand<O> {
    /// Runs it; blocks for some seconds at most.
    pub fn run(self) -> Answer<O> {
        Answer(match self.0 {
            Task::Ask { topics, inquirer } => Found::Partitions(ask(topics, &inquirer)),
            Task::Limit { topic, inquirer } => Found::Limit(inquirer.max_message_bytes(&topic, PATIENCE)),
            Task::Bury { letters, sink } => Found::Buried(sink.bury(&letters)),
            Task::Build {
                options,
                batch_bytes,
                builder,
            } => Found::Built(builder(&options, batch_bytes)),
            Task::Token { inquirer } => {
                // What comes of it is reported like anything else of the connection.
                inquirer.renew_token();
                Found::Token
            }
            Task::Retire(outlet) => {
                drop(outlet);
                Found::Retired
            }
        })
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
