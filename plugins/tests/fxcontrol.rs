// SPDX-License-Identifier: MPL-2.0

//! Properties that move: by the samples and pictures that come out.

#![allow(clippy::unwrap_used)]

mod fxcontrol_rig;

use fxcontrol_rig::{MS, RATE, Rig, assert_contiguous, goertzel, init};
use gst::glib;
use gst::prelude::*;
use gstducksoup::fxcontrol::{FxControl, FxControlShape, FxError, Input};

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
    let lengths: Vec<_> = rig
        .pieces()
        .iter()
        .map(|piece| piece.samples.len())
        .collect();
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
    assert_eq!(
        discontinuities, 10,
        "one for each buffer that came with one"
    );
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
        let refused: Option<String> = rig.element.emit_by_name(
            "control-shaped",
            &[&"fx", &"volume", &1.0f64, &(40 * MS), &shape],
        );
        assert_eq!(refused, None);
        for ms in [0, 20, 40] {
            rig.push_constant(ms, 1.0);
        }
        let gains = gains(&mut rig);
        assert!(
            (gains[960].2 - halfway).abs() < 1e-6,
            "{shape:?} {}",
            gains[960].2
        );
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
        let line = if time < 0.04 {
            time * 10.0
        } else {
            (0.4 - (time - 0.04) * 4.0).max(0.0)
        };
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
    let applied: Vec<_> = rig
        .told()
        .into_iter()
        .filter(|line| line.starts_with("applied"))
        .collect();
    assert_eq!(
        applied,
        ["applied 0.5 @30", "applied true @50", "applied false @60"]
    );
}

#[test]
fn a_timeline_that_begins_before_the_media_is_where_it_should_be() {
    let properties = [
        ("fx", "volume name=fx volume=0"),
        ("timeline", "0 fx volume 1 1"),
    ];
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
    assert!(
        (at(0) - at(1)).abs() < 0.5,
        "the ramp begins at the second frame"
    );
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
fn a_text_that_names_a_file_of_the_folders_is_set_and_told_as_it_was_said() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("white.png");
    let line = format!(
        "videotestsrc num-buffers=1 pattern=white ! video/x-raw,width=16,height=16 ! pngenc ! filesink location={}",
        picture.display()
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus
        .timed_pop_filtered(gst::ClockTime::from_seconds(10), &end)
        .unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();

    let folders = folder.path().to_str().unwrap();
    let mut rig = Rig::video(&[("fx", "gdkpixbufoverlay name=fx"), ("folders", folders)]);
    rig.push_frame(0, 50);
    assert!(rig.control_text("fx", "location", "/etc/passwd").is_some());
    rig.push_frame(40, 50);
    assert_eq!(rig.control_text("fx", "location", "white.png"), None);
    rig.push_frame(80, 50);
    let lumas = rig.lumas();
    assert!((lumas[1].1 - 50.0).abs() < 1.5, "{lumas:?}");
    assert!(lumas[2].1 > 200.0, "{lumas:?}");
    let told = rig.told();
    assert_eq!(told[0], "refused /etc/passwd");
    assert!(
        told.contains(&"applied white.png @80".to_owned()),
        "{told:?}"
    );
    assert!(!told.join(" ").contains(folders));
}

#[test]
fn a_refused_command_says_why_and_changes_nothing() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx ! level name=meter")]);
    for (name, property, value, reason) in [
        ("gx", "volume", 1.0, "no effect has the name \"gx\""),
        ("fx", "loudness", 1.0, "\"fx\" has no property \"loudness\""),
        (
            "fx",
            "volume",
            10.5,
            "\"volume\" of \"fx\": 10.5 is outside 0 to 10",
        ),
        (
            "fx",
            "volume",
            -1.0,
            "\"volume\" of \"fx\": -1 is outside 0 to 10",
        ),
        (
            "fx",
            "volume",
            f64::NAN,
            "\"volume\" of \"fx\": the value is not finite",
        ),
        (
            "fx",
            "volume",
            f64::INFINITY,
            "\"volume\" of \"fx\": the value is not finite",
        ),
        (
            "fx",
            "mute",
            0.5,
            "\"mute\" of \"fx\": \"0.5\" is not true or false",
        ),
        (
            "fx",
            "name",
            1.0,
            "\"name\" of \"fx\": it is not part of the effect",
        ),
        ("gate.0", "name", 1.0, "no effect has the name \"gate.0\""),
    ] {
        assert_eq!(
            rig.control(name, property, value, 5).as_deref(),
            Some(reason)
        );
        let refused = rig.messages().pop().unwrap();
        assert_eq!(refused.name(), "fxcontrol-refused");
        assert_eq!(refused.get::<&str>("reason"), Ok(reason));
        assert_eq!(refused.get::<&str>("property"), Ok(property));
    }
    let text = rig.control_text("fx", "volume", "loud");
    assert_eq!(
        text.as_deref(),
        Some("\"volume\" of \"fx\": \"loud\" is not a number")
    );
    let null: Option<String> = rig
        .element
        .emit_by_name("control", &[&None::<String>, &"volume", &1.0f64, &0u64]);
    assert_eq!(null.as_deref(), Some("an argument is missing"));
    let control = rig.element.downcast_ref::<FxControl>().unwrap();
    assert_eq!(
        control.control(
            "gx",
            "volume",
            Input::Number(1.0),
            0,
            FxControlShape::Linear
        ),
        Err(FxError::UnknownEffect("gx".into()))
    );
    rig.push_constant(0, 1.0);
    assert!((gains(&mut rig)[0].2 - 1.0).abs() < 1e-6);
}

#[test]
fn a_command_before_there_is_an_effect_is_refused() {
    init();
    let element = gst::ElementFactory::make("fxcontrol")
        .property("fx", "volume")
        .build()
        .unwrap();
    let refused: Option<String> =
        element.emit_by_name("control", &[&"volume0", &"volume", &1.0f64, &0u64]);
    assert_eq!(refused.as_deref(), Some("there is no effect yet"));
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
    let applied: Vec<_> = messages
        .iter()
        .filter(|message| message.name() == "fxcontrol-applied")
        .collect();
    assert_eq!(applied.len(), 11);
    for message in &applied {
        let value: f64 = message.get::<&str>("value").unwrap().parse().unwrap();
        let time: u64 = message.get("running-time").unwrap();
        assert!((value - seconds(time)).abs() < 1e-9, "{message}");
    }
    let ids: Vec<u64> = messages
        .iter()
        .map(|message| message.get("command").unwrap())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
}

#[test]
fn an_empty_chain_hands_on_the_very_same_buffer() {
    let mut rig = Rig::audio(&[]);
    let buffer = gst::Buffer::from_slice([0u8; 64]);
    let before = buffer.as_ptr();
    rig.harness.push(buffer).unwrap();
    assert_eq!(rig.harness.pull().unwrap().as_ptr(), before);
}

#[test]
fn any_raw_format_goes_in_and_what_is_wanted_comes_out() {
    init();
    for (fx, line) in [
        // pitch takes one format only; smallest and widest formats, planar and many channels
        (
            "pitch pitch=1.1",
            "audiotestsrc num-buffers=5 ! audio/x-raw,format=U8,rate=8000,channels=1",
        ),
        (
            "pitch ! audiokaraoke",
            "audiotestsrc num-buffers=5 ! audio/x-raw,format=S32LE,channels=2",
        ),
        (
            "audiopanorama",
            "audiotestsrc num-buffers=5 ! audio/x-raw,format=F64LE,layout=non-interleaved,channels=1",
        ),
        (
            "edgetv",
            "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=64,height=48",
        ),
        (
            "videocrop left=9 ! agingtv",
            "videotestsrc num-buffers=5 ! video/x-raw,format=NV12,width=64,height=48",
        ),
        (
            "videoflip method=clockwise",
            "videotestsrc num-buffers=5 ! video/x-raw,format=GRAY8,width=64,height=48",
        ),
    ] {
        let caps = line.split(" ! ").nth(1).unwrap();
        let line =
            format!("{line} ! fxcontrol fx=\"{fx}\" ! {caps} ! fakesink name=out sync=false");
        let pipeline = gst::parse::launch(&line).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let end = [gst::MessageType::Eos, gst::MessageType::Error];
        let bus = pipeline.bus().unwrap();
        let message = bus
            .timed_pop_filtered(gst::ClockTime::from_seconds(10), &end)
            .unwrap();
        assert_eq!(message.type_(), gst::MessageType::Eos, "{fx}: {message:?}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn pitch_moves_a_tone() {
    let mut rig = Rig::audio(&[("fx", "pitch pitch=1.5 name=fx")]);
    let step = 2.0 * std::f32::consts::PI * 400.0 / 48000.0;
    for number in 0u16..100 {
        let tone: Vec<f32> = (0..960u32)
            .map(|place| {
                (step * f32::from(u16::try_from(u32::from(number) * 960 % 120 + place).unwrap()))
                    .sin()
            })
            .collect();
        rig.push(u64::from(number) * 20, &tone);
    }
    let samples: Vec<f32> = rig
        .pieces()
        .into_iter()
        .flat_map(|piece| piece.samples)
        .collect();
    let middle = &samples[24_000..72_000];
    assert!(goertzel(middle, 600.0) > 50.0 * goertzel(middle, 400.0));
}

#[test]
fn quality_of_service_ends_here_and_other_events_pass() {
    let mut rig = Rig::video(&[("fx", "videobalance name=fx")]);
    rig.push_frame(0, 100);
    while rig.harness.try_pull_upstream_event().is_some() {}
    let late = gst::event::Qos::builder(gst::QOSType::Underflow, 0.1, 1_000_000_000)
        .timestamp(gst::ClockTime::from_seconds(1));
    rig.harness.push_upstream_event(late.build());
    let key = gst::event::CustomUpstream::new(gst::Structure::new_empty("anything"));
    rig.harness.push_upstream_event(key);
    let events: Vec<_> = std::iter::from_fn(|| rig.harness.try_pull_upstream_event())
        .map(|event| event.type_())
        .collect();
    assert_eq!(events, [gst::EventType::CustomUpstream]);
    for ms in (40..400).step_by(40) {
        rig.push_frame(ms, 100);
    }
    assert_eq!(rig.lumas().len(), 10, "none is dropped for being late");
}

#[test]
fn stopping_and_starting_gives_a_fresh_chain_and_timeline() {
    let properties = [("fx", "volume name=fx"), ("timeline", "0.02 fx volume 0.5")];
    let mut rig = Rig::audio(&properties);
    for _ in 0..2 {
        for ms in [0, 20] {
            rig.push_constant(ms, 1.0);
        }
        let gains = gains(&mut rig);
        assert!((gains[0].2 - 1.0).abs() < 1e-6 && (gains[960].2 - 0.5).abs() < 1e-6);
        rig.element.set_state(gst::State::Ready).unwrap();
        rig.element.set_property("fx", "volume name=fx volume=1");
        rig.element.set_state(gst::State::Playing).unwrap();
        rig.harness.set_src_caps_str(fxcontrol_rig::MONO);
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        rig.harness.push_event(gst::event::Segment::new(&segment));
    }
    rig.element.set_state(gst::State::Null).unwrap();
    let bin = rig.element.downcast_ref::<gst::Bin>().unwrap();
    assert_eq!(bin.children().len(), 0);
    rig.element.set_state(gst::State::Playing).unwrap();
}

#[test]
fn a_flush_that_resets_time_begins_the_timeline_anew() {
    let properties = [
        ("fx", "volume name=fx"),
        ("timeline", "0 fx volume 1; 0.02 fx volume 0.5"),
    ];
    let mut rig = Rig::audio(&properties);
    for _ in 0..2 {
        rig.push_constant(0, 1.0);
        rig.push_constant(20, 1.0);
        let gains = gains(&mut rig);
        assert!((gains[0].2 - 1.0).abs() < 1e-6 && (gains[960].2 - 0.5).abs() < 1e-6);
        rig.harness.push_event(gst::event::FlushStart::new());
        rig.harness.push_event(gst::event::FlushStop::new(true));
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        rig.harness.push_event(gst::event::Segment::new(&segment));
    }
}

#[test]
fn the_shape_of_a_ramp_is_a_registered_enum() {
    init();
    let class = glib::EnumClass::new::<FxControlShape>();
    let nicks: Vec<_> = class.values().iter().map(glib::EnumValue::nick).collect();
    assert_eq!(nicks, ["linear", "step", "cosine", "exponential"]);
}
