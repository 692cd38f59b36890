//! A machine of its own with a real systemd as its first process, over the files of this one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use super::eventually::{eventually, when};
use super::kafka::unique;
use super::service::{Output, finish};
use super::writers::installed;
use super::{case, guard};

/// See the script for what it is.
const BOOT: &str = include_str!("machine.sh");

/// A booted machine. Dropped, it is gone with all its processes and files.
pub struct Machine {
    /// It ends its first process when it ends.
    holder: Child,
    /// Its first process, as this machine numbers it.
    init: u32,
    cgroup: PathBuf,
}

impl Machine {
    /// Boots one that sees files of this machine under other names; skips the test where that cannot be.
    pub fn boot(name: &str, files: &[(&Path, &str)]) -> Machine {
        if !rustix::process::geteuid().is_root() {
            case::skip("only root can boot a machine for systemd");
        }
        for program in ["unshare", "nsenter", "systemctl", "systemd-sysusers"] {
            if !installed(program) {
                case::skip(&format!(
                    "{program} is not installed, which a machine for systemd needs"
                ));
            }
        }
        let Some(cgroups) = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .iter()
            .map(Path::new)
            .find(|root| root.join("cgroup.procs").exists() && root.join("cgroup.controllers").exists())
        else {
            case::skip("there is no cgroup2 here, which systemd needs");
        };
        let name = unique(&format!("machine-{name}-{}", std::process::id()));
        let dir = guard::run_dir().join(&name);
        fs::create_dir(&dir).unwrap();
        let [console, said] = ["console", "boot"].map(|file| guard::run_dir().join(format!("{name}-{file}.txt")));
        File::create(&console).unwrap();
        let mut command = guard::command("sh");
        let cgroup = cgroups.join(&name);
        command.args(["-c", BOOT, "sh"]).args([&dir, &cgroup, &console]);
        for (here, there) in files {
            command.arg(here).arg(there);
        }
        let output = File::create(&said).unwrap();
        let holder = command
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut machine = Machine {
            holder,
            init: 0,
            cgroup,
        };
        machine.init = eventually("the machine has its first process", || {
            if machine.holder.try_wait().unwrap().is_some() {
                let why = fs::read_to_string(&said).unwrap_or_default();
                case::skip(&format!("a machine for systemd cannot be booted here: {}", why.trim()));
            }
            let id = machine.holder.id();
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            let init = children.trim().parse::<u32>().map_err(|error| error.to_string())?;
            let name = fs::read_to_string(format!("/proc/{init}/comm")).unwrap_or_default();
            when(name.trim() == "systemd", || name.clone()).map(|()| init)
        });
        eventually("the machine is up", || {
            let up = machine.run(&["systemctl", "is-active", "multi-user.target"]);
            when(up.code == Some(0), || format!("{up:?}"))
        });
        machine
    }

    /// A program there, not yet started.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = guard::command("nsenter");
        command.args(["--target", &self.init.to_string()]);
        command
            .args(["--mount", "--pid", "--cgroup", "--uts", "--ipc"])
            .args(words);
        command
    }

    /// Runs a program there to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        finish(self.command(words))
    }

    /// The output of a program there that must succeed.
    pub fn ok(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.code, Some(0), "{words:?} {output:?}");
        output.stdout
    }

    /// What is at an absolute path there, as it is reached from here.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Writes a file there, with its directories.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        // Its processes may take a moment to go, and only then does its cgroup.
        let _ = std::panic::catch_unwind(|| {
            eventually("the cgroup is empty", || {
                remove(&self.cgroup).map_err(|error| error.to_string())
            });
        });
    }
}

/// Removes a cgroup with those below it.
fn remove(cgroup: &Path) -> std::io::Result<()> {
    let below = match fs::read_dir(cgroup) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        below => below?,
    };
    for entry in below.flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path())?;
    }
    fs::remove_dir(cgroup)
}
