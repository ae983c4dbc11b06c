// SPDX-License-Identifier: MPL-2.0

//! What a peer's elements count, for the stats page.

use super::Peer;
use crate::interaction::input::Inputs;
use crate::interaction::sdp::Kind;
use crate::interaction::stats::Route;
use crate::interaction::webrtcbin;
use gst::prelude::*;

/// The counters of one of a peer's tracks.
#[derive(Debug)]
pub struct TrackCounters {
    /// Sound or picture.
    pub kind: Kind,
    /// What the encoder is told now, in bit/s; nothing where nothing is encoded.
    pub target: Option<u32>,
    /// What `framegrid` counts, where there is one.
    pub frames: Option<gst::Structure>,
}

impl Peer {
    /// Asks the connection for its statistics; what comes of it is a
    /// [`PeerInput::Statistics`](crate::interaction::input::PeerInput::Statistics).
    pub fn ask_for_statistics(&self, inputs: &Inputs) {
        webrtcbin::ask_for_statistics(&self.webrtcbin, self.connection, inputs);
    }

    /// What the tracks' elements count.
    #[must_use]
    pub fn counters(&self) -> Vec<TrackCounters> {
        let tracks = self.chains.iter().map(|chain| TrackCounters {
            kind: chain.codec.kind(),
            target: chain.bin.by_name("rate").map(|rate| rate.property("bitrate")),
            frames: chain.grid().map(|grid| grid.property("stats")),
        });
        tracks.collect()
    }

    /// What this peer is sent of others.
    #[must_use]
    pub fn received(&self) -> Vec<Route> {
        let routes = self.routes.iter().filter_map(|((source, codec), route)| {
            let caps: Option<gst::Caps> = route.mixer_pad.property("caps");
            let ssrc = caps?.structure(0)?.get("ssrc").ok()?;
            Some(Route { source: source.clone(), kind: codec.kind(), ssrc })
        });
        routes.collect()
    }

    /// What the recorder counts, where there is one.
    #[must_use]
    pub fn recorded(&self) -> Option<gst::Structure> {
        self.recorder.as_ref().map(|recorder| recorder.property("stats"))
    }
}
