// SPDX-License-Identifier: MPL-2.0

//! `experimentrecorder`: dry and wet media of one participant to files that survive anything.
//!
//! - **Pads**: `dry_audio`, `dry_video`, `wet_audio`, `wet_video`, each requested at most once, for
//!   encoded media: Opus; H.264 (`byte-stream` or `avc3`, whole access units, no reordered
//!   pictures); VP8.
//! - **Files**: `<folder>/<prefix>-<what>.<ext>`, never in place of an existing one. H.264 goes to
//!   mp4 (fragmented), VP8 to mkv, Opus alone to ogg. `what` is `dry` or `wet` (`layout=muxed`), or
//!   `audio-dry`, `video-dry`, `audio-wet`, `video-wet` (`layout=split`).
//! - **Time**: zero in every file is `origin`, and every unit stands at its running time minus the
//!   origin. What is older is not recorded, nor what is at or after `end`. A picture starts on a keyframe, and resumes on one
//!   after a loss in a dry stream (a DISCONT buffer) or a full queue; upstream is asked for it.
//!   Set `origin` to a time that has not come, such as 2^63, to wait until it is known.
//! - **Nobody waits**: a buffer is put into a queue, and one thread for the whole element writes.
//!   A full queue (`max-bytes`), a full disk or a missing folder costs the recording its media, not
//!   upstream a packet: pads always return OK. No file waits for a silent track: holes in the sound
//!   are filled with silent packets and one packet follows the other without a seam, so that sample n is the
//!   one at n / 48000 s to within 15 ms (or half a packet) of its timestamp, for good. Where nothing is heard
//!   (below −50 dB of full scale) it comes back to within 2.5 ms: silence is put in, or stands, somewhat
//!   shorter, instead of a packet (`quiet`). What is heard is left out (`jumps`) only where its time has its
//!   sound: a packet that comes twice, or 15 ms too early. Pictures pause. A
//!   picture that comes more than 1 s (on the wall) after the sound of its file gets a file of its own
//!   (`video-dry`, `video-wet`), since the tracks of a file are fixed when it is opened.
//! - **A crash** leaves every file readable up to its last second: what is due is written every
//!   0.5 s, in pieces that need nothing that follows them.
//! - **Changes of resolution** stay inside the stream; a file goes on through them.
//! - **The end**: the action signal `finish` (or the end of all streams, or the state READY) closes
//!   the files and posts the messages below. Later media are ignored.
//!
//! | element message | fields |
//! |---|---|
//! | `experimentrecorder-file` | `path`, `name`, `what`, `origin` (running time, ns), `first` (none when nothing came), `last` (ns since the origin), `frames`, `samples` (48 kHz, recorded), `silence` (48 kHz, filled), `gaps`, `bytes`, `sha256`, `complete`, `tracks` (`pad`, `codec`, `first`, `last`, `gated`, `dropped`, `jumps`, `quiet` (packets left out), `gap-count`, `gaps` (`from`, `to`, `cause`: `absent` or, where pictures came but no keyframe, `keyframe`), and `frames` or `packets`, `samples`, `silence`) |
//! | `experimentrecorder-opened` | `path`, `name`, `what`, `running-time` of its first unit |
//! | `experimentrecorder-size` | `pad`, `width`, `height`, `running-time`: pictures have another size from here on, or a first one |
//! | `experimentrecorder-finished` | `files` |
//! | `experimentrecorder-error` | `code` (`prefix`, `folder`, `create`, `write`, `kind`, `internal`), `path`, `message` |
//! | `experimentrecorder-overflow` | `pad`, `running-time`: dropping begins; `stats` tells how much |
//!
//! ```text
//! gst-launch-1.0 -m experimentrecorder name=r folder=/tmp/recordings prefix=try \
//!   videotestsrc num-buffers=150 ! x264enc tune=zerolatency ! r.dry_video \
//!   audiotestsrc num-buffers=250 samplesperbuffer=960 ! opusenc ! r.dry_audio
//! ```
//!
//! It is one element with a thread and its own small writers of mp4, mkv and ogg, not a bin of
//! muxers: those wait for every track (see `container.rs`), and so a state, an error or an end
//! inside a file cannot reach the pipeline that carries the conversation. Limits: the pre-skip of
//! Opus is written as 0, so the look-ahead (6.5 ms) of an encoder that starts at the origin itself is not
//! taken off, as that of one that ran before it is; mono and stereo only.

use gst::glib;
use gst::prelude::*;

mod container;
mod ear;
mod file;
mod format;
mod h264;
mod imp;
mod inbox;
mod mkv;
mod mp4;
mod mp4_boxes;
mod naming;
mod ogg;
mod opus;
mod report;
mod thread;
mod timeline;
mod writer;

/// How tracks are put into files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstExperimentRecorderLayout")]
#[non_exhaustive]
pub enum Layout {
    /// Sound and picture of one side share a file.
    #[default]
    #[enum_value(name = "Muxed: one file for dry, one for wet", nick = "muxed")]
    Muxed,
    /// Every track has a file of its own.
    #[enum_value(name = "Split: one file for each track", nick = "split")]
    Split,
}

glib::wrapper! {
    /// Dry and wet media of one participant to files that survive anything.
    pub struct ExperimentRecorder(ObjectSubclass<imp::ExperimentRecorder>)
        @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "experimentrecorder",
        gst::Rank::NONE,
        ExperimentRecorder::static_type(),
    )
}
