// SPDX-License-Identifier: MPL-2.0

//! Opus in Ogg (RFC 3533, RFC 7845).

use super::container::{Container, Ending, PIECE, Sample};
use super::opus;

/// A page holds at most so many lacing values (RFC 3533, section 6).
const MOST_SEGMENTS: usize = 255;

/// The one stream of our files.
const SERIAL: u32 = 1;

/// Flags of a page header.
const FIRST: u8 = 2;
const LAST: u8 = 4;

/// Writes one Opus stream.
#[derive(Debug)]
pub(super) struct Ogg {
    channels: u8,
    sequence: u32,
    page: Page,
}

/// Packets that wait for their page to be full.
#[derive(Debug, Default)]
struct Page {
    lacing: Vec<u8>,
    body: Vec<u8>,
    begins: u64,
    /// Where the last packet ends, in samples since the origin.
    granule: u64,
}

impl Page {
    fn add(&mut self, packet: &[u8]) {
        self.lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
        self.lacing.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
    }
}

impl Ogg {
    pub(super) fn new(channels: u8) -> Self {
        Self { channels, sequence: 0, page: Page::default() }
    }

    fn page(&mut self, page: &Page, flags: u8) -> Vec<u8> {
        let mut out = b"OggS\0".to_vec();
        out.push(flags);
        out.extend(page.granule.to_le_bytes());
        out.extend(SERIAL.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        out.extend([0; 4]);
        out.push(page.lacing.len() as u8);
        out.extend_from_slice(&page.lacing);
        out.extend_from_slice(&page.body);
        let sum = checksum(&out);
        out[22..26].copy_from_slice(&sum.to_le_bytes());
        self.sequence += 1;
        out
    }

    fn header(&mut self, packet: &[u8], flags: u8) -> Vec<u8> {
        let mut page = Page::default();
        page.add(packet);
        self.page(&page, flags)
    }

    fn take_page(&mut self, flags: u8) -> Vec<u8> {
        let granule = self.page.granule;
        let page = std::mem::replace(&mut self.page, Page { granule, ..Page::default() });
        self.page(&page, flags)
    }
}

impl Container for Ogg {
    fn start(&mut self) -> Vec<u8> {
        let mut out = self.header(&opus::head(self.channels), FIRST);
        out.extend(self.header(&opus::tags("experimentrecorder"), 0));
        out
    }

    fn write(&mut self, sample: Sample) -> Vec<u8> {
        let segments = sample.data.len() / 255 + 1;
        let full = self.page.lacing.len() + segments > MOST_SEGMENTS
            || sample.at.saturating_sub(self.page.begins) >= PIECE;
        let out = if full && !self.page.lacing.is_empty() { self.take_page(0) } else { Vec::new() };
        if self.page.lacing.is_empty() {
            self.page.begins = sample.at;
        }
        self.page.add(&sample.data);
        // A granule position never falls, even where a packet overlaps the one before.
        self.page.granule = opus::samples(sample.end()).max(self.page.granule);
        out
    }

    fn flush(&mut self) -> Vec<u8> {
        if self.page.lacing.is_empty() { Vec::new() } else { self.take_page(0) }
    }

    fn finish(&mut self) -> Ending {
        Ending { tail: self.take_page(LAST), patches: Vec::new() }
    }
}

/// The CRC-32 of Ogg: polynomial 0x04c11db7, not reflected, starts at zero (RFC 3533, section 6).
fn checksum(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    data.iter().fold(0, |sum, byte| (sum << 8) ^ TABLE[((sum >> 24) as u8 ^ byte) as usize])
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 << 31 != 0 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_ogg() {
        // CRC-32/MPEG-2's polynomial with a start of 0: the check value of "123456789".
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }

    #[test]
    fn a_page_ends_after_half_a_second_and_counts_from_the_origin() {
        let mut ogg = Ogg::new(1);
        assert_eq!(&ogg.start()[..4], b"OggS");
        let ms = 1_000_000;
        let mut pages = Vec::new();
        for packet in 0..50u64 {
            let at = 7 * ms + packet * 20 * ms;
            let (duration, data) = (20 * ms, vec![0xf8, 0xff, 0xfe]);
            let out = ogg.write(Sample { track: 0, at, duration, key: true, data });
            if !out.is_empty() {
                pages.push(out);
            }
        }
        assert_eq!(pages.len(), 1);
        let granule = |page: &[u8]| {
            page[6..14].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        assert_eq!(granule(&pages[0]), 507 * 48);
        assert_eq!(granule(&ogg.finish().tail), 1007 * 48);
    }

    #[test]
    fn long_packets_are_laced() {
        let mut page = Page::default();
        page.add(&[0; 510]);
        assert_eq!(page.lacing, [255, 255, 0]);
    }
}
