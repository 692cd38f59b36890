//! The schema as a page to read.

use super::{Default, Key, ROOT, Shape};

/// What stands above the keys.
const INTRODUCTION: &str = "\
# Settings, key by key

<!-- Made of the schema: `LOGCATCH_RENEW=1 cargo test --bin logcatch generate` makes it anew. -->

The settings file is TOML; YAML and JSON go by the file's ending, with the same keys. Keys that are not known are errors, and all
errors are said at once, with file, line and what is allowed. A change applies within a second, all of it or nothing;
`host`, `state.directory` and, while exactly-once is on, `kafka.instance` and `kafka.positions_topic` take a restart.

- Sizes are texts: `\"64MiB\"`, `\"10MB\"`, `\"1024B\"`. Durations as well: `\"500ms\"`, `\"1s\"`, `\"5m\"`, `\"2h\"`, `\"7d\"`.
- In every text `${NAME}` is an environment variable, `${NAME:-default}` has a value for one that is not set, and `${file:PATH}` is
  what a file holds, without its last newline; the file is watched. `$${` is a literal `${`.
- Paths may be relative to the file that names them.

`logcatch settings` prints what applies and where each value comes from. Editors take [logcatch.schema.json](logcatch.schema.json)
(`logcatch settings --schema` prints it), as with a first line `#:schema /usr/share/doc/logcatch/docs/logcatch.schema.json`.
";

/// The reference of all settings, in Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    let (tables, plain): (Vec<_>, Vec<_>) = ROOT.iter().partition(|key| key.shape.table().is_some());
    section(&mut text, "At the top", "", plain.into_iter());
    for table in tables {
        table_of(&mut text, table, table.name);
    }
    text
}

fn table_of(text: &mut String, table: &Key, name: &str) {
    let keys = table.shape.table().unwrap_or_default();
    let title = match table.shape {
        Shape::Tables(_) => format!("`[[{name}]]`"),
        _ => format!("`[{name}]`"),
    };
    section(text, &title, table.doc, keys.iter());
    for below in keys.iter().filter(|key| key.shape.table().is_some()) {
        table_of(text, below, &format!("{name}.{}", below.name));
    }
}

fn section<'a>(text: &mut String, title: &str, doc: &str, keys: impl Iterator<Item = &'a Key>) {
    text.push_str(&format!("\n## {title}\n\n"));
    if !doc.is_empty() {
        text.push_str(&format!("{doc}\n\n"));
    }
    text.push_str("| key | default | what it says | must be |\n|---|---|---|---|\n");
    for key in keys {
        let cells = [
            format!("`{}`", key.name),
            default(key),
            key.doc.to_owned(),
            key.shape.allowed(),
        ];
        text.push_str(&format!(
            "| {} |\n",
            cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
        ));
    }
}

fn default(key: &Key) -> String {
    match (key.default, &key.shape) {
        (Default::Required, _) => "required".to_owned(),
        (Default::None, _) => String::new(),
        (Default::Found(how), _) => how.to_owned(),
        (Default::Value(value), Shape::Flag | Shape::Count(..)) => format!("`{value}`"),
        (Default::Value(value), _) => format!("`\"{value}\"`"),
        (Default::Values([one]), _) => format!("`\"{one}\"`"),
        (Default::Values(values), _) => {
            let values = values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>();
            format!("`[{}]`", values.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_key_with_its_default() {
        let text = reference();
        for row in [
            "| `in_flight` | `\"16MiB\"` |",
            "| `brokers` | required |",
            "| `file_metrics` | `false` |",
            "| `rotated` | `\"auto\"` |",
            "| `open_files` | 65536, or ",
        ] {
            assert!(text.contains(row), "{row}: {text}");
        }
        fn check(text: &str, keys: &[Key]) {
            for key in keys {
                let has_section = text.contains(&format!("{}]", key.name));
                assert!(
                    has_section || text.contains(&format!("| `{}` | ", key.name)),
                    "{}",
                    key.name
                );
                check(text, key.shape.table().unwrap_or_default());
            }
        }
        check(&text, ROOT);
        let rows = text.lines().filter(|line| line.starts_with('|'));
        for row in rows {
            assert_eq!(row.replace("\\|", "").matches('|').count(), 5, "{row}");
        }
    }
}
