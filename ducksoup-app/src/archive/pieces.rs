// SPDX-License-Identifier: MPL-2.0

//! Where the whole pieces of a recording end. Recordings are written in pieces that need nothing
//! that follows them: a process that dies leaves at most one of them half written, at the end.

use std::io::{self, Read, Seek, SeekFrom};

/// How pieces are put one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Boxes (ISO/IEC 14496-12); a piece is `moof` and `mdat`.
    Mp4,
    /// EBML elements (RFC 9559); a piece is a cluster.
    Mkv,
    /// Pages (RFC 3533); the first two are the headers of Opus (RFC 7845).
    Ogg,
}

impl Format {
    /// By the ending of a file's name.
    #[must_use]
    pub fn of(extension: &str) -> Option<Self> {
        match extension {
            "mp4" => Some(Self::Mp4),
            "mkv" => Some(Self::Mkv),
            "ogg" => Some(Self::Ogg),
            _ => None,
        }
    }
}

/// What of a file is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Whole {
    /// The end of the last whole piece, in bytes from the beginning of the file; 0 when not even
    /// its header is whole.
    pub length: u64,
    /// Pieces with media.
    pub pieces: u64,
}

/// Goes from piece to piece to the end of a file of that length.
///
/// # Errors
/// When the file cannot be read.
pub fn whole(format: Format, file: impl Read + Seek, length: u64) -> io::Result<Whole> {
    let mut pages = Source { file, length };
    match format {
        Format::Mp4 => mp4(&mut pages),
        Format::Mkv => mkv(&mut pages),
        Format::Ogg => ogg(&mut pages),
    }
}

/// A file, read here and there.
struct Source<F> {
    file: F,
    length: u64,
}

impl<F: Read + Seek> Source<F> {
    /// The bytes at a place; fewer at the end of the file.
    fn at<const N: usize>(&mut self, place: u64) -> io::Result<Vec<u8>> {
        self.file.seek(SeekFrom::Start(place))?;
        let mut bytes = Vec::with_capacity(N);
        (&mut self.file).take(N as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The end of what begins at `place` and has that size, when it is inside the file.
    fn end(&self, place: u64, size: u64) -> Option<u64> {
        place.checked_add(size).filter(|end| *end <= self.length)
    }
}

fn mp4(source: &mut Source<impl Read + Seek>) -> io::Result<Whole> {
    let (mut place, mut whole) = (0, Whole::default());
    let mut seen_movie = false;
    // A `moof` counts with the `mdat` behind it.
    let mut open = false;
    loop {
        let head = source.at::<16>(place)?;
        let (Some(size), Some(kind)) = (number(&head, 0, 4), head.get(4..8)) else { break };
        let size = if size == 1 { number(&head, 8, 8) } else { Some(size).filter(|s| *s >= 8) };
        let Some(end) = size.and_then(|size| source.end(place, size)) else { break };
        let first_is_right = place > 0 || kind == b"ftyp";
        if !first_is_right || end == place {
            break;
        }
        match kind {
            b"moof" => open = true,
            b"mdat" if open => {
                (open, whole.pieces) = (false, whole.pieces + 1);
            }
            b"moov" => seen_movie = true,
            b"ftyp" | b"mfra" if !open => {}
            _ => break,
        }
        place = end;
        if seen_movie && !open {
            whole.length = place;
        }
    }
    Ok(whole)
}

const EBML: u64 = 0x1a45_dfa3;
const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_ae6b;
const CLUSTER: u64 = 0x1f43_b675;

fn mkv(source: &mut Source<impl Read + Seek>) -> io::Result<Whole> {
    let (mut place, mut whole) = (0, Whole::default());
    let (mut inside, mut seen_tracks) = (false, false);
    loop {
        // An identifier takes four bytes at most, a size eight (RFC 8794, sections 5 and 6).
        let head = source.at::<12>(place)?;
        let Some((id, id_length)) = variable(&head, Marker::Kept) else { break };
        let size = variable(head.get(id_length..).unwrap_or_default(), Marker::Removed);
        let Some((size, size_length)) = size else { break };
        let content = place + (id_length + size_length) as u64;
        if (place == 0) != (id == EBML) || (!inside && place > 0 && id != SEGMENT) {
            break;
        }
        if id == SEGMENT {
            // Its size may not be known; its children are looked at in any case.
            (inside, place) = (true, content);
            continue;
        }
        let Some(end) = source.end(content, size) else { break };
        place = end;
        seen_tracks |= id == TRACKS;
        whole.pieces += u64::from(id == CLUSTER && seen_tracks);
        if seen_tracks {
            whole.length = place;
        }
    }
    Ok(whole)
}

fn ogg(source: &mut Source<impl Read + Seek>) -> io::Result<Whole> {
    /// Bytes of a page's header before its table of segments.
    const HEAD: usize = 27;
    let (mut place, mut pages) = (0, 0);
    let mut whole = Whole::default();
    loop {
        let head = source.at::<{ HEAD + 255 }>(place)?;
        let count = head.get(HEAD - 1).copied().map(usize::from);
        let table = count.and_then(|count| head.get(HEAD..HEAD + count));
        let (Some(table), true) = (table, head.starts_with(b"OggS\0")) else { break };
        let size = HEAD + table.len() + table.iter().map(|size| usize::from(*size)).sum::<usize>();
        let Some(end) = source.end(place, size as u64) else { break };
        (place, pages) = (end, pages + 1);
        if pages >= 2 {
            whole = Whole { length: place, pieces: pages - 2 };
        }
    }
    Ok(whole)
}

/// A big-endian number.
fn number(bytes: &[u8], from: usize, length: usize) -> Option<u64> {
    let bytes = bytes.get(from..from + length)?;
    Some(bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Whether the bit that tells the length of an EBML number belongs to it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    Kept,
    Removed,
}

/// An EBML number (RFC 8794, section 4), and how many bytes it takes.
fn variable(bytes: &[u8], marker: Marker) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    let value = number(bytes, 0, if length > 8 { return None } else { length })?;
    let mark = 1 << (7 * length);
    Some((if marker == Marker::Kept { value } else { value & (mark - 1) }, length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Cursor;

    /// Pieces of bytes, each told by how long the whole is from its end on, and how many pieces that is.
    type Parts = Vec<(Vec<u8>, Option<u64>)>;

    /// Cuts a file after every byte: what is whole must be what ended before.
    fn check(format: Format, parts: &Parts) {
        let bytes: Vec<u8> = parts.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let mut ends = Vec::new();
        let mut place = 0;
        for (part, pieces) in parts {
            place += part.len() as u64;
            ends.extend(pieces.map(|pieces| Whole { length: place, pieces }));
        }
        for length in 0..=bytes.len() {
            let cut = Cursor::new(bytes[..length].to_vec());
            let expected = ends.iter().rev().find(|end| end.length <= length as u64);
            let found = whole(format, cut, length as u64).unwrap();
            assert_eq!(found, expected.copied().unwrap_or_default(), "{format:?} at {length}");
        }
    }

    fn mp4_box(kind: &[u8; 4], content: usize) -> Vec<u8> {
        let size = u32::try_from(content + 8).unwrap().to_be_bytes();
        [&size[..], kind, &vec![7; content]].concat()
    }

    #[test]
    fn a_torn_mp4_is_whole_up_to_its_last_fragment_with_media() {
        let parts = vec![
            (mp4_box(b"ftyp", 12), None),
            (mp4_box(b"moov", 30), Some(0)),
            (mp4_box(b"moof", 9), None),
            (mp4_box(b"mdat", 20), Some(1)),
            (mp4_box(b"moof", 9), None),
            (mp4_box(b"mdat", 0), Some(2)),
            (mp4_box(b"mfra", 5), Some(2)),
        ];
        check(Format::Mp4, &parts);
    }

    #[test]
    fn a_torn_mkv_is_whole_up_to_its_last_cluster_whether_its_length_is_known_or_not() {
        let element = |id: &[u8], content: usize| {
            let size = (content as u64 | 1 << 56).to_be_bytes();
            [id, &size, &vec![7; content]].concat()
        };
        for size in [[1, 255, 255, 255, 255, 255, 255, 255], [1, 0, 0, 0, 0, 0, 0, 123]] {
            let parts = vec![
                (vec![0x1a, 0x45, 0xdf, 0xa3, 0x82, 1, 2], None),
                ([&[0x18, 0x53, 0x80, 0x67][..], &size].concat(), None),
                (vec![0xec, 0x83, 0, 0, 0], None),
                (element(&[0x16, 0x54, 0xae, 0x6b], 30), Some(0)),
                (element(&[0x1f, 0x43, 0xb6, 0x75], 300), Some(1)),
                (element(&[0x1f, 0x43, 0xb6, 0x75], 0), Some(2)),
                (element(&[0x1c, 0x53, 0xbb, 0x6b], 9), Some(2)),
            ];
            check(Format::Mkv, &parts);
        }
    }

    #[test]
    fn a_torn_ogg_is_whole_up_to_its_last_page() {
        let page = |sizes: &[u8]| {
            let mut page = b"OggS".to_vec();
            page.resize(26, 0);
            page.push(u8::try_from(sizes.len()).unwrap());
            page.extend(sizes);
            page.resize(page.len() + sizes.iter().map(|size| usize::from(*size)).sum::<usize>(), 9);
            page
        };
        let parts = vec![
            (page(&[19]), None),
            (page(&[40]), Some(0)),
            (page(&[255, 255, 3, 80]), Some(1)),
            (page(&[]), Some(2)),
        ];
        check(Format::Ogg, &parts);
    }

    #[test]
    fn what_is_none_of_ours_has_nothing_whole() {
        for format in [Format::Mp4, Format::Mkv, Format::Ogg] {
            for bytes in [&b""[..], b"GIF89a, or so", &[0; 400], &[255; 400]] {
                let found = whole(format, Cursor::new(bytes), bytes.len() as u64).unwrap();
                assert_eq!(found, Whole::default(), "{format:?}");
            }
        }
    }

    #[test]
    fn zeros_behind_the_pieces_are_a_torn_tail() {
        // As a file system leaves them that had no time to write.
        let mut bytes = [mp4_box(b"ftyp", 0), mp4_box(b"moov", 0)].concat();
        bytes.resize(500, 0);
        let found = whole(Format::Mp4, Cursor::new(bytes), 500).unwrap();
        assert_eq!(found, Whole { length: 16, pieces: 0 });
    }
}
