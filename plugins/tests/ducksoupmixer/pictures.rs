// SPDX-License-Identifier: MPL-2.0

//! Late receivers begin on a keyframe, with real encoders that make none by themselves.

use crate::rig::{LIMIT, init};
use gst::prelude::*;
use std::time::Instant;

struct Stage(gst::Pipeline);

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn receiver(stage: &Stage, mixer: &gst::Element, name: &str, depay: &str) -> gst_app::AppSink {
    let text = format!("{depay} ! appsink name=eye sync=false");
    let bin = gst::parse::bin_from_description(&text, true).unwrap();
    stage.0.add(&bin).unwrap();
    let src = mixer.request_pad_simple("src_%u").unwrap();
    src.set_property("receiver", name);
    src.link(&bin.static_pad("sink").unwrap()).unwrap();
    bin.sync_state_with_parent().unwrap();
    bin.by_name("eye").unwrap().downcast().unwrap()
}

fn frame(eye: &gst_app::AppSink) -> gst::Sample {
    let limit = gst::ClockTime::from_seconds(LIMIT.as_secs());
    eye.try_pull_sample(limit).expect("a frame comes")
}

fn is_keyframe(sample: &gst::Sample) -> bool {
    let flags = sample.buffer().unwrap().flags();
    !flags.contains(gst::BufferFlags::DELTA_UNIT)
}

/// A keyframe only at the start and when asked for.
fn a_late_receiver_begins_on_a_keyframe(encoder: &str, depayloader: &str) {
    init();
    let line = format!(
        "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! {encoder} ! ducksoupmixer name=m"
    );
    let pipeline = gst::parse::launch(&line).unwrap();
    let stage = Stage(pipeline.downcast().unwrap());
    let mixer = stage.0.by_name("m").unwrap();
    let early = receiver(&stage, &mixer, "early", depayloader);
    stage.0.set_state(gst::State::Playing).unwrap();
    assert!(is_keyframe(&frame(&early)));
    for _ in 0..5 {
        assert!(!is_keyframe(&frame(&early)), "none is made unasked");
    }
    let begin = Instant::now();
    let late = receiver(&stage, &mixer, "late", depayloader);
    assert!(is_keyframe(&frame(&late)));
    eprintln!("{encoder}: first picture after {:?}", begin.elapsed());
    assert!(!is_keyframe(&frame(&late)));
}

#[test]
fn a_late_receiver_of_vp8_begins_on_a_keyframe() {
    a_late_receiver_begins_on_a_keyframe(
        "vp8enc deadline=1 keyframe-max-dist=100000 ! rtpvp8pay picture-id-mode=15-bit",
        "rtpvp8depay",
    );
}

#[test]
fn a_late_receiver_of_h264_begins_on_a_keyframe() {
    a_late_receiver_begins_on_a_keyframe(
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=100000 ! rtph264pay config-interval=-1 aggregate-mode=zero-latency",
        "rtph264depay ! video/x-h264,alignment=au",
    );
}
