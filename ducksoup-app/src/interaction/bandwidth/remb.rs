// SPDX-License-Identifier: MPL-2.0

//! Telling a browser how much it may send, by REMB (draft-alvestrand-rmcat-remb-03). Pure.
//!
//! Where nothing is re-encoded, what the receivers can take is what the sender may send. Browsers
//! obey a REMB beside their own estimate by transport-wide feedback, whichever is less.

use std::time::{Duration, Instant};

/// How often it is repeated: packets get lost. Ours; browsers that send it do so once a second.
const REPEATED: Duration = Duration::from_secs(1);

/// What a browser is to be told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remb {
    /// Nothing: it goes by what it finds out itself.
    #[default]
    Silent,
    /// This much.
    Told {
        /// bit/s.
        bitrate: u32,
        /// When it was told last; never, if it is news.
        at: Option<Instant>,
    },
}

impl Remb {
    /// It may send this much from now on, bit/s.
    pub(super) fn set(&mut self, bitrate: u32) {
        match self {
            Self::Told { bitrate: before, .. } if *before == bitrate => {}
            _ => *self = Self::Told { bitrate, at: None },
        }
    }

    /// What is to be added to a compound that is sent now.
    pub(super) fn due(&mut self, compound: &[u8], now: Instant) -> Option<Vec<u8>> {
        let Self::Told { bitrate, at } = self else {
            return None;
        };
        if at.is_some_and(|at| now < at + REPEATED) {
            return None;
        }
        // Every packet of ours begins with who sends it.
        let sender: [u8; 4] = compound.get(4..8)?.try_into().ok()?;
        *at = Some(now);
        Some(packet(sender, *bitrate))
    }
}

/// Payload feedback, application layer (RFC 4585, 6.4), of no stream in particular: it is about all.
fn packet(sender: [u8; 4], bitrate: u32) -> Vec<u8> {
    // 18 bits and how far they are shifted.
    let exponent = (u32::BITS - bitrate.leading_zeros()).saturating_sub(18);
    let value = exponent << 18 | bitrate >> exponent;
    let mut packet = vec![0x80 | 15, 206, 0, 4];
    packet.extend(sender);
    packet.extend([0; 4]);
    packet.extend(b"REMB");
    packet.extend(value.to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::rtcp::{self, Packet};
    use proptest::prelude::*;

    /// A receiver report of nothing.
    const REPORT: [u8; 8] = [0x80, 201, 0, 1, 1, 2, 3, 4];

    #[test]
    fn what_is_news_is_told_at_once_and_repeated_each_second() {
        let (mut remb, now) = (Remb::default(), Instant::now());
        let at = |ms| now + Duration::from_millis(ms);
        assert_eq!(remb.due(&REPORT, now), None, "nothing to tell");
        remb.set(600_000);
        let told = remb.due(&REPORT, now).expect("news");
        assert_eq!(rtcp::read(&told), [Packet::Remb { bitrate: 600_000 }]);
        assert_eq!(told[4..8], [1, 2, 3, 4], "who sends it");
        remb.set(600_000);
        assert_eq!(remb.due(&REPORT, at(900)), None);
        assert!(remb.due(&REPORT, at(1000)).is_some());
        remb.set(500_000);
        assert_eq!(remb.due(&[0x80, 201], at(1100)), None, "no packet of ours");
        assert!(remb.due(&REPORT, at(1100)).is_some());
    }

    proptest! {
        #[test]
        fn a_bitrate_is_told_to_within_one_part_in_a_hundred_thousand(bitrate in any::<u32>()) {
            let told = rtcp::read(&packet([0; 4], bitrate));
            let [Packet::Remb { bitrate: read }] = told.as_slice() else {
                panic!("{told:?}");
            };
            let missing = u64::from(bitrate).checked_sub(*read);
            prop_assert!(missing.is_some_and(|missing| missing <= u64::from(bitrate) / 100_000));
        }
    }
}
