// SPDX-License-Identifier: MPL-2.0

//! What must be known of Opus to record it: how long a packet lasts, how silence is written, and
//! the headers of RFC 7845.

/// Opus always counts time in samples of 48 kHz, whatever its input was (RFC 7845, section 4).
pub(super) const RATE: u64 = 48_000;

/// The lengths of the silent packets below, in nanoseconds, longest first, with the configuration
/// number of CELT full band at that length (RFC 6716, table 2).
const SILENCES: [(u64, u8); 4] =
    [(20_000_000, 31), (10_000_000, 30), (5_000_000, 29), (2_500_000, 28)];

/// The shortest packet, in nanoseconds: a hole smaller than that cannot be filled.
pub(super) const SHORTEST: u64 = 2_500_000;

/// How long a packet lasts, in nanoseconds, by its table-of-contents byte (RFC 6716, section 3.1).
/// `None` when there is no such packet.
pub(super) fn duration(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let frame: u64 = match toc >> 3 {
        config @ 0..12 => [10_000, 20_000, 40_000, 60_000][usize::from(config & 3)],
        config @ 12..16 => [10_000, 20_000][usize::from(config & 1)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    // No packet is longer than 120 ms (RFC 6716, requirement R5).
    let micros = frame * frames;
    (1..=120_000).contains(&micros).then_some(micros * 1_000)
}

/// Whether a packet is stereo, by its table-of-contents byte.
pub(super) fn is_stereo(packet: &[u8]) -> bool {
    packet.first().is_some_and(|toc| toc & 4 != 0)
}

/// Silent packets that together last `hole` nanoseconds, less than [`SHORTEST`] left over.
/// Each comes with its length.
pub(super) fn silence(hole: u64, stereo: bool) -> impl Iterator<Item = (u64, [u8; 3])> {
    let mut left = hole;
    std::iter::from_fn(move || {
        let (length, config) = SILENCES.into_iter().find(|(length, _)| *length <= left)?;
        left -= length;
        // Code 0, one frame. A CELT frame that starts with the bits of 0xff 0xfe says "silence".
        Some((length, [config << 3 | u8::from(stereo) << 2, 0xff, 0xfe]))
    })
}

/// The identification header (RFC 7845, section 5.1). The pre-skip is 0: the recorder keeps the
/// timestamps of the packets, it does not know what came before the first one.
pub(super) fn head(channels: u8) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(0u16.to_le_bytes());
    head.extend(48_000u32.to_le_bytes());
    head.extend(0u16.to_le_bytes());
    head.push(0);
    head
}

/// The comment header (RFC 7845, section 5.2), without comments.
pub(super) fn tags(vendor: &str) -> Vec<u8> {
    let mut tags = b"OpusTags".to_vec();
    let length = u32::try_from(vendor.len()).unwrap_or(0);
    tags.extend(length.to_le_bytes());
    tags.extend(vendor.as_bytes().iter().take(length as usize));
    tags.extend(0u32.to_le_bytes());
    tags
}

/// Nanoseconds to samples, rounded.
pub(super) fn samples(nanoseconds: u64) -> u64 {
    scale(nanoseconds, RATE)
}

/// Nanoseconds to units of 1/`rate` second, rounded.
pub(super) fn scale(nanoseconds: u64, rate: u64) -> u64 {
    let units = (u128::from(nanoseconds) * u128::from(rate) + 500_000_000) / 1_000_000_000;
    u64::try_from(units).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_last_what_their_first_byte_says() {
        let ms = |ms: f64| Some((ms * 1e6) as u64);
        let table: [(&[u8], Option<u64>); 12] = [
            (&[], None),
            (&[0 << 3], ms(10.0)),
            (&[1 << 3], ms(20.0)),
            (&[3 << 3], ms(60.0)),
            (&[11 << 3 | 1], ms(120.0)),
            (&[12 << 3], ms(10.0)),
            (&[15 << 3], ms(20.0)),
            (&[16 << 3], ms(2.5)),
            (&[31 << 3 | 4], ms(20.0)),
            (&[31 << 3 | 3, 3], ms(60.0)),
            (&[31 << 3 | 3, 7], None),
            (&[31 << 3 | 3, 0], None),
        ];
        for (packet, expected) in table {
            assert_eq!(duration(packet), expected, "{packet:?}");
        }
    }

    #[test]
    fn silence_fills_a_hole_down_to_the_shortest_packet() {
        for hole in [0, 2_499_999, 2_500_000, 7_000_000, 20_000_000, 1_234_567_890] {
            for stereo in [false, true] {
                let mut filled = 0;
                for (length, packet) in silence(hole, stereo) {
                    assert_eq!(duration(&packet), Some(length));
                    assert_eq!(is_stereo(&packet), stereo);
                    filled += length;
                }
                assert!(filled <= hole && hole - filled < SHORTEST, "{hole}");
            }
        }
    }

    #[test]
    fn headers_have_the_sizes_of_the_rfc() {
        assert_eq!(head(2).len(), 19);
        assert_eq!(tags("abc").len(), 8 + 4 + 3 + 4);
    }
}
