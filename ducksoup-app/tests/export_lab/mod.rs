// SPDX-License-Identifier: MPL-2.0

//! The laboratory of the export's tests: an interaction's folder whose every picture and beep is
//! known, written by the recorder itself, and an independent reader (ffmpeg, ffprobe) of what comes
//! out.

// Every test program takes what it needs.
#![allow(dead_code, clippy::unwrap_used)]

use gst::prelude::*;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Every wait ends after that.
const LIMIT: Duration = Duration::from_secs(120);

/// Pictures a second.
pub(crate) const RATE: usize = 25;
/// The run's length, in seconds.
pub(crate) const LENGTH: usize = 6;
/// When c-2 of ben begins, in pictures of the run.
pub(crate) const RETURN: usize = 90;
/// Of a picture, in ns.
const PICTURE: u64 = 40_000_000;
/// Of a packet of sound, in ns.
const PACKET: u64 = 20_000_000;
/// The brightness of a flash.
pub(crate) const FLASH: u8 = 220;
/// What an Opus encoder with low delay puts before the first sample (RFC 6716, 2: 2.5 ms), which the
/// recorder leaves in.
const LOOK_AHEAD: usize = 120;

/// The brightness of the nth picture.
pub(crate) fn code(n: usize) -> u8 {
    u8::try_from(30 + 3 * (n % 50)).unwrap()
}

/// The nth picture of a run in which it flashes for two pictures at each of these.
pub(crate) fn shade(n: usize, flashes: &[usize]) -> u8 {
    let flash = flashes.iter().any(|flash| (*flash..*flash + 2).contains(&n));
    if flash { FLASH } else { code(n) }
}

/// Encoded media: caps and buffers.
#[derive(Clone)]
pub(crate) struct Clip {
    caps: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

impl Clip {
    /// Buffers, each with its time and all of this length (ns), through an encoder.
    fn encode(caps: &gst::Caps, encoder: &str, length: u64, raw: Vec<(u64, Vec<u8>)>) -> Self {
        let description =
            format!("appsrc name=source format=time ! {encoder} ! appsink name=sink sync=false");
        let pipeline = gst::parse::launch(&description).unwrap();
        let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
        let source = pipeline.by_name("source").unwrap().downcast::<gst_app::AppSrc>().unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        source.set_caps(Some(caps));
        source.set_max_bytes(0);
        pipeline.set_state(gst::State::Playing).unwrap();
        let times: Vec<u64> = raw.iter().map(|(time, _)| *time).collect();
        for (time, bytes) in raw {
            let mut buffer = gst::Buffer::from_mut_slice(bytes);
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(time));
            source.push_buffer(buffer).unwrap();
        }
        source.end_of_stream().unwrap();
        let mut clip = Clip { caps: gst::Caps::new_empty(), buffers: Vec::new() };
        while let Ok(sample) = sink.pull_sample() {
            clip.caps = sample.caps().unwrap().to_owned();
            clip.buffers.push(sample.buffer_owned().unwrap());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        for (time, buffer) in times.into_iter().zip(&mut clip.buffers) {
            let buffer = buffer.make_mut();
            buffer.set_pts(gst::ClockTime::from_nseconds(time));
            buffer.set_dts(gst::ClockTime::NONE);
            buffer.set_duration(gst::ClockTime::from_nseconds(length));
            buffer.unset_flags(gst::BufferFlags::DISCONT);
        }
        clip
    }

    /// Flat pictures of these shades, one each 40 ms from the `first`th on, `late` ns late.
    pub(crate) fn video(
        codec: &str,
        size: (i32, i32),
        first: usize,
        late: u64,
        shades: &[u8],
    ) -> Self {
        let (width, height) = size;
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(25, 1))
            .build();
        let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
        let picture = |shade: u8| {
            let mut bytes = vec![128; info.size()];
            bytes[..info.offset()[1]].fill(shade);
            bytes
        };
        let raw = shades.iter().enumerate().map(|(n, shade)| {
            let time = (first + n) as u64 * PICTURE + late;
            (time, picture(*shade))
        });
        let encoder = match codec {
            "h264" => {
                "x264enc tune=zerolatency speed-preset=ultrafast pass=quant quantizer=12 \
                 key-int-max=25 ! h264parse config-interval=-1 ! \
                 video/x-h264,stream-format=byte-stream,alignment=au"
            }
            _ => "vp8enc deadline=1 target-bitrate=4000000 max-quantizer=10 keyframe-max-dist=25",
        };
        Self::encode(&caps, encoder, PICTURE, raw.collect())
    }

    /// So many packets of Opus of 20 ms: silence, and beeps of 100 ms at these samples.
    pub(crate) fn audio(packets: usize, beeps: &[usize]) -> Self {
        let caps = gst::Caps::builder("audio/x-raw")
            .field("format", "S16LE")
            .field("layout", "interleaved")
            .field("rate", 48_000)
            .field("channels", 1)
            .build();
        let sample = |n: usize| -> i16 {
            let beep = beeps.iter().find(|beep| (**beep..**beep + 4800).contains(&n));
            #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
            beep.map_or(0, |beep| {
                let phase = (n - beep) as f64 * 1000.0 / 48_000.0 * std::f64::consts::TAU;
                (phase.cos() * 16_000.0) as i16
            })
        };
        let raw = (0..packets).map(|packet| {
            let samples = (960 * packet..960 * (packet + 1)).map(|n| sample(n + LOOK_AHEAD));
            (packet as u64 * PACKET, samples.flat_map(i16::to_le_bytes).collect())
        });
        let mut clip = Self::encode(
            &caps,
            "opusenc bitrate=96000 audio-type=restricted-lowdelay",
            PACKET,
            raw.collect(),
        );
        clip.buffers.truncate(packets);
        clip
    }

    /// This, then that; the caps of each stay with it.
    fn units(&self) -> impl Iterator<Item = (u64, &gst::Caps, &gst::Buffer)> {
        self.buffers.iter().map(|buffer| (buffer.pts().unwrap().nseconds(), &self.caps, buffer))
    }
}

/// Records clips (each with its pad) under a prefix; what is from `hole.0` to `hole.1` (ns) of the
/// sound is missing. Returns the manifest's entries.
fn record(
    (folder, layout): (&Path, &str),
    prefix: &str,
    user: &str,
    clips: &[(&str, &Clip)],
    hole: (u64, u64),
) -> Vec<Value> {
    let recorder = gst::ElementFactory::make("experimentrecorder")
        .property("folder", folder.to_str().unwrap())
        .property("prefix", prefix)
        .property_from_str("layout", layout)
        .property("origin", 0_u64)
        .build()
        .unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&recorder).unwrap();
    let mut pads: Vec<(&str, gst::Pad)> = Vec::new();
    for (name, _) in clips {
        if pads.iter().any(|(other, _)| other == name) {
            continue;
        }
        let sink = recorder.request_pad_simple(name).unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).name(format!("to_{name}")).build();
        pad.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        pads.push((name, pad));
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut units: Vec<_> = clips
        .iter()
        .flat_map(|(name, clip)| {
            clip.units().map(move |(time, caps, buffer)| (time, *name, caps, buffer))
        })
        .filter(|(time, name, ..)| !name.ends_with("audio") || !(hole.0..hole.1).contains(time))
        .collect();
    units.sort_by_key(|(time, ..)| *time);
    for (_, name, caps, buffer) in units {
        let (_, pad) = pads.iter().find(|(other, _)| *other == name).unwrap();
        if pad.current_caps().as_ref() != Some(caps) {
            let begins = pad.current_caps().is_none();
            if begins {
                assert!(pad.push_event(gst::event::StreamStart::new(name)));
            }
            assert!(pad.push_event(gst::event::Caps::new(caps)));
            if begins {
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                assert!(pad.push_event(gst::event::Segment::new(&segment)));
            }
        }
        assert_eq!(pad.push(buffer.clone()), Ok(gst::FlowSuccess::Ok));
    }
    recorder.emit_by_name::<()>("finish", &[]);
    let mut entries = Vec::new();
    let bus = pipeline.bus().unwrap();
    loop {
        let limit = gst::ClockTime::try_from(LIMIT).unwrap();
        let message = bus.timed_pop(limit).expect("the recorder finishes");
        let Some(structure) = message.structure() else { continue };
        match structure.name().as_str() {
            "experimentrecorder-file" => entries.push(entry(structure, user)),
            "experimentrecorder-finished" => break,
            "experimentrecorder-error" => panic!("{structure}"),
            _ => {}
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    entries
}

/// A file's report as the manifest has it.
fn entry(report: &gst::StructureRef, user: &str) -> Value {
    let mut entry = object(report);
    entry.insert("user".into(), user.into());
    Value::Object(entry)
}

fn object(structure: &gst::StructureRef) -> Map<String, Value> {
    structure.iter().map(|(name, value)| (name.to_string(), json(value))).collect()
}

fn json(value: &glib::SendValue) -> Value {
    if let Ok(number) = value.get::<u64>() {
        number.into()
    } else if let Ok(flag) = value.get::<bool>() {
        flag.into()
    } else if let Ok(text) = value.get::<String>() {
        text.into()
    } else if let Ok(list) = value.get::<gst::Array>() {
        list.iter().map(json).collect()
    } else {
        Value::Object(object(&value.get::<gst::Structure>().unwrap()))
    }
}

fn options(user: &str) -> Value {
    json!({
        "interaction": "dyad_7", "user": user, "namespace": "study", "duration": LENGTH, "size": 2,
        "audio_only": false, "width": 160, "height": 120, "framerate": RATE, "audio_fx": null,
        "video_fx": "videobalance name=v", "video_format": "H264", "recording_mode": "forced",
        "gpu": false, "overlay": false,
    })
}

/// The prefix of a recording's name.
fn prefix(stamp: &str, user: &str, count: u32) -> String {
    format!("i-Ab12Cd34-a-20261121-{stamp}-s-study-n-dyad_7-u-{user}-c-{count}")
}

/// An interaction's folder:
///
/// - `ann`, H.264: no picture from 1.2 s to 1.8 s, a flash and a beep at 2 s, 320×180 from 3 s on,
///   no sound from 4 s to 4.5 s; dry and wet, where wet is 13 ms late and half as bright, and flashes too.
/// - `b-en`, VP8: 2 s of a first connection, with a flash and a beep at 1 s, sound (ogg) and picture (mkv)
///   apart; away until 3.6 s; then a second one, both in one file, with a flash and a beep at 5 s. No effect.
pub(crate) fn folder() -> TempDir {
    gst::init().unwrap();
    gstducksoup::plugin_register_static().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recordings = folder.path().join("recordings");
    std::fs::create_dir(&recordings).unwrap();
    let shades = |range: std::ops::Range<usize>, flashes: &[usize]| {
        range.map(|n| shade(n, flashes)).collect::<Vec<_>>()
    };
    let small = (160, 120);
    let video = |size, range: std::ops::Range<usize>| {
        Clip::video("h264", size, range.start, 0, &shades(range, &[50]))
    };
    let clips = [video(small, 0..30), video(small, 45..75), video((320, 180), 75..150)];
    let sound = Clip::audio(300, &[96_000]);
    let wet: Vec<_> = shades(0..150, &[50]).iter().map(|shade| 16 + shade / 2).collect();
    let wet = Clip::video("h264", small, 0, 13_000_000, &wet);
    let hole = (4_000_000_000, 4_500_000_000);
    let mut files = record(
        (&recordings, "muxed"),
        &prefix("153057.838", "ann", 1),
        "ann",
        &[
            ("dry_video", &clips[0]),
            ("dry_video", &clips[1]),
            ("dry_video", &clips[2]),
            ("dry_audio", &sound),
            ("wet_video", &wet),
            ("wet_audio", &sound),
        ],
        hole,
    );
    let first = Clip::video("vp8", small, 0, 0, &shades(0..50, &[25]));
    let sound = Clip::audio(100, &[48_000]);
    let clips = [("dry_video", &first), ("dry_audio", &sound)];
    files.extend(record(
        (&recordings, "split"),
        &prefix("153057.838", "b-en", 1),
        "b-en",
        &clips,
        (0, 0),
    ));
    let second = Clip::video("vp8", small, 0, 0, &shades(RETURN..150, &[125]));
    let sound = Clip::audio(120, &[67_200]);
    let clips = [("dry_video", &second), ("dry_audio", &sound)];
    files.extend(record(
        (&recordings, "muxed"),
        &prefix("153101.438", "b-en", 2),
        "b-en",
        &clips,
        (0, 0),
    ));
    let manifest = json!({
        "id": "Ab12Cd34", "origin": "http://localhost", "namespace": "study",
        "interaction": "dyad_7", "version": "0.1.0", "gstreamer": "GStreamer 1.22.0",
        "state": "ended", "created": "2026-11-21T15:30:55Z",
        // 3.6 s before the second connection's name, to the nanosecond.
        "started": "2026-11-21T15:30:57.838000000Z",
        "participants": {"ann": options("ann"), "b-en": options("b-en")},
        "files": files,
    });
    std::fs::write(folder.path().join("i-Ab12Cd34.json"), manifest.to_string()).unwrap();
    let events = "onset\tduration\tparticipant\ttype\ttarget\tvalue\tsource\n\
                  -1.250000\tn/a\tann\tjoined\tn/a\t1\tn/a\n\
                  0.000000\tn/a\tn/a\tstarted\tn/a\tn/a\tn/a\n\
                  2.000000\t0.500000\tb-en\tfx_started\tvoice.pitch\t0.8\tann\n\
                  6.000000\tn/a\tn/a\tended\tn/a\tn/a\tn/a\n";
    std::fs::write(folder.path().join("i-Ab12Cd34-events.tsv"), events).unwrap();
    let dictionary = ducksoup_app::interaction::events::dictionary().to_string();
    std::fs::write(folder.path().join("i-Ab12Cd34-events.json"), dictionary).unwrap();
    folder
}

/// What an independent program prints; it must not complain.
fn output(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.is_empty(), "{program} {arguments:?}: {words}");
    output.stdout
}

/// What ffprobe knows of a file: one line a stream or frame, its values with commas between.
fn probe(path: &str, wanted: &[&str]) -> Vec<u8> {
    output("ffprobe", &[&["-v", "error"], wanted, &["-of", "csv=p=0", path]].concat())
}

/// A movie's pictures: luma only.
pub(crate) struct Film {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pictures: Vec<Vec<u8>>,
}

impl Film {
    pub(crate) fn read(path: &Path) -> Self {
        let path = path.to_str().unwrap();
        let size = probe(path, &["-select_streams", "v", "-show_entries", "stream=width,height"]);
        let size = String::from_utf8(size).unwrap();
        let (width, height) = size.trim().split_once(',').unwrap();
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        let bytes = output(
            "ffmpeg",
            &[
                "-v",
                "error",
                "-i",
                path,
                "-map",
                "0:v",
                "-vf",
                // As it is, not stretched to the full range.
                "extractplanes=y",
                "-vsync",
                "passthrough",
                "-f",
                "rawvideo",
                "-",
            ],
        );
        let pictures = bytes.chunks_exact(width * height).map(<[u8]>::to_vec).collect();
        Self { width, height, pictures }
    }

    /// The mean brightness of a part of every picture.
    pub(crate) fn shades(
        &self,
        columns: std::ops::Range<usize>,
        rows: std::ops::Range<usize>,
    ) -> Vec<u8> {
        let mean = |picture: &Vec<u8>| {
            let lines = rows.clone().map(|row| &picture[row * self.width..][columns.clone()]);
            let sum: u64 = lines.flatten().map(|value| u64::from(*value)).sum();
            u8::try_from(sum / (rows.len() * columns.len()) as u64).unwrap()
        };
        self.pictures.iter().map(mean).collect()
    }

    /// Of the middle.
    pub(crate) fn middle(&self) -> Vec<u8> {
        let (width, height) = (self.width, self.height);
        self.shades(width / 4..width * 3 / 4, height / 4..height * 3 / 4)
    }

    /// When each picture is shown, in seconds.
    pub(crate) fn times(path: &Path) -> Vec<f64> {
        let times = probe(
            path.to_str().unwrap(),
            &["-select_streams", "v", "-show_entries", "frame=pts_time"],
        );
        let times = String::from_utf8(times).unwrap();
        let times = times.lines().filter(|line| !line.is_empty());
        times.map(|line| line.trim_end_matches(',').parse().unwrap()).collect()
    }
}

/// A file's sound, by channel.
pub(crate) fn sound(path: &Path) -> Vec<Vec<i16>> {
    let path = path.to_str().unwrap();
    let channels = probe(path, &["-select_streams", "a", "-show_entries", "stream=channels"]);
    let channels: usize = String::from_utf8(channels).unwrap().trim().parse().unwrap();
    let bytes = output("ffmpeg", &["-v", "error", "-i", path, "-map", "0:a", "-f", "s16le", "-"]);
    let samples: Vec<i16> =
        bytes.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect();
    let channel = |n| samples.iter().skip(n).step_by(channels).copied().collect();
    (0..channels).map(channel).collect()
}

/// Where beeps begin, in samples.
pub(crate) fn beeps(sound: &[i16]) -> Vec<usize> {
    let mut beeps: Vec<usize> = Vec::new();
    for (n, sample) in sound.iter().enumerate() {
        if sample.unsigned_abs() > 4000 && beeps.last().is_none_or(|last| n > last + 9600) {
            beeps.push(n);
        }
    }
    beeps
}

/// The length of each stream and of the file, in microseconds, as ffprobe says.
pub(crate) fn lengths(path: &Path) -> Vec<u64> {
    let text = probe(path.to_str().unwrap(), &["-show_entries", "stream=duration:format=duration"]);
    let text = String::from_utf8(text).unwrap();
    text.lines()
        .map(|line| (line.parse::<f64>().unwrap() * 1e6).round())
        .map(|length| format!("{length}").parse().unwrap())
        .collect()
}

/// All files below a folder, by their names below it, sorted.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}
