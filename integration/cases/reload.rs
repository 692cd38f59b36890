//! Reloads: what stays untouched, every way in which a settings file changes, and reloads without end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::fixture::Fixture;
use super::rotation::SMALL_BITES;
use super::supervision::{assert_nothing_left, long};
use crate::harness::case::cases;
use crate::harness::kafka;
use crate::harness::service::Service;
use crate::harness::writers::Background;

cases![
    c1_unchanged_entries_keep_their_handles_and_what_is_in_flight,
    c1_a_removed_entry_comes_back_where_it_was_also_after_restarts,
    c1_memory_interval_and_level_change_live,
    c1_what_cannot_change_live_is_refused_with_the_reason,
    c3_every_way_to_change_the_file_applies_once,
    c3_a_configmap_swap_applies_once,
    c3_included_files_may_come_with_their_directory_be_nested_and_be_exchanged,
    c3_a_link_to_the_settings_is_followed_at_once,
    c3_a_link_to_their_directory_may_be_led_elsewhere,
    c4_another_address_of_the_same_cluster_under_load,
    c5_ten_reloads_a_second_while_lines_flow,
];

/// What the service says of settings that changed something.
const APPLIED: &str = "settings are applied";

/// An entry of the name of its directory.
fn entry(dir: &str) -> String {
    format!("[[logs]]\nname = \"{dir}\"\npath = \"{dir}/*.log\"\n")
}

/// Which of its handles the service has a file open under.
fn handles(service: &Service, path: &Path) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{}/fd", service.pid())).unwrap().flatten();
    let ours = fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == path));
    ours.map(|fd| fd.file_name().to_string_lossy().into_owned()).collect()
}

impl Fixture {
    /// Settings with these parts after the head, and a directory for each of `dirs`, which have entries.
    fn parts(&self, dirs: &[&str], more: &str) -> String {
        dirs.iter()
            .for_each(|dir| fs::create_dir_all(self.host.path(dir)).unwrap());
        let entries: String = dirs.iter().map(|dir| entry(dir)).collect();
        self.host.head(&kafka::shared().address(), &self.topic) + more + &entries
    }
}

fn c1_unchanged_entries_keep_their_handles_and_what_is_in_flight() {
    let mut fixture = Fixture::with("handles", SMALL_BITES);
    fixture.host.settings(&fixture.parts(&["one", "two"], ""));
    let (mut one, mut two) = (fixture.log("one/app.log"), fixture.log("two/app.log"));
    one.write(10);
    two.write(10);
    let service = fixture.host.start();
    fixture.caught_up();
    let before = handles(&service, one.path());
    assert_eq!(before.len(), 1, "{before:?}");
    let other = kafka::shared().topic("other", 1);
    for (count, settings) in [
        fixture.parts(&["three", "one", "two"], ""),
        fixture.parts(&["one"], ""),
        fixture.parts(&["one", "two"], ""),
        fixture.parts(&["one"], "") + &entry("two") + &format!("topic = \"{other}\"\n"),
    ]
    .iter()
    .enumerate()
    {
        one.write(20_000);
        fixture.host.settings(settings);
        service.wait_log_count(APPLIED, count + 1);
    }
    fixture.caught_up();
    assert_eq!(handles(&service, one.path()), before);
    let log = service.log();
    let starts = log
        .lines()
        .filter(|line| line.contains("watcher started") && line.contains("one/app.log"));
    assert_eq!(starts.count(), 1, "{log}");
    fixture.finish(service);
}

fn c1_a_removed_entry_comes_back_where_it_was_also_after_restarts() {
    let mut fixture = Fixture::new("returns");
    let (both, two) = (fixture.parts(&["one", "two"], ""), fixture.parts(&["two"], ""));
    fixture.host.settings(&both);
    let (mut one, mut rest) = (fixture.log("one/app.log"), fixture.log("two/app.log"));
    one.write(100);
    rest.write(100);
    let service = fixture.host.start();
    fixture.caught_up();
    fixture.host.settings(&two);
    service.wait_log(APPLIED);
    service.stop();
    for _ in 0..2 {
        let service = fixture.host.start();
        rest.write(10);
        fixture.caught_up();
        service.stop();
    }
    one.write(100);
    let service = fixture.host.start();
    fixture.host.settings(&both);
    fixture.finish(service);
}

fn c1_memory_interval_and_level_change_live() {
    let mut fixture = Fixture::new("live");
    fixture.host.settings(&fixture.parts(&["one"], ""));
    let mut one = fixture.log("one/app.log");
    let service = fixture.host.start();
    one.write(100);
    fixture.caught_up();
    // Quiet: what it would say of a new watcher is not said.
    let quiet = "checkpoint_interval = \"100ms\"\n[limits]\nin_flight = \"4MiB\"\n[log]\nlevel = \"warn\"\n";
    fixture.host.settings(&fixture.parts(&["one"], quiet));
    service.wait_log(APPLIED);
    one.write(50_000);
    fixture.caught_up();
    fixture.log("one/unsaid.log").write(10);
    fixture.caught_up();
    assert!(!service.log().contains("unsaid.log"), "{}", service.log());
    let loud = quiet.replace("warn", "debug").replace("4MiB", "8MiB");
    let json = format!("{loud}format = \"json\"\n");
    fixture.host.settings(&fixture.parts(&["one"], &json));
    // Said by a reading at the new level, whether this one or the one that the change brings.
    service.signal(Signal::HUP);
    service.wait_log(&format!("\"message\":\"{SAME}"));
    fixture.host.settings(&fixture.parts(&["one"], &loud));
    service.signal(Signal::HUP);
    service.wait_log(&format!("] {SAME}"));
    fixture.log("one/said.log").write(10);
    service.wait_log("said.log");
    one.write(50_000);
    fixture.finish(service);
}

fn c1_what_cannot_change_live_is_refused_with_the_reason() {
    let mut fixture = Fixture::new("fixed");
    let good = fixture.parts(&["one"], "");
    fixture.host.settings(&good);
    let mut one = fixture.log("one/app.log");
    let service = fixture.host.start();
    for (bad, why) in [
        (
            good.replace("host = \"test-host\"", "host = \"other\""),
            "`host` cannot change",
        ),
        (good.replace("/state\"", "/other\""), "`state.directory` cannot change"),
    ] {
        // With a change that could be applied: all or nothing.
        fixture.host.settings(&(bad + &entry("two")));
        service.wait_log(why);
        one.write(10);
        fixture.caught_up();
    }
    assert!(
        !fixture.host.path("other").exists() && !service.log().contains(APPLIED),
        "{}",
        service.log()
    );
    fixture.finish(service);
}

/// The settings say what they said: nothing was to be applied.
const SAME: &str = "settings were read again and say what is in force";

fn c3_every_way_to_change_the_file_applies_once() {
    let mut fixture = Fixture::new("ways").in_directory("etc");
    let directory = fixture.host.path("etc");
    let path = fixture.host.settings_path().to_owned();
    let dirs = ["one", "two", "three", "four", "five", "six", "seven"];
    // The settings stand one directory lower than the logs.
    let settings = |count: usize| fixture.parts(&dirs[..count], "").replace("path = \"", "path = \"../");
    let texts: Vec<String> = (1..=dirs.len()).map(settings).collect();
    fixture.host.settings(&texts[0]);
    let service = fixture.host.start();
    let mut applied = 0;
    let mut check = |fixture: &mut Fixture| {
        applied += 1;
        service.wait_log_count(APPLIED, applied);
        // The new entry is there, and it was applied once.
        fixture.log(&format!("{}/app.log", dirs[applied])).write(10);
        fixture.caught_up();
        let log = service.log();
        assert_eq!(log.matches(APPLIED).count(), applied, "{log}");
    };

    // Replaced by a rename.
    fixture.host.settings(&texts[1]);
    check(&mut fixture);
    // Written over in place, in one go.
    fs::write(&path, &texts[2]).unwrap();
    check(&mut fixture);
    // Touched: read, and nothing to apply.
    fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(std::time::SystemTime::now())
        .unwrap();
    service.wait_log_count(SAME, 1);
    // Deleted, and restored with another content.
    fs::remove_file(&path).unwrap();
    let missing = format!(
        "cannot read the settings `{}`: No such file or directory",
        path.display()
    );
    service.wait_log(&missing);
    let told = fixture.host.run(&["plan"]);
    assert!(told.stderr.contains(&missing), "{}", told.stderr);
    fs::write(&path, &texts[3]).unwrap();
    check(&mut fixture);
    // Its directory is away for a while, and comes back changed.
    let away = fixture.host.path("away");
    fs::rename(&directory, &away).unwrap();
    service.wait_log_count("cannot read the settings", 2);
    fs::write(away.join("logcatch.toml"), &texts[4]).unwrap();
    fs::rename(&away, &directory).unwrap();
    check(&mut fixture);
    // Another directory takes its place, as a deployment does it.
    let next = fixture.host.path("next");
    fs::create_dir(&next).unwrap();
    fs::write(next.join("logcatch.toml"), &texts[5]).unwrap();
    fs::rename(&directory, &away).unwrap();
    fs::rename(&next, &directory).unwrap();
    check(&mut fixture);
    // A signal, right after the change that a notification tells, too.
    fixture.host.settings(&texts[6]);
    service.signal(Signal::HUP);
    check(&mut fixture);
    fixture.finish(service);
}

impl Fixture {
    /// With the settings file in a directory of its own.
    fn in_directory(self, name: &str) -> Fixture {
        fs::create_dir(self.host.path(name)).unwrap();
        let host = self.host.with_settings_file(&format!("{name}/logcatch.toml"));
        Fixture { host, ..self }
    }
}

/// Kubernetes mounts a ConfigMap as links: the file leads to `..data/file`, `..data` leads to a directory with a new name
/// for each version, and is replaced by a rename.
fn c3_a_configmap_swap_applies_once() {
    let mut fixture = Fixture::new("configmap").in_directory("etc");
    let directory = fixture.host.path("etc");
    let swap = |version: &str, text: &str| {
        let data = directory.join(version);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("logcatch.toml"), text).unwrap();
        symlink(version, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    };
    let dirs = ["one", "two", "three"];
    let settings = |count: usize| fixture.parts(&dirs[..count], "").replace("path = \"", "path = \"../");
    let texts: Vec<String> = (1..=dirs.len()).map(settings).collect();
    swap("..v1", &texts[0]);
    symlink(PathBuf::from("..data/logcatch.toml"), fixture.host.settings_path()).unwrap();
    let service = fixture.host.start();
    for count in 1..=2 {
        swap(&format!("..v{}", count + 1), &texts[count]);
        fs::remove_dir_all(directory.join(format!("..v{count}"))).unwrap();
        service.wait_log_count(APPLIED, count);
        fixture.log(&format!("{}/app.log", dirs[count])).write(10);
        fixture.caught_up();
        let log = service.log();
        assert_eq!(log.matches(APPLIED).count(), count, "{log}");
    }
    fixture.finish(service);
}

fn c3_included_files_may_come_with_their_directory_be_nested_and_be_exchanged() {
    let mut fixture = Fixture::new("included-late");
    let head = fixture.host.head(&kafka::shared().address(), &fixture.topic);
    let include = "include = [\"conf.d/*.toml\", \"more/*/logs.toml\"]\n";
    fixture.host.settings(&format!("{include}{head}"));
    let service = fixture.host.start();
    let put = |fixture: &Fixture, file: &str, dir: &str| {
        let (file, logs) = (fixture.host.path(file), fixture.host.path(dir));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(&logs).unwrap();
        let entry = format!("[[logs]]\nname = \"{dir}\"\npath = \"{}/*.log\"\n", logs.display());
        fs::write(file, entry).unwrap();
    };
    let check = |fixture: &mut Fixture, dir: &str| {
        fixture.log(&format!("{dir}/app.log")).write(10);
        fixture.caught_up();
    };
    // No directory of them is there at the start.
    put(&fixture, "conf.d/one.toml", "one");
    check(&mut fixture, "one");
    put(&fixture, "more/a/logs.toml", "two");
    check(&mut fixture, "two");
    put(&fixture, "more/b/logs.toml", "three");
    check(&mut fixture, "three");
    // Another directory takes its place, with one file more.
    put(&fixture, "next/one.toml", "one");
    put(&fixture, "next/four.toml", "four");
    fs::rename(fixture.host.path("conf.d"), fixture.host.path("away")).unwrap();
    fs::rename(fixture.host.path("next"), fixture.host.path("conf.d")).unwrap();
    check(&mut fixture, "four");
    put(&fixture, "conf.d/five.toml", "five");
    check(&mut fixture, "five");
    fixture.finish(service);
}

/// As where settings are kept in a place of their own and led to by links.
fn c3_a_link_to_the_settings_is_followed_at_once() {
    let fixture = Fixture::new("led-to");
    let texts = [1, 2].map(|count| fixture.parts(&["one", "two"][..count], ""));
    let (path, real) = (fixture.host.settings_path().to_owned(), fixture.host.path("kept"));
    fs::create_dir(&real).unwrap();
    let file = real.join("settings.toml");
    fs::write(&file, &texts[0]).unwrap();
    fs::remove_file(&path).unwrap();
    symlink(&file, &path).unwrap();
    let service = fixture.host.start();
    // What looks now and then would find it, too: so only who is told finds each of many.
    for count in 1..=6 {
        fs::write(&file, &texts[count % 2]).unwrap();
        service.wait_log_count(APPLIED, count);
    }
    fixture.log("one/app.log").write(10);
    fixture.finish(service);
}

/// As where each release of the settings has a directory, and a link leads to the one that counts.
fn c3_a_link_to_their_directory_may_be_led_elsewhere() {
    let mut fixture = Fixture::new("releases");
    let link = |fixture: &Fixture, release: &str| {
        let fresh = fixture.host.path("fresh");
        symlink(release, &fresh).unwrap();
        fs::rename(fresh, fixture.host.path("etc")).unwrap();
    };
    let dirs = ["one", "two", "three"];
    for count in 1..=2 {
        let release = fixture.host.path(format!("release-{count}"));
        fs::create_dir(&release).unwrap();
        let text = fixture.parts(&dirs[..count], "").replace("path = \"", "path = \"../");
        fs::write(release.join("logcatch.toml"), text).unwrap();
    }
    link(&fixture, "release-1");
    let host = fixture.host.with_settings_file("etc/logcatch.toml");
    fixture = Fixture { host, ..fixture };
    let service = fixture.host.start();
    link(&fixture, "release-2");
    fixture.log("two/app.log").write(10);
    fixture.caught_up();
    // What counts now is watched.
    let text = fixture.parts(&dirs, "").replace("path = \"", "path = \"../");
    fs::write(fixture.host.path("release-2/logcatch.toml"), text).unwrap();
    fixture.log("three/app.log").write(10);
    fixture.finish(service);
}

fn c4_another_address_of_the_same_cluster_under_load() {
    let mut fixture = Fixture::new("address");
    let log = fixture.log("logs/app.log");
    let service = fixture.host.start();
    let writer = Background::repeat(log, |log| {
        log.write(20);
        sleep(Duration::from_millis(5));
    });
    let numeric = kafka::shared().address();
    let named = numeric.replace("127.0.0.1", "localhost");
    for (count, address) in [&named, &numeric, &named].into_iter().enumerate() {
        let records = fixture.reader.records().len();
        fixture.reader.until_count(records + 1000);
        let head = fixture.host.head(address, &fixture.topic);
        fixture
            .host
            .settings(&format!("{head}[[logs]]\npath = \"logs/*.log\"\n"));
        service.wait_log_count("new Kafka settings take over", count + 1);
        service.wait_log_count(APPLIED, count + 1);
    }
    drop(writer.stop());
    fixture.finish(service);
}

fn c5_ten_reloads_a_second_while_lines_flow() {
    let time = Duration::from_secs(if long() { 100 } else { 15 });
    let mut fixture = Fixture::new("reloads");
    let both = fixture.parts(&["one", "two"], "");
    let one = fixture.parts(&["one"], "");
    let keyed = fixture.parts(&["one"], "") + &entry("two") + "max_line = \"64KiB\"\n";
    fixture.host.settings(&both);
    let logs = ["one/app.log", "two/app.log"].map(|name| fixture.log(name));
    let mut managed = fixture.host.start_managed(&[]);
    managed.until("READY=1");
    let writers = logs.map(|log| {
        Background::repeat(log, |log| {
            log.write(5);
            sleep(Duration::from_millis(10));
        })
    });
    let start = Instant::now();
    let mut before = None;
    let mut reloads = 0_u32;
    while start.elapsed() < time {
        for settings in [&one, &both, &keyed, &both] {
            fixture.host.settings(settings);
            managed.service.signal(Signal::HUP);
            reloads += 1;
            sleep(Duration::from_millis(100));
        }
        fixture.reader.take(Duration::ZERO);
        managed.told();
        if start.elapsed() > time / 3 {
            before.get_or_insert_with(|| managed.service.resources());
        }
    }
    fixture.host.settings(&both);
    for writer in writers {
        drop(writer.stop());
    }
    fixture.caught_up();
    let applied = managed.told().iter().filter(|told| told.contains("READY=1")).count();
    assert!(
        applied > reloads as usize / 4,
        "{applied} of {reloads} reloads were answered"
    );
    assert_nothing_left(before.unwrap(), &managed.service);
    fixture.finish(managed.service);
}
