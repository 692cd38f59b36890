//! Places in TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Place, line_of};

/// What the parser calls a repeated key.
const DUPLICATE_KEY: &str = "duplicate key";

/// The lines of all keys, or everything that is wrong with the text.
pub(super) fn places(text: &str) -> Result<Place, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut faults = errors.iter().map(|error| fault(text, error)).collect();
    let place = table_place(text, table.get_ref(), None, "", &mut faults);
    if faults.is_empty() { Ok(place) } else { Err(faults) }
}

/// The text under `table.key`, as far as the file can be read.
pub(crate) fn partial_text(text: &str, table: &str, key: &str) -> Option<String> {
    let (root, _) = DeTable::parse_recoverable(text);
    let table = root.get_ref().get(table)?.get_ref().as_table()?;
    Some(table.get(key)?.get_ref().as_str()?.to_owned())
}

fn fault(text: &str, error: &toml::de::Error) -> Fault {
    let span = error.span();
    let line = span.as_ref().map(|span| line_of(text, span.start));
    match span.and_then(|span| text.get(span)) {
        Some(key) if error.message() == DUPLICATE_KEY => Fault::repeated(line, key, None),
        _ => Fault::new(line, format!("is not TOML: {}", error.message())),
    }
}

fn table_place(text: &str, table: &DeTable<'_>, line: Option<usize>, above: &str, faults: &mut Vec<Fault>) -> Place {
    let mut place = Place {
        line,
        ..Place::default()
    };
    for (key, value) in table {
        let line = line_of(text, key.span().start);
        let full = if above.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{above}.{}", key.get_ref())
        };
        place
            .keys
            .insert(key.get_ref().to_string(), value_place(text, value, line, &full, faults));
    }
    place
}

fn value_place(text: &str, value: &Spanned<DeValue<'_>>, line: usize, key: &str, faults: &mut Vec<Fault>) -> Place {
    match value.get_ref() {
        DeValue::Table(table) => table_place(text, table, Some(line), key, faults),
        DeValue::Array(items) => {
            let item = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
                value_place(
                    text,
                    item,
                    line_of(text, item.span().start),
                    &format!("{key}[{index}]"),
                    faults,
                )
            };
            let items = items.iter().enumerate().map(item).collect();
            Place {
                line: Some(line),
                items,
                ..Place::default()
            }
        }
        // `config` would make a text of it.
        DeValue::Datetime(_) => {
            let message = "is a date, which no setting is".to_owned();
            faults.push(Fault {
                line: Some(line),
                key: key.to_owned(),
                message,
            });
            Place::default()
        }
        _ => Place {
            line: Some(line),
            ..Place::default()
        },
    }
}
