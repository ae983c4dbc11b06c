// SPDX-License-Identifier: MPL-2.0

//! Recordings, read packet by packet, and by independent decoders to their last frame.

use super::media::{Codec, Media};
use ducksoup_app::archive::pieces::{self, Format};
use gst::{glib, prelude::*};
use gst_app::AppSink;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A packet as it stands in a file.
pub(crate) struct Packet {
    /// Seconds from the file's zero.
    pub(crate) time: f64,
    /// The place in what was sent; `None`: nobody sent it (silence that the recorder put there).
    pub(crate) frame: Option<usize>,
}

/// The files of a run with this ending, by name.
pub(crate) fn recordings(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("recordings")).into_iter().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(ending))
        .collect();
    paths.sort();
    paths
}

/// The manifest of the only run in a folder.
pub(crate) fn manifest(folder: &Path) -> (PathBuf, Value) {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let path = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.ends_with(".json") && !name.ends_with("-events.json")
        })
        .expect("a manifest");
    let text = std::fs::read(&path).unwrap();
    (path, serde_json::from_slice(&text).unwrap())
}

/// The zero of a recording, on this machine's clock: by t0, as its manifest tells it, and by the time
/// in the file's name.
pub(crate) fn zero(path: &Path) -> Instant {
    let (_, manifest) = manifest(path.ancestors().nth(2).unwrap());
    let t0: Timestamp = manifest["started"].as_str().unwrap().parse().unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let stamp = name.split_once("-a-").unwrap().1.split_once("-s-").unwrap().0;
    let begins = DateTime::strptime("%Y%m%d-%H%M%S%.f", stamp).unwrap();
    let begins = begins.to_zoned(TimeZone::UTC).unwrap().timestamp();
    let offset = Duration::try_from(begins.duration_since(t0)).unwrap_or_default();
    // `Instant` is of the same clock.
    let now = Duration::from_micros(glib::monotonic_time().try_into().unwrap());
    let t0 = Duration::from_nanos(manifest["started_monotonic"].as_u64().unwrap());
    Instant::now() - (now - t0) + offset
}

/// Cuts a copy of a file that was being written to its last whole piece, as the next start of the
/// server does after a crash.
pub(crate) fn drop_torn_piece(copy: &Path) {
    let format = copy.extension().and_then(|e| Format::of(e.to_str()?)).expect("a recording");
    let file = File::options().read(true).write(true).open(copy).unwrap();
    let whole = pieces::whole(format, &file, file.metadata().unwrap().len()).unwrap();
    file.set_len(whole.length).unwrap();
}

/// Decodes a file with ffmpeg, which must have nothing to complain about; gives the sizes of its
/// pictures in the order in which they appear first.
pub(crate) fn assert_decodes(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.is_empty(), "{path}: {program}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    // Times as they are: a time base of the frame rate would make two of one.
    let times = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
    let from = ["-v", "error", "-xerror", "-i", path];
    run("ffmpeg", &[&from[..], &times, &["-f", "null", "-"]].concat());
    let entries = ["-v", "error", "-select_streams", "v:0", "-show_entries", "frame=width,height"];
    let list = run("ffprobe", &[&entries[..], &["-of", "csv=p=0:s=x", path]].concat());
    let mut sizes: Vec<String> = Vec::new();
    for size in list.lines().map(|line| line.trim_matches('x').to_owned()) {
        if !size.is_empty() && !sizes.contains(&size) {
            sizes.push(size);
        }
    }
    sizes
}

/// The packets of one track of a file.
pub(crate) fn packets(path: &Path, codec: Codec) -> Vec<Packet> {
    let demuxer = match path.extension().and_then(|extension| extension.to_str()) {
        Some("mp4") => "qtdemux",
        Some("mkv") => "matroskademux",
        _ => "oggdemux",
    };
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("filesrc").property("location", path).build().unwrap();
    let demuxer = gst::ElementFactory::make(demuxer).build().unwrap();
    pipeline.add_many([&source, &demuxer]).unwrap();
    source.link(&demuxer).unwrap();
    let (sender, packets) = std::sync::mpsc::channel();
    let weak = pipeline.downgrade();
    demuxer.connect_pad_added(move |_, pad| {
        let pipeline = weak.upgrade().unwrap();
        let caps = pad.current_caps().map_or(String::new(), |caps| caps.to_string());
        let wanted = match codec {
            Codec::Opus => caps.starts_with("audio/x-opus"),
            Codec::H264 => caps.starts_with("video/x-h264"),
            Codec::Vp8 => caps.starts_with("video/x-vp8"),
        };
        let sink = AppSink::builder().sync(false).async_(false).build();
        let sender = wanted.then(|| sender.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let buffer = sample.buffer().unwrap();
                    let bytes = buffer.map_readable().unwrap();
                    if let Some(sender) = &sender {
                        let time = buffer.pts().unwrap().nseconds() as f64 / 1e9;
                        sender.send((time, bytes.to_vec())).unwrap();
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        pad.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let limit = gst::ClockTime::from_seconds(60);
    let end = pipeline.bus().unwrap().timed_pop_filtered(limit, &kinds).expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{}: {end:?}", path.display());
    pipeline.set_state(gst::State::Null).unwrap();
    let media = Media::of(codec);
    // Headers of Ogg come as packets, too.
    let media_only = packets.try_iter().filter(|(_, bytes)| !bytes.starts_with(b"Opus"));
    media_only.map(|(time, bytes)| Packet { time, frame: media.find(&bytes) }).collect()
}

/// The slices of an H.264 picture (types 1 and 5), from a byte stream or behind their lengths.
pub(crate) fn pictures_of(frame: &[u8]) -> Vec<u8> {
    // A length of 256 looks like a start code.
    let units = lengths(frame).unwrap_or_else(|| units(frame));
    let slices = units.into_iter().filter(|unit| matches!(unit[0] & 0x1f, 1 | 5));
    slices.flatten().copied().collect()
}

/// The units of a byte stream (ITU-T H.264, annex B).
pub(crate) fn units(frame: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..frame.len().saturating_sub(2))
        .filter(|at| frame[*at..].starts_with(&[0, 0, 1]))
        .map(|at| at + 3)
        .collect();
    let ends = starts.iter().skip(1).map(|next| next - 3).chain([frame.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let unit = &frame[*start..end];
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &unit[..length]
    };
    starts.iter().zip(ends).map(unit).filter(|unit| !unit.is_empty()).collect()
}

/// The units behind lengths of four bytes, when these fit.
fn lengths(mut frame: &[u8]) -> Option<Vec<&[u8]>> {
    let mut units = Vec::new();
    while !frame.is_empty() {
        let (length, rest) = frame.split_first_chunk::<4>()?;
        let (unit, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        units.extend((!unit.is_empty()).then_some(unit));
        frame = rest;
    }
    Some(units)
}
