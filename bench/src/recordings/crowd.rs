// SPDX-License-Identifier: MPL-2.0

//! The participants: one pipeline, so that they have one clock, with a `ducksouppeer` for each.
//! A thread gives each of them its pictures and its sound at the true times.

use super::picture::{Plane, draw};
use super::source::{self, Clock, Microphone};
use crate::pace;
use anyhow::Context as _;
use gst::prelude::*;
use gst_app::AppSrc;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for the door, in ms: what is measured here is not the door.
const JOIN: u32 = 30_000;
/// What may pass besides the interaction itself: joining, and the farewell.
const BESIDES: Duration = Duration::from_secs(120);
/// RTP units a second of pictures.
const VIDEO_RATE: f64 = 90_000.0;

/// One participant.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// Properties of its signaller.
    pub(crate) options: Vec<(&'static str, String)>,
    /// Of its microphone.
    pub(crate) sound: Clock,
    /// Of its camera: its pictures are taken at the true times, but their RTP timestamps are its own.
    pub(crate) picture: Clock,
}

/// Ends with its scope.
struct Running {
    pipeline: gst::Pipeline,
    goes_on: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.goes_on.store(false, Ordering::Relaxed);
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Takes part until the server says that it is over.
///
/// # Errors
/// When a participant cannot join, or is thrown out.
pub(crate) fn take_part(
    seats: &[Seat],
    size: (u32, u32),
    events: &[u64],
    length: Duration,
) -> anyhow::Result<()> {
    let pipeline = gst::Pipeline::new();
    let mut feeds = Vec::new();
    for seat in seats {
        feeds.extend(sit_down(&pipeline, seat, size, events)?);
    }
    let bus = pipeline.bus().context("a pipeline without a bus")?;
    let goes_on = Arc::new(AtomicBool::new(true));
    let running = Running { pipeline, goes_on: Arc::clone(&goes_on) };
    running.pipeline.set_state(gst::State::Playing)?;
    let (clock, base) = (running.pipeline.clock(), running.pipeline.base_time());
    let (clock, base) = clock.zip(base).context("a pipeline without a clock")?;
    let feeder = std::thread::spawn(move || pace::play(&mut feeds, &clock, base, &goes_on));
    let ended = watch(&bus, seats.len(), length + BESIDES);
    drop(running);
    feeder.join().map_err(|_| anyhow::anyhow!("the thread of the media fell"))?;
    ended
}

/// Until everybody was told the end.
fn watch(bus: &gst::Bus, count: usize, limit: Duration) -> anyhow::Result<()> {
    let since = Instant::now();
    let mut over = BTreeSet::new();
    while over.len() < count {
        anyhow::ensure!(since.elapsed() < limit, "the server never said end");
        let kinds = [gst::MessageType::Element, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(gst::ClockTime::SECOND, &kinds) else {
            continue;
        };
        let name = message.src().map(|source| source.name().to_string()).unwrap_or_default();
        match message.view() {
            // What an element says while its call ends is of no account.
            gst::MessageView::Error(error) if over.is_empty() => {
                anyhow::bail!("{name}: {}", error.error())
            }
            gst::MessageView::Element(element) => {
                let told = element.structure().map(|structure| structure.name().as_str());
                match told {
                    Some("ducksouppeer-end") => drop(over.insert(name)),
                    Some("ducksouppeer-start") => eprintln!("{name}: start"),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is given to one pad, piece after piece.
struct Feed {
    to: AppSrc,
    next: u64,
    what: What,
}

enum What {
    Sound(Microphone),
    Picture { plane: Plane, events: Vec<u64> },
}

impl pace::Feed for Feed {
    // In true time.
    fn due(&self) -> Duration {
        match &self.what {
            What::Sound(microphone) => microphone.due(self.next),
            What::Picture { .. } => source::taken(self.next),
        }
    }

    fn give(&mut self) {
        let (bytes, time) = match &self.what {
            What::Sound(microphone) => {
                let samples = microphone.packet(self.next);
                let bytes: Vec<u8> = samples.iter().flat_map(|value| value.to_le_bytes()).collect();
                (bytes, Microphone::time(self.next))
            }
            What::Picture { plane, events } => {
                let luma = plane.stride * plane.height;
                let mut bytes = vec![128; luma + luma / 2];
                // The number wraps, as every reader expects.
                let number = (self.next & 0xFFFF) as u16;
                draw(number, source::flashes(self.next, events), *plane, &mut bytes);
                (bytes, source::taken(self.next))
            }
        };
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let (Some(buffer), Ok(time)) = (buffer.get_mut(), gst::ClockTime::try_from(time)) {
            buffer.set_pts(time);
        }
        self.next += 1;
        // Who takes no more has said why on the bus.
        let _ = self.to.push_buffer(buffer);
    }
}

/// Puts a participant into the pipeline.
fn sit_down(
    pipeline: &gst::Pipeline,
    seat: &Seat,
    (width, height): (u32, u32),
    events: &[u64],
) -> anyhow::Result<[Feed; 2]> {
    let peer = gst::ElementFactory::make("ducksouppeer").build()?;
    peer.set_property_from_str("output", "rtp");
    peer.set_property("connect-timeout", JOIN);
    let signaller = peer.property::<glib::Object>("signaller");
    for (name, value) in &seat.options {
        signaller.set_property_from_str(name, value);
    }
    pipeline.add(&peer)?;
    own_clocks(&peer, seat)?;
    let sound = gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("layout", "interleaved")
        .field("rate", super::sound::RATE.cast_signed())
        .field("channels", 1)
        .build();
    let picture = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", width.cast_signed())
        .field("height", height.cast_signed())
        .field("framerate", gst::Fraction::new(super::schedule::FRAMERATE.cast_signed(), 1))
        .build();
    let plane = Plane { width: width as usize, height: height as usize, stride: width as usize };
    let feed = |pad: &str, caps: &gst::Caps, what| -> anyhow::Result<Feed> {
        let to = AppSrc::builder().caps(caps).format(gst::Format::Time).is_live(true).build();
        pipeline.add(&to)?;
        to.link_pads(Some("src"), &peer, Some(pad))?;
        Ok(Feed { to, next: 0, what })
    };
    Ok([
        feed("audio_sink", &sound, What::Sound(Microphone::new(seat.sound, events)))?,
        feed("video_sink", &picture, What::Picture { plane, events: events.to_vec() })?,
    ])
}

/// How a device's clock shows in what is sent.
#[derive(Debug, Clone, Copy)]
enum Warp {
    /// The sound came with its own clock's times, which are in its RTP timestamps now: from here
    /// on it has the true ones, of which sender reports tell.
    Times(Clock),
    /// The pictures came with true times, and get their own clock's RTP timestamps.
    Stamps(Clock),
}

/// A sender report says which RTP timestamp belongs to which true time. So a device whose clock is
/// fast is one whose RTP timestamps run fast against the times of its packets.
fn own_clocks(peer: &gst::Element, seat: &Seat) -> anyhow::Result<()> {
    let (sound, picture) = (seat.sound, seat.picture);
    let bin = peer.downcast_ref::<gst::Bin>().context("ducksouppeer is no bin")?;
    bin.connect_deep_element_added(move |_, parent, element| {
        // The end of what makes packets of sound or pictures: docs of `sending.rs` in the signaller.
        if element.name() != "packets" {
            return;
        }
        let warp = match parent.name().as_str() {
            "audio-tail" if sound.0 != 1.0 => Warp::Times(sound),
            "video-tail" if picture.0 != 1.0 => Warp::Stamps(picture),
            _ => return,
        };
        let Some(pad) = element.static_pad("sink") else {
            return;
        };
        let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(media, move |_, info| {
            match info.data.as_mut() {
                Some(gst::PadProbeData::Buffer(packet)) => warp.apply(packet.make_mut()),
                Some(gst::PadProbeData::BufferList(packets)) => {
                    packets.make_mut().foreach_mut(|mut packet, _| {
                        warp.apply(packet.make_mut());
                        std::ops::ControlFlow::Continue(Some(packet))
                    });
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    });
    Ok(())
}

impl Warp {
    fn apply(self, packet: &mut gst::BufferRef) {
        let Some(time) = packet.pts() else {
            return;
        };
        match self {
            Self::Times(clock) => {
                let time = gst::ClockTime::try_from(clock.to_true(time.into())).ok();
                packet.set_pts(time);
                packet.set_dts(time);
            }
            Self::Stamps(clock) => {
                let seconds = time.nseconds() as f64 / 1e9;
                let more = (seconds * (clock.0 - 1.0) * VIDEO_RATE).round() as i64;
                // RFC 3550, 5.1: the timestamp stands in bytes 4 to 7.
                let mut stamp = [0; 4];
                if packet.copy_to_slice(4, &mut stamp).is_ok() {
                    let stamp = u32::from_be_bytes(stamp).wrapping_add(more as u32);
                    let _ = packet.copy_from_slice(4, &stamp.to_be_bytes());
                }
            }
        }
    }
}
