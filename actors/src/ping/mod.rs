//! Whether the actors answer: what the service manager's watchdog is told.

mod actor;

pub use actor::Ping;
