//! The real binary on a host of its own: a directory with logs, settings and state.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::Signal;

use super::case::Watching;
use super::eventually::{eventually, when};
use super::kafka::{Broker, unique};
use super::writers::installed;
use super::{case, guard, process};

/// The host's name in settings, keys and records.
pub const HOST: &str = "test-host";
/// In the settings that tests share: they run side by side, and the default address is one for all.
pub const NO_PAGE: &str = "web = { listen = \"\" }";

/// A host: the service may be started, ended and started again on it.
pub struct Host {
    dir: PathBuf,
    settings: PathBuf,
    environment: Vec<(String, String)>,
    /// More keys of `[kafka]`.
    kafka: String,
    /// What runs the binary, if it is not run by itself.
    wrapper: Vec<String>,
    runs: AtomicU32,
}

/// What a command of the binary that ended by itself left.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Host {
    /// A new, empty host.
    pub fn new(name: &str) -> Host {
        let dir = guard::run_dir().join(unique(name));
        fs::create_dir_all(dir.join("logs")).unwrap();
        let host = Host {
            settings: dir.join("logcatch.toml"),
            dir,
            environment: Vec::new(),
            kafka: String::new(),
            wrapper: Vec::new(),
            runs: AtomicU32::new(0),
        };
        match case::watching() {
            Watching::Exhausted => host.without_watches(),
            Watching::Notified | Watching::Polling => host,
        }
    }

    /// Every line exactly once, as this instance, with a positions topic of its own; gives the topic's name.
    pub fn exactly_once(&mut self, instance: &str) -> String {
        let topic = unique("positions");
        self.kafka = format!("delivery = \"exactly-once\"\ninstance = \"{instance}\"\npositions_topic = \"{topic}\"\n");
        topic
    }

    /// Sets more keys of `[kafka]`, in place of those that were.
    pub fn kafka_keys(&mut self, keys: &str) {
        keys.clone_into(&mut self.kafka);
    }

    /// More keys of `[kafka]` that are set.
    pub fn set_kafka_keys(&self) -> &str {
        &self.kafka
    }

    /// The binary runs in a namespace of its own, which may have no inotify watch; skips the test where that is not allowed.
    fn without_watches(self) -> Host {
        const NONE: &str = "echo 0 > /proc/sys/user/max_inotify_watches && exec \"$@\"";
        let words = ["unshare", "--user", "--map-root-user", "sh", "-c", NONE, "sh"];
        let mut probe = guard::command(words[0]);
        if !probe
            .args(&words[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            case::skip("user namespaces are not allowed here");
        }
        self.run_by(&words)
    }

    /// What runs the binary: a program that becomes the binary, and its arguments.
    pub fn run_by(mut self, words: &[&str]) -> Host {
        self.wrapper = words.iter().copied().map(str::to_owned).collect();
        self
    }

    /// A path on this host.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.join(name)
    }

    /// The key that records of a file carry unless the settings say otherwise.
    pub fn key(&self, path: impl AsRef<Path>) -> String {
        format!("{HOST}:{}", self.path(path).display())
    }

    /// The settings that nearly all tests share, before what they add: keys of `[[logs]]`, or whole sections after one.
    pub fn head(&self, broker: &str, topic: &str) -> String {
        format!(
            "host = \"{HOST}\"\n{NO_PAGE}\n[kafka]\nbrokers = [\"{broker}\"]\ntopic = \"{topic}\"\n{}[state]\ndirectory = \"{}\"\n",
            self.kafka,
            self.path("state").display()
        )
    }

    /// Writes settings that ship `logs/*.log` with what `entry` adds, and everything else at its default.
    pub fn ship_logs(&self, broker: &Broker, topic: &str, entry: &str) {
        self.settings(&format!(
            "{}[[logs]]\npath = \"logs/*.log\"\n{}{entry}\n",
            self.head(&broker.address(), topic),
            case::watch_key()
        ));
    }

    /// Replaces the settings file, as an editor that cares does: beside it, then over it.
    pub fn settings(&self, text: &str) {
        let temporary = self.settings.with_extension("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, &self.settings).unwrap();
    }

    /// Takes another file for the settings.
    pub fn with_settings_file(mut self, name: &str) -> Host {
        self.settings = self.path(name);
        self
    }

    /// Adds a variable to the environment of every process of the binary; a value is a path on this host.
    pub fn with_env(mut self, name: &str, path: &str) -> Host {
        self.environment
            .push((name.to_owned(), self.path(path).display().to_string()));
        self
    }

    /// Adds a variable with this value to the environment of every process of the binary.
    pub fn with_value(mut self, name: &str, value: &str) -> Host {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The binary must keep to the permissions of files also where root runs the tests; skips the test where it cannot.
    pub fn with_permissions(self) -> Host {
        if rustix::process::geteuid().is_root() {
            if !installed("setpriv") {
                case::skip("root may read and write everything, and setpriv is not installed");
            }
            return self.run_by(&["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
        }
        self
    }

    /// The settings file.
    pub fn settings_path(&self) -> &Path {
        &self.settings
    }

    /// The binary with its arguments and this host's settings, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_under(&[], arguments)
    }

    /// [`Host::command`], run by another program: `strace`, with its own arguments, say.
    pub fn command_under(&self, runner: &[&str], arguments: &[&str]) -> Command {
        let wrapper = runner.iter().copied().chain(self.wrapper.iter().map(String::as_str));
        let mut words = wrapper.chain([env!("CARGO_BIN_EXE_logcatch")]);
        let mut command = guard::command(words.next().expect("the binary at least"));
        command.args(words).args(arguments);
        command.env("LOGCATCH_CONFIG", &self.settings).current_dir(&self.dir);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command of the binary that ends by itself.
    pub fn run(&self, arguments: &[&str]) -> Output {
        finish(self.command(arguments))
    }

    /// Starts the service and waits until it tells its service manager that settings apply and positions are open.
    pub fn start(&self) -> Service {
        let mut managed = self.start_managed(&[]);
        managed.until("READY=1");
        managed.service
    }

    /// Starts the service under a service manager, with more variables, and does not wait.
    pub fn start_managed(&self, environment: &[(&str, &str)]) -> Managed {
        let path = self.path(unique("notify"));
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut command = self.command(&["run"]);
        command.envs(environment.iter().copied()).env("NOTIFY_SOCKET", path);
        Managed {
            service: self.launch(command),
            socket,
            told: Vec::new(),
        }
    }

    /// Starts the service, however the command was changed before, and does not wait.
    pub fn launch(&self, mut command: Command) -> Service {
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        let log = self.path(format!("logcatch-run-{run}.txt"));
        let file = File::create(&log).unwrap();
        let child = command
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .expect("start logcatch");
        Service {
            child,
            log,
            ended: None,
        }
    }
}

/// Runs a command to its end, with a deadline for what should have ended and has not.
pub fn finish(mut command: Command) -> Output {
    let dir = tempfile::tempdir_in(guard::run_dir()).unwrap();
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut child = command
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait(&mut child)));
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let (stdout, stderr) = (read(out), read(err));
    let status = ended.unwrap_or_else(|panic| {
        case::evidence(&format!("{command:?}"), &format!("{stdout}{stderr}"));
        let _ = child.kill();
        let _ = child.wait();
        std::panic::resume_unwind(panic)
    });
    Output {
        code: status.code(),
        stdout,
        stderr,
    }
}

fn wait(child: &mut Child) -> ExitStatus {
    eventually("the process ends", || {
        child
            .try_wait()
            .unwrap()
            .ok_or_else(|| format!("process {} runs", process::pid(child)))
    })
}

/// A running service as its service manager sees it.
pub struct Managed {
    pub service: Service,
    socket: UnixDatagram,
    told: Vec<String>,
}

impl Managed {
    /// All it has told so far, one message an item; one is a set of lines.
    pub fn told(&mut self) -> &[String] {
        let mut message = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut message) {
            self.told.push(String::from_utf8_lossy(&message[..length]).into_owned());
        }
        &self.told
    }

    /// Waits until it has told `line`, and gives all it has told.
    pub fn until(&mut self, line: &str) -> &[String] {
        self.until_count(line, 1)
    }

    /// Waits until it has told `line` at least so many times.
    pub fn until_count(&mut self, line: &str, count: usize) -> &[String] {
        eventually(&format!("the service tells its manager `{line}` {count} times"), || {
            let seen = self
                .told()
                .iter()
                .filter(|told| told.lines().any(|one| one == line))
                .count();
            assert!(
                seen >= count || !self.service.is_zombie(),
                "the service ended and had told `{line}` {seen} times, not {count}"
            );
            when(seen >= count, || format!("{:?}", self.told))
        });
        &self.told
    }
}

/// A running service. Dropped, it is killed.
pub struct Service {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Service {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said `text`.
    pub fn wait_log(&self, text: &str) {
        self.wait_log_count(text, 1);
    }

    /// Waits until it has said `text` at least so many times.
    pub fn wait_log_count(&self, text: &str, count: usize) {
        eventually(&format!("the service says `{text}` {count} times"), || {
            let log = self.log();
            let seen = log.matches(text).count();
            let ended = self.is_zombie();
            assert!(
                seen >= count || !ended,
                "the service ended and had said `{text}` {seen} times, not {count}"
            );
            when(seen >= count, || process::tail(&log, 3))
        });
    }

    /// Waits until it has read so many more bytes than `before`, which [`process::bytes_read`] gave.
    pub fn wait_read(&self, before: u64, bytes: u64) {
        eventually(&format!("the service reads {bytes} bytes"), || {
            let read = process::bytes_read(self.pid()) - before;
            when(read >= bytes, || format!("{read}"))
        });
    }

    /// Waits until it has the file open that is at this path.
    pub fn wait_open(&self, path: &Path) {
        eventually(&format!("the service opens {}", path.display()), || {
            when(process::has_open(self.pid(), path), || "not open".to_owned())
        });
    }

    /// Its end, if it has ended.
    pub fn try_end(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or(self.child.try_wait().unwrap());
        self.ended
    }

    pub fn is_zombie(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait(&mut self.child);
        self.ended = Some(status);
        status
    }

    /// SIGTERM: it must end by itself with success, or the test fails. Gives everything it said.
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "the service did not end with success: {status}");
        self.log()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        process::signal(&self.child, signal);
    }

    /// It has not ended.
    pub fn assert_alive(&mut self) {
        let status = self.child.try_wait().unwrap();
        assert!(status.is_none(), "the service ended: {status:?}");
    }

    /// How many file handles and threads it has now, and its resident size in bytes.
    pub fn resources(&self) -> process::Resources {
        process::resources(process::pid(&self.child)).expect("the service runs")
    }

    /// The highest resident size so far, in bytes.
    pub fn peak_memory(&self) -> u64 {
        process::peak_memory(process::pid(&self.child)).expect("the service runs")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let name = self
                .log
                .strip_prefix(guard::run_dir())
                .unwrap_or(&self.log)
                .display()
                .to_string();
            case::evidence(&name, &process::tail(&self.log(), 60));
        }
    }
}
