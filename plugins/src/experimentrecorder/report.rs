// SPDX-License-Identifier: MPL-2.0

//! The element messages of the recorder, the only place where their fields are named.

use super::file::{Closed, FileError};
use super::naming::{Kind, Slot, What};
use super::opus;
use super::timeline::{Cause, Gap, Summary};
use std::path::Path;

/// One track of a file that is closed.
#[derive(Debug)]
pub(super) struct TrackReport {
    pub(super) pad: &'static str,
    pub(super) kind: Kind,
    pub(super) codec: &'static str,
    pub(super) gated: u64,
    pub(super) dropped: u64,
    pub(super) summary: Summary,
}

/// `experimentrecorder-file`: a file is closed.
pub(super) fn file(
    what: What,
    origin: u64,
    closed: &Closed,
    tracks: &[TrackReport],
) -> gst::Structure {
    let sum = |kind: Kind, value: fn(&Summary) -> u64| -> u64 {
        tracks.iter().filter(|t| t.kind == kind).map(|t| value(&t.summary)).sum()
    };
    let all = || tracks.iter().map(|track| &track.summary);
    gst::Structure::builder("experimentrecorder-file")
        .field("path", closed.path.to_string_lossy().as_ref())
        .field("name", name_of(&closed.path))
        .field("what", what.word())
        .field("origin", origin)
        .field_if_some("first", all().filter_map(|track| track.first).min())
        .field("last", all().map(|track| track.last).max().unwrap_or(0))
        .field("frames", sum(Kind::Video, |track| track.units))
        .field("samples", sum(Kind::Audio, |track| opus::samples(track.length)))
        .field("silence", sum(Kind::Audio, |track| opus::samples(track.filled)))
        .field("gaps", all().map(|track| track.gap_count).sum::<u64>())
        .field("bytes", closed.bytes)
        .field("sha256", closed.sha256.as_str())
        .field("complete", closed.complete)
        .field("tracks", gst::Array::new(tracks.iter().map(track)))
        .build()
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn track(track: &TrackReport) -> gst::Structure {
    let TrackReport { pad, kind, codec, gated, dropped, summary } = track;
    let gap = |(gap, cause): &(Gap, Cause)| {
        gst::Structure::builder("gap")
            .field("from", gap.from)
            .field("to", gap.to)
            .field("cause", cause.word())
            .build()
    };
    let builder = gst::Structure::builder("track")
        .field("pad", *pad)
        .field("codec", *codec)
        .field_if_some("first", summary.first)
        .field("last", summary.last)
        .field("gated", *gated)
        .field("dropped", *dropped)
        .field("jumps", summary.jumps)
        .field("gap-count", summary.gap_count)
        .field("gaps", gst::Array::new(summary.gaps.iter().map(gap)));
    match kind {
        Kind::Video => builder.field("frames", summary.units),
        Kind::Audio => builder
            .field("quiet", summary.quiet)
            .field("packets", summary.units)
            .field("samples", opus::samples(summary.length))
            .field("silence", opus::samples(summary.filled)),
    }
    .build()
}

/// `experimentrecorder-opened`: a file is made; its first unit is of this time.
pub(super) fn opened(what: What, path: &Path, time: u64) -> gst::Structure {
    gst::Structure::builder("experimentrecorder-opened")
        .field("path", path.to_string_lossy().as_ref())
        .field("name", name_of(path))
        .field("what", what.word())
        .field("running-time", time)
        .build()
}

/// `experimentrecorder-size`: pictures of this pad have another size from here on, or a first one.
pub(super) fn size(slot: Slot, (width, height): (u32, u32), time: u64) -> gst::Structure {
    gst::Structure::builder("experimentrecorder-size")
        .field("pad", slot.pad_name())
        .field("width", width)
        .field("height", height)
        .field("running-time", time)
        .build()
}

/// `experimentrecorder-finished`: all files are closed.
pub(super) fn finished(files: u32) -> gst::Structure {
    gst::Structure::builder("experimentrecorder-finished").field("files", files).build()
}

/// `experimentrecorder-error`: a file cannot be made or goes no further.
pub(super) fn error(error: &FileError) -> gst::Structure {
    gst::Structure::builder("experimentrecorder-error")
        .field("code", error.code())
        .field("path", error.path().to_string_lossy().as_ref())
        .field("message", error.to_string())
        .build()
}

/// `experimentrecorder-error` when the writer itself died.
pub(super) fn died() -> gst::Structure {
    gst::Structure::builder("experimentrecorder-error")
        .field("code", "internal")
        .field("path", "")
        .field("message", "the recorder stopped because of a fault of its own")
        .build()
}

/// `experimentrecorder-overflow`: the disk does not keep up, media of this pad are being dropped.
pub(super) fn overflow(slot: Slot, time: u64) -> gst::Structure {
    gst::Structure::builder("experimentrecorder-overflow")
        .field("pad", slot.pad_name())
        .field("running-time", time)
        .build()
}
