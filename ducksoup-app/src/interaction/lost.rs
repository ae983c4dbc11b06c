// SPDX-License-Identifier: MPL-2.0

//! Sound that never came: where it belongs. Pure.
//!
//! A jitter buffer tells of it by times of its own; the packets around it lie where `timeline.rs` puts them.

/// More than so much in a row is no loss but a pause, in ns. Ours: what libopus makes up is next to silence by then.
const LONGEST: i64 = 100_000_000;
/// The longest packet of Opus, in ns (RFC 6716, 2.1.4).
const LONGEST_PACKET: i64 = 120_000_000;

/// The packets around one that never came.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    newest: Option<Newest>,
    /// How long the sound in a packet is, in ns.
    length: i64,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u16,
    /// Where it lies, in ns.
    time: i64,
}

/// Sound that is missing, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    /// Where it belongs.
    pub(super) time: i64,
    /// How long it is.
    pub(super) length: i64,
}

impl Neighbours {
    /// A packet lies at `time`, in ns.
    pub(super) fn came(&mut self, sequence: u16, time: i64) {
        if let Some(newest) = self.newest {
            let length = time.saturating_sub(newest.time);
            if sequence == newest.sequence.wrapping_add(1) && (1..=LONGEST_PACKET).contains(&length)
            {
                self.length = length;
            }
        }
        self.newest = Some(Newest { sequence, time });
    }

    /// Sound from packet `sequence` on, about `length` ns of it, will not come. `None` where nothing is known of it, or
    /// too much is missing to make it up.
    #[must_use]
    pub(super) fn miss(&self, sequence: u16, length: i64) -> Option<Missing> {
        let newest = self.newest.filter(|_| self.length > 0)?;
        // What lies behind has wrapped round.
        let ahead = i64::from(sequence.wrapping_sub(newest.sequence));
        let packets = (length.saturating_add(self.length / 2) / self.length).max(1);
        let last = ahead.saturating_add(packets).saturating_sub(1);
        (ahead > 0 && last.saturating_mul(self.length) <= LONGEST).then(|| Missing {
            time: newest.time.saturating_add(ahead.saturating_mul(self.length)),
            length: packets.saturating_mul(self.length),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn what_is_missing_lies_behind_the_newest_packet_by_whole_packets() {
        let mut neighbours = Neighbours::default();
        assert_eq!(neighbours.miss(4, 20 * MS), None, "nothing has come");
        neighbours.came(u16::MAX, 1000 * MS);
        assert_eq!(neighbours.miss(0, 20 * MS), None, "nobody knows how long a packet is");
        neighbours.came(0, 1020 * MS);
        for (sequence, length, missing) in [
            (1, 20, Some((1040, 20))),
            (1, 23, Some((1040, 20))),
            (1, 0, Some((1040, 20))),
            (2, 20, Some((1060, 20))),
            (1, 39, Some((1040, 40))),
            (5, 20, Some((1120, 20))),
            // A pause.
            (6, 20, None),
            (1, 40_000, None),
            // These came.
            (0, 20, None),
            (u16::MAX, 20, None),
        ] {
            let missing =
                missing.map(|(time, length)| Missing { time: time * MS, length: length * MS });
            assert_eq!(neighbours.miss(sequence, length * MS), missing, "{sequence} {length}");
        }
        // Behind a hole nothing is learned of a packet's length.
        neighbours.came(3, 1080 * MS);
        assert_eq!(neighbours.miss(4, 20 * MS), Some(Missing { time: 1100 * MS, length: 20 * MS }));
    }
}
