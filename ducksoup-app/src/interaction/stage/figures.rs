// SPDX-License-Identifier: MPL-2.0

//! The figures for the stats page: gathered from the graph, handed to the door.

use super::Stage;
use super::media::fields;
use crate::interaction::peer::Peer;
use crate::interaction::stats::{Participant, Track};
use ducksoup_signaller::frame::StageFrame;
use serde_json::json;

impl Stage {
    /// Once a second: the figures of the second before go to the door, and the connections are
    /// asked what they count now.
    pub(super) fn tell_figures(&mut self) {
        let now = self.now();
        if !self.stats.is_due(now) {
            return;
        }
        let mixed = fields(&self.graph.mixed());
        let participants: Vec<_> = self.graph.peers().map(participant).collect();
        let mut stats = self.stats.figures(now, &mixed, &participants);
        let running = self
            .t0
            .map(|t0| self.graph.running_time().saturating_sub(t0.running_time).mseconds() / 1000);
        stats.insert("running".into(), json!(running));
        self.door.send(StageFrame::Stats { stats });
        for peer in self.graph.peers() {
            peer.ask_for_statistics(&self.inputs);
        }
    }
}

fn participant(peer: &Peer) -> Participant<'_> {
    let tracks = peer.counters().into_iter().map(|track| Track {
        kind: track.kind,
        target: track.target,
        frames: track.frames.map(|frames| fields(&frames)).unwrap_or_default(),
    });
    Participant {
        connection: peer.connection,
        count: peer.count,
        options: &peer.options,
        tracks: tracks.collect(),
        routes: peer.received(),
        recorded: peer.recorded().map(|recorded| fields(&recorded)).unwrap_or_default(),
    }
}
