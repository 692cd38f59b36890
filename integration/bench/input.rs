//! The log that is shipped: an access log as a web server writes it, the same each time.

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

/// Makes the log under the target directory, once for each number of lines and each form that they have had here.
pub fn access_log(lines: u32) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
    fs::create_dir_all(&dir).unwrap();
    let form = xxh3_64(line(1).as_bytes());
    let path = dir.join(format!("access-{lines}-{form:016x}.log"));
    if path.exists() {
        return path;
    }
    let partial = path.with_extension("partial");
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&partial).unwrap());
    for number in 0..lines {
        file.write_all(line(number).as_bytes()).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    fs::rename(partial, &path).unwrap();
    path
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
