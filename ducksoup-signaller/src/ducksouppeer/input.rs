// SPDX-License-Identifier: MPL-2.0

//! What reaches a participant's own thread, from whichever thread it happens on.

use crate::client::Event;
use gst_webrtc::{WebRTCPeerConnectionState, WebRTCSessionDescription};
use std::sync::mpsc::Sender;

/// See the module. A `u64` is the number of the session that it belongs to.
#[derive(Debug)]
pub(super) enum Input {
    /// The element listens.
    Begin,
    /// The server, or its connection.
    Event(u64, Event),
    /// An offer of the server's.
    Offer(u64, WebRTCSessionDescription),
    /// A candidate of the server's.
    TheirCandidate(u64, u32, String),
    /// webrtcbin has answered.
    Answered(u64, Result<WebRTCSessionDescription, String>),
    /// A candidate of ours.
    OurCandidate(u64, u32, String),
    /// How the connection for media is.
    Connection(u64, WebRTCPeerConnectionState),
    /// A track comes in; its pad is blocked until it is linked.
    Track(u64, gst::Pad, Option<gst::PadProbeId>),
    /// What is linked to a sink pad says what it sends.
    Format,
    /// A sink pad has EOS.
    Drained,
    /// The participant is to leave.
    Leave,
    /// The participant is to leave and to come back.
    Reconnect,
    /// An element inside has failed.
    Fault(String),
    /// The element goes to READY.
    Quit,
}

/// The way to the participant's own thread.
#[derive(Debug, Clone)]
pub(super) struct Inputs(pub(super) Sender<Input>);

impl Inputs {
    /// Never blocks. Nobody listens any more when the element is on its way down.
    pub(super) fn send(&self, input: Input) {
        drop(self.0.send(input));
    }
}
