//! The logs that are shipped: an access log as a web server writes it, the same each time.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

const PATHS: [&str; 4] = [
    "/api/v1/items",
    "/static/app/main.js",
    "/search?q=kafka",
    "/login/session",
];
const AGENTS: [&str; 3] = ["Mozilla/5.0 (X11; Linux)", "curl/8.5.0 (x86_64)", "Go-http-client/1.1"];

/// Files to be shipped.
pub struct Input {
    files: Vec<PathBuf>,
    pattern: String,
    lines: u32,
    bytes: u64,
}

/// How the lines of an access log are cut and spread.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Lines in all.
    pub lines: u32,
    /// Files, each with as many of them.
    pub files: u32,
    /// Bytes of each line, its end included; 0 for those of an access log.
    pub length: usize,
}

impl Input {
    /// Makes the files under the target directory, once for each shape and each form that the lines have had here.
    pub fn of(shape: Shape) -> Input {
        let form = xxh3_64(line(1).as_bytes());
        let Shape { lines, files, length } = shape;
        let name = format!("access-{lines}-{files}-{length}-{form:016x}");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench").join(name);
        if !directory.exists() {
            let partial = directory.with_extension("partial");
            let _ = fs::remove_dir_all(&partial);
            fs::create_dir_all(&partial).unwrap();
            write(&partial, shape);
            fs::rename(partial, &directory).unwrap();
        }
        let files: Vec<_> = (0..files)
            .map(|file| directory.join(format!("access-{file}.log")))
            .collect();
        Input {
            bytes: files.iter().map(|file| file.metadata().unwrap().len()).sum(),
            pattern: directory.join("*.log").display().to_string(),
            files,
            lines: lines / shape.files * shape.files,
        }
    }

    /// An access log in one file.
    pub fn one(lines: u32) -> Input {
        let (files, length) = (1, 0);
        Input::of(Shape { lines, files, length })
    }

    /// Where they are.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// What matches them and nothing else.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// How many lines they have in all.
    pub fn lines(&self) -> u32 {
        self.lines
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn write(directory: &Path, shape: Shape) {
    let mut number = 0;
    for file in 0..shape.files {
        let path = directory.join(format!("access-{file}.log"));
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
        for _ in 0..shape.lines / shape.files {
            file.write_all(&long(&mut number, shape.length)).unwrap();
        }
        file.into_inner().unwrap().sync_all().unwrap();
    }
}

/// A line of this length made from as many others as it takes.
fn long(number: &mut u32, length: usize) -> Vec<u8> {
    let mut text = line(*number).into_bytes();
    *number += 1;
    if length == 0 {
        return text;
    }
    while text.len() < length {
        text.pop();
        text.extend(line(*number).bytes());
        *number += 1;
    }
    // What tells lines apart is in the middle of them.
    let skipped = (text.len() - length).min(60);
    text.drain(..skipped);
    text.truncate(length - 1);
    text.push(b'\n');
    text
}

/// One line, with its end: about 124 bytes, each different.
pub fn line(number: u32) -> String {
    let random = xxh3_64(&number.to_le_bytes());
    let pick = |shift: u32, range: u64| usize::try_from((random >> shift) % range).unwrap();
    format!(
        "10.{}.{}.{} - - [24/Nov/2026:{:02}:{:02}:{:02} +0000] \"GET {}/{:08} HTTP/1.1\" {} {} \"-\" \"{}\"\n",
        pick(0, 256),
        pick(8, 256),
        pick(16, 256),
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        PATHS[pick(24, 4)],
        number,
        [200, 200, 200, 304, 404][pick(28, 5)],
        pick(32, 100_000),
        AGENTS[pick(50, 3)],
    )
}
