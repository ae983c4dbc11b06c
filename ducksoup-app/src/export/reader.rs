// SPDX-License-Identifier: MPL-2.0

//! Reads one track of a recording to its end, decoded. Each track has a pipeline of its own, so that
//! none waits for another one that nobody asks yet. Decoders are named, not found: the same file
//! gives the same pictures on every machine.

use super::canvas::Canvas;
use super::media::{MediaError, Running, STALLED, chain, element, filter};
use super::plan::{Codec, Container, Source};
use super::sound;
use gst::prelude::*;
use std::path::Path;
use std::time::Duration;

/// Between two looks at whether a demuxer or a decoder complains.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// How many decoded buffers may wait.
const WAITING: u32 = 8;

/// A track that is being read.
#[derive(Debug)]
pub(crate) struct Reader {
    running: Running,
    sink: gst_app::AppSink,
}

/// A decoded buffer and its time in its file, in ns.
pub(crate) type Unit = (i64, gst::Buffer);

impl Reader {
    /// Pictures, scaled to a canvas with borders where their shape is another.
    pub(crate) fn video(
        folder: &Path,
        source: &Source,
        canvas: &Canvas,
    ) -> Result<Self, MediaError> {
        let decoder = match source.codec {
            // Frames that wait for each other's threads are no loss here.
            Codec::H264 => vec![element("h264parse", &[])?, element("avdec_h264", &[])?],
            _ => vec![element("vp8dec", &[])?],
        };
        let scale = element("videoscale", &[("method", "lanczos"), ("add-borders", "true")])?;
        let shape = [element("videoconvert", &[("dither", "none")])?, scale];
        let filter = filter(&canvas.caps_at_any_rate()?)?;
        let elements: Vec<_> = decoder.into_iter().chain(shape).chain([filter]).collect();
        Self::open(folder, source, &elements)
    }

    /// Sound, 48 kHz, mono, 16 bits.
    pub(crate) fn audio(folder: &Path, source: &Source) -> Result<Self, MediaError> {
        let caps = sound_caps(1);
        // Dither is noise, and another one each time.
        let convert = element("audioconvert", &[("dithering", "none")])?;
        let resample = element("audioresample", &[])?;
        Self::open(folder, source, &[element("opusdec", &[])?, convert, resample, filter(&caps)?])
    }

    fn open(folder: &Path, source: &Source, elements: &[gst::Element]) -> Result<Self, MediaError> {
        let running = Running::new()?;
        let location = folder.join(&source.name);
        let file = gst::ElementFactory::make("filesrc").property("location", &location).build()?;
        let demuxer = element(
            match source.container {
                Container::Mp4 => "qtdemux",
                Container::Mkv => "matroskademux",
                Container::Ogg => "oggdemux",
            },
            &[],
        )?;
        let sink = gst_app::AppSink::builder().sync(false).max_buffers(WAITING).build();
        chain(&running.pipeline, &[&file, &demuxer])?;
        let rest: Vec<_> = elements.iter().chain([sink.upcast_ref()]).collect();
        chain(&running.pipeline, &rest)?;
        let media = match source.codec {
            Codec::H264 => "video/x-h264",
            Codec::Vp8 => "video/x-vp8",
            Codec::Opus => "audio/x-opus",
        };
        let first = elements.first().and_then(|element| element.static_pad("sink"));
        let first = first.ok_or_else(|| MediaError::Element("a decoder without a pad".into()))?;
        demuxer.connect_pad_added(move |_, pad| {
            let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
            let ours = caps.structure(0).is_some_and(|structure| structure.name() == media);
            if ours && !first.is_linked() {
                // A pad that cannot be linked becomes an error of the demuxer.
                let _ = pad.link(&first);
            }
        });
        running.play()?;
        Ok(Self { running, sink })
    }

    /// The next one; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Unit>, MediaError> {
        let mut waited = Duration::ZERO;
        loop {
            let sample = self.sink.try_pull_sample(LOOK);
            if let Some(error) = self.running.complaint() {
                return Err(error);
            }
            let Some(sample) = sample else {
                if self.sink.is_eos() {
                    return Ok(None);
                }
                // A file that nothing can be read of gives neither samples nor an end.
                waited += Duration::from(LOOK);
                if waited >= Duration::from_secs(STALLED) {
                    return Err(MediaError::Stalled);
                }
                continue;
            };
            let segment = sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>());
            let time = sample
                .buffer()
                .and_then(|buffer| buffer.pts())
                .and_then(|pts| segment?.to_stream_time(pts));
            // What has no time cannot be placed.
            if let (Some(time), Some(buffer)) = (time, sample.buffer_owned()) {
                return Ok(Some((i64::try_from(time.nseconds()).unwrap_or(i64::MAX), buffer)));
            }
        }
    }
}

/// Plain sound of so many channels.
pub(crate) fn sound_caps(channels: i32) -> gst::Caps {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", i32::try_from(sound::RATE).unwrap_or(i32::MAX))
        .field("channels", channels);
    if channels == 2 {
        // Front left and front right.
        caps.field("channel-mask", gst::Bitmask::new(0b11)).build()
    } else {
        caps.build()
    }
}
