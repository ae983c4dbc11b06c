// SPDX-License-Identifier: MPL-2.0

//! `ducksoupmixer`: who receives whom, RTP in and RTP out.
//!
//! One element serves one conversation. Each participant's payloaders feed its sink pads; each source pad is a
//! *route*: what one receiver gets of one source. Nothing is decoded, and a stream is encoded once, whatever
//! the number of its receivers.
//!
//! - **Routing.** A sink pad has a `participant`, a source pad a `receiver` and a `source`. Without `source`
//!   everyone receives everyone else; one who is alone receives themself (a mirror). All of it can change while playing.
//!   When a participant has two sink pads of one kind, the newer one counts: that is a reconnection.
//! - **Promised caps.** A source pad's `caps` are what its receiver was told (payload type, SSRC, header-extension
//!   ids…). As soon as the pad is active and linked, stream-start, these caps and a time segment go out, in the thread
//!   that linked it, before any media. Without `caps` they are the source's own, with a fresh SSRC.
//! - **Rewriting.** SSRC, payload type, sequence number and timestamp of each packet are rewritten so that the
//!   output is one continuous stream, whatever sources follow each other. Payloads are shared, not copied.
//!   Header extensions are renamed when source and receiver know them under other ids; one
//!   that the receiver was not promised becomes padding. Two are added where they are promised: room for the
//!   transport-wide sequence number, for the `rtpsession` behind the mixer to write it in; and, in the first packet of each
//!   picture, how long this receiver is to keep it at most (`max-playout-delay`; not where a source's
//!   extensions have the two-byte form).
//! - **Keyframes.** A video route begins on one (VP8, H.264) and asks for it when its source already flows. Requests
//!   from receivers (force-key-unit) go to the source of that route alone, at most two a second for each source.
//! - **Containment.** Each receiver has one sending thread (another takes over while a push hangs, so that its other
//!   routes go on) and a short queue for each route. One that blocks, flushes or returns errors costs the
//!   others nothing; a queue that overflows loses its oldest audio, or its video up to the next keyframe. A
//!   route whose pad or peer is blocked (a `webrtcbin` before its transport is up) keeps nothing. A sink pad always
//!   takes the packet, at once, and says "ok".
//! - **Estimates.** A [`ducksoup-estimate`](crate::estimate) event on a source pad covers all that its receiver gets. Audio
//!   comes out first (`audio-bitrate` for each route), video routes share the rest, and each source is told
//!   the smallest share among its receivers when it changes. A video route that gets less than `least-video`
//!   would take the place of sound: it is paused, and no longer counts, until it gets that much again. An element
//!   message `ducksoupmixer-paused` tells of both (`receiver`, `source`: strings; `paused`: boolean; `running-time`: uint64, ns).
//! - **Time.** Nothing waits for the clock. Output timestamps are running times (the segment starts at 0). A latency
//!   query is answered here: live, 0 ns; so receivers never wait for the slowest source's jitter buffer.
//!
//! ```text
//! gst-launch-1.0 ducksoupmixer name=m sink_0::participant=ann sink_1::participant=bob src_0::receiver=ann src_1::receiver=bob \
//!     audiotestsrc is-live=true num-buffers=200 freq=440 ! opusenc ! rtpopuspay ! m.sink_0 \
//!     audiotestsrc is-live=true num-buffers=200 freq=880 ! opusenc ! rtpopuspay ! m.sink_1 \
//!     m.src_0 ! rtpopusdepay ! opusdec ! autoaudiosink  m.src_1 ! fakesink
//! ```
//!
//! `stats` (structure `ducksoupmixer-stats`):
//!
//! | field | holds |
//! |---|---|
//! | `routes` | array of `ducksoupmixer-route`: `pad`, `receiver`, `source`, `kind` (strings, empty when unknown), `packets`, `bytes` (sent), `drops` (lost here: full queue, or a receiver that takes nothing), `gated` (left out before a keyframe), `flow-errors`, `keyframe-requests`, `queued` (all uint64), `paused` (boolean) |
//! | `sources` | array of `ducksoupmixer-source`: `pad`, `participant`, `kind` (strings), `packets`, `bytes`, `malformed` (came in), `keyframes` (seen), `keyframe-requests` (sent to the source), all uint64, and `bitrate` (uint, what it was told in bit/s, 0 when nothing) |
//!
//! Limits: sources are expected to be live (a sink pad never pushes back). Keyframes of codecs other than VP8 and H.264 cannot be
//! told: their routes begin at the next frame. Two receivers must not share a name.

mod fifo;
mod header;
mod imp;
mod incoming;
mod keyframe;
mod lane;
mod outgoing;
mod packet;
mod pad;
mod receiver;
mod rewrite;
mod routing;
mod share;
mod stats;
mod switchboard;

use gst::{glib, prelude::*};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub use pad::{MixerSinkPad, MixerSrcPad};

glib::wrapper! {
    /// The element.
    pub struct Mixer(ObjectSubclass<imp::Mixer>)
        @extends gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

/// What a pad carries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "DuckSoupMediaKind")]
pub enum MediaKind {
    /// As the `media` field of the caps says; on a source pad without caps, either.
    #[default]
    #[enum_value(name = "Auto: what the caps say", nick = "auto")]
    Auto,
    /// Sound.
    #[enum_value(name = "Audio: sound", nick = "audio")]
    Audio,
    /// Pictures.
    #[enum_value(name = "Video: pictures", nick = "video")]
    Video,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    MediaKind::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    MixerSinkPad::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    MixerSrcPad::static_type().mark_as_plugin_api(gst::PluginAPIFlags::empty());
    gst::Element::register(Some(plugin), "ducksoupmixer", gst::Rank::NONE, Mixer::static_type())
}

/// No panic leaves a lock's data half-written here, so poison is ignored.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
