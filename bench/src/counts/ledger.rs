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

/// What became of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Balance {
    /// Pieces sent from the first recorded one to the last.
    pub(crate) sent: usize,
    /// Of these, those whose packets have all arrived, at once or repeated.
    pub(crate) arrived: usize,
    /// Of these, those that can be shown: a key, or behind one without a hole.
    pub(crate) usable: usize,
    /// Of these, those in the recording.
    pub(crate) recorded: usize,
    /// Recorded ones that are not usable, or that nobody has sent.
    pub(crate) foreign: usize,
    /// Keys sent before the first recorded piece, after as many others.
    pub(crate) before: usize,
}

impl Sent {
    /// Holds what was sent against the numbers of the packets that arrived, those of repetitions
    /// that did, and the marks of what is recorded.
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
        let mut balance = Balance {
            before: *first,
            foreign: places.iter().filter(|place| place.is_none()).count(),
            ..Balance::default()
        };
        let mut chain = false;
        for (place, piece) in self.pieces.iter().enumerate().take(last + 1).skip(*first) {
            let arrived = piece.packets.iter().all(|number| there.contains(number));
            chain = arrived && (chain || piece.is_key);
            balance.sent += 1;
            balance.arrived += usize::from(arrived);
            balance.usable += usize::from(chain);
            match (chain, known.contains(&place)) {
                (true, true) => balance.recorded += 1,
                (false, true) => balance.foreign += 1,
                (_, false) => {}
            }
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
        let Balance { sent, arrived, usable, recorded, foreign, before } = found;
        [sent, arrived, usable, recorded, foreign, before]
    }

    #[test]
    fn what_can_be_shown_is_to_be_recorded() {
        for (what, pieces, lost, repetitions, recorded, expected) in [
            ("all", "AbcdEf", &[][..], &[][..], "AbcdEf", [6, 6, 6, 6, 0, 0]),
            ("from a key on, to the end", "abCdef", &[], &[], "Cde", [3, 3, 3, 3, 0, 2]),
            ("one is missing", "AbcdEf", &[], &[], "AbdEf", [6, 6, 6, 5, 0, 0]),
            ("lost: on with the next key", "AbcdEf", &[5], &[], "AbEf", [6, 5, 4, 4, 0, 0]),
            ("lost, and recorded all the same", "AbcdEf", &[5], &[], "AbdEf", [6, 5, 4, 4, 1, 0]),
            ("lost, and repeated", "AbcdEf", &[5], &[7], "AbcdEf", [6, 6, 6, 6, 0, 0]),
            ("a repetition of another one", "AbcdEf", &[4], &[7], "AbEf", [6, 5, 4, 4, 0, 0]),
            ("the same twice", "AbAb", &[], &[], "AbAb", [4, 4, 4, 4, 0, 0]),
            ("what nobody has sent", "Abc", &[], &[], "Abxc", [3, 3, 3, 3, 1, 0]),
            ("nothing known", "Abc", &[], &[], "x", [0, 0, 0, 0, 1, 0]),
        ] {
            assert_eq!(balance(pieces, lost, repetitions, recorded), expected, "{what}");
        }
    }
}
