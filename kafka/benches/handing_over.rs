//! What handing batches to librdkafka and settling them costs, on its in-process cluster, so that a regression shows here and
//! not only in the whole. The cluster's own work is part of it.
//!
//! `cargo bench -p logcatch-kafka`
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark fails by panicking, and criterion's macros have no words"
)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/rig/mod.rs"]
mod rig;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logcatch_kafka::partition;
use rig::{Rig, lines, target};

/// Records of a batch: a step of 256 KiB of an access log has as many.
const RECORDS: usize = 2000;
/// Batches that are in flight together.
const BATCHES: usize = 16;

fn shipping(c: &mut Criterion) {
    let mut group = c.benchmark_group("shipping");
    group.throughput(Throughput::Elements((RECORDS * BATCHES) as u64));
    let batch = lines(RECORDS);
    // Without a pause that librdkafka waits for more, which is all that could be seen else.
    let mut rig = Rig::with(&[("t", 1)], &[("linger.ms", "0")]);
    let target = target("t", "web-1:/var/log/app.log");
    group.bench_function("16 batches of 2000 lines until they are settled", |bencher| {
        bencher.iter(|| {
            for _ in 0..BATCHES {
                rig.push(&target, &batch);
            }
            rig.settle_all();
        });
    });
    group.finish();
    c.bench_function("the partition of a key", |bencher| {
        bencher.iter(|| partition(std::hint::black_box(b"web-1:/var/log/nginx/access.log"), 16));
    });
}

criterion_group! {
    name = all;
    config = Criterion::default().measurement_time(Duration::from_secs(5)).sample_size(20);
    targets = shipping
}
criterion_main!(all);
