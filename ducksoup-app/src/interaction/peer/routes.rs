// SPDX-License-Identifier: MPL-2.0

//! The ways of the other participants' tracks to this peer.

use super::{Peer, PeerError, ghost};
use crate::interaction::input::{Input, Inputs, PeerInput};
use crate::interaction::playout::Keeping;
use crate::interaction::sdp::{Codec, Kind};
use ducksoup_signaller::protocol::Identifier;
use gst::prelude::*;
use gst_webrtc::{WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection};
use gstducksoup::estimate;

/// Another participant's track on its way to this peer.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) mixer_pad: gst::Pad,
    /// Its media section.
    pub(super) section: u32,
    /// Whether the browser is to see it.
    pub(super) visible: bool,
}

/// A participant as others are shown it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Who.
    pub user: Identifier,
    /// The `MediaStream` id of their tracks.
    pub stream_id: String,
    /// Their tracks.
    pub codecs: Vec<Codec>,
}

/// What it takes to show a participant's tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Showing {
    /// An offer: the browser does not have them.
    Anew,
    /// Nothing: the browser has had them all along.
    Already,
}

impl Route {
    /// How the browser may keep pictures that come on it from now on: the mixer writes it into each of them.
    pub(super) fn keep_pictures(&self, keeping: Keeping) {
        self.mixer_pad.set_property("max-playout-delay", keeping.most());
    }
}

impl Peer {
    /// What others are shown of this peer.
    #[must_use]
    pub fn shown(&self) -> Shown {
        Shown {
            user: self.options.user.clone(),
            stream_id: self.stream_id.clone(),
            codecs: self.chains.iter().map(|chain| chain.codec).collect(),
        }
    }

    /// Gives a track of another participant (or, in a mirror, one's own) a way to this peer.
    ///
    /// # Errors
    /// When the mixer or the connection refuses.
    pub fn show(
        &mut self,
        mixer: &gst::Element,
        source: &Shown,
        twcc: bool,
        inputs: &Inputs,
    ) -> Result<Showing, PeerError> {
        let mut showing = Showing::Already;
        for codec in &source.codecs {
            let key = (source.user.clone(), *codec);
            match self.routes.get_mut(&key) {
                // Never hidden: the same stream goes on, and the browser need not know.
                Some(route) if route.visible => continue,
                Some(route) => route.visible = true,
                None => {
                    let route = self.new_route(mixer, source, *codec, twcc, inputs)?;
                    self.routes.insert(key, route);
                }
            }
            self.stale = true;
            showing = Showing::Anew;
        }
        Ok(showing)
    }

    /// Tells the browser that a participant's tracks are over, for now.
    pub fn hide(&mut self, user: &Identifier) {
        for ((source, _), route) in &mut self.routes {
            if source == user {
                route.visible = false;
                self.stale = true;
            }
        }
    }

    /// What the connection can take, in bit/s: the mixer shares it out among those who are received.
    pub fn estimated(&mut self, bitrate: u32) {
        self.bandwidth.set_estimate(bitrate);
        if let Some(route) = self.routes.values().next() {
            route.mixer_pad.send_event(estimate::event(bitrate));
        }
    }

    fn new_route(
        &mut self,
        mixer: &gst::Element,
        source: &Shown,
        codec: Codec,
        twcc: bool,
        inputs: &Inputs,
    ) -> Result<Route, PeerError> {
        // 0 would be a legal SSRC, but the sign of a missing one elsewhere.
        let ssrc = rand::random_range(1..u32::MAX);
        let caps = codec.caps(Some(ssrc), twcc);
        let template = self
            .webrtcbin
            .pad_template("sink_%u")
            .ok_or(PeerError::Pad("webrtcbin's sink template"))?;
        let name = format!("sink_{}", self.sections);
        let webrtc_pad = self
            .webrtcbin
            .request_pad(&template, Some(&name), Some(&caps))
            .ok_or(PeerError::Pad("webrtcbin's sink"))?;
        let section = self.sections;
        self.sections += 1;
        webrtc_pad.set_property("msid", &source.stream_id);
        let transceiver = webrtc_pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_codec_preferences(Some(&caps));
        if codec.kind() == Kind::Video {
            transceiver.set_property("do-nack", true);
        }
        self.unpromised += 1;
        let (connection, inputs) = (self.connection, inputs.clone());
        webrtc_pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            match info.event().map(|event| event.type_()) {
                Some(gst::EventType::Caps) => {
                    inputs.send(Input::Peer(connection, PeerInput::RoutePromised));
                    gst::PadProbeReturn::Remove
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });

        let mixer_pad =
            mixer.request_pad_simple("src_%u").ok_or(PeerError::Pad("mixer's source"))?;
        mixer_pad.set_property("receiver", self.bin.name().as_str());
        mixer_pad.set_property("source", source.user.as_str());
        mixer_pad.set_property_from_str("kind", codec.kind().name());
        mixer_pad.set_property("caps", &caps);
        mixer_pad.set_property("max-playout-delay", self.patience.keeping().most());
        let ghost = ghost(&self.bin, &webrtc_pad, &name)?;
        mixer_pad.link(&ghost).map_err(|error| PeerError::Link("route", error))?;
        self.traffic.goes(ssrc, source.user.as_str(), codec);
        self.bandwidth.carries(codec.kind());
        Ok(Route { mixer_pad, section, visible: true })
    }
}
