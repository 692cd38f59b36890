//! The metrics, in the text format of Prometheus.

mod families;

use std::collections::HashMap;
use std::time::SystemTime;

use logcatch_actors::{FileRow, Restarted, Rotation, State};
use logcatch_kafka::{Code, ErrorClass, Stats};
use prometheus::TextEncoder;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

pub use families::{FAMILIES, Family};

use crate::service::{EntryFigures, Snapshot};

const STATES: [State; 5] = [
    State::Idle,
    State::Reading,
    State::Waiting,
    State::Blocked,
    State::Failed,
];

/// What is measured, family by family.
#[derive(Default)]
struct Sheet {
    metrics: HashMap<&'static str, Vec<Metric>>,
}

/// The metrics of a service that stands like this.
pub fn text(snapshot: &Snapshot) -> Result<String, prometheus::Error> {
    let mut families = sheet(snapshot).families();
    families.extend(process());
    let text = TextEncoder::new().encode_to_string(&families)?;
    // As the format has it. In a label a line end is escaped.
    Ok(text.replace("} inf\n", "} +Inf\n"))
}

/// The families of the process. The collector tells its processor time in whole seconds, of which no rate can be made.
fn process() -> Vec<MetricFamily> {
    let mut families = ProcessCollector::for_self().collect();
    let is_cpu = |family: &&mut MetricFamily| family.name() == "process_cpu_seconds_total";
    for metric in families
        .iter_mut()
        .find(is_cpu)
        .into_iter()
        .flat_map(MetricFamily::mut_metric)
    {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        let mut counter = Counter::default();
        counter.set_value(used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
        metric.set_counter(counter);
    }
    families
}

fn sheet(snapshot: &Snapshot) -> Sheet {
    let mut sheet = Sheet::default();
    service(&mut sheet, snapshot);
    kafka(&mut sheet, snapshot);
    let mut files: HashMap<&str, Vec<&FileRow>> = HashMap::new();
    for file in &snapshot.report.files {
        files.entry(&file.log).or_default().push(file);
    }
    for entry in &snapshot.entries {
        let files = files.get(entry.log.as_str()).map(Vec::as_slice).unwrap_or_default();
        of_entry(&mut sheet, entry, files);
    }
    if snapshot.file_metrics {
        for file in &snapshot.report.files {
            let of = [("log", file.log.as_str()), ("path", file.path.as_str())];
            sheet.put("logcatch_file_size_bytes", &of, file.size as f64);
            sheet.put("logcatch_file_position_bytes", &of, file.position as f64);
            sheet.put("logcatch_file_lag_seconds", &of, file.lag_seconds);
        }
    }
    sheet
}

fn service(sheet: &mut Sheet, snapshot: &Snapshot) {
    let report = &snapshot.report;
    sheet.put("logcatch_build_info", &[("version", &report.version)], 1.0);
    let settings = &report.settings;
    sheet.put(
        "logcatch_settings_last_reload_successful",
        &[],
        f64::from(settings.refused.is_none()),
    );
    sheet.put(
        "logcatch_settings_applied_timestamp_seconds",
        &[],
        settings.applied_at as f64,
    );
    let reloads = [
        ("applied", snapshot.reloads.applied),
        ("unchanged", snapshot.reloads.unchanged),
        ("refused", snapshot.reloads.refused),
    ];
    for (result, count) in reloads {
        sheet.put("logcatch_settings_reloads_total", &[("result", result)], count as f64);
    }
    let kafka = &report.kafka;
    sheet.put("logcatch_in_flight_bytes", &[], kafka.in_flight_bytes as f64);
    sheet.put(
        "logcatch_in_flight_limit_bytes",
        &[],
        kafka.in_flight_limit_bytes as f64,
    );
    let saved_at = report.positions.saved_at.unwrap_or(0);
    sheet.put("logcatch_positions_saved_timestamp_seconds", &[], saved_at as f64);
    sheet.put(
        "logcatch_positions_save_errors_total",
        &[],
        report.positions.errors as f64,
    );
    let is_waiting = report.positions.waits_for.is_some() || snapshot.stats.positions_wait.is_some();
    sheet.put("logcatch_positions_waiting", &[], f64::from(is_waiting));
    sheet.put(
        "logcatch_dead_letter_store_bytes",
        &[],
        snapshot.dead_letter_bytes as f64,
    );
}

fn kafka(sheet: &mut Sheet, snapshot: &Snapshot) {
    let stats = &snapshot.stats;
    sheet.put("logcatch_kafka_up", &[], f64::from(stats.connected == Some(true)));
    let last_ack = stats
        .last_ack
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    sheet.put(
        "logcatch_kafka_last_ack_timestamp_seconds",
        &[],
        last_ack.unwrap_or_default().as_secs_f64(),
    );
    sheet.add("logcatch_kafka_ack_duration_seconds", histogram(stats));
    sheet.put("logcatch_kafka_sent_bytes_total", &[], stats.sent_bytes as f64);
    let known = Code::KNOWN.iter().filter(|code| **code != Code::NONE);
    let mut errors: HashMap<(ErrorClass, &str), u64> = known.map(|code| ((code.class(), code.name()), 0)).collect();
    errors.extend(stats.errors.iter().map(|(of, count)| (*of, *count)));
    let mut errors: Vec<_> = errors.into_iter().collect();
    errors.sort_unstable();
    for ((class, code), count) in errors {
        let of = [("class", class.name()), ("code", code)];
        sheet.put("logcatch_kafka_errors_total", &of, count as f64);
    }
    sheet.put("logcatch_kafka_producer_rebuilds_total", &[], stats.rebuilds as f64);
    for (result, count) in [("committed", stats.committed), ("aborted", stats.aborted)] {
        sheet.put("logcatch_kafka_transactions_total", &[("result", result)], count as f64);
    }
}

fn of_entry(sheet: &mut Sheet, entry: &EntryFigures, files: &[&FileRow]) {
    let log = ("log", entry.log.as_str());
    // Of one that is gone the counters stay what they were, and no alert waits for its files.
    if entry.is_in_force {
        of_files(sheet, log, files);
    }
    let balance = &entry.balance;
    sheet.put("logcatch_read_bytes_total", &[log], balance.read as f64);
    sheet.put("logcatch_delivered_bytes_total", &[log], balance.delivered as f64);
    sheet.put("logcatch_delivered_lines_total", &[log], balance.delivered_lines as f64);
    for (reason, bytes) in balance.skipped_by_reason() {
        sheet.put("logcatch_skipped_bytes_total", &[log, ("reason", reason)], bytes as f64);
    }
    let is_of_record = |code: &&Code| code.class() == ErrorClass::Record;
    let mut dead: Vec<(&str, u64)> = (Code::KNOWN.iter().filter(is_of_record))
        .map(|code| (code.name(), 0))
        .filter(|(name, _)| !entry.counts.dead.contains_key(name))
        .collect();
    dead.extend(entry.counts.dead.iter().map(|(name, bytes)| (*name, *bytes)));
    for (reason, bytes) in dead {
        sheet.put(
            "logcatch_dead_lettered_bytes_total",
            &[log, ("reason", reason)],
            bytes as f64,
        );
    }
    sheet.put("logcatch_unreachable_bytes_total", &[log], balance.unreachable as f64);
    for (kind, count) in Rotation::ALL.iter().zip(entry.counts.rotations) {
        sheet.put("logcatch_rotations_total", &[log, ("kind", kind.word())], count as f64);
    }
    for (why, count) in Restarted::ALL.iter().zip(entry.counts.restarts) {
        sheet.put(
            "logcatch_watcher_restarts_total",
            &[log, ("reason", why.word())],
            count as f64,
        );
    }
}

fn of_files(sheet: &mut Sheet, log: (&str, &str), files: &[&FileRow]) {
    for state in STATES {
        let count = files.iter().filter(|file| file.state == state).count();
        sheet.put("logcatch_files", &[log, ("state", &state.to_string())], count as f64);
    }
    let lag: u64 = files.iter().map(|file| file.lag_bytes).sum();
    let worst = files.iter().map(|file| file.lag_seconds).fold(0.0, f64::max);
    let loss = files.iter().filter_map(|file| file.time_to_loss_seconds);
    sheet.put("logcatch_lag_bytes", &[log], lag as f64);
    sheet.put("logcatch_lag_seconds", &[log], worst);
    sheet.put(
        "logcatch_time_to_loss_seconds",
        &[log],
        loss.fold(f64::INFINITY, f64::min),
    );
}

fn histogram(stats: &Stats) -> Metric {
    let mut sum = 0;
    let mut buckets = Vec::new();
    for (bound, count) in logcatch_kafka::Histogram::BOUNDS_MS
        .iter()
        .zip(stats.ack_duration.counts())
    {
        sum += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1000.0);
        bucket.set_cumulative_count(sum);
        buckets.push(bucket);
    }
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(stats.ack_duration.counts().iter().sum());
    histogram.set_sample_sum(stats.ack_duration.sum().as_secs_f64());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    metric
}

impl Sheet {
    /// A value of a counter or a gauge of [`FAMILIES`].
    fn put(&mut self, name: &'static str, labels: &[(&str, &str)], value: f64) {
        let pair = |(name, value): &(&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        let mut metric = Metric::from_label(labels.iter().map(pair).collect());
        // What a family does not have is not given.
        let (mut counter, mut gauge) = (Counter::default(), Gauge::default());
        counter.set_value(value);
        gauge.set_value(value);
        metric.set_counter(counter);
        metric.set_gauge(gauge);
        self.add(name, metric);
    }

    fn add(&mut self, name: &'static str, metric: Metric) {
        self.metrics.entry(name).or_default().push(metric);
    }

    /// In the order of [`FAMILIES`], without those that have no value.
    fn families(mut self) -> Vec<MetricFamily> {
        let families = FAMILIES.iter().filter_map(|known| {
            let metrics = self.metrics.remove(known.name)?;
            let mut family = MetricFamily::default();
            family.set_name(known.name.to_owned());
            family.set_help(known.help.to_owned());
            family.set_field_type(known.kind);
            family.set_metric(metrics);
            Some(family)
        });
        families.collect()
    }
}

/// Whether the name of a sample is one of this family: a histogram has three, with suffixes.
impl Family {
    /// The names of its samples.
    pub fn samples(&self) -> Vec<String> {
        if self.kind == MetricType::HISTOGRAM {
            ["_bucket", "_sum", "_count"]
                .map(|suffix| format!("{}{suffix}", self.name))
                .to_vec()
        } else {
            vec![self.name.to_owned()]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn snapshot() -> Snapshot {
        let row = r#"{"log":"a\"pp\\\n","path":"/a","topic":"t","state":"blocked","since_seconds":1.0,"size":9,"position":4,
            "lag_bytes":5,"lag_seconds":1.5,"in_flight_bytes":0,"bytes_per_second":0.0,"lines_per_second":0.0,
            "restarts":0,"generations":1}"#;
        let mut snapshot = Snapshot::default();
        snapshot.report.files.push(serde_json::from_str(row).unwrap());
        snapshot.entries.push(EntryFigures {
            log: "a\"pp\\\n".to_owned(),
            is_in_force: true,
            ..EntryFigures::default()
        });
        snapshot
    }

    #[test]
    fn every_family_is_there_at_zero_and_no_other() {
        let mut snapshot = snapshot();
        let given: BTreeSet<_> = sheet(&snapshot).metrics.into_keys().collect();
        let is_of_file = |name: &&str| name.starts_with("logcatch_file_");
        let all: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(given, all.iter().copied().filter(|name| !is_of_file(name)).collect());
        snapshot.file_metrics = true;
        assert_eq!(sheet(&snapshot).metrics.into_keys().collect::<BTreeSet<_>>(), all);
    }

    #[test]
    fn of_an_entry_that_is_gone_the_counters_are_left() {
        let mut snapshot = snapshot();
        snapshot.entries[0].is_in_force = false;
        let given: BTreeSet<_> = sheet(&snapshot).metrics.into_keys().collect();
        assert!(given.contains("logcatch_delivered_bytes_total"));
        for name in [
            "logcatch_files",
            "logcatch_lag_bytes",
            "logcatch_lag_seconds",
            "logcatch_time_to_loss_seconds",
        ] {
            assert!(!given.contains(name), "{name}");
        }
    }

    #[test]
    fn positions_that_are_waited_for_show_whether_watchers_run_or_not() {
        let waiting = |snapshot: &Snapshot| {
            let text = text(snapshot).unwrap();
            let line = text
                .lines()
                .find(|line| line.starts_with("logcatch_positions_waiting "));
            line.unwrap().to_owned()
        };
        let mut snapshot = snapshot();
        assert_eq!(waiting(&snapshot), "logcatch_positions_waiting 0");
        snapshot.report.positions.waits_for = Some("its positions in `p`: Kafka is away".to_owned());
        assert_eq!(waiting(&snapshot), "logcatch_positions_waiting 1");
        snapshot.report.positions.waits_for = None;
        snapshot.stats.positions_wait = Some("Kafka does not take them".to_owned());
        assert_eq!(waiting(&snapshot), "logcatch_positions_waiting 1");
    }

    #[test]
    fn every_sample_has_the_labels_of_its_family() {
        let mut snapshot = snapshot();
        snapshot.file_metrics = true;
        let sheet = sheet(&snapshot);
        for family in FAMILIES {
            for metric in &sheet.metrics[family.name] {
                let labels: Vec<_> = metric.get_label().iter().map(LabelPair::name).collect();
                assert_eq!(labels, family.labels, "{}", family.name);
            }
        }
    }

    #[test]
    fn names_and_values_are_written_as_prometheus_reads_them() {
        let mut snapshot = snapshot();
        snapshot.stats.ack_duration.observe(std::time::Duration::from_millis(3));
        snapshot.stats.errors.insert((ErrorClass::Retriable, "NEW"), 2);
        let text = text(&snapshot).unwrap();
        for line in [
            r#"logcatch_files{log="a\"pp\\\n",state="blocked"} 1"#,
            r#"logcatch_files{log="a\"pp\\\n",state="idle"} 0"#,
            r#"logcatch_lag_bytes{log="a\"pp\\\n"} 5"#,
            r#"logcatch_time_to_loss_seconds{log="a\"pp\\\n"} +Inf"#,
            r#"logcatch_lag_seconds{log="a\"pp\\\n"} 1.5"#,
            r#"logcatch_kafka_ack_duration_seconds_bucket{le="0.002"} 0"#,
            r#"logcatch_kafka_ack_duration_seconds_bucket{le="0.005"} 1"#,
            r#"logcatch_kafka_ack_duration_seconds_bucket{le="+Inf"} 1"#,
            r#"logcatch_kafka_errors_total{class="retriable",code="NEW"} 2"#,
            r#"logcatch_kafka_errors_total{class="record",code="MSG_SIZE_TOO_LARGE"} 0"#,
            "# TYPE logcatch_kafka_ack_duration_seconds histogram",
            "# TYPE logcatch_read_bytes_total counter",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in\n{text}");
        }
        assert!(text.contains("\nprocess_open_fds "), "{text}");
        let cpu = text
            .lines()
            .find_map(|line| line.strip_prefix("process_cpu_seconds_total "));
        let cpu: f64 = cpu.unwrap().parse().unwrap();
        assert!(cpu > 0.0 && cpu.fract() > 0.0, "{cpu}");
        assert_eq!(
            FAMILIES.len(),
            FAMILIES.iter().map(|family| family.name).collect::<BTreeSet<_>>().len()
        );
    }
}
