//! The settings file of the program that logcatch grew out of, translated.
//!
//! ```yaml
//! collectlogs:
//!   - logtopic: web             # the name and the key of a log, though it says topic
//!     logpath: /var/log/web.log
//! kafkaconfig:
//!   kafkaaddr: localhost:9092
//! ```
//!
//! That program compares keys without regard to case, and sends everything to one topic.

use std::path::Path;

use crate::document::{Data, Node};
use crate::problem::Spot;
use crate::reader::Report;

/// The one topic of that program.
const TOPIC: &str = "logcatchsys";
/// Each log has a key of its own there.
const KEY: &str = "{name}";
const LOGS: &str = "collectlogs";
const KAFKA: &str = "kafkaconfig";

/// Translates such a file; any other is returned as it is.
pub(crate) fn translate(node: Node, file: &Path, notices: &mut Vec<String>, report: &mut Report) -> Node {
    let Some(logs) = get(&node, LOGS) else {
        return node;
    };
    let spot = Spot::file(file);
    let mut ignored = unknown(&node, "", &[LOGS, KAFKA]);
    let mut translated = Vec::new();
    let logs_spot = spot.key(LOGS, logs.line);
    match &logs.data {
        Data::List(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                let spot = logs_spot.item(index, entry.line);
                ignored.extend(unknown(entry, &format!("{}.", spot.key), &["logtopic", "logpath"]));
                let (name, path) = (
                    text(entry, "logtopic", &spot, report),
                    text(entry, "logpath", &spot, report),
                );
                if let (Some(name), Some(path)) = (name, path) {
                    let key = Node::text(KEY, name.line);
                    translated.push(Node::table([("name", name), ("path", path), ("key", key)], entry.line));
                }
            }
        }
        other => {
            let problem = logs_spot.problem(format!("must be a list of logs, not {}", other.described()));
            report
                .problems
                .push(problem.help("list each log with its `logtopic` and `logpath`"));
        }
    }
    let kafka_line = get(&node, KAFKA).and_then(|kafka| kafka.line);
    let kafka_spot = spot.key(KAFKA, kafka_line);
    let kafka = get(&node, KAFKA).cloned().unwrap_or_else(|| Node::table([], None));
    ignored.extend(unknown(&kafka, &format!("{KAFKA}."), &["kafkaaddr"]));
    let brokers = text(&kafka, "kafkaaddr", &kafka_spot, report).unwrap_or_else(|| Node::text("", None));

    notices.push(format!(
        "the file is of the older form with `{LOGS}`: lines go to topic `{TOPIC}`, each log's `logtopic` is its name and key"
    ));
    if !ignored.is_empty() {
        notices.push(format!(
            "these keys of the older form have no meaning here: {}",
            ignored.join(", ")
        ));
    }
    let logs = Node {
        line: logs.line,
        data: Data::List(translated),
    };
    let kafka = Node::table(
        [("brokers", brokers), ("topic", Node::text(TOPIC, kafka_line))],
        kafka_line,
    );
    Node::table([("kafka", kafka), ("logs", logs)], node.line)
}

fn get<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.as_table()?
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, node)| node)
}

fn text(node: &Node, name: &str, spot: &Spot, report: &mut Report) -> Option<Node> {
    let found = get(node, name);
    let spot = spot.key(name, found.and_then(|node| node.line));
    let problem = match found.map(|node| &node.data) {
        Some(Data::Text(text)) if !text.is_empty() => return found.cloned(),
        // There numbers become texts.
        Some(Data::Integer(number)) => return Some(Node::text(number.to_string(), spot.line)),
        Some(other) => format!("must be a text that is not empty, not {}", other.described()),
        None => "is missing".to_owned(),
    };
    report.problems.push(spot.problem(problem));
    None
}

/// The full names of keys that nothing is made of.
fn unknown(node: &Node, above: &str, known: &[&str]) -> Vec<String> {
    let is_known = |key: &str| known.iter().any(|known| key.eq_ignore_ascii_case(known));
    let keys = node.as_table().into_iter().flatten().map(|(key, _)| key);
    keys.filter(|key| !is_known(key))
        .map(|key| format!("`{above}{key}`"))
        .collect()
}
