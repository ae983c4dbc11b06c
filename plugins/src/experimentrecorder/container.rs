// SPDX-License-Identifier: MPL-2.0

//! What the three kinds of file have in common: samples go in, bytes come out.
//!
//! The writers are ours because a stock muxer waits for every track: with GStreamer 1.22 one silent
//! track makes `mp4mux` and `matroskamux` hold the other one back, whatever GAP events or sparse
//! flags say, and a crash then loses everything since. These never wait, keep every timestamp as it
//! is, and hand out bytes that are readable without those that follow.

use super::naming::Extension;

/// A file is written in pieces of this length, in nanoseconds: what a crash can lose.
pub(super) const PIECE: u64 = 500_000_000;

/// How a track is encoded, with what its header needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Codec {
    Opus { channels: u8 },
    H264 { width: u32, height: u32, configuration: Vec<u8> },
    Vp8 { width: u32, height: u32 },
}

impl Codec {
    /// The word for it in reports.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Codec::Opus { .. } => "opus",
            Codec::H264 { .. } => "h264",
            Codec::Vp8 { .. } => "vp8",
        }
    }
}

/// One packet of one track. Samples of a track come with times that rise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// Position of the track in the list that the file was opened with.
    pub(super) track: usize,
    /// Time since the origin, in nanoseconds.
    pub(super) at: u64,
    /// How long it lasts, in nanoseconds; for a picture a guess, used where nothing follows.
    pub(super) duration: u64,
    /// It can be decoded without those before it.
    pub(super) key: bool,
    pub(super) data: Vec<u8>,
}

impl Sample {
    pub(super) fn end(&self) -> u64 {
        self.at.saturating_add(self.duration)
    }
}

/// Bytes that replace those at a place already written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// The last bytes of a file, and corrections to the first ones. Without both it is readable too,
/// but does not say its length and cannot be searched as quickly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) tail: Vec<u8>,
    pub(super) patches: Vec<Patch>,
}

/// A format.
pub(super) trait Container: Send {
    /// The first bytes of the file.
    fn start(&mut self) -> Vec<u8>;
    /// Takes a sample; the bytes that are due now, often none.
    fn write(&mut self, sample: Sample) -> Vec<u8>;
    /// Everything that is still held back.
    fn flush(&mut self) -> Vec<u8>;
    /// Everything that is still held back, and the end of the file.
    fn finish(&mut self) -> Ending;
}

/// The format for these tracks: Opus alone is Ogg, H.264 goes to MP4, VP8 to Matroska.
pub(super) fn for_tracks(tracks: &[Codec]) -> (Extension, Box<dyn Container>) {
    let is = |test: fn(&Codec) -> bool| tracks.iter().any(test);
    if is(|codec| matches!(codec, Codec::H264 { .. })) {
        (Extension::Mp4, Box::new(super::mp4::Mp4::new(tracks)))
    } else if is(|codec| matches!(codec, Codec::Vp8 { .. })) {
        (Extension::Mkv, Box::new(super::mkv::Mkv::new(tracks)))
    } else {
        let channels = tracks.iter().find_map(|codec| match codec {
            Codec::Opus { channels } => Some(*channels),
            _ => None,
        });
        (Extension::Ogg, Box::new(super::ogg::Ogg::new(channels.unwrap_or(2))))
    }
}
