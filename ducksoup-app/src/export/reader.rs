// SPDX-License-Identifier: MPL-2.0

//! A track of a recording as it is exported: pictures on a canvas, plain sound. Each track is read by
//! itself, so that none waits for another one that nobody asks yet.

use super::canvas::Canvas;
use super::media::MediaError;
use super::plan::{Codec, Source};
use super::sound;
use crate::archive::reader::{self, ReadError};
use crate::interaction::sdp;
use std::path::Path;

/// A track that is being read.
#[derive(Debug)]
pub(crate) struct Reader(reader::Reader);

/// A decoded buffer and its time in its file, in ns.
pub(crate) type Unit = (i64, gst::Buffer);

impl Reader {
    /// Pictures, scaled to a canvas with borders where their shape is another.
    pub(crate) fn video(
        folder: &Path,
        source: &Source,
        canvas: &Canvas,
    ) -> Result<Self, MediaError> {
        // Frames that wait for each other's threads are no loss here. Rendering into GStreamer's
        // buffers tears pictures around a change of size (1.22).
        let decoder = match source.codec {
            Codec::H264 => "avdec_h264 direct-rendering=false",
            Codec::Vp8 | Codec::Opus => "vp8dec",
        };
        let caps = canvas.caps_at_any_rate()?;
        let decode = format!(
            "{decoder} ! videoconvert dither=none ! videoscale method=lanczos add-borders=true ! {caps}"
        );
        Self::open(folder, source, &decode)
    }

    /// Sound, 48 kHz, mono, 16 bits.
    pub(crate) fn audio(folder: &Path, source: &Source) -> Result<Self, MediaError> {
        // Dither is noise, and another one each time.
        let decode =
            format!("opusdec ! audioconvert dithering=none ! audioresample ! {}", sound_caps(1));
        Self::open(folder, source, &decode)
    }

    fn open(folder: &Path, source: &Source, decode: &str) -> Result<Self, MediaError> {
        let codec = match source.codec {
            Codec::H264 => sdp::Codec::H264,
            Codec::Vp8 => sdp::Codec::Vp8,
            Codec::Opus => sdp::Codec::Opus,
        };
        Ok(Self(reader::Reader::open(&folder.join(&source.name), codec, decode)?))
    }

    /// The next one; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Unit>, MediaError> {
        let piece = self.0.next()?;
        Ok(piece.map(|piece| (i64::try_from(piece.time).unwrap_or(i64::MAX), piece.buffer)))
    }
}

impl From<ReadError> for MediaError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Element(why) => Self::Element(why),
            ReadError::Stalled => Self::Stalled,
            other => Self::Failed(other.to_string()),
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
