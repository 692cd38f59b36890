//! A lane's partitions: what waits for each, and how much of it may be in librdkafka's hands.
//!
//! With idempotence librdkafka has one request a partition under way, and while the next one is ready to go, the
//! thread of its broker does not sleep: it looks again and again until the answer comes. A client that hands over
//! all it has burns a core for each broker that takes its time. So a partition gets no more than goes into the
//! request under way and the next one; and when answers take longer than librdkafka lets a request linger, the next
//! one is handed over so late that it is ready about when the answer comes.

mod withdraw;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::outlet::ParcelId;
use crate::redo::{Failure, Group, Run};

/// Records of one request at most: librdkafka's `batch.num.messages`.
const REQUEST_RECORDS: u64 = 10_000;

/// Bytes that a record takes in a request beyond its key and value, about.
const RECORD_OVERHEAD: u64 = 12;

/// A partition of which nothing was acknowledged for so long may be another one of the same name by now, or its broker
/// has forgotten this producer (`producer.id.expiration.ms`, a day by default). More than an answer may take, which
/// librdkafka waits a minute for, so that a slow broker never gets its requests one by one.
const PROOF: Duration = Duration::from_secs(61);

/// How long librdkafka lets a request that is not full linger.
const LINGER: Duration = Duration::from_millis(20);

/// The partitions of a lane.
#[derive(Debug, Default)]
pub(crate) struct Tracks {
    tracks: Vec<Track>,
    /// Places with something waiting that may have room, in turn.
    turn: VecDeque<usize>,
    /// Batches that wait, and groups.
    waiting: usize,
    /// Places to which something came back.
    settling: Vec<usize>,
    /// When one that had no room has some, if nothing is reported before.
    ahead_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Track {
    waiting: VecDeque<ParcelId>,
    /// What goes before them.
    redo: VecDeque<Group>,
    /// What came back since the last time all was reported.
    failures: Vec<Failure>,
    /// A group that must travel alone is out.
    alone: bool,
    /// The last time that something was reported, or first handed over.
    progress: Option<Instant>,
    /// It stands in `turn`.
    queued: bool,
    outstanding: u32,
    rhythm: Rhythm,
    /// The last time that the broker acknowledged something of this producer here.
    proven: Option<Instant>,
}

/// How long requests take, as told by acknowledgements that come one after the other.
#[derive(Debug, Default)]
struct Rhythm {
    last: Option<Instant>,
    /// From one to the next, a moving average.
    interval: Duration,
    /// From handing a request over to its acknowledgement. Follows short times at once and long ones slowly: what is
    /// handed over too late waits, what is handed over too early costs a little.
    took: Duration,
    slow: bool,
}

impl Tracks {
    /// The place of a partition.
    pub(crate) fn place(partition: i32) -> usize {
        usize::try_from(partition).unwrap_or(0)
    }

    /// A batch arrived.
    pub(crate) fn push(&mut self, place: usize, parcel: ParcelId) {
        if let Some(track) = self.track(place) {
            track.waiting.push_back(parcel);
            self.waiting += 1;
            self.queue(place);
        }
    }

    /// These go before the batches, after what goes before them already.
    pub(crate) fn push_group(&mut self, place: usize, group: Group) {
        if let Some(track) = self.track(place) {
            track.redo.push_back(group);
            self.waiting += 1;
            self.queue(place);
        }
    }

    /// These go before all else, in their order.
    pub(crate) fn push_first(&mut self, place: usize, groups: Vec<Group>) {
        if let Some(track) = self.track(place) {
            let count = groups.len();
            for group in groups.into_iter().rev() {
                track.redo.push_front(group);
            }
            self.waiting += count;
            self.queue(place);
        }
    }

    fn queue(&mut self, place: usize) {
        if let Some(track) = self.tracks.get_mut(place)
            && !track.queued
            && track.has_work()
        {
            track.queued = true;
            self.turn.push_back(place);
        }
    }

    /// True if nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// True if something waits that may have room.
    pub(crate) fn may_send(&self) -> bool {
        !self.turn.is_empty()
    }

    /// The batch whose turn it is, and its place.
    pub(crate) fn first(&self) -> Option<(usize, ParcelId)> {
        let place = *self.turn.front()?;
        let redo = self.redo(place).map(|run| run.parcel);
        Some((
            place,
            redo.or_else(|| self.tracks.get(place)?.waiting.front().copied())?,
        ))
    }

    /// What goes before the batches of a place.
    pub(crate) fn redo(&self, place: usize) -> Option<&Run> {
        self.tracks.get(place)?.redo.front()?.runs.front()
    }

    /// How many more records of `size` bytes, key included, this place may have out, if a request takes `limit` bytes.
    pub(crate) fn room(&self, place: usize, size: u64, limit: u64, now: Instant) -> u32 {
        let Some(track) = self.tracks.get(place) else { return 0 };
        if track.must_wait() {
            return 0;
        }
        let trial = track.trial(now);
        if trial < u32::MAX || !track.redo.is_empty() {
            return trial;
        }
        let one = (limit / (size + RECORD_OVERHEAD)).clamp(1, REQUEST_RECORDS);
        // What fills a request by librdkafka's own count fits into it not quite: it counts less than it writes. The
        // rest would be ready at once, which is harmless only while answers are fast.
        let fits = one - one / 16;
        let most = match track.rhythm.ahead_at() {
            None => 2 * one + one / 4,
            Some(at) if at <= now => 2 * fits,
            Some(_) => fits,
        };
        u32::try_from(most)
            .unwrap_or(u32::MAX)
            .saturating_sub(track.outstanding)
    }

    fn track(&mut self, place: usize) -> Option<&mut Track> {
        if self.tracks.len() <= place {
            self.tracks.resize_with(place + 1, Track::default);
        }
        self.tracks.get_mut(place)
    }

    /// The turn goes to the next: so many records of the first are dealt with. A batch is done with if `all` of it was handed
    /// over.
    pub(crate) fn pass(&mut self, dealt: u32, all: bool) {
        let Some(place) = self.turn.pop_front() else { return };
        let Some(track) = self.tracks.get_mut(place) else {
            return;
        };
        let done = if track.redo.is_empty() {
            all && track.waiting.pop_front().is_some()
        } else {
            track.advance(dealt)
        };
        self.waiting -= usize::from(done);
        track.queued = false;
        self.queue(place);
    }

    /// The first has no room: it has its turn again when something of it is reported, or when it may run ahead.
    pub(crate) fn park(&mut self, now: Instant) {
        let Some(place) = self.turn.pop_front() else { return };
        if let Some(track) = self.tracks.get_mut(place) {
            track.queued = false;
            let ahead_at = track.rhythm.ahead_at().filter(|at| *at > now);
            self.ahead_at = self.ahead_at.into_iter().chain(ahead_at).min();
        }
    }

    /// When [`Tracks::run_ahead`] wants to be called.
    pub(crate) fn ahead_at(&self) -> Option<Instant> {
        self.ahead_at
    }

    /// Gives those their turn that had no room, if it is time.
    pub(crate) fn run_ahead(&mut self, now: Instant) {
        if self.ahead_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        for place in 0..self.tracks.len() {
            self.queue(place);
        }
    }

    /// Records were handed over.
    pub(crate) fn sent(&mut self, place: usize, records: u32, now: Instant) {
        if let Some(track) = self.track(place) {
            if track.outstanding == 0 {
                track.progress = Some(now);
            }
            track.outstanding += records;
        }
    }

    /// Records came back, in whatever way.
    pub(crate) fn reported(&mut self, place: usize, records: u32, now: Instant) {
        let Some(track) = self.tracks.get_mut(place) else {
            return;
        };
        track.outstanding = track.outstanding.saturating_sub(records);
        track.progress = Some(now);
        track.alone &= track.outstanding > 0;
        self.queue(place);
    }

    /// A record came back: its place gets nothing until all that is out there is reported.
    pub(crate) fn fail(&mut self, place: usize, failure: Failure) {
        if let Some(track) = self.track(place) {
            track.failures.push(failure);
            if track.failures.len() == 1 {
                self.settling.push(place);
            }
        }
    }

    /// True if something came back and is not sorted out.
    pub(crate) fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    /// What came back to places of which all is reported.
    pub(crate) fn take_settled(&mut self) -> Vec<(usize, Vec<Failure>)> {
        let is_out = |place: &usize| self.tracks.get(*place).is_some_and(|track| track.outstanding > 0);
        let (out, settled) = std::mem::take(&mut self.settling).into_iter().partition(is_out);
        self.settling = out;
        let take = |place: usize| Some((place, std::mem::take(&mut self.tracks.get_mut(place)?.failures)));
        settled.into_iter().filter_map(take).collect()
    }

    /// True if some place has been told nothing of what is out there for so long.
    pub(crate) fn is_silent(&self, patience: Duration, now: Instant) -> bool {
        let is_silent = |track: &Track| track.progress.is_some_and(|at| at + patience <= now);
        self.tracks
            .iter()
            .any(|track| track.outstanding > 0 && is_silent(track))
    }

    /// Records of a parcel that are to be sent again, or came back.
    pub(crate) fn came_back(&self, parcel: ParcelId) -> impl Iterator<Item = u32> + '_ {
        let of_track = move |track: &Track| {
            let redo = track.redo.iter().flat_map(move |group| group.left_of(parcel));
            let failed = track.failures.iter().filter(move |failure| failure.parcel == parcel);
            redo.chain(failed.map(|failure| failure.index)).collect::<Vec<_>>()
        };
        self.tracks.iter().flat_map(of_track)
    }

    /// A request was acknowledged, so long after its first record was handed over.
    pub(crate) fn acked(&mut self, place: usize, took: Duration, now: Instant) {
        if let Some(track) = self.track(place) {
            track.proven = Some(now);
            let more = track.outstanding > 0 || !track.waiting.is_empty();
            track.rhythm.beat(more, took, now);
        }
    }

    /// What was acknowledged proves nothing any more: the topic may be another one.
    pub(crate) fn distrust(&mut self) {
        for track in &mut self.tracks {
            track.proven = None;
        }
    }

    /// Takes all: what waits, in no order of its own; what goes before it, in its order at each place; and what came back. What
    /// is out is out no more.
    pub(crate) fn clear(&mut self) -> (Vec<ParcelId>, Vec<Group>, Vec<Failure>) {
        let (mut waiting, mut redo, mut failures) = (Vec::new(), Vec::new(), Vec::new());
        for track in &mut self.tracks {
            waiting.extend(track.waiting.drain(..));
            redo.extend(track.redo.drain(..));
            failures.append(&mut track.failures);
        }
        *self = Self::default();
        (waiting, redo, failures)
    }
}

impl Track {
    fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.redo.is_empty()
    }

    /// True if it gets nothing until all that is out is reported.
    fn must_wait(&self) -> bool {
        let is_next_alone = || self.redo.front().is_some_and(|group| group.alone && !group.started);
        !self.failures.is_empty() || self.outstanding > 0 && (self.alone || is_next_alone())
    }

    /// So many records of the first group are dealt with; true if that is all of it.
    fn advance(&mut self, dealt: u32) -> bool {
        let Some(group) = self.redo.front_mut() else {
            return false;
        };
        group.started = true;
        if let Some(run) = group.runs.front_mut() {
            run.at = run.at.saturating_add(dealt as usize);
            if run.at >= run.indexes.len() {
                group.runs.pop_front();
            }
        }
        let is_done = group.runs.is_empty();
        if is_done {
            self.alone = group.alone && self.outstanding > 0;
            self.redo.pop_front();
        }
        is_done
    }

    /// How many more records may be out before anything of this producer was acknowledged there, or as long as that may be
    /// forgotten: one.
    ///
    /// A broker that knows nothing of a producer takes the first sequence number it sees as a beginning. Were a first
    /// request refused, as by a leader that is not ready, and a second one under way accepted, the first would be taken
    /// for a repetition when it comes again: acknowledged and never stored.
    fn trial(&self, now: Instant) -> u32 {
        if self.proven.is_some_and(|at| now < at + PROOF) {
            u32::MAX
        } else {
            1_u32.saturating_sub(self.outstanding)
        }
    }
}

impl Rhythm {
    /// Beyond this from one answer to the next, a request that waits for its turn is ready for too long.
    const SLOW: Duration = Duration::from_millis(30);

    /// Below this from sending a request to its answer, it is not.
    const FAST: Duration = Duration::from_millis(12);

    fn beat(&mut self, more: bool, took: Duration, now: Instant) {
        if let Some(last) = self.last {
            self.interval = (self.interval * 3 + now.saturating_duration_since(last)) / 4;
            self.took = if took < self.took {
                (self.took + took) / 2
            } else {
                (self.took * 7 + took) / 8
            };
            self.slow = if self.slow {
                self.round_trip() >= Self::FAST
            } else {
                self.interval >= Self::SLOW
            };
        }
        // Without more to send, the next one's time tells nothing of the broker.
        self.last = more.then_some(now);
    }

    /// From sending a request to its answer, where requests linger first.
    fn round_trip(&self) -> Duration {
        self.took.saturating_sub(LINGER)
    }

    /// When to hand over the request after the one under way, so that it has lingered when the answer comes; none if
    /// at once.
    fn ahead_at(&self) -> Option<Instant> {
        let last = self.last.filter(|_| self.slow)?;
        Some(last + self.round_trip().saturating_sub(LINGER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 1_000_000;

    /// Answers to requests that lingered first.
    fn beat(rhythm: &mut Rhythm, times: u32, round_trip: u64, interval: u64, at: &mut Instant) {
        for _ in 0..times {
            *at += Duration::from_millis(interval);
            rhythm.beat(true, LINGER + Duration::from_millis(round_trip), *at);
        }
    }

    #[test]
    fn a_partition_gets_what_goes_into_two_requests() {
        let mut tracks = Tracks::default();
        let now = Instant::now();
        tracks.push(1, 7);
        assert_eq!(tracks.room(1, 88, LIMIT, now), 1);
        tracks.acked(1, Duration::ZERO, now);
        assert_eq!(
            tracks.room(1, 88, LIMIT, now),
            22_500,
            "of ten thousand short records each"
        );
        assert_eq!(tracks.room(1, 988, LIMIT, now), 2250);
        assert_eq!(tracks.room(1, 2_000_000, LIMIT, now), 2);
        tracks.sent(1, 22_000, now);
        assert_eq!(tracks.room(1, 88, LIMIT, now), 500);
        tracks.sent(1, 1_000, now);
        assert_eq!(tracks.room(1, 88, LIMIT, now), 0);
        tracks.reported(1, 10_000, now);
        assert_eq!(tracks.room(1, 88, LIMIT, now), 9_500);
    }

    #[test]
    fn a_slow_broker_gets_the_next_request_when_the_answer_is_due() {
        let mut tracks = Tracks::default();
        let mut now = Instant::now();
        tracks.push(1, 7);
        for _ in 0..30 {
            now += Duration::from_millis(100);
            tracks.acked(1, LINGER + Duration::from_millis(100), now);
        }
        let fits = tracks.room(1, 988, LIMIT, now);
        assert_eq!(fits, 1000 - 1000 / 16);
        tracks.sent(1, fits, now);
        assert_eq!(tracks.room(1, 988, LIMIT, now), 0);
        tracks.park(now);
        let at = tracks.ahead_at().unwrap();
        assert!(
            at > now + Duration::from_millis(70) && at < now + Duration::from_millis(81),
            "{:?}",
            at - now
        );
        tracks.run_ahead(now);
        assert!(!tracks.may_send());
        tracks.run_ahead(at);
        assert_eq!((tracks.may_send(), tracks.ahead_at()), (true, None));
        assert_eq!(tracks.room(1, 988, LIMIT, at), fits);
    }

    #[test]
    fn a_broker_is_slow_or_fast_by_habit_not_by_one_answer() {
        let (mut rhythm, mut now) = (Rhythm::default(), Instant::now());
        beat(&mut rhythm, 100, 8, 8, &mut now);
        assert!(!rhythm.slow);
        beat(&mut rhythm, 1, 60, 60, &mut now);
        assert!(!rhythm.slow, "once is no rhythm");
        beat(&mut rhythm, 20, 60, 60, &mut now);
        assert!(rhythm.slow);
        beat(&mut rhythm, 20, 20, 40, &mut now);
        assert!(rhythm.slow, "between both");
        beat(&mut rhythm, 20, 5, 25, &mut now);
        assert!(!rhythm.slow);
        rhythm.beat(false, LINGER, now);
        now += Duration::from_secs(3600);
        rhythm.beat(true, LINGER, now);
        assert!(!rhythm.slow, "nothing was to be sent meanwhile");
    }

    #[test]
    fn partitions_have_their_turns_and_one_without_room_waits_for_reports() {
        let mut tracks = Tracks::default();
        for (place, parcel) in [(1, 10), (1, 11), (2, 20), (0, 30)] {
            tracks.push(place, parcel);
        }
        assert_eq!(tracks.first(), Some((1, 10)));
        tracks.pass(1, true);
        assert_eq!(tracks.first(), Some((2, 20)));
        tracks.pass(1, false);
        assert_eq!(tracks.first(), Some((0, 30)));
        tracks.pass(1, true);
        assert_eq!(tracks.first(), Some((1, 11)));
        tracks.park(Instant::now());
        assert_eq!(tracks.first(), Some((2, 20)));
        tracks.pass(1, true);
        assert!(!tracks.may_send() && !tracks.is_empty());
        tracks.reported(1, 1, Instant::now());
        assert_eq!(tracks.first(), Some((1, 11)));
        tracks.pass(1, true);
        assert!(tracks.is_empty());
    }
}
