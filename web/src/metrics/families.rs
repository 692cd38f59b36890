//! Every metric: its name, its kind, its labels, what it says. Dashboards and alerts are held to this table.

use prometheus::proto::MetricType;

/// A metric.
#[derive(Debug)]
pub struct Family {
    /// Its name in full.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: MetricType,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family {
        name,
        kind: MetricType::COUNTER,
        labels,
        help,
    }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family {
        name,
        kind: MetricType::GAUGE,
        labels,
        help,
    }
}

/// All but those of the process, in the order they are given in.
pub static FAMILIES: &[Family] = &[
    gauge(
        "logcatch_build_info",
        &["version"],
        "Always 1; the version of the service.",
    ),
    gauge(
        "logcatch_settings_last_reload_successful",
        &[],
        "Whether the settings file, as it is now, is in force.",
    ),
    gauge(
        "logcatch_settings_applied_timestamp_seconds",
        &[],
        "When the settings that are in force were applied.",
    ),
    counter(
        "logcatch_settings_reloads_total",
        &["result"],
        "How often settings were read again, by what became of it.",
    ),
    gauge(
        "logcatch_in_flight_bytes",
        &[],
        "Memory of lines that were read and are not acknowledged, bookkeeping included.",
    ),
    gauge("logcatch_in_flight_limit_bytes", &[], "The setting limits.in_flight."),
    gauge(
        "logcatch_positions_saved_timestamp_seconds",
        &[],
        "When positions were last saved; 0 before the first save.",
    ),
    counter(
        "logcatch_positions_save_errors_total",
        &[],
        "How often positions could not be saved.",
    ),
    gauge(
        "logcatch_positions_waiting",
        &[],
        "Whether nothing ships before Kafka gives positions back or takes them; with exactly-once only.",
    ),
    gauge(
        "logcatch_dead_letter_store_bytes",
        &[],
        "The size of all dead letters on disk.",
    ),
    gauge("logcatch_kafka_up", &[], "Whether a broker answers."),
    gauge(
        "logcatch_kafka_last_ack_timestamp_seconds",
        &[],
        "When Kafka last acknowledged something; 0 before the first time.",
    ),
    Family {
        name: "logcatch_kafka_ack_duration_seconds",
        kind: MetricType::HISTOGRAM,
        labels: &[],
        help: "From handing a request to the client to its acknowledgement.",
    },
    counter(
        "logcatch_kafka_sent_bytes_total",
        &[],
        "Bytes of values that Kafka acknowledged.",
    ),
    counter(
        "logcatch_kafka_errors_total",
        &["class", "code"],
        "Errors of records and connections, by class and by the name that librdkafka gives them.",
    ),
    counter(
        "logcatch_kafka_producer_rebuilds_total",
        &[],
        "How often the producer was replaced after a fatal error.",
    ),
    counter(
        "logcatch_kafka_transactions_total",
        &["result"],
        "Transactions of exactly-once delivery, by how they ended.",
    ),
    gauge(
        "logcatch_files",
        &["log", "state"],
        "Watched paths of the entry, by state.",
    ),
    counter(
        "logcatch_read_bytes_total",
        &["log"],
        "Bytes taken from files: delivered, skipped, dead-lettered or in flight. What is read again counts once.",
    ),
    counter(
        "logcatch_delivered_bytes_total",
        &["log"],
        "Bytes of files, line ends included, that Kafka acknowledged.",
    ),
    counter(
        "logcatch_delivered_lines_total",
        &["log"],
        "Lines that Kafka acknowledged.",
    ),
    counter(
        "logcatch_skipped_bytes_total",
        &["log", "reason"],
        "Bytes of files that were passed over, by why.",
    ),
    counter(
        "logcatch_dead_lettered_bytes_total",
        &["log", "reason"],
        "Bytes of files whose lines are dead letters, by the error that Kafka refused them with.",
    ),
    counter(
        "logcatch_unreachable_bytes_total",
        &["log"],
        "Bytes of files that were written and can no longer be read.",
    ),
    gauge(
        "logcatch_lag_bytes",
        &["log"],
        "Bytes of files on disk that Kafka has not acknowledged.",
    ),
    gauge(
        "logcatch_lag_seconds",
        &["log"],
        "For how long the oldest byte that is not acknowledged waits, in the worst file of the entry.",
    ),
    gauge(
        "logcatch_time_to_loss_seconds",
        &["log"],
        "Estimate of when rotation deletes bytes that are not acknowledged, in the worst file; infinite while nothing speaks for that.",
    ),
    counter(
        "logcatch_rotations_total",
        &["log", "kind"],
        "How often files of the entry were rotated, by how.",
    ),
    counter(
        "logcatch_watcher_restarts_total",
        &["log", "reason"],
        "How often watchers of the entry were started again, by why.",
    ),
    gauge(
        "logcatch_file_size_bytes",
        &["log", "path"],
        "The size of the file that is at the path.",
    ),
    gauge(
        "logcatch_file_position_bytes",
        &["log", "path"],
        "Everything before it in the file at the path is acknowledged.",
    ),
    gauge(
        "logcatch_file_lag_seconds",
        &["log", "path"],
        "For how long the oldest byte of the path that is not acknowledged waits.",
    ),
];
