// SPDX-License-Identifier: MPL-2.0

//! What reaches the stage's one thread. GStreamer's callbacks and threads do no more than put one
//! of these into its queue.

use super::carrier::FromDoor;
use super::counters::Counted;
use super::gstreamer_log::Words;
use super::rtcp::Compound;
use super::sdp::Kind;
use super::timeline::Correction;
use ducksoup_signaller::frame::Connection;
use std::sync::mpsc::{SyncSender, TrySendError};

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// Words of the door.
    Door(FromDoor),
    /// A message of the pipeline that somebody may care about.
    Bus(gst::Message),
    /// GStreamer's own log, where it is intercepted.
    GStreamer(Words),
    /// Something about one peer's media.
    Peer(Connection, PeerInput),
}

/// What happened to one peer.
#[derive(Debug)]
pub enum PeerInput {
    /// An offer is made and set, or why not.
    Offered(Result<gst_webrtc::WebRTCSessionDescription, String>),
    /// The client has answered.
    Answered(gst_webrtc::WebRTCSessionDescription),
    /// The answer is in force, or why not.
    AnswerSet(Result<(), String>),
    /// One of our own candidates.
    LocalCandidate {
        /// Its media section.
        m_line: u32,
        /// Its line.
        candidate: String,
    },
    /// One of the client's candidates.
    RemoteCandidate {
        /// Its media section.
        m_line: u32,
        /// Its line.
        candidate: String,
    },
    /// The connection has another state.
    ConnectionState(gst_webrtc::WebRTCPeerConnectionState),
    /// A track of the browser has come.
    TrackReceived {
        /// Sound or picture.
        kind: Kind,
        /// The browser's.
        ssrc: Option<u32>,
    },
    /// A track is found to lie elsewhere on the timeline.
    TimeCorrected {
        /// Sound or picture.
        kind: Kind,
        /// Of the packet from which on, in ns of the running time.
        at: u64,
        /// How.
        correction: Correction,
    },
    /// The first media have passed the whole chain.
    TrackReady(Kind),
    /// Its counters, which were asked for.
    Counted(Box<Counted>),
    /// A control packet of its connection.
    Rtcp(Compound),
    /// What its connection can take, in bit/s, has changed.
    Estimated(u32),
    /// What its receivers can take of a track that is not re-encoded, in bit/s, has changed.
    Wanted(Kind, u32),
    /// A keyframe is asked of the browser.
    KeyframeAsked(AskedBy),
    /// The negotiation has another state.
    SignalingState(gst_webrtc::WebRTCSignalingState),
    /// The way that media take: our end and the browser's.
    PairSelected(String),
    /// What a route promises has reached the connection.
    RoutePromised,
    /// The peer's elements are at rest and may be forgotten.
    Down,
}

/// Who asks a browser for a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// The stage: the run begins.
    Start,
    /// The chain: a part of it cannot go on without one, or passes a receiver's wish on.
    Chain,
}

/// Where inputs go.
#[derive(Debug, Clone)]
pub struct Inputs(SyncSender<Input>);

/// Inputs that wait. Ours: eight peers negotiating at once make under 500.
pub const BACKLOG: usize = 8192;

impl Inputs {
    /// Puts inputs into this queue.
    #[must_use]
    pub fn new(queue: SyncSender<Input>) -> Self {
        Self(queue)
    }

    /// Never blocks: called from streaming threads. A full queue means that the stage's thread is
    /// stuck, which its door notices; the input is then lost.
    pub fn send(&self, input: Input) {
        match self.0.try_send(input) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(input)) => eprintln!("the stage is stuck, lost {input:?}"),
        }
    }

    /// May block: for the thread that reads the door.
    pub fn wait(&self, input: Input) {
        // A closed queue means that the stage is ending.
        drop(self.0.send(input));
    }
}
