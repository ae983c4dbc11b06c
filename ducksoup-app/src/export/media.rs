// SPDX-License-Identifier: MPL-2.0

//! What reading and writing have in common: a pipeline that is taken down however it ends, and its
//! complaints.

use crate::archive::complaint::words;
use gst::prelude::*;

/// How long a pipeline may do nothing at all, in seconds. Ours: decoders and encoders make many
/// frames a second.
pub(crate) const STALLED: u64 = 60;

/// Why a file cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// GStreamer lacks an element, or it refuses what is asked.
    #[error("GStreamer cannot: {0}")]
    Element(String),
    /// An element's complaint.
    #[error("{0}")]
    Failed(String),
    /// Nothing moves any more.
    #[error("nothing moved for {STALLED} s")]
    Stalled,
}

impl From<glib::BoolError> for MediaError {
    fn from(error: glib::BoolError) -> Self {
        Self::Element(error.to_string())
    }
}

/// A pipeline that ends with its owner.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) bus: gst::Bus,
}

impl Running {
    pub(crate) fn new() -> Result<Self, MediaError> {
        let pipeline = gst::Pipeline::new();
        let bus = pipeline.bus().ok_or_else(|| MediaError::Element("no bus".into()))?;
        Ok(Self { pipeline, bus })
    }

    /// Starts it.
    pub(crate) fn play(&self) -> Result<(), MediaError> {
        self.pipeline.set_state(gst::State::Playing).map(drop).map_err(|error| {
            self.complaint().unwrap_or_else(|| MediaError::Failed(error.to_string()))
        })
    }

    /// What went wrong, if anything did.
    pub(crate) fn complaint(&self) -> Option<MediaError> {
        self.bus.pop_filtered(&[gst::MessageType::Error]).map(|message| failed(&message))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What cannot be stopped is left behind.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// An element, with the name of what is missing as the error.
pub(crate) fn element(
    factory: &str,
    properties: &[(&str, &str)],
) -> Result<gst::Element, MediaError> {
    let mut builder = gst::ElementFactory::make(factory);
    for (name, value) in properties {
        builder = builder.property_from_str(name, value);
    }
    Ok(builder.build()?)
}

/// Adds elements and links each to the next.
pub(crate) fn chain(
    pipeline: &gst::Pipeline,
    elements: &[&gst::Element],
) -> Result<(), MediaError> {
    pipeline.add_many(elements)?;
    gst::Element::link_many(elements)?;
    Ok(())
}

/// An element's complaint.
pub(crate) fn failed(message: &gst::Message) -> MediaError {
    MediaError::Failed(words(message))
}
