// SPDX-License-Identifier: MPL-2.0

//! VP8 and Opus in Matroska (RFC 9559). Times are milliseconds, the scale that every reader knows.

use super::container::{Codec, Container, Ending, PIECE, Patch, Sample};
use super::opus;

/// Room kept at the start of the segment for the table that says where the rest is.
const SEEK_ROOM: usize = 64;

/// The size of an element that is not known yet (RFC 8794, section 6.2), in eight bytes.
const UNKNOWN: [u8; 8] = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

mod id {
    pub(super) const EBML: u32 = 0x1a45_dfa3;
    pub(super) const SEGMENT: u32 = 0x1853_8067;
    pub(super) const SEEK_HEAD: u32 = 0x114d_9b74;
    pub(super) const VOID: u32 = 0xec;
    pub(super) const INFO: u32 = 0x1549_a966;
    pub(super) const DURATION: u32 = 0x4489;
    pub(super) const TRACKS: u32 = 0x1654_ae6b;
    pub(super) const CLUSTER: u32 = 0x1f43_b675;
    pub(super) const SIMPLE_BLOCK: u32 = 0xa3;
    pub(super) const CUES: u32 = 0x1c53_bb6b;
}

/// Writes a Matroska file.
#[derive(Debug)]
pub(super) struct Mkv {
    tracks: Vec<Codec>,
    written: u64,
    /// Where the content of the segment begins: positions inside it count from there.
    segment: u64,
    info: u64,
    duration_at: u64,
    tracks_at: u64,
    cluster: Vec<Sample>,
    cues: Vec<Cue>,
    end: u64,
}

/// A place where a reader can start.
#[derive(Debug)]
struct Cue {
    time: u64,
    track: usize,
    cluster: u64,
}

impl Mkv {
    pub(super) fn new(tracks: &[Codec]) -> Self {
        Self {
            tracks: tracks.to_vec(),
            written: 0,
            segment: 0,
            info: 0,
            duration_at: 0,
            tracks_at: 0,
            cluster: Vec::new(),
            cues: Vec::new(),
            end: 0,
        }
    }

    fn take_cluster(&mut self) -> Vec<u8> {
        if self.cluster.is_empty() {
            return Vec::new();
        }
        let mut samples = std::mem::take(&mut self.cluster);
        samples.sort_by_key(|sample| sample.at);
        let base = milliseconds(samples[0].at);
        let position = self.written - self.segment;
        let has_video = self.tracks.iter().any(|codec| !matches!(codec, Codec::Opus { .. }));
        let mut body = unsigned(0xe7, base);
        for sample in &samples {
            let time = milliseconds(sample.at);
            let is_video = !matches!(self.tracks[sample.track], Codec::Opus { .. });
            if sample.key && is_video {
                self.cues.push(Cue { time, track: sample.track, cluster: position });
            }
            let mut block = vec![0x80 | (sample.track + 1) as u8];
            // A cluster lasts little more than PIECE, far from the limit of 32 s.
            block.extend(((time - base) as i16).to_be_bytes());
            block.push(if sample.key { 0x80 } else { 0 });
            block.extend_from_slice(&sample.data);
            body.extend(element(id::SIMPLE_BLOCK, &block));
            self.end = self.end.max(sample.end());
        }
        if !has_video {
            self.cues.push(Cue { time: base, track: 0, cluster: position });
        }
        let out = element(id::CLUSTER, &body);
        self.written += out.len() as u64;
        out
    }

    fn cues(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for cue in &self.cues {
            let mut place = unsigned(0xf7, cue.track as u64 + 1);
            place.extend(unsigned(0xf1, cue.cluster));
            let mut point = unsigned(0xb3, cue.time);
            point.extend(element(0xb7, &place));
            body.extend(element(0xbb, &point));
        }
        element(id::CUES, &body)
    }

    /// The table at the start of the segment, with its padding.
    fn seek_head(&self, cues: u64) -> Vec<u8> {
        let mut body = Vec::new();
        for (target, at) in [(id::INFO, self.info), (id::TRACKS, self.tracks_at), (id::CUES, cues)]
        {
            let mut entry = element(0x53ab, &target.to_be_bytes());
            entry.extend(unsigned(0x53ac, at - self.segment));
            body.extend(element(0x4dbb, &entry));
        }
        let mut out = element(id::SEEK_HEAD, &body);
        // An element takes at least two bytes; three entries take at most 58.
        out.extend(void(SEEK_ROOM.saturating_sub(out.len())));
        out
    }
}

impl Container for Mkv {
    fn start(&mut self) -> Vec<u8> {
        let mut ebml = unsigned(0x4286, 1);
        for (id, value) in [(0x42f7, 1), (0x42f2, 4), (0x42f3, 8)] {
            ebml.extend(unsigned(id, value));
        }
        ebml.extend(element(0x4282, b"matroska"));
        ebml.extend(unsigned(0x4287, 4));
        ebml.extend(unsigned(0x4285, 2));
        let mut out = element(id::EBML, &ebml);
        out.extend(id_bytes(id::SEGMENT));
        out.extend(UNKNOWN);
        self.segment = out.len() as u64;
        out.extend(void(SEEK_ROOM));

        self.info = out.len() as u64;
        let mut info = unsigned(0x2a_d7b1, 1_000_000);
        info.extend(element(0x4d80, b"experimentrecorder"));
        info.extend(element(0x5741, b"experimentrecorder"));
        // Until it is known, an empty element stands where the length will be.
        let room = element(id::DURATION, &0f64.to_be_bytes()).len();
        info.extend(void(room));
        out.extend(element(id::INFO, &info));
        self.duration_at = (out.len() - room) as u64;

        self.tracks_at = out.len() as u64;
        let entries: Vec<u8> =
            self.tracks.iter().enumerate().flat_map(|(index, codec)| entry(index, codec)).collect();
        out.extend(element(id::TRACKS, &entries));
        self.written = out.len() as u64;
        out
    }

    fn write(&mut self, sample: Sample) -> Vec<u8> {
        let first = self.cluster.first().map(|sample| sample.at);
        let due = first.is_some_and(|first| sample.at.abs_diff(first) >= PIECE);
        let out = if due { self.take_cluster() } else { Vec::new() };
        self.cluster.push(sample);
        out
    }

    fn flush(&mut self) -> Vec<u8> {
        self.take_cluster()
    }

    fn finish(&mut self) -> Ending {
        let mut tail = self.take_cluster();
        let cues = self.written;
        let index = self.cues();
        self.written += index.len() as u64;
        tail.extend(index);
        let duration = element(id::DURATION, &(self.end as f64 / 1e6).to_be_bytes());
        let size = (self.written - self.segment) | 1 << 56;
        Ending {
            tail,
            patches: vec![
                Patch { offset: self.segment - 8, bytes: size.to_be_bytes().to_vec() },
                Patch { offset: self.segment, bytes: self.seek_head(cues) },
                Patch { offset: self.duration_at, bytes: duration },
            ],
        }
    }
}

fn entry(index: usize, codec: &Codec) -> Vec<u8> {
    let number = index as u64 + 1;
    let mut out = unsigned(0xd7, number);
    out.extend(unsigned(0x73c5, number));
    out.extend(unsigned(0x9c, 0));
    out.extend(element(0x22_b59c, b"und"));
    match codec {
        Codec::Opus { channels } => {
            out.extend(unsigned(0x83, 2));
            out.extend(element(0x86, b"A_OPUS"));
            out.extend(element(0x63a2, &opus::head(*channels)));
            // 80 ms: what an Opus decoder needs to converge (RFC 7845, section 4.6).
            out.extend(unsigned(0x56bb, 80_000_000));
            let mut audio = element(0xb5, &48_000f64.to_be_bytes());
            audio.extend(unsigned(0x9f, u64::from(*channels)));
            out.extend(element(0xe1, &audio));
        }
        Codec::Vp8 { width, height } | Codec::H264 { width, height, .. } => {
            out.extend(unsigned(0x83, 1));
            match codec {
                Codec::H264 { configuration, .. } => {
                    out.extend(element(0x86, b"V_MPEG4/ISO/AVC"));
                    out.extend(element(0x63a2, configuration));
                }
                _ => out.extend(element(0x86, b"V_VP8")),
            }
            let mut video = unsigned(0xb0, u64::from(*width));
            video.extend(unsigned(0xba, u64::from(*height)));
            out.extend(element(0xe0, &video));
        }
    }
    element(0xae, &out)
}

fn milliseconds(nanoseconds: u64) -> u64 {
    opus::scale(nanoseconds, 1_000)
}

/// An identifier, as many bytes as it needs.
fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
}

/// A whole element; the size always takes eight bytes but for small ones, which take one.
fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    let size = content.len() as u64;
    if size < 0x7f {
        out.push(0x80 | size as u8);
    } else {
        out.extend((size | 1 << 56).to_be_bytes());
    }
    out.extend_from_slice(content);
    out
}

fn unsigned(id: u32, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let zeros = (value.leading_zeros() as usize / 8).min(7);
    element(id, &bytes[zeros..])
}

/// An element without meaning that takes `length` bytes in all (none for less than two).
fn void(length: usize) -> Vec<u8> {
    if length < 2 { Vec::new() } else { element(id::VOID, &vec![0; length - 2]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_have_the_sizes_of_the_rfc() {
        assert_eq!(element(0xa3, &[7]), [0xa3, 0x81, 7]);
        assert_eq!(unsigned(0x2a_d7b1, 1_000_000), [0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40]);
        assert_eq!(unsigned(0xd7, 0), [0xd7, 0x81, 0]);
        assert_eq!(element(0xa3, &[0; 127])[..9], [0xa3, 1, 0, 0, 0, 0, 0, 0, 127]);
        assert_eq!(void(64).len(), 64);
    }

    #[test]
    fn corrections_fit_exactly_where_room_was_kept() {
        let tracks = [Codec::Vp8 { width: 320, height: 240 }, Codec::Opus { channels: 2 }];
        let mut mkv = Mkv::new(&tracks);
        let start = mkv.start();
        // As large as positions get: a file of many gigabytes.
        mkv.written = u64::MAX >> 10;
        let (at, duration) = (80_000_000, 20_000_000);
        mkv.write(Sample { track: 0, at, duration, key: true, data: vec![0; 9] });
        for patch in mkv.finish().patches {
            let from = usize::try_from(patch.offset).unwrap_or(usize::MAX);
            let old = &start[from..from + patch.bytes.len()];
            let room =
                old == UNKNOWN || old[0] == 0xec && usize::from(old[1] & 0x7f) + 2 == old.len();
            assert!(room, "{old:?}");
        }
    }
}
