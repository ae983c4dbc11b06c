// SPDX-License-Identifier: MPL-2.0

//! Reads the raw counters of one connection: those of its RTP session, and of its jitter buffers.
//!
//! `webrtcbin`'s own statistics would not do: GStreamer 1.22 gives every stream of a bundle the
//! numbers of the same jitter buffer, and makes the whole report once for each pad.

use super::counters::Counted;
use super::input::{Input, Inputs, PeerInput};
use super::ration::Ration;
use super::rtcp;
use ducksoup_signaller::frame::Connection;
use gst::glib;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

type JitterBuffers = Arc<Mutex<BTreeMap<u32, glib::WeakRef<gst::Element>>>>;

/// The mixer's counters, read once for all who are counted at a time, when the first of them is: they tell
/// of everybody's tracks, and whoever reads them takes the locks of those who send for a moment.
#[derive(Clone)]
pub struct MixerReading(Arc<LazyLock<gst::Structure, Box<dyn FnOnce() -> gst::Structure + Send>>>);

impl MixerReading {
    /// A reading of this mixer that is still to be made.
    #[must_use]
    pub fn new(mixer: &gst::Element) -> Self {
        let mixer = mixer.clone();
        Self(Arc::new(LazyLock::new(Box::new(move || mixer.property("stats")))))
    }

    /// Counters that somebody else read.
    #[cfg(test)]
    pub fn of(stats: gst::Structure) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(move || stats))))
    }

    /// Its `stats`.
    #[must_use]
    pub fn stats(&self) -> &gst::StructureRef {
        &self.0
    }
}

impl fmt::Debug for MixerReading {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MixerReading").finish_non_exhaustive()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Meter {
    rtpbin: gst::Element,
    /// By the SSRC of the stream they wait for.
    jitter_buffers: JitterBuffers,
}

/// How long a wish for a keyframe may wait, in ns, before it asks for a packet of its own. Ours: what
/// reports leave it, see `webrtcbin::SESSION_BANDWIDTH`.
const AT_ONCE: u64 = 100_000_000;

/// Control packets of a browser that the stage hears of in a second. Ours: ten times what Chromium sends
/// on a bad line; a flood must not keep the stage from those who behave.
const MOST_RECEIVED: u32 = 300;

/// What of a connection's control packets is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tap {
    /// Those that somebody acts on: reports, requests for keyframes.
    Used,
    /// All, for a log of level 4.
    All,
}

impl Meter {
    /// A meter of this `webrtcbin`, which has no session yet.
    ///
    /// # Errors
    /// When it holds no `rtpbin`.
    pub fn new(webrtcbin: &gst::Element) -> Result<Self, glib::BoolError> {
        let rtpbin = webrtcbin
            .downcast_ref::<gst::Bin>()
            .and_then(|bin| bin.by_name("rtpbin"))
            .ok_or_else(|| glib::bool_error!("webrtcbin without rtpbin"))?;
        let jitter_buffers = JitterBuffers::default();
        let buffers = Arc::clone(&jitter_buffers);
        rtpbin.connect_closure(
            "new-jitterbuffer",
            false,
            glib::closure!(move |_rtpbin: gst::Element,
                                 buffer: gst::Element,
                                 _session: u32,
                                 ssrc: u32| {
                let mut buffers = buffers.lock().unwrap_or_else(PoisonError::into_inner);
                buffers.insert(ssrc, buffer.downgrade());
            }),
        );
        Ok(Self { rtpbin, jitter_buffers })
    }

    /// Sends at once what control packets have to say, as far as RFC 4585 allows: a wish for a keyframe
    /// would wait for the next report else, since GStreamer allows it five seconds. Like
    /// `read`, on a thread of the pool.
    pub fn hurry(&self) {
        self.rtpbin.call_async(|rtpbin| {
            let session =
                rtpbin.emit_by_name::<Option<glib::Object>>("get-internal-session", &[&0u32]);
            if let Some(session) = session {
                // What cannot go now goes with the next report.
                session.emit_by_name::<bool>("send-rtcp-full", &[&AT_ONCE]);
            }
        });
    }

    /// Reads the counters on a thread of GStreamer's pool, so that a session that is stuck holds
    /// nobody up; they come as a [`PeerInput::Counted`].
    pub fn read(
        &self,
        mixer: &MixerReading,
        grid: Option<gst::Element>,
        connection: Connection,
        inputs: &Inputs,
    ) {
        let (buffers, inputs) = (Arc::clone(&self.jitter_buffers), inputs.clone());
        let mixer = mixer.clone();
        self.rtpbin.call_async(move |rtpbin| {
            // With max-bundle there is one session, number 0, once media have been negotiated.
            let session =
                rtpbin.emit_by_name::<Option<glib::Object>>("get-internal-session", &[&0u32]);
            let Some(session) = session else {
                return;
            };
            // Here, not on the thread that looks at it: whoever comes first reads, the others wait for that.
            LazyLock::force(&mixer.0);
            let at = Instant::now();
            let stats = session.property::<gst::Structure>("stats");
            let sources = stats.get::<glib::ValueArray>("source-stats").ok();
            let sources = sources.iter().flat_map(|sources| sources.iter());
            let sources = sources.filter_map(|source| source.get().ok()).collect();
            let buffers: Vec<_> = {
                let buffers = buffers.lock().unwrap_or_else(PoisonError::into_inner);
                let alive = buffers.iter();
                alive.filter_map(|(ssrc, buffer)| Some((*ssrc, buffer.upgrade()?))).collect()
            };
            let buffers =
                buffers.into_iter().map(|(ssrc, buffer)| (ssrc, buffer.property("stats")));
            let counted = Counted {
                at,
                sources,
                jitter_buffers: buffers.collect(),
                mixer,
                grid: grid.map(|grid| grid.property("stats")),
            };
            inputs.send(Input::Peer(connection, PeerInput::Counted(Box::new(counted))));
        });
    }
}

/// Listens to the control packets of an RTP session, when this element is one. They come as
/// [`PeerInput::Rtcp`].
pub fn tap(element: &gst::Element, tap: Tap, connection: Connection, inputs: &Inputs) {
    if element.factory().is_none_or(|factory| factory.name() != "rtpsession") {
        return;
    }
    let session = element.property::<glib::Object>("internal-session");
    let to = inputs.clone();
    let ration = Mutex::new(Ration::new(MOST_RECEIVED));
    session.connect_closure(
        "on-receiving-rtcp",
        false,
        glib::closure!(move |_session: glib::Object, packet: gst::Buffer| {
            if ration.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
                forward(&packet, rtcp::Direction::Received, tap, connection, &to);
            }
        }),
    );
    let to = inputs.clone();
    session.connect_closure(
        "on-sending-rtcp",
        false,
        glib::closure!(move |_session: glib::Object, packet: gst::Buffer, _early: bool| {
            forward(&packet, rtcp::Direction::Sent, tap, connection, &to);
            // Nothing was added: the packet may be left out, as far as we are concerned.
            false
        }),
    );
}

fn forward(
    packet: &gst::Buffer,
    direction: rtcp::Direction,
    tap: Tap,
    connection: Connection,
    inputs: &Inputs,
) {
    let Ok(bytes) = packet.map_readable() else {
        return;
    };
    if tap == Tap::All || rtcp::is_used(&bytes) {
        let compound = rtcp::Compound { direction, at: SystemTime::now(), bytes: bytes.to_vec() };
        inputs.send(Input::Peer(connection, PeerInput::Rtcp(compound)));
    }
}
