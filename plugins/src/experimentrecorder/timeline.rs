// SPDX-License-Identifier: MPL-2.0

//! The decisions about one track: what is recorded, at which time, and where something is missing.
//!
//! | track | a unit arrives | verdict |
//! |---|---|---|
//! | picture, needs a keyframe | no keyframe | gated; a keyframe is asked for, again and again |
//! | picture, needs a keyframe | keyframe | written, the track flows |
//! | picture, flows | after a loss, no keyframe | gated, the track needs a keyframe |
//! | picture, flows | anything else | written |
//! | sound | after a hole | written, silence fills the hole |
//! | sound | for a time that has its sound | left out |
//! | sound | beside its place, and nothing is heard in it | silence before it or instead of it leads back |
//! | sound | else | written |
//!
//! Times are nanoseconds since the origin. Sound is written where [`Laying`] puts it, one packet
//! where the other ends: every reader finds the same sample at the same time, whether it goes by the
//! timestamps or counts.

use super::opus::{RATE, SHORTEST, samples};
use crate::keyframes::WINDOW;
use crate::laying::{AHEAD_MS, Content, Laying, NEAR_US, Place, Rules, SLACK_MS};

/// Pictures further apart than that are reported as a gap: below two frames a second nobody would
/// call it a moving picture.
const PICTURE_HOLE: u64 = 500_000_000;

/// The least distance of two units whose own times do not rise, one unit of the coarsest format.
const LEAST_STEP: u64 = 1_000_000;

/// A hole longer than that, an hour, is left open: no conversation pauses so long, a clock jumped.
const LONGEST_FILL: u64 = 3_600 * RATE;

/// The shortest packet, in samples.
const QUANTUM: u64 = SHORTEST * RATE / 1_000_000_000;

/// How sound is laid down. At the very beginning there is no slack: zero is zero.
const SOUND: Rules = Rules {
    slack: SLACK_MS * RATE / 1_000,
    ahead: AHEAD_MS * RATE / 1_000,
    near: NEAR_US * RATE / 1_000_000,
    quantum: QUANTUM,
    longest: LONGEST_FILL,
};

/// A track keeps so many gaps; more are only counted.
const MOST_GAPS: usize = 1_000;

/// A time without media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Why media are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// They did not come.
    Absent,
    /// Pictures came, but could not be shown without a keyframe before them.
    Keyframe,
}

impl Cause {
    /// The word for it in reports.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Keyframe => "keyframe",
        }
    }
}

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not recorded; `ask` tells whether to ask for a keyframe.
    Gated { ask: bool },
    /// It is recorded at this time, after silence for this hole.
    Write { at: u64, silence: Option<Gap> },
    /// It is not recorded, and nobody misses it: there is this silence instead, or nothing.
    Silent { silence: Option<Gap> },
    /// It is not recorded: its time has its sound.
    Surplus,
}

/// What the report says of a track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Time of the first unit.
    pub(super) first: Option<u64>,
    /// Time of the end of the last unit.
    pub(super) last: u64,
    /// Units recorded.
    pub(super) units: u64,
    /// Nanoseconds of real media recorded (sound only).
    pub(super) length: u64,
    /// Nanoseconds of silence put where sound was missing; with `length` all that a decoder gives.
    pub(super) filled: u64,
    /// Pictures whose own time did not rise; packets of sound left out because their time had its
    /// sound.
    pub(super) jumps: u64,
    /// Packets left out in which nothing is heard.
    pub(super) quiet: u64,
    pub(super) gap_count: u64,
    /// The first gaps.
    pub(super) gaps: Vec<(Gap, Cause)>,
}

impl Summary {
    fn gap(&mut self, gap: Gap, cause: Cause) {
        self.gap_count += 1;
        if self.gaps.len() < MOST_GAPS {
            self.gaps.push((gap, cause));
        }
    }

    /// The time at which a picture is written: its own, unless that does not rise.
    fn rising(&mut self, at: u64, last_at: Option<u64>) -> u64 {
        let Some(last) = last_at else { return at };
        self.jumps += u64::from(at <= last);
        at.max(last.saturating_add(LEAST_STEP))
    }
}

/// Whether the picture can be decoded from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    /// `asked` when, and so whether any picture came meanwhile.
    NeedsKey {
        asked: Option<u64>,
    },
    Flows,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    picture: Picture,
    last_at: Option<u64>,
    sound: Laying,
    summary: Summary,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self {
            picture: Picture::NeedsKey { asked: None },
            last_at: None,
            sound: Laying::new(SOUND, 0),
            summary: Summary::default(),
        }
    }

    pub(super) fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Decides about a picture. `lost`: something is missing before it. `duration`: a guess.
    /// `now`: a time that goes on even while the origin is not known.
    pub(super) fn video(
        &mut self,
        now: u64,
        at: u64,
        duration: u64,
        key: bool,
        lost: bool,
    ) -> Verdict {
        let mut cause = Cause::Absent;
        if key {
            if matches!(self.picture, Picture::NeedsKey { asked: Some(_) }) {
                cause = Cause::Keyframe;
            }
            self.picture = Picture::Flows;
        } else if lost && self.picture == Picture::Flows {
            self.picture = Picture::NeedsKey { asked: None };
        }
        if self.picture != Picture::Flows {
            return self.no_picture(now);
        }
        let at = self.summary.rising(at, self.last_at);
        let from = self.last_at.map_or(0, |_| self.summary.last.min(at));
        let hole = match self.last_at {
            None => at > 0,
            Some(last) => at - last > PICTURE_HOLE,
        };
        if hole {
            self.summary.gap(Gap { from, to: at }, cause);
        }
        self.written(at, duration);
        Verdict::Write { at, silence: None }
    }

    /// Something without a picture that can be shown: whether to ask for a keyframe.
    pub(super) fn no_picture(&mut self, now: u64) -> Verdict {
        let Picture::NeedsKey { asked } = &mut self.picture else {
            return Verdict::Gated { ask: false };
        };
        let ask = asked.is_none_or(|asked| now >= asked.saturating_add(WINDOW));
        if ask {
            *asked = Some(now);
        }
        Verdict::Gated { ask }
    }

    /// Whether it matters what a packet of sound holds.
    pub(super) fn strays(&self, at: u64) -> bool {
        self.last_at.is_some() && self.sound.strays(samples(at))
    }

    /// Decides about a packet of sound.
    pub(super) fn audio(&mut self, at: u64, duration: u64, content: Content) -> Verdict {
        let (time, length) = (samples(at), samples(duration));
        if self.last_at.is_none() {
            let first = self.sound.fill(time, QUANTUM / 2);
            let silence = self.filled(first);
            let verdict = Verdict::Write { at: nanoseconds(self.sound.end()), silence };
            self.sound.lay(self.sound.end(), length, content);
            return self.laid(verdict, duration);
        }
        let late = time.saturating_sub(self.sound.end());
        match self.sound.lay(time, length, content) {
            Place::Surplus => {
                let left_out = match content {
                    Content::Sound => &mut self.summary.jumps,
                    Content::Quiet => &mut self.summary.quiet,
                };
                *left_out += 1;
                Verdict::Surplus
            }
            Place::Instead { silence, at } => {
                self.summary.quiet += 1;
                let silence = self.silent(at, silence);
                self.summary.last = silence.map_or(self.summary.last, |silence| silence.to);
                Verdict::Silent { silence }
            }
            // Nothing is missing: it was slid.
            Place::At { silence, at } if late <= SOUND.slack => {
                let silence = self.silent(at - silence, silence);
                self.laid(Verdict::Write { at: nanoseconds(at), silence }, duration)
            }
            place @ (Place::At { at, .. } | Place::Anew { at, .. }) => {
                let silence = self.filled(place);
                self.laid(Verdict::Write { at: nanoseconds(at), silence }, duration)
            }
        }
    }

    /// So much silence from there on, for which nothing is missing.
    fn silent(&mut self, from: u64, silence: u64) -> Option<Gap> {
        let gap = Gap { from: nanoseconds(from), to: nanoseconds(from + silence) };
        self.summary.filled += gap.to - gap.from;
        (silence > 0).then_some(gap)
    }

    fn laid(&mut self, verdict: Verdict, duration: u64) -> Verdict {
        if let Verdict::Write { at, .. } = verdict {
            self.written(at, duration);
            self.summary.length += duration;
        }
        verdict
    }

    /// Sound that stays away to the end of its file: the silence for it, from `least` on.
    pub(super) fn silent_until(&mut self, end: u64, least: u64) -> Option<Gap> {
        let end = samples(end);
        if end.saturating_sub(self.sound.end()) > LONGEST_FILL {
            return None;
        }
        let place = self.sound.fill(end, samples(least));
        let silence = self.filled(place)?;
        self.summary.last = silence.to;
        Some(silence)
    }

    /// Notes a hole; the silence for it.
    fn filled(&mut self, place: Place) -> Option<Gap> {
        let (from, to) = match place {
            Place::At { silence, at } if silence > 0 => (at - silence, at),
            Place::Anew { end, at } => (end, at),
            _ => return None,
        };
        let gap = Gap { from: nanoseconds(from), to: nanoseconds(to) };
        self.summary.gap(gap, Cause::Absent);
        let filled = matches!(place, Place::At { .. });
        self.summary.filled += if filled { gap.to - gap.from } else { 0 };
        filled.then_some(gap)
    }

    fn written(&mut self, at: u64, duration: u64) {
        self.last_at = Some(at);
        self.summary.first.get_or_insert(at);
        self.summary.last = self.summary.last.max(at.saturating_add(duration));
        self.summary.units += 1;
    }
}

/// Exact for what Opus packets last, which is multiples of 2.5 ms.
fn nanoseconds(samples: u64) -> u64 {
    u64::try_from(u128::from(samples) * 1_000_000_000 / u128::from(RATE)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const WRITE: fn(u64) -> Verdict = |at| Verdict::Write { at: at * MS, silence: None };
    const WRITE_TENTHS: fn(u64) -> Verdict =
        |at| Verdict::Write { at: at * MS / 10, silence: None };

    #[test]
    fn a_picture_starts_and_resumes_on_a_keyframe() {
        let mut track = Timeline::new();
        // time in ms, keyframe, lost before it, verdict
        let table = [
            (10, false, false, Verdict::Gated { ask: true }),
            (40, false, true, Verdict::Gated { ask: false }),
            (1010, false, false, Verdict::Gated { ask: true }),
            (1040, true, false, WRITE(1040)),
            (1070, false, false, WRITE(1070)),
            (1100, true, true, WRITE(1100)),
            (1130, false, true, Verdict::Gated { ask: true }),
            (1160, false, false, Verdict::Gated { ask: false }),
            (1900, true, false, WRITE(1900)),
            (1930, false, false, WRITE(1930)),
        ];
        for (at, key, lost, verdict) in table {
            assert_eq!(track.video(at * MS, at * MS, 30 * MS, key, lost), verdict, "{at}");
        }
        let summary = track.summary();
        assert_eq!((summary.first, summary.last), (Some(1040 * MS), 1960 * MS));
        let gap = |from, to, cause| (Gap { from: from * MS, to: to * MS }, cause);
        assert_eq!(summary.gaps, [gap(0, 1040, Cause::Keyframe), gap(1130, 1900, Cause::Keyframe)]);
        assert_eq!(track.video(0, 3000 * MS, 30 * MS, false, false), WRITE(3000));
        assert_eq!(track.summary().gaps[2], gap(1960, 3000, Cause::Absent));
    }

    #[test]
    fn holes_in_the_sound_are_filled() {
        let mut track = Timeline::new();
        // Silence comes in 2.5 ms; packets a little early or late follow without a seam.
        let tenths = |tenths: u64| tenths * MS / 10;
        let first =
            Verdict::Write { at: tenths(75), silence: Some(Gap { from: 0, to: tenths(75) }) };
        assert_eq!(track.audio(7 * MS, 20 * MS, Content::Sound), first);
        let follows = |at| Verdict::Write { at: tenths(at), silence: None };
        for (at, written) in [(27, 275), (49, 475), (67, 675)] {
            assert_eq!(track.audio(at * MS, 20 * MS, Content::Sound), follows(written), "{at}");
        }
        let hole = Gap { from: tenths(875), to: tenths(1275) };
        let after = Verdict::Write { at: tenths(1275), silence: Some(hole) };
        assert_eq!(track.audio(127 * MS, 20 * MS, Content::Sound), after);
        assert_eq!(track.audio(128 * MS, 20 * MS, Content::Sound), Verdict::Surplus);
        assert_eq!(track.audio(147 * MS, 20 * MS, Content::Sound), follows(1475));
        assert_eq!(track.summary().jumps, 1);
        assert_eq!(track.summary().filled, tenths(475));
        assert_eq!(track.summary().length, 120 * MS);
        assert_eq!(track.silent_until(200 * MS, 1000 * MS), None);
        assert_eq!(filled(track.silent_until(2000 * MS, 1000 * MS)), (tenths(1675), 2000 * MS));
        assert_eq!(track.summary().filled + track.summary().length, 2000 * MS);
        assert_eq!(track.summary().last, 2000 * MS);
    }

    #[test]
    fn where_nothing_is_heard_sound_goes_back_to_its_place_and_no_gap_is_told() {
        let mut track = Timeline::new();
        let tenths = |tenths: u64| tenths * MS / 10;
        track.audio(0, 20 * MS, Content::Sound);
        assert!(!track.strays(tenths(224)) && track.strays(tenths(225)));
        let silence = |from, to| Some(Gap { from: tenths(from), to: tenths(to) });
        let later = Verdict::Write { at: tenths(250), silence: silence(200, 250) };
        assert_eq!(track.audio(tenths(254), 20 * MS, Content::Quiet), later);
        let earlier = Verdict::Silent { silence: silence(450, 575) };
        assert_eq!(track.audio(tenths(371), 20 * MS, Content::Quiet), earlier);
        assert_eq!(track.audio(tenths(571), 20 * MS, Content::Quiet), WRITE_TENTHS(575));
        assert_eq!(track.audio(tenths(571), 20 * MS, Content::Quiet), Verdict::Surplus);
        let &Summary { jumps, quiet, gap_count, units, filled, last, .. } = track.summary();
        assert_eq!((jumps, quiet, gap_count, units), (0, 2, 0, 3));
        assert_eq!((filled, last), (tenths(175), tenths(775)));
        // Where more is missing it is a gap, whatever follows.
        track.audio(tenths(975), 20 * MS, Content::Quiet);
        assert_eq!(track.summary().gap_count, 1);
    }

    fn filled(gap: Option<Gap>) -> (u64, u64) {
        gap.map_or((0, 0), |gap| (gap.from, gap.to))
    }

    proptest! {
        #[test]
        fn whatever_arrives_sound_is_written_packet_after_packet_and_near_its_time(
            first in 0u64..3_000_000_000,
            steps in proptest::collection::vec(
                (-3_000_000i64..3_000_000, 0usize..4, 0u8..12, proptest::bool::ANY), 1..300
            )
        ) {
            let mut track = Timeline::new();
            let (mut end, mut last_ms, mut time) = (0, None, first as i64);
            for (jump, length, chance, quiet) in steps {
                let duration = [MS * 5 / 2, 10 * MS, 20 * MS, 60 * MS][length];
                // Smooth, jitter, a packet again or too early, a hole or a jump of seconds.
                time += match chance {
                    0 => jump * 1000,
                    1..4 => jump,
                    4 => -(20 * MS as i64),
                    _ => 0,
                };
                let at = time.max(0) as u64;
                time += duration as i64;
                let ahead = (15 * MS).max(duration / 2);
                let content = if quiet { Content::Quiet } else { Content::Sound };
                match track.audio(at, duration, content) {
                    Verdict::Write { at: written, silence } => {
                        let seam = silence.map_or(written, |gap| gap.from);
                        prop_assert_eq!(seam, end);
                        prop_assert_eq!(silence.map_or(written, |gap| gap.to), written);
                        // Half a unit of 2.5 ms beside the slack, for rounding to samples.
                        prop_assert!(at.saturating_sub(written) <= 10 * MS + 21_000, "{} {}", written, at);
                        prop_assert!(written.saturating_sub(at) <= ahead + 21_000, "{} {}", written, at);
                        end = written + duration;
                        let mut piece = seam;
                        for (length, _) in super::super::opus::silence(written - seam, false) {
                            rises(&mut last_ms, piece)?;
                            piece += length;
                        }
                        rises(&mut last_ms, written)?;
                    }
                    Verdict::Surplus => prop_assert!(end > at + ahead - 21_000),
                    Verdict::Silent { silence } => {
                        prop_assert!(quiet);
                        if let Some(gap) = silence {
                            prop_assert_eq!(gap.from, end);
                            prop_assert!(gap.to > gap.from && gap.to < gap.from + duration);
                            end = gap.to;
                        }
                    }
                    Verdict::Gated { .. } => prop_assert!(false),
                }
                let summary = track.summary();
                prop_assert_eq!(summary.filled + summary.length, end);
                prop_assert_eq!(summary.last, end);
            }
        }
    }

    /// In the milliseconds of Matroska too.
    fn rises(last: &mut Option<u64>, at: u64) -> Result<(), TestCaseError> {
        let ms = super::super::opus::scale(at, 1000);
        prop_assert!(last.is_none_or(|last| ms > last), "{} after {:?}", ms, last);
        *last = Some(ms);
        Ok(())
    }

    #[test]
    fn times_always_rise() {
        let mut track = Timeline::new();
        for (at, written) in [(0, 0), (20, 20), (15, 21), (21, 22), (60, 60)] {
            assert_eq!(track.video(0, at * MS, MS, true, false), WRITE(written));
        }
        // A fraction of a millisecond later, too, is the same time in Matroska.
        let verdict = track.video(0, 60 * MS + 1, MS, true, false);
        assert_eq!(verdict, WRITE(61));
        assert_eq!(track.summary().jumps, 2);
    }

    #[test]
    fn a_clock_that_jumps_by_hours_fills_no_disk() {
        let mut track = Timeline::new();
        track.audio(0, 20 * MS, Content::Sound);
        assert_eq!(track.audio(4000 * 1000 * MS, 20 * MS, Content::Sound), WRITE(4000 * 1000));
        assert_eq!((track.summary().filled, track.summary().gap_count), (0, 1));
        assert_eq!(track.silent_until(9000 * 1000 * MS, MS), None);
    }

    #[test]
    fn gaps_beyond_the_list_are_counted() {
        let mut track = Timeline::new();
        for packet in 0..1500 {
            track.audio(packet * 100 * MS, 20 * MS, Content::Sound);
        }
        assert_eq!(track.summary().gaps.len(), MOST_GAPS);
        assert_eq!(track.summary().gap_count, 1499);
    }
}
