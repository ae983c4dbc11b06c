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

/// The extension that carries transport-wide sequence numbers
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01).
pub(super) const TRANSPORT_WIDE: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// The extension by which a sender says how long receivers are to keep pictures before they show them: 12 bits for the
/// least and 12 for the most, in units of 10 ms.
pub(super) const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// The most that [`PLAYOUT_DELAY`] can tell.
const LONGEST_DELAY: u16 = 0x0fff;

/// What becomes of a source's header extensions on the way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Extensions {
    /// `(id of the source, id of the receiver)`; `None`: the receiver was not promised it.
    changes: Vec<(u8, Option<u8>)>,
    /// The receiver's id of the transport-wide sequence number: every packet has room for one. The
    /// number itself is the business of the `rtpsession` behind the mixer, which alone knows in what
    /// order packets leave; it writes it where there is room, and nowhere else.
    numbered: Option<u8>,
    /// The receiver's id of the playout delay.
    delayed: Option<u8>,
}

impl Extensions {
    /// Compares two lists of `(id, URI)`. `None` when nothing can have to change: all ids agree and neither
    /// numbers nor delays are promised, or the receiver was promised no list at all and takes packets as
    /// they are.
    pub(super) fn between(source: &[(u8, String)], receiver: &[(u8, String)]) -> Option<Self> {
        if receiver.is_empty() {
            return None;
        }
        // A source that says what its extensions are is not to speak in the name of others to which a receiver listens.
        let strange = receiver.iter().filter(|(id, _)| {
            !source.is_empty() && !source.iter().any(|(declared, _)| declared == id)
        });
        let changes: Vec<_> = source
            .iter()
            .map(|(id, uri)| {
                let promised = receiver.iter().find(|(_, other)| other == uri);
                (*id, promised.map(|(new, _)| *new))
            })
            .filter(|(id, new)| *new != Some(*id))
            .chain(strange.map(|(id, _)| (*id, None)))
            .collect();
        let promised = |sought| receiver.iter().find(|(_, uri)| uri == sought).map(|(id, _)| *id);
        let (numbered, delayed) = (promised(TRANSPORT_WIDE), promised(PLAYOUT_DELAY));
        let changed = !changes.is_empty() || numbered.is_some() || delayed.is_some();
        changed.then_some(Self { changes, numbered, delayed })
    }

    /// Changes the extensions of one packet's header. One that was not promised becomes padding. A new
    /// id that the block's form cannot express is treated so, too. `longest` is the most that the receiver is to keep the
    /// picture that begins here, in units of 10 ms.
    pub(super) fn apply(&self, header: &mut Vec<u8>, longest: Option<u16>) {
        self.rename(header);
        if let Some((id, longest)) = self.delayed.zip(longest) {
            let most = longest.min(LONGEST_DELAY);
            if let Some(there) = put(id, &delays(0, most), header)
                && let Ok(data) = <&mut [u8; 3]>::try_from(&mut header[there.data..there.end])
            {
                // The source's least stays, unless it would be more than the most: nobody believes that.
                let least = u16::from_be_bytes([data[0], data[1]]) >> 4;
                *data = delays(least.min(most), most);
            }
        }
        if let Some(id) = self.numbered {
            put(id, &[0, 0], header);
        }
    }

    fn rename(&self, header: &mut [u8]) {
        let Some(block) = Block::of(header) else {
            return;
        };
        let mut at = block.begin;
        while let Some(Element { id, start, end, .. }) = block.element(header, at) {
            match self.changes.iter().find(|(old, _)| *old == id) {
                None => {}
                Some((_, Some(new))) if block.form == Form::TwoBytes => header[start] = *new,
                Some((_, Some(new))) if (1..15).contains(new) => {
                    header[start] = (new << 4) | (header[start] & 0x0f);
                }
                Some(_) => header[start..end].fill(0),
            }
            at = end;
        }
    }
}

/// The data of [`PLAYOUT_DELAY`], from two numbers of 12 bits.
fn delays(least: u16, most: u16) -> [u8; 3] {
    let [_, high, middle, low] = (u32::from(least) << 12 | u32::from(most)).to_be_bytes();
    [high, middle, low]
}

/// Gives a header the element `id` with these data, unless it has one: that one is returned. Only in one-byte form: where a
/// source sends two-byte blocks, nothing is put in.
fn put(id: u8, data: &[u8], header: &mut Vec<u8>) -> Option<Element> {
    let length = u8::try_from(data.len().checked_sub(1)?).ok()?;
    if !(1..15).contains(&id) || length > 0x0f {
        return None;
    }
    let before = header.len();
    let mut words = 0_u16;
    if header[0] & 0x10 == 0 {
        header[0] |= 0x10;
        header.extend(ONE_BYTE_PROFILE.to_be_bytes());
        header.extend([0, 0]);
    } else {
        let block = Block::of(header).filter(|block| block.form == Form::OneByte)?;
        let mut at = block.begin;
        while let Some(element) = block.element(header, at) {
            if element.id == id {
                return Some(element);
            }
            at = element.end;
        }
        // What is left must be padding: behind anything else nobody would read.
        if header[at..].iter().any(|byte| *byte != 0) {
            return None;
        }
        words = u16_at(header, block.begin - 2)?;
    }
    header.push(id << 4 | length);
    header.extend(data);
    header.resize(header.len().next_multiple_of(4), 0);
    let begin = FIXED + 4 * usize::from(header[0] & 0x0f) + 4;
    let added = (header.len() - before.max(begin)) / 4;
    match u16::try_from(added).ok().and_then(|added| words.checked_add(added)) {
        Some(words) => header[begin - 2..begin].copy_from_slice(&words.to_be_bytes()),
        None => header.truncate(before),
    }
    None
}

/// The two forms of an extension block (RFC 8285, 4.2 and 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoBytes,
}

/// A header's extension block, up to the header's end.
#[derive(Debug, Clone, Copy)]
struct Block {
    form: Form,
    /// Where its first element is.
    begin: usize,
}

/// An element of a block: its id, and where its own header, its data and its end are.
#[derive(Debug, Clone, Copy)]
struct Element {
    id: u8,
    start: usize,
    data: usize,
    end: usize,
}

impl Block {
    /// `None` when there is none of a known form.
    fn of(header: &[u8]) -> Option<Self> {
        if header[0] & 0x10 == 0 {
            return None;
        }
        let start = FIXED + 4 * usize::from(header[0] & 0x0f);
        let form = match u16_at(header, start)? {
            ONE_BYTE_PROFILE => Form::OneByte,
            profile if profile & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoBytes,
            _ => return None,
        };
        Some(Self { form, begin: start + 4 })
    }

    /// The first element from there on; `None` at the end, or when the rest is broken.
    fn element(self, header: &[u8], mut at: usize) -> Option<Element> {
        while header.get(at) == Some(&0) {
            at += 1;
        }
        let first = *header.get(at)?;
        let (id, data, length) = match self.form {
            // Nothing behind these two is to be read: 0 with a length, and 15.
            Form::OneByte if matches!(first >> 4, 0 | 15) => return None,
            Form::OneByte => (first >> 4, at + 1, 1 + usize::from(first & 0x0f)),
            Form::TwoBytes => (first, at + 2, usize::from(*header.get(at + 1)?)),
        };
        let end = data + length;
        (end <= header.len()).then_some(Element { id, start: at, data, end })
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
        assert_eq!(Extensions::between(&source, &source), None);
        assert_eq!(Extensions::between(&source, &[]), None);
        assert_eq!(Extensions::between(&[], &source), None);
    }

    #[test]
    fn one_byte_extensions_are_renamed_and_the_unknown_become_padding() {
        let change = Extensions::between(
            &ids(&[(1, "twcc"), (2, "mid"), (3, "level")]),
            &ids(&[(5, "twcc"), (3, "level")]),
        )
        .unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        // Padding, twcc (2 bytes), mid (1 byte), level (1 byte).
        header.extend([0xbe, 0xde, 0, 2, 0x00, 0x11, 7, 8, 0x20, 9, 0x30, 6]);
        change.apply(&mut header, None);
        assert_eq!(header[16..], [0x00, 0x51, 7, 8, 0, 0, 0x30, 6]);
    }

    #[test]
    fn nobody_speaks_in_the_name_of_an_extension_that_they_did_not_declare() {
        let change = Extensions::between(&ids(&[(1, "a")]), &ids(&[(1, "a"), (5, "b")])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0xbe, 0xde, 0, 1, 0x10, 7, 0x50, 9]);
        change.apply(&mut header, None);
        assert_eq!(header[16..], [0x10, 7, 0, 0]);
    }

    #[test]
    fn two_byte_extensions_are_renamed_too() {
        let change = Extensions::between(&ids(&[(1, "twcc")]), &ids(&[(20, "twcc")])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0x10, 0x00, 0, 1, 1, 2, 7, 8]);
        change.apply(&mut header, None);
        assert_eq!(header[16..], [20, 2, 7, 8]);
    }

    #[test]
    fn a_packet_gets_room_for_the_transport_wide_number_that_its_receiver_was_promised() {
        let numbered = Extensions::between(&[], &ids(&[(3, TRANSPORT_WIDE)])).unwrap();
        let applied = |block: &[u8]| {
            let mut header = PLAIN[..12].to_vec();
            if !block.is_empty() {
                header[0] |= 0x10;
                header.extend(block);
            }
            let length = header.len();
            numbered.apply(&mut header, None);
            assert_eq!(parse(&header).unwrap().length, header.len(), "a whole header, {length}");
            header[12..].to_vec()
        };
        let room = [0xbe, 0xde, 0, 1, 0x31, 0, 0, 0];
        assert_eq!(applied(&[]), room, "there was no block");
        let other = [0xbe, 0xde, 0, 1, 0x10, 9, 0, 0];
        let with_room = [0xbe, 0xde, 0, 2, 0x10, 9, 0, 0, 0x31, 0, 0, 0];
        assert_eq!(applied(&other), with_room, "behind what was there");
        let there = [0xbe, 0xde, 0, 1, 0x31, 7, 8, 0];
        assert_eq!(applied(&there), there, "the source had one");
        let stopped = [0xbe, 0xde, 0, 1, 0xf0, 9, 0, 0];
        assert_eq!(applied(&stopped), stopped, "nobody would read it");
        let two_bytes = [0x10, 0x00, 0, 1, 1, 2, 7, 8];
        assert_eq!(applied(&two_bytes), two_bytes);
    }

    #[test]
    fn a_number_that_the_source_has_under_another_id_is_the_room() {
        let source = ids(&[(5, TRANSPORT_WIDE)]);
        let change = Extensions::between(&source, &ids(&[(3, TRANSPORT_WIDE)])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0xbe, 0xde, 0, 1, 0x51, 7, 8, 0]);
        change.apply(&mut header, None);
        assert_eq!(header[12..], [0xbe, 0xde, 0, 1, 0x31, 7, 8, 0]);
    }

    #[test]
    fn the_most_that_pictures_are_kept_is_the_receivers_own() {
        let source = ids(&[(5, PLAYOUT_DELAY)]);
        // id of the receiver, the most that is wished for, in the packet → out of it
        for (id, longest, packet, expected) in [
            (5, Some(1000), [0x52, 0x01, 0x20, 0x00], [0x52, 0x01, 0x23, 0xe8]),
            (5, Some(0x20), [0x52, 0x01, 0x2f, 0xff], [0x52, 0x01, 0x20, 0x20]),
            (5, Some(0), [0x52, 0x01, 0x2f, 0xff], [0x52, 0x00, 0x00, 0x00]),
            (5, Some(u16::MAX), [0x52, 0x00, 0x00, 0x00], [0x52, 0x00, 0x0f, 0xff]),
            (7, Some(4), [0x52, 0x00, 0x00, 0x00], [0x72, 0x00, 0x00, 0x04]),
            (5, None, [0x52, 0x01, 0x20, 0x00], [0x52, 0x01, 0x20, 0x00]),
            (5, Some(4), [0x51, 0x01, 0x20, 0x00], [0x51, 0x01, 0x20, 0x00]),
        ] {
            let change = Extensions::between(&source, &ids(&[(id, PLAYOUT_DELAY)])).unwrap();
            let mut header = PLAIN[..12].to_vec();
            header[0] |= 0x10;
            header.extend([0xbe, 0xde, 0, 1]);
            header.extend(packet);
            change.apply(&mut header, longest);
            assert_eq!(header[16..], expected, "{id} {longest:?} {packet:?}");
        }
        let promised = ids(&[(3, TRANSPORT_WIDE), (5, PLAYOUT_DELAY)]);
        let mut header = PLAIN[..12].to_vec();
        Extensions::between(&[], &promised).unwrap().apply(&mut header, Some(0x102));
        let both = [0xbe, 0xde, 0, 2, 0x52, 0, 1, 2, 0x31, 0, 0, 0];
        assert_eq!(header[12..], both, "the source has none");
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 2;
        let contributing = [1, 2, 3, 4, 5, 6, 7, 8];
        header.extend(contributing);
        Extensions::between(&[], &promised).unwrap().apply(&mut header, Some(0x102));
        assert_eq!(
            header[12..],
            [&contributing[..], &both].concat(),
            "behind contributing sources"
        );
    }

    proptest::proptest! {
        #[test]
        fn whatever_block_comes_the_header_stays_whole(
            mut block in proptest::collection::vec(proptest::prelude::any::<u8>(), 4..80),
            one_byte in proptest::prelude::any::<bool>(),
            id in proptest::prelude::any::<u8>(),
        ) {
            block.truncate(block.len() / 4 * 4);
            block[..2].copy_from_slice(&if one_byte { [0xbe, 0xde] } else { [0x10, 0x00] });
            let words = u16::try_from(block.len() / 4 - 1).unwrap();
            block[2..4].copy_from_slice(&words.to_be_bytes());
            let mut header = PLAIN[..12].to_vec();
            header[0] |= 0x10;
            header.extend(block);
            let source = ids(&[(1, "a"), (2, TRANSPORT_WIDE), (3, PLAYOUT_DELAY)]);
            let promised = ids(&[(id, TRANSPORT_WIDE), (4, "b"), (5, PLAYOUT_DELAY)]);
            let change = Extensions::between(&source, &promised);
            change.unwrap().apply(&mut header, Some(1));
            proptest::prop_assert_eq!(parse(&header).unwrap().length, header.len());
        }
    }

    #[test]
    fn a_broken_extension_block_is_left_alone() {
        let change = Extensions::between(&ids(&[(1, "a")]), &ids(&[(2, "a")])).unwrap();
        let mut header = PLAIN[..12].to_vec();
        header[0] |= 0x10;
        header.extend([0xbe, 0xde, 0, 1, 0x1f, 2, 7, 8]);
        let before = header.clone();
        change.apply(&mut header, None);
        assert_eq!(header, before);
    }
}
