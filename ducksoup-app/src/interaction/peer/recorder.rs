// SPDX-License-Identifier: MPL-2.0

//! A peer's recorder: which of its tracks it listens to.

use super::PeerError;
use crate::interaction::chain::Chain;
use crate::interaction::pipelines::{Layout, Mode};
use crate::interaction::sdp::Kind;
use ducksoup_signaller::protocol::JoinOptions;
use gst::prelude::*;

/// A running time that never comes: a recorder with this origin waits until it is known.
const NOT_YET: u64 = 1 << 63;

/// The recorder, listening to the tees of the chains.
pub(super) fn recorder(
    bin: &gst::Bin,
    chains: &[Chain],
    mode: &Mode,
    changed: Changed,
) -> Result<gst::Element, PeerError> {
    let layout = if mode.layout == Layout::Split { "split" } else { "muxed" };
    let recorder = gst::ElementFactory::make("experimentrecorder")
        .name("recorder")
        .property_from_str("layout", layout)
        .property("origin", NOT_YET)
        .build()
        .map_err(|error| PeerError::Step("recorder", error))?;
    bin.add(&recorder).map_err(|error| PeerError::Step("recorder", error))?;
    for chain in chains {
        let kind = chain.codec.kind();
        let mut tees = vec!["dry"];
        if mode.effects && changed.is_wet(kind, mode.layout) {
            tees.push("wet");
        }
        for tee in tees {
            let tap = chain.tap(tee).ok_or(PeerError::Pad("tee"))?;
            let sink = recorder
                .request_pad_simple(&format!("{tee}_{kind}"))
                .ok_or(PeerError::Pad("recorder's sink"))?;
            tap.link(&sink).map_err(|error| PeerError::Link("recorder", error))?;
        }
    }
    Ok(recorder)
}

/// Which of a participant's tracks leave the server otherwise than they came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    audio: bool,
    video: bool,
}

impl Changed {
    /// By effects, or by the time shown in the picture.
    pub(super) fn by(options: &JoinOptions, overlay: bool) -> Self {
        let video = options.video_fx.is_some() || overlay;
        Self { audio: options.audio_fx.is_some(), video: video && !options.audio_only }
    }

    /// Wet files exist where something is changed. A muxed one holds both tracks, as they were sent.
    fn is_wet(self, kind: Kind, layout: Layout) -> bool {
        match (layout, kind) {
            (Layout::Split, Kind::Audio) => self.audio,
            (Layout::Split, Kind::Video) => self.video,
            (Layout::Muxed, _) => self.audio || self.video,
            (Layout::None, _) => false,
        }
    }
}
