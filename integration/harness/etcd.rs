//! A real etcd on this machine, for one test.

use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::Signal;

use super::eventually::eventually;
use super::kafka::{free_port, unique};
use super::pki::Authority;
use super::writers::installed;
use super::{case, guard, process};

/// An etcd with its data; it can be killed and started again. Dropped, it is killed.
pub struct Etcd {
    dir: PathBuf,
    ports: [u16; 2],
    /// The CA of its certificate, if it wants TLS.
    ca: Option<PathBuf>,
    child: Option<Child>,
    /// Who asks, with the password after a colon.
    pub user: Option<String>,
}

impl Etcd {
    /// Starts one; skips the test where it is not installed.
    pub fn start(secure: bool) -> Etcd {
        if !installed("etcd") || !installed("etcdctl") {
            case::skip("etcd or etcdctl is not installed");
        }
        let dir = guard::run_dir().join(unique("etcd"));
        std::fs::create_dir(&dir).unwrap();
        let ca = secure.then(|| {
            let authority = Authority::new("etcd ca");
            let server = authority.server(&["127.0.0.1"], super::pki::VALID);
            std::fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
            std::fs::write(dir.join("server.pem"), server.certificate_pem()).unwrap();
            std::fs::write(dir.join("server.key"), server.key_pem()).unwrap();
            dir.join("ca.pem")
        });
        let mut etcd = Etcd {
            dir,
            ports: [free_port(), free_port()],
            ca,
            child: None,
            user: None,
        };
        etcd.start_again();
        etcd
    }

    /// What clients connect to.
    pub fn endpoint(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.ports[0])
    }

    /// The certificate that its own is signed by.
    pub fn ca(&self) -> String {
        self.ca.as_ref().unwrap().display().to_string()
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            process::signal(&child, Signal::KILL);
            child.wait().unwrap();
        }
    }

    /// On the same address and data.
    pub fn start_again(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.ports[1]));
        let mut command = guard::command("etcd");
        command.arg("--data-dir").arg(self.dir.join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        if self.ca.is_some() {
            command.arg("--cert-file").arg(self.dir.join("server.pem"));
            command.arg("--key-file").arg(self.dir.join("server.key"));
        }
        self.child = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let port = self.ports[0];
        eventually("etcd answers", || {
            TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
            let output = self.control(&["get", "nothing"]);
            if output.status.success() {
                Ok(())
            } else {
                Err(format!("{output:?}"))
            }
        });
    }

    /// Runs `etcdctl`.
    pub fn run(&self, arguments: &[&str]) {
        let output = self.control(arguments);
        assert!(output.status.success(), "etcdctl {arguments:?}: {output:?}");
    }

    pub fn put(&self, key: &str, value: &str) {
        self.run(&["put", "--", key, value]);
    }

    fn control(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = guard::command("etcdctl");
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoint()]);
        if let Some(ca) = &self.ca {
            command.arg("--cacert").arg(ca);
        }
        if let Some(user) = &self.user {
            command.args(["--user", user]);
        }
        command.args(arguments).output().expect("run etcdctl")
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
            case::evidence("etcd", &process::tail(&log, 20));
        }
    }
}
