// SPDX-License-Identifier: MPL-2.0

//! H.264 as a byte stream (ITU-T H.264, annex B). Pure.

/// `nal_unit_type` of supplemental enhancement information (table 7-1).
const SEI: u8 = 6;

/// A frame without its SEI: browsers send none, and x264 writes its own name into each keyframe.
pub(crate) fn without_sei(frame: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(frame.len());
    for unit in units(frame) {
        if unit.first().is_none_or(|header| header & 0x1f != SEI) {
            kept.extend([0, 0, 0, 1]);
            kept.extend(unit);
        }
    }
    kept
}

/// The NAL units between the start codes.
fn units(frame: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = frame
        .windows(3)
        .enumerate()
        .filter(|(_, bytes)| *bytes == [0, 0, 1])
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([frame.len()]);
    let unit = |(start, end): (&usize, usize)| {
        let unit = &frame[start + 3..end];
        // Zeros before a start code are none of the unit's, which ends with a bit that is set.
        let length = unit.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &unit[..length]
    };
    starts.iter().zip(ends).map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sei_goes() {
        let parameters = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x68, 3];
        let sei = [0, 0, 1, 0x06, 5, 9, 9, 0x80];
        let slice = [0, 0, 0, 1, 0x65, 0, 0, 3, 1, 0x80];
        let all = [&parameters[..], &sei, &slice].concat();
        assert_eq!(without_sei(&all), [&parameters[..], &slice].concat());
        assert_eq!(without_sei(&slice), slice);
        assert_eq!(without_sei(&sei), [0; 0]);
        assert_eq!(without_sei(&[]), [0; 0]);
    }

    #[test]
    fn a_start_code_of_three_bytes_becomes_one_of_four() {
        assert_eq!(
            without_sei(&[0, 0, 1, 0x41, 7, 0, 0, 1, 0x41, 8]),
            [0, 0, 0, 1, 0x41, 7, 0, 0, 0, 1, 0x41, 8]
        );
    }
}
