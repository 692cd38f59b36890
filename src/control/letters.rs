//! Dead letters, listed and sent again: by the service while one runs, and by the command itself while none does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_rt::Arbiter;
use actix_rt::task::spawn_blocking;
use logcatch_actors::{
    DeadLetterStore, DrainKafka, KafkaActor, LettersError, Refusals, Resend, Resent, SealError, Sealed, Segment,
    Segments, ShipBatch, options,
};
use logcatch_kafka::{Options, StartError};
use logcatch_settings::Settings;
use logcatch_settings::cause::chain;
use thiserror::Error;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{oneshot, watch};

use super::protocol::{Answer, Letters, Meant, Refused};

/// Bytes of letters in one part of an answer, or one longer letter.
const PART: usize = 256 * 1024;
/// How often whoever waits hears how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Why letters could not be sent again.
#[derive(Debug, Error)]
pub enum ResendError {
    /// There is no producer.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Their files cannot be read or written.
    #[error(transparent)]
    Letters(#[from] LettersError),
}

/// Lists the letters that are meant, from a thread of its own.
pub fn list(letters: &Arc<DeadLetterStore>, meant: Meant) -> Receiver<Answer> {
    let letters = Arc::clone(letters);
    let (parts, answers) = channel(1);
    // Nobody waits for it: it ends with its parts, or when nobody takes them.
    drop(spawn_blocking(move || {
        let last = match in_parts(letters.segments(), &meant, &parts) {
            Ok(last) => Answer::Letters(last),
            Err(error) => Answer::Refused(refused(&error)),
        };
        let _ = parts.blocking_send(last);
    }));
    answers
}

/// Sends all parts but the last, and returns that.
fn in_parts(segments: &Segments, meant: &Meant, parts: &Sender<Answer>) -> Result<Letters, LettersError> {
    let (mut part, mut bytes) = (Letters::default(), 0);
    for segment in segments.list()? {
        for line in segment.lines()? {
            let line = line?;
            match line.letter {
                Some(letter) if meant.is(&letter) => {
                    bytes += line.raw.len();
                    part.letters.push(String::from_utf8_lossy(&line.raw).into_owned());
                }
                Some(_) => {}
                None => part.unreadable += 1,
            }
            if bytes >= PART {
                bytes = 0;
                if parts.blocking_send(Answer::Letters(std::mem::take(&mut part))).is_err() {
                    return Ok(part);
                }
            }
        }
    }
    part.last = true;
    Ok(part)
}

/// Sends sealed letters again, on an arbiter of its own: reading and writing their files blocks nobody else there.
pub fn resend_sealed(settings: &Settings, sealed: Sealed, meant: Meant, topic: Option<String>) -> Receiver<Answer> {
    let options = options(settings);
    let (parts, answers) = channel(1);
    let (progress, seen) = watch::channel(Resent::default());
    let (done, result) = oneshot::channel();
    let arbiter = Arbiter::new();
    log::info!(files = sealed.files().len(); "dead letters are sent again");
    arbiter.spawn(async move {
        let stop = || sealed.is_ending();
        let resent = resend(
            options,
            sealed.segments(),
            sealed.files(),
            &meant,
            topic,
            progress,
            stop,
        )
        .await;
        // Free for the next one before this one is answered.
        drop(sealed);
        let _ = done.send(resent);
    });
    actix_rt::spawn(async move {
        let answer = answered(result, seen, &parts).await;
        arbiter.stop();
        if let Some(answer) = answer {
            let _ = parts.send(answer).await;
        }
    });
    answers
}

/// The end of a resend, after its progress was told; none if it ended in a panic.
async fn answered(
    mut result: oneshot::Receiver<Result<Resent, ResendError>>,
    seen: watch::Receiver<Resent>,
    parts: &Sender<Answer>,
) -> Option<Answer> {
    let resent = loop {
        tokio::select! {
            resent = &mut result => break resent,
            () = actix_rt::time::sleep(PROGRESS) => {
                let progress = Answer::Resending(seen.borrow().clone());
                if parts.send(progress).await.is_ok() {
                    continue;
                }
            }
            () = parts.closed() => {}
        }
        // Nobody waits any more: it ends with what is on its way.
        drop(seen);
        break result.await;
    };
    match resent.ok()? {
        Ok(resent) => {
            log::info!(sent = resent.sent, refused = resent.refused, left = resent.left, cut = resent.cut;
                "dead letters were sent again");
            Some(Answer::Resent(resent))
        }
        Err(error) => {
            log::error!(cause:% = error; "cannot send dead letters again");
            Some(Answer::Refused(refused(&error)))
        }
    }
}

/// Sends the letters of these files again that are meant, through a producer of its own on the current arbiter: what is
/// refused again stays where it is, and what the service ships does not wait. It needs memory for a few megabytes, beside
/// `limits.in_flight`: else letters that hold back their files could not be sent away.
pub async fn resend(
    options: Options,
    segments: &Segments,
    files: &[Segment],
    meant: &Meant,
    topic: Option<String>,
    progress: watch::Sender<Resent>,
    stop: impl Fn() -> bool,
) -> Result<Resent, ResendError> {
    if files.is_empty() {
        return Ok(Resent::default());
    }
    let refusals = Arc::new(Refusals::default());
    let (kafka, lanes) = KafkaActor::start_on(&Arbiter::current(), options, Arc::clone(&refusals) as _)?;
    let ship = |batch| kafka.do_send(ShipBatch(batch));
    let resend = Resend::new(ship, lanes, refusals, topic, progress);
    let resent = resend.run(segments, files, |letter| meant.is(letter), stop).await;
    // Ends the producer; whatever it still holds is kept as a letter.
    let deadline = Instant::now();
    let _ = kafka.send(DrainKafka { deadline }).await;
    Ok(resent?)
}

/// Why none are sent again now.
pub fn seal_refused(error: &SealError) -> Refused {
    match error {
        SealError::Busy => refused(error).help("wait for its end; the service's log says it"),
        SealError::Ending => refused(error).help("send them again when it has started again"),
        SealError::Letters(_) => refused(error),
    }
}

fn refused(error: &(dyn std::error::Error + 'static)) -> Refused {
    Refused::new(chain(error))
}
