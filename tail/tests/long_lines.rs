//! Lines that are longer than what is read at once.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod rig;

use std::path::Path;
use std::sync::Arc;

use logcatch_tail::{Origin, Shape};
use rig::{Rig, append};
use serde_json::{Map, Value};

#[derive(Debug)]
struct Plain;

impl Origin for Plain {
    fn host(&self) -> &'static str {
        "host"
    }

    fn fields(&self, _: &Path) -> Map<String, Value> {
        Map::new()
    }

    fn now(&self) -> String {
        "2026-11-26T08:00:00.000Z".into()
    }
}

/// Once such a line was asked for again and again with the same few bytes, and the watcher span for ever.
#[test]
fn a_line_longer_than_a_small_step_is_read_where_lines_may_be_short() {
    let json = Shape {
        json: Some(Arc::new(Plain)),
        ..Shape::default()
    };
    let slow = Shape {
        rate_limit: Some(16 * 1024),
        ..Shape::default()
    };
    let both = Shape {
        rate_limit: Some(16 * 1024),
        ..json.clone()
    };
    for (shape, max_line, length) in [
        (json, 128 * 1024, 70 * 1024),
        (slow, 64 * 1024, 5 * 1024),
        (both, 64 * 1024, 60 * 1024),
    ] {
        let mut rig = Rig::new();
        rig.spec.max_line = max_line;
        rig.spec.shape = shape;
        rig.restart();
        let line = "x".repeat(length);
        append(&rig.spec.path, &format!("{line}\n{}", "more\n".repeat(100 * 1024)));
        assert!(rig.run(10_000), "{length}");
        rig.acknowledge();
        assert_eq!(rig.delivered.len(), 1 + 100 * 1024);
        assert!(rig.delivered[0].value.contains(&line), "whole");
    }
}
