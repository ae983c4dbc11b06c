// SPDX-License-Identifier: MPL-2.0

//! The floor: the same work alone. RTP → decode → effect → encode → RTP in one pipeline of this
//! process, of the same media at the same pace, without a network, a clock to wait for, or a file.

use super::clip::{Film, Voice};
use super::feed::{self, Feed, Numbers};
use super::peers::note_packets;
use super::reading::Packet;
use super::track::{Call, Sent, Track};
use super::{Effects, Running};
use crate::counts::Format;
use crate::pace;
use anyhow::Context as _;
use gst::prelude::*;
use gst_app::AppSrc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What passes before anything counts.
const SETTLE: f64 = 2.0;

/// The chain of pictures, as `pipelines/codecs.yml` has it.
fn pictures(film: &Film, effect: &str) -> String {
    let Film { size: (width, height), framerate, .. } = film;
    let (pay, depay, decode, encode) = match film.format {
        Format::H264 => (
            "rtph264pay mtu=1200 aggregate-mode=zero-latency",
            "rtph264depay ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au",
            "avdec_h264 thread-type=slice max-threads=1 std-compliance=normal",
            "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=250 aud=false \
             bitrate=1000 \
             ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
        ),
        Format::Vp8 => (
            "rtpvp8pay mtu=1200 picture-id-mode=15-bit",
            "rtpvp8depay",
            "vp8dec threads=1",
            "vp8enc deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr \
             keyframe-max-dist=250 max-quantizer=56 static-threshold=1 target-bitrate=1000000",
        ),
    };
    format!(
        "appsrc name=picture format=time is-live=true ! {pay} name=picture_in ! {depay} ! {decode} \
         ! videoscale ! video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1 ! {effect} \
         ! video/x-raw,format=I420 ! capssetter caps=video/x-raw,framerate={framerate}/1 \
         ! {encode} ! {pay} name=picture_out ! fakesink sync=false async=false"
    )
}

/// The chain of sound.
fn sound(effect: &str) -> String {
    format!(
        "appsrc name=sound format=time is-live=true ! rtpopuspay name=sound_in ! rtpopusdepay \
         ! opusdec ! audioconvert ! {effect} ! audioconvert ! audio/x-raw,rate=48000,channels=1 \
         ! opusenc audio-type=voice frame-size=20 inband-fec=true ! rtpopuspay name=sound_out \
         ! fakesink sync=false async=false"
    )
}

/// Runs it for so long.
///
/// # Errors
/// When an element is missing.
pub(crate) fn run(
    film: &Film,
    voice: &Voice,
    effects: Effects,
    length: Duration,
) -> anyhow::Result<Call> {
    let description = pictures(film, effects.picture) + " " + &sound(effects.sound);
    let running = Running::new(&description)?;
    let epoch = Instant::now();
    let numbers = Numbers::default();
    let tracks = ["sound", "picture"].map(|kind| track(&running, kind, epoch, &numbers));
    let [sound, picture] = tracks;
    let (sound, picture) = (sound?, picture?);
    let mut feeds = [
        Feed::sound(running.part::<AppSrc>("sound")?, voice, 0.0),
        Feed::picture(running.part::<AppSrc>("picture")?, film, 0.5, &numbers),
    ];
    running.play()?;
    let (clock, base) = (running.0.clock(), running.0.base_time());
    let (clock, base) = clock.zip(base).context("a pipeline without a clock")?;
    let goes_on = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&goes_on);
    let feeder = std::thread::spawn(move || pace::play(&mut feeds, &clock, base, &flag));
    let bus = running.0.bus().context("a pipeline without a bus")?;
    let limit = gst::ClockTime::try_from(length)?;
    let error = bus.timed_pop_filtered(limit, &[gst::MessageType::Error]);
    goes_on.store(false, Ordering::Relaxed);
    let fell = feeder.join().is_err();
    anyhow::ensure!(error.is_none() && !fell, "the floor does not hold: {error:?}");
    drop(running);
    let take = |track: &Mutex<Track>| {
        std::mem::take(&mut *track.lock().unwrap_or_else(PoisonError::into_inner))
    };
    Ok(Call {
        sound: take(&sound),
        picture: take(&picture),
        commands: Vec::new(),
        window: SETTLE..length.as_secs_f64(),
    })
}

/// Writes down what passes the two payloaders of a chain.
fn track(
    running: &Running,
    kind: &str,
    epoch: Instant,
    numbers: &Numbers,
) -> anyhow::Result<Arc<Mutex<Track>>> {
    let track = Arc::<Mutex<Track>>::default();
    let pad = |name: &str| -> anyhow::Result<gst::Pad> {
        let element = running.part::<gst::Element>(&format!("{kind}_{name}"))?;
        element.static_pad("src").context("no pad")
    };
    let (notes, numbers) = (Arc::clone(&track), Arc::clone(numbers));
    note_packets(&pad("in")?, move |bytes| {
        let number = bytes.pts().and_then(|time| feed::number(&numbers, time));
        if let Some(Packet { ssrc, timestamp, time: captured, .. }) = Packet::new(bytes) {
            let mut track = notes.lock().unwrap_or_else(PoisonError::into_inner);
            track.entered.insert(timestamp, epoch.elapsed().as_secs_f64());
            if track.sent.last().is_none_or(|last| last.timestamp != timestamp) {
                let number = number.unwrap_or_default();
                track.sent.push(Sent { ssrc, timestamp, captured, number });
            }
        }
    });
    let notes = Arc::clone(&track);
    note_packets(&pad("out")?, move |bytes| {
        if let Some(packet) = Packet::new(bytes) {
            let mut track = notes.lock().unwrap_or_else(PoisonError::into_inner);
            track.left.insert(packet.timestamp, epoch.elapsed().as_secs_f64());
            track.received.push(packet);
        }
    });
    Ok(track)
}

/// How late an effect says that its sound is, in s.
///
/// # Errors
/// When it is missing.
pub(crate) fn declared(effect: &str) -> anyhow::Result<f64> {
    let of = |effect: &str| -> anyhow::Result<u64> {
        let running = Running::new(&format!(
            "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 \
             ! audioconvert ! {effect} ! fakesink sync=false"
        ))?;
        running.play()?;
        // It prerolls with the first sound, or not at all.
        let (reached, ..) = running.0.state(gst::ClockTime::from_seconds(10));
        reached.context("an effect that does not start")?;
        let mut query = gst::query::Latency::new();
        anyhow::ensure!(running.0.query(&mut query), "an effect that knows no latency");
        Ok(query.result().1.nseconds())
    };
    Ok(of(effect)?.saturating_sub(of("identity")?) as f64 / 1e9)
}
