// SPDX-License-Identifier: MPL-2.0

//! Where sound is laid down: piece after piece without a seam, never far from where its timestamps
//! say it belongs. Pure; a recording and an effect follow the same rule, so both put the same sound
//! in the same place.
//!
//! Timestamps of a live stream slide, jump and leave holes, while an effect, an encoder and most
//! readers of a file count samples. So samples are what is counted here, and the timestamps steer.
//! What can be heard is moved as little as possible; where nothing is heard, nobody notices:
//!
//! | a piece says that it begins | and it holds | then |
//! |---|---|---|
//! | up to [`Rules::slack`] later than the sound ends, or [`Rules::ahead`] earlier (or half its own length) | sound | it follows without a seam |
//! | later | sound | silence stands for the hole, in whole [`Rules::quantum`]s |
//! | less than [`Rules::near`] beside | nothing that is heard | it follows without a seam |
//! | later | nothing that is heard | silence stands for the hole |
//! | earlier | nothing that is heard | silence stands instead of it, as much shorter as it is early |
//! | later by more than [`Rules::longest`] | either | the sound begins anew there |
//! | earlier by more than [`Rules::ahead`] (or half its own length) | either | it is surplus: its place is taken |
//!
//! What is laid down is then at most `slack` before its timestamps and at most `ahead`, or half a piece
//! where that is more, behind them, however long it goes on; and within `near` after each pause in
//! what is heard. All times and lengths are samples.

/// Ours: half of the shortest packet of most encoders (20 ms), below what lips and voice may differ.
pub(crate) const SLACK_MS: u64 = 10;

/// Ours: sound that was real is worth more than its exact place, which may differ by as much between
/// sound and picture before anyone notices (ITU-R BT.1359: 45 ms early, 125 ms late). Less than a packet
/// of most encoders (20 ms), so that one that comes twice is told from one that is late; and no more than
/// three quarters of it: the sound of a clock that runs fast and of a person who never pauses, which
/// loses a packet now and then, is then within 5 ms of its place for half of the time.
pub(crate) const AHEAD_MS: u64 = 15;

/// How far from its place sound may be while nothing is heard, in microseconds. Ours: the shortest
/// packet of Opus (RFC 6716, section 2.1.4), so a recording cannot do better; two of them are then
/// within 5 ms of each other.
pub(crate) const NEAR_US: u64 = 2_500;

/// What may be done to sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How much later than the sound ends a piece may belong before silence is put there.
    pub(crate) slack: u64,
    /// How much earlier it may belong before it is left out.
    pub(crate) ahead: u64,
    /// How much earlier or later it may belong while nothing is heard.
    pub(crate) near: u64,
    /// Silence comes in multiples of that.
    pub(crate) quantum: u64,
    /// A longer hole is not filled.
    pub(crate) longest: u64,
}

/// What a piece holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Something that is heard, for all we know.
    Sound,
    /// Nothing that is heard (see `quiet.rs`).
    Quiet,
}

/// Where a piece goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind so much silence, which begins where the sound ended; the piece itself is `at`.
    At { silence: u64, at: u64 },
    /// Nowhere: so much silence stands instead of it, or none.
    Instead { silence: u64, at: u64 },
    /// Here, with nothing before it since `end`: the hole is too long.
    Anew { end: u64, at: u64 },
    /// Nowhere.
    Surplus,
}

/// Sound laid down so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Laying {
    rules: Rules,
    end: u64,
}

impl Laying {
    /// Sound that begins at `start`.
    pub(crate) const fn new(rules: Rules, start: u64) -> Self {
        Self { rules, end: start }
    }

    /// Where the sound ends.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// Whether it matters what a piece holds that says it belongs at `time`.
    pub(crate) const fn strays(&self, time: u64) -> bool {
        self.end.abs_diff(time) >= self.rules.near
    }

    /// Lays a piece down that says it belongs at `time`.
    pub(crate) fn lay(&mut self, time: u64, length: u64, content: Content) -> Place {
        let Rules { slack, ahead, near, .. } = self.rules;
        let early = self.end.saturating_sub(time);
        if early > ahead.max(length / 2) {
            return Place::Surplus;
        }
        if content == Content::Quiet && early >= near {
            let (silence, at) = (length.saturating_sub(self.quanta(early)), self.end);
            self.end = at.saturating_add(silence);
            return Place::Instead { silence, at };
        }
        let least = if content == Content::Quiet { near.saturating_sub(1) } else { slack };
        let place = self.fill(time, least);
        self.end = self.end.saturating_add(length);
        place
    }

    /// The nearest to it that consists of whole quanta.
    const fn quanta(&self, length: u64) -> u64 {
        let quantum = self.rules.quantum;
        (length.saturating_add(quantum / 2) / quantum).saturating_mul(quantum)
    }

    /// Fills up to `time`, where more than `least` is missing.
    pub(crate) fn fill(&mut self, time: u64, least: u64) -> Place {
        let hole = time.saturating_sub(self.end);
        let (quanta, end) = (self.quanta(hole), self.end);
        if hole > self.rules.longest {
            self.end = end.saturating_add(quanta);
            return Place::Anew { end, at: self.end };
        }
        let silence = if hole > least { quanta } else { 0 };
        self.end += silence;
        Place::At { silence, at: self.end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// At 48 kHz.
    const MS: u64 = 48;
    const RULES: Rules =
        Rules { slack: 10 * MS, ahead: 15 * MS, near: 120, quantum: 120, longest: 1000 * MS };

    #[test]
    fn each_row_of_the_table_holds() {
        // (says, length, place)
        let at = |silence: u64, at: u64| Place::At { silence: silence * MS, at: at * MS };
        let table = [
            (0, 20, at(0, 0)),
            (30, 20, at(0, 20)),
            (30, 20, at(0, 40)),
            (29, 20, Place::Surplus),
            (71, 20, at(10, 70)),
            (80, 60, at(0, 90)),
            (121, 60, at(0, 150)),
            (150, 60, Place::Surplus),
            (1211, 20, Place::Anew { end: 210 * MS, at: 1210 * MS }),
            (1230, 20, at(0, 1230)),
        ];
        let mut laying = Laying::new(RULES, 0);
        for (says, length, place) in table {
            // A hole is rounded to 2.5 ms.
            let got = match laying.lay(says * MS, length * MS, Content::Sound) {
                Place::At { silence, at } => Place::At {
                    silence: silence / (10 * MS) * 10 * MS,
                    at: at / (10 * MS) * 10 * MS,
                },
                Place::Anew { end, at } => Place::Anew { end, at: at / (10 * MS) * 10 * MS },
                other => other,
            };
            assert_eq!(got, place, "{says}");
        }
    }

    #[test]
    fn where_nothing_is_heard_the_sound_goes_back_to_its_place() {
        // When it says it begins, and its place, in quarters of a ms; each lasts 20 ms.
        const QUARTER: u64 = MS / 4;
        let at = |silence: u64, at: u64| Place::At { silence: silence * QUARTER, at: at * QUARTER };
        let instead =
            |silence: u64, at: u64| Place::Instead { silence: silence * QUARTER, at: at * QUARTER };
        let mut laying = Laying::new(RULES, 0);
        for (says, place) in [
            (0, at(0, 0)),
            (89, at(0, 80)),
            (170, at(10, 170)),
            (289, at(40, 290)),
            (361, at(0, 370)),
            (440, instead(70, 450)),
            (520, at(0, 520)),
            (555, instead(30, 600)),
            (569, Place::Surplus),
            (640, at(10, 640)),
        ] {
            assert_eq!(laying.lay(says * QUARTER, 20 * MS, Content::Quiet), place, "{says}");
        }
        assert!(!laying.strays(laying.end() - 119) && laying.strays(laying.end() - 120));
        assert!(!laying.strays(laying.end() + 119) && laying.strays(laying.end() + 120));
    }

    #[test]
    fn a_clock_that_runs_fast_loses_what_is_not_heard_and_stays_near() {
        // 200 millionths fast, a pause of 200 ms each 3 s, for ten minutes.
        let mut laying = Laying::new(RULES, 0);
        let (mut quiet, mut loud, mut worst) = (0, 0, 0);
        for packet in 0..30_000u64 {
            let says = packet * 960 - packet * 960 / 5000;
            let content = if packet % 150 < 10 { Content::Quiet } else { Content::Sound };
            match laying.lay(says, 960, content) {
                Place::At { silence: 0, at } => worst = worst.max(at.abs_diff(says)),
                Place::Instead { .. } => quiet += 1,
                _ => loud += 1,
            }
        }
        // One in 12.5 s; less than 1 ms comes between two pauses.
        assert_eq!((quiet, loud), (47, 0));
        assert!(worst < 120 + 48, "{worst}");
    }

    proptest! {
        #[test]
        fn whatever_the_timestamps_say_the_sound_stays_near_them_and_has_no_seam(
            steps in proptest::collection::vec((-3000i64..3000, 0usize..4, 0u8..10, proptest::bool::ANY), 1..400)
        ) {
            let mut laying = Laying::new(Rules { longest: u64::MAX, ..RULES }, 0);
            let (mut true_time, mut laid, mut end) = (0i64, 0u64, 0u64);
            for (jump, length, chance, quiet) in steps {
                let length = [120, 480, 960, 2880][length];
                // Mostly smooth; sometimes a jump of up to 3 s either way, or a little jitter.
                true_time += match chance { 0 => jump * 48, 1..4 => jump % 12 * 48, _ => 0 };
                let says = u64::try_from(true_time.max(0)).unwrap_or_default();
                let content = if quiet { Content::Quiet } else { Content::Sound };
                match laying.lay(says, length, content) {
                    Place::At { silence, at } => {
                        prop_assert_eq!(end + silence, at);
                        prop_assert!(silence % 120 == 0);
                        laid += silence + length;
                        end = at + length;
                        prop_assert!(says.saturating_sub(at) <= RULES.slack);
                        prop_assert!(at.saturating_sub(says) <= RULES.ahead.max(length / 2));
                        prop_assert!(!quiet || at.abs_diff(says) <= RULES.near);
                    }
                    Place::Instead { silence, at } => {
                        prop_assert!(quiet && at == end && silence < length && silence % 120 == 0);
                        laid += silence;
                        end = at + silence;
                    }
                    Place::Surplus => prop_assert!(end > says + RULES.ahead.max(length / 2)),
                    Place::Anew { .. } => prop_assert!(false),
                }
                prop_assert_eq!(laid, laying.end());
                true_time += i64::try_from(length).unwrap_or_default();
            }
        }
    }
}
