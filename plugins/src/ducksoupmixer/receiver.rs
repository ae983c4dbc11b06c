// SPDX-License-Identifier: MPL-2.0

//! One receiver: the lanes that lead to it and the thread that serves them.
//!
//! A push that hangs on one lane (a sink that prerolls, say) must not hold up the receiver's other lanes for
//! long: when one of them has something to send, another thread takes over, and whichever has nothing to do ends.

use super::fifo::Outcome;
use super::imp::CAT;
use super::lane::{Announcement, Lane};
use super::lock;
use super::packet::{Arrival, Departure};
use super::pad::MixerSrcPad;
use super::stats::Tally;
use crate::keyframes::Urgency;
use gst::{prelude::*, subclass::prelude::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often a blocked pad is looked at while something is kept for it: half an Opus packet's 20 ms.
const HELD_UP_POLL: Duration = Duration::from_millis(10);

/// A push longer than this hangs. Into a healthy `webrtcbin` it takes well below a millisecond, unless the
/// machine has more to do than it can: there, another thread would only wait for the same lock. So each
/// one that hangs makes the patience with the next twice as long, up to [`LONGEST_PATIENCE`].
const PATIENCE: Duration = Duration::from_millis(100);

/// Half of the sound that is kept for a lane: another one that could send loses nothing by it.
const LONGEST_PATIENCE: Duration = Duration::from_secs(1);

/// One receiver of the conversation.
#[derive(Debug)]
pub(super) struct Receiver {
    name: String,
    group: gst::GroupId,
    shared: Mutex<Shared>,
    /// There may be work, or none any more.
    wake: Condvar,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Debug)]
struct Shared {
    lanes: Vec<Lane>,
    service: Service,
    next_epoch: u64,
    /// Threads that have not ended, those that hang in a push of an earlier epoch included.
    threads: usize,
    next_ticket: u64,
}

/// Who sends. A thread of another epoch than the current one ends as soon as it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Stopped,
    /// How many threads there are, and how many of them are in a push.
    Running {
        epoch: u64,
        workers: usize,
        pushing: usize,
    },
}

enum Work {
    Tell(Announcement),
    Send { pad: MixerSrcPad, departures: Vec<Departure> },
}

impl Receiver {
    pub(super) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            group: gst::GroupId::next(),
            shared: Mutex::new(Shared {
                lanes: Vec::new(),
                service: Service::Stopped,
                next_epoch: 0,
                threads: 0,
                next_ticket: 0,
            }),
            wake: Condvar::new(),
            ended: Condvar::new(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.shared).lanes.is_empty()
    }

    pub(super) fn add(&self, lane: Lane) {
        lock(&self.shared).lanes.push(lane);
        self.wake.notify_all();
    }

    /// Takes a lane out. A thread that hangs in a push on it is left to itself.
    pub(super) fn remove(self: &Arc<Self>, id: u32) -> Option<Lane> {
        let mut shared = lock(&self.shared);
        let index = shared.lanes.iter().position(|lane| lane.id() == id)?;
        let mut lane = shared.lanes.swap_remove(index);
        lane.detach();
        if shared.lanes.is_empty() {
            shared.service = Service::Stopped;
        } else if shared.free() == Some(0) {
            self.spawn(&mut shared);
        }
        drop(shared);
        self.wake.notify_all();
        Some(lane)
    }

    /// Starts the thread unless it runs or has nothing to serve.
    pub(super) fn start(self: &Arc<Self>) {
        let mut shared = lock(&self.shared);
        if shared.service == Service::Stopped && !shared.lanes.is_empty() {
            let epoch = shared.next_epoch;
            shared.next_epoch += 1;
            shared.service = Service::Running { epoch, workers: 0, pushing: 0 };
            self.spawn(&mut shared);
        }
    }

    /// Tells the threads to end and forgets what is queued; does not wait.
    pub(super) fn stop(&self) {
        let mut shared = lock(&self.shared);
        shared.service = Service::Stopped;
        shared.lanes.iter_mut().for_each(Lane::stop);
        drop(shared);
        self.wake.notify_all();
    }

    /// Waits until no thread is left; `false` when one still hangs after `limit`.
    pub(super) fn wait_ended(&self, limit: Duration) -> bool {
        let shared = lock(&self.shared);
        let (shared, _) = self
            .ended
            .wait_timeout_while(shared, limit, |shared| shared.threads > 0)
            .unwrap_or_else(PoisonError::into_inner);
        shared.threads == 0
    }

    fn spawn(self: &Arc<Self>, shared: &mut Shared) {
        let Service::Running { epoch, workers, .. } = &mut shared.service else {
            return;
        };
        let (receiver, epoch) = (Arc::clone(self), *epoch);
        let thread = std::thread::Builder::new()
            .name(format!("to-{}", self.name))
            .spawn(move || receiver.serve(epoch));
        match thread {
            Ok(_) => {
                *workers += 1;
                shared.threads += 1;
            }
            Err(error) => gst::error!(CAT, "no thread for receiver {}: {error}", self.name),
        }
    }

    /// Counts or looks something up in one lane, which gives the threads nothing to do.
    pub(super) fn note<R>(&self, id: u32, action: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        lock(&self.shared).lane(id).map(action)
    }

    /// The numbers of all lanes.
    pub(super) fn tallies(&self) -> Vec<Tally> {
        lock(&self.shared).lanes.iter().map(Lane::tally).collect()
    }

    /// Changes one lane, after which there may be work.
    pub(super) fn with<R>(&self, id: u32, action: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let mut shared = lock(&self.shared);
        let result = shared.lane(id).map(action);
        drop(shared);
        self.wake.notify_all();
        result
    }

    /// Changes every lane, after which there may be work.
    pub(super) fn with_all(&self, action: impl FnMut(&mut Lane)) {
        lock(&self.shared).lanes.iter_mut().for_each(action);
        self.wake.notify_all();
    }

    /// Prepares a lane and tells the receiver what it brings, in this thread, if that is due and no other
    /// thread is sending there.
    pub(super) fn announce(&self, id: u32, prepare: impl FnOnce(&mut Lane)) {
        let mut shared = lock(&self.shared);
        if let Some(lane) = shared.lane(id) {
            prepare(lane);
        }
        loop {
            let lane = shared.lane(id).filter(|lane| !lane.is_busy());
            let Some(announcement) = lane.and_then(|lane| lane.announce(self.group)) else {
                break;
            };
            drop(shared);
            announcement.push();
            shared = lock(&self.shared);
            if let Some(lane) = shared.lane(id) {
                lane.announced();
            }
        }
        drop(shared);
        self.wake.notify_all();
    }

    /// Offers packets that came at once to one lane; what to ask their source for is returned.
    pub(super) fn offer(
        self: &Arc<Self>,
        id: u32,
        ready: bool,
        arrivals: &[Arrival],
    ) -> Option<Urgency> {
        let mut shared = lock(&self.shared);
        if shared.service == Service::Stopped {
            return None;
        }
        let first = shared.next_ticket;
        shared.next_ticket += arrivals.len() as u64;
        let lane = shared.lane(id)?;
        lane.set_ready(ready);
        let (mut queued, mut wish) = (false, None);
        for (arrival, ticket) in arrivals.iter().zip(first..) {
            match lane.offer(arrival, ticket) {
                // What was wished for has come.
                Outcome::Queued => (queued, wish) = (true, None),
                Outcome::Dropped(one) => wish = wish.or(one),
            }
        }
        if queued && !lane.is_busy() {
            if shared.is_stalled() {
                gst::debug!(CAT, "receiver {} hangs on another route", self.name);
                self.spawn(&mut shared);
            }
            // Threads in a push look for more by themselves.
            let idle = shared.free() != Some(0);
            drop(shared);
            if idle {
                self.wake.notify_one();
            }
        }
        wish
    }

    fn serve(&self, epoch: u64) {
        gst::debug!(CAT, "receiver {}: sending starts", self.name);
        while let Some((id, work)) = self.next(epoch) {
            match work {
                Work::Tell(announcement) => {
                    announcement.push();
                    self.finish(epoch, id, Lane::announced);
                }
                Work::Send { pad, departures } => self.send(epoch, id, &pad, &departures),
            }
        }
        lock(&self.shared).threads -= 1;
        self.ended.notify_all();
        gst::debug!(CAT, "receiver {}: sending ends", self.name);
    }

    fn send(&self, epoch: u64, id: u32, pad: &MixerSrcPad, departures: &[Departure]) {
        let rewrite = |departure: &Departure| {
            gst::log!(CAT, obj = pad, "sends {:?}", departure.new);
            let buffer = departure.buffer();
            let warn = |error: &_| gst::warning!(CAT, obj = pad, "cannot rewrite: {error}");
            buffer.inspect_err(warn).ok()
        };
        let buffers: Vec<_> = departures.iter().filter_map(rewrite).collect();
        let packets = buffers.len() as u64;
        let bytes = buffers.iter().map(|buffer| buffer.size() as u64).sum();
        // Who knows lists takes locks once for all of it; to others it comes in pieces.
        let result = match <[gst::Buffer; 1]>::try_from(buffers) {
            Ok([only]) => pad.push(only),
            Err(none) if none.is_empty() => Err(gst::FlowError::Error),
            Err(many) => pad.push_list(many.into_iter().collect::<gst::BufferList>()),
        };
        let news = self.finish(epoch, id, |lane| lane.sent(packets, bytes, result));
        if let Some(error) = news.flatten() {
            gst::warning!(CAT, obj = pad, "receiver {} returns {error}", self.name);
        }
    }

    /// Waits for something to do; `None` when this thread is not wanted any more.
    fn next(&self, epoch: u64) -> Option<(u32, Work)> {
        let mut shared = lock(&self.shared);
        loop {
            if !shared.is_in(epoch) {
                return None;
            }
            if let Some(work) = shared.claim(self.group) {
                return Some(work);
            }
            if let Service::Running { workers, pushing, .. } = &mut shared.service
                && *workers - *pushing > 1
            {
                *workers -= 1;
                // Whoever stays may have to look after a blocked pad from now on.
                self.wake.notify_one();
                return None;
            }
            shared = self.wait(shared);
        }
    }

    fn wait<'a>(&'a self, shared: MutexGuard<'a, Shared>) -> MutexGuard<'a, Shared> {
        let held_up = shared.held_up();
        if held_up.is_empty() {
            let woken = self.wake.wait(shared);
            return woken.unwrap_or_else(PoisonError::into_inner);
        }
        let waited = self.wake.wait_timeout(shared, HELD_UP_POLL);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let looked: Vec<_> =
            held_up.into_iter().map(|(id, pad)| (id, pad.imp().takes_packets())).collect();
        let mut shared = lock(&self.shared);
        for (id, ready) in looked {
            if let Some(lane) = shared.lane(id) {
                lane.set_ready(ready);
            }
        }
        shared
    }

    fn finish<R>(&self, epoch: u64, id: u32, action: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let mut shared = lock(&self.shared);
        if !shared.is_in(epoch) {
            return None;
        }
        if let Service::Running { pushing, .. } = &mut shared.service {
            *pushing -= 1;
        }
        let lane = shared.lane(id)?;
        lane.set_busy(None);
        Some(action(lane))
    }
}

impl Shared {
    fn lane(&mut self, id: u32) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.id() == id)
    }

    /// Lanes that have something to send but whose pads were blocked.
    fn held_up(&self) -> Vec<(u32, MixerSrcPad)> {
        let lanes = self.lanes.iter().filter(|lane| lane.is_held_up());
        lanes.map(|lane| (lane.id(), lane.pad().clone())).collect()
    }

    fn is_in(&self, own: u64) -> bool {
        matches!(self.service, Service::Running { epoch, .. } if epoch == own)
    }

    /// Threads that are in no push; `None` when nobody is to send.
    fn free(&self) -> Option<usize> {
        match self.service {
            Service::Stopped => None,
            Service::Running { workers, pushing, .. } => Some(workers - pushing),
        }
    }

    /// All threads have been in a push for so long that it hangs.
    fn is_stalled(&self) -> bool {
        if self.free() != Some(0) {
            return false;
        }
        let pushing = || self.lanes.iter().filter_map(Lane::busy_since);
        let patience = patience(pushing().count());
        pushing().all(|since| since.elapsed() > patience)
    }

    /// Takes on the next piece of work. [`Receiver::finish`] has to follow.
    fn claim(&mut self, group: gst::GroupId) -> Option<(u32, Work)> {
        let (id, work) = self.work(group)?;
        if let Some(lane) = self.lane(id) {
            lane.set_busy(Some(Instant::now()));
        }
        if let Service::Running { pushing, .. } = &mut self.service {
            *pushing += 1;
        }
        Some((id, work))
    }

    /// Announcements first, then packets in the order in which they came, then ends.
    fn work(&mut self, group: gst::GroupId) -> Option<(u32, Work)> {
        for lane in &mut self.lanes {
            if lane.is_idle()
                && let Some(announcement) = lane.announce(group)
            {
                return Some((lane.id(), Work::Tell(announcement)));
            }
        }
        loop {
            let waiting =
                self.lanes.iter().filter_map(|lane| Some((lane.next_ticket()?, lane.id())));
            let Some((_, id)) = waiting.clone().min() else { break };
            let others = waiting.filter(|(_, other)| *other != id).map(|(ticket, _)| ticket);
            let until = others.min().unwrap_or(u64::MAX);
            let Some(lane) = self.lane(id) else { break };
            let departures = lane.take_until(until);
            if !departures.is_empty() {
                return Some((id, Work::Send { pad: lane.pad().clone(), departures }));
            }
        }
        self.lanes
            .iter_mut()
            .filter(|lane| lane.is_idle())
            .find_map(|lane| Some((lane.id(), Work::Tell(lane.finish(group)?))))
    }
}

/// How long so many pushes at once may take before another thread is started.
fn patience(pushing: usize) -> Duration {
    let doublings = u32::try_from(pushing.saturating_sub(1)).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(2_u32.saturating_pow(doublings)).min(LONGEST_PATIENCE)
}

impl Announcement {
    fn push(self) {
        for event in self.events {
            let kind = event.type_();
            if self.pad.push_event(event) {
                gst::debug!(CAT, obj = self.pad, "announced {kind}");
            } else {
                gst::warning!(CAT, obj = self.pad, "{kind} was refused");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_push_that_hangs_makes_the_patience_longer_up_to_what_sound_can_bear() {
        for (pushing, milliseconds) in [
            (0, 100),
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (14, 1000),
            (usize::MAX, 1000),
        ] {
            assert_eq!(patience(pushing), Duration::from_millis(milliseconds), "{pushing}");
        }
    }
}
