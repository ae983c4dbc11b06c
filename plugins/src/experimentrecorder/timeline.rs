// SPDX-License-Identifier: MPL-2.0

//! The decisions about one track: what is recorded, at which time, and where something is missing.
//!
//! | track | a unit arrives | verdict |
//! |---|---|---|
//! | picture, needs a keyframe | no keyframe | gated; a keyframe is asked for once a second |
//! | picture, needs a keyframe | keyframe | written, the track flows |
//! | picture, flows | after a loss, no keyframe | gated, the track needs a keyframe |
//! | picture, flows | anything else | written |
//! | sound | after a hole | written, silence fills the hole |
//! | sound | else | written |
//!
//! Times are nanoseconds since the origin.

use super::opus::SHORTEST;

/// A hole in the sound that is filled with silence: half of the shortest packet that browsers send
/// (10 ms would be one, RTP jitter is far below).
const SOUND_HOLE: u64 = 10_000_000;

/// A hole at the very beginning is filled as far as the shortest packet allows.
const FIRST_SOUND_HOLE: u64 = SHORTEST;

/// Pictures further apart than that are reported as a gap: below two frames a second nobody would
/// call it a moving picture.
const PICTURE_HOLE: u64 = 500_000_000;

/// A keyframe is asked for again after so long: a request or its answer may be lost.
const ASK_AGAIN: u64 = 1_000_000_000;

/// The least distance of two units whose own times do not rise, one unit of the coarsest format.
const LEAST_STEP: u64 = 1_000_000;

/// A hole longer than that, an hour, is left open: no conversation pauses so long, a clock jumped.
const LONGEST_FILL: u64 = 3_600_000_000_000;

/// A track keeps so many gaps; more are only counted.
const MOST_GAPS: usize = 1_000;

/// A time without media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// What to do with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is not recorded; `ask` tells whether to ask for a keyframe.
    Gated { ask: bool },
    /// It is recorded at this time, after silence for this hole.
    Write { at: u64, silence: Option<Gap> },
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
    /// Units whose own time did not rise.
    pub(super) jumps: u64,
    pub(super) gap_count: u64,
    /// The first gaps.
    pub(super) gaps: Vec<Gap>,
}

impl Summary {
    fn gap(&mut self, gap: Gap) {
        self.gap_count += 1;
        if self.gaps.len() < MOST_GAPS {
            self.gaps.push(gap);
        }
    }

    /// The time at which a unit is written: its own, unless that does not rise.
    fn rising(&mut self, at: u64, last_at: Option<u64>) -> u64 {
        match last_at {
            Some(last) if at <= last => {
                self.jumps += 1;
                last.saturating_add(LEAST_STEP)
            }
            _ => at,
        }
    }
}

/// Whether the picture can be decoded from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    NeedsKey { asked: Option<u64> },
    Flows,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    picture: Picture,
    last_at: Option<u64>,
    /// Where the sound ends when it is counted sample by sample, as most readers do. Packets come
    /// a little early or late, and holes are filled by whole packets only: what is left over is
    /// made good at the next hole, so that it never adds up.
    laid: u64,
    summary: Summary,
}

impl Timeline {
    pub(super) fn new() -> Self {
        Self {
            picture: Picture::NeedsKey { asked: None },
            last_at: None,
            laid: 0,
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
        if key {
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
            self.summary.gap(Gap { from, to: at });
        }
        self.written(at, duration);
        Verdict::Write { at, silence: None }
    }

    /// Something without a picture that can be shown: whether to ask for a keyframe.
    pub(super) fn no_picture(&mut self, now: u64) -> Verdict {
        let Picture::NeedsKey { asked } = &mut self.picture else {
            return Verdict::Gated { ask: false };
        };
        let ask = asked.is_none_or(|asked| now >= asked.saturating_add(ASK_AGAIN));
        if ask {
            *asked = Some(now);
        }
        Verdict::Gated { ask }
    }

    /// Decides about a packet of sound.
    pub(super) fn audio(&mut self, at: u64, duration: u64) -> Verdict {
        let tolerance = if self.last_at.is_some() { SOUND_HOLE } else { FIRST_SOUND_HOLE };
        let at = self.summary.rising(at, self.last_at);
        let silence = self.fill(at, tolerance);
        self.written(at, duration);
        self.summary.length += duration;
        self.laid = self.laid.saturating_add(duration);
        Verdict::Write { at, silence }
    }

    /// Sound that stays away to the end of its file: the silence for it, from `least` on.
    pub(super) fn silent_until(&mut self, end: u64, least: u64) -> Option<Gap> {
        if end.saturating_sub(self.laid) > LONGEST_FILL {
            return None;
        }
        let silence = self.fill(end, least)?;
        self.summary.last = end;
        Some(silence)
    }

    /// The silence before a time, in whole packets, where at least `least` is missing.
    fn fill(&mut self, end: u64, least: u64) -> Option<Gap> {
        let hole = end.saturating_sub(self.laid);
        if hole < least {
            return None;
        }
        self.summary.gap(Gap { from: self.laid, to: end });
        if hole > LONGEST_FILL {
            self.laid = end;
            return None;
        }
        // What earlier holes left over is made good by one packet more, which may begin before the
        // last one ends, but never ends before it.
        let since = end.saturating_sub(self.summary.last);
        let room = since - since % SHORTEST + SHORTEST;
        let filled = (hole - hole % SHORTEST).min(room);
        let from = self.laid.max(self.summary.last).min(end - filled);
        self.summary.filled += filled;
        self.laid += filled;
        Some(Gap { from, to: from + filled })
    }

    fn written(&mut self, at: u64, duration: u64) {
        self.last_at = Some(at);
        self.summary.first.get_or_insert(at);
        self.summary.last = self.summary.last.max(at.saturating_add(duration));
        self.summary.units += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const WRITE: fn(u64) -> Verdict = |at| Verdict::Write { at: at * MS, silence: None };

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
        assert_eq!(
            summary.gaps,
            [Gap { from: 0, to: 1040 * MS }, Gap { from: 1130 * MS, to: 1900 * MS }]
        );
    }

    #[test]
    fn holes_in_the_sound_are_filled() {
        let mut track = Timeline::new();
        let filled = |at: u64, from: u64, to: u64| Verdict::Write {
            at: at * MS,
            silence: Some(Gap { from: from * MS, to: to * MS }),
        };
        // 2 ms are left over at first, and 2 ms at 127: too little for a packet.
        let table = [
            (7, filled(7, 0, 5)),
            (27, WRITE(27)),
            (49, WRITE(49)),
            (67, WRITE(67)),
            (127, filled(127, 87, 127)),
            (147, WRITE(147)),
        ];
        for (at, verdict) in table {
            assert_eq!(track.audio(at * MS, 20 * MS), verdict, "{at}");
        }
        assert_eq!(track.summary().filled, 45 * MS);
        assert_eq!(track.summary().length, 120 * MS);
        assert_eq!(track.silent_until(200 * MS, 1000 * MS), None);
        assert_eq!(
            track.silent_until(2000 * MS, 1000 * MS),
            Some(Gap { from: 165 * MS, to: 2000 * MS })
        );
        assert_eq!(track.summary().filled + track.summary().length, 2000 * MS);
    }

    #[test]
    fn what_holes_leave_over_does_not_add_up_and_no_packet_ends_before_another() {
        let mut track = Timeline::new();
        let mut ended = 0;
        for hole in 0..1000 {
            // Packets that come up to 9 ms late, and are followed by holes of all sizes.
            for at in [hole * 101 + 3, hole * 101 + 23 + hole % 10] {
                let at = at * MS;
                let Verdict::Write { silence, .. } = track.audio(at, 20 * MS) else { panic!() };
                if let Some(gap) = silence {
                    assert!(gap.to <= at);
                    let mut end = gap.from;
                    for (length, _) in super::super::opus::silence(gap.to - gap.from, false) {
                        end += length;
                        assert!(end >= ended, "silence ends at {end}, sound at {ended}");
                        ended = end;
                    }
                }
                ended = at + 20 * MS;
                let laid = track.summary().filled + track.summary().length;
                assert!(ended.abs_diff(laid) < 10 * MS, "{laid} laid down of {ended}");
            }
        }
    }

    #[test]
    fn times_always_rise() {
        let mut track = Timeline::new();
        for (at, written) in [(0, 0), (20, 20), (15, 21), (21, 22), (60, 60)] {
            assert_eq!(track.video(0, at * MS, MS, true, false), WRITE(written));
        }
        assert_eq!(track.summary().jumps, 2);
    }

    #[test]
    fn a_clock_that_jumps_by_hours_fills_no_disk() {
        let mut track = Timeline::new();
        track.audio(0, 20 * MS);
        assert_eq!(track.audio(4000 * 1000 * MS, 20 * MS), WRITE(4000 * 1000));
        assert_eq!((track.summary().filled, track.summary().gap_count), (0, 1));
        assert_eq!(track.silent_until(9000 * 1000 * MS, MS), None);
    }

    #[test]
    fn gaps_beyond_the_list_are_counted() {
        let mut track = Timeline::new();
        for packet in 0..1500 {
            track.audio(packet * 100 * MS, 20 * MS);
        }
        assert_eq!(track.summary().gaps.len(), MOST_GAPS);
        assert_eq!(track.summary().gap_count, 1499);
    }
}
