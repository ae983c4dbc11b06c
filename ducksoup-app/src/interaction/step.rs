// SPDX-License-Identifier: MPL-2.0

//! Keeps sound in step with its encoder, which waits until a frame is full. Browsers send packets as long as one;
//! but wherever sound is led back to its place (`fxcontrol`), by some ms, the end of each packet comes to lie
//! within a frame and waits for the next packet, up to 20 ms, from then on and for good. So a piece in which nothing is
//! heard loses as much of its end as would wait, where pieces are as long as frames: shorter ones, as of a ramp or of an
//! effect of its own pace, wait anyway. A receiver goes on for that long by itself, and files have silence there.
//! The decision is pure.

use gst::prelude::*;
use gstducksoup::Content;
use std::sync::{Arc, Mutex, PoisonError};

/// The property that says how long a frame is, in ms, by its nick (`opusenc`).
const FRAME: &str = "frame-size";
/// What encoders and decoders of Opus count by, in Hz.
const RATE: u64 = 48_000;

/// What an encoder keeps until a frame is full, in samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frames {
    length: u64,
    kept: u64,
}

impl Frames {
    /// How much at the end of a piece of so many samples would have to wait, and would not if it were left out: of a
    /// piece that is no whole number of frames, nothing is gained.
    const fn beyond(self, samples: u64) -> u64 {
        if samples.is_multiple_of(self.length) { self.kept } else { 0 }
    }

    /// Takes such a piece; how much of it is to be left out, at its end.
    fn take(&mut self, samples: u64, content: Content) -> u64 {
        let out = if content == Content::Quiet { self.beyond(samples) } else { 0 };
        self.kept = (self.kept + samples - out) % self.length;
        out
    }
}

/// An encoder that is watched.
#[derive(Debug)]
struct Watched {
    frames: Frames,
    /// What comes, where it is what the encoder counts by. Kept, since every look into caps takes a lock that all of
    /// GStreamer shares, and on a busy machine its holder is not there to give it back.
    info: Option<gst_audio::AudioInfo>,
    /// What was left out so far. An encoder counts samples and knows nothing of it: what it is given lies earlier by
    /// so much, and what it gives later.
    out: gst::ClockTime,
    /// What was left out at the end of the last piece.
    last: gst::ClockTime,
}

/// Watches what goes into an encoder; one whose frames are of no known length is left alone.
pub(super) fn keep(encoder: &gst::Element) {
    let frame = encoder.has_property(FRAME).then(|| encoder.property_value(FRAME).serialize());
    let ms = frame.and_then(|nick| nick.ok()?.parse::<f64>().ok()).filter(|ms| *ms > 0.0);
    let (Some(ms), Some(sink), Some(src)) =
        (ms, encoder.static_pad("sink"), encoder.static_pad("src"))
    else {
        return;
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a few thousand
    let length = (ms * RATE as f64 / 1000.0) as u64;
    let frames = Frames { length, kept: 0 };
    // Only the streaming thread takes it, and it is let go of before anything is passed on.
    let watched = Arc::new(Mutex::new(Watched {
        frames,
        info: sink.current_caps().and_then(|caps| counted(&caps)),
        out: gst::ClockTime::ZERO,
        last: gst::ClockTime::ZERO,
    }));
    let behind = Arc::clone(&watched);
    let media = gst::PadProbeType::BUFFER.union(gst::PadProbeType::EVENT_DOWNSTREAM);
    sink.add_probe(media, move |pad, info| {
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut info.data {
            Some(gst::PadProbeData::Event(event)) => {
                if begins_anew(pad, event) {
                    watched.frames.kept = 0;
                }
                if let gst::EventView::Caps(caps) = event.view() {
                    watched.info = counted(caps.caps());
                }
                gst::PadProbeReturn::Ok
            }
            Some(gst::PadProbeData::Buffer(buffer)) => watched.enter(buffer),
            _ => gst::PadProbeReturn::Ok,
        }
    });
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let out = behind.lock().unwrap_or_else(PoisonError::into_inner).out;
        if let Some(packet) = info.buffer_mut().filter(|_| out > gst::ClockTime::ZERO) {
            let packet = packet.make_mut();
            packet.set_pts(packet.pts().map(|pts| pts + out));
            packet.set_dts(packet.dts().map(|dts| dts + out));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What comes, if its samples are those that the encoder counts.
fn counted(caps: &gst::CapsRef) -> Option<gst_audio::AudioInfo> {
    let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
    (u64::from(info.rate()) == RATE && info.bpf() > 0).then_some(info)
}

/// Whether an encoder gives out or forgets what it keeps.
fn begins_anew(pad: &gst::Pad, event: &gst::Event) -> bool {
    match event.view() {
        gst::EventView::Segment(_) | gst::EventView::FlushStop(_) => true,
        gst::EventView::Caps(caps) => pad.current_caps().as_deref() != Some(caps.caps()),
        _ => false,
    }
}

impl Watched {
    fn enter(&mut self, buffer: &mut gst::Buffer) -> gst::PadProbeReturn {
        let Some(info) = &self.info else {
            return gst::PadProbeReturn::Ok;
        };
        self.out += std::mem::take(&mut self.last);
        if self.out > gst::ClockTime::ZERO {
            let inside = buffer.make_mut();
            inside.set_pts(inside.pts().map(|pts| pts.saturating_sub(self.out)));
        }
        let samples = buffer.size() as u64 / u64::from(info.bpf());
        let content = match self.frames.beyond(samples) {
            0 => Content::Sound,
            _ => gstducksoup::listen_to(buffer, info),
        };
        let out = self.frames.take(samples, content);
        if out == 0 {
            return gst::PadProbeReturn::Ok;
        }
        self.last = gst::ClockTime::SECOND.mul_div_round(out, RATE).unwrap_or_default();
        let Some(left) = usize::try_from(samples - out).ok().filter(|left| *left > 0) else {
            return gst::PadProbeReturn::Handled;
        };
        let whole = std::mem::replace(buffer, gst::Buffer::new());
        *buffer = gst_audio::audio_buffer_truncate(whole, info.bpf(), 0, Some(left));
        gst::PadProbeReturn::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Content::{Quiet, Sound};

    #[test]
    fn what_would_wait_is_left_out_where_nothing_is_heard() {
        let mut frames = Frames { length: 960, kept: 0 };
        for (samples, content, out, kept) in [
            (960, Sound, 0, 0),
            (960, Quiet, 0, 0),
            // 2.5 ms were left out before it.
            (840, Sound, 0, 840),
            (960, Sound, 0, 840),
            (960, Quiet, 840, 0),
            (960, Sound, 0, 0),
            (120, Sound, 0, 120),
            (1920, Quiet, 120, 0),
            (700, Sound, 0, 700),
            (100, Quiet, 0, 800),
            (960, Quiet, 800, 0),
            // The pieces of a ramp.
            (240, Quiet, 0, 240),
            (240, Quiet, 0, 480),
            (240, Quiet, 0, 720),
            (240, Quiet, 0, 0),
        ] {
            assert_eq!((frames.take(samples, content), frames.kept), (out, kept), "{samples}");
        }
    }

    #[test]
    fn packets_leave_with_what_came_and_lie_where_it_lay() {
        gst::init().expect("GStreamer");
        let mut harness = gst_check::Harness::new("opusenc");
        harness
            .set_src_caps_str("audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1");
        keep(&harness.element().expect("opusenc"));
        let mut at = RATE;
        let mut push = |samples: u64, loud: bool| {
            let level = if loud { 8000_i16 } else { 0 };
            let bytes: Vec<u8> = (0..samples)
                .flat_map(|n| (if n / 24 % 2 == 0 { level } else { -level }).to_ne_bytes())
                .collect();
            let time = |samples: u64| gst::ClockTime::from_nseconds(samples * 1_000_000_000 / RATE);
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            let inside = buffer.get_mut().expect("new");
            inside.set_pts(time(at));
            inside.set_duration(time(samples));
            at += samples;
            harness.push(buffer).expect("taken");
            let left = std::iter::from_fn(|| harness.try_pull());
            // The encoder counts in what it looks ahead, 6.5 ms.
            let at = |packet: gst::Buffer| packet.pts().expect("a time").useconds() - 993_500;
            left.map(at).collect::<Vec<_>>()
        };
        for (samples, loud, left) in [
            // The first one has less.
            (960, true, vec![6_500]),
            (960, true, vec![20_000]),
            // The sound is led back by 2.5 ms, and waits.
            (840, true, vec![]),
            (960, true, vec![40_000]),
            // Until nothing is heard: then 17.5 ms are left out.
            (960, false, vec![60_000]),
            (960, true, vec![97_500]),
            (960, true, vec![117_500]),
        ] {
            assert_eq!(push(samples, loud), left, "{samples}");
        }
    }
}
