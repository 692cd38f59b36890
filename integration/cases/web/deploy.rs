//! The dashboard and the alerts of `deploy/`: they name what there is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use logcatch_web::FAMILIES;

use super::metrics::promtool;
use crate::harness::case::cases;

cases![
    web_the_dashboard_and_the_alerts_use_only_names_that_exist,
    web_every_alert_is_there_once_and_promtool_takes_the_rules,
];

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// The words of a text that are names of metrics.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words
        .filter(|word| word.starts_with("logcatch_"))
        .map(str::to_owned)
        .collect()
}

fn web_the_dashboard_and_the_alerts_use_only_names_that_exist() {
    let known: BTreeSet<String> = FAMILIES.iter().flat_map(logcatch_web::Family::samples).collect();
    let mut used = BTreeSet::new();
    for file in ["grafana-dashboard.json", "prometheus-alerts.yml"] {
        let text = fs::read_to_string(deployed(file)).unwrap();
        let unknown: Vec<_> = names(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        used.extend(names(&text));
    }
    assert!(used.len() > 20, "{used:?}");
    let dashboard: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(deployed("grafana-dashboard.json")).unwrap()).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() >= 8);
}

fn web_every_alert_is_there_once_and_promtool_takes_the_rules() {
    let text = fs::read_to_string(deployed("prometheus-alerts.yml")).unwrap();
    let severity = |alert: &str| {
        let rest = text.split(&format!("alert: Logcatch{alert}\n")).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("no {alert}"));
        rest.split("severity: ")
            .nth(1)
            .and_then(|rest| rest.lines().next())
            .unwrap()
            .to_owned()
    };
    let pages = ["LossAhead", "BytesUnreachable", "Down", "PositionsWaiting"];
    for alert in pages {
        assert_eq!(severity(alert), "page", "{alert}");
    }
    let tickets = [
        "Lagging",
        "KafkaUnreachable",
        "NotAcknowledged",
        "SettingsRefused",
        "DeadLetters",
        "PositionsNotSaved",
        "FilesBlocked",
        "WatcherRestarting",
        "NothingMatched",
    ];
    for alert in tickets {
        assert_eq!(severity(alert), "ticket", "{alert}");
    }
    assert_eq!(text.matches("- alert: ").count(), pages.len() + tickets.len());
    promtool(
        &[
            "check",
            "rules",
            &deployed("prometheus-alerts.yml").display().to_string(),
        ],
        "",
    );
    promtool(
        &[
            "test",
            "rules",
            &deployed("prometheus-alerts.test.yml").display().to_string(),
        ],
        "",
    );
}
