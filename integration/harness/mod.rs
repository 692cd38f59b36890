//! What the tests and the benchmark drive: a real Kafka, the real binary, readers and writers that know no shortcut.

pub mod browser;
pub mod case;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod eventually;
pub mod guard;
pub mod http;
pub mod identity;
pub mod jars;
pub mod kafka;
pub mod lines;
pub mod machine;
pub mod oracle;
pub mod pki;
pub mod process;
pub mod reader;
pub mod secure;
pub mod service;
pub mod size;
pub mod writers;
