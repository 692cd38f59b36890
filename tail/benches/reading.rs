//! What reading costs, piece by piece, so that a regression shows at its place.
//!
//! `cargo bench -p logcatch-tail`; a name after `--` picks some.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark fails by panicking, and criterion's macros have no words"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use logcatch_tail::{
    Changes, Claims, FileId, Framer, Handles, Head, Inode, Lease, Life, Mark, PathGlob, Positions, Rotated, STEP,
    Settled, StateLock, Store, StreamRecord, Tail, Todo, WatchSpec, Watcher, World, sweep,
};

/// The default of `max_line`, in bytes.
const MAX_LINE: usize = 900 << 10;
/// Bytes that are read from one file in a go, of which each step takes 256 KiB.
const FILE: usize = 8 << 20;

/// About 110 bytes a line, each another.
fn access_log(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 128);
    for number in 0u32.. {
        let (a, b) = (number.wrapping_mul(2_654_435_761) >> 24, number % 86_400);
        writeln!(
            text,
            "10.0.3.{a} - - [24/Nov/2026:12:00:00 +0000] \"GET /api/v1/items/{number:08} HTTP/1.1\" 200 {b} \"-\" \"curl/8.5.0\""
        )
        .unwrap();
        if text.len() >= bytes {
            break;
        }
    }
    text
}

fn framing(c: &mut Criterion) {
    let data = access_log(STEP);
    let framer = Framer::new(MAX_LINE);
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("one step of an access log", |bencher| {
        bencher.iter(|| framer.frame(black_box(&data), 0, Tail::Open, 0, usize::MAX));
    });
    group.finish();
}

fn world() -> World {
    World {
        positions: Positions::in_memory(),
        claims: Arc::new(Claims::default()),
        handles: Handles::new(usize::MAX),
        listings: Arc::default(),
        spares: Arc::default(),
        lease: Lease::default(),
    }
}

fn watcher(path: &Path) -> Watcher {
    let spec = WatchSpec {
        log: "bench".into(),
        path: path.into(),
        max_line: MAX_LINE,
        shape: logcatch_tail::Shape::default(),
        from_end: false,
        rotated: Rotated::default(),
        ignore_before: None,
    };
    Watcher::new(spec, world(), Arc::new(|| ()))
}

/// Polls until there is nothing to do, and settles each batch at once. Gives the number of records.
fn read_all(watcher: &mut Watcher) -> usize {
    let mut records = 0;
    loop {
        match watcher.poll(Instant::now()).unwrap() {
            Todo::Save { order } => watcher.saved(order),
            Todo::Wait { .. } => return records,
            Todo::Read { cost } => {
                let Some(batch) = watcher.read(Instant::now(), cost).unwrap() else {
                    continue;
                };
                records += batch.records.len();
                let settled = Settled {
                    lines: batch.records.len() as u64,
                    dead_lettered: 0,
                };
                assert!(batch.stream.hand_over(batch.seq));
                batch.stream.settle(batch.seq, settled, None);
            }
        }
    }
}

fn batches(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let data = access_log(FILE);
    fs::write(&path, &data).unwrap();
    let mut group = c.benchmark_group("batches");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("a file from its first sight to its end", |bencher| {
        bencher.iter_batched_ref(|| watcher(&path), read_all, BatchSize::PerIteration);
    });
    group.throughput(Throughput::Elements(1));
    let small = directory.path().join("small.log");
    let mut file = File::create(&small).unwrap();
    let mut watcher = watcher(&small);
    group.bench_function("one line that was appended", |bencher| {
        bencher.iter(|| {
            file.write_all(b"a line of an idle file\n").unwrap();
            watcher.wake();
            assert_eq!(read_all(&mut watcher), 1);
        });
    });
    group.finish();
}

fn record(number: u64) -> StreamRecord {
    StreamRecord {
        log: "bench".into(),
        path: Path::new(&format!("/var/log/service/service-{number:06}.log")).into(),
        id: FileId(number),
        order: 1,
        inode: Inode {
            dev: 1,
            ino: number,
            born: Some(1.into()),
        },
        head: Head::default(),
        mark: Mark {
            offset: number,
            ..Mark::default()
        },
        size: number,
        modified: 1,
        life: Life::Live,
        truncated: false,
        copy: false,
        absent_seconds: 0,
        archived: None,
        charset: None,
        target: None,
        placement: None,
    }
}

fn positions(c: &mut Criterion) {
    let mut group = c.benchmark_group("positions");
    group.sample_size(20);
    for count in [1u64, 100, 10_000] {
        let directory = tempfile::tempdir().unwrap();
        let lock = StateLock::acquire(directory.path()).unwrap();
        let (mut store, _) = Store::open(directory.path(), &lock).unwrap();
        let changes = Changes {
            puts: (1..=count).map(record).collect(),
            ..Changes::default()
        };
        group.throughput(Throughput::Elements(count));
        // One fsync each: it shows the disk as much as us.
        group.bench_function(format!("{count} saved together"), |bencher| {
            bencher.iter(|| store.save(&changes).unwrap());
        });
        drop(store);
        group.bench_function(format!("{count} opened"), |bencher| {
            bencher.iter(|| Store::open(directory.path(), &lock).unwrap());
        });
    }
    group.finish();
}

fn looking(c: &mut Criterion) {
    const FILES: u64 = 1000;
    let directory = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        File::create(directory.path().join(format!("service-{number:06}.log"))).unwrap();
    }
    let globs = [PathGlob::parse("*.log", directory.path()).unwrap()];
    let mut group = c.benchmark_group("looking");
    group.throughput(Throughput::Elements(FILES));
    group.bench_function("for files in a directory of 1000", |bencher| {
        bencher.iter(|| sweep(&globs, &[]));
    });
    group.finish();
}

criterion_group! {
    name = all;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = framing, batches, positions, looking
}
criterion_main!(all);
