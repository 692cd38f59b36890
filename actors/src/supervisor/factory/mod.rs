//! How watchers come to be, and come again after a failure.

pub mod actor;
