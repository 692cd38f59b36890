//! Watchers that stop answering: a call into a dead network file system may never return, and holds up every other watcher of
//! its thread. The thread is given up and its watchers go on with another.

pub(crate) mod actor;
mod crew;

pub(super) use crew::Crew;
