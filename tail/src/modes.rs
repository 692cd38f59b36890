//! Where positions are kept: in the store of the state directory alone, or in a topic of Kafka, which the store then
//! follows. Entering a mode takes the positions over from where they are newest.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::outbox::Outbox;
use crate::position::StreamKey;
use crate::positions::Positions;
use crate::store::Mode;
use crate::topic::TopicContents;

/// Between two looks whether it is given up that the store notes something, which takes as long as its disk is full.
const LOOK: Duration = Duration::from_millis(50);

/// Why positions cannot be kept in a topic.
#[derive(Debug, Error)]
pub enum EnterError {
    /// They are in another cluster.
    #[error("cannot go on in the Kafka cluster `{found}`: the positions are of the cluster `{known}`")]
    OtherCluster {
        /// The one that was used before.
        known: String,
        /// The one that is there.
        found: String,
    },
    /// The service ends, or it was given up.
    #[error("cannot note the delivery mode in the state directory")]
    NotSaved,
}

impl Positions {
    /// Whether the store follows a topic: what is changed in it alone does not count.
    #[must_use]
    pub fn follows_topic(&self) -> bool {
        self.mode().is_some_and(|mode| mode.cluster.is_some())
    }

    /// The store is where positions are kept, from now on. It follows a topic at every moment, so that leaving one, when nothing is in
    /// flight, writes what changed last and that the store counts, in one.
    pub fn keep_here(&self) {
        if let Some(outbox) = self.dirty.set_outbox(None) {
            outbox.end();
        }
        let mode = self.mode();
        if mode.as_ref().is_none_or(|mode| mode.cluster.is_some()) {
            self.set_mode(Mode::after(mode.as_ref()));
        }
    }

    /// The instance whose topic the store follows, if that was noted.
    #[must_use]
    pub fn topic_instance(&self) -> Option<String> {
        self.mode().filter(|mode| mode.cluster.is_some())?.instance
    }

    /// The store was in use until now: a topic that was used since it was entered counts less.
    pub fn count_from_now(&self) {
        if let Some(mode) = self.mode().filter(|mode| mode.cluster.is_none()) {
            self.set_mode(Mode::after(Some(&mode)));
        }
    }

    /// Whether positions may be kept in a topic of this cluster.
    ///
    /// # Errors
    /// [`EnterError::OtherCluster`].
    pub fn may_enter(&self, cluster: &str) -> Result<(), EnterError> {
        let known = self.mode().and_then(|mode| mode.cluster);
        match known.filter(|known| known != cluster && !self.all().is_empty()) {
            None => Ok(()),
            Some(known) => Err(EnterError::OtherCluster {
                known,
                found: cluster.to_owned(),
            }),
        }
    }

    /// The topic of this cluster, which holds `contents` of an instance, is where positions are kept, from now on; changes go to
    /// `outbox`. Takes over what is newer, before anything is read. Gives the generation. Blocks until the store has noted it, or `given_up` is set.
    ///
    /// # Errors
    /// [`EnterError`]; no position is changed then.
    pub fn keep_in_topic(
        &self,
        cluster: &str,
        instance: &str,
        contents: TopicContents,
        outbox: Arc<Outbox>,
        given_up: &AtomicBool,
    ) -> Result<u64, EnterError> {
        self.may_enter(cluster)?;
        let mode = self.mode();
        let of_topic = contents.owner.as_ref().map_or(0, |(owner, _)| owner.generation);
        let of_store = match &mode {
            // From before there were modes: older than any topic, newer than none.
            None => u64::from(!self.all().is_empty()),
            Some(mode) => mode.generation,
        };
        let in_topic = |generation| Mode {
            generation,
            cluster: Some(cluster.to_owned()),
            instance: Some(instance.to_owned()),
        };
        if of_topic >= of_store && of_topic > 0 {
            // Noted before the topic counts less, so that neither is forgotten by a crash in between.
            self.note(in_topic(of_topic), given_up)?;
            log::info!(files = contents.streams.len(); "positions are those of the topic");
            self.adopt(contents, outbox);
            return Ok(of_topic);
        }
        let generation = match mode {
            // It was noted, and the topic does not know: that was broken off.
            Some(mode) if mode.cluster.is_some() => mode.generation,
            mode => Mode::after(mode.as_ref()).generation,
        };
        self.note(in_topic(generation), given_up)?;
        log::info!(files = self.all().len(); "positions are those of the state directory, and go into the topic");
        self.carry_over(contents, outbox);
        Ok(generation)
    }

    /// What the topic holds is what is known.
    fn adopt(&self, contents: TopicContents, outbox: Arc<Outbox>) {
        let held: HashSet<StreamKey> = contents.streams.iter().map(|record| record.key()).collect();
        for stream in self.take_all() {
            if !held.contains(&stream.key()) {
                stream.retire();
            }
        }
        // Also the entries: what the store alone knows to be applied was never committed, and `start` still counts for it.
        self.forget_applied();
        for name in &contents.entries {
            self.applied(name);
        }
        for record in contents.streams {
            // The store follows.
            self.begin(record);
        }
        // From here on.
        self.dirty.set_outbox(Some(outbox));
    }

    /// What is known is what the topic shall hold.
    fn carry_over(&self, contents: TopicContents, outbox: Arc<Outbox>) {
        let known: HashSet<StreamKey> = self.all().iter().map(|stream| stream.key()).collect();
        for record in &contents.streams {
            if !known.contains(&record.key()) {
                outbox.forget(record.key());
            }
        }
        self.dirty.set_outbox(Some(outbox));
        self.post_all();
    }

    /// The topic lost what it held: all that is known goes into the next transaction.
    pub fn post_all(&self) {
        let Some(outbox) = self.dirty.outbox() else { return };
        for stream in self.all() {
            outbox.push(&stream);
        }
        for name in self.applied_entries() {
            outbox.push_entry(name);
        }
    }

    fn mode(&self) -> Option<Mode> {
        self.mode.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_mode(&self, mode: Mode) {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = Some(mode.clone());
        self.dirty.lock().mode = Some(mode);
        self.dirty.changed.notify_one();
    }

    /// Sets the mode, and returns when that is on disk.
    fn note(&self, mode: Mode, given_up: &AtomicBool) -> Result<(), EnterError> {
        if self.mode().as_ref() == Some(&mode) {
            return Ok(());
        }
        self.set_mode(mode);
        let (noted, is_noted) = channel();
        self.when_stored(move || {
            // Nobody may be waiting any more.
            let _ = noted.send(());
        });
        loop {
            match is_noted.recv_timeout(LOOK) {
                Ok(()) => return Ok(()),
                Err(RecvTimeoutError::Timeout) if !given_up.load(Ordering::Acquire) => {}
                Err(_) => return Err(EnterError::NotSaved),
            }
        }
    }
}

#[cfg(test)]
mod tests;
