// SPDX-License-Identifier: MPL-2.0

//! The media that all participants send: two seconds, encoded once, kept in memory and played
//! again and again, so that a participant costs no encoding.

use super::args::{Format, Picture};
use super::nal::without_sei;
use super::reel::{Cursor, Reel};
use gst::prelude::*;
use gst_app::{AppSink, AppSrc, AppSrcCallbacks};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Length of the picture clip; ours: it moves visibly and costs 200 kB.
const SECONDS: u32 = 2;
/// Bits a second of the picture: the server's own default (docs/protocol.md).
const VIDEO_BITRATE: u32 = 800_000;
/// Bits a second of the sound: the server's own default.
const AUDIO_BITRATE: u32 = 64_000;
/// Opus packets a second: 20 ms each, as browsers send them.
const AUDIO_RATE: u32 = 50;
/// Packets that an Opus encoder needs to get going (its look-ahead is 6.5 ms); they are left out.
const AUDIO_LEAD: u32 = 2;
/// Longest wait for a frame while encoding. Generous: the machine may be busy.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(20);

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClipError {
    /// Something is not installed, or does not understand its settings.
    #[error("the test media cannot be made: {0}")]
    Launch(#[from] glib::Error),
    /// The encoder does not give what it should.
    #[error("the test media cannot be made: the encoder gave {0} of {1} frames")]
    Short(usize, u32),
    /// The same.
    #[error("the test media cannot be made: {0}")]
    Unusable(&'static str),
}

/// A piece of encoded media.
#[derive(Debug)]
pub(crate) struct Clip {
    caps: gst::Caps,
    frames: Vec<gst::Buffer>,
    reel: Reel,
}

impl Clip {
    /// A test picture that moves, with a keyframe every second.
    pub(crate) fn video(picture: Picture, format: Format) -> Result<Self, ClipError> {
        let Picture { width, height, framerate } = picture;
        let count = SECONDS * framerate;
        let encoder = match format {
            Format::H264 => format!(
                "x264enc tune=zerolatency speed-preset=veryfast key-int-max={framerate} bitrate={} \
                 ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
                VIDEO_BITRATE / 1000
            ),
            Format::Vp8 => format!(
                "vp8enc deadline=1 cpu-used=4 lag-in-frames=0 end-usage=cbr \
                 keyframe-max-dist={framerate} target-bitrate={VIDEO_BITRATE}"
            ),
        };
        let launch = format!(
            "videotestsrc num-buffers={count} pattern=smpte horizontal-speed=4 \
             ! video/x-raw,format=I420,width={width},height={height},framerate={framerate}/1 \
             ! {encoder} ! appsink name=sink sync=false"
        );
        let mut clip = encode(&launch, framerate, 0, count)?;
        if format == Format::H264 {
            clip.frames = clip.frames.iter().map(plain).collect::<Result<_, _>>()?;
        }
        Ok(clip)
    }

    /// A tone.
    pub(crate) fn audio() -> Result<Self, ClipError> {
        let count = SECONDS * AUDIO_RATE;
        let launch = format!(
            "audiotestsrc num-buffers={} samplesperbuffer=960 freq=440 volume=0.3 \
             ! audio/x-raw,rate=48000,channels=1 \
             ! opusenc bitrate={AUDIO_BITRATE} audio-type=voice frame-size=20 \
             ! appsink name=sink sync=false",
            count + AUDIO_LEAD + 1
        );
        encode(&launch, AUDIO_RATE, AUDIO_LEAD, count)
    }

    /// Frame after frame, each given out when the one before it has been taken.
    pub(crate) fn play(self: &Arc<Self>, source: &AppSrc, air: &Arc<Air>) {
        source.set_caps(Some(&self.caps));
        source.set_format(gst::Format::Time);
        source.set_is_live(true);
        source.set_max_buffers(1);
        let asked = Arc::new(AtomicBool::new(false));
        if let Some(pad) = source.static_pad("src") {
            let asked = Arc::clone(&asked);
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if info.event().is_some_and(is_keyframe_request) {
                    asked.store(true, Ordering::Relaxed);
                }
                gst::PadProbeReturn::Ok
            });
        }
        let (clip, air) = (Arc::clone(self), Arc::clone(air));
        let mut cursor = Cursor::default();
        let feed = move |source: &AppSrc, _| {
            let now = source.current_running_time().map_or(Duration::ZERO, Duration::from);
            let cut = cursor.next(&clip.reel, now, asked.swap(false, Ordering::Relaxed));
            air.skip(cut.skipped);
            // Its own timestamps, the shared bytes.
            let mut frame = clip.frames[cut.frame].copy();
            if let (Some(frame), Ok(at)) = (frame.get_mut(), gst::ClockTime::try_from(cut.at)) {
                frame.set_pts(at);
                frame.set_dts(at);
            }
            // Who takes no more will be told why by the bus.
            let _ = source.push_buffer(frame);
        };
        source.set_callbacks(AppSrcCallbacks::builder().need_data(feed).build());
    }
}

fn is_keyframe_request(event: &gst::Event) -> bool {
    gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()
}

/// An H.264 frame as a browser would send it.
fn plain(frame: &gst::Buffer) -> Result<gst::Buffer, ClipError> {
    let bytes =
        frame.map_readable().map_err(|_| ClipError::Unusable("a frame that is unreadable"))?;
    let mut plain = gst::Buffer::from_mut_slice(without_sei(&bytes));
    if let Some(plain) = plain.get_mut() {
        plain.set_flags(frame.flags());
        plain.set_duration(frame.duration());
    }
    Ok(plain)
}

/// Runs a pipeline to its end and keeps what its sink gets: `count` frames after `lead`.
fn encode(launch: &str, rate: u32, lead: u32, count: u32) -> Result<Clip, ClipError> {
    let flags = gst::ParseFlags::FATAL_ERRORS;
    let element = gst::parse::launch_full(launch, None, flags)?;
    let running = Running(element);
    let bin = running.0.downcast_ref::<gst::Bin>();
    let sink = bin.and_then(|bin| bin.by_name("sink")?.downcast::<AppSink>().ok());
    let sink = sink.ok_or(ClipError::Unusable("no sink"))?;
    if running.0.set_state(gst::State::Playing).is_err() {
        return Err(ClipError::Unusable("the encoder does not start"));
    }
    let mut caps = None;
    let mut frames = Vec::new();
    while let Some(sample) = sink.try_pull_sample(LIMIT) {
        caps = caps.or_else(|| sample.caps_owned());
        if let Some(buffer) = sample.buffer() {
            frames.push(buffer.copy_deep().map_err(|_| ClipError::Unusable("out of memory"))?);
        }
    }
    drop(running);
    let mut frames: Vec<gst::Buffer> =
        frames.into_iter().skip(lead as usize).take(count as usize).collect();
    if frames.len() < count as usize {
        return Err(ClipError::Short(frames.len(), count));
    }
    for frame in frames.iter_mut().filter_map(gst::Buffer::get_mut) {
        frame.set_duration(gst::ClockTime::SECOND / u64::from(rate));
        frame.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
    }
    let keys: Vec<bool> =
        frames.iter().map(|frame| !frame.flags().contains(gst::BufferFlags::DELTA_UNIT)).collect();
    let reel =
        Reel::new(rate, &keys).ok_or(ClipError::Unusable("it does not begin with a keyframe"))?;
    let caps = caps.ok_or(ClipError::Unusable("the encoder does not say what it makes"))?;
    Ok(Clip { caps, frames, reel })
}

/// A pipeline that ends with its scope.
struct Running(gst::Element);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Whether what a participant sends is due, and what it could not send in time.
#[derive(Debug, Default)]
pub(crate) struct Air {
    on: AtomicBool,
    skipped: AtomicU64,
}

impl Air {
    /// Before its call begins nothing that a participant leaves out is missed.
    pub(crate) fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    fn skip(&self, frames: u64) {
        if self.on.load(Ordering::Relaxed) {
            self.skipped.fetch_add(frames, Ordering::Relaxed);
        }
    }

    /// Frames that were left out.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PICTURE: Picture = Picture { width: 160, height: 120, framerate: 25 };

    /// Plays a clip through a decoder for `count` frames; gives the timestamps and sizes of what
    /// comes out.
    fn played(clip: Clip, decoder: &str, count: usize) -> Vec<(gst::ClockTime, usize)> {
        let clip = Arc::new(clip);
        let launch = format!("appsrc name=source ! {decoder} ! appsink name=sink sync=false");
        let pipeline = gst::parse::launch(&launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("source").unwrap().downcast::<AppSrc>().unwrap();
        clip.play(&source, &Arc::default());
        // Time stands still: nothing is ever late.
        pipeline.use_clock(Some(&gst_check::TestClock::new()));
        let sink = pipeline.by_name("sink").unwrap().downcast::<AppSink>().unwrap();
        sink.set_max_buffers(1);
        pipeline.set_state(gst::State::Playing).unwrap();
        let frames = (0..count)
            .map(|_| {
                let sample = sink.try_pull_sample(LIMIT).expect("in time");
                let buffer = sample.buffer().unwrap();
                (buffer.pts().unwrap(), buffer.size())
            })
            .collect();
        let errors = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
        assert!(errors.is_none(), "{errors:?}");
        pipeline.set_state(gst::State::Null).unwrap();
        frames
    }

    fn check(frames: &[(gst::ClockTime, usize)], period: u64, size: usize) {
        for (place, (pts, bytes)) in frames.iter().enumerate() {
            assert_eq!(pts.mseconds(), place as u64 * period, "no jump where the clip begins anew");
            assert_eq!(*bytes, size);
        }
    }

    #[test]
    fn the_picture_decodes_over_and_over_with_timestamps_that_go_on() {
        gst::init().unwrap();
        for (format, decoder) in [(Format::H264, "h264parse ! avdec_h264"), (Format::Vp8, "vp8dec")]
        {
            let clip = Clip::video(PICTURE, format).unwrap();
            let keys = clip
                .frames
                .iter()
                .filter(|frame| !frame.flags().contains(gst::BufferFlags::DELTA_UNIT));
            assert!(keys.count() >= 2, "{format:?}: a keyframe every second");
            let decoder = format!("{decoder} ! videoconvert ! video/x-raw,format=I420");
            check(&played(clip, &decoder, 120), 40, 160 * 120 * 3 / 2);
        }
    }

    #[test]
    fn the_sound_decodes_over_and_over_with_timestamps_that_go_on() {
        gst::init().unwrap();
        let frames = played(Clip::audio().unwrap(), "opusdec plc=false", 250);
        // The first one lacks what the encoder looked ahead.
        check(&frames[..1], 20, frames[0].1);
        for (place, (pts, bytes)) in frames.iter().enumerate().skip(1) {
            assert_eq!((pts.mseconds() + 10) / 20, place as u64);
            assert_eq!(*bytes, 960 * 2);
        }
    }

    #[test]
    fn either_keyframe_can_be_the_first_one() {
        gst::init().unwrap();
        let mut clip = Clip::video(PICTURE, Format::H264).unwrap();
        clip.frames.rotate_left(25);
        check(
            &played(clip, "h264parse ! avdec_h264 ! videoconvert ! video/x-raw,format=I420", 30),
            40,
            160 * 120 * 3 / 2,
        );
    }

    #[test]
    fn an_encoder_that_is_not_there_is_named() {
        gst::init().unwrap();
        let error =
            encode("videotestsrc ! nosuchencoder ! appsink name=sink", 25, 0, 1).unwrap_err();
        assert!(error.to_string().contains("nosuchencoder"), "{error}");
    }
}
