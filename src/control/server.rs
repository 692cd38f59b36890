//! The service's side of the control socket: takes connections, knows who is there, reads requests, writes answers.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::desk::{Desk, Reply};
use super::protocol::{Answer, LONGEST_REQUEST, Refused, Request};
use super::socket;

/// Connections at once: operators and their monitoring, not a crowd.
const CONNECTIONS: usize = 32;
/// A client that asks nothing for so long is gone; `status --watch` asks each second.
const SILENCE: Duration = Duration::from_secs(30);
/// A client that takes no answer for so long is stuck.
const TAKE: Duration = Duration::from_secs(30);
/// The same for an answer in parts: a list may be read page by page.
const TAKE_PART: Duration = Duration::from_secs(600);
/// After an error of accept, as when no handle is left.
const PAUSE: Duration = Duration::from_secs(1);

/// The listening socket. Dropped, it is gone from the state directory.
pub struct Server {
    path: PathBuf,
}

/// Counts a connection while it lives.
struct Seat(Rc<Cell<usize>>);

impl Server {
    /// Listens in the state directory, whose lock the caller holds, and answers on the current system.
    pub fn start(state: &Path, desk: Desk) -> io::Result<Self> {
        let listener = socket::listen(state)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        actix_rt::spawn(serve(listener, desk));
        Ok(Self {
            path: socket::path(state),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that stays is known as stale.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(listener: UnixListener, desk: Desk) {
    let seats = Rc::new(Cell::new(0));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let seat = Seat::take(&seats);
                let desk = desk.clone();
                actix_rt::spawn(async move {
                    let talked = match seat {
                        Some(_seat) => talk(stream, &desk).await,
                        None => turn_away(stream).await,
                    };
                    if let Err(error) = talked {
                        log::debug!(cause:% = error; "control connection ended");
                    }
                });
            }
            Err(error) => {
                log::warn!(cause:% = error; "cannot accept a control connection; trying again");
                actix_rt::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn talk(stream: UnixStream, desk: &Desk) -> io::Result<()> {
    // Connecting takes the right to write to the socket, which its owner and its group have: whoever is here may look.
    let user = stream.peer_cred()?.uid();
    let may_change = user == 0 || user == geteuid().as_raw();
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(LONGEST_REQUEST);
        timeout(SILENCE, bounded.read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Ok(());
        }
        let reply = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                log::debug!(user, request:?; "control request");
                desk.answer(request, may_change).await
            }
            Err(error) => {
                let refused = Refused::new(format!("cannot understand the request: {error}"));
                Reply::One(Answer::Refused(
                    refused.help("use the logcatch that runs as the service"),
                ))
            }
        };
        // An unfinished line cannot be followed by another.
        let is_last = line.last() != Some(&b'\n');
        match reply {
            Reply::One(answer) => write(&mut stream, answer, TAKE).await?,
            Reply::Parts(mut parts) => {
                let mut ended = false;
                while let Some(part) = parts.recv().await {
                    ended = part.is_last();
                    write(&mut stream, part, TAKE_PART).await?;
                }
                if !ended {
                    // Whoever was to answer is gone, as after a panic.
                    let refused = Refused::new("cannot answer to the end").help("the service's log says more");
                    write(&mut stream, Answer::Refused(refused), TAKE).await?;
                }
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

async fn turn_away(stream: UnixStream) -> io::Result<()> {
    let refused = Refused::new(format!("cannot answer: {CONNECTIONS} clients are connected already"));
    let answer = Answer::Refused(refused.help("end some, such as `logcatch status --watch`"));
    write(&mut BufReader::new(stream), answer, TAKE).await
}

async fn write(stream: &mut BufReader<UnixStream>, answer: Answer, patience: Duration) -> io::Result<()> {
    // Megabytes where there are thousands of files.
    let text = actix_rt::task::spawn_blocking(move || serde_json::to_vec(&answer)).await;
    let mut text = text.map_err(io::Error::other)??;
    text.push(b'\n');
    timeout(patience, stream.write_all(&text)).await??;
    Ok(())
}

impl Seat {
    fn take(seats: &Rc<Cell<usize>>) -> Option<Self> {
        (seats.get() < CONNECTIONS).then(|| {
            seats.set(seats.get() + 1);
            Self(Rc::clone(seats))
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
