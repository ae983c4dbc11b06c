// SPDX-License-Identifier: MPL-2.0

//! Access unit delimiters of H.264, taken out before they are sent. RTP has the marker bit for what
//! they say (RFC 6184, section 5.1), and rtph264depay 1.22 at the other end takes one behind the
//! parameter sets that answer a request for a keyframe for a new picture.

use gst::prelude::*;

/// The NAL unit type (ITU-T H.264, table 7-1).
const DELIMITER: u8 = 9;

/// How many bytes at the head of an access unit (byte-stream) are its delimiter.
fn length(unit: &[u8]) -> usize {
    let head = match unit {
        [0, 0, 0, 1, nal, ..] if nal & 0x1f == DELIMITER => 4,
        [0, 0, 1, nal, ..] if nal & 0x1f == DELIMITER => 3,
        _ => return 0,
    };
    let rest = &unit[head..];
    let next = rest.windows(3).position(|code| code == [0, 0, 1]);
    // A start code of four bytes begins one earlier.
    next.map_or(0, |at| head + at - usize::from(at > 0 && rest[at - 1] == 0))
}

/// Takes the delimiter from each access unit that comes to this pad.
pub(super) fn remove(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        if let Some(buffer) = info.buffer_mut() {
            let length = buffer.map_readable().map_or(0, |unit| length(&unit));
            if length > 0
                && let Ok(rest) = buffer.copy_region(gst::BufferCopyFlags::all(), length..)
            {
                *buffer = rest;
            }
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_delimiter_at_the_head_is_taken() {
        for (unit, expected) in [
            (&[0, 0, 0, 1, 9, 0xf0, 0, 0, 0, 1, 0x67, 1][..], 6),
            (&[0, 0, 0, 1, 9, 0xf0, 0, 0, 1, 0x67, 1], 6),
            (&[0, 0, 1, 9, 0x10, 0, 0, 1, 0x65, 1], 5),
            (&[0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 9, 0xf0], 0),
            // A delimiter alone stays: an empty buffer is no access unit.
            (&[0, 0, 0, 1, 9, 0xf0], 0),
            (&[0, 0], 0),
            (&[], 0),
        ] {
            assert_eq!(length(unit), expected, "{unit:?}");
        }
    }
}
