// SPDX-License-Identifier: MPL-2.0

//! Around the moving properties: refusals, formats, events, starting and stopping.

#![allow(clippy::unwrap_used)]

mod fxcontrol_rig;

use fxcontrol_rig::{Rig, goertzel, init};
use gst::glib;
use gst::prelude::*;
use gstducksoup::fxcontrol::{FxControl, FxControlShape, FxError, Input};

/// The first samples of the buffers that came out.
fn gains(rig: &mut Rig) -> Vec<f32> {
    rig.pieces().iter().map(|piece| piece.samples[0]).collect()
}

fn assert_gains(rig: &mut Rig, wanted: &[f32]) {
    let gains = gains(rig);
    assert_eq!(gains.len(), wanted.len());
    let far = gains.iter().zip(wanted).filter(|(gain, wanted)| (*gain - *wanted).abs() > 1e-6);
    assert_eq!(far.count(), 0, "{gains:?} {wanted:?}");
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
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &end).unwrap();
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
    assert!(told.contains(&"applied white.png @80".to_owned()), "{told:?}");
    assert!(!told.join(" ").contains(folders));
}

#[test]
fn a_refused_command_says_why_and_changes_nothing() {
    let mut rig = Rig::audio(&[("fx", "volume name=fx ! level name=meter")]);
    for (name, property, value, reason) in [
        ("gx", "volume", 1.0, "no effect has the name \"gx\""),
        ("fx", "loudness", 1.0, "\"fx\" has no property \"loudness\""),
        ("fx", "volume", 10.5, "\"volume\" of \"fx\": 10.5 is outside 0 to 10"),
        ("fx", "volume", -1.0, "\"volume\" of \"fx\": -1 is outside 0 to 10"),
        ("fx", "volume", f64::NAN, "\"volume\" of \"fx\": the value is not finite"),
        ("fx", "volume", f64::INFINITY, "\"volume\" of \"fx\": the value is not finite"),
        ("fx", "mute", 0.5, "\"mute\" of \"fx\": \"0.5\" is not true or false"),
        ("fx", "name", 1.0, "\"name\" of \"fx\": it is not part of the effect"),
        ("gate.0", "name", 1.0, "no effect has the name \"gate.0\""),
    ] {
        assert_eq!(rig.control(name, property, value, 5).as_deref(), Some(reason));
        let refused = rig.messages().pop().unwrap();
        assert_eq!(refused.name(), "fxcontrol-refused");
        assert_eq!(refused.get::<&str>("reason"), Ok(reason));
        assert_eq!(refused.get::<&str>("property"), Ok(property));
    }
    let text = rig.control_text("fx", "volume", "loud");
    assert_eq!(text.as_deref(), Some("\"volume\" of \"fx\": \"loud\" is not a number"));
    let null: Option<String> =
        rig.element.emit_by_name("control", &[&None::<String>, &"volume", &1.0f64, &0u64]);
    assert_eq!(null.as_deref(), Some("an argument is missing"));
    let control = rig.element.downcast_ref::<FxControl>().unwrap();
    assert_eq!(
        control.control("gx", "volume", Input::Number(1.0), 0, FxControlShape::Linear),
        Err(FxError::UnknownEffect("gx".into()))
    );
    rig.push_constant(0, 1.0);
    assert_gains(&mut rig, &[1.0]);
}

#[test]
fn a_command_before_there_is_an_effect_is_refused() {
    init();
    let element = gst::ElementFactory::make("fxcontrol").property("fx", "volume").build().unwrap();
    let refused: Option<String> =
        element.emit_by_name("control", &[&"volume0", &"volume", &1.0f64, &0u64]);
    assert_eq!(refused.as_deref(), Some("there is no effect yet"));
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
        ("edgetv", "videotestsrc num-buffers=5 ! video/x-raw,format=I420,width=64,height=48"),
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
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &end).unwrap();
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
    let samples: Vec<f32> = rig.pieces().into_iter().flat_map(|piece| piece.samples).collect();
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

/// Stops the element and starts it again on the same media.
fn restart(rig: &mut Rig, between: impl Fn(&gst::Element)) {
    rig.element.set_state(gst::State::Ready).unwrap();
    between(&rig.element);
    rig.element.set_state(gst::State::Playing).unwrap();
    rig.harness.set_src_caps_str(fxcontrol_rig::MONO);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    rig.harness.push_event(gst::event::Segment::new(&segment));
}

#[test]
fn stopping_and_starting_gives_a_fresh_chain_and_timeline() {
    let properties = [("fx", "volume name=fx"), ("timeline", "0.02 fx volume 0.5")];
    let mut rig = Rig::audio(&properties);
    for _ in 0..2 {
        rig.push_constant(0, 1.0);
        rig.push_constant(20, 1.0);
        assert_gains(&mut rig, &[1.0, 0.5]);
        restart(&mut rig, |_| {});
    }
    restart(&mut rig, |element| element.set_property("fx", "volume name=fx volume=2"));
    // A change while media flows is left for nobody: the effect stays.
    rig.element.set_property("fx", "volume name=fx volume=3");
    rig.push_constant(0, 1.0);
    assert_gains(&mut rig, &[2.0]);
    assert_eq!(rig.element.property::<String>("fx"), "volume name=fx volume=2");
    rig.element.set_state(gst::State::Null).unwrap();
    let bin = rig.element.downcast_ref::<gst::Bin>().unwrap();
    assert_eq!(bin.children().len(), 0);
    rig.element.set_state(gst::State::Playing).unwrap();
}

#[test]
fn a_flush_that_resets_time_begins_the_timeline_anew() {
    let properties = [("fx", "volume name=fx"), ("timeline", "0 fx volume 1; 0.02 fx volume 0.5")];
    let mut rig = Rig::audio(&properties);
    for _ in 0..2 {
        rig.push_constant(0, 1.0);
        rig.push_constant(20, 1.0);
        assert_gains(&mut rig, &[1.0, 0.5]);
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

#[test]
fn an_overlay_gives_plain_pictures_even_to_an_element_that_takes_anything() {
    init();
    let line = "videotestsrc num-buffers=5 ! fxcontrol fx=dvbsuboverlay ! fakesink name=out";
    let pipeline = gst::parse::launch(line).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &end).unwrap();
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    let out = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("out").unwrap();
    let caps = out.static_pad("sink").unwrap().current_caps().unwrap();
    assert!(
        caps.features(0)
            .is_none_or(|features| !features.contains("meta:GstVideoOverlayComposition"))
    );
    pipeline.set_state(gst::State::Null).unwrap();
}
