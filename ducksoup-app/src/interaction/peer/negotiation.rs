// SPDX-License-Identifier: MPL-2.0

//! A peer's offers, answers and candidates.

use super::Peer;
use crate::interaction::input::Inputs;
#[cfg(doc)]
use crate::interaction::input::PeerInput;
use crate::interaction::negotiation::Step;
use crate::interaction::sdp::{self, Kind};
use crate::interaction::webrtcbin;
use gst::prelude::*;
use gst_webrtc::{WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection};
use std::time::Instant;

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerRefusal {
    /// Nothing was offered.
    #[error("no offer is open")]
    Unasked,
    /// It rejects what was offered.
    #[error(transparent)]
    Rejected(#[from] sdp::Rejected),
}

impl Peer {
    /// Asks to receive the browser's tracks. The peer is running.
    pub fn receive_tracks(&mut self, twcc: bool) {
        for chain in &self.chains {
            let transceiver = self.webrtcbin.emit_by_name::<WebRTCRTPTransceiver>(
                "add-transceiver",
                &[&WebRTCRTPTransceiverDirection::Recvonly, &chain.codec.caps(None, twcc)],
            );
            if chain.codec.kind() == Kind::Video {
                transceiver.set_property("do-nack", true);
            }
        }
        self.stale = true;
    }

    /// Makes an offer if one is due.
    pub fn negotiate(&mut self, inputs: &Inputs) {
        if self.stale && self.unpromised == 0 {
            self.stale = false;
            self.bandwidth.carries_all();
            if self.negotiation.want() == Step::CreateOffer {
                webrtcbin::create_offer(&self.webrtcbin, self.connection, inputs);
            }
        }
    }

    /// The client wants a new offer.
    pub fn offer_again(&mut self) {
        self.stale = true;
    }

    /// What a route promises has reached the connection.
    pub fn route_promised(&mut self) {
        self.unpromised = self.unpromised.saturating_sub(1);
    }

    /// An offer is made: returns it as the client is to read it.
    pub fn offered(
        &mut self,
        offer: &gst_webrtc::WebRTCSessionDescription,
    ) -> gst_webrtc::WebRTCSessionDescription {
        self.negotiation.made();
        self.gathering.offered(Instant::now());
        self.hidden = self
            .routes
            .values()
            .filter(|route| !route.visible)
            .map(|route| route.section)
            .collect();
        let sdp = sdp::hide(offer.sdp(), &self.hidden);
        gst_webrtc::WebRTCSessionDescription::new(offer.type_(), sdp)
    }

    /// Takes the client's answer; what comes of it is a [`PeerInput::AnswerSet`].
    ///
    /// # Errors
    /// When no answer is awaited, or this one rejects what was offered.
    pub fn answer(
        &mut self,
        answer: &gst_webrtc::WebRTCSessionDescription,
        inputs: &Inputs,
    ) -> Result<(), AnswerRefusal> {
        if !self.negotiation.awaits_answer() {
            return Err(AnswerRefusal::Unasked);
        }
        sdp::judge(answer.sdp())?;
        self.track_names = sdp::track_names(answer.sdp());
        let answer = gst_webrtc::WebRTCSessionDescription::new(
            answer.type_(),
            sdp::reveal(answer.sdp(), &self.hidden),
        );
        webrtcbin::accept_answer(&self.webrtcbin, &answer, self.connection, inputs);
        Ok(())
    }

    /// The answer is in force.
    pub fn answered(&mut self, inputs: &Inputs) {
        if self.negotiation.answered() == Step::CreateOffer {
            webrtcbin::create_offer(&self.webrtcbin, self.connection, inputs);
        }
    }

    /// Notes one of our own candidates.
    pub fn found(&mut self, candidate: &str) {
        self.gathering.found(candidate);
    }

    /// When it is too late for the first of our own candidates.
    #[must_use]
    pub fn gathering_deadline(&self) -> Option<Instant> {
        self.gathering.deadline()
    }

    /// Takes one of the client's candidates.
    pub fn add_candidate(&self, m_line: u32, candidate: &str) {
        self.webrtcbin.emit_by_name::<()>("add-ice-candidate", &[&m_line, &candidate]);
    }
}
