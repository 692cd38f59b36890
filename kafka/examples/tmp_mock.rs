#![allow(
    missing_docs,
    clippy::all,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::allow_attributes_without_reason
)]
use rdkafka::mocking::MockCluster;
fn main() {
    let c = MockCluster::new(1).unwrap();
    c.create_topic("bench", 1, 1).unwrap();
    c.broker_round_trip_time(
        1,
        std::time::Duration::from_millis(std::env::args().nth(1).unwrap().parse().unwrap()),
    )
    .unwrap();
    println!("{}", c.bootstrap_servers());
    std::thread::sleep(std::time::Duration::from_secs(120));
}
