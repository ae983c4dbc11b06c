// SPDX-License-Identifier: MPL-2.0

//! What of media and packets tells one piece from another. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What an RTP packet says (RFC 3550, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rtp<'a> {
    /// Whose.
    pub(crate) ssrc: u32,
    /// Sequence number.
    pub(crate) number: u16,
    /// What it carries.
    pub(crate) payload: &'a [u8],
}

impl<'a> Rtp<'a> {
    /// Reads one; `None` if it is none.
    pub(crate) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (header, _) = packet.split_first_chunk::<12>()?;
        if header[0] >> 6 != 2 {
            return None;
        }
        let mut start = 12 + 4 * usize::from(header[0] & 0x0f);
        if header[0] & 0x10 != 0 {
            let words = packet.get(start + 2..start + 4)?;
            start += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        Some(Self {
            ssrc: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            number: u16::from_be_bytes([header[2], header[3]]),
            payload: packet.get(start..)?,
        })
    }

    /// The number of the packet that this one repeats, if it is of a stream of repetitions
    /// (RFC 4588, section 4).
    pub(crate) fn repeated(&self) -> Option<u16> {
        let (number, _) = self.payload.split_first_chunk::<2>()?;
        Some(u16::from_be_bytes(*number))
    }
}

/// How the pieces of a stream are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As they are: VP8, Opus.
    Whole,
    /// H.264 with start codes (ITU-T H.264, annex B).
    StartCodes,
    /// H.264 with lengths of four bytes, as in mp4 (ISO/IEC 14496-15).
    Lengths,
}

/// What stays the same of a piece from its sender to the recording: all of its bytes, or of H.264
/// its slices, since parameter sets are repeated and delimiters left out on the way.
pub(crate) fn mark(shape: Shape, bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    match shape {
        Shape::Whole => bytes.hash(&mut hasher),
        Shape::StartCodes => slices(start_coded(bytes), &mut hasher),
        Shape::Lengths => slices(with_lengths(bytes), &mut hasher),
    }
    hasher.finish()
}

fn slices<'a>(units: impl Iterator<Item = &'a [u8]>, hasher: &mut DefaultHasher) {
    // Slices of a picture, with and without its own context (table 7-1).
    for unit in units.filter(|unit| unit.first().is_some_and(|b| matches!(b & 0x1f, 1 | 5))) {
        unit.hash(hasher);
    }
}

fn start_coded(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut starts: Vec<usize> =
        (3..=bytes.len()).filter(|end| bytes[end - 3..*end] == [0, 0, 1]).collect();
    starts.push(bytes.len() + 3);
    let ends: Vec<usize> = starts.iter().skip(1).map(|start| start - 3).collect();
    starts.into_iter().zip(ends).map(|(start, end)| {
        let unit = &bytes[start..end];
        // A unit ends with a one: zeros belong to the next start code.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &unit[..length]
    })
}

fn with_lengths(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (unit, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_behind_its_extensions() {
        let plain = [0x80, 111, 1, 2, 0, 0, 0, 0, 0, 0, 0, 9, 7, 8, 5];
        let rtp = Rtp::parse(&plain).expect("a packet");
        assert_eq!((rtp.ssrc, rtp.number, rtp.payload), (9, 0x102, &[7, 8, 5][..]));
        assert_eq!(rtp.repeated(), Some(0x708));
        let extended =
            [0x91, 111, 1, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 7];
        assert_eq!(Rtp::parse(&extended).map(|rtp| rtp.payload), Some(&[7][..]));
        assert_eq!(Rtp::parse(&plain[..11]), None);
        assert_eq!(Rtp::parse(&[0; 20]), None);
    }

    #[test]
    fn a_picture_has_the_same_mark_with_start_codes_and_in_a_file() {
        let sent = [0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x65, 3, 0, 0, 3, 1, 0, 0, 1, 0x41, 4];
        let recorded = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 6, 0x65, 3, 0, 0, 3, 1, 0, 0, 0, 2, 0x41, 4];
        let other = [0, 0, 0, 6, 0x65, 3, 0, 0, 3, 2, 0, 0, 0, 2, 0x41, 4];
        let expected = mark(Shape::StartCodes, &sent);
        assert_eq!(mark(Shape::Lengths, &recorded), expected);
        assert_ne!(mark(Shape::Lengths, &other), expected);
        assert_ne!(mark(Shape::Lengths, &recorded[..19]), expected);
        assert_eq!(mark(Shape::Whole, &sent), mark(Shape::Whole, &sent));
    }
}
