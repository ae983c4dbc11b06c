// SPDX-License-Identifier: MPL-2.0

//! How recordings are taken apart, and one track of them, decoded piece by piece. Decoders are named, not
//! found: the same file gives the same pictures on every machine.

use super::complaint::words;
use crate::interaction::sdp::Codec;
use gst::prelude::*;
use gst_app::AppSink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a file may give nothing at all. Ours: decoders make hundreds of pictures a second.
const STALLED: Duration = Duration::from_secs(60);
/// How often is looked whether it has failed.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// Decoded pieces that may wait. Ours: enough for two threads to work side by side.
const AHEAD: u32 = 8;

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    /// It has an ending that no recording has.
    #[error("its name does not end with .mp4, .mkv or .ogg")]
    Container,
    /// It is not there, or may not be read.
    #[error("{0}")]
    File(String),
    /// Elements are missing.
    #[error("GStreamer cannot read it: {0}")]
    Element(String),
    /// It is damaged, in an element's words.
    #[error("cannot be decoded: {0}")]
    Damaged(String),
    /// Nothing comes out any more.
    #[error("nothing came out for {} s", STALLED.as_secs())]
    Stalled,
}

/// A decoded piece: a picture, or some sound.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Where it begins, in ns from the file's zero.
    pub(crate) time: u64,
    /// What it is.
    pub(crate) caps: gst::Caps,
    /// It.
    pub(crate) buffer: gst::Buffer,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Reader {
    pipeline: gst::Pipeline,
    sink: AppSink,
}

impl Reader {
    /// Opens a file; `decode` is what makes raw media of its track of this codec, as launch text of ours.
    ///
    /// # Errors
    /// When it is not there, or something is missing.
    pub(crate) fn open(path: &Path, codec: Codec, decode: &str) -> Result<Self, ReadError> {
        let demux = demuxer(path)?;
        std::fs::File::open(path).map_err(|error| ReadError::File(error.to_string()))?;
        let only = match codec {
            Codec::H264 => "video/x-h264 ! ",
            Codec::Opus | Codec::Vp8 => "",
        };
        let text = format!(
            "filesrc name=file ! {demux} name=demux ! {only}{}{decode} \
             ! appsink name=out sync=false max-buffers={AHEAD}",
            parse(codec)
        );
        let element = |why: &str| ReadError::Element(why.to_owned());
        let pipeline = gst::parse::launch(&text).map_err(|error| element(error.message()))?;
        let pipeline = pipeline.downcast::<gst::Pipeline>().map_err(|_| element("no pipeline"))?;
        let file = pipeline.by_name("file").ok_or_else(|| element("no source"))?;
        file.set_property("location", path);
        let demux = pipeline.by_name("demux").ok_or_else(|| element("no demuxer"))?;
        demux.connect_pad_added(|_, pad| keep_all(pad));
        hold(pipeline.upcast_ref());
        let sink = pipeline.by_name("out").and_then(|sink| sink.downcast::<AppSink>().ok());
        let sink = sink.ok_or_else(|| element("no end"))?;
        let reader = Self { pipeline, sink };
        // What goes wrong is told by the bus.
        let _ = reader.pipeline.set_state(gst::State::Playing);
        Ok(reader)
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// The first error of a parser or a decoder.
    pub(crate) fn next(&self) -> Result<Option<Piece>, ReadError> {
        let until = Instant::now() + STALLED;
        loop {
            let Some(sample) = self.sink.try_pull_sample(LOOK) else {
                if let Some(error) = self.complaint() {
                    return Err(error);
                }
                if self.sink.is_eos() {
                    return Ok(None);
                }
                if Instant::now() > until {
                    return Err(ReadError::Stalled);
                }
                continue;
            };
            let buffer = sample.buffer_owned();
            let (Some(buffer), Some(caps)) = (buffer, sample.caps_owned()) else { continue };
            // Our recordings have no edit lists, so this is the time in the file. Neither running nor
            // stream time is: matroskademux lets both begin with the first piece.
            if let Some(time) = buffer.pts() {
                return Ok(Some(Piece { time: time.nseconds(), caps, buffer }));
            }
        }
    }

    fn complaint(&self) -> Option<ReadError> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        Some(ReadError::Damaged(words(&message)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// The element that takes a file of ours apart, by its name.
pub(crate) fn demuxer(path: &Path) -> Result<&'static str, ReadError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("mp4") => Ok("qtdemux"),
        Some("mkv") => Ok("matroskademux"),
        Some("ogg") => Ok("oggdemux"),
        _ => Err(ReadError::Container),
    }
}

/// What comes between a demuxer and a decoder, as launch text.
fn parse(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "capssetter name=first join=false replace=true ! h264parse ! ",
        Codec::Opus | Codec::Vp8 => "",
    }
}

/// What decodes the track that comes out of a demuxer's new pad; none where it is nothing that we record.
///
/// # Errors
/// When elements are missing.
pub(crate) fn decoder(pad: &gst::Pad) -> Result<Option<gst::Bin>, ReadError> {
    keep_all(pad);
    let caps = pad.current_caps();
    let name = caps.as_ref().and_then(|caps| caps.structure(0)).map(|caps| caps.name().as_str());
    let (codec, decode) = match name {
        // Rendering into GStreamer's buffers tears pictures around a change of size (1.22).
        Some("video/x-h264") => (Codec::H264, "avdec_h264 direct-rendering=false"),
        Some("video/x-vp8") => (Codec::Vp8, "vp8dec"),
        Some("audio/x-opus") => (Codec::Opus, "opusdec"),
        _ => return Ok(None),
    };
    let text = format!("{}{decode}", parse(codec));
    let bin = gst::parse::bin_from_description(&text, true)
        .map_err(|error| ReadError::Element(error.message().to_owned()))?;
    hold(&bin);
    Ok(Some(bin))
}

/// Nothing of a recording lies outside of it. qtdemux lets the segment begin with the first fragment, and what
/// another track has from before that (a picture came first, late) would be cut off.
fn keep_all(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && event.type_() == gst::EventType::Segment
        {
            let whole = gst::FormattedSegment::<gst::ClockTime>::new();
            *event = gst::event::Segment::builder(&whole).seqnum(event.seqnum()).build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets the `capssetter` in there, if there is one, hold the first caps that come to it. qtdemux tells new ones whenever a fragment has
/// another frame rate, with the parameter sets of the file's beginning: after a change of size, which H.264
/// says in its own stream, nothing could be decoded any more before the next keyframe.
fn hold(bin: &gst::Bin) {
    let Some(setter) = bin.by_name("first") else { return };
    let Some(sink) = setter.static_pad("sink") else { return };
    let (setter, known) = (setter.downgrade(), AtomicBool::new(false));
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Caps(caps)) = info.event().map(|event| event.view())
            && let Some(setter) = setter.upgrade()
            && !known.swap(true, Ordering::Relaxed)
        {
            setter.set_property("caps", caps.caps_owned());
        }
        gst::PadProbeReturn::Ok
    });
}
