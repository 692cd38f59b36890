//! Messages as journald takes them: it knows the time, and takes the level from a prefix (sd-daemon(3)).

use std::env;
use std::io;

use log::Level;

/// Set by systemd to the device and inode of the stream that goes to the journal (systemd.exec(5)).
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Whether stderr goes to the journal. The variable alone does not say so: it is inherited, and stderr redirected.
pub fn is_stderr() -> bool {
    let stat = rustix::fs::fstat(io::stderr());
    let stream = env::var(JOURNAL_STREAM).ok();
    stream
        .zip(stat.ok())
        .is_some_and(|(stream, stat)| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// A message for the journal, each line with the level as syslog has it.
pub fn prefixed(level: Level, text: &str) -> String {
    let number = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let lines = text.lines().map(|line| format!("<{number}>{line}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_the_level_as_syslog_has_it() {
        assert_eq!(prefixed(Level::Error, "a\nb"), "<3>a\n<3>b\n");
        assert_eq!(prefixed(Level::Info, "a\n"), "<6>a\n");
    }
}
