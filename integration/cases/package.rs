//! What is delivered beside the binary: the Debian package, and the settings for Kubernetes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::control::json;
use super::machine::Installed;
use crate::harness::case::{self, cases};
use crate::harness::guard;
use crate::harness::kafka;
use crate::harness::machine::Machine;
use crate::harness::service::{Host, finish};
use crate::harness::writers::installed;

cases![
    the_debian_package_installs_disabled_runs_and_goes_without_a_trace,
    the_settings_for_kubernetes_ship_every_pod_but_our_own,
];

/// The package, with the binary that is tested; skips the test where it cannot be made.
fn package() -> PathBuf {
    if !installed("cargo-deb") {
        case::skip("cargo-deb is not installed, which makes the package");
    }
    let path = guard::run_dir().join(kafka::unique("logcatch") + ".deb");
    // It takes what was built for release: here that is the binary under test.
    let target = tempfile::tempdir_in(guard::run_dir()).unwrap();
    fs::create_dir(target.path().join("release")).unwrap();
    symlink(env!("CARGO_BIN_EXE_logcatch"), target.path().join("release/logcatch")).unwrap();
    let mut command = guard::command("cargo");
    // Stripped: a binary for debugging, twice at once while it is replaced, is more than a machine has room for.
    command.args(["deb", "--no-build", "--fast", "--strip", "--output"]);
    command.arg(&path).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_TARGET_DIR", target.path());
    for name in ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // Without a deadline: it compresses some 50 MB.
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    path
}

fn the_debian_package_installs_disabled_runs_and_goes_without_a_trace() {
    let package = package();
    let mut listing = guard::command("dpkg-deb");
    listing.arg("--contents").arg(&package);
    let contents = finish(listing).stdout;
    for file in [
        "usr/share/man/man1/logcatch-positions-set.1.gz",
        "usr/share/bash-completion/completions/logcatch",
        "usr/share/zsh/vendor-completions/_logcatch",
        "usr/share/fish/vendor_completions.d/logcatch.fish",
        "usr/share/doc/logcatch/docs/operations.md",
        "usr/share/doc/logcatch/docs/logcatch.schema.json",
    ] {
        assert!(contents.contains(&format!(" ./{file}\n")), "{file}: {contents}");
    }
    let machine = Machine::boot("package", &[(&package, "/logcatch.deb")]);
    // In images of containers it forbids every package to start or stop anything.
    machine.ok(&["rm", "-f", "/usr/sbin/policy-rc.d"]);
    machine.ok(&["dpkg", "--install", "/logcatch.deb"]);
    assert_eq!(
        machine.run(&["systemctl", "--root=/", "is-enabled", "logcatch"]).stdout,
        "disabled\n"
    );
    let state = |machine: &Machine| machine.run(&["systemctl", "is-active", "logcatch"]).stdout;
    assert_eq!(state(&machine), "inactive\n");
    let modes = machine.ok(&["stat", "-c", "%U:%G %a", "/etc/logcatch", "/etc/logcatch/logcatch.toml"]);
    assert_eq!(modes, "root:logcatch 750\nroot:logcatch 640\n");
    machine.ok(&["logcatch", "check"]);
    // The machine's systemd knows only the units of one directory.
    machine.ok(&["ln", "-s", "/lib/systemd/system/logcatch.service", "/run/units/"]);

    let mut installed = Installed::on(machine, kafka::shared(), "package");
    installed.settings("");
    installed.log.write(100);
    installed.machine.ok(&["systemctl", "--root=/", "enable", "logcatch"]);
    installed.systemctl("start");
    installed.caught_up();
    // A package that drops a file for its own logs.
    let other = "/var/log/other.log";
    installed.machine.write(other, "");
    let mut log = installed.open(other);
    let entry = format!("[[logs]]\nname = \"other\"\npath = \"{other}\"\n");
    installed.machine.write("/etc/logcatch/conf.d/other.toml", &entry);
    log.write(100);
    installed.caught_up();
    // Installed once more, as an update is: it runs again, and an edited settings file stays.
    let before = installed.property("MainPID");
    installed.machine.ok(&["dpkg", "--install", "/logcatch.deb"]);
    assert_eq!(installed.property("ActiveState"), "active");
    assert_ne!(installed.property("MainPID"), before);
    log.write(100);
    installed.caught_up();

    installed.machine.ok(&["dpkg", "--remove", "logcatch"]);
    assert_eq!(state(&installed.machine), "inactive\n");
    let has = |path: &str| installed.machine.path(path).exists();
    assert!(has("/var/lib/logcatch/positions.redb") && has("/etc/logcatch/logcatch.toml"));
    installed.machine.ok(&["rm", "/etc/logcatch/conf.d/other.toml"]);
    installed.machine.ok(&["dpkg", "--purge", "logcatch"]);
    for gone in ["/var/lib/logcatch", "/etc/logcatch", "/usr/bin/logcatch"] {
        assert!(!has(gone), "{gone}");
    }
    installed.judge(0);
}

/// The text of a ConfigMap's only file.
fn settings_of(manifest: &str) -> String {
    let (_, rest) = manifest.split_once("  logcatch.toml: |\n").expect("a settings file");
    let lines = rest
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    lines
        .map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n")
        .collect()
}

fn the_settings_for_kubernetes_ship_every_pod_but_our_own() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/logcatch.yaml");
    if installed("kubernetes-validate") {
        let mut command = guard::command("kubernetes-validate");
        command.arg("--strict").arg(&manifest);
        let output = finish(command);
        assert_eq!(output.code, Some(0), "{output:?}");
    }
    let host = Host::new("kubernetes").with_value("NODE_NAME", "node-1");
    let settings = settings_of(&fs::read_to_string(manifest).unwrap());
    let root = host.path("");
    for path in ["/var/log/pods", "/var/lib/logcatch"] {
        assert!(settings.contains(&format!("\"{path}")), "{settings}");
    }
    let root = root.display().to_string();
    host.settings(&settings.replace("\"/var/", &format!("\"{}/var/", root.trim_end_matches('/'))));
    for pod in ["shop_cart-1_5f3", "logcatch_logcatch-x_77a", "logcatch-test_app_9c1"] {
        let directory = host.path(format!("var/log/pods/{pod}/main"));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("0.log"), "2026-01-01T00:00:00Z stdout F line\n").unwrap();
    }
    let files = json(&host, &["check"])["entries"][0]["files"].to_string();
    assert!(
        files.contains("shop_cart") && files.contains("logcatch-test_app"),
        "{files}"
    );
    assert!(!files.contains("logcatch_logcatch"), "{files}");
    let effective = host.run(&["settings"]).stdout;
    assert!(
        effective.starts_with("host = ") && effective.contains("environment NODE_NAME"),
        "{effective}"
    );
}
