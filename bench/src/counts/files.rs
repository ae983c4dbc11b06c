// SPDX-License-Identifier: MPL-2.0

//! What is in a recording, read by GStreamer, ffprobe and ffmpeg.

use super::packet::{Shape, mark};
use anyhow::Context as _;
use gst::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

/// Longest wait for a file to be read.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(60);

/// The marks of a file's pieces, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Pictures.
    pub(crate) pictures: Vec<u64>,
    /// Packets of sound.
    pub(crate) sound: Vec<u64>,
}

/// Takes a file apart.
///
/// # Errors
/// When it cannot be read to its end.
pub(crate) fn marks(path: &Path) -> anyhow::Result<Marks> {
    let demuxer = match path.extension().and_then(|extension| extension.to_str()) {
        Some("mp4") => "qtdemux",
        Some("mkv") => "matroskademux",
        _ => anyhow::bail!("{}: neither mp4 nor mkv", path.display()),
    };
    let launch = format!("filesrc name=source ! {demuxer} name=demuxer");
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let pipeline = pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?;
    pipeline.by_name("source").context("no source")?.set_property("location", path);
    let found = Arc::new(Mutex::new(Marks::default()));
    let (to, around) = (Arc::clone(&found), pipeline.downgrade());
    pipeline.by_name("demuxer").context("no demuxer")?.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = around.upgrade() {
            // A pad without an end is an error, which the bus tells.
            let _ = collect(&pipeline, pad, &to);
        }
    });
    let bus = pipeline.bus().context("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    let end = bus.timed_pop_filtered(LIMIT, &[gst::MessageType::Eos, gst::MessageType::Error]);
    pipeline.set_state(gst::State::Null)?;
    match end.as_deref().map(gst::MessageRef::view) {
        Some(gst::MessageView::Eos(_)) => {}
        Some(gst::MessageView::Error(error)) => {
            anyhow::bail!("{}: {}", path.display(), error.error())
        }
        _ => anyhow::bail!("{}: no end within {LIMIT}", path.display()),
    }
    let found = found.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(found)
}

fn collect(
    pipeline: &gst::Pipeline,
    pad: &gst::Pad,
    to: &Arc<Mutex<Marks>>,
) -> Result<(), glib::BoolError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let name = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
    let shape = if name == "video/x-h264" { Shape::Lengths } else { Shape::Whole };
    let is_sound = name.starts_with("audio/");
    // One thread feeds both tracks: neither may wait for the other's first piece.
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()?;
    pipeline.add(&sink)?;
    let end = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("no pad"))?;
    let to = Arc::clone(to);
    end.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(bytes) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
            let mut marks = to.lock().unwrap_or_else(PoisonError::into_inner);
            let list = if is_sound { &mut marks.sound } else { &mut marks.pictures };
            list.push(mark(shape, &bytes));
        }
        gst::PadProbeReturn::Ok
    });
    sink.sync_state_with_parent()?;
    pad.link(&end).map_err(|error| glib::bool_error!("{error}"))?;
    Ok(())
}

/// The times of a file's pictures, and the length of a step of its clock; all in s.
///
/// # Errors
/// When ffprobe does not read it.
pub(crate) fn times(path: &Path) -> anyhow::Result<(Vec<f64>, f64)> {
    let entries = "stream=time_base:packet=pts";
    let found = probe(path, &["-show_packets", "-show_streams", "-show_entries", entries])?;
    let base = found["streams"][0]["time_base"].as_str().and_then(|base| base.split_once('/'));
    let (above, below) = base.context("no time base")?;
    let tick = above.parse::<f64>()? / below.parse::<f64>()?;
    let packets = found["packets"].as_array().context("no packets")?;
    let mut times: Vec<f64> = packets
        .iter()
        .map(|packet| Some(packet["pts"].as_i64()? as f64 * tick))
        .collect::<Option<_>>()
        .context("a packet without a time")?;
    times.sort_by(f64::total_cmp);
    Ok((times, tick))
}

/// The sizes of a file's decoded pictures, each with how many there are, in order.
///
/// # Errors
/// When ffprobe does not decode it.
pub(crate) fn sizes(path: &Path) -> anyhow::Result<Vec<((u64, u64), usize)>> {
    let found = probe(path, &["-show_frames", "-show_entries", "frame=width,height"])?;
    let mut sizes: Vec<((u64, u64), usize)> = Vec::new();
    for frame in found["frames"].as_array().context("no pictures")? {
        let size = frame["width"].as_u64().zip(frame["height"].as_u64()).context("no size")?;
        match sizes.last_mut() {
            Some((last, count)) if *last == size => *count += 1,
            _ => sizes.push((size, 1)),
        }
    }
    Ok(sizes)
}

fn probe(path: &Path, options: &[&str]) -> anyhow::Result<Value> {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0"]).args(options);
    let output = command.args(["-of", "json"]).arg(path).output().context("ffprobe")?;
    let words = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {words}", path.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Has ffmpeg decode all of a file, and stop at the first thing that it complains of. Each picture
/// keeps its own time: ffmpeg is not to put them on a grid of its own guess.
///
/// # Errors
/// That complaint.
pub(crate) fn ffmpeg(path: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-xerror", "-i"]).arg(path);
    let own_times = ["-fps_mode", "passthrough", "-enc_time_base", "-1"];
    let output = command.args(own_times).args(["-f", "null", "-"]).output().context("ffmpeg")?;
    let words = String::from_utf8_lossy(&output.stderr);
    let is_clean = output.status.success() && words.trim().is_empty();
    anyhow::ensure!(is_clean, "{}: {}", path.display(), words.trim());
    Ok(())
}
