//! The commands' side of the control socket.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use logcatch_settings::state_directory;
use thiserror::Error;

use super::protocol::{Answer, LONGEST_ANSWER, Request};
use super::socket;
use crate::cli::environment;
use crate::error::Failure;
use crate::state_failure::name_in;

/// A service that says nothing for so long hangs: it answers orders that take longer before.
const SILENCE: Duration = Duration::from_secs(60);

/// A conversation with a running service.
pub struct Client {
    stream: BufReader<UnixStream>,
    state: PathBuf,
}

/// Why there is no conversation.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// There is no socket, or nobody listens at it.
    #[error("cannot find a running logcatch on the state directory `{state}`")]
    NoService {
        /// The state directory.
        state: PathBuf,
    },
    /// Another reason.
    #[error("cannot talk to the service through `{path}`")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: io::Error,
    },
}

/// The state directory that a command means: from `--state`, else the settings file, whatever else that says.
pub fn state_of(config: &Path, state: Option<&Path>) -> Result<PathBuf, Failure> {
    match state {
        Some(state) => std::path::absolute(state).map_err(Failure::new),
        None => state_directory(config, &environment).map_err(|refused| {
            let help = "name the service's state directory by --state, or its settings file by --config";
            Failure::from(refused).help(help)
        }),
    }
}

/// Asks the service of `state` one thing.
pub fn ask(state: &Path, request: &Request) -> Result<Answer, Failure> {
    Client::connect(state)?.ask(request)
}

impl Client {
    /// Connects to the service of a state directory.
    pub fn connect(state: &Path) -> Result<Self, ConnectError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ConnectError::NoService {
                state: state.to_owned(),
            },
            _ => ConnectError::Socket {
                path: socket::path(state),
                source,
            },
        };
        let stream = socket::connect(state).map_err(failed)?;
        let set = stream.set_read_timeout(Some(SILENCE));
        set.and_then(|()| stream.set_write_timeout(Some(SILENCE)))
            .map_err(failed)?;
        Ok(Self {
            stream: BufReader::new(stream),
            state: state.to_owned(),
        })
    }

    /// Asks and waits for the answer; one that refuses is a failure.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, Failure> {
        self.tell(request)?;
        self.hear()
    }

    /// Asks what is answered in parts: [`Client::hear`] waits for each.
    pub fn tell(&mut self, request: &Request) -> Result<(), Failure> {
        match self.send(request) {
            // It may have refused before it was asked, and that is still to be heard.
            Err(source) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            sent => sent.map_err(|source| self.failed(source)),
        }
    }

    /// Waits for the next part of the answer; one that refuses is a failure.
    pub fn hear(&mut self) -> Result<Answer, Failure> {
        match self.receive().map_err(|source| self.failed(source))? {
            Answer::Refused(refused) => Err(refused.into()),
            answer => Ok(answer),
        }
    }

    fn failed(&self, source: io::Error) -> Failure {
        let source = match source.kind() {
            // As a socket says that its time is up.
            io::ErrorKind::WouldBlock => io::Error::new(io::ErrorKind::TimedOut, "it does not answer"),
            _ => source,
        };
        let path = socket::path(&self.state);
        Failure::new(ConnectError::Socket { path, source }).help("the service's log says more")
    }

    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut text = serde_json::to_vec(request)?;
        text.push(b'\n');
        self.stream.get_mut().write_all(&text)
    }

    fn receive(&mut self) -> io::Result<Answer> {
        let mut line = Vec::new();
        (&mut self.stream).take(LONGEST_ANSWER).read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the service ended meanwhile",
            ));
        }
        Ok(serde_json::from_slice(&line)?)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let help = match &error {
            ConnectError::NoService { .. } => {
                "start it with `logcatch run`, or name its state directory by --state".to_owned()
            }
            ConnectError::Socket { path, source } if source.kind() == io::ErrorKind::PermissionDenied => allowed(path),
            ConnectError::Socket { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                "its state directory is none: name another by --state, or as state.directory in the settings".to_owned()
            }
            ConnectError::Socket { .. } => "the service's log says more".to_owned(),
        };
        Self::new(error).help(help)
    }
}

/// Who may talk to the service.
fn allowed(socket: &Path) -> String {
    let state = socket.parent().unwrap_or(socket);
    let found = fs::metadata(socket).or_else(|_| fs::metadata(state));
    found.map_or_else(
        |_| "run it as root, or as the user of the service".to_owned(),
        |meta| {
            let user = name_in("/etc/passwd", meta.uid());
            let group = name_in("/etc/group", meta.gid());
            format!("run it as root or as user `{user}`; members of group `{group}` may look")
        },
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::super::protocol::Refused;
    use super::*;

    #[test]
    fn a_refusal_that_comes_before_the_question_is_heard() {
        let state = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(socket::path(state.path())).unwrap();
        let mut client = Client::connect(state.path()).unwrap();
        // As a service does that has no seat left.
        let (mut stream, _) = listener.accept().unwrap();
        let refused = Answer::Refused(Refused::new("cannot serve you"));
        serde_json::to_writer(&mut stream, &refused).unwrap();
        stream.write_all(b"\n").unwrap();
        drop(stream);
        let failure = client.ask(&Request::Plan).unwrap_err();
        assert_eq!(failure.sentence(), "cannot serve you");
    }
}
