//! The schema as a JSON Schema, by which editors complete and check settings files.

use serde_json::{Map, Value, json};

use super::{Default, Key, ROOT, Shape};

/// The JSON Schema (draft 2020-12) of settings files.
pub fn json_schema() -> Value {
    let mut schema = table(ROOT);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("Settings of logcatch");
    schema
}

fn table(keys: &[Key]) -> Value {
    let properties = keys
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect::<Map<_, _>>();
    let required = keys
        .iter()
        .filter(|key| key.default == Default::Required)
        .map(|key| key.name);
    json!({
        "type": "object",
        "properties": properties,
        "required": required.collect::<Vec<_>>(),
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = shape(&key.shape);
    schema["description"] = match key.default {
        Default::Found(how) => json!(format!("{} Default: {how}.", key.doc)),
        _ => json!(key.doc),
    };
    match (key.default, &key.shape) {
        (Default::Value(value), Shape::Flag) => schema["default"] = json!(value == "true"),
        (Default::Value(value), Shape::Count(..)) => schema["default"] = json!(value.parse::<u64>().ok()),
        (Default::Value(value), _) => schema["default"] = json!(value),
        (Default::Values(values), _) => schema["default"] = json!(values),
        (Default::Required | Default::None | Default::Found(_), _) => {}
    }
    schema
}

fn shape(shape: &Shape) -> Value {
    let one_or_list = |item: Value| json!({ "oneOf": [item, { "type": "array", "items": item }] });
    // What comes from the environment or a file may stand for any text.
    let pattern = |pattern: &str| json!({ "type": "string", "pattern": format!(r"^({pattern})$|\$\{{") });
    match shape {
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::AnyText => json!({ "type": "string" }),
        Shape::Regex => json!({ "type": "string", "format": "regex" }),
        Shape::Flag => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "anyOf": [{ "enum": words }, { "type": "string", "pattern": r"\$\{" }] }),
        Shape::Size(..) => pattern("[0-9]+([KMGT]iB|[kKMGT]?B)"),
        Shape::Rate(..) => pattern("[0-9]+([KMGT]iB|[kKMGT]?B)/s"),
        Shape::Duration(..) => pattern("[0-9]+(ms|s|m|h|d)"),
        Shape::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Texts => one_or_list(self::shape(&Shape::Text)),
        Shape::Regexes => one_or_list(self::shape(&Shape::Regex)),
        Shape::Map => json!({ "type": "object" }),
        Shape::Table(keys) => table(keys),
        Shape::Tables(keys) => json!({ "type": "array", "items": table(keys) }),
        Shape::ChoiceOrTable(words, keys) => json!({ "oneOf": [self::shape(&Shape::Choice(words)), table(keys)] }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_schema() {
        let schema = json_schema();
        assert_eq!(schema["properties"]["kafka"]["required"], json!(["brokers"]));
        assert_eq!(
            schema["properties"]["limits"]["properties"]["in_flight"]["default"],
            "16MiB"
        );
        let logs = &schema["properties"]["logs"]["items"];
        assert_eq!(logs["properties"]["headers"]["default"], false);
        assert_eq!(logs["additionalProperties"], false);
        let start = &logs["properties"]["start"]["anyOf"][0]["enum"];
        assert_eq!(start, &json!(["beginning", "end"]));
    }
}
