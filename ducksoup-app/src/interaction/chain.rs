// SPDX-License-Identifier: MPL-2.0

//! A peer's incoming track on its way to the mixer: what [`pipelines`](super::pipelines) describes,
//! as a bin.

use super::concealment;
use super::effort::Effort;
use super::overlay::Overlay;
use super::phase;
use super::pipelines::{Mode, Pipelines, PipelinesError, Values};
use super::precedence;
use super::sdp::{Codec, Kind};
use super::step;
use gst::prelude::*;
use gstducksoup::fxcontrol::FxControl;

/// Why a chain cannot be built: always the operator's or our own mistake, never a client's.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Its description.
    #[error(transparent)]
    Pipelines(#[from] PipelinesError),
    /// GStreamer does not take it.
    #[error("{0} chain (pipelines/, config/gst.yml): {1}")]
    Parse(Kind, glib::Error),
    /// An element that the server needs has another name or is missing.
    #[error("{0} chain: {1}")]
    Shape(Kind, &'static str),
}

/// A built chain: one sink pad for a browser's RTP, one source pad for the mixer.
#[derive(Debug)]
pub struct Chain {
    /// What it is made for.
    pub codec: Codec,
    /// The bin, with pads `sink` and `src` and, once asked for, `dry` and `wet`.
    pub bin: gst::Bin,
    /// What shows the run's time, where that is wished for.
    overlay: Option<Overlay>,
    /// How much work its encoder of pictures has, where it has one.
    effort: Option<Effort>,
}

impl Chain {
    /// Builds a chain, its effect slot empty.
    ///
    /// # Errors
    /// When the description is wrong, or an element is missing.
    pub fn build(
        pipelines: &Pipelines,
        mode: &Mode,
        codec: Codec,
        values: Values<'_>,
    ) -> Result<Self, ChainError> {
        let kind = codec.kind();
        let text = pipelines.describe(mode, codec, values)?;
        let bin = gst::parse::bin_from_description_with_name(&text, false, kind.name())
            .map_err(|error| ChainError::Parse(kind, error))?;
        for (name, direction) in
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
        {
            let shape = || ChainError::Shape(kind, "exactly one end must be open on each side");
            let end = open_end(&bin, direction).ok_or_else(shape)?;
            let ghost = gst::GhostPad::builder_with_target(&end).map_err(|_| shape())?;
            bin.add_pad(&ghost.name(name).build()).map_err(|_| shape())?;
        }
        if kind == Kind::Audio {
            concealment::watch(&bin);
            if let Some(encoder) = bin.by_name("encoder") {
                step::keep(&encoder);
            }
        }
        if let (Kind::Video, Some(packets)) =
            (kind, source_pad(&bin, gst::ElementFactoryType::PAYLOADER))
        {
            phase::keep(&bin, &packets);
        }
        let overlay = bin.by_name("overlay").as_ref().and_then(Overlay::new);
        let effort = (kind == Kind::Video).then(|| Effort::of(&bin));
        let chain = Self { codec, bin, overlay, effort };
        if mode.effects && chain.fx().is_none() {
            return Err(ChainError::Shape(kind, "no fxcontrol called fx"));
        }
        precedence::give_way(&chain);
        Ok(chain)
    }

    /// The slot of the effect.
    #[must_use]
    pub fn fx(&self) -> Option<FxControl> {
        self.bin.by_name("fx")?.downcast().ok()
    }

    /// The keeper of the frame rate.
    #[must_use]
    pub fn grid(&self) -> Option<gst::Element> {
        self.bin.by_name("grid")
    }

    /// The source pads of all encoders of pictures, that of a dry picture too.
    #[must_use]
    pub fn encoders(&self) -> Vec<gst::Pad> {
        let encodes = |element: &gst::Element| {
            element.factory().is_some_and(|f| f.has_type(gst::ElementFactoryType::VIDEO_ENCODER))
        };
        let elements = self.bin.iterate_recurse().into_iter().filter_map(Result::ok);
        elements.filter(encodes).filter_map(|element| element.static_pad("src")).collect()
    }

    /// Where the encoded stream leaves the depayloader, in modes that look into packets at all.
    #[must_use]
    pub fn depayloaded(&self) -> Option<gst::Pad> {
        source_pad(&self.bin, gst::ElementFactoryType::DEPAYLOADER)
    }

    /// The run begins at `origin` of the running time: zero of everything that counts or shows it.
    pub fn begin(&self, origin: gst::ClockTime) {
        if let Some(grid) = self.grid() {
            grid.set_property("origin", origin);
        }
        if let Some(overlay) = &self.overlay {
            overlay.begin(origin);
        }
        if let Some(effort) = &self.effort {
            effort.begin(origin);
        }
    }

    /// A new source pad behind the tee called `tee`, where there is one.
    #[must_use]
    pub fn tap(&self, tee: &str) -> Option<gst::Pad> {
        let pad = self.bin.by_name(tee)?.request_pad_simple("src_%u")?;
        let ghost = gst::GhostPad::builder_with_target(&pad).ok()?.name(tee).build();
        // A pad added to a running bin must be active before it is linked.
        ghost.set_active(true).ok()?;
        self.bin.add_pad(&ghost).ok()?;
        Some(ghost.upcast())
    }
}

/// Where the first element of that kind gives its output.
fn source_pad(bin: &gst::Bin, kind: gst::ElementFactoryType) -> Option<gst::Pad> {
    let is_its = |element: &gst::Element| element.factory().is_some_and(|f| f.has_type(kind));
    let mut elements = bin.iterate_recurse().into_iter().filter_map(Result::ok);
    elements.find(is_its)?.static_pad("src")
}

/// The one pad of a direction that nothing is linked to; one for text may stay open (a `textoverlay`
/// has it).
fn open_end(bin: &gst::Bin, direction: gst::PadDirection) -> Option<gst::Pad> {
    let takes_text = |pad: &gst::Pad| {
        let caps = pad.pad_template().map(|template| template.caps().to_owned());
        caps.is_some_and(|caps| {
            caps.iter().all(|caps| caps.name().starts_with("text/")) && !caps.is_any()
        })
    };
    let mut ends = bin
        .children()
        .into_iter()
        .flat_map(|element| element.pads())
        .filter(|pad| pad.direction() == direction && !pad.is_linked() && !takes_text(pad));
    let end = ends.next()?;
    ends.next().is_none().then_some(end)
}

#[cfg(test)]
mod tests;
