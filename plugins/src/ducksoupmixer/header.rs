// SPDX-License-Identifier: MPL-2.0

//! The bytes before an RTP payload: read, and rewritten in place.

/// Length of the part that every packet has (RFC 3550, 5.1).
const FIXED: usize = 12;

/// "One-byte header" extension block (RFC 8285, 4.2).
const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// "Two-byte header" extension block: twelve fixed bits, four of the application (RFC 8285, 4.3).
const TWO_BYTE_PROFILE: u16 = 0x1000;

/// What the mixer reads from a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in ticks of the stream's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Bytes before the payload: fixed part, contributing sources, extensions.
    pub length: usize,
}

/// What the mixer writes into a packet. The marker bit, padding and contributing sources stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in ticks of the stream's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload type; `None` keeps the packet's own.
    pub payload_type: Option<u8>,
}

/// Reads the header at the beginning of `packet`; `None` when this is no whole RTP header.
pub(super) fn parse(packet: &[u8]) -> Option<Header> {
    if packet.len() < FIXED || packet[0] >> 6 != 2 {
        return None;
    }
    let mut length = FIXED + 4 * usize::from(packet[0] & 0x0f);
    if packet[0] & 0x10 != 0 {
        let words = u16_at(packet, length + 2)?;
        length += 4 + 4 * usize::from(words);
    }
    (length <= packet.len()).then_some(Header {
        sequence: u16_at(packet, 2)?,
        timestamp: u32_at(packet, 4)?,
        ssrc: u32_at(packet, 8)?,
        length,
    })
}

/// Writes `new` into the header bytes of one packet that [`parse`] accepted.
pub(super) fn write(header: &mut [u8], new: Rewritten) {
    if let Some(payload_type) = new.payload_type {
        header[1] = (header[1] & 0x80) | (payload_type & 0x7f);
    }
    header[2..4].copy_from_slice(&new.sequence.to_be_bytes());
    header[4..8].copy_from_slice(&new.timestamp.to_be_bytes());
    header[8..12].copy_from_slice(&new.ssrc.to_be_bytes());
}

/// From the header-extension ids of a source to those that a receiver was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtensionIds {
    /// `(id of the source, id of the receiver)`; `None`: the receiver was not promised it.
    changes: Vec<(u8, Option<u8>)>,
}

impl ExtensionIds {
    /// Compares two lists of `(id, URI)`. `None` when nothing has to change: all ids agree, or the
    /// receiver was promised no list at all and takes packets as they are.
    pub(super) fn between(source: &[(u8, String)], receiver: &[(u8, String)]) -> Option<Self> {
        if receiver.is_empty() {
            return None;
        }
        let changes: Vec<_> = source
            .iter()
            .map(|(id, uri)| {
                let promised = receiver.iter().find(|(_, other)| other == uri);
                (*id, promised.map(|(new, _)| *new))
            })
            .filter(|(id, new)| *new != Some(*id))
            .collect();
        (!changes.is_empty()).then_some(Self { changes })
    }

    /// Renames the extensions of one packet's header in place. One that was not promised becomes
    /// padding. A new id that the block's form cannot express is treated so, too.
    pub(super) fn apply(&self, header: &mut [u8]) {
        if header[0] & 0x10 == 0 {
            return;
        }
        let start = FIXED + 4 * usize::from(header[0] & 0x0f);
        let Some(profile) = u16_at(header, start) else {
            return;
        };
        let one_byte = profile == ONE_BYTE_PROFILE;
        if !one_byte && profile & 0xfff0 != TWO_BYTE_PROFILE {
            return;
        }
        let mut at = start + 4;
        while at < header.len() {
            let id = if one_byte { header[at] >> 4 } else { header[at] };
            if id == 0 {
                at += 1;
                continue;
            }
            if one_byte && id == 15 {
                return;
            }
            let end = if one_byte {
                at + 2 + usize::from(header[at] & 0x0f)
            } else {
                let Some(length) = header.get(at + 1) else {
                    return;
                };
                at + 2 + usize::from(*length)
            };
            if end > header.len() {
                return;
            }
            match self.changes.iter().find(|(old, _)| *old == id) {
                None => {}
                Some((_, Some(new))) if !one_byte => header[at] = *new,
                Some((_, Some(new))) if (1..15).contains(new) => {
                    header[at] = (new << 4) | (header[at] & 0x0f);
                }
                Some(_) => header[at..end].fill(0),
            }
            at = end;
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at + 2)?;
    Some(u16::from_be_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PLAIN: [u8; 13] = [0x80, 0xe0, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5, 0xaa];

    #[test]
    fn a_plain_header_is_read() {
        let expected = Header { sequence: 7, timestamp: 9, ssrc: 5, length: 12 };
        assert_eq!(parse(&PLAIN), Some(expected));
    }

    #[test]
    fn contributing_sources_and_extensions_belong_to_the_header() {
        let mut packet = vec![0x91, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([1, 1, 1, 1]);
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 9, 0, 0]);
        packet.push(0xaa);
        assert_eq!(parse(&packet).unwrap().length, 24);
    }

    #[test]
    fn what_is_no_whole_rtp_header_is_refused() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&PLAIN[..11]), None);
        assert_eq!(parse(&[0x40; 12]), None, "version 1");
        assert_eq!(parse(&[0x9f; 12]), None, "promises more than there is");
        let endless = [0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xbe, 0xde, 9, 9];
        assert_eq!(parse(&endless), None, "an extension longer than the packet");
    }

    #[test]
    fn writing_keeps_the_marker_and_everything_else() {
        let mut packet = PLAIN;
        let new = Rewritten { sequence: 1, timestamp: 2, ssrc: 3, payload_type: Some(111) };
        write(&mut packet, new);
        assert_eq!(packet, [0x80, 0x80 | 111, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xaa]);
        write(&mut packet, Rewritten { payload_type: None, ..new });
        assert_eq!(packet[1], 0x80 | 111);
    }

    fn ids(pairs: &[(u8, &str)]) -> Vec<(u8, String)> {
        pairs.iter().map(|(id, uri)| (*id, (*uri).to_owned())).collect()
    }

    #[test]
    fn equal_ids_or_no_promise_change_nothing() {
        let source = ids(&[(1, "twcc"), (2, "mid")]);
        assert_eq!(ExtensionIds::between(&source, &source), None);
        assert_eq!(ExtensionIds::between(&source, &[]), None);
        assert_eq!(ExtensionIds::between(&[], &source), None);
    }

    #[test]
    fn one_byte_extensions_are_renamed_and_the_unknown_become_padding() {
        let change = ExtensionIds::between(
            &ids(&[(1, "twcc"), (2, "mid"), (3, "level")]),
            &ids(&[(5, "twcc"), (3, "level")]),
        )
        .unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        // Padding, twcc (2 bytes), mid (1 byte), level (1 byte).
        header.extend([0xbe, 0xde, 0, 2, 0x00, 0x11, 7, 8, 0x20, 9, 0x30, 6]);
        change.apply(&mut header);
        assert_eq!(header[16..], [0x00, 0x51, 7, 8, 0, 0, 0x30, 6]);
    }

    #[test]
    fn two_byte_extensions_are_renamed_too() {
        let change = ExtensionIds::between(&ids(&[(1, "twcc")]), &ids(&[(20, "twcc")])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0x10, 0x00, 0, 1, 1, 2, 7, 8]);
        change.apply(&mut header);
        assert_eq!(header[16..], [20, 2, 7, 8]);
    }

    #[test]
    fn a_broken_extension_block_is_left_alone() {
        let change = ExtensionIds::between(&ids(&[(1, "a")]), &ids(&[(2, "a")])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0xbe, 0xde, 0, 1, 0x1f, 2, 7, 8]);
        let before = header.clone();
        change.apply(&mut header);
        assert_eq!(header, before);
    }
}
