#![allow(
    unsafe_code,
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::allow_attributes_without_reason
)]
use rdkafka::bindings as c;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::types::RDKafkaType;
use std::ffi::CString;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let data = std::fs::File::open(&a[3]).unwrap();
    let mut cfg = ClientConfig::new();
    for (k, v) in [
        ("bootstrap.servers", a[1].as_str()),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("compression.type", "lz4"),
        ("linger.ms", "20"),
        ("queue.buffering.max.messages", "50000"),
        ("message.timeout.ms", "0"),
    ] {
        cfg.set(k, v);
    }
    let native = cfg.create_native_config().unwrap();
    unsafe extern "C" fn dr(_: *mut c::rd_kafka_t, m: *const c::rd_kafka_message_t, _: *mut std::ffi::c_void) {
        unsafe {
            if (*m).err as i32 != 0 {
                FAILED += 1;
            } else {
                OK += 1;
            }
        }
    }
    static mut FAILED: u64 = 0;
    static mut OK: u64 = 0;
    unsafe {
        c::rd_kafka_conf_set_dr_msg_cb(native.ptr(), Some(dr));
    }
    let client = Client::new(&cfg, native, RDKafkaType::RD_KAFKA_PRODUCER, DefaultClientContext).unwrap();
    let rk = client.native_ptr();
    let name = CString::new(a[2].as_str()).unwrap();
    let start = std::time::Instant::now();
    let t = unsafe { c::rd_kafka_topic_new(rk, name.as_ptr(), std::ptr::null_mut()) };
    let mut msgs: Vec<c::rd_kafka_message_t> = (0..1024).map(|_| unsafe { std::mem::zeroed() }).collect();
    let key = a[3].as_bytes();
    use std::io::{BufRead, BufReader};
    let mut r = BufReader::with_capacity(256 * 1024, data);
    let mut lines: Vec<Vec<u8>> = (0..1024).map(|_| Vec::new()).collect();
    let mut total = 0u64;
    loop {
        let mut n = 0;
        while n < 1024 {
            lines[n].clear();
            if r.read_until(b'\n', &mut lines[n]).unwrap() == 0 {
                break;
            }
            lines[n].pop();
            n += 1;
        }
        if n == 0 {
            break;
        }
        for i in 0..n {
            let m = &mut msgs[i];
            m.payload = lines[i].as_ptr() as *mut _;
            m.len = lines[i].len();
            m.key = key.as_ptr() as *mut _;
            m.key_len = key.len();
            m._private = std::ptr::null_mut();
        }
        let mut at = 0;
        while at < n {
            let took = unsafe {
                c::rd_kafka_produce_batch(t, 0, c::RD_KAFKA_MSG_F_COPY, msgs.as_mut_ptr().add(at), (n - at) as i32)
            };
            at += took as usize;
            unsafe {
                c::rd_kafka_poll(rk, if at < n { 10 } else { 0 });
            }
        }
        total += n as u64;
    }
    unsafe {
        while c::rd_kafka_outq_len(rk) > 0 {
            c::rd_kafka_poll(rk, 20);
        }
    }
    let wall = start.elapsed();
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let ticks: u64 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<u64>().ok())
        .sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|l| l.starts_with("VmHWM")).unwrap().to_owned();
    println!(
        "bare {total} lines: {:.2} s, {:.2} s CPU, {:.3} us a line, {peak} failed {}",
        wall.as_secs_f64(),
        ticks as f64 / 100.0,
        ticks as f64 * 1e4 / total as f64,
        unsafe { FAILED }
    );
    unsafe {
        c::rd_kafka_topic_destroy(t);
    }
}
