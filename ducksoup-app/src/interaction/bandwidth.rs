// SPDX-License-Identifier: MPL-2.0

//! What the connection to one browser can take, in either direction.
//!
//! ```text
//!  browser ── transport-wide feedback ─► rtpsession ─► rtpgccbwe ─► guard ─┐
//!          ── receiver reports ────────► loss rule ────────────────────────┼─► mixer ─► encoders of
//!                                                                          │   those who are received
//!  browser ◄─ REMB ── rtpsession ◄── what its receivers can take ◄── mixer ┘   (nothing re-encoded)
//! ```
//!
//! `rtpgccbwe` stands beside the live path, not in it: it is handed the feedback, and no packets. In
//! the path it would pace them, by up to 30 ms, in steps of 5 ms of a thread for each connection.

mod guard;
mod loss;
mod remb;
mod repairs;

use super::input::{Input, Inputs, PeerInput};
use super::measures::Arrived;
use super::rtcp::Packet;
use super::sdp::Kind;
use ducksoup_signaller::frame::{BitrateRange, Connection, StageSettings};
use gst::glib;
use gst::prelude::*;
use guard::{Bounds, Guard, Seen};
use loss::{LossRule, Reported};
use remb::Remb;
use repairs::{Repair, Repairs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The structure by which `rtpsession` tells of transport-wide feedback, upstream of where it sends.
const FEEDBACK: &str = "RTPTWCCPackets";

/// The one by which it tells that the browser asks for a packet again, on the same way.
const AGAIN: &str = "GstRTPRetransmissionRequest";

/// What a browser sends at least and at most (web/lib/bitrate.js): the bounds of what it is
/// told where it finds out nothing itself.
const UPLINK: Bounds = Bounds { min: 32_000, enough: 182_000, start: 182_000, max: 1_564_000 };

/// What is sent of a picture at first, in bit/s, where the settings do not say less. Ours, and that of browsers: what
/// most lines take.
const START: u32 = 300_000;

/// An estimate that differs by less than this part from what was told is no news. Ours: half of what
/// `bitratecontroller` would act on.
const NEWS: u32 = 100;

/// See the module.
#[derive(Debug)]
pub struct Bandwidth {
    shared: Arc<Shared>,
    /// What each kind of route takes, of this server's settings.
    ranges: BTreeMap<Kind, BitrateRange>,
    bounds: Bounds,
    /// By reports, where there is no transport-wide feedback.
    loss: LossRule,
    /// What the browser loses on its way here, where it is told of nothing else.
    uplink: Option<LossRule>,
    /// What the browser's receivers can take of each of its tracks.
    wanted: BTreeMap<Kind, u32>,
    approved: Option<u32>,
    estimate: Option<u32>,
    /// A picture has come since the estimate was told.
    widened: bool,
}

/// What streaming threads need. Nothing is pushed and no property is set under its locks.
#[derive(Debug)]
struct Shared {
    gcc: Option<Gcc>,
    downlink: Mutex<Downlink>,
    remb: Mutex<Remb>,
    connection: Connection,
    inputs: Inputs,
}

#[derive(Debug)]
struct Downlink {
    guard: Guard,
    repairs: Repairs,
    told: Option<u32>,
}

impl Downlink {
    fn new(bounds: Bounds) -> Self {
        Self { guard: Guard::new(bounds), repairs: Repairs::default(), told: None }
    }
}

impl Bandwidth {
    /// Watches the session that this `webrtcbin` will have.
    ///
    /// # Errors
    /// When there is no `rtpgccbwe`.
    pub fn new(
        webrtcbin: &gst::Element,
        settings: &StageSettings,
        connection: Connection,
        inputs: &Inputs,
    ) -> Result<Self, glib::BoolError> {
        let bounds = Bounds { min: 0, enough: 0, start: 0, max: 0 };
        let gcc = if settings.gcc && settings.twcc { Some(Gcc::new()?) } else { None };
        let shared = Arc::new(Shared {
            gcc,
            downlink: Mutex::new(Downlink::new(bounds)),
            remb: Mutex::default(),
            connection,
            inputs: inputs.clone(),
        });
        if let Some(bin) = webrtcbin.downcast_ref::<gst::Bin>() {
            let shared = Arc::clone(&shared);
            bin.connect_deep_element_added(move |_, _, element| {
                if element.factory().is_some_and(|factory| factory.name() == "rtpsession") {
                    shared.attach(element);
                }
            });
        }
        let ranges =
            [(Kind::Audio, settings.audio_bitrate), (Kind::Video, settings.video_bitrate)].into();
        Ok(Self {
            shared,
            ranges,
            bounds,
            loss: LossRule::new(bounds),
            uplink: (!settings.twcc).then(|| LossRule::new(UPLINK)),
            wanted: BTreeMap::new(),
            approved: None,
            estimate: None,
            widened: false,
        })
    }

    /// Another track goes to the browser.
    pub fn carries(&mut self, kind: Kind) {
        if let Some(range) = self.ranges.get(&kind) {
            if kind == Kind::Audio {
                self.bounds.min = self.bounds.min.saturating_add(range.min);
            }
            self.bounds.enough = self.bounds.enough.saturating_add(range.min);
            let start = if kind == Kind::Audio { range.max } else { range.default.min(START) };
            self.bounds.start = self.bounds.start.saturating_add(start.max(range.min));
            self.bounds.max = self.bounds.max.saturating_add(range.max);
        }
        self.loss.set_bounds(self.bounds);
        lock(&self.shared.downlink).guard.set_bounds(self.bounds);
        if let Some(gcc) = &self.shared.gcc {
            gcc.set_bounds(self.bounds);
            // Pictures come after their sound.
            self.widened |= kind == Kind::Video;
        }
    }

    /// All tracks are there for now: what they may take together is told. Told after each of them, it would
    /// leave no room for the pictures that the connection does not count yet.
    pub fn carries_all(&mut self) {
        if std::mem::take(&mut self.widened) {
            let mut downlink = lock(&self.shared.downlink);
            let told = downlink.guard.told();
            // Another thread may be telling another one now: the next feedback tells it again.
            downlink.told = None;
            drop(downlink);
            let input = PeerInput::Estimated(told);
            self.shared.inputs.send(Input::Peer(self.shared.connection, input));
        }
    }

    /// The browser reports how it receives; what it can take, in bit/s, if that is news. `sent` tells
    /// which streams it is really sent.
    pub fn reported(&mut self, packets: &[Packet], sent: impl Fn(u32) -> bool) -> Option<u32> {
        if self.shared.gcc.is_some() && lock(&self.shared.downlink).told.is_some() {
            return None;
        }
        let blocks = packets.iter().flat_map(|packet| match packet {
            Packet::SenderReport { reports, .. } | Packet::ReceiverReport { reports, .. } => {
                reports.as_slice()
            }
            _ => &[],
        });
        let reports: Vec<_> = blocks
            .filter(|block| sent(block.ssrc))
            .map(|block| Reported { ssrc: block.ssrc, highest: block.highest, lost: block.lost })
            .collect();
        let estimate = self.loss.hear(&reports, Instant::now())?;
        is_news(self.estimate, estimate).then_some(estimate)
    }

    /// What the browser can take counts from now on, bit/s.
    pub fn set_estimate(&mut self, bitrate: u32) {
        self.estimate = Some(bitrate);
    }

    /// What the browser can take, bit/s, once that is known.
    #[must_use]
    pub fn estimate(&self) -> Option<u32> {
        self.estimate
    }

    /// What those who receive the browser can take of one of its tracks, bit/s: it is told.
    pub fn wanted(&mut self, kind: Kind, bitrate: u32) {
        self.wanted.insert(kind, bitrate);
        self.tell();
    }

    /// What has come of each of the browser's tracks since the beginning.
    pub fn arrived(&mut self, arrived: &BTreeMap<Kind, Arrived>, now: Instant) {
        let Some(rule) = &mut self.uplink else {
            return;
        };
        // Counters are compared with those of a second before: how they wrap does not matter.
        #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        let reports: Vec<_> = arrived
            .iter()
            .map(|(kind, counts)| Reported {
                ssrc: *kind as u32,
                highest: (counts.packets + counts.lost) as u32,
                lost: counts.lost as i32,
            })
            .collect();
        if let Some(bitrate) = rule.hear(&reports, now) {
            self.approved = Some(bitrate);
            self.tell();
        }
    }

    /// What the browser is told that it may send, bit/s; none where it decides alone.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        // Sound goes on whatever happens: nobody's sound is held back for want of a number.
        let audio = self.wanted.get(&Kind::Audio).copied();
        let audio = audio.or_else(|| Some(self.ranges.get(&Kind::Audio)?.max)).unwrap_or_default();
        let wanted = self.wanted.get(&Kind::Video).map(|video| video.saturating_add(audio));
        wanted.into_iter().chain(self.approved).min()
    }

    fn tell(&self) {
        if let Some(limit) = self.limit() {
            lock(&self.shared.remb).set(limit.max(UPLINK.enough));
        }
    }
}

/// A new pad of an RTP session.
fn watch(pad: &gst::Pad, shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    match pad.name().as_str() {
        "send_rtp_sink" => {
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |pad, info| {
                let Some(gst::PadProbeData::Event(event)) = &info.data else {
                    return gst::PadProbeReturn::Ok;
                };
                let refresh = match shared.repair(event) {
                    Some((Repair::Leave, _)) => None,
                    Some((Repair::Refresh, ssrc)) => Some(ssrc),
                    Some((Repair::Send, _)) | None => {
                        shared.hear(event);
                        return gst::PadProbeReturn::Ok;
                    }
                };
                // An event that a probe drops is released twice.
                drop(info.take_event());
                if let Some(ssrc) = refresh {
                    let keyframe = gst_video::UpstreamForceKeyUnitEvent::builder();
                    let keyframe = keyframe.all_headers(true).other_field("ssrc", ssrc).build();
                    // A source that is gone needs none.
                    pad.push_event(keyframe);
                }
                gst::PadProbeReturn::Handled
            });
        }
        "send_rtcp_src" => {
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let Some(gst::PadProbeData::Buffer(compound)) = &mut info.data {
                    shared.complete(compound);
                }
                gst::PadProbeReturn::Ok
            });
        }
        _ => {}
    }
}

impl Shared {
    /// Watches an RTP session that has no pads yet.
    fn attach(self: &Arc<Self>, session: &gst::Element) {
        let shared = Arc::clone(self);
        session.connect_pad_added(move |_, pad| watch(pad, &shared));
    }

    /// What becomes of the browser's request for a packet, and of which stream that is.
    fn repair(&self, event: &gst::Event) -> Option<(Repair, u32)> {
        let request = event.structure().filter(|structure| structure.name() == AGAIN)?;
        let ssrc = request.get("ssrc").ok()?;
        let mut downlink = lock(&self.downlink);
        let bitrate = downlink.guard.told();
        Some((downlink.repairs.ask(bitrate, Instant::now()), ssrc))
    }

    /// The browser's feedback.
    fn hear(&self, event: &gst::Event) {
        let Some((gcc, packets)) = self.gcc.as_ref().zip(packets(event)) else {
            return;
        };
        let proposal = gcc.hear(event);
        let (held, news) = {
            let mut downlink = lock(&self.downlink);
            let held = downlink.guard.hear(&packets, proposal);
            let news = is_news(downlink.told, held);
            if news {
                downlink.told = Some(held);
            }
            (held, news)
        };
        if held != proposal {
            gcc.go_on_from(held);
        }
        if news {
            self.inputs.send(Input::Peer(self.connection, PeerInput::Estimated(held)));
        }
    }

    /// Adds to what goes to the browser what it is to be told.
    fn complete(&self, compound: &mut gst::Buffer) {
        let remb = {
            let Ok(bytes) = compound.map_readable() else {
                return;
            };
            lock(&self.remb).due(&bytes, Instant::now())
        };
        if let Some(remb) = remb {
            compound.make_mut().append_memory(gst::Memory::from_slice(remb));
        }
    }
}

/// The packets that a feedback is about. What was never sent is left out.
fn packets(event: &gst::Event) -> Option<Vec<Seen>> {
    let structure = event.structure().filter(|structure| structure.name() == FEEDBACK)?;
    let packets = structure.get::<glib::ValueArray>("packets").ok()?;
    let packets = packets.iter().filter_map(|packet| packet.get::<&gst::StructureRef>().ok());
    Some(packets.filter_map(seen).collect())
}

fn seen(packet: &gst::StructureRef) -> Option<Seen> {
    let time = |field| i64::try_from(packet.get::<gst::ClockTime>(field).ok()?.nseconds()).ok();
    let lost = packet.get::<bool>("lost").ok()?;
    Some(Seen {
        departure: time("local-ts")?,
        arrival: if lost { None } else { Some(time("remote-ts")?) },
        size: packet.get("size").ok()?,
    })
}

fn is_news(told: Option<u32>, now: u32) -> bool {
    told.is_none_or(|told| told.abs_diff(now) > told / NEWS)
}

/// `rtpgccbwe`, without the thread by which it would send packets.
#[derive(Debug)]
struct Gcc {
    element: gst::Element,
    source: gst::Pad,
}

impl Gcc {
    fn new() -> Result<Self, glib::BoolError> {
        let element = gst::ElementFactory::make("rtpgccbwe").build()?;
        let source =
            element.static_pad("src").ok_or_else(|| glib::bool_error!("rtpgccbwe without src"))?;
        // A pad that is not active hears nothing; what it would send with is stopped at once.
        source.set_active(true)?;
        source.pause_task()?;
        Ok(Self { element, source })
    }

    /// Takes a feedback; the estimate after it.
    fn hear(&self, feedback: &gst::Event) -> u32 {
        // Nobody is upstream of it, so the event is never taken further, which is no failure.
        self.source.send_event(feedback.clone());
        self.element.property("estimated-bitrate")
    }

    fn set_bounds(&self, bounds: Bounds) {
        self.element.set_property("max-bitrate", bounds.max.max(1));
        self.element.set_property("min-bitrate", bounds.min.max(1));
    }

    fn go_on_from(&self, bitrate: u32) {
        self.element.set_property("estimated-bitrate", bitrate.max(1));
    }
}

impl Drop for Gcc {
    fn drop(&mut self) {
        // It ends its thread. One that does not end is paused and harmless.
        drop(self.source.set_active(false));
    }
}

/// No panic leaves anything half-written here, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "bandwidth/tests.rs"]
mod tests;
