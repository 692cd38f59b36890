//! Places in YAML.

use yaml_rust2::Event;
use yaml_rust2::parser::{MarkedEventReceiver, Parser};
use yaml_rust2::scanner::Marker;

use super::{Fault, Place};

/// The lines of all keys, or everything that is wrong with the text.
pub(super) fn places(text: &str) -> Result<Place, Vec<Fault>> {
    let mut builder = Builder::default();
    if let Err(error) = Parser::new_from_str(text).load(&mut builder, true) {
        return Err(vec![Fault::new(
            Some(error.marker().line()),
            format!("is not YAML: {}", error.info()),
        )]);
    }
    let root = builder.root.unwrap_or_default();
    match root.line {
        Some(line) if !builder.root_is_table => Err(vec![Fault::new(Some(line), "holds no table of keys")]),
        _ if builder.faults.is_empty() => Ok(root),
        _ => Err(builder.faults),
    }
}

#[derive(Default)]
struct Builder {
    /// What is open, outermost first.
    open: Vec<Open>,
    root: Option<Place>,
    root_is_table: bool,
    faults: Vec<Fault>,
}

struct Open {
    place: Place,
    kind: Kind,
    /// The full name, for messages.
    name: String,
}

enum Kind {
    List,
    /// The key that was read and waits for its value.
    Table(Option<(String, usize)>),
}

// === impl Builder ===

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::MappingStart(..) => self.open(Kind::Table(None), mark.line()),
            Event::SequenceStart(..) => self.open(Kind::List, mark.line()),
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(open) = self.open.pop() {
                    let is_table = matches!(open.kind, Kind::Table(_));
                    self.close(open.place, is_table, None);
                }
            }
            Event::Scalar(text, ..) => self.close(Place::at(mark.line()), false, Some(text)),
            Event::Alias(_) => self.close(Place::at(mark.line()), false, None),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart | Event::DocumentEnd => {}
        }
    }
}

impl Builder {
    fn open(&mut self, kind: Kind, line: usize) {
        let name = match self.open.last() {
            None => String::new(),
            Some(Open {
                kind: Kind::List,
                place,
                name,
            }) => format!("{name}[{}]", place.items.len()),
            Some(Open {
                kind: Kind::Table(Some((key, _))),
                name,
                ..
            }) => join(name, key),
            Some(Open { name, .. }) => name.clone(),
        };
        // A table or list under a key is where its key is.
        let line = match self.open.last() {
            Some(Open {
                kind: Kind::Table(Some((_, line))),
                ..
            }) => *line,
            _ => line,
        };
        self.open.push(Open {
            place: Place::at(line),
            kind,
            name,
        });
    }

    /// Adds what is complete to what is open. `scalar`: its text, if it may be a key.
    fn close(&mut self, mut place: Place, is_table: bool, scalar: Option<String>) {
        let Some(open) = self.open.last_mut() else {
            self.root_is_table = is_table || scalar.as_deref() == Some("");
            self.root.get_or_insert(place);
            return;
        };
        match &mut open.kind {
            Kind::List => open.place.items.push(place),
            Kind::Table(waiting @ None) => {
                let line = place.line.unwrap_or_default();
                *waiting = Some((scalar.unwrap_or_default(), line));
            }
            Kind::Table(waiting) => {
                let (key, line) = waiting.take().unwrap_or_default();
                place.line = Some(line);
                let full = join(&open.name, &key);
                if let Some(first) = open.place.keys.insert(key, place) {
                    self.faults.push(Fault::repeated(Some(line), &full, first.line));
                }
            }
        }
    }
}

fn join(above: &str, key: &str) -> String {
    if above.is_empty() {
        key.to_owned()
    } else {
        format!("{above}.{key}")
    }
}

impl Place {
    fn at(line: usize) -> Self {
        Self {
            line: Some(line),
            ..Self::default()
        }
    }
}
