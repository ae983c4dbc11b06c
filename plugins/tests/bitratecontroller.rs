// SPDX-License-Identifier: MPL-2.0

//! bitratecontroller under a test clock: what the encoder is told, and when.

#![allow(clippy::unwrap_used)]

use gst::prelude::*;
use gst_check::Harness;
use gstducksoup::estimate;
use std::sync::Once;

const MS: u64 = 1_000_000;

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

/// A chain that ends in the element, with a clock that moves only when told.
struct Bench {
    harness: Harness,
    bus: gst::Bus,
    chain: gst::Bin,
    now: u64,
}

impl Bench {
    /// `encoder` and what follows it, up to the element under test with its `settings`.
    fn new(encoder: &str, settings: &str, caps: &str) -> Self {
        init();
        let chain = gst::parse::bin_from_description(
            &format!("{encoder} ! bitratecontroller name=controller {settings}"),
            true,
        )
        .unwrap();
        let bus = gst::Bus::new();
        let mut harness = Harness::with_element(&chain, Some("sink"), Some("src"));
        harness.use_testclock();
        chain.set_bus(Some(&bus));
        harness.set_src_caps_str(caps);
        Self { harness, bus, chain, now: 0 }
    }

    /// Packets that pass, without an encoder that could be found.
    fn bare(settings: &str) -> Self {
        Self::new("identity", settings, "application/x-packets")
    }

    fn video(encoder: &str, settings: &str) -> Self {
        Self::new(
            &format!("{encoder} name=encoder"),
            settings,
            "video/x-raw,format=I420,width=64,height=64,framerate=25/1",
        )
    }

    fn get(&self, element: &str, property: &str) -> u32 {
        let value = self.chain.by_name(element).unwrap().property_value(property);
        value.get::<u32>().or_else(|_| value.get::<i32>().map(|value| value as u32)).unwrap()
    }

    fn target(&self) -> u32 {
        self.get("controller", "bitrate")
    }

    fn set(&self, property: &str, value: u32) {
        self.chain.by_name("controller").unwrap().set_property(property, value);
    }

    fn advance_to(&mut self, now: u64) {
        self.now = now;
        self.harness.testclock().unwrap().set_time(gst::ClockTime::from_nseconds(now));
    }

    fn estimate(&mut self, bitrate: u32) {
        assert!(self.harness.push_upstream_event(estimate::event(bitrate)));
    }

    /// A packet, now.
    fn packet(&mut self, size: usize) {
        let mut buffer = gst::Buffer::from_mut_slice(vec![0x55; size]);
        let fields = buffer.get_mut().unwrap();
        fields.set_pts(gst::ClockTime::from_nseconds(self.now));
        fields.set_duration(gst::ClockTime::from_mseconds(40));
        self.harness.push(buffer).unwrap();
    }

    /// A 64×64 picture, now.
    fn picture(&mut self) {
        self.packet(64 * 64 * 3 / 2);
    }

    fn messages(&self, name: &str) -> Vec<gst::Structure> {
        let mut found = vec![];
        while let Some(message) = self.bus.pop() {
            assert_ne!(message.type_(), gst::MessageType::Error, "{message:?}");
            if let Some(structure) = message.structure()
                && structure.name() == name
            {
                found.push(structure.to_owned());
            }
        }
        found
    }

    fn warnings(&self) -> usize {
        std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Warning])).count()
    }
}

#[test]
fn x264enc_is_steered_in_kilobits_along_the_policys_line() {
    steer("x264enc tune=zerolatency", "bitrate", 1000);
}

#[test]
fn vp8enc_is_steered_in_bits_along_the_policys_line() {
    steer("vp8enc deadline=1", "target-bitrate", 1);
}

/// `unit`: how many bit/s one of the property is.
fn steer(encoder: &str, property: &str, unit: u32) {
    let mut bench = Bench::video(encoder, "bitrate=800000");
    // In kbit/s: vp8enc gives back whole ones only.
    let told = |bench: &Bench| bench.get("encoder", property) * unit / 1000;
    assert_eq!(told(&bench), 800, "the start value");
    // Each step: when, what is heard, and what the encoder is told then.
    let line = [
        (0, None, 800_000),
        (40, Some(500_000), 500_000),
        (80, Some(300_000), 500_000),
        (280, None, 500_000),
        (290, None, 300_000),
        (320, Some(1_000_000), 300_000),
        // The low estimate is old.
        (540, None, 400_000),
        (780, None, 400_000),
        (790, None, 533_333),
        (1040, None, 711_110),
        // Rubbish is not heard; the million stands.
        (1060, Some(0), 711_110),
        (1080, Some(u32::MAX), 711_110),
        (1290, None, 948_146),
        (1310, Some(10_000), 948_146),
        // Below the minimum.
        (1540, None, 150_000),
        (1790, Some(153_000), 150_000),
    ];
    for (at, heard, expected) in line {
        bench.advance_to(at * MS);
        if let Some(bitrate) = heard {
            bench.estimate(bitrate);
        }
        bench.picture();
        assert_eq!(bench.target(), expected, "at {at} ms");
        assert_eq!(told(&bench), expected / 1000, "at {at} ms");
    }
    let changes: Vec<(u32, u32)> = bench
        .messages("bitratecontroller-target")
        .iter()
        .map(|change| (change.get("previous").unwrap(), change.get("target").unwrap()))
        .collect();
    assert_eq!(
        changes,
        [
            (800_000, 500_000),
            (500_000, 300_000),
            (300_000, 400_000),
            (400_000, 533_333),
            (533_333, 711_110),
            (711_110, 948_146),
            (948_146, 150_000),
        ]
    );
}

#[test]
fn an_estimate_is_acted_on_without_waiting_for_a_buffer() {
    let mut bench = Bench::video("x264enc tune=zerolatency", "");
    bench.estimate(400_000);
    assert_eq!(bench.get("encoder", "bitrate"), 400);
}

#[test]
fn estimates_end_here_and_other_events_pass() {
    let mut bench = Bench::bare("");
    bench.packet(1);
    while bench.harness.try_pull_upstream_event().is_some() {}
    bench.estimate(500_000);
    bench.harness.push_upstream_event(gst::event::CustomUpstream::new(gst::Structure::new_empty(
        "GstForceKeyUnit",
    )));
    let event = bench.harness.try_pull_upstream_event().unwrap();
    assert_eq!(event.structure().unwrap().name(), "GstForceKeyUnit");
    assert!(bench.harness.try_pull_upstream_event().is_none());
}

#[test]
fn buffers_pass_unchanged() {
    let mut bench = Bench::bare("");
    for size in [1, 1200, 100_000] {
        let buffer = gst::Buffer::from_mut_slice(vec![size as u8; size]);
        let sent = buffer.as_ptr();
        bench.harness.push(buffer).unwrap();
        assert_eq!(bench.harness.pull().unwrap().as_ptr(), sent);
    }
}

#[test]
fn the_measured_rate_is_that_of_the_last_second() {
    let mut bench = Bench::bare("");
    // 25 packets of 1000 bytes a second, then 50 of 500 bytes, then silence.
    for n in 0..50 {
        bench.advance_to(n * 40 * MS);
        bench.packet(1000);
    }
    assert_eq!(bench.get("controller", "measured"), 200_000);
    for n in 100..150 {
        bench.advance_to(n * 20 * MS);
        bench.packet(250);
    }
    assert_eq!(bench.get("controller", "measured"), 100_000);
    bench.advance_to(3480 * MS);
    assert_eq!(bench.get("controller", "measured"), 50_000);
    bench.advance_to(3980 * MS);
    assert_eq!(bench.get("controller", "measured"), 0);
    let posted: Vec<u32> = bench
        .messages("bitratecontroller-measured")
        .iter()
        .map(|message| message.get("measured").unwrap())
        .collect();
    // At 1 s and at 2 s: the second one holds 24 packets of 1000 bytes and the first of 250.
    assert_eq!(posted, [200_000, 194_000]);
}

#[test]
fn the_start_value_is_within_the_limits_and_there_before_the_encoder_opens() {
    let bench = Bench::video("vp8enc deadline=1", "bitrate=5000000 max=2000000");
    assert_eq!(bench.get("encoder", "target-bitrate"), 2_000_000);
    assert_eq!(bench.target(), 2_000_000);
    // In a pipeline that only goes to READY.
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc ! x264enc name=encoder ! h264parse ! bitratecontroller bitrate=123456 min=1000 \
         ! fakesink",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    pipeline.set_state(gst::State::Ready).unwrap();
    let encoder = pipeline.by_name("encoder").unwrap();
    assert_eq!(encoder.property::<u32>("bitrate"), 123);
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_bitrate_set_while_playing_counts_at_once_within_the_limits() {
    let mut bench = Bench::video("x264enc tune=zerolatency", "");
    bench.picture();
    bench.set("bitrate", 1_200_000);
    assert_eq!(bench.get("encoder", "bitrate"), 1200);
    bench.set("bitrate", 1);
    assert_eq!(bench.get("encoder", "bitrate"), 150);
    // The limits may move too; they count with the next buffer.
    bench.set("min", 400_000);
    bench.picture();
    assert_eq!(bench.get("encoder", "bitrate"), 400);
    bench.set("min", 0);
    bench.set("max", 300_000);
    bench.advance_to(250 * MS);
    bench.picture();
    assert_eq!(bench.get("encoder", "bitrate"), 300);
}

#[test]
fn an_encoder_is_found_through_parsers_queues_and_bins() {
    init();
    let cases = [
        "videotestsrc ! x264enc name=e ! h264parse ! capsfilter caps=video/x-h264 ! queue \
         ! identity ! bitratecontroller ! fakesink",
        "videotestsrc ! x264enc name=e ! rtph264pay ! bitratecontroller ! fakesink",
        "videotestsrc ! bin.( identity ! x264enc name=e ! h264parse ) ! bitratecontroller ! fakesink",
        "videotestsrc ! x264enc name=e ! bin.( identity ! bitratecontroller ) ! fakesink",
        "videotestsrc ! x264enc name=e ! tee name=t ! bitratecontroller ! fakesink",
    ];
    for line in cases {
        let pipeline = gst::parse::launch(line).unwrap().downcast::<gst::Pipeline>().unwrap();
        pipeline.set_state(gst::State::Ready).unwrap();
        let encoder = pipeline.by_name("e").unwrap();
        assert_eq!(encoder.property::<u32>("bitrate"), 800, "{line}");
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn an_encoder_that_takes_anothers_place_is_steered_from_its_stream_start() {
    init();
    let make = |factory: &str| gst::ElementFactory::make(factory).build().unwrap();
    let (first, second) = (make("x264enc"), make("x264enc"));
    let controller = make("bitratecontroller");
    controller.set_property("bitrate", 500_000_u32);
    first.link(&controller).unwrap();
    controller.set_state(gst::State::Paused).unwrap();
    assert_eq!(first.property::<u32>("bitrate"), 500);
    first.unlink(&controller);
    second.link(&controller).unwrap();
    let sink = controller.static_pad("sink").unwrap();
    sink.send_event(gst::event::StreamStart::new("second"));
    assert_eq!(second.property::<u32>("bitrate"), 500);
    let source = controller.static_pad("src").unwrap();
    source.send_event(estimate::event(300_000));
    assert_eq!(first.property::<u32>("bitrate"), 500);
    assert_eq!(second.property::<u32>("bitrate"), 300);
    controller.set_state(gst::State::Null).unwrap();
}

#[test]
fn without_an_encoder_it_warns_once_and_passes_everything() {
    let mut bench = Bench::bare("");
    for n in 0..50 {
        bench.advance_to(n * 40 * MS);
        bench.packet(100);
        bench.estimate(300_000);
    }
    assert_eq!(bench.harness.buffers_received(), 50);
    assert_eq!(bench.warnings(), 1);
    // The target is still known, to whoever asks.
    assert_eq!(bench.target(), 300_000);
}

#[test]
fn every_encoder_here_can_be_told_from_its_own_thread() {
    let encoders = [
        ("x264enc tune=zerolatency", "bitrate"),
        ("x265enc tune=zerolatency speed-preset=ultrafast", "bitrate"),
        ("openh264enc", "bitrate"),
        ("vp8enc deadline=1", "target-bitrate"),
        ("vp9enc deadline=1 cpu-used=8", "target-bitrate"),
        ("av1enc cpu-used=8 usage-profile=realtime", "target-bitrate"),
    ];
    init();
    for (encoder, property) in encoders {
        let factory = encoder.split(' ').next().unwrap();
        if gst::ElementFactory::find(factory).is_none() {
            // Not every system has them all; the first and the fourth are tested by name above.
            continue;
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bench = Bench::video(encoder, "");
            let before = bench.get("encoder", property);
            bench.estimate(700_000);
            bench.estimate(200_000);
            // The second one waits for the period, so it is a buffer that brings it.
            for n in 0..40 {
                bench.advance_to(n * 40 * MS);
                bench.picture();
            }
            sender.send((before, bench.get("encoder", property))).unwrap();
        });
        let (before, after) = receiver
            .recv_timeout(std::time::Duration::from_secs(60))
            .unwrap_or_else(|_| panic!("{encoder} is stuck"));
        assert_eq!(after, before / 4, "{encoder}");
    }
}

#[test]
fn opusenc_is_steered_too() {
    let mut bench = Bench::new(
        "opusenc name=encoder",
        "min=32000 max=64000 bitrate=64000",
        "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved",
    );
    assert_eq!(bench.get("encoder", "bitrate"), 64_000);
    bench.estimate(50_000);
    bench.estimate(20_000);
    for n in 0..20 {
        bench.advance_to(n * 20 * MS);
        bench.packet(960 * 2);
    }
    assert_eq!(bench.get("encoder", "bitrate"), 32_000);
}

#[test]
fn x264enc_really_sends_less_when_it_is_told_to() {
    init();
    let mut harness = Harness::new_parse(
        "x264enc tune=zerolatency speed-preset=ultrafast ! bitratecontroller min=50000 bitrate=1500000",
    );
    harness.use_testclock();
    harness.set_src_caps_str("video/x-raw,format=I420,width=160,height=120,framerate=25/1");
    let mut seed = 1_u32;
    let mut bytes = |harness: &mut Harness, from: u64| -> usize {
        for n in from..from + 50 {
            // Noise, so that the encoder has use for every bit.
            let noise: Vec<u8> = (0..160 * 120 * 3 / 2)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8
                })
                .collect();
            let mut buffer = gst::Buffer::from_mut_slice(noise);
            let time = gst::ClockTime::from_mseconds(n * 40);
            buffer.get_mut().unwrap().set_pts(time);
            harness.testclock().unwrap().set_time(time);
            harness.push(buffer).unwrap();
        }
        std::iter::from_fn(|| harness.try_pull()).map(|buffer| buffer.size()).sum()
    };
    bytes(&mut harness, 0);
    let before = bytes(&mut harness, 50);
    harness.push_upstream_event(estimate::event(375_000));
    bytes(&mut harness, 100);
    let after = bytes(&mut harness, 150);
    // Two seconds each, a quarter of the rate; rate control is not exact.
    assert!(after * 3 < before, "{before} bytes became {after}");
    assert!(after * 6 > before, "{before} bytes became {after}");
}
