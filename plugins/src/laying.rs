// SPDX-License-Identifier: MPL-2.0

//! Where sound is laid down: piece after piece without a seam, never far from where its timestamps
//! say it belongs. Pure; a recording and an effect follow the same rule, so both put the same sound
//! in the same place.
//!
//! Timestamps of a live stream slide, jump and leave holes, while an effect, an encoder and most
//! readers of a file count samples. So samples are what is counted here, and the timestamps steer:
//!
//! | a piece says that it begins | then |
//! |---|---|
//! | up to [`Rules::slack`] later than the sound ends, or [`Rules::ahead`] earlier (or half its own length) | it follows without a seam |
//! | later | silence stands for the hole, in whole [`Rules::quantum`]s |
//! | later by more than [`Rules::longest`] | the sound begins anew there |
//! | earlier | it is surplus: its place is taken |
//!
//! What is laid down is then at most `slack` before its timestamps and at most `ahead`, or half a piece
//! where that is more, behind them, however long it goes on. All times and lengths are samples.

/// Ours: half of the shortest packet of most encoders (20 ms), below what lips and voice may differ.
pub(crate) const SLACK_MS: u64 = 10;

/// Ours: sound that was real is worth more than its exact place, which may differ by as much between
/// sound and picture before anyone notices (ITU-R BT.1359: 45 ms early, 125 ms late). Less than a packet
/// of most encoders (20 ms), so that one that comes twice is told from one that is late; and no more than
/// three quarters of it: the sound of a clock that runs fast, which loses a packet now and then, is
/// then within 5 ms of its place for half of the time.
pub(crate) const AHEAD_MS: u64 = 15;

/// What may be done to sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How much later than the sound ends a piece may belong before silence is put there.
    pub(crate) slack: u64,
    /// How much earlier it may belong before it is left out.
    pub(crate) ahead: u64,
    /// Silence comes in multiples of that.
    pub(crate) quantum: u64,
    /// A longer hole is not filled.
    pub(crate) longest: u64,
}

/// Where a piece goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Behind so much silence, which begins where the sound ended; the piece itself is `at`.
    At { silence: u64, at: u64 },
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

    /// Lays a piece down that says it belongs at `time`.
    pub(crate) fn lay(&mut self, time: u64, length: u64) -> Place {
        if self.end.saturating_sub(time) > self.rules.ahead.max(length / 2) {
            return Place::Surplus;
        }
        let place = self.fill(time, self.rules.slack);
        self.end = self.end.saturating_add(length);
        place
    }

    /// Fills up to `time`, where more than `least` is missing.
    pub(crate) fn fill(&mut self, time: u64, least: u64) -> Place {
        let Rules { quantum, longest, .. } = self.rules;
        let hole = time.saturating_sub(self.end);
        // To the nearest.
        let quanta = hole.saturating_add(quantum / 2) / quantum;
        let end = self.end;
        if hole > longest {
            self.end = end.saturating_add(quanta.saturating_mul(quantum));
            return Place::Anew { end, at: self.end };
        }
        let silence = if hole > least { quanta * quantum } else { 0 };
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
    const RULES: Rules = Rules { slack: 10 * MS, ahead: 15 * MS, quantum: 120, longest: 1000 * MS };

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
            let got = match laying.lay(says * MS, length * MS) {
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

    proptest! {
        #[test]
        fn whatever_the_timestamps_say_the_sound_stays_near_them_and_has_no_seam(
            steps in proptest::collection::vec((-3000i64..3000, 0usize..4, 0u8..10), 1..400)
        ) {
            let mut laying = Laying::new(Rules { longest: u64::MAX, ..RULES }, 0);
            let (mut true_time, mut laid, mut end) = (0i64, 0u64, 0u64);
            for (jump, length, chance) in steps {
                let length = [120, 480, 960, 2880][length];
                // Mostly smooth; sometimes a jump of up to 3 s either way, or a little jitter.
                true_time += match chance { 0 => jump * 48, 1..4 => jump % 12 * 48, _ => 0 };
                let says = u64::try_from(true_time.max(0)).unwrap_or_default();
                match laying.lay(says, length) {
                    Place::At { silence, at } => {
                        prop_assert_eq!(end + silence, at);
                        prop_assert!(silence % 120 == 0);
                        laid += silence + length;
                        end = at + length;
                        prop_assert!(says.saturating_sub(at) <= RULES.slack);
                        prop_assert!(at.saturating_sub(says) <= RULES.ahead.max(length / 2));
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
