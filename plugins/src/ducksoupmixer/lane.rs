// SPDX-License-Identifier: MPL-2.0

//! One route's data: its queue, its rewriting, what its receiver was told. Always used under the receiver's lock.

use super::fifo::{Fifo, Offer, Outcome};
use super::header::{Extensions, Rewritten};
use super::imp::CAT;
use super::packet::{Arrival, Departure, Packet};
use super::pad::MixerSrcPad;
use super::rewrite::{Place, Rewriter, StreamId};
use super::routing::Kind;
use super::stats::Tally;
use gst::{glib, prelude::*};
use std::sync::Arc;
use std::time::Instant;

/// Fields by which payloaders tell the offsets of their own stream: wrong after rewriting.
const STREAM_FIELDS: [&str; 4] = ["timestamp-offset", "seqnum-offset", "clock-base", "seqnum-base"];

/// Ticks a second when no caps say it: those of every video format (RFC 3551, 5).
const DEFAULT_CLOCK_RATE: u32 = 90_000;

/// Most packets that are sent in one go: a delta frame, and most of a keyframe. What else waits for the receiver's
/// thread need not wait for more.
const BATCH: usize = 64;

/// Where a route's packets come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    /// The mixer's own number of the sink pad.
    pub sink: u32,
    pub kind: Kind,
    pub caps: Option<gst::Caps>,
}

/// How far the receiver has been told what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody listens. Only [`Lane::linked`] leads on, so that whoever links can announce before any thread.
    Unlinked,
    /// Nothing was sent over this link.
    Closed,
    /// Somebody is sending the events; what follows is inside.
    Announcing(Next),
    /// Media may flow.
    Open,
    /// Open, but the caps changed.
    Renewed,
    /// EOS was sent.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Open,
    Renew,
    Close,
    Unlink,
}

/// What goes out in front of the media, from [`Lane::announce`].
#[derive(Debug)]
pub(super) struct Announcement {
    pub pad: MixerSrcPad,
    pub events: Vec<gst::Event>,
}

/// The form of the packets that go out.
#[derive(Debug, Clone, PartialEq)]
struct Form {
    caps: gst::Caps,
    ssrc: u32,
    payload_type: Option<u8>,
    clock_rate: u32,
    extensions: Option<Arc<Extensions>>,
}

/// What was sent over a route, and what was asked for there.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub packets: u64,
    pub bytes: u64,
    pub flow_errors: u64,
    pub keyframe_requests: u64,
}

#[derive(Debug)]
struct Ticketed {
    ticket: u64,
    stream: StreamId,
    packet: Packet,
}

/// One route.
#[derive(Debug)]
pub(super) struct Lane {
    id: u32,
    pad: MixerSrcPad,
    stream: String,
    source: Option<Source>,
    promised: Option<gst::Caps>,
    form: Option<Form>,
    fresh_ssrc: u32,
    fifo: Fifo<Ticketed>,
    rewriter: Rewriter,
    phase: Phase,
    /// The receiver took packets when somebody last looked. Looking needs a reference to the peer, which must
    /// not be dropped under the lock: the last one unlinks the pads, and so comes back here.
    ready: bool,
    /// Its receiver cannot take it beside the others: nothing is kept.
    paused: bool,
    /// The most that the receiver is to keep a picture, in units of 10 ms; `None`: what the source says.
    longest_kept: Option<u16>,
    /// The timestamp that was sent last.
    last_timestamp: Option<u32>,
    /// Since when a thread is pushing here.
    busy: Option<Instant>,
    /// All sources have ended: EOS follows what is queued.
    ending: bool,
    /// The last flow error, so that it is logged once.
    failing: Option<gst::FlowError>,
    counts: Counts,
}

impl Lane {
    /// `stream` is the id of its output for `stream-start`.
    pub(super) fn new(id: u32, pad: MixerSrcPad, stream: String) -> Self {
        let start = Place { sequence: glib::random_int() as u16, timestamp: glib::random_int() };
        Self {
            id,
            pad,
            stream,
            source: None,
            promised: None,
            form: None,
            fresh_ssrc: glib::random_int(),
            fifo: Fifo::new(),
            rewriter: Rewriter::new(start),
            phase: Phase::Unlinked,
            ready: false,
            paused: false,
            longest_kept: None,
            last_timestamp: None,
            busy: None,
            ending: false,
            failing: None,
            counts: Counts::default(),
        }
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn pad(&self) -> &MixerSrcPad {
        &self.pad
    }

    /// A thread is pushing here.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// A thread may push here.
    pub(super) fn is_idle(&self) -> bool {
        self.ready && !self.is_busy()
    }

    pub(super) fn busy_since(&self) -> Option<Instant> {
        self.busy
    }

    pub(super) fn set_busy(&mut self, since: Option<Instant>) {
        self.busy = since;
    }

    /// The receiver can be told things.
    pub(super) fn is_connected(&self) -> bool {
        self.pad.is_active() && self.pad.is_linked()
    }

    /// Whether the receiver takes packets, as the pad's `takes_packets` said last.
    pub(super) fn set_ready(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// Nothing is sent, or again, from the next keyframe on.
    pub(super) fn set_paused(&mut self, paused: bool) {
        if self.paused != paused {
            gst::info!(CAT, obj = self.pad, "paused: {paused}");
        }
        self.paused = paused;
    }

    /// Nothing is sent for now, whoever asks.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// `None` while the source is away.
    pub(super) fn set_source(&mut self, source: Option<Source>) {
        if self.source != source {
            self.source = source;
            self.reform();
        }
    }

    /// What the receiver was promised; `None`: whatever the source has.
    pub(super) fn set_promised(&mut self, caps: Option<gst::Caps>) {
        if self.promised != caps {
            self.promised = caps;
            self.reform();
        }
    }

    /// The most that the receiver is to keep a picture; `None`: what the source says.
    pub(super) fn set_longest_kept(&mut self, longest: Option<gst::ClockTime>) {
        let units = longest.map(|longest| longest.mseconds() / 10);
        self.longest_kept = units.map(|units| u16::try_from(units).unwrap_or(u16::MAX));
    }

    fn reform(&mut self) {
        let form = self.make_form();
        // A source that went away leaves its form: the receiver will get the next one in it.
        let Some(form) = form else { return };
        let renewed = self.form.as_ref().is_some_and(|before| before.caps != form.caps);
        self.form = Some(form);
        if renewed {
            self.phase = match self.phase {
                Phase::Open => Phase::Renewed,
                Phase::Announcing(Next::Open) => Phase::Announcing(Next::Renew),
                other => other,
            };
        }
    }

    fn make_form(&self) -> Option<Form> {
        let source = self.source.as_ref().and_then(|source| source.caps.as_ref());
        let mut caps = self.promised.as_ref().or(source)?.clone();
        let of_source = source.and_then(|caps| caps.structure(0));
        {
            let structure = caps.make_mut().structure_mut(0)?;
            if self.promised.is_none() {
                structure.set("ssrc", self.fresh_ssrc);
                structure.remove_fields(STREAM_FIELDS);
            } else if !structure.has_field("ssrc") {
                structure.set("ssrc", self.fresh_ssrc);
            }
        }
        let structure = caps.structure(0)?;
        let rate = |structure: &gst::StructureRef| structure.get::<i32>("clock-rate").ok();
        let extensions = of_source.filter(|_| self.promised.is_some());
        Some(Form {
            ssrc: structure.get("ssrc").unwrap_or(self.fresh_ssrc),
            payload_type: structure
                .get::<i32>("payload")
                .ok()
                .and_then(|number| u8::try_from(number).ok()),
            clock_rate: rate(structure)
                .or_else(|| of_source.and_then(rate))
                .and_then(|rate| u32::try_from(rate).ok())
                .unwrap_or(DEFAULT_CLOCK_RATE),
            extensions: extensions
                .and_then(|of_source| Extensions::between(&extmap(of_source), &extmap(structure)))
                .map(Arc::new),
            caps,
        })
    }

    /// The pad was linked.
    pub(super) fn linked(&mut self) {
        self.phase = match self.phase {
            Phase::Announcing(_) => Phase::Announcing(Next::Close),
            _ => Phase::Closed,
        };
    }

    /// The pad was unlinked.
    pub(super) fn unlinked(&mut self) {
        self.phase = match self.phase {
            Phase::Announcing(_) => Phase::Announcing(Next::Unlink),
            _ => Phase::Unlinked,
        };
    }

    /// The pad was activated or deactivated: what was sent before is forgotten there.
    pub(super) fn close(&mut self) {
        if !matches!(self.phase, Phase::Unlinked | Phase::Announcing(Next::Unlink)) {
            self.linked();
        }
    }

    /// The element stops: nothing of now is for later, but sequence numbers go on.
    pub(super) fn stop(&mut self) {
        self.close();
        self.detach();
        self.fifo.clear();
        self.ending = false;
    }

    /// No thread of now will come back to it, not even one that is pushing or announcing.
    pub(super) fn detach(&mut self) {
        self.busy = None;
        self.phase = match self.phase {
            Phase::Announcing(Next::Unlink) => Phase::Unlinked,
            Phase::Announcing(_) => Phase::Closed,
            other => other,
        };
    }

    /// Something is to be sent, but the receiver's pad is blocked: nobody will tell when it no longer is.
    pub(super) fn is_held_up(&self) -> bool {
        let unannounced = matches!(self.phase, Phase::Closed | Phase::Renewed);
        let ending = self.ending && !matches!(self.phase, Phase::Ended | Phase::Unlinked);
        let due = self.fifo.len() > 0 || ending || (unannounced && self.form.is_some());
        due && !self.is_busy() && !self.ready && self.is_connected()
    }

    /// All sources have ended.
    pub(super) fn end(&mut self) {
        self.ending = true;
    }

    /// What the receiver must be told now. [`Lane::announced`] has to follow.
    pub(super) fn announce(&mut self, group: gst::GroupId) -> Option<Announcement> {
        if !self.is_connected() {
            return None;
        }
        let form = self.form.as_ref()?;
        let events = match self.phase {
            Phase::Closed => vec![
                self.stream_start(group),
                gst::event::Caps::new(&form.caps),
                gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()),
            ],
            Phase::Renewed => vec![gst::event::Caps::new(&form.caps)],
            Phase::Unlinked | Phase::Announcing(_) | Phase::Open | Phase::Ended => return None,
        };
        self.phase = Phase::Announcing(Next::Open);
        Some(Announcement { pad: self.pad.clone(), events })
    }

    pub(super) fn announced(&mut self) {
        self.phase = match self.phase {
            Phase::Announcing(Next::Open) => Phase::Open,
            Phase::Announcing(Next::Renew) => Phase::Renewed,
            Phase::Announcing(Next::Close) => Phase::Closed,
            Phase::Announcing(Next::Unlink) => Phase::Unlinked,
            other => other,
        };
    }

    /// The events that end the stream, when everything before them is sent.
    pub(super) fn finish(&mut self, group: gst::GroupId) -> Option<Announcement> {
        let may_end = matches!(self.phase, Phase::Closed | Phase::Open | Phase::Renewed);
        if !may_end || !self.ending || self.fifo.len() > 0 || !self.is_connected() {
            return None;
        }
        let mut events = Vec::with_capacity(2);
        if self.phase == Phase::Closed {
            events.push(self.stream_start(group));
        }
        events.push(gst::event::Eos::new());
        self.phase = Phase::Ended;
        Some(Announcement { pad: self.pad.clone(), events })
    }

    fn stream_start(&self, group: gst::GroupId) -> gst::Event {
        gst::event::StreamStart::builder(&self.stream).group_id(group).build()
    }

    /// Takes a packet of the current source or drops it.
    pub(super) fn offer(&mut self, arrival: &Arrival, ticket: u64) -> Outcome {
        let Arrival { stream, keyframe, packet } = arrival;
        let (stream, keyframe) = (*stream, *keyframe);
        let current = self.source.as_ref();
        let Some(kind) =
            current.filter(|source| source.sink == stream.sink).map(|source| source.kind)
        else {
            return Outcome::Dropped(None);
        };
        self.ending = false;
        if self.phase == Phase::Ended {
            self.phase = Phase::Closed;
        }
        let ready = self.ready && !self.paused;
        let offer = Offer { stream, keyframe, ready, busy: self.is_busy() };
        let ticketed = Ticketed { ticket, stream, packet: packet.clone() };
        let outcome = self.fifo.offer(kind, offer, ticketed);
        if matches!(outcome, Outcome::Dropped(Some(_))) {
            self.counts.keyframe_requests += 1;
        }
        outcome
    }

    /// The order of the packet that can be sent next.
    pub(super) fn next_ticket(&self) -> Option<u64> {
        let ticket = self.fifo.peek()?.ticket;
        (self.phase == Phase::Open && self.is_idle()).then_some(ticket)
    }

    /// The next packets up to `ticket`, which a lane that changed its receiver may share with another one; none when all
    /// of them came too late.
    pub(super) fn take_until(&mut self, ticket: u64) -> Vec<Departure> {
        let mut departures = Vec::new();
        while departures.len() < BATCH && self.fifo.peek().is_some_and(|next| next.ticket <= ticket)
        {
            departures.extend(self.take());
        }
        departures
    }

    /// The next packet; `None` when there is none, or it came too late.
    fn take(&mut self) -> Option<Departure> {
        let entry = self.fifo.pop()?;
        let form = self.form.as_ref()?;
        let Ticketed { stream, packet, .. } = entry.item;
        let place =
            Place { sequence: packet.header().sequence, timestamp: packet.header().timestamp };
        let time = packet.time().map(gst::ClockTime::nseconds);
        let place =
            self.rewriter.rewrite(stream, place, entry.after_drop, time, form.clock_rate)?;
        let new = Rewritten {
            sequence: place.sequence,
            timestamp: place.timestamp,
            ssrc: form.ssrc,
            payload_type: form.payload_type,
        };
        let extensions = form.extensions.clone();
        // Receivers look for it where a picture begins.
        let begins = self.last_timestamp.replace(new.timestamp) != Some(new.timestamp);
        let longest_kept = self.longest_kept.filter(|_| begins);
        Some(Departure { packet, new, extensions, longest_kept })
    }

    /// A push of so many packets and bytes came back. Returns the error when it is a new one.
    pub(super) fn sent(
        &mut self,
        packets: u64,
        bytes: u64,
        result: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Option<gst::FlowError> {
        let failure = result.err();
        match failure {
            None => {
                self.counts.packets += packets;
                self.counts.bytes += bytes;
            }
            // All of them are lost, and one that could not even be rewritten.
            Some(_) => self.counts.flow_errors += packets.max(1),
        }
        let news = failure.filter(|error| self.failing != Some(*error));
        self.failing = failure;
        news
    }

    pub(super) fn count_request(&mut self) {
        self.counts.keyframe_requests += 1;
    }

    /// What the element's `stats` tell of it.
    pub(super) fn tally(&self) -> Tally {
        Tally {
            route: self.id,
            pad: self.pad.clone(),
            kind: self.source.as_ref().map(|source| source.kind),
            counts: self.counts,
            drops: self.fifo.drops,
            gated: self.fifo.gated,
            queued: self.fifo.len(),
            paused: self.paused,
        }
    }
}

/// The header extensions of RTP caps: `extmap-<id>` is a URI, or an array with the URI in the middle.
fn extmap(structure: &gst::StructureRef) -> Vec<(u8, String)> {
    let ids = structure.iter().filter_map(|(name, value)| {
        let id = name.strip_prefix("extmap-")?.parse().ok()?;
        let uri = match value.get::<String>() {
            Ok(uri) => uri,
            Err(_) => value.get::<gst::ArrayRef>().ok()?.as_slice().get(1)?.get::<String>().ok()?,
        };
        Some((id, uri))
    });
    ids.collect()
}
