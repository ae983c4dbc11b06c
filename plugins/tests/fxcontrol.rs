// SPDX-License-Identifier: MPL-2.0

//! Properties that move: by the samples and pictures that come out.

#![allow(clippy::unwrap_used)]

mod fxcontrol_rig;

use fxcontrol_rig::{MS, RATE, Rig, assert_contiguous};
use gst::prelude::*;
use gstducksoup::fxcontrol::FxControlShape;

/// Gain of each sample of a stream of ones, with the time of its piece and its own, in ns.
fn gains(rig: &mut Rig) -> Vec<(u64, u64, f64)> {
    let pieces = rig.pieces();
    assert_contiguous(&pieces);
    let timed = pieces.iter().flat_map(|piece| {
        piece.samples.iter().enumerate().map(|(place, sample)| {
            let place = u64::try_from(place).unwrap();
            let at = piece.pts + place * 1_000_000_000 / RATE;
            (piece.pts, at, f64::from(*sample))
        })
    });
    timed.collect()
}

#[allow(clippy::cast_precision_loss)]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[test]
fn each_sample_of_a_ramp_has_the_gain_of_its_own_time_to_within_a_slice() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx")]);
    for ms in [0, 20] {
        rig.push_constant(ms, 1.0);
    }
    assert_eq!(rig.control("fx", "volume", 0.0, 200), None);
    for ms in (40..300).step_by(20) {
        rig.push_constant(ms, 1.0);
    }
    let line = |at: u64| (1.0 - (seconds(at) - 0.04) / 0.2).clamp(0.0, 1.0);
    let gains = gains(&mut rig);
    assert_eq!(gains.len(), 15 * 960);
    for (piece, at, gain) in gains {
        assert!((gain - line(piece)).abs() < 1e-6, "{at}: {gain}");
        assert!((gain - line(at)).abs() < 0.005 / 0.2 + 1e-6, "{at}: {gain}");
    }
}

#[test]
fn nothing_is_cut_unless_something_moves() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx")]);
    rig.push_constant(0, 1.0);
    assert_eq!(rig.control("fx", "volume", 0.5, 0), None);
    rig.push_constant(20, 1.0);
    assert_eq!(rig.control("fx", "volume", 1.0, 20), None);
    rig.push_constant(40, 1.0);
    rig.push_constant(60, 1.0);
    let lengths: Vec<_> = rig.pieces().iter().map(|piece| piece.samples.len()).collect();
    assert_eq!(lengths, [960, 960, 240, 240, 240, 240, 960]);
}

#[test]
fn slices_carry_exact_times_offsets_and_flags_at_odd_rates_and_periods() {
    let caps = "audio/x-raw,format=S16LE,rate=44100,channels=2,layout=interleaved";
    let properties = [("fx", "volume name=fx"), ("control-period", "3333333")];
    let mut rig = Rig::new(&properties, caps);
    assert_eq!(rig.control("fx", "volume", 0.5, 1000), None);
    for number in 0u64..10 {
        let mut buffer = gst::Buffer::from_slice([100u8; 1001 * 4]);
        let start = number * 1001;
        let at = |frames: u64| gst::ClockTime::from_nseconds(frames * 1_000_000_000 / 44100);
        let buffer_mut = buffer.get_mut().unwrap();
        buffer_mut.set_pts(at(start));
        buffer_mut.set_duration(at(start + 1001) - at(start));
        buffer_mut.set_offset(start);
        buffer_mut.set_offset_end(start + 1001);
        buffer_mut.set_flags(gst::BufferFlags::DISCONT);
        rig.harness.push(buffer).unwrap();
    }
    let (mut frames, mut discontinuities) = (0, 0);
    let mut end = gst::ClockTime::ZERO;
    while let Some(buffer) = rig.harness.try_pull() {
        let length = u64::try_from(buffer.size()).unwrap() / 4;
        assert!(length <= 147, "a period is 146.99 frames: {length}");
        assert_eq!(buffer.offset(), frames);
        let pts = buffer.pts().unwrap();
        assert!(pts.nseconds().abs_diff(end.nseconds()) <= 1, "{pts} {end}");
        frames += length;
        assert_eq!(buffer.offset_end(), frames);
        end = pts + buffer.duration().unwrap();
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            discontinuities += 1;
        }
    }
    assert_eq!(frames, 10 * 1001);
    assert_eq!(discontinuities, 10, "one for each buffer that came with one");
}

#[test]
fn shapes_give_their_curves() {
    for (shape, halfway) in [
        (FxControlShape::Linear, 0.55),
        (FxControlShape::Step, 1.0),
        (FxControlShape::Cosine, 0.55),
        (FxControlShape::Exponential, 0.1f64.sqrt()),
    ] {
        let mut rig = Rig::audio(&[("fx", "volume name=fx volume=0.1")]);
        let refused: Option<String> = rig
            .element
            .emit_by_name("control-shaped", &[&"fx", &"volume", &1.0f64, &(40 * MS), &shape]);
        assert_eq!(refused, None);
        for ms in [0, 20, 40] {
            rig.push_constant(ms, 1.0);
        }
        let gains = gains(&mut rig);
        assert!((gains[960].2 - halfway).abs() < 1e-6, "{shape:?} {}", gains[960].2);
        assert!((gains[1920].2 - 1.0).abs() < 1e-6, "{shape:?}");
    }
}

#[test]
fn an_interrupting_ramp_goes_on_from_the_value_reached() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx volume=0.0")]);
    assert_eq!(rig.control("fx", "volume", 1.0, 100), None);
    for ms in [0, 20] {
        rig.push_constant(ms, 1.0);
    }
    assert_eq!(rig.control("fx", "volume", 0.0, 100), None);
    for ms in [40, 60, 80, 100, 120, 140] {
        rig.push_constant(ms, 1.0);
    }
    for (piece, at, gain) in gains(&mut rig) {
        let time = seconds(piece);
        let line = if time < 0.04 { time * 10.0 } else { (0.4 - (time - 0.04) * 4.0).max(0.0) };
        assert!((gain - line).abs() < 1e-6, "{at}: {gain} {line}");
    }
    assert_eq!(
        rig.told(),
        [
            "accepted 1",
            "started 1 @0",
            "applied 0 @0",
            "accepted 0",
            "finished 0.4 @40",
            "started 0 @40",
            "applied 0.4 @40",
            "applied 0 @140",
            "finished 0 @140"
        ]
    );
}

#[test]
fn a_timeline_does_the_same_at_its_own_times() {
    let timeline = "0.0305 fx volume 0.5; 0.05 fx mute true\n 0.06 fx mute false";
    let mut rig = Rig::audio(&[("fx", "volume name=fx"), ("timeline", timeline)]);
    for ms in [0, 20, 40, 60] {
        rig.push_constant(ms, 1.0);
    }
    for (_, at, gain) in gains(&mut rig) {
        let wanted = match at {
            0..30_500_000 => 1.0,
            50_000_000..60_000_000 => 0.0,
            _ => 0.5,
        };
        assert!((gain - wanted).abs() < 1e-6, "{at}: {gain}");
    }
    let applied: Vec<_> =
        rig.told().into_iter().filter(|line| line.starts_with("applied")).collect();
    assert_eq!(applied, ["applied 0.5 @30", "applied true @50", "applied false @60"]);
}

#[test]
fn a_timeline_that_begins_before_the_media_is_where_it_should_be() {
    let properties = [("fx", "volume name=fx volume=0"), ("timeline", "0 fx volume 1 1")];
    let mut rig = Rig::audio(&properties);
    rig.push_constant(500, 1.0);
    assert!((gains(&mut rig)[0].2 - 0.5).abs() < 1e-6);
}

#[test]
fn each_effect_of_a_chain_takes_its_own_commands() {
    let mut rig = Rig::audio(&[("fx", "volume name=a ! audioamplify name=b ! volume name=c")]);
    assert_eq!(rig.control("a", "volume", 2.0, 0), None);
    assert_eq!(rig.control("b", "amplification", 3.0, 0), None);
    assert_eq!(rig.control("c", "volume", 0.0, 20), None);
    rig.push_constant(0, 0.1);
    rig.push_constant(20, 0.1);
    let gains = gains(&mut rig);
    assert!((gains[0].2 - 0.6).abs() < 1e-6);
    assert!((gains[480].2 - 0.3).abs() < 1e-6);
    assert!(gains[960].2.abs() < 1e-6);
}

#[test]
fn a_ramp_of_whole_numbers_is_rounded_and_ends_exactly() {
    let mut rig = Rig::video(&[("fx", "agingtv name=fx scratch-lines=0")]);
    assert_eq!(rig.control("fx", "scratch-lines", 7.0, 160), None);
    let effect = rig.effect("fx");
    let reached: Vec<u32> = (0..6)
        .map(|number| {
            rig.push_frame(number * 40, 100);
            effect.property("scratch-lines")
        })
        .collect();
    assert_eq!(reached, [0, 2, 4, 5, 7, 7]);
}

#[test]
fn video_moves_at_each_frame() {
    let mut rig = Rig::video(&[("fx", "videobalance name=fx")]);
    rig.push_frame(0, 100);
    assert_eq!(rig.control("fx", "brightness", 0.4, 160), None);
    for ms in (40..=240).step_by(40) {
        rig.push_frame(ms, 100);
    }
    let lumas = rig.lumas();
    assert_eq!(lumas.len(), 7);
    let at = |place: usize| lumas[place].1;
    assert!((at(0) - at(1)).abs() < 0.5, "the ramp begins at the second frame");
    let rise = at(5) - at(1);
    assert!(rise > 80.0, "{lumas:?}");
    for (place, part) in [(2, 0.25), (3, 0.5), (4, 0.75), (5, 1.0), (6, 1.0)] {
        assert!((at(place) - at(1) - part * rise).abs() < 2.0, "{lumas:?}");
    }
}

#[test]
fn booleans_enums_and_texts_are_steps() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx")]);
    assert_eq!(rig.control("fx", "mute", 1.0, 1000), None);
    rig.push_constant(0, 1.0);
    assert_eq!(rig.control_text("fx", "mute", "false"), None);
    rig.push_constant(20, 1.0);
    let gains = gains(&mut rig);
    assert!(gains[0].2.abs() < 1e-6 && (gains[960].2 - 1.0).abs() < 1e-6);

    let mut rig = Rig::video(&[("fx", "coloreffects name=fx")]);
    rig.push_frame(0, 60);
    assert_eq!(rig.control_text("fx", "preset", "heat"), None);
    rig.push_frame(40, 60);
    assert_eq!(rig.control("fx", "preset", 0.0, 0), None);
    rig.push_frame(80, 60);
    let lumas = rig.lumas();
    assert!((lumas[0].1 - 60.0).abs() < 1.5, "{lumas:?}");
    assert!((lumas[1].1 - 60.0).abs() > 5.0, "{lumas:?}");
    assert!((lumas[2].1 - 60.0).abs() < 1.5, "{lumas:?}");
    let told = rig.told();
    assert!(told.contains(&"applied heat @40".to_owned()), "{told:?}");
    assert!(told.contains(&"applied none @80".to_owned()), "{told:?}");
}

#[test]
fn commands_from_many_threads_are_cheap_and_the_last_one_holds() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx ! audioamplify name=b")]);
    let element = rig.element.clone();
    let start = std::time::Instant::now();
    let threads: Vec<_> = [("fx", "volume"), ("b", "amplification")]
        .map(|(name, property)| {
            let element = element.clone();
            std::thread::spawn(move || {
                for number in 0..5000u64 {
                    let value = if number == 4999 { 0.5 } else { 1.0 };
                    let duration = number % 2 * 10 * MS;
                    let refused: Option<String> =
                        element.emit_by_name("control", &[&name, &property, &value, &duration]);
                    assert_eq!(refused, None);
                }
            })
        })
        .into();
    for number in 0..50 {
        rig.push_constant(number * 20, 1.0);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let spent = start.elapsed();
    assert!(spent < std::time::Duration::from_secs(5), "{spent:?}");
    for number in 50..55 {
        rig.push_constant(number * 20, 1.0);
    }
    let gains = gains(&mut rig);
    assert!((gains.last().unwrap().2 - 0.25).abs() < 1e-6);
}

#[test]
fn an_applied_value_is_told_at_first_at_last_and_ten_times_a_second() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx volume=0")]);
    assert_eq!(rig.control("fx", "volume", 1.0, 1000), None);
    for ms in (0..1100).step_by(20) {
        rig.push_constant(ms, 1.0);
    }
    let messages = rig.messages();
    let applied: Vec<_> =
        messages.iter().filter(|message| message.name() == "fxcontrol-applied").collect();
    assert_eq!(applied.len(), 11);
    for message in &applied {
        let value: f64 = message.get::<&str>("value").unwrap().parse().unwrap();
        let time: u64 = message.get("running-time").unwrap();
        assert!((value - seconds(time)).abs() < 1e-9, "{message}");
    }
    let ids: Vec<u64> = messages.iter().map(|message| message.get("command").unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}
