// SPDX-License-Identifier: MPL-2.0

//! The [`super::scene`], encoded once, kept in memory and played again and again: a
//! participant costs no encoding.

use super::scene::{self, RATE, SECONDS};
use crate::counts::Format;
use anyhow::Context as _;
use gst::prelude::*;
use gst_app::{AppSink, AppSrc, AppSrcCallbacks};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Opus packets a second: 20 ms each, as browsers send them.
const PACKETS: u32 = 50;
/// Longest wait for a piece while encoding.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(30);

/// What a camera gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Camera {
    /// Pixels.
    pub(crate) width: u32,
    /// Pixels.
    pub(crate) height: u32,
    /// Pictures a second.
    pub(crate) framerate: u32,
    /// What they are encoded as.
    pub(crate) format: Format,
    /// Bits a second.
    pub(crate) bitrate: u32,
}

/// A period of encoded media.
#[derive(Debug)]
pub(crate) struct Clip {
    /// What the pieces are.
    pub(crate) caps: gst::Caps,
    /// One picture, or one packet of sound, each; the first one can be decoded alone.
    pub(crate) pieces: Vec<gst::Buffer>,
    rate: u32,
}

/// Both media of a participant.
#[derive(Debug, Clone)]
pub(crate) struct Media {
    /// Opus.
    pub(crate) sound: Arc<Clip>,
    /// As the camera says.
    pub(crate) pictures: Arc<Clip>,
}

impl Media {
    /// Encodes them.
    ///
    /// # Errors
    /// When an encoder is missing, or fails.
    pub(crate) fn new(camera: Camera) -> anyhow::Result<Self> {
        Ok(Self { sound: Arc::new(sound()?), pictures: Arc::new(pictures(camera)?) })
    }
}

fn sound() -> anyhow::Result<Clip> {
    let raw = "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved";
    let launch = format!(
        "appsrc name=source caps={raw} format=time \
         ! opusenc bitrate=64000 audio-type=voice frame-size=20 ! appsink name=sink sync=false"
    );
    let step = RATE / PACKETS;
    let packets = (0..SECONDS * PACKETS).map(|packet| {
        let samples = (packet * step..(packet + 1) * step).map(scene::sample);
        samples.flat_map(|value| ((value * 32_767.0) as i16).to_le_bytes()).collect()
    });
    encode(&launch, PACKETS, packets)
}

fn pictures(camera: Camera) -> anyhow::Result<Clip> {
    let Camera { width, height, framerate, format, bitrate } = camera;
    // One keyframe a period and no more: browsers make theirs when asked.
    let encoder = match format {
        Format::H264 => format!(
            "x264enc tune=zerolatency speed-preset=veryfast threads=1 aud=false key-int-max=10000 \
             bitrate={} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
            bitrate / 1000
        ),
        Format::Vp8 => format!(
            "vp8enc deadline=1 cpu-used=4 threads=1 lag-in-frames=0 end-usage=cbr \
             keyframe-max-dist=10000 target-bitrate={bitrate}"
        ),
    };
    let raw =
        format!("video/x-raw,format=I420,width={width},height={height},framerate={framerate}/1");
    let launch = format!(
        "appsrc name=source caps={raw} format=time ! {encoder} ! appsink name=sink sync=false"
    );
    let count = SECONDS * framerate;
    let planes = (0..count).map(|number| {
        let phase = f64::from(number) / f64::from(count);
        scene::picture(width as usize, height as usize, phase, number as usize)
    });
    encode(&launch, framerate, planes)
}

/// Runs raw pieces through an encoder that gives one piece for each.
fn encode(launch: &str, rate: u32, raw: impl Iterator<Item = Vec<u8>>) -> anyhow::Result<Clip> {
    let pipeline = gst::parse::launch(launch)?.downcast::<gst::Pipeline>();
    let running = crate::counts::Running(pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?);
    let part = |name: &str| running.0.by_name(name).with_context(|| format!("no {name}"));
    let source = part("source")?.downcast::<AppSrc>().map_err(|_| anyhow::anyhow!("no appsrc"))?;
    let sink = part("sink")?.downcast::<AppSink>().map_err(|_| anyhow::anyhow!("no appsink"))?;
    source.set_max_bytes(0);
    running.0.set_state(gst::State::Playing)?;
    let step = gst::ClockTime::SECOND / u64::from(rate);
    let mut count = 0;
    for bytes in raw {
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let fresh = buffer.get_mut().context("a buffer of our own")?;
        fresh.set_pts(gst::ClockTime::SECOND * count / u64::from(rate));
        fresh.set_duration(step);
        source.push_buffer(buffer)?;
        count += 1;
    }
    source.end_of_stream()?;
    let (mut caps, mut pieces) = (None, Vec::new());
    while pieces.len() < usize::try_from(count)? {
        let sample = sink.try_pull_sample(LIMIT).context("the encoder gives too little")?;
        caps = caps.or_else(|| sample.caps_owned());
        let mut piece = sample.buffer_owned().context("a sample without media")?;
        let fresh = piece.make_mut();
        fresh.set_duration(step);
        fresh.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
        pieces.push(piece);
    }
    Ok(Clip { caps: caps.context("no caps")?, pieces, rate })
}

impl Clip {
    /// Gives piece after piece, each when the one before it was taken; whoever asks for a keyframe
    /// gets the period from its beginning. What paces them stands behind the source.
    pub(crate) fn play(self: &Arc<Self>, source: &AppSrc) {
        source.set_caps(Some(&self.caps));
        source.set_format(gst::Format::Time);
        source.set_is_live(true);
        source.set_max_buffers(1);
        let asked = Arc::new(AtomicBool::new(false));
        if let Some(pad) = source.static_pad("src") {
            let asked = Arc::clone(&asked);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                let is_request = |event| gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok();
                if info.event().is_some_and(|event| is_request(event)) {
                    asked.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        let clip = Arc::clone(self);
        let (mut place, mut slot) = (0, 0);
        let feed = move |source: &AppSrc, _| {
            if asked.swap(false, Ordering::Relaxed) {
                place = 0;
            }
            // Its own timestamps, the shared bytes.
            let mut piece = clip.pieces[place].copy();
            if let Some(piece) = piece.get_mut() {
                let at = gst::ClockTime::SECOND * slot / u64::from(clip.rate);
                piece.set_pts(at);
                piece.set_dts(at);
            }
            (place, slot) = ((place + 1) % clip.pieces.len(), slot + 1);
            // Who takes no more says why on the bus.
            let _ = source.push_buffer(piece);
        };
        source.set_callbacks(AppSrcCallbacks::builder().need_data(feed).build());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_period_has_all_its_pieces_and_one_keyframe() {
        gst::init().unwrap();
        for format in [Format::H264, Format::Vp8] {
            let camera =
                Camera { width: 160, height: 120, framerate: 25, format, bitrate: 200_000 };
            let media = Media::new(camera).unwrap();
            assert_eq!(media.sound.pieces.len(), 200);
            let is_key =
                |piece: &&gst::Buffer| !piece.flags().contains(gst::BufferFlags::DELTA_UNIT);
            let pieces = &media.pictures.pieces;
            assert_eq!(
                (pieces.len(), pieces.iter().filter(is_key).count()),
                (100, 1),
                "{format:?}"
            );
            let rate = pieces.iter().map(|piece| piece.size()).sum::<usize>() * 8 / 4;
            assert!((100_000..300_000).contains(&rate), "{format:?}: {rate} bit/s");
        }
    }
}
