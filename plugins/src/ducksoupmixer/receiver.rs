// SPDX-License-Identifier: MPL-2.0

//! One receiver: the lanes that lead to it and the one thread that serves them.

use super::fifo::Outcome;
use super::header::{ExtensionIds, Rewritten};
use super::imp::CAT;
use super::lane::{Announcement, Lane};
use super::lock;
use super::packet::Packet;
use super::pad::MixerSrcPad;
use super::rewrite::StreamId;
use super::throttle::Urgency;
use gst::glib;
use gst::{prelude::*, subclass::prelude::*};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a blocked pad is looked at while something is kept for it: half an Opus packet's 20 ms.
const HELD_UP_POLL: Duration = Duration::from_millis(10);

/// One receiver of the conversation.
#[derive(Debug)]
pub(super) struct Receiver {
    name: String,
    mixer: glib::WeakRef<super::Mixer>,
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
    next_generation: u64,
    /// Threads that have not ended, those that hang in a push of an earlier generation included.
    threads: usize,
    next_ticket: u64,
}

/// Who sends. A thread of another generation than the current one ends as soon as it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Stopped,
    /// With the lane in which its thread is pushing just now.
    Running {
        generation: u64,
        pushing: Option<u32>,
    },
}

enum Work {
    Tell(Announcement),
    Send {
        pad: MixerSrcPad,
        packet: Packet,
        new: Rewritten,
        extensions: Option<ExtensionIds>,
    },
}

impl Receiver {
    pub(super) fn new(name: &str, mixer: glib::WeakRef<super::Mixer>) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            mixer,
            group: gst::GroupId::next(),
            shared: Mutex::new(Shared {
                lanes: Vec::new(),
                service: Service::Stopped,
                next_generation: 0,
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

    /// Takes a lane out. A thread that hangs in a push on it is left behind, and another one
    /// serves the lanes that remain.
    pub(super) fn remove(self: &Arc<Self>, id: u32) -> Option<Lane> {
        let mut shared = lock(&self.shared);
        let index = shared.lanes.iter().position(|lane| lane.id() == id)?;
        let mut lane = shared.lanes.swap_remove(index);
        lane.detach();
        if let Service::Running { pushing, .. } = shared.service {
            let hangs = pushing == Some(id);
            if shared.lanes.is_empty() || hangs {
                shared.service = Service::Stopped;
            }
            if !shared.lanes.is_empty() && hangs {
                self.spawn(&mut shared);
            }
        }
        drop(shared);
        self.wake.notify_all();
        Some(lane)
    }

    /// Starts the thread unless it runs or has nothing to serve.
    pub(super) fn start(self: &Arc<Self>) {
        let mut shared = lock(&self.shared);
        if shared.service == Service::Stopped && !shared.lanes.is_empty() {
            self.spawn(&mut shared);
        }
    }

    /// Tells the thread to end and forgets what is queued; does not wait.
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
        let generation = shared.next_generation;
        shared.next_generation += 1;
        let receiver = Arc::clone(self);
        let thread = std::thread::Builder::new()
            .name(format!("to-{}", self.name))
            .spawn(move || receiver.serve(generation));
        match thread {
            Ok(_) => {
                shared.threads += 1;
                shared.service = Service::Running {
                    generation,
                    pushing: None,
                };
            }
            Err(error) => gst::error!(CAT, "no thread for receiver {}: {error}", self.name),
        }
    }

    /// Does something with one lane.
    pub(super) fn with<R>(&self, id: u32, action: impl FnOnce(&mut Lane) -> R) -> Option<R> {
        let mut shared = lock(&self.shared);
        let result = shared.lane(id).map(action);
        drop(shared);
        self.wake.notify_all();
        result
    }

    /// Does something with every lane.
    pub(super) fn with_all(&self, action: impl FnMut(&mut Lane)) {
        lock(&self.shared).lanes.iter_mut().for_each(action);
        self.wake.notify_all();
    }

    /// Tells the receiver what a lane brings, in this thread, if that is due and nobody else is at it.
    pub(super) fn announce(&self, id: u32) {
        loop {
            let announcement = {
                let mut shared = lock(&self.shared);
                let busy = matches!(shared.service, Service::Running { pushing, .. } if pushing == Some(id));
                let group = self.group;
                let lane = shared.lane(id).filter(|_| !busy);
                lane.and_then(|lane| lane.announce(group))
            };
            let Some(announcement) = announcement else {
                return;
            };
            announcement.push();
            self.with(id, Lane::announced);
        }
    }

    /// Offers a packet to one lane; what to ask its source for is returned.
    pub(super) fn offer(
        &self,
        id: u32,
        stream: StreamId,
        keyframe: bool,
        packet: &Packet,
    ) -> Option<Urgency> {
        let mut shared = lock(&self.shared);
        if shared.service == Service::Stopped {
            return None;
        }
        let ticket = shared.next_ticket;
        shared.next_ticket += 1;
        let outcome = shared.lane(id)?.offer(stream, keyframe, packet, ticket);
        drop(shared);
        match outcome {
            Outcome::Queued => {
                self.wake.notify_all();
                None
            }
            Outcome::Dropped(wish) => wish,
        }
    }

    fn serve(&self, generation: u64) {
        gst::debug!(CAT, "receiver {}: sending starts", self.name);
        while let Some((id, work)) = self.next(generation) {
            match work {
                Work::Tell(announcement) => {
                    announcement.push();
                    self.finish(generation, |shared| {
                        if let Some(lane) = shared.lane(id) {
                            lane.announced();
                        }
                    });
                }
                Work::Send {
                    pad,
                    packet,
                    new,
                    extensions,
                } => self.send(generation, id, &pad, &packet, new, extensions.as_ref()),
            }
        }
        lock(&self.shared).threads -= 1;
        self.ended.notify_all();
        gst::debug!(CAT, "receiver {}: sending ends", self.name);
    }

    fn send(
        &self,
        generation: u64,
        id: u32,
        pad: &MixerSrcPad,
        packet: &Packet,
        new: Rewritten,
        extensions: Option<&ExtensionIds>,
    ) {
        let (size, result) = match packet.rewritten(new, extensions) {
            Ok(buffer) => {
                gst::log!(CAT, obj = pad, "sends {new:?}");
                (buffer.size() as u64, pad.push(buffer))
            }
            Err(error) => {
                gst::warning!(CAT, obj = pad, "cannot rewrite a packet: {error}");
                (0, Err(gst::FlowError::Error))
            }
        };
        let mut news = None;
        let mut wish = None;
        self.finish(generation, |shared| {
            if let Some(lane) = shared.lane(id) {
                (wish, news) = lane.sent(size, result);
            }
        });
        if let Some(error) = news {
            gst::warning!(CAT, obj = pad, "receiver {} returns {error}", self.name);
        }
        if let Some(urgency) = wish
            && let Some(mixer) = self.mixer.upgrade()
        {
            mixer.imp().ask_source_of(id, urgency);
        }
    }

    /// Waits for something to do; `None` when this thread is not wanted any more.
    fn next(&self, generation: u64) -> Option<(u32, Work)> {
        let mut shared = lock(&self.shared);
        loop {
            if !shared.is_served_by(generation) {
                return None;
            }
            if let Some((id, work)) = shared.work(self.group) {
                shared.service = Service::Running {
                    generation,
                    pushing: Some(id),
                };
                return Some((id, work));
            }
            shared = self.wait(shared);
        }
    }

    fn wait<'a>(&self, shared: MutexGuard<'a, Shared>) -> MutexGuard<'a, Shared> {
        if shared.lanes.iter().any(Lane::is_held_up) {
            let waited = self.wake.wait_timeout(shared, HELD_UP_POLL);
            return waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        self.wake
            .wait(shared)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, generation: u64, action: impl FnOnce(&mut Shared)) {
        let mut shared = lock(&self.shared);
        if shared.is_served_by(generation) {
            shared.service = Service::Running {
                generation,
                pushing: None,
            };
        }
        action(&mut shared);
    }
}

impl Shared {
    fn lane(&mut self, id: u32) -> Option<&mut Lane> {
        self.lanes.iter_mut().find(|lane| lane.id() == id)
    }

    fn is_served_by(&self, own: u64) -> bool {
        matches!(self.service, Service::Running { generation, .. } if generation == own)
    }

    /// Announcements first, then packets in the order in which they came, then ends.
    fn work(&mut self, group: gst::GroupId) -> Option<(u32, Work)> {
        for lane in &mut self.lanes {
            if lane.is_ready()
                && let Some(announcement) = lane.announce(group)
            {
                return Some((lane.id(), Work::Tell(announcement)));
            }
        }
        loop {
            let lanes = self.lanes.iter_mut();
            let next = lanes
                .filter_map(|lane| Some((lane.next_ticket()?, lane)))
                .min_by_key(|(ticket, _)| *ticket);
            let Some((_, lane)) = next else { break };
            if let Some((packet, new, extensions)) = lane.take() {
                let pad = lane.pad().clone();
                let work = Work::Send {
                    pad,
                    packet,
                    new,
                    extensions,
                };
                return Some((lane.id(), work));
            }
        }
        self.lanes
            .iter_mut()
            .filter(|lane| lane.is_ready())
            .find_map(|lane| Some((lane.id(), Work::Tell(lane.finish(group)?))))
    }
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
