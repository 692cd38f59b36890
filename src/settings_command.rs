//! `logcatch settings`: what applies, and where each value comes from.

use std::path::Path;

use logcatch_actors::load;
use logcatch_settings::{Section, schema};
use serde_json::{Value, json};

use crate::cli::{self, SettingsArgs};
use crate::error::Failure;
use crate::run::raise_open_files;

/// Where the origins begin; longer lines push theirs to the right.
const ORIGIN_COLUMN: usize = 48;

pub fn run(config: &Path, args: &SettingsArgs) -> Result<(), Failure> {
    if args.schema {
        return cli::print_json(&schema::json_schema());
    }
    // As the service does; where that is refused, it is for the service, too.
    let _ = raise_open_files();
    let loaded = load(config, &cli::environment)?;
    for notice in &loaded.notices {
        cli::note(notice);
    }
    if args.json {
        cli::print_json(&as_json(&loaded.effective))
    } else {
        cli::print(&as_toml(&loaded.effective))
    }
}

fn as_json(sections: &[Section]) -> Vec<Value> {
    let rows = sections.iter().flat_map(|section| {
        section.rows.iter().map(move |row| {
            let key = if section.name.is_empty() {
                row.key.clone()
            } else {
                format!("{}.{}", section.name, row.key)
            };
            json!({ "key": key, "value": row.value, "origin": row.origin.to_string() })
        })
    });
    rows.collect()
}

/// TOML with the origins as comments.
fn as_toml(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections {
        if !section.name.is_empty() {
            text.extend(["\n", &header(&section.name), "\n"]);
        }
        for row in &section.rows {
            let line = format!("{} = {}", quoted_if_needed(&row.key), row.value);
            text.push_str(&format!("{line:<ORIGIN_COLUMN$} # {}\n", row.origin));
        }
    }
    text
}

fn header(name: &str) -> String {
    match name.split_once('[') {
        // In TOML a list of tables has no numbers.
        Some((list, rest)) => match rest.split_once("].") {
            Some((_, below)) => format!("[{list}.{below}]"),
            None => format!("[[{list}]]"),
        },
        None => format!("[{name}]"),
    }
}

fn quoted_if_needed(key: &str) -> String {
    let bare = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if bare { key.to_owned() } else { json!(key).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f.toml");
        let text = "host = \"h\"\n[kafka]\nbrokers = [\"a:1\"]\n[kafka.properties]\nlinger.ms = 5\n\
                    [[logs]]\npath = [\"/l/*.log\"]\ntopic = \"t\"\nfields = { n = 5, yes = true, text = \"5\" }\n\
                    [[logs]]\nname = \"b\"\npath = \"/m\"\ntopic = \"u\"\n";
        std::fs::write(&path, text).unwrap();
        let first = load(&path, &|_| None).unwrap();
        let printed = as_toml(&first.effective);
        assert!(
            printed.starts_with("host = \"h\"                                       # "),
            "{printed}"
        );
        assert!(
            printed.contains("\n[kafka.properties]\n\"linger.ms\" = 5 "),
            "{printed}"
        );
        assert!(printed.contains("# default: the first path\n"), "{printed}");
        assert!(printed.contains("\nopen_files = "), "{printed}");
        assert!(!printed.contains("etcd"), "{printed}");

        std::fs::write(&path, &printed).unwrap();
        let again = load(&path, &|_| None).unwrap_or_else(|refused| panic!("{refused}\n{printed}"));
        let unnamed = |mut settings: logcatch_settings::Settings| {
            settings.logs.iter_mut().for_each(|log| log.named = false);
            settings.limits.open_files = None;
            settings
        };
        assert_eq!(unnamed(again.settings), unnamed(first.settings));
        assert_eq!(as_json(&first.effective)[0]["key"], "host");
    }
}
