//! Whether cost grows as bytes and lines do, and with nothing else.

use super::catch_up::compare;
use super::contender::Contender;
use super::harness::kafka::Broker;
use super::input::{Input, Shape};

/// Bytes of a line and so many lines for a million of short ones: as many bytes each, but for the shortest.
const LENGTHS: [(usize, u32); 4] = [(20, 1), (125, 1), (1000, 8), (100_000, 800)];
/// Files that have the same lines.
const FILES: [u32; 4] = [1, 10, 100, 1000];

/// One run each: of what grows the trend counts.
pub fn measure(broker: &Broker, lines: u32) {
    let lines = lines / 2;
    let both = [Contender::Bare, Contender::Logcatch];
    for (length, part) in LENGTHS {
        let (lines, files) = (lines / part, 1);
        let input = Input::of(Shape { lines, files, length });
        compare(&format!("length {length}"), broker, &both, 1, &input, 1);
    }
    for files in FILES {
        let input = Input::of(Shape {
            lines,
            files,
            length: 0,
        });
        compare(&format!("files {files}"), broker, &both, 16, &input, 1);
    }
    let input = Input::of(Shape {
        lines,
        files: 10,
        length: 0,
    });
    let all = [Contender::Bare, Contender::Logcatch, Contender::LogcatchOnOneCore];
    compare("arbiters", broker, &all, 16, &input, 1);
}
