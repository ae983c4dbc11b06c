// SPDX-License-Identifier: MPL-2.0

//! What is recorded, under which name, at which time. Files are read by ffmpeg.

#![allow(missing_docs, clippy::unwrap_used)]

mod experimentrecorder_lab;

use experimentrecorder_lab::{
    Clip, Lab, Probe, gaps, init, ms, number, pieces, sound, sounds, track,
};
use gst::prelude::*;

/// Times of a clip since `origin`.
fn since(clip: &Clip, origin: u64) -> Vec<u64> {
    clip.times().into_iter().filter_map(|time| time.checked_sub(origin)).collect()
}

#[test]
fn h264_and_opus_share_an_mp4_file_for_dry_and_one_for_wet() {
    init();
    let video = Clip::h264(320, 240, 75, "byte-stream").shifted(ms(80));
    let wet = Clip::h264(160, 120, 75, "avc3").shifted(ms(95));
    let audio = Clip::opus(150).shifted(ms(7));
    let lab = Lab::new("muxed", 0);
    let clips =
        [("dry_video", &video), ("dry_audio", &audio), ("wet_video", &wet), ("wet_audio", &audio)];
    lab.play(&clips);
    let outcome = lab.finish();
    assert_eq!(lab.names(), ["p-dry.mp4", "p-wet.mp4"]);
    for (name, video, size) in [("p-dry.mp4", &video, (320, 240)), ("p-wet.mp4", &wet, (160, 120))]
    {
        let path = lab.path(name);
        let probe = Probe::decoded(&path);
        assert_eq!(probe.codecs(), ["h264", "opus"]);
        assert_eq!(probe.frames("h264"), 75);
        assert_eq!(probe.size("h264"), size);
        probe.assert_times("h264", &video.times());
        // 7.5 ms of silence, in two packets, stand before the first one at 7 ms.
        let expected: Vec<u64> = [0, ms(5)].into_iter().chain(audio.times()).collect();
        probe.assert_times("opus", &expected);

        let report = outcome.file(name);
        assert_eq!(report.get::<&str>("what"), Ok(&name[2..5]));
        assert_eq!(report.get::<&str>("path"), Ok(path.to_str().unwrap()));
        assert_eq!(number(report, "first"), 7_500_000);
        let end = *video.times().last().unwrap() + ms(40);
        assert_eq!(number(report, "last"), end);
        // In fragmented mp4 ffprobe adds the start of a track to its end once more.
        let duration = u64::try_from(probe.duration()).unwrap() - video.times()[0];
        assert!(duration.abs_diff(end) <= ms(1), "{duration} {end}");
        assert_eq!(number(report, "frames"), 75);
        assert_eq!(number(report, "samples"), 150 * 960);
        // 7 ms are missing; the shortest packet of silence lasts 2.5 ms.
        assert_eq!(number(report, "silence"), 360);
        assert_eq!(number(report, "bytes"), std::fs::metadata(&path).unwrap().len());
        assert_eq!(report.get::<bool>("complete"), Ok(true));
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap().stdout;
        assert!(sum.starts_with(report.get::<&str>("sha256").unwrap().as_bytes()));
        assert_eq!(report.get::<&str>("sha256").unwrap().len(), 64);
    }
    assert_eq!(outcome.of_kind("error").len(), 0);
}

#[test]
fn vp8_and_opus_share_an_mkv_file() {
    init();
    let video = Clip::vp8(320, 240, 75).shifted(ms(81));
    let audio = Clip::opus(150).shifted(ms(3));
    let lab = Lab::new("muxed", 0);
    lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    let outcome = lab.finish();
    assert_eq!(lab.names(), ["p-dry.mkv"]);
    let probe = Probe::decoded(&lab.path("p-dry.mkv"));
    assert_eq!(probe.codecs(), ["vp8", "opus"]);
    assert_eq!(probe.frames("vp8"), 75);
    probe.assert_times("vp8", &video.times());
    let expected: Vec<u64> = [0].into_iter().chain(audio.times()).collect();
    probe.assert_times("opus", &expected);
    let end = i64::try_from(number(outcome.file("p-dry.mkv"), "last")).unwrap();
    assert!(probe.duration().abs_diff(end) <= ms(1));
}

#[test]
fn sound_alone_is_ogg_and_its_samples_count_from_the_origin() {
    init();
    let audio = Clip::opus(200).shifted(ms(500));
    let lab = Lab::new("muxed", 0);
    lab.play(&[("dry_audio", &audio), ("wet_audio", &audio)]);
    let outcome = lab.finish();
    assert_eq!(lab.names(), ["p-dry.ogg", "p-wet.ogg"]);
    for name in lab.names() {
        let probe = Probe::decoded(&lab.path(&name));
        assert_eq!(probe.codecs(), ["opus"]);
        assert_eq!(probe.times("opus")[25..].len(), 200);
        assert_eq!(probe.times("opus")[0], 0);
        assert_eq!(probe.times("opus")[25], i64::try_from(ms(500)).unwrap());
        let samples = sound(&lab.path(&name));
        assert_eq!(samples.len(), 4500 * 48);
        assert!(!sounds(&samples, 0, ms(490)));
        assert!(sounds(&samples, ms(510), ms(4490)));
        assert_eq!(gaps(outcome.file(&name), &format!("{}_audio", &name[2..5])), [(0, ms(500))]);
    }
}

/// A clip whose timestamps do what a sender under load or a network may make of them.
fn disturbed(mut clip: Clip) -> Clip {
    let mut off = 0i64;
    for (number, buffer) in clip.buffers.iter_mut().enumerate() {
        off += match number % 60 {
            // A hole of 57 ms, a packet twice, a fraction of a millisecond after another.
            11 => 57,
            17 => -20,
            23 => -19,
            // Back by 1.1 s, and forward again.
            31 => -1100,
            53 => 1143,
            // A slide of a millisecond in each packet.
            40..50 => -1,
            _ => 0,
        };
        let jitter = i64::try_from(number * 7919 % 13).unwrap() * 100_000;
        let time = i64::try_from(buffer.pts().unwrap().nseconds()).unwrap();
        let time = u64::try_from((time + off * 1_000_000 + jitter).max(0)).unwrap();
        buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(time));
    }
    clip
}

#[test]
fn sound_of_any_timestamps_is_read_without_a_complaint_and_lasts_as_long_as_it_took() {
    init();
    let audio = disturbed(Clip::opus(600));
    let end = audio.times().into_iter().max().unwrap() + ms(20);
    for name in ["p-dry.ogg", "p-dry.mkv", "p-dry.mp4"] {
        let lab = Lab::new("muxed", 0);
        let video = match name {
            "p-dry.mkv" => Some(Clip::vp8(320, 240, 275)),
            "p-dry.mp4" => Some(Clip::h264(320, 240, 275, "avc3")),
            _ => None,
        };
        let mut sources = Vec::new();
        if let Some(video) = &video {
            let mut source = lab.source("dry_video");
            let mut sound = lab.source("dry_audio");
            for (number, picture) in video.buffers.iter().enumerate() {
                source.push(&video.caps, picture);
                for packet in audio.buffers.iter().skip(2 * number).take(2) {
                    sound.push(&audio.caps, packet);
                }
            }
            for packet in &audio.buffers[2 * video.buffers.len()..] {
                sound.push(&audio.caps, packet);
            }
            sources.extend([source, sound]);
        } else {
            let mut sound = lab.source("dry_audio");
            for packet in &audio.buffers {
                sound.push(&audio.caps, packet);
            }
            sources.push(sound);
        }
        let outcome = lab.finish();
        let path = lab.path(name);
        let times = Probe::decoded(&path).times("opus");
        for pair in times.windows(2) {
            assert!(pair[1] - pair[0] >= 2_000_000, "{name}: {pair:?}");
        }
        let samples = sound(&path).len() as u64;
        let length = samples * 1_000_000 / 48;
        assert!(length.abs_diff(end) <= ms(20), "{name}: {length} of {end}");
        let report = outcome.file(name);
        let track = track(report, "dry_audio");
        assert_eq!(number(&track, "samples") + number(&track, "silence"), samples);
        assert!(number(&track, "jumps") > 0);
        let mut counted = 0;
        for (at, frames) in pieces(&path) {
            let expected = counted * 1_000_000 / 48;
            assert!(at.abs_diff(expected) <= ms(1), "{name}: {at} instead of {expected}");
            counted += frames;
        }
        assert_eq!(counted, samples, "{name}");
    }
}

#[test]
fn split_gives_every_track_its_own_file() {
    init();
    let (h264, vp8, audio) = (
        Clip::h264(320, 240, 50, "avc3").shifted(ms(40)),
        Clip::vp8(320, 240, 50).shifted(ms(60)),
        Clip::opus(100),
    );
    let lab = Lab::new("split", 0);
    lab.play(&[
        ("dry_video", &h264),
        ("dry_audio", &audio),
        ("wet_video", &vp8),
        ("wet_audio", &audio),
    ]);
    let outcome = lab.finish();
    let names = ["p-audio-dry.ogg", "p-audio-wet.ogg", "p-video-dry.mp4", "p-video-wet.mkv"];
    assert_eq!(lab.names(), names);
    let table = [
        (names[0], "opus", &audio),
        (names[1], "opus", &audio),
        (names[2], "h264", &h264),
        (names[3], "vp8", &vp8),
    ];
    for (name, codec, clip) in table {
        let probe = Probe::decoded(&lab.path(name));
        assert_eq!(probe.codecs(), [codec]);
        probe.assert_times(codec, &clip.times());
        assert_eq!(outcome.file(name).get::<&str>("what"), Ok(&name[2..name.len() - 4]));
    }
    assert_eq!(outcome.of_kind("file").len(), 4);
    assert_eq!(outcome.of_kind("finished")[0].get::<u32>("files"), Ok(4));
}

#[test]
fn every_frame_decodes_through_changes_of_resolution() {
    init();
    let sizes = [(320, 240), (640, 360), (160, 120), (480, 272), (320, 240), (800, 600)];
    for (codec, name) in [("h264", "p-dry.mp4"), ("vp8", "p-dry.mkv")] {
        let lab = Lab::new("muxed", 0);
        let (mut video, mut audio) = (lab.source("dry_video"), lab.source("dry_audio"));
        let sound = Clip::opus(50);
        let mut times = Vec::new();
        for (second, (width, height)) in sizes.into_iter().enumerate() {
            let clip = match codec {
                "h264" => Clip::h264(width, height, 25, "avc3"),
                _ => Clip::vp8(width, height, 25),
            };
            let clip = clip.shifted(ms(1000 * second as u64));
            let sound = sound.clone().shifted(ms(1000 * second as u64));
            for buffer in &clip.buffers {
                video.push(&clip.caps, buffer);
            }
            for buffer in &sound.buffers {
                audio.push(&sound.caps, buffer);
            }
            times.extend(clip.times());
        }
        let outcome = lab.finish();
        let told: Vec<_> = outcome
            .of_kind("size")
            .iter()
            .map(|size| {
                let dimension = |field| size.get::<u32>(field).unwrap();
                (dimension("width"), dimension("height"), number(size, "running-time"))
            })
            .collect();
        let expected = |(second, (w, h)): (usize, (u32, u32))| (w, h, ms(1000 * second as u64));
        assert_eq!(told, sizes.into_iter().enumerate().map(expected).collect::<Vec<_>>());
        assert_eq!(outcome.of_kind("opened")[0].get::<&str>("name"), Ok(name));
        let probe = Probe::decoded(&lab.path(name));
        assert_eq!(probe.frames(codec), 150);
        probe.assert_times(codec, &times);
        assert_eq!(probe.times("opus").len(), 300);
    }
}

#[test]
fn nothing_before_the_origin_is_recorded_and_zero_is_the_origin() {
    init();
    let origin = ms(1501);
    for name in ["p-dry.mp4", "p-dry.mkv"] {
        let video = match name {
            "p-dry.mp4" => Clip::h264(320, 240, 100, "avc3"),
            _ => Clip::vp8(320, 240, 100),
        };
        let audio = Clip::opus(200);
        let lab = Lab::new("muxed", origin);
        lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
        let outcome = lab.finish();
        let probe = Probe::decoded(&lab.path(name));
        let codec = probe.codecs()[0].to_owned();
        // The next keyframe is at 2 s, and the sound starts with the packet at 1520 ms.
        let frames: Vec<u64> =
            since(&video, origin).into_iter().filter(|time| *time >= ms(499)).collect();
        assert_eq!(frames[0], ms(499));
        probe.assert_times(&codec, &frames);
        let packets = since(&audio, origin);
        assert_eq!(packets[0], ms(19));
        // 20 ms of silence before it.
        let expected: Vec<u64> = [0].into_iter().chain(packets).collect();
        probe.assert_times("opus", &expected);
        assert_eq!(gaps(outcome.file(name), "dry_video"), [(0, ms(499))]);
        assert_eq!(lab.stat("dry_video", "outside"), 38);
        assert_eq!(lab.stat("dry_video", "gated"), 12);
    }
}

#[test]
fn nothing_at_or_after_the_end_is_recorded() {
    init();
    let (video, audio) = (Clip::h264(320, 240, 100, "avc3"), Clip::opus(200));
    let lab = Lab::new("muxed", 0);
    lab.recorder.set_property("end", gst::ClockTime::from_mseconds(3000));
    lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    lab.finish();
    let probe = Probe::decoded(&lab.path("p-dry.mp4"));
    assert_eq!(probe.frames("h264"), 75);
    assert_eq!(probe.times("opus").len(), 150);
    assert_eq!(lab.stat("dry_video", "outside"), 25);
}

#[test]
fn a_recorder_waits_for_an_origin_that_is_set_while_data_flow() {
    init();
    let (video, audio) = (Clip::h264(320, 240, 100, "avc3"), Clip::opus(200));
    let lab = Lab::new("muxed", gst::ClockTime::MAX.nseconds());
    let (mut to_video, mut to_audio) = (lab.source("dry_video"), lab.source("dry_audio"));
    for second in 0..4 {
        if second == 2 {
            lab.settle(&["dry_video", "dry_audio"]);
            assert_eq!(lab.names(), [""; 0]);
            assert_eq!(lab.stat("dry_audio", "outside"), 100);
            lab.recorder.set_property("origin", gst::ClockTime::from_mseconds(1980));
        }
        for buffer in &video.buffers[second * 25..][..25] {
            to_video.push(&video.caps, buffer);
        }
        for buffer in &audio.buffers[second * 50..][..50] {
            to_audio.push(&audio.caps, buffer);
        }
    }
    lab.finish();
    let probe = Probe::decoded(&lab.path("p-dry.mp4"));
    probe.assert_times("h264", &since(&video, ms(1980)));
    assert_eq!(probe.times("h264")[0], i64::try_from(ms(20)).unwrap());
}

#[test]
fn without_an_origin_the_first_keyframe_or_packet_is_zero() {
    init();
    let video = Clip::vp8(320, 240, 50).shifted(ms(7000)).without(0, ms(7001));
    let audio = Clip::opus(100).shifted(ms(7100));
    let lab = Lab::new("muxed", u64::MAX);
    lab.play(&[("dry_video", &video), ("dry_audio", &audio)]);
    lab.finish();
    let probe = Probe::decoded(&lab.path("p-dry.mkv"));
    assert_eq!(probe.times("opus")[0], 0);
    assert_eq!(probe.times("opus").len(), 100);
    // The first frame was lost: the picture starts with the keyframe of the next second.
    probe.assert_times(
        "vp8",
        &since(&video, ms(8000)).iter().map(|t| t + ms(900)).collect::<Vec<_>>(),
    );
}

#[test]
fn a_picture_starts_and_resumes_on_a_keyframe_that_is_asked_for() {
    init();
    let mut video = Clip::h264(320, 240, 100, "avc3").without(0, ms(100));
    // Something is lost at 2.2 s.
    let lost = video.times().iter().position(|time| *time == ms(2200)).unwrap();
    video.buffers[lost].make_mut().set_flags(gst::BufferFlags::DISCONT);
    let lab = Lab::new("muxed", 0);
    let mut source = lab.source("dry_video");
    let (asked, requests) = std::sync::mpsc::channel();
    source.pad().add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(event) = info.event() {
            asked.send(gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()).ok();
        }
        gst::PadProbeReturn::Ok
    });
    for buffer in &video.buffers {
        source.push(&video.caps, buffer);
    }
    let outcome = lab.finish();
    // Again every 500 ms, for as long as it takes.
    assert_eq!(requests.try_iter().collect::<Vec<_>>(), [true; 4]);
    let probe = Probe::decoded(&lab.path("p-dry.mp4"));
    let expected: Vec<u64> = (1000..2200).chain(3000..4000).step_by(40).map(ms).collect();
    probe.assert_times("h264", &expected);
    assert_eq!(probe.frames("h264"), 55);
    let report = outcome.file("p-dry.mp4");
    assert_eq!(gaps(report, "dry_video"), [(0, ms(1000)), (ms(2200), ms(3000))]);
    assert_eq!(number(&track(report, "dry_video"), "gated"), 22 + 20);
}

#[test]
fn a_wet_stream_is_whole_whatever_it_says() {
    init();
    let mut video = Clip::h264(320, 240, 50, "avc3");
    for buffer in &mut video.buffers {
        buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
    }
    let lab = Lab::new("muxed", 0);
    lab.play(&[("wet_video", &video)]);
    lab.finish();
    assert_eq!(Probe::decoded(&lab.path("p-wet.mp4")).frames("h264"), 50);
}
