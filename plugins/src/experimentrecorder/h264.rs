// SPDX-License-Identifier: MPL-2.0

//! What must be known of H.264 to record it without re-encoding: finding the NAL units of an access
//! unit, writing them with lengths, and telling the size of the picture from the parameter sets.
//!
//! Every browser changes its resolution while it sends. A file survives that only if the parameter
//! sets stay inside the stream (`avc3`), so each keyframe is written with them in front.

/// What an access unit turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccessUnit {
    /// It can be decoded without those before it.
    pub(super) key: bool,
    /// The NAL units, each with a four-byte length in front.
    pub(super) data: Vec<u8>,
}

/// How the NAL units of the incoming stream are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Start codes (ITU-T H.264, annex B).
    StartCodes,
    /// Lengths of so many bytes (ISO/IEC 14496-15).
    Lengths(usize),
}

impl Framing {
    /// The framing of an `avc3` stream with this `codec_data`; four bytes where that is missing.
    pub(super) fn of_codec_data(codec_data: Option<&[u8]>) -> Self {
        let size = codec_data.and_then(|data| data.get(4)).map_or(4, |byte| (byte & 3) + 1);
        Framing::Lengths(usize::from(size))
    }
}

/// Remembers the parameter sets of a stream and makes each keyframe carry them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stream {
    sps: Vec<u8>,
    pps: Vec<Vec<u8>>,
}

impl Stream {
    /// Rewrites one access unit. `None` for one without a picture, and for a keyframe whose
    /// parameter sets were never seen: neither can be decoded.
    pub(super) fn access_unit(&mut self, data: &[u8], framing: Framing) -> Option<AccessUnit> {
        let nals = match framing {
            Framing::StartCodes => by_start_codes(data),
            Framing::Lengths(size) => by_lengths(data, size),
        };
        let (mut key, mut picture, mut has_sps, mut has_pps) = (false, false, false, false);
        for nal in &nals {
            match nal_type(nal) {
                5 => (key, picture) = (true, true),
                1..=4 => picture = true,
                7 => {
                    // A new SPS makes the PPS that referred to the old one void.
                    if self.sps != *nal {
                        self.pps.clear();
                    }
                    self.sps = nal.to_vec();
                    has_sps = true;
                }
                8 => {
                    if !self.pps.iter().any(|pps| pps == nal) {
                        self.pps.push(nal.to_vec());
                    }
                    has_pps = true;
                }
                _ => {}
            }
        }
        if !picture || (key && (self.sps.is_empty() || self.pps.is_empty())) {
            return None;
        }
        let mut out = Vec::with_capacity(data.len() + 64);
        let mut missing: Vec<&[u8]> = Vec::new();
        if key && !has_sps {
            missing.push(&self.sps);
        }
        if key && !has_pps {
            missing.extend(self.pps.iter().map(Vec::as_slice));
        }
        // An access unit delimiter (9) must stay first.
        let delimiters = nals.iter().take_while(|nal| nal_type(nal) == 9).count();
        let (before, after) = nals.split_at(delimiters);
        for nal in before.iter().chain(&missing).chain(after) {
            let length = u32::try_from(nal.len()).ok()?;
            out.extend(length.to_be_bytes());
            out.extend_from_slice(nal);
        }
        Some(AccessUnit { key, data: out })
    }

    /// Width and height in pixels, as far as the parameter sets are known.
    pub(super) fn size(&self) -> Option<(u32, u32)> {
        parse_sps(&self.sps).map(|sps| (sps.width, sps.height))
    }

    /// The decoder configuration record (ISO/IEC 14496-15, section 5.3.3.1.2).
    pub(super) fn configuration(&self) -> Vec<u8> {
        let Some(&[_, profile, constraints, level, ..]) =
            self.sps.first_chunk::<4>().map(|c| &c[..])
        else {
            // The sets come inside the stream: constrained baseline, level 3.1, none listed here.
            return vec![1, 0x42, 0xe0, 0x1f, 0xff, 0xe0, 0];
        };
        let mut out = vec![1, profile, constraints, level, 0xff];
        let mut list = |marker: u8, sets: &[&[u8]]| {
            out.push(marker | sets.len() as u8);
            for set in sets {
                out.extend((set.len() as u16).to_be_bytes());
                out.extend_from_slice(set);
            }
        };
        list(0xe0, &[&self.sps]);
        let pps: Vec<&[u8]> = self.pps.iter().take(31).map(Vec::as_slice).collect();
        list(0, &pps);
        if let Some(sps) = parse_sps(&self.sps)
            && has_chroma_fields(profile)
        {
            out.extend([0xfc | sps.chroma, 0xf8 | sps.luma_depth, 0xf8 | sps.chroma_depth, 0]);
        }
        out
    }
}

fn nal_type(nal: &[u8]) -> u8 {
    nal.first().map_or(0, |byte| byte & 0x1f)
}

/// Splits at start codes of three or four bytes; zeros before a start code belong to no NAL unit.
fn by_start_codes(data: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(code) = data.get(at..at + 3) {
        if code == [0, 0, 1] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([data.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| {
            let mut nal = &data[start + 3..end];
            while let [rest @ .., 0] = nal {
                nal = rest;
            }
            nal
        })
        .filter(|nal| !nal.is_empty())
        .collect()
}

/// Splits by lengths of `size` bytes; what does not fit any more is left out.
fn by_lengths(data: &[u8], size: usize) -> Vec<&[u8]> {
    let mut nals = Vec::new();
    let mut rest = data;
    while rest.len() > size {
        let (length, tail) = rest.split_at(size);
        let length = length.iter().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        let Some((nal, tail)) = tail.split_at_checked(length) else {
            break;
        };
        if !nal.is_empty() {
            nals.push(nal);
        }
        rest = tail;
    }
    nals
}

/// What a sequence parameter set says of the picture.
#[derive(Debug, PartialEq, Eq)]
struct Sps {
    width: u32,
    height: u32,
    chroma: u8,
    luma_depth: u8,
    chroma_depth: u8,
}

/// The profiles whose parameter sets tell the chroma format (ITU-T H.264, section 7.3.2.1.1).
fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

/// Reads a sequence parameter set up to the cropping (ITU-T H.264, section 7.3.2.1.1).
fn parse_sps(nal: &[u8]) -> Option<Sps> {
    let mut payload = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal.get(1..)? {
        // Emulation prevention: the 3 of 00 00 03 is no content (section 7.4.1).
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    let mut bits = Bits { data: &payload, at: 0 };
    let profile = bits.read(8)?;
    bits.read(16)?;
    bits.golomb()?;
    let (mut chroma, mut luma_depth, mut chroma_depth) = (1, 0, 0);
    if has_chroma_fields(u8::try_from(profile).ok()?) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            bits.read(1)?;
        }
        luma_depth = bits.golomb()?;
        chroma_depth = bits.golomb()?;
        bits.read(1)?;
        if bits.read(1)? == 1 {
            // Scaling lists are long and no browser sends them: the size stays unknown.
            return None;
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.read(1)?;
            bits.golomb()?;
            bits.golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.golomb()?;
            }
        }
        _ => {}
    }
    bits.golomb()?;
    bits.read(1)?;
    let columns = bits.golomb()?.checked_add(1)?;
    let rows = bits.golomb()?.checked_add(1)?;
    let frames_only = bits.read(1)?;
    if frames_only == 0 {
        bits.read(1)?;
    }
    bits.read(1)?;
    let mut crop = [0; 4];
    if bits.read(1)? == 1 {
        for side in &mut crop {
            *side = bits.golomb()?;
        }
    }
    let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
    let unit_y = if chroma == 1 { 2 } else { 1 } * (2 - frames_only);
    let cut = |size: u32, a: u32, b: u32, unit: u32| {
        size.checked_sub(a.checked_add(b)?.checked_mul(unit)?).filter(|left| *left > 0)
    };
    Some(Sps {
        width: cut(columns.checked_mul(16)?, crop[0], crop[1], unit_x)?,
        height: cut(rows.checked_mul(16)?.checked_mul(2 - frames_only)?, crop[2], crop[3], unit_y)?,
        chroma: u8::try_from(chroma).ok().filter(|v| *v < 4)?,
        luma_depth: u8::try_from(luma_depth).ok().filter(|v| *v < 7)?,
        chroma_depth: u8::try_from(chroma_depth).ok().filter(|v| *v < 7)?,
    })
}

/// Reads bits, most significant first.
struct Bits<'a> {
    data: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0u32, |value, _| {
            let byte = *self.data.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// An unsigned Exp-Golomb code (ITU-T H.264, section 9.1).
    fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some(((1u64 << zeros) - 1) as u32 + self.read(zeros)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    // From a stream of x264, constrained baseline, 320×240 and 640×360 (cropped from 368 lines).
    const SPS_320X240: [u8; 7] = [0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07];
    const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

    fn annex_b(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    fn lengths(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, nal.len() as u8], *nal].concat()).collect()
    }

    #[test]
    fn keyframes_carry_their_parameter_sets() {
        let (idr, delimiter): (&[u8], &[u8]) = (&[0x65, 1, 2], &[0x09, 0xf0]);
        let mut stream = Stream::default();
        let first = annex_b(&[delimiter, &SPS_320X240, &PPS, idr]);
        let whole = lengths(&[delimiter, &SPS_320X240, &PPS, idr]);
        let unit = stream.access_unit(&first, Framing::StartCodes).unwrap();
        assert_eq!(unit, AccessUnit { key: true, data: whole.clone() });
        let bare = annex_b(&[delimiter, idr]);
        let unit = stream.access_unit(&bare, Framing::StartCodes).unwrap();
        assert_eq!(unit, AccessUnit { key: true, data: whole.clone() });
        let again = stream.access_unit(&whole, Framing::Lengths(4)).unwrap();
        assert_eq!(again.data, whole);
    }

    #[test]
    fn what_cannot_be_decoded_is_no_access_unit() {
        let mut stream = Stream::default();
        let idr: &[u8] = &[0x65, 1, 2];
        assert_eq!(stream.access_unit(&annex_b(&[idr]), Framing::StartCodes), None);
        assert_eq!(stream.access_unit(&annex_b(&[&SPS_320X240]), Framing::StartCodes), None);
        assert_eq!(stream.access_unit(&[], Framing::StartCodes), None);
        assert_eq!(stream.access_unit(&[0, 0, 0, 9, 1], Framing::Lengths(4)), None);
        let delta = stream.access_unit(&annex_b(&[&[0x41, 7]]), Framing::StartCodes);
        assert_eq!(delta.map(|unit| unit.key), Some(false));
    }

    #[test]
    fn golomb_codes_are_read_as_in_the_standard() {
        // 1 010 011 00100 00101 (0 1 2 3 4)
        let mut bits = Bits { data: &[0b1010_0110, 0b0100_0010, 0b1000_0000], at: 0 };
        let read: Vec<_> = (0..5).map_while(|_| bits.golomb()).collect();
        assert_eq!(read, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn no_bytes_make_the_parsers_panic() {
        let mut seed = 1u32;
        for length in 0..400 {
            let data: Vec<u8> = (0..length % 40)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8 & 0x67
                })
                .collect();
            parse_sps(&data);
            for framing in [Framing::StartCodes, Framing::Lengths(1), Framing::Lengths(4)] {
                let mut stream = Stream::default();
                stream.access_unit(&data, framing);
                stream.configuration();
            }
        }
    }
}
