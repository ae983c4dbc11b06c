// SPDX-License-Identifier: MPL-2.0

//! One continuous output stream out of whatever sources follow each other.
//!
//! | packet | sequence number | timestamp |
//! |---|---|---|
//! | the first | a start of our own | a start of our own |
//! | same stream | same distance as at the source: losses and reordering stay | same distance |
//! | same stream, after a drop of the mixer | the next one: nobody can repair that hole | same distance |
//! | another stream, or one that started anew | the next one | plus the time that passed, at least 1 tick |
//! | older than the last change | none: it is dropped | |

/// A sequence number this far ahead is a new start and no loss (`MAX_DROPOUT` of RFC 3550, A.1).
const MAX_DROPOUT: u16 = 3000;

/// One this far behind is a new start and no reordering (`MAX_MISORDER` of RFC 3550, A.1).
const MAX_MISORDER: u16 = 100;

const NANOSECONDS: u128 = 1_000_000_000;

/// The stream that a packet belongs to: the same as long as neither the sink pad nor the SSRC changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamId {
    /// The mixer's own number of the sink pad.
    pub sink: u32,
    /// The SSRC that came in.
    pub ssrc: u32,
}

/// The place of a packet in its stream, at the input or at the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in ticks of the stream's clock.
    pub timestamp: u32,
}

/// Rewrites the places of all packets of one route.
#[derive(Debug)]
pub(super) struct Rewriter {
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Nothing went out; the first packet gets this place.
    Fresh(Place),
    /// Packets of one stream are shifted by a constant.
    Following(Following),
}

#[derive(Debug)]
struct Following {
    stream: StreamId,
    /// Output = input + shift.
    sequence_shift: u16,
    timestamp_shift: u32,
    /// Highest sequence number that came in.
    highest: u16,
    /// Sequence numbers since the shift last changed; an older packet has no place.
    age: u32,
    /// Newest timestamp that came in, and its running time (ns) when it had one.
    newest: u32,
    newest_time: Option<u64>,
}

/// How the sequence number of a packet stands to the highest one.
enum Step {
    Ahead(u16),
    Behind(u16),
    NewStart,
}

impl Rewriter {
    /// The first packet gets `start`.
    pub(super) fn new(start: Place) -> Self {
        Self { phase: Phase::Fresh(start) }
    }

    /// The place of one packet at the output, `None` when it comes too late to have one.
    ///
    /// `after_drop` says that the mixer itself dropped packets before it; `time` is its running
    /// time in ns; `clock_rate` is in Hz.
    pub(super) fn rewrite(
        &mut self,
        stream: StreamId,
        packet: Place,
        after_drop: bool,
        time: Option<u64>,
        clock_rate: u32,
    ) -> Option<Place> {
        let following = match &mut self.phase {
            Phase::Fresh(start) => {
                let start = *start;
                let following = Following::begin(stream, packet, start, time);
                self.phase = Phase::Following(following);
                return Some(start);
            }
            Phase::Following(following) => following,
        };
        let step = if following.stream == stream {
            following.step(packet.sequence)
        } else {
            Step::NewStart
        };
        match step {
            Step::NewStart => {
                let start = following.next(time, clock_rate);
                *following = Following::begin(stream, packet, start, time);
            }
            Step::Ahead(distance) => following.advance(packet, distance, after_drop, time),
            Step::Behind(distance) if u32::from(distance) > following.age => return None,
            Step::Behind(_) => {}
        }
        Some(following.shift(packet))
    }
}

impl Following {
    fn begin(stream: StreamId, first: Place, start: Place, time: Option<u64>) -> Self {
        Self {
            stream,
            sequence_shift: start.sequence.wrapping_sub(first.sequence),
            timestamp_shift: start.timestamp.wrapping_sub(first.timestamp),
            highest: first.sequence,
            age: 0,
            newest: first.timestamp,
            newest_time: time,
        }
    }

    fn step(&self, sequence: u16) -> Step {
        let ahead = sequence.wrapping_sub(self.highest);
        let behind = self.highest.wrapping_sub(sequence);
        if behind <= MAX_MISORDER {
            Step::Behind(behind)
        } else if ahead <= MAX_DROPOUT {
            Step::Ahead(ahead)
        } else {
            Step::NewStart
        }
    }

    fn advance(&mut self, packet: Place, distance: u16, after_drop: bool, time: Option<u64>) {
        if after_drop {
            self.sequence_shift = self.sequence_shift.wrapping_sub(distance - 1);
            self.age = 0;
        } else {
            self.age = self.age.saturating_add(u32::from(distance));
        }
        self.highest = packet.sequence;
        if is_newer(packet.timestamp, self.newest) {
            self.newest = packet.timestamp;
            self.newest_time = time.or(self.newest_time);
        }
    }

    fn shift(&self, packet: Place) -> Place {
        Place {
            sequence: packet.sequence.wrapping_add(self.sequence_shift),
            timestamp: packet.timestamp.wrapping_add(self.timestamp_shift),
        }
    }

    /// Where a new stream begins: after all that went out.
    fn next(&self, time: Option<u64>, clock_rate: u32) -> Place {
        let passed = match (self.newest_time, time) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => 0,
        };
        let ticks = u128::from(passed) * u128::from(clock_rate) / NANOSECONDS;
        // An RTP timestamp wraps: only the lower 32 bits count. A whole turn is half a day of video.
        let ticks = u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or(1);
        let last = Place { sequence: self.highest, timestamp: self.newest };
        let last = self.shift(last);
        Place {
            sequence: last.sequence.wrapping_add(1),
            timestamp: last.timestamp.wrapping_add(ticks.max(1)),
        }
    }
}

/// Whether timestamp `a` is after `b`, across the wrap.
fn is_newer(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 90_000;
    const A: StreamId = StreamId { sink: 0, ssrc: 1 };
    const B: StreamId = StreamId { sink: 1, ssrc: 1 };
    const MS: u64 = 1_000_000;

    fn at(sequence: u16, timestamp: u32) -> Place {
        Place { sequence, timestamp }
    }

    fn rewriter() -> Rewriter {
        Rewriter::new(at(1000, 50_000))
    }

    /// Walks a script of `(stream, input, after_drop, ms)` and compares the outputs.
    fn walk(script: &[(StreamId, Place, bool, u64, Option<Place>)]) {
        let mut rewriter = rewriter();
        for (index, (stream, input, after_drop, ms, expected)) in script.iter().enumerate() {
            let out = rewriter.rewrite(*stream, *input, *after_drop, Some(ms * MS), RATE);
            assert_eq!(out, *expected, "step {index}");
        }
    }

    #[test]
    fn one_stream_keeps_its_distances() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(8, 0), false, 0, Some(at(1001, 50_000))),
            (A, at(9, 3000), false, 33, Some(at(1002, 53_000))),
        ]);
    }

    #[test]
    fn losses_and_reordering_of_the_source_stay() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(10, 30), false, 1, Some(at(1003, 50_030))),
            (A, at(9, 20), false, 1, Some(at(1002, 50_020))),
            (A, at(11, 40), false, 2, Some(at(1004, 50_040))),
        ]);
    }

    #[test]
    fn numbers_wrap_without_a_jump() {
        walk(&[
            (A, at(65_535, u32::MAX), false, 0, Some(at(1000, 50_000))),
            (A, at(0, 2), false, 1, Some(at(1001, 50_003))),
        ]);
    }

    #[test]
    fn a_switch_goes_on_after_the_time_that_passed() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (B, at(300, 99), false, 100, Some(at(1001, 59_000))),
            (B, at(301, 189), false, 101, Some(at(1002, 59_090))),
            (A, at(8, 1), false, 200, Some(at(1003, 68_000))),
        ]);
    }

    #[test]
    fn a_switch_back_in_time_still_goes_forward() {
        walk(&[
            (A, at(7, 0), false, 100, Some(at(1000, 50_000))),
            (B, at(300, 99), false, 50, Some(at(1001, 50_001))),
        ]);
    }

    #[test]
    fn a_source_that_restarts_under_its_old_ssrc_is_a_switch() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(40_000, 1 << 31), false, 10, Some(at(1001, 50_900))),
            (A, at(40_001, 1 << 31), false, 10, Some(at(1002, 50_900))),
        ]);
    }

    #[test]
    fn a_drop_of_the_mixer_leaves_no_hole_and_no_time_shift() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(50, 9000), true, 100, Some(at(1001, 59_000))),
            (A, at(51, 9000), false, 100, Some(at(1002, 59_000))),
        ]);
    }

    #[test]
    fn a_packet_older_than_the_last_change_has_no_place() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(50, 9000), true, 100, Some(at(1001, 59_000))),
            (A, at(49, 9000), false, 100, None),
            (A, at(6, 0), false, 100, None),
        ]);
    }

    #[test]
    fn a_packet_from_before_the_first_is_dropped_and_a_later_one_is_not() {
        walk(&[
            (A, at(7, 0), false, 0, Some(at(1000, 50_000))),
            (A, at(6, 0), false, 0, None),
            (A, at(8, 0), false, 0, Some(at(1001, 50_000))),
        ]);
    }

    #[test]
    fn without_running_times_a_switch_is_one_tick() {
        let mut rewriter = rewriter();
        rewriter.rewrite(A, at(1, 1), false, None, RATE);
        let out = rewriter.rewrite(B, at(9, 9), false, None, RATE);
        assert_eq!(out, Some(at(1001, 50_001)));
    }

    #[derive(Debug, Clone)]
    struct Move {
        sink: u32,
        lost: u16,
        ticks: u32,
        late: u64,
        after_drop: bool,
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let one = (0..3_u32, 0..40_u16, 0..20_000_u32, 0..400_u64, any::<bool>());
        let one = one.prop_map(|(sink, lost, ticks, late, after_drop)| Move {
            sink,
            lost,
            ticks,
            late,
            after_drop,
        });
        prop::collection::vec(one, 1..300)
    }

    proptest! {
        #[test]
        fn any_sequence_of_switches_is_one_continuous_stream(
            moves in moves(),
            starts in prop::array::uniform3((any::<u16>(), any::<u32>())),
            first in (any::<u16>(), any::<u32>()),
        ) {
            let mut rewriter = Rewriter::new(at(first.0, first.1));
            let mut sources = starts.map(|(sequence, timestamp)| at(sequence, timestamp));
            let mut now = 0;
            let mut last: Option<(u32, Place)> = None;
            for step in moves {
                now += step.late * MS;
                let source = &mut sources[step.sink as usize];
                source.sequence = source.sequence.wrapping_add(1 + step.lost);
                source.timestamp = source.timestamp.wrapping_add(step.ticks);
                let stream = StreamId { sink: step.sink, ssrc: 1 };
                let out = rewriter.rewrite(stream, *source, step.after_drop, Some(now), RATE);
                let out = out.expect("nothing here is late");
                if let Some((sink, before)) = last {
                    let numbers = out.sequence.wrapping_sub(before.sequence);
                    let ticks = out.timestamp.wrapping_sub(before.timestamp);
                    if sink == step.sink {
                        let lost = if step.after_drop { 0 } else { step.lost };
                        prop_assert_eq!(numbers, 1 + lost);
                        prop_assert_eq!(ticks, step.ticks);
                    } else {
                        prop_assert_eq!(numbers, 1);
                        prop_assert!((1..1 << 31).contains(&ticks));
                    }
                }
                last = Some((step.sink, out));
            }
        }

        #[test]
        fn reordering_inside_a_source_never_gives_two_packets_one_number(
            shuffled in Just((0..60_u16).collect::<Vec<_>>()).prop_shuffle(),
            drops in prop::collection::vec(any::<bool>(), 60),
        ) {
            let mut rewriter = rewriter();
            let mut seen = std::collections::BTreeSet::new();
            for (sequence, after_drop) in shuffled.into_iter().zip(drops) {
                let packet = at(sequence, u32::from(sequence));
                if let Some(out) = rewriter.rewrite(A, packet, after_drop, None, RATE) {
                    prop_assert!(seen.insert(out.sequence));
                }
            }
        }
    }
}
