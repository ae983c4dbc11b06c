// SPDX-License-Identifier: MPL-2.0

//! The short queue of one route, and what it drops.
//!
//! Video passes a gate: it is shut for a stream that is new to this route, and opens at a keyframe. When the
//! queue is full, audio loses its oldest packet; video loses everything up to the next keyframe.

use super::rewrite::StreamId;
use super::routing::Kind;
use crate::keyframes::Urgency;
use std::collections::VecDeque;

/// Packets of 20 ms, so two seconds: more than a browser's own buffer ever plays out, and what a
/// receiver's network socket takes in one go once it moves again.
pub(super) const AUDIO_LIMIT: usize = 100;

/// Two large keyframes of 256 packets: at 1200 bytes each that is 300 kB, more than a second of the highest
/// rate of this field (1.8 Mbit/s), so that one which comes while another still waits does not push it out.
pub(super) const VIDEO_LIMIT: usize = 512;

/// What is known of a packet when it is offered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    /// Where it comes from.
    pub stream: StreamId,
    /// A keyframe begins with it.
    pub keyframe: bool,
    /// The receiver takes packets. When it does not, nothing is kept for it.
    pub ready: bool,
    /// A push to it has not come back. No keyframe is asked for until it does: a receiver that hangs would
    /// else make the source send them to everyone for ever.
    pub busy: bool,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It waits to be sent.
    Queued,
    /// It is gone; when something is inside, ask the source for a keyframe.
    Dropped(Option<Urgency>),
}

/// A packet that waited.
#[derive(Debug)]
pub(super) struct Entry<T> {
    /// The packet.
    pub item: T,
    /// Packets between the one before and this one were dropped here.
    pub after_drop: bool,
    keyframe: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Fifo<T> {
    entries: VecDeque<Entry<T>>,
    gate: Gate,
    stream: Option<StreamId>,
    /// Something was dropped since the last packet that was queued.
    dropped: bool,
    /// Packets lost because the queue was full or the receiver took none.
    pub drops: u64,
    /// Packets left out while the gate waited for a keyframe.
    pub gated: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// Waits for a keyframe.
    Shut {
        asked: bool,
    },
}

impl<T> Fifo<T> {
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            gate: Gate::Open,
            stream: None,
            dropped: false,
            drops: 0,
            gated: 0,
        }
    }

    /// Takes a packet or drops it.
    pub(super) fn offer(&mut self, kind: Kind, offer: Offer, item: T) -> Outcome {
        if kind == Kind::Video {
            if self.stream != Some(offer.stream) {
                self.gate = Gate::Shut { asked: false };
            }
            self.stream = Some(offer.stream);
        }
        if !offer.ready {
            if kind == Kind::Video {
                self.gate = Gate::Shut { asked: false };
            }
            self.drops += 1;
            self.dropped = true;
            return Outcome::Dropped(None);
        }
        if kind == Kind::Video && !offer.keyframe && self.gate != Gate::Open {
            self.gated += 1;
            self.dropped = true;
            return Outcome::Dropped(self.wish(offer.busy));
        }
        if self.entries.len() >= limit(kind) && !self.make_room(kind, offer.keyframe) {
            self.drops += 1;
            return Outcome::Dropped(None);
        }
        self.gate = Gate::Open;
        self.entries.push_back(Entry {
            item,
            after_drop: std::mem::take(&mut self.dropped),
            keyframe: offer.keyframe,
        });
        Outcome::Queued
    }

    /// The packet that waited longest.
    pub(super) fn pop(&mut self) -> Option<Entry<T>> {
        self.entries.pop_front()
    }

    /// The packet that [`pop`](Self::pop) would give.
    pub(super) fn peek(&self) -> Option<&T> {
        self.entries.front().map(|entry| &entry.item)
    }

    /// How many packets wait.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The receiver begins anew: nothing of before is for it.
    pub(super) fn clear(&mut self) {
        self.drops += self.entries.len() as u64;
        self.entries.clear();
        self.stream = None;
        self.dropped = true;
    }

    /// What to ask the source for, now that a packet met a shut gate.
    fn wish(&mut self, busy: bool) -> Option<Urgency> {
        match self.gate {
            Gate::Open => None,
            Gate::Shut { .. } if busy => None,
            Gate::Shut { asked: true } => Some(Urgency::Repair),
            Gate::Shut { asked: false } => {
                self.gate = Gate::Shut { asked: true };
                Some(Urgency::Newcomer)
            }
        }
    }

    /// Drops from a full queue; `false`: the packet at hand has to go, too.
    fn make_room(&mut self, kind: Kind, keyframe: bool) -> bool {
        let surplus = match kind {
            Kind::Audio => 1,
            Kind::Video => {
                let mut later = self.entries.iter().skip(1);
                later.position(|entry| entry.keyframe).map_or(self.entries.len(), |index| index + 1)
            }
        };
        self.entries.drain(..surplus);
        self.drops += surplus as u64;
        match self.entries.front_mut() {
            Some(first) => first.after_drop = true,
            None => self.dropped = true,
        }
        if kind == Kind::Video && self.entries.is_empty() && !keyframe {
            self.gate = Gate::Shut { asked: true };
            return false;
        }
        true
    }
}

fn limit(kind: Kind) -> usize {
    match kind {
        Kind::Audio => AUDIO_LIMIT,
        Kind::Video => VIDEO_LIMIT,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const A: StreamId = StreamId { sink: 1, ssrc: 1 };
    const B: StreamId = StreamId { sink: 2, ssrc: 1 };

    fn offer(stream: StreamId, keyframe: bool) -> Offer {
        Offer { stream, keyframe, ready: true, busy: false }
    }

    fn delta() -> Offer {
        offer(A, false)
    }

    fn key() -> Offer {
        offer(A, true)
    }

    fn video(fifo: &mut Fifo<usize>, offer: Offer, item: usize) -> Outcome {
        fifo.offer(Kind::Video, offer, item)
    }

    #[test]
    fn video_begins_on_a_keyframe_and_asks_for_it() {
        let mut fifo = Fifo::new();
        let newcomer = Outcome::Dropped(Some(Urgency::Newcomer));
        assert_eq!(video(&mut fifo, delta(), 0), newcomer);
        let repair = Outcome::Dropped(Some(Urgency::Repair));
        assert_eq!(video(&mut fifo, delta(), 1), repair);
        assert_eq!(video(&mut fifo, key(), 2), Outcome::Queued);
        assert_eq!(video(&mut fifo, delta(), 3), Outcome::Queued);
        assert_eq!(fifo.pop().unwrap().item, 2);
        assert_eq!((fifo.gated, fifo.drops), (2, 0));
    }

    #[test]
    fn another_stream_begins_on_a_keyframe_too() {
        let mut fifo = Fifo::new();
        video(&mut fifo, key(), 0);
        assert!(matches!(
            video(&mut fifo, offer(B, false), 1),
            Outcome::Dropped(Some(Urgency::Newcomer))
        ));
        assert_eq!(video(&mut fifo, offer(B, true), 2), Outcome::Queued);
    }

    #[test]
    fn audio_needs_no_keyframe_and_loses_its_oldest() {
        let mut fifo = Fifo::new();
        for item in 0..AUDIO_LIMIT + 3 {
            let outcome = fifo.offer(Kind::Audio, delta(), item);
            assert_eq!(outcome, Outcome::Queued);
        }
        assert_eq!((fifo.len(), fifo.drops), (AUDIO_LIMIT, 3));
        let first = fifo.pop().unwrap();
        assert_eq!((first.item, first.after_drop), (3, true));
        assert!(!fifo.pop().unwrap().after_drop);
    }

    #[test]
    fn a_full_video_queue_drops_up_to_the_next_keyframe_in_it() {
        let mut fifo = Fifo::new();
        for item in 0..VIDEO_LIMIT {
            video(&mut fifo, offer(A, item == 0 || item == 300), item);
        }
        assert_eq!(video(&mut fifo, delta(), VIDEO_LIMIT), Outcome::Queued);
        assert_eq!(fifo.drops, 300);
        let first = fifo.pop().unwrap();
        assert_eq!((first.item, first.after_drop), (300, true));
    }

    #[test]
    fn a_full_video_queue_without_another_keyframe_asks_for_one_when_the_receiver_moves() {
        let mut fifo = Fifo::new();
        for item in 0..VIDEO_LIMIT {
            video(&mut fifo, offer(A, item == 0), item);
        }
        let hangs = Offer { busy: true, ..delta() };
        for item in 0..3 {
            assert_eq!(video(&mut fifo, hangs, item), Outcome::Dropped(None));
        }
        assert_eq!(fifo.len(), 0);
        let repair = Outcome::Dropped(Some(Urgency::Repair));
        assert_eq!(video(&mut fifo, delta(), 0), repair);
        assert_eq!(video(&mut fifo, key(), 7), Outcome::Queued);
        assert!(fifo.pop().unwrap().after_drop);
    }

    #[test]
    fn a_keyframe_takes_the_place_of_a_full_queue() {
        let mut fifo = Fifo::new();
        for item in 0..VIDEO_LIMIT {
            video(&mut fifo, offer(A, item == 0), item);
        }
        assert_eq!(video(&mut fifo, key(), 9), Outcome::Queued);
        assert_eq!(fifo.len(), 1);
    }

    #[test]
    fn nothing_is_kept_for_a_receiver_that_takes_nothing() {
        let held = Offer { ready: false, ..key() };
        let mut fifo = Fifo::new();
        assert_eq!(video(&mut fifo, held, 0), Outcome::Dropped(None));
        let newcomer = Outcome::Dropped(Some(Urgency::Newcomer));
        assert_eq!(video(&mut fifo, delta(), 1), newcomer);
        let outcome = fifo.offer(Kind::Audio, Offer { ready: false, ..key() }, 2);
        assert_eq!(outcome, Outcome::Dropped(None));
        assert_eq!((fifo.len(), fifo.drops), (0, 2));
    }

    #[test]
    fn after_clearing_video_begins_on_a_keyframe_again() {
        let mut fifo = Fifo::new();
        video(&mut fifo, key(), 0);
        fifo.clear();
        assert_eq!(fifo.peek(), None);
        assert!(matches!(video(&mut fifo, delta(), 1), Outcome::Dropped(_)));
        video(&mut fifo, key(), 2);
        assert!(fifo.pop().unwrap().after_drop);
    }
}
