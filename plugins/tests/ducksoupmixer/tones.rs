// SPDX-License-Identifier: MPL-2.0

//! Who hears whom, by what they hear: every participant is a tone.

use crate::rig::{LIMIT, init};
use gst::prelude::*;
use std::time::Instant;

const RATE: f64 = 48_000.0;

/// Participants and their tones, in Hz.
const TONES: [(&str, u32); 3] = [("ann", 440), ("bob", 1000), ("eve", 2300)];

/// Half a second, after which a tone cannot be mistaken.
const LISTEN: usize = 24_000;

/// What is left out at the beginning: Opus fades in.
const SKIP: usize = 9_600;

struct Call {
    pipeline: gst::Pipeline,
    mixer: gst::Element,
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Call {
    fn new() -> Self {
        init();
        let pipeline = gst::Pipeline::new();
        let mixer = gst::ElementFactory::make("ducksoupmixer").build().unwrap();
        pipeline.add(&mixer).unwrap();
        Self { pipeline, mixer }
    }

    fn play(&self) {
        self.pipeline.set_state(gst::State::Playing).unwrap();
    }

    fn bin(&self, text: &str) -> gst::Bin {
        let bin = gst::parse::bin_from_description(text, true).unwrap();
        self.pipeline.add(&bin).unwrap();
        bin
    }

    fn speaker(&self, participant: &str, tone: u32) -> (gst::Bin, gst::Pad) {
        let bin = self.bin(&format!(
            "audiotestsrc is-live=true samplesperbuffer=480 freq={tone} ! audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay"
        ));
        let sink = self.mixer.request_pad_simple("sink_%u").unwrap();
        sink.set_property("participant", participant);
        bin.static_pad("src").unwrap().link(&sink).unwrap();
        bin.sync_state_with_parent().unwrap();
        (bin, sink)
    }

    /// A route of `receiver` by default routing.
    fn ear(&self, receiver: &str) -> gst_app::AppSink {
        let bin = self.bin(
            "rtpopusdepay ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=F32LE,rate=48000,channels=1 ! appsink name=ear sync=false",
        );
        let src = self.mixer.request_pad_simple("src_%u").unwrap();
        src.set_property("receiver", receiver);
        src.link(&bin.static_pad("sink").unwrap()).unwrap();
        bin.sync_state_with_parent().unwrap();
        bin.by_name("ear").unwrap().downcast().unwrap()
    }
}

/// The participant whose tone is heard, when it is one alone.
fn who(ear: &gst_app::AppSink) -> &'static str {
    let samples = samples(ear, SKIP + LISTEN);
    let powers: Vec<_> =
        TONES.iter().map(|(_, tone)| goertzel(&samples[SKIP..], f64::from(*tone))).collect();
    let loudest = (0..powers.len()).max_by(|a, b| powers[*a].total_cmp(&powers[*b])).unwrap();
    let others = powers.iter().sum::<f64>() - powers[loudest];
    assert!(powers[loudest] > 0.01, "silence: {powers:?}");
    assert!(powers[loudest] > 100.0 * others, "a mixture: {powers:?}");
    TONES[loudest].0
}

fn samples(ear: &gst_app::AppSink, count: usize) -> Vec<f32> {
    let end = Instant::now() + LIMIT;
    let mut samples = Vec::new();
    while samples.len() < count {
        assert!(Instant::now() < end, "only {} samples", samples.len());
        let sample = ear.try_pull_sample(gst::ClockTime::from_mseconds(100));
        let Some(buffer) = sample.as_ref().and_then(|sample| sample.buffer()) else {
            continue;
        };
        let map = buffer.map_readable().unwrap();
        let (floats, _) = map.as_chunks::<4>();
        samples.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    samples
}

/// Mean power of one frequency.
fn goertzel(samples: &[f32], frequency: f64) -> f64 {
    let step = 2.0 * (std::f64::consts::TAU * frequency / RATE).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in samples {
        let next = f64::from(*sample) + step * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - step * last * before;
    power / (samples.len() as f64).powi(2)
}

#[test]
fn each_of_three_hears_exactly_the_others() {
    let call = Call::new();
    let speakers = TONES.map(|(participant, tone)| call.speaker(participant, tone));
    let ears = TONES.map(|(participant, _)| [call.ear(participant), call.ear(participant)]);
    call.play();
    for ((participant, _), ears) in TONES.iter().zip(&ears) {
        let mut heard = [who(&ears[0]), who(&ears[1])];
        heard.sort_unstable();
        let others: Vec<_> =
            TONES.iter().map(|(name, _)| *name).filter(|name| name != participant).collect();
        assert_eq!(heard.as_slice(), others, "{participant} hears the others");
    }
    drop(speakers);
}

#[test]
fn one_who_is_alone_hears_a_mirror() {
    let call = Call::new();
    let _speaker = call.speaker("bob", 1000);
    let ear = call.ear("bob");
    call.play();
    assert_eq!(who(&ear), "bob");
}

#[test]
fn who_leaves_and_comes_back_is_heard_again() {
    let call = Call::new();
    let _ann = call.speaker("ann", 440);
    let (bob, sink) = call.speaker("bob", 1000);
    let ear = call.ear("ann");
    call.play();
    assert_eq!(who(&ear), "bob");

    bob.static_pad("src").unwrap().unlink(&sink).unwrap();
    call.mixer.release_request_pad(&sink);
    bob.set_state(gst::State::Null).unwrap();
    call.pipeline.remove(&bob).unwrap();
    // Alone now, Ann hears herself; then Bob again.
    let _ = samples(&ear, LISTEN);
    assert_eq!(who(&ear), "ann");
    let _again = call.speaker("bob", 1000);
    let _ = samples(&ear, LISTEN);
    assert_eq!(who(&ear), "bob");
}

#[test]
fn a_launch_line_with_pad_properties_ends_by_itself() {
    init();
    let line = "ducksoupmixer name=m sink_0::participant=ann sink_1::participant=bob src_0::receiver=ann src_1::receiver=bob \
        audiotestsrc is-live=true num-buffers=20 ! opusenc ! rtpopuspay ! m.sink_0 \
        audiotestsrc is-live=true num-buffers=25 ! opusenc ! rtpopuspay ! m.sink_1 \
        m.src_0 ! rtpopusdepay ! fakesink name=a sync=false m.src_1 ! rtpopusdepay ! fakesink name=b sync=false";
    let pipeline = gst::parse::launch(line).unwrap();
    let mixer = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("m").unwrap();
    let participant = mixer.static_pad("sink_1").unwrap();
    assert_eq!(participant.property::<Option<String>>("participant").as_deref(), Some("bob"));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let message = bus.timed_pop_filtered(
        gst::ClockTime::from_seconds(LIMIT.as_secs()),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(message.unwrap().type_(), gst::MessageType::Eos);
}
