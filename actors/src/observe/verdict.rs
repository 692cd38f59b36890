//! The verdict in one sentence, and what is wrong with the service as a whole.

use super::report::{FileRow, Reason, Report, State};
use super::words::{bytes, count, harmless, seconds};

/// A file keeps up whose oldest line that is not acknowledged has not waited longer than this: several times what a line
/// takes under load, and less than what anybody is paged for. Seconds.
pub const KEEPS_UP: f64 = 10.0;

/// How good a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Nothing is wrong.
    Good,
    /// Something is late, or not as the settings say.
    Attention,
    /// Something does not go on by itself.
    Bad,
}

/// How good the verdict is.
#[must_use]
pub fn mood(report: &Report) -> Mood {
    let is_stuck = |file: &FileRow| matches!(file.state, State::Blocked | State::Failed);
    let is_at_risk = |file: &FileRow| file.time_to_loss_seconds.is_some();
    if report.files.iter().any(|file| is_stuck(file) || is_at_risk(file)) || report.positions.failing {
        return Mood::Bad;
    }
    let is_late = |file: &FileRow| is_moving(file) && !keeps_up(file);
    let is_off = report.positions.waits_for.is_some()
        || report.positions.trouble.is_some()
        || report.kafka.up == Some(false)
        || report.settings.refused.is_some()
        || report.files.is_empty();
    if is_off || report.files.iter().any(is_late) {
        Mood::Attention
    } else {
        Mood::Good
    }
}

/// "partly shipping: 131 of 132 files up to date, worst lag 70 s, 2.0 KiB to ship; 1 blocked"
#[must_use]
pub fn sentence(report: &Report) -> String {
    let files = &report.files;
    if let Some(what) = &report.positions.waits_for {
        return format!("not shipping yet: waits for {}", harmless(what));
    }
    if files.is_empty() {
        return "nothing to ship: no file matches".to_owned();
    }
    let is_away = report.kafka.up == Some(false);
    // While Kafka is away none keeps up that has something to ship, however short that has been so.
    let is_up = |file: &&FileRow| keeps_up(file) && !(is_away && is_moving(file) && file.lag_bytes > 0);
    let up = files.iter().filter(is_up).count();
    let is_stuck = |file: &FileRow| matches!(file.state, State::Blocked | State::Failed);
    let late = files.iter().any(|file| is_moving(file) && !keeps_up(file));
    let head = match () {
        () if is_away => "waiting for Kafka",
        () if late => "behind",
        () if up == 0 => "not shipping",
        () if files.iter().any(is_stuck) => "partly shipping",
        () => "keeping up",
    };
    // Of those that wait for somebody, too: their lines are late all the same.
    let worst = files.iter().map(|file| file.lag_seconds).fold(0.0, f64::max);
    let behind: u64 = files.iter().map(|file| file.lag_bytes).sum();
    let verb = if head == "keeping up" { "" } else { " up to date" };
    let files_up = format!("{up} of {}{verb}", count(files.len(), "file"));
    let mut text = format!("{head}: {files_up}, worst lag {}", seconds(worst));
    if up < files.len() && behind > 0 {
        text += &format!(", {} to ship", bytes(behind as f64));
    }
    let states = [State::Blocked, State::Failed, State::Waiting];
    let counts = states.map(|state| (state, files.iter().filter(|file| file.state == state).count()));
    let named: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    if !named.is_empty() {
        text += &format!("; {}", named.join(", "));
    }
    text
}

/// What the rows do not say: a line each.
#[must_use]
pub fn remarks(report: &Report) -> Vec<String> {
    let mut remarks = Vec::new();
    if report.kafka.up == Some(false) {
        let since = report
            .kafka
            .since_seconds
            .map_or_else(String::new, |since| format!(" for {}", seconds(since)));
        let cause = report.kafka.trouble.as_deref().unwrap_or("no broker answers");
        // librdkafka adds how long it tried and how often it kept silent.
        let cause = cause.split(" (after ").next().unwrap_or(cause);
        let what = match report.kafka.refused {
            Some(Reason::KafkaLoginRefused) => "Kafka refuses the login",
            Some(_) => "no TLS connection to Kafka",
            None => "Kafka is away",
        };
        remarks.push(format!("{what}{since}: {}", harmless(cause)));
    } else if let Some(what) = &report.positions.trouble {
        remarks.push(format!("nothing ships, it waits for {}", harmless(what)));
    }
    if let Some(refused) = &report.settings.refused {
        // What is wrong as a whole, and the first problem.
        let first: Vec<&str> = refused.text.lines().take(2).map(str::trim).collect();
        let text = harmless(&first.join(": "));
        remarks.push(format!(
            "the settings file is refused, those before stay in force: {text}"
        ));
    }
    let at_risk = report
        .files
        .iter()
        .filter_map(|file| Some((file, file.time_to_loss_seconds?)));
    let at_risk: Vec<_> = at_risk.collect();
    if let Some((file, left)) = at_risk.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
        let others = match at_risk.len() {
            1 => String::new(),
            many => format!(", and of {}", count(many - 1, "other file")),
        };
        remarks.push(format!(
            "rotation deletes unread bytes of {} in about {}{others}",
            harmless(&file.path),
            seconds(*left)
        ));
    }
    if report.positions.failing {
        remarks.push("positions cannot be saved: a crash now repeats lines; the service's log says why".to_owned());
    }
    if report.kafka.dead_lettered_lines > 0 {
        let lines = count(
            usize::try_from(report.kafka.dead_lettered_lines).unwrap_or(usize::MAX),
            "line",
        );
        remarks.push(format!("{lines} kept as dead letters since the start"));
    }
    remarks.extend(report.notes.iter().map(|note| harmless(note)));
    for name in &report.settings.unmatched {
        remarks.push(format!("no file matches entry `{}`", harmless(name)));
    }
    remarks
}

/// Whether nothing is wrong with a file and it is not late.
#[must_use]
pub fn keeps_up(file: &FileRow) -> bool {
    match file.state {
        State::Idle => true,
        State::Reading | State::Waiting => file.lag_seconds < KEEPS_UP,
        State::Blocked | State::Failed => false,
    }
}

/// Whether its lag is that of lines on their way, and not of what is left by intention.
fn is_moving(file: &FileRow) -> bool {
    matches!(file.state, State::Reading | State::Waiting)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn file(path: &str, state: State, lag_seconds: f64) -> FileRow {
        FileRow {
            log: "app".into(),
            path: path.into(),
            topic: "t".into(),
            state,
            reason: (state == State::Blocked).then_some(Reason::TopicMissing),
            detail: (state == State::Blocked).then(|| "t: topic does not exist".into()),
            since_seconds: 1.0,
            size: 2048,
            position: 1024,
            lag_bytes: if lag_seconds > 0.0 { 1024 } else { 0 },
            lag_seconds,
            in_flight_bytes: 0,
            bytes_per_second: 0.0,
            lines_per_second: 0.0,
            restarts: 0,
            generations: 1,
            file_id: String::new(),
            time_to_loss_seconds: None,
        }
    }

    fn report(files: Vec<FileRow>) -> Report {
        Report {
            files,
            ..Report::default()
        }
    }

    #[test]
    fn the_verdict_is_one_sentence() {
        let mut files: Vec<_> = (0..131).map(|n| file(&n.to_string(), State::Idle, 0.0)).collect();
        files[0] = file("0", State::Reading, 0.4);
        files.push(file("blocked", State::Blocked, 70.0));
        let blocked = report(files.clone());
        assert_eq!(
            sentence(&blocked),
            "partly shipping: 131 of 132 files up to date, worst lag 70 s, 2.0 KiB to ship; 1 blocked"
        );
        assert_eq!(mood(&blocked), Mood::Bad);
        assert_eq!(mood(&report(files[..131].to_vec())), Mood::Good);
        files[1] = file("1", State::Waiting, 42.0);
        assert_eq!(mood(&report(files[..131].to_vec())), Mood::Attention);
        let mut late = report(files);
        assert!(sentence(&late).starts_with("behind: 130 of 132 files up to date, worst lag 70 s"));
        late.kafka.up = Some(false);
        late.kafka.since_seconds = Some(61.0);
        assert!(sentence(&late).starts_with("waiting for Kafka: "));
        let mut soon = report(vec![file("a", State::Waiting, 0.4), file("b", State::Idle, 0.0)]);
        assert!(sentence(&soon).starts_with("keeping up: 2 of 2 files"));
        soon.kafka.up = Some(false);
        assert!(
            sentence(&soon).starts_with("waiting for Kafka: 1 of 2 files up to date"),
            "{}",
            sentence(&soon)
        );
        assert_eq!(remarks(&late), ["Kafka is away for 61 s: no broker answers"]);
        late.files[0].time_to_loss_seconds = Some(7000.0);
        late.files[1].time_to_loss_seconds = Some(60.0);
        assert_eq!(
            remarks(&late)[1],
            "rotation deletes unread bytes of 1 in about 60 s, and of 1 other file"
        );
        late.notes = vec!["etcd is away".into()];
        assert_eq!(remarks(&late)[2], "etcd is away");
        assert_eq!(sentence(&report(Vec::new())), "nothing to ship: no file matches");
        let mut opening = report(Vec::new());
        opening.positions.waits_for = Some("its positions in `p`: no broker answers".to_owned());
        assert_eq!(
            sentence(&opening),
            "not shipping yet: waits for its positions in `p`: no broker answers"
        );
        assert_eq!(mood(&opening), Mood::Attention);
        let only = report(vec![file("a", State::Blocked, 1.0)]);
        assert!(
            sentence(&only).starts_with("not shipping: 0 of 1 file up to date, "),
            "{}",
            sentence(&only)
        );
    }

    #[test]
    fn positions_that_kafka_does_not_take_are_remarked_on_beside_the_verdict() {
        let mut held = report(vec![file("a", State::Reading, 1.0)]);
        held.positions.trouble = Some("its positions in `p`: Kafka does not take them: no right".to_owned());
        assert_eq!(mood(&held), Mood::Attention);
        assert!(!sentence(&held).contains("not shipping yet"), "{}", sentence(&held));
        assert_eq!(
            remarks(&held),
            ["nothing ships, it waits for its positions in `p`: Kafka does not take them: no right"]
        );
        // An outage is the reason for both.
        held.kafka.up = Some(false);
        assert_eq!(remarks(&held), ["Kafka is away: no broker answers"]);
    }
}
