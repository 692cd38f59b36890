//! Programs that write logs, and what rotates them, with the system calls that real ones use.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::case;
use super::guard;
use super::oracle::Oracle;
use super::service::{self, Host};

/// A log file with the program that appends to it.
pub struct LogFile {
    oracle: Arc<Oracle>,
    path: PathBuf,
    /// Its name in the lines: the path on the host.
    file: Arc<str>,
    generation: u32,
    handle: File,
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

impl LogFile {
    /// Creates or opens a log on a host; its records must carry the default key.
    pub fn open(oracle: &Arc<Oracle>, host: &Host, name: &str) -> LogFile {
        oracle.key(name, host.key(name));
        LogFile::at(oracle, host.path(name), name)
    }

    /// A log whose records may carry any key.
    pub fn at(oracle: &Arc<Oracle>, path: PathBuf, name: &str) -> LogFile {
        LogFile {
            oracle: oracle.clone(),
            handle: append(&path),
            path,
            file: name.into(),
            generation: 1,
        }
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends lines through the handle that is kept open, one system call for all.
    pub fn write(&mut self, count: usize) {
        let text = self.lines(count, "\n");
        self.handle.write_all(text.as_bytes()).unwrap();
    }

    /// Appends lines, each with its own system call.
    pub fn write_singly(&mut self, count: usize) {
        (0..count).for_each(|_| self.write(1));
    }

    /// Appends lines as a program does that opens and closes the log for each.
    pub fn write_reopening(&mut self, count: usize) {
        for _ in 0..count {
            append(&self.path).write_all(self.lines(1, "\n").as_bytes()).unwrap();
        }
    }

    /// The next lines, each with this end: counted as written, for the caller to write.
    pub fn lines(&self, count: usize, end: &str) -> String {
        (0..count)
            .map(|_| self.oracle.next(&self.file, self.generation) + end)
            .collect()
    }

    /// Appends bytes that the oracle does not know of.
    pub fn write_raw(&mut self, bytes: &[u8]) {
        self.handle.write_all(bytes).unwrap();
    }

    /// The log is renamed and begun anew; gives the program that still holds the old handle.
    pub fn rename_to(&mut self, path: &Path) -> LogFile {
        fs::rename(&self.path, path).unwrap();
        self.begin(append(&self.path))
    }

    /// The log is deleted and begun anew; gives the program that still holds the old handle.
    pub fn delete(&mut self) -> LogFile {
        fs::remove_file(&self.path).unwrap();
        self.begin(append(&self.path))
    }

    /// The log is deleted, with no handle left, and begun anew in the inode that is free then; false where the file system
    /// does not give it again.
    pub fn delete_and_take_inode(&mut self) -> bool {
        const TRIES: usize = 1000;
        let inode = fs::metadata(&self.path).unwrap().ino();
        self.handle = File::open("/dev/null").unwrap();
        fs::remove_file(&self.path).unwrap();
        // Others make files, too: those that are not it stay until it is found.
        let mut others = Vec::new();
        let is_found = (0..TRIES).any(|number| {
            let path = self.path.with_file_name(format!(".try-{number}"));
            let is_it = File::create(&path).unwrap().metadata().unwrap().ino() == inode;
            others.push(path);
            is_it
        });
        if is_found && let Some(path) = others.pop() {
            fs::rename(path, &self.path).unwrap();
        }
        others.iter().for_each(|path| fs::remove_file(path).unwrap());
        drop(self.begin(append(&self.path)));
        is_found
    }

    /// The log is cut to nothing in place; what follows is its next generation.
    pub fn truncate(&mut self) {
        self.handle.set_len(0).unwrap();
        self.generation += 1;
    }

    /// The log is copied, then cut to nothing.
    pub fn copy_and_truncate(&mut self, path: &Path) {
        fs::copy(&self.path, path).unwrap();
        self.truncate();
    }

    /// The path leads to a new file now, made by somebody else; gives the program that still holds the old handle.
    pub fn reopen(&mut self) -> LogFile {
        self.begin(append(&self.path))
    }

    fn begin(&mut self, handle: File) -> LogFile {
        let old = LogFile {
            oracle: self.oracle.clone(),
            path: self.path.clone(),
            file: self.file.clone(),
            generation: self.generation,
            handle: std::mem::replace(&mut self.handle, handle),
        };
        self.generation += 1;
        old
    }
}

/// Work that goes on beside the test until it is stopped.
pub struct Background<T> {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<T>>,
}

impl<T: Send + 'static> Background<T> {
    /// Calls `step` with `state` again and again.
    pub fn repeat(mut state: T, mut step: impl FnMut(&mut T) + Send + 'static) -> Background<T> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                step(&mut state);
            }
            state
        });
        Background {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it after its current step.
    pub fn stop(mut self) -> T {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .unwrap()
            .join()
            .expect("the work beside the test went well")
    }
}

impl<T> Drop for Background<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Runs the real logrotate with this configuration; skips the test where it is not installed.
pub fn logrotate(host: &Host, configuration: &str) {
    if !installed("logrotate") {
        case::skip("logrotate is not installed");
    }
    let path = host.path("logrotate.conf");
    fs::write(&path, configuration).unwrap();
    let mut command = guard::command("logrotate");
    command
        .arg("--force")
        .arg("--state")
        .arg(host.path("logrotate.state"))
        .arg(&path);
    let output = service::finish(command);
    assert_eq!(output.code, Some(0), "logrotate failed: {output:?}");
}

/// Whether a program is found in `PATH`.
pub fn installed(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|dir| Path::new(dir).join(program).is_file())
}
