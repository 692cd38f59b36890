//! The live view of `status --watch`, on a terminal of its own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::control::wait_watched;
use super::fixture::Fixture;
use crate::harness::case::cases;
use crate::harness::eventually::{eventually, when};
use crate::harness::process;
use crate::harness::service::Host;

cases![
    the_live_view_sorts_filters_and_gives_the_terminal_back,
    the_live_view_gives_the_terminal_back_when_it_is_ended_by_a_signal,
    the_live_view_outlives_the_service,
    a_program_gets_a_line_each_second_and_may_stop_reading,
];

/// Ends the second page of a terminal (xterm's DECSET 1049).
const FIRST_PAGE: &str = "\x1b[?1049l";

/// A command on a pseudo terminal.
struct Terminal {
    child: Child,
    controller: File,
    own: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(host: &Host, arguments: &[&str]) -> Terminal {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let own = rustix::fs::open(&*name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&own, size).unwrap();
        let mut command = host.command(arguments);
        command.stdin(own.try_clone().unwrap()).stdout(own.try_clone().unwrap());
        command.env("NO_COLOR", "1");
        let child = command.spawn().unwrap();
        let controller = File::from(controller);
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (mut reader, all) = (controller.try_clone().unwrap(), shown.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // An error when the other end is closed.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Terminal {
            child,
            controller,
            own,
            shown,
        }
    }

    fn press(&mut self, keys: &str) {
        self.controller.write_all(keys.as_bytes()).unwrap();
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// The last page that was drawn whole.
    fn page(&self) -> String {
        const END: &str = "\x1b[?2026l";
        let text = self.text();
        let whole = text.rsplit_once(END).map_or("", |(whole, _)| whole);
        whole.rsplit_once(END).map_or(whole, |(_, page)| page).to_owned()
    }

    fn wait_page(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        eventually(what, || when(is_it(&self.page()), || self.page()));
    }

    /// Whether what is typed shows, as programs expect that begin.
    fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.own).unwrap().local_modes;
        modes.contains(LocalModes::ECHO | LocalModes::ICANON)
    }

    fn wait(&mut self) -> ExitStatus {
        eventually("the view ends", || {
            self.child.try_wait().unwrap().ok_or_else(|| self.page())
        })
    }

    fn assert_given_back(&self) {
        assert!(self.is_cooked(), "the terminal is left raw");
        eventually("the first page is back", || {
            when(self.text().contains(FIRST_PAGE), || self.text())
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn the_live_view_sorts_filters_and_gives_the_terminal_back() {
    let mut fixture = Fixture::new("live");
    let mut one = fixture.log("logs/one.log");
    one.write(10);
    fixture.log("logs/two.log").write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 2);
    fixture.caught_up();
    let mut terminal = Terminal::start(&fixture.host, &["status", "--watch"]);
    terminal.wait_page("both files", |page| {
        page.contains("one.log") && page.contains("two.log")
    });
    assert!(!terminal.is_cooked());
    terminal.press("/two");
    terminal.wait_page("one file", |page| !page.contains("one.log") && page.contains("two.log"));
    terminal.press("\r");
    terminal.wait_page("the filter", |page| page.contains("(two, Esc shows all)"));
    terminal.press("s");
    terminal.wait_page("the order", |page| page.contains("s sort (lag)"));
    // News come by themselves.
    terminal.press("\x1b");
    let path = fixture.host.path("logs/three.log");
    fs::write(&path, "unfinished").unwrap();
    terminal.wait_page("a new file", |page| {
        page.contains("three.log") && page.contains("unfinished-line")
    });
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(0));
    terminal.assert_given_back();
    service.stop();
}

fn the_live_view_gives_the_terminal_back_when_it_is_ended_by_a_signal() {
    let fixture = Fixture::new("live-signal");
    let service = fixture.host.start();
    for end in [Some(Signal::TERM), Some(Signal::HUP), Some(Signal::INT), None] {
        let mut terminal = Terminal::start(&fixture.host, &["status", "--watch"]);
        terminal.wait_page("the view", |page| page.contains("q quit"));
        match end {
            Some(signal) => process::signal(&terminal.child, signal),
            // As typed: no signal in raw mode.
            None => terminal.press("\x03"),
        }
        assert_eq!(terminal.wait().code(), Some(0), "{end:?}");
        terminal.assert_given_back();
    }
    service.stop();
}

fn the_live_view_outlives_the_service() {
    let fixture = Fixture::new("live-outlives");
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    let mut terminal = Terminal::start(&fixture.host, &["status", "--watch"]);
    terminal.wait_page("the file", |page| page.contains("app.log"));
    service.stop();
    terminal.wait_page("that nobody answers", |page| page.contains("no news: cannot"));
    let service = fixture.host.start();
    terminal.wait_page("news again", |page| {
        !page.contains("no news") && page.contains("app.log")
    });
    terminal.press("q");
    assert_eq!(terminal.wait().code(), Some(0));
    service.stop();
}

fn a_program_gets_a_line_each_second_and_may_stop_reading() {
    let fixture = Fixture::new("live-lines");
    fixture.log("logs/app.log").write(10);
    let service = fixture.host.start();
    wait_watched(&fixture.host, 1);
    let mut command = fixture.host.command(&["status", "--watch", "--json"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        let line = lines.next().unwrap().unwrap();
        let report: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(report["files"].as_array().unwrap().len(), 1, "{line}");
    }
    drop(lines);
    let ended = eventually("it ends when nobody reads", || {
        child.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
    });
    assert_eq!(ended.code(), Some(0));
    service.stop();
}
