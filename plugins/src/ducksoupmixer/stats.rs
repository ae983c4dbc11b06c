// SPDX-License-Identifier: MPL-2.0

//! The element's `stats`. Reading them must not hold up who sends: each receiver's lock is taken once and
//! only to copy numbers, the conversation's is free meanwhile, and no thread is woken.

use super::lane::Counts;
use super::lock;
use super::pad::{MixerSinkPad, MixerSrcPad};
use super::receiver::Receiver;
use super::routing::Kind;
use gst::{prelude::*, subclass::prelude::*};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The numbers of one route, from its lane.
#[derive(Debug)]
pub(super) struct Tally {
    /// The mixer's own number of the source pad.
    pub route: u32,
    pub pad: MixerSrcPad,
    /// What its source is; `None` while there is none.
    pub kind: Option<Kind>,
    /// What was sent, and what for.
    pub counts: Counts,
    /// Packets lost here.
    pub drops: u64,
    /// Packets left out before a keyframe.
    pub gated: u64,
    /// Packets that wait.
    pub queued: usize,
    pub paused: bool,
}

/// Whom the `stats` tell of.
#[derive(Debug)]
pub(super) struct Census {
    pub receivers: Vec<Arc<Receiver>>,
    /// Who is the source of each route that has one.
    pub sources: BTreeMap<u32, String>,
    pub sinks: Vec<MixerSinkPad>,
}

impl Census {
    /// The structure of the element's `stats`: routes and sources in the order in which their pads came.
    pub(super) fn stats(&self) -> gst::Structure {
        let routes: BTreeMap<u32, gst::Structure> = self
            .receivers
            .iter()
            .flat_map(|receiver| {
                let tallies = receiver.tallies().into_iter();
                tallies.map(|tally| (tally.route, self.route(receiver.name(), &tally)))
            })
            .collect();
        gst::Structure::builder("ducksoupmixer-stats")
            .field("routes", array(routes.into_values()))
            .field("sources", array(self.sinks.iter().map(source)))
            .build()
    }

    fn route(&self, receiver: &str, tally: &Tally) -> gst::Structure {
        gst::Structure::builder("ducksoupmixer-route")
            .field("pad", tally.pad.name().as_str())
            .field("receiver", receiver)
            .field("source", self.sources.get(&tally.route).map_or("", String::as_str))
            .field("kind", word(tally.kind))
            .field("packets", tally.counts.packets)
            .field("bytes", tally.counts.bytes)
            .field("drops", tally.drops)
            .field("gated", tally.gated)
            .field("flow-errors", tally.counts.flow_errors)
            .field("keyframe-requests", tally.counts.keyframe_requests)
            .field("queued", tally.queued as u64)
            .field("paused", tally.paused)
            .build()
    }
}

fn source(pad: &MixerSinkPad) -> gst::Structure {
    let imp = pad.imp();
    let state = lock(&imp.state);
    let (counts, told) = (state.counts, state.told);
    drop(state);
    gst::Structure::builder("ducksoupmixer-source")
        .field("pad", pad.name().as_str())
        .field("participant", imp.participant())
        .field("kind", word(imp.kind()))
        .field("packets", counts.packets)
        .field("bytes", counts.bytes)
        .field("malformed", counts.malformed)
        .field("keyframes", counts.keyframes)
        .field("keyframe-requests", u64::from(counts.keyframe_requests))
        .field("bitrate", told.unwrap_or(0))
        .build()
}

fn word(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Audio) => "audio",
        Some(Kind::Video) => "video",
        None => "",
    }
}

fn array(structures: impl Iterator<Item = gst::Structure>) -> gst::Array {
    gst::Array::from_values(structures.map(|structure| structure.to_send_value()))
}
