//! Places in JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Fault, Place, line_of};

/// The lines of all values, or everything that is wrong with the text.
pub(super) fn places(text: &str) -> Result<Place, Vec<Fault>> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error))?;
    if !root.get().starts_with('{') {
        return Err(vec![Fault::new(
            Some(line_of(text, offset(text, root))),
            "holds no table of keys",
        )]);
    }
    let mut faults = Vec::new();
    let place = value_place(text, root, "", &mut faults)?;
    if faults.is_empty() { Ok(place) } else { Err(faults) }
}

/// The members of an object in their order, repeated ones included; the values are slices of the text.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

fn value_place(text: &str, value: &RawValue, key: &str, faults: &mut Vec<Fault>) -> Result<Place, Vec<Fault>> {
    let line = line_of(text, offset(text, value));
    let mut place = Place {
        line: Some(line),
        ..Place::default()
    };
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(value.get()).map_err(|error| syntax(&error))?;
            for (name, member) in members {
                let full = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                let member = value_place(text, member, &full, faults)?;
                let line = member.line;
                if let Some(first) = place.keys.insert(name, member) {
                    faults.push(Fault::repeated(line, &full, first.line));
                }
            }
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|error| syntax(&error))?;
            for (index, item) in items.into_iter().enumerate() {
                place
                    .items
                    .push(value_place(text, item, &format!("{key}[{index}]"), faults)?);
            }
        }
        _ => {}
    }
    Ok(place)
}

/// Where the slice `value` of `text` begins.
fn offset(text: &str, value: &RawValue) -> usize {
    value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr())
}

fn syntax(error: &serde_json::Error) -> Vec<Fault> {
    // The place is given apart, so it is cut from the message.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    vec![Fault::new(Some(error.line()), format!("is not JSON: {message}"))]
}
