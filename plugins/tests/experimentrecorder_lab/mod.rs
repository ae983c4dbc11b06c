// SPDX-License-Identifier: MPL-2.0

//! The laboratory of the recorder's tests: clips of encoded media, a recorder whose pads are pushed
//! into by hand, and an independent reader (ffprobe, ffmpeg) for what comes out.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// Every wait ends after that.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

pub(crate) const fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

/// Encoded media: caps and buffers, timed from zero.
#[derive(Clone)]
pub(crate) struct Clip {
    pub(crate) caps: gst::Caps,
    pub(crate) buffers: Vec<gst::Buffer>,
}

impl Clip {
    fn encode(description: &str) -> Self {
        init();
        let description = format!("{description} ! appsink name=sink sync=false");
        let pipeline =
            gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
        let sink = pipeline.by_name("sink").unwrap().downcast::<gst_app::AppSink>().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let mut clip = Clip { caps: gst::Caps::new_empty(), buffers: Vec::new() };
        while let Ok(sample) = sink.pull_sample() {
            clip.caps = sample.caps().unwrap().to_owned();
            let segment =
                sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().clone();
            let mut buffer = sample.buffer_owned().unwrap();
            let time = segment.to_running_time(buffer.pts());
            let writable = buffer.make_mut();
            writable.set_pts(time);
            writable.set_dts(gst::ClockTime::NONE);
            writable.unset_flags(gst::BufferFlags::DISCONT);
            clip.buffers.push(buffer);
        }
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(!clip.buffers.is_empty());
        clip
    }

    /// H.264 at 25 frames a second, a keyframe every second.
    pub(crate) fn h264(width: u32, height: u32, frames: u32, format: &str) -> Self {
        Self::encode(&format!(
            "videotestsrc num-buffers={frames} pattern=ball ! \
             video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! \
             x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! \
             h264parse config-interval=-1 ! video/x-h264,stream-format={format},alignment=au"
        ))
    }

    /// VP8 at 25 frames a second, a keyframe every second.
    pub(crate) fn vp8(width: u32, height: u32, frames: u32) -> Self {
        Self::encode(&format!(
            "videotestsrc num-buffers={frames} pattern=ball ! \
             video/x-raw,format=I420,width={width},height={height},framerate=25/1 ! \
             vp8enc deadline=1 cpu-used=8 keyframe-max-dist=25 error-resilient=1"
        ))
    }

    /// A tone in so many Opus packets of 20 ms. The encoder's first one, which is cut short, is left
    /// out, as it is when a conversation has been going on.
    pub(crate) fn opus(packets: u32) -> Self {
        let mut clip = Self::encode(&format!(
            "audiotestsrc num-buffers={} samplesperbuffer=960 volume=0.5 ! \
             audio/x-raw,rate=48000,channels=1 ! opusenc",
            packets + 1
        ));
        clip.buffers.remove(0);
        clip.buffers.truncate(packets as usize);
        for (number, buffer) in clip.buffers.iter_mut().enumerate() {
            buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(20 * number as u64));
        }
        clip
    }

    /// The same, later by `offset` nanoseconds.
    pub(crate) fn shifted(mut self, offset: u64) -> Self {
        for buffer in &mut self.buffers {
            let time = buffer.pts().unwrap() + gst::ClockTime::from_nseconds(offset);
            buffer.make_mut().set_pts(time);
        }
        self
    }

    /// Without the buffers from `from` up to `to`, in nanoseconds.
    pub(crate) fn without(mut self, from: u64, to: u64) -> Self {
        self.buffers.retain(|buffer| !(from..to).contains(&buffer.pts().unwrap().nseconds()));
        self
    }

    pub(crate) fn times(&self) -> Vec<u64> {
        self.buffers.iter().map(|buffer| buffer.pts().unwrap().nseconds()).collect()
    }

    pub(crate) fn len(&self) -> u64 {
        self.buffers.len() as u64
    }
}

/// What a live source feels: every push must be taken, and quickly.
pub(crate) struct Source {
    pad: gst::Pad,
    caps: Option<gst::Caps>,
}

impl Source {
    pub(crate) fn push(&mut self, caps: &gst::Caps, buffer: &gst::Buffer) {
        if self.caps.as_ref() != Some(caps) {
            if self.caps.is_none() {
                self.event(gst::event::StreamStart::new(&self.pad.name()));
            }
            self.event(gst::event::Caps::new(caps));
            if self.caps.is_none() {
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                self.event(gst::event::Segment::new(&segment));
            }
            self.caps = Some(caps.clone());
        }
        assert_eq!(self.pad.push(buffer.clone()), Ok(gst::FlowSuccess::Ok));
    }

    pub(crate) fn event(&self, event: gst::Event) {
        assert!(self.pad.push_event(event));
    }

    pub(crate) fn pad(&self) -> &gst::Pad {
        &self.pad
    }
}

/// A recorder that runs, with a folder of its own.
pub(crate) struct Lab {
    pub(crate) recorder: gst::Element,
    pub(crate) folder: tempfile::TempDir,
    pipeline: gst::Pipeline,
}

impl Lab {
    /// `origin` in nanoseconds of running time.
    pub(crate) fn new(layout: &str, origin: u64) -> Self {
        init();
        let folder = tempfile::tempdir().unwrap();
        let recorder = gst::ElementFactory::make("experimentrecorder")
            .property_from_str("layout", layout)
            .property("folder", folder.path().to_str().unwrap())
            .property("prefix", "p")
            .property("origin", origin)
            .build()
            .unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add(&recorder).unwrap();
        Self { recorder, folder, pipeline }
    }

    /// Requests the pad and starts the recorder if need be.
    pub(crate) fn source(&self, name: &str) -> Source {
        let sink = self.recorder.request_pad_simple(name).unwrap();
        let pad = gst::Pad::builder(gst::PadDirection::Src).name(format!("to_{name}")).build();
        pad.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        assert_eq!(
            self.pipeline.set_state(gst::State::Playing),
            Ok(gst::StateChangeSuccess::Success)
        );
        Source { pad, caps: None }
    }

    /// Pushes all clips, in the order of their times.
    pub(crate) fn play(&self, clips: &[(&str, &Clip)]) -> Vec<Source> {
        let mut sources: Vec<Source> = clips.iter().map(|(pad, _)| self.source(pad)).collect();
        let mut order: Vec<(u64, usize, usize)> = Vec::new();
        for (source, (_, clip)) in clips.iter().enumerate() {
            order.extend(clip.times().into_iter().enumerate().map(|(n, time)| (time, source, n)));
        }
        order.sort_unstable();
        for (_, source, n) in order {
            let clip = clips[source].1;
            sources[source].push(&clip.caps, &clip.buffers[n]);
        }
        sources
    }

    pub(crate) fn finish(&self) -> Outcome {
        self.recorder.emit_by_name::<()>("finish", &[]);
        self.outcome()
    }

    /// What is posted up to `experimentrecorder-finished`.
    pub(crate) fn outcome(&self) -> Outcome {
        let mut outcome = Outcome { messages: Vec::new() };
        let limit = Instant::now() + LIMIT;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            let left = gst::ClockTime::try_from(left).unwrap();
            let bus = self.pipeline.bus().unwrap();
            let message = bus.timed_pop(left).expect("the recorder finishes");
            match message.view() {
                gst::MessageView::Error(error) => {
                    panic!("an error reached the pipeline: {error:?}")
                }
                gst::MessageView::Element(_) => {
                    let structure = message.structure().unwrap().to_owned();
                    let last = structure.name() == "experimentrecorder-finished";
                    outcome.messages.push(structure);
                    if last {
                        return outcome;
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn bus(&self) -> gst::Bus {
        self.pipeline.bus().unwrap()
    }

    pub(crate) fn stat(&self, pad: &str, field: &str) -> u64 {
        let stats = self.recorder.property::<gst::Structure>("stats");
        stats.get::<gst::Structure>(pad).unwrap().get(field).unwrap()
    }

    /// Waits until the writer has dealt with everything that was received.
    pub(crate) fn settle(&self, pads: &[&str]) {
        let limit = Instant::now() + LIMIT;
        for pad in pads {
            while self.stat(pad, "received")
                != ["written", "outside", "gated", "dropped"]
                    .map(|n| self.stat(pad, n))
                    .iter()
                    .sum::<u64>()
            {
                assert!(Instant::now() < limit, "the writer deals with everything");
                std::thread::yield_now();
            }
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names of the files in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.pipeline.set_state(gst::State::Null).ok();
    }
}

/// The element messages of one recording.
pub(crate) struct Outcome {
    pub(crate) messages: Vec<gst::Structure>,
}

impl Outcome {
    pub(crate) fn of_kind(&self, kind: &str) -> Vec<&gst::Structure> {
        let name = format!("experimentrecorder-{kind}");
        self.messages.iter().filter(|structure| structure.name() == name.as_str()).collect()
    }

    /// The report of a file.
    pub(crate) fn file(&self, name: &str) -> &gst::Structure {
        self.of_kind("file")
            .into_iter()
            .find(|structure| structure.get::<&str>("name") == Ok(name))
            .unwrap_or_else(|| panic!("{name} is reported: {:?}", self.messages))
    }
}

pub(crate) fn number(structure: &gst::Structure, field: &str) -> u64 {
    structure.get(field).unwrap()
}

/// A track of a file's report, by its pad.
pub(crate) fn track(report: &gst::Structure, pad: &str) -> gst::Structure {
    let tracks = report.get::<gst::Array>("tracks").unwrap();
    tracks
        .iter()
        .map(|track| track.get::<gst::Structure>().unwrap())
        .find(|track| track.get::<&str>("pad") == Ok(pad))
        .unwrap()
}

/// The gaps of a track's report.
pub(crate) fn gaps(report: &gst::Structure, pad: &str) -> Vec<(u64, u64)> {
    let gaps = track(report, pad).get::<gst::Array>("gaps").unwrap();
    gaps.iter()
        .map(|gap| gap.get::<gst::Structure>().unwrap())
        .map(|gap| (number(&gap, "from"), number(&gap, "to")))
        .collect()
}

/// A file as ffprobe sees it.
pub(crate) struct Probe {
    json: serde_json::Value,
}

impl Probe {
    /// Reads the file, after ffmpeg decoded all of it without a complaint.
    pub(crate) fn decoded(path: &Path) -> Self {
        let path = path.to_str().unwrap();
        let run = Command::new("ffmpeg")
            .args(["-v", "error", "-i", path, "-map", "0", "-f", "null", "-"])
            .output()
            .unwrap();
        assert!(run.status.success(), "{path}: {}", String::from_utf8_lossy(&run.stderr));
        assert_eq!(String::from_utf8_lossy(&run.stderr), "", "{path}");
        let (probe, complaints) = Self::read(path);
        assert_eq!(complaints, "", "{path}");
        probe
    }

    /// Frames of a copy of a file that is being written: its last piece may be cut short.
    pub(crate) fn frames_so_far(copy: &Path, codec: &str) -> u64 {
        let (probe, _) = Self::read(copy.to_str().unwrap());
        if probe.codecs().contains(&codec) { probe.frames(codec) } else { 0 }
    }

    /// What ffprobe finds, and what it complains about.
    fn read(path: &str) -> (Self, String) {
        let run = Command::new("ffprobe")
            .args(["-v", "error", "-count_frames", "-show_streams", "-show_format"])
            .args(["-show_packets", "-of", "json", path])
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&run.stderr).into_owned();
        (Self { json: serde_json::from_slice(&run.stdout).unwrap() }, complaints)
    }

    pub(crate) fn codecs(&self) -> Vec<&str> {
        let streams = self.json["streams"].as_array().map_or(&[][..], Vec::as_slice);
        streams.iter().map(|stream| stream["codec_name"].as_str().unwrap()).collect()
    }

    /// Frames that were decoded.
    pub(crate) fn frames(&self, codec: &str) -> u64 {
        let frames = &self.stream(codec)["nb_read_frames"];
        frames.as_str().map_or(0, |frames| frames.parse().unwrap())
    }

    fn stream(&self, codec: &str) -> &serde_json::Value {
        let streams = self.json["streams"].as_array().unwrap();
        streams.iter().find(|stream| stream["codec_name"] == codec).unwrap()
    }

    /// Width and height that the decoder found.
    pub(crate) fn size(&self, codec: &str) -> (u64, u64) {
        let stream = self.stream(codec);
        (stream["width"].as_u64().unwrap(), stream["height"].as_u64().unwrap())
    }

    /// Times of the packets, in nanoseconds.
    pub(crate) fn times(&self, codec: &str) -> Vec<i64> {
        let packets = self.json["packets"].as_array().unwrap();
        let index = &self.stream(codec)["index"];
        packets
            .iter()
            .filter(|packet| packet["stream_index"] == *index)
            .map(|packet| seconds(&packet["pts_time"]))
            .collect()
    }

    /// What the header says, in nanoseconds.
    pub(crate) fn duration(&self) -> i64 {
        seconds(&self.json["format"]["duration"])
    }

    /// The times are those expected, to within a millisecond; sound begins at a multiple of 2.5 ms.
    pub(crate) fn assert_times(&self, codec: &str, expected: &[u64]) {
        let times = self.times(codec);
        assert_eq!(times.len(), expected.len(), "{codec}");
        for (time, expected) in times.iter().zip(expected) {
            let off = time.abs_diff(i64::try_from(*expected).unwrap());
            let limit = if codec == "opus" { ms(2) } else { ms(1) };
            assert!(off <= limit, "{codec}: {time} instead of {expected}");
        }
    }
}

fn seconds(value: &serde_json::Value) -> i64 {
    let seconds: f64 = value.as_str().unwrap().parse().unwrap();
    (seconds * 1e9).round() as i64
}

/// The sound of a file as a naive program reads it: samples at 48 kHz one after the other, mono,
/// timestamps ignored.
pub(crate) fn sound(path: &Path) -> Vec<i16> {
    let run = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-i", path.to_str().unwrap(), "-map", "0:a", "-ac", "1"])
        .args(["-f", "s16le", "-ar", "48000", "-"])
        .output()
        .unwrap();
    assert!(run.status.success());
    assert_eq!(String::from_utf8_lossy(&run.stderr), "", "{}", path.display());
    run.stdout.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

/// The same as GStreamer reads it: timestamp and samples of each piece.
pub(crate) fn pieces(path: &Path) -> Vec<(u64, u64)> {
    let text = format!(
        "filesrc location={} ! parsebin name=in in. ! audio/x-opus ! opusdec ! \
         audio/x-raw,format=S16LE,rate=48000 ! appsink name=out sync=false",
        path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut pieces = Vec::new();
    while let Some(sample) = out.try_pull_sample(gst::ClockTime::try_from(LIMIT).unwrap()) {
        let channels = sample.caps().unwrap().structure(0).unwrap().get::<i32>("channels").unwrap();
        let buffer = sample.buffer().unwrap();
        let frames = buffer.size() as u64 / 2 / u64::try_from(channels).unwrap();
        pieces.push((buffer.pts().unwrap().nseconds(), frames));
    }
    let bus = pipeline.bus().unwrap();
    let error = bus.pop_filtered(&[gst::MessageType::Error, gst::MessageType::Warning]);
    assert!(error.is_none() && out.is_eos(), "{error:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    pieces
}

/// Whether there is a tone in the samples of this time (ns).
pub(crate) fn sounds(samples: &[i16], from: u64, to: u64) -> bool {
    let at = |time: u64| usize::try_from(time * 48 / 1_000_000).unwrap().min(samples.len());
    let part = &samples[at(from)..at(to)];
    let power: f64 = part.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    (power / part.len() as f64).sqrt() > 1000.0
}
