// SPDX-License-Identifier: MPL-2.0

//! Whether a video payload begins a keyframe. RTP from a browser has no flag for it.

/// Bytes at the beginning of a payload that are worth reading. An aggregation packet is walked unit by
/// unit, and its parameter sets come first: they are a few dozen bytes each.
pub(super) const PREFIX: usize = 256;

/// How a payload is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// VP8 (RFC 7741).
    Vp8,
    /// H.264 (RFC 6184).
    H264,
    /// Anything else: keyframes cannot be told.
    Other,
}

impl Codec {
    /// From the `encoding-name` of RTP caps.
    pub(super) fn from_encoding_name(name: &str) -> Self {
        if name.eq_ignore_ascii_case("VP8") {
            Self::Vp8
        } else if name.eq_ignore_ascii_case("H264") {
            Self::H264
        } else {
            Self::Other
        }
    }

    /// Whether a keyframe begins in this payload (its first [`PREFIX`] bytes are enough).
    ///
    /// For H.264 each of its parameter sets and slices says yes: the caller compares timestamps.
    pub(super) fn begins_keyframe(self, payload: &[u8]) -> bool {
        match self {
            Self::Vp8 => vp8(payload).unwrap_or(false),
            Self::H264 => h264(payload).unwrap_or(false),
            Self::Other => false,
        }
    }
}

/// RFC 7741: 4.2 (payload descriptor) and 4.3 (the first bit of the frame is 0 for a keyframe).
fn vp8(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let start_of_partition = first & 0x10 != 0;
    let partition = first & 0x07;
    let mut at = 1;
    if first & 0x80 != 0 {
        let extensions = *payload.get(at)?;
        at += 1;
        if extensions & 0x80 != 0 {
            let two_bytes = payload.get(at)? & 0x80 != 0;
            at += if two_bytes { 2 } else { 1 };
        }
        if extensions & 0x40 != 0 {
            at += 1;
        }
        if extensions & 0x30 != 0 {
            at += 1;
        }
    }
    Some(start_of_partition && partition == 0 && payload.get(at)? & 0x01 == 0)
}

/// Coded slice of an IDR picture (ITU-T H.264, table 7-1).
const IDR: u8 = 5;
/// Sequence parameter set, which encoders send before the IDR picture that it is for.
const SPS: u8 = 7;
/// Aggregation packet (RFC 6184, 5.7.1).
const STAP_A: u8 = 24;
/// Fragmentation unit (RFC 6184, 5.8).
const FU_A: u8 = 28;

fn h264(payload: &[u8]) -> Option<bool> {
    let begins = |kind: u8| kind == IDR || kind == SPS;
    match payload.first()? & 0x1f {
        STAP_A => {
            let mut rest = &payload[1..];
            while let [high, low, unit, ..] = rest {
                if begins(unit & 0x1f) {
                    return Some(true);
                }
                rest = rest.get(2 + usize::from(u16::from_be_bytes([*high, *low]))..)?;
            }
            Some(false)
        }
        FU_A => {
            let header = *payload.get(1)?;
            Some(header & 0x80 != 0 && begins(header & 0x1f))
        }
        kind => Some(begins(kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_keyframes_begin_where_the_descriptor_says() {
        let table: &[(&[u8], bool, &str)] = &[
            (&[0x10, 0x00], true, "no extension, key"),
            (&[0x10, 0x01], false, "no extension, delta"),
            (&[0x00, 0x00], false, "continuation"),
            (&[0x11, 0x00], false, "second partition"),
            (&[0x90, 0x80, 0x05, 0x00], true, "7-bit picture id"),
            (&[0x90, 0x80, 0x85, 0x01, 0x00], true, "15-bit picture id"),
            (&[0x90, 0x80, 0x85, 0x00, 0x01], false, "15-bit, delta"),
            (&[0x90, 0xe0, 0x80, 1, 2, 3, 0x10], true, "all extensions"),
            (&[0x90, 0x10, 0x00, 0x11], false, "key index, delta"),
            (&[0x90, 0x80, 0x85], false, "cut short"),
            (&[], false, "empty"),
        ];
        for (payload, expected, what) in table {
            assert_eq!(Codec::Vp8.begins_keyframe(payload), *expected, "{what}");
        }
    }

    #[test]
    fn h264_keyframes_begin_with_a_parameter_set_or_an_idr_slice() {
        let table: &[(&[u8], bool, &str)] = &[
            (&[0x65, 0], true, "single IDR"),
            (&[0x67, 0], true, "single SPS"),
            (&[0x68, 0], false, "single PPS"),
            (&[0x41, 0], false, "single delta"),
            (&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 1], true, "STAP-A SPS"),
            (&[0x78, 0, 2, 0x09, 1, 0, 2, 0x65, 1], true, "STAP-A AUD IDR"),
            (&[0x78, 0, 2, 0x09, 1, 0, 2, 0x41, 1], false, "STAP-A delta"),
            (&[0x78, 0, 9, 0x09], false, "STAP-A cut short"),
            (&[0x7c, 0x85], true, "FU-A first of IDR"),
            (&[0x7c, 0x05], false, "FU-A middle of IDR"),
            (&[0x7c, 0x81], false, "FU-A first of delta"),
            (&[0x7c], false, "FU-A cut short"),
            (&[], false, "empty"),
        ];
        for (payload, expected, what) in table {
            assert_eq!(Codec::H264.begins_keyframe(payload), *expected, "{what}");
        }
    }

    #[test]
    fn names_are_read_without_case_and_the_rest_is_other() {
        assert_eq!(Codec::from_encoding_name("vp8"), Codec::Vp8);
        assert_eq!(Codec::from_encoding_name("H264"), Codec::H264);
        assert_eq!(Codec::from_encoding_name("AV1"), Codec::Other);
        assert!(!Codec::Other.begins_keyframe(&[0x10, 0]));
    }
}
