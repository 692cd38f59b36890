//! The settings of logcatch: schema, loading, validation, difference.
//!
//! A file becomes settings in three steps: `document` reads it as a tree of values with their lines, `reader` holds the
//! tree against the `schema`, and `build` relates the values and makes the validated types of `settings`. Each step
//! collects all that is wrong.

mod build;
pub mod cause;
mod diff;
mod document;
mod effective;
mod etcd;
mod expand;
mod fields;
mod given;
mod include;
mod last_good;
mod load;
mod overlap;
mod pod;
mod problem;
mod reader;
mod rotated;
pub mod schema;
mod seed;
mod settings;
mod sources;
mod state_directory;
mod template;
#[cfg(test)]
mod tests;
mod texts;
mod topic;
mod units;

pub use diff::{Change, Changed, Diff, changes_delivery, diff, needs_restart};
pub use effective::{Row, Section};
pub use etcd::{etcd_fault, etcd_mirror};
pub use expand::Environment;
pub use fields::{Field, FieldValue};
pub use given::Origin;
pub use last_good::{keep, last_good};
pub use load::{Loaded, PropertyCheck, PropertyFault, effective, load, load_with};
pub use overlap::how_often;
pub use pod::Pod;
pub use problem::{Problem, Refused};
pub use reader::nearest;
pub use rotated::RotatedFiles;
pub use settings::{
    Delivery, EtcdSettings, ExactlyOnce, KafkaSettings, Level, Limits, LogEntry, LogFormat, LogSettings, Settings,
    Start, StateSettings, Watch, WebSettings,
};
pub use sources::Sources;
pub use state_directory::{default_state_directory, state_directory};
pub use template::{Placeholder, Template, TemplateError, Values};
pub use texts::{Text, Texts};
pub use topic::{IllegalTopic, checked as topic_name};
