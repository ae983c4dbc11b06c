// SPDX-License-Identifier: MPL-2.0

//! Reads a recording to its last frame, all of its tracks.

use super::complaint::words;
use super::manifest::Gap;
use super::reader::{self, ReadError};
use gst::glib;
use gst::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How long a file may give nothing at all, in seconds. Ours: decoders make hundreds of frames a
/// second.
const STALLED: u64 = 30;

/// Pictures further apart than that are a gap, in nanoseconds; the recorder's own bound
/// (`experimentrecorder/timeline.rs`).
const PICTURE_GAP: u64 = 500_000_000;

/// Sound that is missing for longer than that is a gap, in nanoseconds: the recorder's own bound.
const SOUND_GAP: u64 = 10_000_000;

/// A list of gaps is no longer than that; the recorder's own bound.
const MOST_GAPS: usize = 1_000;

/// What came out of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Pictures.
    pub frames: u64,
    /// Samples of sound for each channel, at 48 kHz.
    pub samples: u64,
    /// When they were.
    pub spans: Vec<Span>,
}

/// Pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // their names say it
pub enum Kind {
    Audio,
    Video,
}

/// The times of one track, in nanoseconds from the file's zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Of what.
    pub kind: Kind,
    /// Where its first picture or sample is.
    pub first: u64,
    /// Where its last one ends.
    pub last: u64,
    /// Pictures; samples of sound at 48 kHz.
    pub count: u64,
    /// How often something is missing in between.
    pub gap_count: u64,
    /// The first thousand of these.
    pub gaps: Vec<Gap>,
}

impl Span {
    fn new(kind: Kind, first: u64) -> Self {
        Self { kind, first, last: first, count: 0, gap_count: 0, gaps: Vec::new() }
    }

    /// Something begins at `at`, lasts for so long and counts as so many.
    fn add(&mut self, at: u64, duration: u64, count: u64) {
        let most = match self.kind {
            Kind::Audio => SOUND_GAP,
            Kind::Video => PICTURE_GAP,
        };
        if at.saturating_sub(self.last) > most {
            self.gap_count += 1;
            if self.gaps.len() < MOST_GAPS {
                self.gaps.push(Gap { from: self.last, to: at });
            }
        }
        self.count += count;
        self.last = self.last.max(at.saturating_add(duration));
    }
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
    /// It is no recording of ours.
    #[error("{0}")]
    Foreign(String),
}

/// What the streaming threads count.
#[derive(Debug, Default)]
struct Counters {
    /// By the number of the track, in the order in which the demuxer gave them.
    spans: Mutex<Vec<Option<Span>>>,
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
    let demuxer = reader::demuxer(path).map_err(|error| DecodeError::Foreign(error.to_string()))?;
    let pipeline = Guard(gst::Pipeline::new());
    let source = gst::ElementFactory::make("filesrc").property("location", path).build();
    let demuxer = gst::ElementFactory::make(demuxer).build();
    let (source, demuxer) = (source.map_err(element)?, demuxer.map_err(element)?);
    pipeline.0.add_many([&source, &demuxer]).map_err(element)?;
    source.link(&demuxer).map_err(element)?;
    let counters = Arc::new(Counters::default());
    let (counted, weak) = (counters.clone(), pipeline.0.downgrade());
    demuxer.connect_pad_added(move |demuxer, pad| {
        if let Some(pipeline) = weak.upgrade()
            && let Err(why) = count(&pipeline, pad, &counted)
        {
            gst::element_error!(demuxer, gst::CoreError::MissingPlugin, ["{why}"]);
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
    let spans = std::mem::take(&mut *lock(&counters.spans));
    let spans: Vec<Span> = spans.into_iter().flatten().collect();
    let sum = |kind| spans.iter().filter(|span| span.kind == kind).map(|span| span.count).sum();
    Ok(Decoded { frames: sum(Kind::Video), samples: sum(Kind::Audio), spans })
}

/// What is behind a lock that no panic can leave broken.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decodes a track into a sink that counts what comes.
fn count(
    pipeline: &gst::Pipeline,
    track: &gst::Pad,
    counters: &Arc<Counters>,
) -> Result<(), ReadError> {
    let element = |error: glib::BoolError| ReadError::Element(error.to_string());
    // One thread serves all tracks: a sink that waited for the others' first buffers would wait for ever.
    let sink = gst::ElementFactory::make("fakesink").property("async", false);
    let sink = sink.property("sync", false).build().map_err(element)?;
    let decoder = reader::decoder(track)?;
    let end = |pad: Option<gst::Pad>| pad.ok_or_else(|| ReadError::Element("no pad".into()));
    pipeline.add(&sink).map_err(element)?;
    let mut entrance = end(sink.static_pad("sink"))?;
    if let Some(decoder) = decoder {
        pipeline.add(&decoder).map_err(element)?;
        decoder.link(&sink).map_err(element)?;
        entrance = end(decoder.static_pad("sink"))?;
        watch(&end(decoder.static_pad("src"))?, counters);
        sink.sync_state_with_parent().map_err(element)?;
        decoder.sync_state_with_parent().map_err(element)?;
    } else {
        sink.sync_state_with_parent().map_err(element)?;
    }
    track.link(&entrance).map_err(|error| ReadError::Element(error.to_string()))?;
    Ok(())
}

/// Counts what comes out of a decoder.
fn watch(pad: &gst::Pad, counters: &Arc<Counters>) {
    let counters = counters.clone();
    let number = {
        let mut spans = lock(&counters.spans);
        spans.push(None);
        spans.len() - 1
    };
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        counters.moved.store(true, Ordering::Relaxed);
        let Some(buffer) = info.buffer() else {
            return gst::PadProbeReturn::Ok;
        };
        let caps = pad.current_caps();
        let audio = caps.and_then(|caps| gst_audio::AudioInfo::from_caps(&caps).ok());
        let (kind, count) = match audio {
            None => (Kind::Video, 1),
            Some(audio) => {
                let here = buffer.size() as u64 / u64::from(audio.bpf().max(1));
                (Kind::Audio, here * 48_000 / u64::from(audio.rate().max(1)))
            }
        };
        if let Some(span) = lock(&counters.spans).get_mut(number) {
            let before = span.as_ref().map_or(0, |span| span.last);
            let at = buffer.pts().map_or(before, gst::ClockTime::nseconds);
            let duration = buffer.duration().map_or(0, gst::ClockTime::nseconds);
            span.get_or_insert_with(|| Span::new(kind, at)).add(at, duration, count);
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_tells_where_something_is_missing() {
        const MS: u64 = 1_000_000;
        let mut sound = Span::new(Kind::Audio, 2 * MS);
        for at in [2, 22, 45, 100] {
            sound.add(at * MS, 20 * MS, 960);
        }
        assert_eq!((sound.first, sound.last, sound.count), (2 * MS, 120 * MS, 4 * 960));
        assert_eq!(sound.gaps, [Gap { from: 65 * MS, to: 100 * MS }]);
        let mut pictures = Span::new(Kind::Video, 0);
        for at in [0, 66, 500, 2000] {
            pictures.add(at * MS, 33 * MS, 1);
        }
        assert_eq!(pictures.gaps, [Gap { from: 533 * MS, to: 2000 * MS }]);
        assert_eq!(pictures.gap_count, 1);
    }
}
