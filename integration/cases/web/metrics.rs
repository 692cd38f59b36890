//! What the metrics say, held against what the tests know.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::{ANY, with_page};
use crate::cases::fixture::Fixture;
use crate::harness::case::{self, cases};
use crate::harness::eventually::{eventually, when};
use crate::harness::http::Page;
use crate::harness::kafka;
use crate::harness::reader::Reader;
use crate::harness::service::Host;
use crate::harness::writers::installed;

cases![
    web_metrics_are_there_at_zero_with_all_labels_and_pass_promtool,
    web_counters_add_up_and_agree_with_kafka,
    web_loss_ahead_is_told_before_rotation_deletes_unread_lines,
];

fn web_metrics_are_there_at_zero_with_all_labels_and_pass_promtool() {
    let host = Host::new("zero");
    let entry = "[[logs]]\nname = \"app\"\npath = \"logs/*.log\"\n";
    host.settings(&format!(
        "{}{entry}",
        host.head(&kafka::shared().address(), &kafka::unique("zero"))
    ));
    with_page(&host, ANY);
    let service = host.start();
    let page = Page::of(&service);
    let text = page.text("/metrics");
    for sample in [
        "logcatch_build_info{version=\"0.1.0\"} 1",
        "logcatch_settings_last_reload_successful 1",
        "logcatch_settings_reloads_total{result=\"applied\"} 0",
        "logcatch_settings_reloads_total{result=\"refused\"} 0",
        "logcatch_in_flight_bytes 0",
        "logcatch_positions_save_errors_total 0",
        "logcatch_positions_waiting 0",
        "logcatch_dead_letter_store_bytes 0",
        "logcatch_kafka_last_ack_timestamp_seconds 0",
        "logcatch_kafka_ack_duration_seconds_bucket{le=\"0.001\"} 0",
        "logcatch_kafka_ack_duration_seconds_bucket{le=\"60\"} 0",
        "logcatch_kafka_sent_bytes_total 0",
        "logcatch_kafka_errors_total{class=\"record\",code=\"MSG_SIZE_TOO_LARGE\"} 0",
        "logcatch_kafka_producer_rebuilds_total 0",
        "logcatch_kafka_transactions_total{result=\"committed\"} 0",
        "logcatch_kafka_transactions_total{result=\"aborted\"} 0",
        "logcatch_files{log=\"app\",state=\"idle\"} 0",
        "logcatch_files{log=\"app\",state=\"failed\"} 0",
        "logcatch_read_bytes_total{log=\"app\"} 0",
        "logcatch_delivered_bytes_total{log=\"app\"} 0",
        "logcatch_delivered_lines_total{log=\"app\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"start\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"ignore-older\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"nuls\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"copy\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"byte-order-mark\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"excluded\"} 0",
        "logcatch_skipped_bytes_total{log=\"app\",reason=\"not-included\"} 0",
        "logcatch_dead_lettered_bytes_total{log=\"app\",reason=\"MSG_SIZE_TOO_LARGE\"} 0",
        "logcatch_unreachable_bytes_total{log=\"app\"} 0",
        "logcatch_lag_bytes{log=\"app\"} 0",
        "logcatch_lag_seconds{log=\"app\"} 0",
        "logcatch_time_to_loss_seconds{log=\"app\"} +Inf",
        "logcatch_rotations_total{log=\"app\",kind=\"rename\"} 0",
        "logcatch_rotations_total{log=\"app\",kind=\"truncate\"} 0",
        "logcatch_watcher_restarts_total{log=\"app\",reason=\"failed\"} 0",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} in\n{text}");
    }
    for (name, least) in [
        ("logcatch_settings_applied_timestamp_seconds", 1.7e9),
        ("logcatch_in_flight_limit_bytes", 1024.0),
        ("process_resident_memory_bytes", 1.0),
        ("process_start_time_seconds", 1.7e9),
    ] {
        assert!(page.metric(name) >= least, "{name} in\n{text}");
    }
    assert!(!text.contains("logcatch_file_"), "not asked for");
    promtool(&["check", "metrics"], &text);
    service.stop();
}

/// Passes what is not to be complained of.
pub fn promtool(arguments: &[&str], input: &str) {
    if !installed("promtool") {
        case::skip("promtool is not installed");
    }
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
}

fn web_counters_add_up_and_agree_with_kafka() {
    let broker = kafka::shared();
    let topic = broker.topic_with("add-up", 1, &[("max.message.bytes", "20000")]);
    let host = Host::new("add-up");
    let entry = "[[logs]]\nname = \"app\"\npath = \"logs/*.log\"\nstart = \"end\"\n";
    host.settings(&format!("{}{entry}", host.head(&broker.address(), &topic)));
    with_page(&host, ANY);
    let path = host.path("logs/app.log");
    let old = "there before\n".repeat(100);
    fs::write(&path, &old).unwrap();
    let service = host.start();
    let page = Page::of(&service);
    let of = |name: &str| page.metric(&format!("logcatch_{name}{{log=\"app\"}}"));
    let skipped = "logcatch_skipped_bytes_total{log=\"app\",reason=\"start\"}";
    eventually("what was there is skipped", || {
        let bytes = page.metric(skipped);
        when(bytes == old.len() as f64, || bytes.to_string())
    });
    // Nothing that compresses: the limit is on what arrives.
    let noise: String = (0..4000u32)
        .map(|n| format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes())))
        .collect();
    let new = format!("one\ntwo\n{noise}\nthree\n");
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(new.as_bytes())
        .unwrap();
    eventually("every byte has its place", || {
        let read = of("read_bytes_total");
        let settled = of("lag_bytes") == 0.0;
        when(settled && read == (old.len() + new.len()) as f64, || read.to_string())
    });
    let dead = page.metric("logcatch_dead_lettered_bytes_total{log=\"app\",reason=\"MSG_SIZE_TOO_LARGE\"}");
    assert_eq!(dead, (noise.len() + 1) as f64);
    assert_eq!(of("delivered_bytes_total"), (new.len() - noise.len() - 1) as f64);
    let records = Reader::new(broker, &topic).everything().len();
    assert_eq!((records, of("delivered_lines_total")), (3, 3.0));
    assert!(page.metric("logcatch_dead_letter_store_bytes") > noise.len() as f64);
    assert!(page.metric("logcatch_kafka_errors_total{class=\"record\",code=\"MSG_SIZE_TOO_LARGE\"}") >= 1.0);
    let acks = page.metric("logcatch_kafka_ack_duration_seconds_count");
    assert!(acks >= 1.0 && page.metric("logcatch_kafka_ack_duration_seconds_bucket{le=\"+Inf\"}") == acks);
    assert!(page.metric("logcatch_kafka_last_ack_timestamp_seconds") > 1.7e9);
    assert_eq!(page.metric("logcatch_kafka_up"), 1.0);
    service.stop();
}

fn web_loss_ahead_is_told_before_rotation_deletes_unread_lines() {
    let broker = kafka::private("loss");
    let mut fixture = Fixture::on(&broker, "loss", "name = \"app\"");
    with_page(&fixture.host, ANY);
    let mut log = fixture.log("logs/app.log");
    log.write(10);
    let service = fixture.host.start();
    let page = Page::of(&service);
    fixture.caught_up();
    let of = |name: &str| page.metric(&format!("logcatch_{name}{{log=\"app\"}}"));
    assert_eq!(of("time_to_loss_seconds"), f64::INFINITY);
    for number in [3, 2, 1] {
        drop(log.rename_to(&fixture.host.path(format!("logs/app.log.{number}"))));
        log.write(10);
        fixture.caught_up();
    }
    broker.kill();
    log.write(10);
    // At the pace of the last rotations the file goes within the hour.
    eventually("loss is ahead", || {
        let left = of("time_to_loss_seconds");
        when(left < 3600.0, || format!("{left} {}", page.text("/api/v1/files")))
    });
    service.wait_log("rotation is about to delete lines that Kafka has not acknowledged");
    let html = page.text("/");
    assert!(html.contains("Rotation deletes unread bytes in about"), "{html}");
    assert!(
        page.json("/api/v1/status")["remarks"][1]
            .as_str()
            .unwrap()
            .starts_with("rotation deletes")
    );
    drop(log.rename_to(&fixture.host.path("logs/app.log.4")));
    log.write(10);
    eventually("the rotation of what is not read is told", || {
        let html = page.text("/");
        when(html.contains("renamed or deleted with"), || html)
    });
    broker.start_again();
    fixture.caught_up();
    eventually("nothing is at risk", || {
        let left = of("time_to_loss_seconds");
        when(left.is_infinite(), || left.to_string())
    });
    assert_eq!(of("unreachable_bytes_total"), 0.0);
    fixture.finish(service);
}
