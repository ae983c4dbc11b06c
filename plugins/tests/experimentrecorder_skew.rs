// SPDX-License-Identifier: MPL-2.0

//! Dry and wet sound of one stream lie in the same place, whatever a network and an effect did.

#![allow(missing_docs, clippy::unwrap_used)]

mod experimentrecorder_lab;

use experimentrecorder_lab::{LIMIT, init, ms, sound};
use gst::prelude::*;

/// The encoder has been running for a while when the recording begins, as in a conversation.
const START: u64 = ms(750);

/// Beeps of 200 ms, two a second, in Opus packets of 20 ms.
fn beeps(seconds: u32) -> Vec<gst::Buffer> {
    let text = format!(
        "audiotestsrc wave=ticks tick-interval=500000000 sine-periods-per-tick=200 freq=1000 \
         volume=0.8 samplesperbuffer=960 num-buffers={} ! audio/x-raw,rate=48000,channels=1 ! \
         opusenc bitrate=64000 ! appsink name=out sync=false",
        seconds * 50 + 1
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut packets = Vec::new();
    while let Ok(sample) = out.pull_sample() {
        packets.push(sample.buffer_owned().unwrap());
    }
    pipeline.set_state(gst::State::Null).unwrap();
    // The encoder's first packet is cut short.
    packets.remove(0);
    packets
}

/// Records the packets at their times, dry and behind `fx`; where each beep begins (ns), dry and wet.
fn record(packets: &[(u64, gst::Buffer)], fx: &str) -> (Vec<u64>, Vec<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "experimentrecorder name=r layout=split origin={START} prefix=p folder={} \
         appsrc name=in format=time caps=audio/x-opus,rate=48000,channels=1,channel-mapping-family=0 ! \
         tee name=dry ! r.dry_audio \
         dry. ! opusdec ! fxcontrol fx=\"{fx}\" ! audio/x-raw,rate=48000,channels=1 ! opusenc ! \
         r.wet_audio",
        folder.path().display()
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut last = 0;
    for (time, packet) in packets {
        let mut packet = packet.copy();
        let inside = packet.get_mut().unwrap();
        inside.set_pts(gst::ClockTime::from_nseconds(*time));
        inside.set_dts(gst::ClockTime::NONE);
        inside.unset_flags(gst::BufferFlags::DISCONT);
        // As a depayloader says after a loss.
        if time.abs_diff(last) > ms(25) {
            inside.set_flags(gst::BufferFlags::DISCONT);
        }
        last = *time;
        input.push_buffer(packet).unwrap();
    }
    input.end_of_stream().unwrap();
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::try_from(LIMIT).unwrap(), &ends).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    let onsets = |side: &str| onsets(&sound(&folder.path().join(format!("p-audio-{side}.ogg"))));
    (onsets("dry"), onsets("wet"))
}

/// Where it becomes loud after 100 ms of silence, in ns.
fn onsets(samples: &[i16]) -> Vec<u64> {
    let mut onsets = Vec::new();
    let mut quiet = 4800;
    for (number, sample) in samples.iter().enumerate() {
        if sample.unsigned_abs() < 3000 {
            quiet += 1;
        } else {
            if quiet >= 4800 {
                onsets.push(number as u64 * 1_000_000 / 48);
            }
            quiet = 0;
        }
    }
    onsets
}

/// `slack`: what timestamps may stray before something is done about it, in ms.
fn assert_together(packets: &[(u64, gst::Buffer)], slack: u64) {
    // Silence in the dry file comes in 2.5 ms; pitch works on windows of sound.
    for (fx, own) in [("", 2), ("volume volume=0.9", 2), ("pitch pitch=1.3", 20)] {
        let limit = own + slack;
        let (dry, wet) = record(packets, fx);
        assert!(dry.len() > 10, "{fx}: {dry:?}");
        assert_eq!(dry.len(), wet.len(), "{fx}: {dry:?} {wet:?}");
        for (dry, wet) in dry.iter().zip(&wet) {
            assert!(dry.abs_diff(*wet) <= ms(limit), "{fx}: {dry} dry, {wet} wet");
        }
    }
}

#[test]
fn without_a_fault_dry_and_wet_are_together() {
    init();
    let packets = beeps(10).into_iter().enumerate();
    let packets: Vec<_> = packets.map(|(n, packet)| (ms(20 * n as u64), packet)).collect();
    assert_together(&packets, 0);
}

#[test]
fn holes_of_all_lengths_leave_dry_and_wet_together() {
    init();
    let mut at = 0;
    let mut packets = Vec::new();
    for (number, packet) in beeps(20).into_iter().enumerate() {
        if number % 75 == 20 {
            at += [10, 20, 45, 100, 140, 1000, 10_000][number / 75 % 7];
        }
        packets.push((ms(at), packet));
        at += 20;
    }
    assert_together(&packets, 10);
}

#[test]
fn a_stream_that_slides_leaves_dry_and_wet_together() {
    init();
    for sign in [-1i64, 1] {
        let mut at = 0i64;
        let mut packets = Vec::new();
        for (number, packet) in beeps(20).into_iter().enumerate() {
            packets.push((at as u64, packet));
            let slides = (100..400).contains(&number);
            at += 20_000_000 + if slides { sign * 1_000_000 } else { 0 };
        }
        assert_together(&packets, 10);
    }
}

#[test]
fn behind_the_next_pause_sound_is_in_its_place_again() {
    init();
    // Steps in the middle of a beep, each too small for something to be done about it while it sounds.
    let step = |number: u64| match number {
        0..155 => 20,
        155..355 => 28,
        355..555 => 14,
        _ => 20,
    };
    let timed = |at: &dyn Fn(u64) -> u64| -> Vec<_> {
        let packets = beeps(15).into_iter().enumerate();
        packets.map(|(n, packet)| (ms(at(n as u64)), packet)).collect()
    };
    let (straight, shifted) = (timed(&|n| 20 * n + 20), timed(&|n| 20 * n + step(n)));
    for fx in ["", "volume volume=0.9"] {
        let ((dry, wet), (dry_shifted, wet_shifted)) =
            (record(&straight, fx), record(&shifted, fx));
        for (straight, shifted) in [(dry, dry_shifted), (wet, wet_shifted)] {
            assert!(
                straight.len() > 25 && straight.len() == shifted.len(),
                "{straight:?} {shifted:?}"
            );
            for (straight, shifted) in straight.iter().zip(&shifted) {
                let packet = (straight + START) / ms(20);
                let expected = straight + ms(step(packet)) - ms(20);
                assert!(
                    shifted.abs_diff(expected) <= ms(3),
                    "{fx}: {shifted} instead of {expected}"
                );
            }
        }
    }
}
