// SPDX-License-Identifier: MPL-2.0

//! What goes wrong in the field: silent tracks, full disks, participants who leave, crashes. The
//! live path must not notice, and the files must say what is missing.

#![allow(missing_docs, clippy::unwrap_used)]

mod experimentrecorder_lab;

use experimentrecorder_lab::{
    Clip, LIMIT, Lab, Probe, gaps, init, ms, number, sound, sounds, track,
};
use gst::prelude::*;

#[test]
fn sound_that_falls_silent_is_filled_and_goes_on_at_its_time() {
    init();
    for (name, video) in
        [("p-dry.mp4", Clip::h264(320, 240, 150, "avc3")), ("p-dry.mkv", Clip::vp8(320, 240, 150))]
    {
        let audio = Clip::opus(300).without(ms(1000), ms(4000));
        let lab = Lab::new("muxed", 0);
        lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
        let outcome = lab.finish();
        let probe = Probe::decoded(&lab.path(name));
        assert_eq!(probe.times("opus").len(), 300);
        let samples = sound(&lab.path(name));
        assert_eq!(samples.len(), 6000 * 48);
        assert!(sounds(&samples, ms(10), ms(990)));
        assert!(!sounds(&samples, ms(1030), ms(3990)));
        assert!(sounds(&samples, ms(4010), ms(5990)));
        let report = outcome.file(name);
        assert_eq!(gaps(report, "dry_audio"), [(ms(1000), ms(4000))]);
        assert_eq!((number(report, "samples"), number(report, "silence")), (144_000, 144_000));
    }
}

#[test]
fn a_picture_that_pauses_does_not_hold_the_sound_back() {
    init();
    for (name, codec, video) in [
        ("p-dry.mp4", "h264", Clip::h264(320, 240, 150, "avc3")),
        ("p-dry.mkv", "vp8", Clip::vp8(320, 240, 150)),
    ] {
        let (video, audio) = (video.without(ms(1000), ms(4000)), Clip::opus(300));
        let lab = Lab::new("muxed", 0);
        let (mut to_video, mut to_audio) = (lab.source("dry_video"), lab.source("dry_audio"));
        let mut frames = video.buffers.iter().peekable();
        for buffer in &audio.buffers {
            while let Some(frame) = frames.next_if(|frame| frame.pts() <= buffer.pts()) {
                to_video.push(&video.caps, frame);
            }
            to_audio.push(&audio.caps, buffer);
            if buffer.pts() == Some(gst::ClockTime::from_mseconds(3900)) {
                // A crash now, in the middle of the pause.
                lab.settle(&["dry_video", "dry_audio"]);
                let copy = lab.path(&format!("crashed-{name}"));
                std::fs::copy(lab.path(name), &copy).unwrap();
                let probe = Probe::decoded(&copy);
                assert!(*probe.times("opus").last().unwrap() >= 3_300_000_000, "{name}");
                assert_eq!(probe.frames(codec), 25, "{name}");
            }
        }
        for frame in frames {
            to_video.push(&video.caps, frame);
        }
        let outcome = lab.finish();
        let probe = Probe::decoded(&lab.path(name));
        probe.assert_times(codec, &video.times());
        probe.assert_times("opus", &audio.times());
        assert_eq!(gaps(outcome.file(name), "dry_video"), [(ms(1000), ms(4000))]);
    }
}

#[test]
fn sound_that_never_comes_is_a_silent_track() {
    init();
    let video = Clip::h264(320, 240, 75, "avc3");
    let lab = Lab::new("muxed", 0);
    let _never = lab.source("dry_audio");
    lab.play(&[("dry_video", &video)]);
    let outcome = lab.finish();
    let probe = Probe::decoded(&lab.path("p-dry.mp4"));
    assert_eq!(probe.codecs(), ["h264", "opus"]);
    assert_eq!(probe.frames("h264"), 75);
    let samples = sound(&lab.path("p-dry.mp4"));
    assert_eq!(samples.len(), 3000 * 48);
    assert!(!sounds(&samples, 0, ms(3000)));
    let report = outcome.file("p-dry.mp4");
    assert_eq!((number(report, "samples"), number(report, "silence")), (0, 3000 * 48));
}

#[test]
fn a_picture_that_comes_late_gets_a_file_of_its_own() {
    init();
    let (video, audio) = (Clip::h264(320, 240, 50, "avc3").shifted(ms(5000)), Clip::opus(250));
    let lab = Lab::new("muxed", 0);
    let mut to_video = lab.source("dry_video");
    let _audio = lab.play(&[("dry_audio", &audio)]);
    let limit = std::time::Instant::now() + LIMIT;
    while !lab.path("p-dry.ogg").exists() {
        assert!(std::time::Instant::now() < limit, "the sound does not wait for ever");
        std::thread::yield_now();
    }
    for buffer in &video.buffers {
        to_video.push(&video.caps, buffer);
    }
    lab.finish();
    assert_eq!(lab.names(), ["p-dry.ogg", "p-video-dry.mp4"]);
    assert_eq!(Probe::decoded(&lab.path("p-dry.ogg")).times("opus").len(), 250);
    Probe::decoded(&lab.path("p-video-dry.mp4")).assert_times("h264", &video.times());
}

#[test]
fn sound_that_runs_ahead_waits_for_its_picture() {
    init();
    let (video, audio) = (Clip::vp8(320, 240, 125), Clip::opus(250));
    let lab = Lab::new("muxed", 0);
    let mut to_video = lab.source("dry_video");
    let _audio = lab.play(&[("dry_audio", &audio)]);
    for buffer in &video.buffers {
        to_video.push(&video.caps, buffer);
    }
    lab.finish();
    assert_eq!(lab.names(), ["p-dry.mkv"]);
    let probe = Probe::decoded(&lab.path("p-dry.mkv"));
    probe.assert_times("vp8", &video.times());
    probe.assert_times("opus", &audio.times());
}

#[test]
fn a_crash_loses_at_most_a_second() {
    init();
    let audio = Clip::opus(250);
    for (name, codec, video) in [
        ("p-dry.mp4", "h264", Clip::h264(320, 240, 125, "avc3")),
        ("p-dry.mkv", "vp8", Clip::vp8(320, 240, 125)),
    ] {
        let lab = Lab::new("muxed", 0);
        let clips = [("dry_video", &video), ("dry_audio", &audio), ("wet_audio", &audio)];
        let _sources = lab.play(&clips);
        lab.settle(&["dry_video", "dry_audio", "wet_audio"]);
        for (name, codecs) in [(name, &[codec, "opus"][..]), ("p-wet.ogg", &["opus"])] {
            let copy = lab.path(&format!("crashed-{name}"));
            std::fs::copy(lab.path(name), &copy).unwrap();
            let probe = Probe::decoded(&copy);
            for codec in codecs {
                assert!(*probe.times(codec).last().unwrap() >= 4_000_000_000, "{name} {codec}");
            }
        }
    }
}

#[test]
fn what_is_held_back_is_written_when_nothing_comes() {
    init();
    let (video, audio) = (Clip::h264(320, 240, 8, "avc3"), Clip::opus(16));
    let lab = Lab::new("muxed", 0);
    let _sources = lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    let limit = std::time::Instant::now() + LIMIT;
    let copy = lab.path("copy.mp4");
    let complete = || {
        std::fs::copy(lab.path("p-dry.mp4"), &copy).is_ok_and(|bytes| bytes > 2000)
            && Probe::frames_so_far(&copy, "h264") == 8
            && Probe::frames_so_far(&copy, "opus") == 16
    };
    while !complete() {
        assert!(std::time::Instant::now() < limit);
    }
    Probe::decoded(&copy);
}

#[test]
fn a_folder_that_cannot_be_made_costs_the_live_path_nothing() {
    init();
    let (video, audio) = (Clip::h264(320, 240, 50, "avc3"), Clip::opus(100));
    let lab = Lab::new("muxed", 0);
    let occupied = lab.path("occupied");
    std::fs::write(&occupied, "").unwrap();
    lab.recorder.set_property("folder", occupied.to_str().unwrap());
    // Every push is checked to be taken.
    lab.play(&[("dry_video", &video), ("dry_audio", &audio), ("wet_audio", &audio)]);
    let outcome = lab.finish();
    let codes: Vec<_> =
        outcome.of_kind("error").iter().map(|e| e.get::<String>("code").unwrap()).collect();
    assert_eq!(codes, ["folder", "folder"]);
    assert_eq!(outcome.of_kind("file").len(), 0);
    assert_eq!(outcome.of_kind("finished").len(), 1);
}

/// A disk that is full after 32 KiB of a file: a limit of the process, so this test runs itself once
/// more as a process of its own, where a write beyond the limit is an error.
#[test]
fn a_full_disk_breaks_one_file_with_one_error() {
    const CHILD: &str = "EXPERIMENTRECORDER_FULL_DISK";
    if std::env::var_os(CHILD).is_none() {
        let run = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "a_full_disk_breaks_one_file_with_one_error"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        return;
    }
    init();
    let (video, audio) = (Clip::h264(320, 240, 100, "avc3"), Clip::opus(100));
    let lab = Lab::new("split", 0);
    // Every push is checked to be taken.
    lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    let outcome = lab.finish();
    let errors = outcome.of_kind("error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].get::<&str>("code"), Ok("write"));
    let report = outcome.file("p-video-dry.mp4");
    assert_eq!(report.get::<bool>("complete"), Ok(false));
    // What was written before is whole.
    let frames = Probe::decoded(&lab.path("p-video-dry.mp4")).frames("h264");
    assert!((10..100).contains(&frames), "{frames}");
    let report = outcome.file("p-audio-dry.ogg");
    assert_eq!(report.get::<bool>("complete"), Ok(true));
    assert_eq!(Probe::decoded(&lab.path("p-audio-dry.ogg")).times("opus").len(), 100);
}

#[test]
fn an_existing_file_is_never_overwritten() {
    init();
    let audio = Clip::opus(50);
    let lab = Lab::new("muxed", 0);
    std::fs::write(lab.path("p-dry.ogg"), "precious").unwrap();
    lab.play(&[("dry_audio", &audio), ("wet_audio", &audio)]);
    let outcome = lab.finish();
    assert_eq!(std::fs::read_to_string(lab.path("p-dry.ogg")).unwrap(), "precious");
    let errors = outcome.of_kind("error");
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].get::<&str>("code"), Ok("create"));
    assert_eq!(outcome.of_kind("file").len(), 1);
    assert_eq!(outcome.of_kind("finished")[0].get::<u32>("files"), Ok(1));
}

#[test]
fn a_prefix_with_a_slash_is_refused() {
    init();
    let audio = Clip::opus(50);
    let lab = Lab::new("muxed", 0);
    lab.recorder.set_property("prefix", "../p");
    lab.play(&[("dry_audio", &audio)]);
    let outcome = lab.finish();
    assert_eq!(outcome.of_kind("error")[0].get::<&str>("code"), Ok("prefix"));
    assert_eq!(lab.names(), [""; 0]);
}

#[test]
fn a_full_queue_is_counted_posted_and_left_on_a_keyframe() {
    init();
    let video = Clip::h264(320, 240, 100, "avc3");
    let lab = Lab::new("muxed", 0);
    let mut source = lab.source("wet_video");
    for (number, buffer) in video.buffers.iter().enumerate() {
        match number {
            30 => lab.recorder.set_property("max-bytes", 1u64),
            35 => lab.recorder.set_property("max-bytes", 64u64 << 20),
            _ => {}
        }
        source.push(&video.caps, buffer);
    }
    let outcome = lab.finish();
    assert_eq!(lab.stat("wet_video", "dropped"), 5);
    assert_eq!(number(&track(outcome.file("p-wet.mp4"), "wet_video"), "dropped"), 5);
    let overflow = outcome.of_kind("overflow");
    assert_eq!(overflow.len(), 1);
    assert_eq!(overflow[0].get::<&str>("pad"), Ok("wet_video"));
    assert_eq!(number(overflow[0], "running-time"), ms(1200));
    let probe = Probe::decoded(&lab.path("p-wet.mp4"));
    let expected: Vec<u64> = (0..1200).chain(2000..4000).step_by(40).map(ms).collect();
    probe.assert_times("h264", &expected);
}

#[test]
fn finishing_without_media_leaves_no_file_and_twice_is_harmless() {
    init();
    let lab = Lab::new("muxed", 0);
    let mut source = lab.source("dry_audio");
    let _video = lab.source("dry_video");
    let outcome = lab.finish();
    assert_eq!(outcome.messages.len(), 1);
    assert_eq!(outcome.messages[0].get::<u32>("files"), Ok(0));
    lab.recorder.emit_by_name::<()>("finish", &[]);
    // What comes afterwards is taken and ignored.
    let audio = Clip::opus(50);
    for buffer in &audio.buffers {
        source.push(&audio.caps, buffer);
    }
    lab.settle(&["dry_audio"]);
    assert_eq!(lab.stat("dry_audio", "outside"), 50);
    assert_eq!(lab.names(), [""; 0]);
    assert!(lab.bus().pop_filtered(&[gst::MessageType::Element]).is_none());
}

#[test]
fn a_stream_that_ends_ends_its_own_file_alone() {
    init();
    let audio = Clip::opus(50);
    let lab = Lab::new("muxed", 0);
    let sources = lab.play(&[("dry_audio", &audio), ("wet_audio", &audio)]);
    sources[0].event(gst::event::Eos::new());
    let limit = gst::ClockTime::try_from(LIMIT).unwrap();
    let closed = loop {
        let message = lab.bus().timed_pop_filtered(limit, &[gst::MessageType::Element]).unwrap();
        let structure = message.structure().unwrap().to_owned();
        if structure.name() == "experimentrecorder-file" {
            break structure;
        }
    };
    assert_eq!(closed.get::<&str>("name"), Ok("p-dry.ogg"));
    assert_eq!(Probe::decoded(&lab.path("p-dry.ogg")).times("opus").len(), 50);
    // When all have ended, so has the element, as gst-launch-1.0 needs it.
    sources[1].event(gst::event::Eos::new());
    let outcome = lab.outcome();
    assert_eq!((outcome.of_kind("file").len(), outcome.of_kind("finished").len()), (1, 1));
    assert!(lab.bus().timed_pop_filtered(limit, &[gst::MessageType::Eos]).is_some());
}

#[test]
fn a_recorder_can_be_removed_while_data_flow() {
    init();
    let pipeline = gst::parse::launch(
        "audiotestsrc is-live=true samplesperbuffer=480 ! opusenc frame-size=10 ! \
         tee name=tee allow-not-linked=true ! queue ! fakesink name=live sync=false async=false",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (tee, live) = (pipeline.by_name("tee").unwrap(), pipeline.by_name("live").unwrap());
    let seen = || {
        let stats = live.property::<gst::Structure>("stats");
        stats.get::<u64>("rendered").unwrap()
    };
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let limit = gst::ClockTime::try_from(LIMIT).unwrap();
    for run in 0..5 {
        let recorder = gst::ElementFactory::make("experimentrecorder")
            .property("folder", folder.path().to_str().unwrap())
            .property("prefix", format!("run{run}"))
            .build()
            .unwrap();
        pipeline.add(&recorder).unwrap();
        recorder.sync_state_with_parent().unwrap();
        let source = tee.request_pad_simple("src_%u").unwrap();
        let sink = recorder.request_pad_simple("dry_audio").unwrap();
        source.link(&sink).unwrap();
        let enough = seen() + 20;
        let deadline = std::time::Instant::now() + LIMIT;
        while seen() < enough {
            assert!(std::time::Instant::now() < deadline);
            std::thread::yield_now();
        }
        recorder.emit_by_name::<()>("finish", &[]);
        loop {
            let types = [gst::MessageType::Element, gst::MessageType::Error];
            let message = bus.timed_pop_filtered(limit, &types).expect("finishes");
            let structure = message.structure().unwrap();
            if structure.name() == "experimentrecorder-finished" {
                break;
            }
            let expected = ["experimentrecorder-opened", "experimentrecorder-file"];
            assert!(expected.contains(&structure.name().as_str()), "{structure}");
        }
        // No block, no probe: straight out of the running pipeline.
        recorder.release_request_pad(&sink);
        tee.release_request_pad(&source);
        recorder.set_state(gst::State::Null).unwrap();
        pipeline.remove(&recorder).unwrap();
        let path = folder.path().join(format!("run{run}-dry.ogg"));
        assert!(Probe::decoded(&path).times("opus").len() >= 10);
    }
    let before = seen();
    let deadline = std::time::Instant::now() + LIMIT;
    while seen() < before + 10 {
        assert!(std::time::Instant::now() < deadline, "the live path goes on");
        std::thread::yield_now();
    }
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn going_down_without_finish_closes_the_files() {
    init();
    let (video, audio) = (Clip::vp8(320, 240, 10), Clip::opus(20));
    let lab = Lab::new("muxed", 0);
    lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    lab.recorder.set_state(gst::State::Null).unwrap();
    let probe = Probe::decoded(&lab.path("p-dry.mkv"));
    assert_eq!((probe.frames("vp8"), probe.times("opus").len()), (10, 20));
}

#[test]
fn the_latency_of_the_pipeline_is_not_touched() {
    init();
    let lab = Lab::new("muxed", 0);
    let _source = lab.source("dry_audio");
    let mut query = gst::query::Latency::new();
    assert!(lab.recorder.query(&mut query));
    assert_eq!(query.result(), (false, gst::ClockTime::ZERO, gst::ClockTime::NONE));
}

#[test]
fn streams_of_an_unknown_kind_are_taken_and_gated() {
    init();
    let mut clip = Clip::opus(50);
    clip.caps = gst::Caps::new_empty_simple("audio/x-unheard-of");
    let lab = Lab::new("muxed", 0);
    lab.play(&[("dry_audio", &clip)]);
    let outcome = lab.finish();
    assert_eq!(outcome.of_kind("file").len(), 0);
    assert_eq!(lab.stat("dry_audio", "gated"), clip.len());
}

#[test]
fn a_stream_that_becomes_another_kind_ends_there_with_an_error() {
    init();
    let (vp8, h264) = (Clip::vp8(320, 240, 25), Clip::h264(320, 240, 25, "avc3").shifted(ms(1000)));
    let lab = Lab::new("muxed", 0);
    let mut source = lab.source("dry_video");
    for clip in [&vp8, &h264] {
        for buffer in &clip.buffers {
            source.push(&clip.caps, buffer);
        }
    }
    let outcome = lab.finish();
    assert_eq!(outcome.of_kind("error")[0].get::<&str>("code"), Ok("kind"));
    assert_eq!(Probe::decoded(&lab.path("p-dry.mkv")).frames("vp8"), 25);
    assert_eq!(number(&track(outcome.file("p-dry.mkv"), "dry_video"), "gated"), 25);
}
