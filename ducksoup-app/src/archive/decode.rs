// SPDX-License-Identifier: MPL-2.0

//! Reads a recording to its last frame, with the decoders that GStreamer has.

use gst::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long a file may give nothing at all, in seconds. Ours: decoders make hundreds of frames a
/// second.
const STALLED: u64 = 30;

/// What came out of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Pictures.
    pub frames: u64,
    /// Samples of sound for each channel, at 48 kHz.
    pub samples: u64,
}

/// Why a file cannot be read to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// GStreamer lacks an element.
    #[error("GStreamer cannot: {0}")]
    Element(String),
    /// The file is damaged, in an element's words.
    #[error("{0}")]
    Damaged(String),
    /// Nothing comes out any more.
    #[error("nothing came out for {STALLED} s")]
    Stalled,
}

/// What the streaming threads count.
#[derive(Debug, Default)]
struct Counters {
    frames: AtomicU64,
    samples: AtomicU64,
    /// Whether anything came since the last look.
    moved: AtomicBool,
}

/// Takes the pipeline down however this ends.
struct Guard(gst::Pipeline);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Decodes all tracks of a file.
///
/// # Errors
/// The first complaint of a parser or a decoder; a warning counts as one.
pub fn decode(path: &Path) -> Result<Decoded, DecodeError> {
    let element = |error: glib::BoolError| DecodeError::Element(error.to_string());
    let pipeline = Guard(gst::Pipeline::new());
    let source = gst::ElementFactory::make("filesrc").property("location", path).build();
    let decoder = gst::ElementFactory::make("decodebin").build();
    let (source, decoder) = (source.map_err(element)?, decoder.map_err(element)?);
    pipeline.0.add_many([&source, &decoder]).map_err(element)?;
    source.link(&decoder).map_err(element)?;
    let counters = Arc::new(Counters::default());
    let (counted, weak) = (counters.clone(), pipeline.0.downgrade());
    decoder.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade() {
            count(&pipeline, pad, &counted);
        }
    });
    let bus = pipeline.0.bus().ok_or_else(|| DecodeError::Element("no bus".into()))?;
    pipeline.0.set_state(gst::State::Playing).map_err(|error| {
        let told = bus.pop_filtered(&[gst::MessageType::Error]).map(|message| words(&message));
        DecodeError::Damaged(told.unwrap_or_else(|| error.to_string()))
    })?;
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    loop {
        match bus.timed_pop_filtered(gst::ClockTime::from_seconds(STALLED), &kinds) {
            Some(message) if message.type_() == gst::MessageType::Eos => break,
            Some(message) => return Err(DecodeError::Damaged(words(&message))),
            None if counters.moved.swap(false, Ordering::Relaxed) => {}
            None => return Err(DecodeError::Stalled),
        }
    }
    Ok(Decoded {
        frames: counters.frames.load(Ordering::Relaxed),
        samples: counters.samples.load(Ordering::Relaxed),
    })
}

/// Ends a decoded track in a sink that counts what comes.
fn count(pipeline: &gst::Pipeline, pad: &gst::Pad, counters: &Arc<Counters>) {
    let sink = gst::ElementFactory::make("fakesink").property("sync", false).build();
    let Ok(sink) = sink else { return };
    let linked = pipeline.add(&sink).is_ok()
        && sink.sync_state_with_parent().is_ok()
        && sink.static_pad("sink").is_some_and(|sink| pad.link(&sink).is_ok());
    if !linked {
        return;
    }
    let counters = counters.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        counters.moved.store(true, Ordering::Relaxed);
        let caps = pad.current_caps();
        let audio = caps.and_then(|caps| gst_audio::AudioInfo::from_caps(&caps).ok());
        match (info.buffer(), audio) {
            (Some(buffer), Some(audio)) => {
                let here = buffer.size() as u64 / u64::from(audio.bpf().max(1));
                let at_48_khz = here * 48_000 / u64::from(audio.rate().max(1));
                counters.samples.fetch_add(at_48_khz, Ordering::Relaxed);
            }
            (Some(_), None) => {
                counters.frames.fetch_add(1, Ordering::Relaxed);
            }
            (None, _) => {}
        }
        gst::PadProbeReturn::Ok
    });
}

/// An element's complaint in one line.
fn words(message: &gst::Message) -> String {
    let source = message.src().map(|source| source.name().to_string()).unwrap_or_default();
    let (text, detail) = match message.view() {
        gst::MessageView::Error(error) => (error.error().to_string(), error.debug()),
        gst::MessageView::Warning(warning) => (warning.error().to_string(), warning.debug()),
        _ => (String::new(), None),
    };
    let detail = detail.as_deref().and_then(|detail| detail.lines().last()).unwrap_or_default();
    format!("{source}: {text} {detail}").trim().to_owned()
}
