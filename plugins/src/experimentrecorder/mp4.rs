// SPDX-License-Identifier: MPL-2.0

//! H.264 and Opus in fragmented MP4 (ISO/IEC 14496-12, 14496-15, "Encapsulation of Opus in ISO
//! Base Media File Format").
//!
//! Every fragment says the absolute time of each track (`tfdt`), so tracks may start, pause and end
//! when they like, and a picture's duration is the time until the next one.

use super::container::{Codec, Container, Ending, PIECE, Patch, Sample};
use super::mp4_boxes::{clamp, id, matrix, mp4_box, trak};
use super::opus::{RATE, scale};

/// Units in a second of the whole file.
const MOVIE_RATE: u64 = 1_000;
/// Units in a second of a video track, the clock of RTP video.
const VIDEO_RATE: u64 = 90_000;

/// `sample_flags`: depends on no other sample; depends on others and is no sync sample.
const SYNC: u32 = 0x0200_0000;
const NON_SYNC: u32 = 0x0101_0000;

/// Writes a fragmented MP4 file.
#[derive(Debug)]
pub(super) struct Mp4 {
    tracks: Vec<Track>,
    sequence: u32,
    written: u64,
    durations: Vec<Duration>,
    end: u64,
}

#[derive(Debug)]
struct Track {
    codec: Codec,
    rate: u64,
    held: Vec<Sample>,
    index: Vec<Entry>,
}

/// A place where a reader can start.
#[derive(Debug)]
struct Entry {
    time: u64,
    fragment: u64,
    part: u8,
    sample: u32,
}

/// Where a duration stands that is known only at the end.
#[derive(Debug)]
struct Duration {
    offset: u64,
    wide: bool,
}

impl Track {
    /// The samples that can be written now: a sample's duration is known when the next one is
    /// there, so the last one stays, unless its track has paused or `all` is asked for.
    fn take(&mut self, newest: u64, all: bool) -> Vec<Sample> {
        let paused = self.held.last().is_some_and(|last| last.at.saturating_add(PIECE) <= newest);
        let keep = usize::from(!(all || paused)).min(self.held.len());
        let held = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, held)
    }
}

impl Mp4 {
    pub(super) fn new(tracks: &[Codec]) -> Self {
        let track = |codec: &Codec| Track {
            codec: codec.clone(),
            rate: if matches!(codec, Codec::Opus { .. }) { RATE } else { VIDEO_RATE },
            held: Vec::new(),
            index: Vec::new(),
        };
        Self {
            tracks: tracks.iter().map(track).collect(),
            sequence: 0,
            written: 0,
            durations: Vec::new(),
            end: 0,
        }
    }

    fn fragment(&mut self, all: bool) -> Vec<u8> {
        let newest = self.tracks.iter().flat_map(|track| &track.held).map(|s| s.at).max();
        let newest = newest.unwrap_or(0);
        let mut parts = Vec::new();
        for (number, track) in self.tracks.iter_mut().enumerate() {
            let samples = track.take(newest, all);
            if !samples.is_empty() {
                parts.push((number, samples));
            }
        }
        if parts.is_empty() {
            return Vec::new();
        }
        self.sequence += 1;
        let mut moof = mp4_box(b"mfhd", &[&[0; 4], &self.sequence.to_be_bytes()]);
        // Places in `moof` where the position of a track's data belongs, and that position.
        let mut positions = Vec::new();
        let mut media = Vec::new();
        for (part, (number, samples)) in parts.iter().enumerate() {
            let track = &mut self.tracks[*number];
            let next = track.held.first().map(|sample| scale(sample.at, track.rate));
            let units: Vec<u64> = samples.iter().map(|s| scale(s.at, track.rate)).collect();
            let mut table = Vec::new();
            for (index, sample) in samples.iter().enumerate() {
                let following = units.get(index + 1).copied().or(next);
                let duration = match following {
                    Some(following) => following.saturating_sub(units[index]),
                    None => scale(sample.duration, track.rate),
                };
                table.extend(clamp(duration).to_be_bytes());
                table.extend(clamp(sample.data.len() as u64).to_be_bytes());
                table.extend(if sample.key { SYNC } else { NON_SYNC }.to_be_bytes());
                self.end = self.end.max(sample.end());
                if sample.key && track.rate == VIDEO_RATE {
                    track.index.push(Entry {
                        time: units[index],
                        fragment: self.written,
                        part: part as u8 + 1,
                        sample: index as u32 + 1,
                    });
                }
            }
            // default-base-is-moof
            let tfhd = mp4_box(b"tfhd", &[&[0, 2, 0, 0], &id(*number)]);
            let tfdt = mp4_box(b"tfdt", &[&[1, 0, 0, 0], &units[0].to_be_bytes()]);
            let count = (samples.len() as u32).to_be_bytes();
            // data offset; duration, size and flags of each sample
            let trun = mp4_box(b"trun", &[&[0, 0, 7, 1], &count, &[0; 4], &table]);
            // The offset stands 16 bytes into `trun`, behind two headers of 8 bytes.
            positions.push((moof.len() + 8 + tfhd.len() + tfdt.len() + 16, media.len()));
            moof.extend(mp4_box(b"traf", &[&tfhd, &tfdt, &trun]));
            for sample in samples {
                media.extend_from_slice(&sample.data);
            }
        }
        let header = moof.len() + 16;
        for (place, position) in positions {
            moof[place..place + 4]
                .copy_from_slice(&clamp((header + position) as u64).to_be_bytes());
        }
        let mut out = mp4_box(b"moof", &[&moof]);
        out.extend(mp4_box(b"mdat", &[&media]));
        self.written += out.len() as u64;
        out
    }

    fn movie(&mut self, before: u64) -> Vec<u8> {
        let count = self.tracks.len();
        let mut body = Vec::new();
        let mut durations = vec![Duration { offset: before + 8 + 8 + 16, wide: false }];
        let mvhd = [
            &[0; 12][..],
            &(MOVIE_RATE as u32).to_be_bytes(),
            &[0; 4],
            &0x1_0000u32.to_be_bytes(),
            &0x100u16.to_be_bytes(),
            &[0; 10],
            &matrix(),
            &[0; 24],
            &(count as u32 + 1).to_be_bytes(),
        ];
        body.extend(mp4_box(b"mvhd", &mvhd));
        for (number, track) in self.tracks.iter().enumerate() {
            // trak header, tkhd header, version and flags, two dates, identifier, reserved
            let offset = before + 8 + body.len() as u64 + 8 + 8 + 20;
            durations.push(Duration { offset, wide: false });
            body.extend(trak(number, &track.codec, track.rate));
        }
        let mehd = mp4_box(b"mehd", &[&[1, 0, 0, 0], &[0; 8]]);
        let offset = before + 8 + body.len() as u64 + 8 + 12;
        durations.push(Duration { offset, wide: true });
        let trex: Vec<u8> = (0..count)
            .flat_map(|number| {
                mp4_box(b"trex", &[&[0; 4], &id(number), &1u32.to_be_bytes(), &[0; 12]])
            })
            .collect();
        body.extend(mp4_box(b"mvex", &[&mehd, &trex]));
        self.durations = durations;
        mp4_box(b"moov", &[&body])
    }

    /// The index of the keyframes at the end of the file (`mfra`).
    fn index(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for (number, track) in self.tracks.iter().enumerate() {
            if track.index.is_empty() {
                continue;
            }
            let mut table = (track.index.len() as u32).to_be_bytes().to_vec();
            for entry in &track.index {
                table.extend(entry.time.to_be_bytes());
                table.extend(entry.fragment.to_be_bytes());
                table.extend([entry.part, 1]);
                table.extend(entry.sample.to_be_bytes());
            }
            // Numbers of track parts and runs take one byte, of samples four.
            let sizes = 3u32.to_be_bytes();
            body.extend(mp4_box(b"tfra", &[&[1, 0, 0, 0], &id(number), &sizes, &table]));
        }
        if body.is_empty() {
            return body;
        }
        let size = clamp(body.len() as u64 + 8 + 16).to_be_bytes();
        let mfro = mp4_box(b"mfro", &[&[0; 4], &size]);
        mp4_box(b"mfra", &[&body, &mfro])
    }
}

impl Container for Mp4 {
    fn start(&mut self) -> Vec<u8> {
        let brands: [&[u8]; 5] = [b"iso6", &[0, 0, 2, 0], b"iso6", b"mp42", b"isom"];
        let mut out = mp4_box(b"ftyp", &brands);
        let movie = self.movie(out.len() as u64);
        out.extend(movie);
        self.written = out.len() as u64;
        out
    }

    fn write(&mut self, sample: Sample) -> Vec<u8> {
        let at = sample.at;
        self.tracks[sample.track].held.push(sample);
        let oldest = self.tracks.iter().filter_map(|track| track.held.first()).map(|s| s.at).min();
        if oldest.is_some_and(|oldest| at >= oldest.saturating_add(PIECE)) {
            self.fragment(false)
        } else {
            Vec::new()
        }
    }

    fn flush(&mut self) -> Vec<u8> {
        self.fragment(true)
    }

    fn finish(&mut self) -> Ending {
        let mut tail = self.fragment(true);
        tail.extend(self.index());
        let length = scale(self.end, MOVIE_RATE);
        let patch = |duration: &Duration| Patch {
            offset: duration.offset,
            bytes: if duration.wide {
                length.to_be_bytes().to_vec()
            } else {
                clamp(length).to_be_bytes().to_vec()
            },
        };
        Ending { tail, patches: self.durations.iter().map(patch).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn sample(track: usize, at: u64, key: bool) -> Sample {
        Sample { track, at: at * MS, duration: 20 * MS, key, data: vec![track as u8; 5] }
    }

    fn file() -> Mp4 {
        let video = Codec::H264 { width: 320, height: 240, configuration: vec![1, 2, 3] };
        Mp4::new(&[video, Codec::Opus { channels: 1 }])
    }

    /// The position of a box's content, found by its name.
    fn find(data: &[u8], name: &[u8; 4]) -> usize {
        data.windows(4).position(|window| window == name).map_or(usize::MAX, |at| at + 4)
    }

    #[test]
    fn corrections_fall_on_the_durations() {
        let mut mp4 = file();
        let mut bytes = mp4.start();
        assert_eq!(mp4.written, bytes.len() as u64);
        mp4.write(sample(0, 1000, true));
        for patch in mp4.finish().patches {
            let from = usize::try_from(patch.offset).unwrap_or(usize::MAX);
            bytes[from..from + patch.bytes.len()].copy_from_slice(&patch.bytes);
        }
        let length = 1020u32.to_be_bytes();
        let mvhd = find(&bytes, b"mvhd");
        assert_eq!(bytes[mvhd + 16..mvhd + 20], length);
        let tkhd = find(&bytes, b"tkhd");
        assert_eq!(bytes[tkhd + 20..tkhd + 24], length);
        let mehd = find(&bytes, b"mehd");
        assert_eq!(bytes[mehd + 8..mehd + 12], length);
    }

    #[test]
    fn a_silent_track_does_not_hold_the_other_one() {
        let mut mp4 = file();
        mp4.start();
        let mut written = Vec::new();
        mp4.write(sample(0, 80, true));
        for packet in 0..100 {
            written.push(mp4.write(sample(1, packet * 20, true)).len());
        }
        // At 500 ms, when the picture has paused for that long, and every 500 ms from there.
        let written: Vec<usize> = (0..100).filter(|packet| written[*packet] > 0).collect();
        assert_eq!(written, [25, 29, 54, 79]);
        // The picture that was the last one for half a second is in the file as well.
        assert!(mp4.tracks[0].held.is_empty());
    }

    #[test]
    fn a_fragment_says_when_each_track_begins() {
        let mut mp4 = file();
        mp4.start();
        mp4.write(sample(0, 80, true));
        let out = mp4.flush();
        let tfdt = find(&out, b"tfdt");
        assert_eq!(out[tfdt + 4..tfdt + 12], (80 * 90u64).to_be_bytes());
        let trun = find(&out, b"trun");
        let data =
            u32::from_be_bytes([out[trun + 8], out[trun + 9], out[trun + 10], out[trun + 11]]);
        assert_eq!(out[data as usize..], [0; 5]);
    }
}
