// SPDX-License-Identifier: MPL-2.0

//! What was sent, what arrived, and what was recorded, held against each other. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A picture, or a packet of sound, that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// What it is known by: see [`super::packet::mark`].
    pub(crate) mark: u64,
    /// Whether it can be shown without those before it. Sound always can.
    pub(crate) is_key: bool,
    /// Whether the sender itself has left out one before it.
    pub(crate) after_hole: bool,
    /// The numbers of its packets.
    pub(crate) packets: Vec<u16>,
}

/// One stream at its sender.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    /// In order.
    pub(crate) pieces: Vec<Piece>,
    /// Repetitions: the number of the repetition, and of the packet that it repeats.
    pub(crate) repeated: BTreeMap<u16, u16>,
}

/// What became of a stream, from the first recorded piece to the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Pieces sent.
    pub(crate) sent: usize,
    /// Of these, those whose packets have all arrived, at once or repeated.
    pub(crate) arrived: usize,
    /// Of these, those that only repetitions made whole, too late: see [`Sent::balance`].
    pub(crate) late: usize,
    /// Pieces received in time that can be shown: a key, or behind one without a hole.
    pub(crate) received: usize,
    /// Of these, those in the recording.
    pub(crate) recorded: usize,
    /// Recorded ones that cannot be shown, or that nobody has sent.
    pub(crate) foreign: usize,
}

impl Sent {
    /// Holds what was sent against the numbers of the packets that arrived, those of repetitions
    /// that did, and the marks of what is recorded.
    ///
    /// When a repetition came, nobody knows here, and a jitter buffer waits for so long only. One
    /// that made a piece whole that is not recorded was late; what came at once never is.
    pub(crate) fn balance(
        &self,
        arrived: &BTreeSet<u16>,
        repetitions: &BTreeSet<u16>,
        recorded: &[u64],
    ) -> Balance {
        let mut there = arrived.clone();
        there.extend(repetitions.iter().filter_map(|number| self.repeated.get(number)));
        let mut open: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (place, piece) in self.pieces.iter().enumerate().rev() {
            open.entry(piece.mark).or_default().push(place);
        }
        let places: Vec<Option<usize>> =
            recorded.iter().map(|mark| open.get_mut(mark).and_then(Vec::pop)).collect();
        let known: BTreeSet<usize> = places.iter().copied().flatten().collect();
        let (Some(first), Some(last)) = (known.first(), known.last()) else {
            return Balance { foreign: recorded.len(), ..Balance::default() };
        };
        let unknown = places.iter().filter(|place| place.is_none()).count();
        let mut balance = Balance { foreign: unknown, ..Balance::default() };
        let mut chain = false;
        for (place, piece) in self.pieces.iter().enumerate().take(last + 1).skip(*first) {
            let all = |packets: &BTreeSet<u16>| piece.packets.iter().all(|n| packets.contains(n));
            let (is_whole, is_recorded) = (all(&there), known.contains(&place));
            let follows = piece.is_key || (chain && !piece.after_hole);
            let is_late = follows && is_whole && !all(arrived) && !is_recorded;
            chain = follows && is_whole && !is_late;
            balance.sent += 1;
            balance.arrived += usize::from(is_whole);
            balance.late += usize::from(is_late);
            balance.received += usize::from(chain);
            balance.recorded += usize::from(chain && is_recorded);
            balance.foreign += usize::from(!chain && is_recorded);
        }
        balance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of two packets each; capitals are keys.
    fn sent(pieces: &str) -> Sent {
        let piece = |(place, letter): (usize, char)| Piece {
            mark: u64::from(letter),
            is_key: letter.is_uppercase(),
            after_hole: letter == 'z',
            packets: vec![2 * place as u16, 2 * place as u16 + 1],
        };
        Sent { pieces: pieces.chars().enumerate().map(piece).collect(), repeated: [(7, 5)].into() }
    }

    fn balance(pieces: &str, lost: &[u16], repetitions: &[u16], recorded: &str) -> [usize; 6] {
        let numbers = 0..2 * pieces.len() as u16;
        let arrived = numbers.filter(|number| !lost.contains(number)).collect();
        let recorded: Vec<u64> = recorded.chars().map(u64::from).collect();
        let repetitions = repetitions.iter().copied().collect();
        let found = sent(pieces).balance(&arrived, &repetitions, &recorded);
        let Balance { sent, arrived, late, received, recorded, foreign } = found;
        [sent, arrived, late, received, recorded, foreign]
    }

    #[test]
    fn what_can_be_shown_is_to_be_recorded() {
        for (what, pieces, lost, repetitions, recorded, expected) in [
            ("all", "AbcdEf", &[][..], &[][..], "AbcdEf", [6, 6, 0, 6, 6, 0]),
            ("from a key on, to the end", "abCdef", &[], &[], "Cde", [3, 3, 0, 3, 3, 0]),
            ("one is missing", "AbcdEf", &[], &[], "AbdEf", [6, 6, 0, 6, 5, 0]),
            ("lost: on with the next key", "AbcdEf", &[5], &[], "AbEf", [6, 5, 0, 4, 4, 0]),
            ("lost, and recorded all the same", "AbcdEf", &[5], &[], "AbdEf", [6, 5, 0, 4, 4, 1]),
            ("lost, and repeated", "AbcdEf", &[5], &[7], "AbcdEf", [6, 6, 0, 6, 6, 0]),
            ("lost, and repeated too late", "AbcdEf", &[5], &[7], "AbEf", [6, 6, 1, 4, 4, 0]),
            ("a repetition of another one", "AbcdEf", &[4], &[7], "AbEf", [6, 5, 0, 4, 4, 0]),
            ("the same twice", "AbAb", &[], &[], "AbAb", [4, 4, 0, 4, 4, 0]),
            ("what nobody has sent", "Abc", &[], &[], "Abxc", [3, 3, 0, 3, 3, 1]),
            ("left out at the sender", "AbzdEf", &[], &[], "AbEf", [6, 6, 0, 4, 4, 0]),
            ("nothing known", "Abc", &[], &[], "x", [0, 0, 0, 0, 0, 1]),
        ] {
            assert_eq!(balance(pieces, lost, repetitions, recorded), expected, "{what}");
        }
    }
}
