// SPDX-License-Identifier: MPL-2.0

//! What participants send: encoded once, no two packets alike, so that each can be found again in a
//! recording.

use super::files::pictures_of;
use gst::prelude::*;
use gst_app::AppSink;
use std::collections::HashMap;
use std::sync::OnceLock;
use std::time::Duration;

/// How long they can send, in seconds: longer than any conversation here.
const SECONDS: u32 = 40;
/// Pictures a second.
const FRAMERATE: u32 = 15;
/// A picture has another size after so many seconds.
const RESIZED: u32 = 2;
/// The sizes, one after the other.
const SIZES: [(u32, u32); 3] = [(320, 240), (160, 120), (240, 180)];

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    Opus,
    H264,
    Vp8,
}

/// Encoded media.
pub(crate) struct Media {
    pub(crate) codec: Codec,
    pub(crate) caps: gst::Caps,
    pub(crate) period: Duration,
    pub(crate) frames: Vec<Frame>,
    /// Which one of them has this content.
    places: HashMap<Vec<u8>, usize>,
}

pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: bool,
}

impl Media {
    pub(crate) fn of(codec: Codec) -> &'static Self {
        static ALL: [OnceLock<Media>; 3] = [OnceLock::new(), OnceLock::new(), OnceLock::new()];
        let place = match codec {
            Codec::Opus => 0,
            Codec::H264 => 1,
            Codec::Vp8 => 2,
        };
        ALL[place].get_or_init(|| Self::encode(codec))
    }

    /// Which frame that is, as it stands in a recording.
    pub(crate) fn find(&self, recorded: &[u8]) -> Option<usize> {
        self.places.get(&content(self.codec, recorded)).copied()
    }

    fn encode(codec: Codec) -> Self {
        let (caps, frames) = match codec {
            Codec::Opus => encoded(&format!(
                "audiotestsrc wave=pink-noise num-buffers={} samplesperbuffer=960 \
                 ! audio/x-raw,rate=48000,channels=1 ! opusenc bitrate=48000 frame-size=20",
                SECONDS * 50
            )),
            Codec::H264 | Codec::Vp8 => pictures(codec),
        };
        let rate = if codec == Codec::Opus { 50 } else { FRAMERATE };
        let places: HashMap<_, _> = frames
            .iter()
            .enumerate()
            .map(|(place, frame)| (content(codec, &frame.bytes), place))
            .collect();
        assert_eq!(places.len(), frames.len(), "{codec:?}: every one is another");
        Self { codec, caps, period: Duration::from_secs(1) / rate, frames, places }
    }
}

/// Pictures that change their size, with a keyframe every second.
fn pictures(codec: Codec) -> (gst::Caps, Vec<Frame>) {
    let encoder = match codec {
        // Browsers send one slice a picture, and no delimiters.
        Codec::H264 => {
            "x264enc tune=zerolatency sliced-threads=false threads=1 speed-preset=ultrafast \
             aud=false key-int-max=15 bitrate=200 \
             ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
        }
        _ => {
            "vp8enc deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist=15 \
             target-bitrate=200000"
        }
    };
    let (mut caps, mut frames) = (None, Vec::new());
    for (part, (width, height)) in
        SIZES.iter().cycle().take((SECONDS / RESIZED) as usize).enumerate()
    {
        // Rings that move, each part at a pace of its own.
        let (part_caps, part) = encoded(&format!(
            "videotestsrc num-buffers={} pattern=zone-plate kx2=20 ky2=20 k0={} kt={} \
             ! video/x-raw,format=I420,width={width},height={height},framerate={FRAMERATE}/1 \
             ! {encoder}",
            RESIZED * FRAMERATE,
            part * 7,
            part + 1,
        ));
        caps.get_or_insert(part_caps);
        frames.extend(part);
    }
    let mut caps = caps.unwrap();
    // The stream itself says how large it is.
    let structure = caps.make_mut().structure_mut(0).unwrap();
    structure.remove_fields(["width", "height"]);
    (caps, frames)
}

/// What comes out of an encoder.
fn encoded(launch: &str) -> (gst::Caps, Vec<Frame>) {
    let launch = format!("{launch} ! appsink name=sink sync=false");
    let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut caps, mut frames) = (None, Vec::new());
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(60)) {
        caps.get_or_insert(sample.caps_owned().unwrap());
        let buffer = sample.buffer().unwrap();
        let bytes = buffer.map_readable().unwrap();
        let is_h264 = launch.contains("x264enc");
        frames.push(Frame {
            bytes: if is_h264 { without_sei(&bytes) } else { bytes.to_vec() },
            key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        });
    }
    pipeline.set_state(gst::State::Null).unwrap();
    (caps.unwrap(), frames)
}

/// What of a frame is the same on its way and in a file: of H.264 its pictures, without what says
/// how they are framed.
fn content(codec: Codec, frame: &[u8]) -> Vec<u8> {
    if codec == Codec::H264 { pictures_of(frame) } else { frame.to_vec() }
}

/// Browsers send no SEI, and x264 writes its name there.
fn without_sei(frame: &[u8]) -> Vec<u8> {
    let units = super::files::units(frame);
    let kept = units.into_iter().filter(|unit| unit[0] & 0x1f != 6);
    kept.flat_map(|unit| [&[0, 0, 0, 1], unit].concat()).collect()
}
