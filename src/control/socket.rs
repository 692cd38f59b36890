//! The socket in the state directory: who may use it, and how it is reached under a path that is too long for one.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};

/// Its name in the state directory.
const NAME: &str = "control.sock";
/// While it is made. It takes its name when its rights are set: nobody connects to it before.
const FRESH: &str = "control.sock.new";
/// The longest path of a socket, its final NUL not counted: `sun_path` in unix(7).
const LONGEST: usize = 107;
/// Its owner and its group: connecting takes the right to write.
const MODE: u32 = 0o660;

/// Where the socket of a state directory is.
pub fn path(state: &Path) -> PathBuf {
    state.join(NAME)
}

/// Makes the socket anew, in place of one that an earlier service left: whoever calls this holds the lock of the directory.
pub fn listen(state: &Path) -> io::Result<UnixListener> {
    let fresh = state.join(FRESH);
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let near = Near::new(state)?;
    let listener = UnixListener::bind(near.path(FRESH))?;
    let group = fs::metadata(state)?.gid();
    if let Err(error) = chown(&fresh, None, Some(group)) {
        log::warn!(cause:% = error, group; "cannot give the control socket to the group of the state directory; it has our own");
    }
    fs::set_permissions(&fresh, Permissions::from_mode(MODE))?;
    fs::rename(&fresh, path(state))?;
    Ok(listener)
}

/// Connects to the service of a state directory.
pub fn connect(state: &Path) -> io::Result<UnixStream> {
    let near = Near::new(state)?;
    UnixStream::connect(near.path(NAME))
}

/// The directory under a name that is short enough.
struct Near {
    directory: PathBuf,
    /// Keeps that name alive.
    _handle: Option<OwnedFd>,
}

impl Near {
    fn new(directory: &Path) -> io::Result<Self> {
        if directory.join(FRESH).as_os_str().len() <= LONGEST {
            let directory = directory.to_owned();
            return Ok(Self {
                directory,
                _handle: None,
            });
        }
        let handle = open(
            directory,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        Ok(Self {
            directory: PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())),
            _handle: Some(handle),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn talk(state: &Path) {
        let listener = listen(state).unwrap();
        let mut client = connect(state).unwrap();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        listener.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(byte, *b"x");
    }

    #[test]
    fn a_deep_directory_is_reached_and_a_stale_socket_replaced() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("d".repeat(100)).join("e".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        for state in [root.path(), &deep] {
            talk(state);
            let stale = connect(state).unwrap_err();
            assert_eq!(stale.kind(), io::ErrorKind::ConnectionRefused);
            talk(state);
            let mode = fs::metadata(path(state)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, MODE);
        }
    }
}
