// SPDX-License-Identifier: MPL-2.0

//! When a packet belongs on the interaction's timeline: as far from the packet before it as its
//! sender says, wherever the jitter buffer has learned that the stream lies.
//!
//! A jitter buffer starts from the arrival of the first packet and corrects itself while it learns
//! the network's least delay. Taken as they are, those corrections squeeze or tear what is recorded: a busy second
//! at the start puts half a second of sound into a few milliseconds. Here the stream keeps its own
//! pace, by the RTP timestamps, and slides to where it belongs.
//!
//! Packets that were held up on the way (a machine that was busy for a second) are no later than the
//! others: a jitter buffer moves what comes later than its latency to the time of its arrival. So a
//! stream is found to lie later only when ten seconds of it in a row do, and earlier at once.
//!
//! Sound and picture of one person are held against each other by when they were taken, where their sender
//! tells that (`capture.rs`, `reports.rs`): the one that lies later is led to the other one (`lead`), at once both ways.
//!
//! Before a stream is recorded it settles: it goes nearly at once to where it belongs, so that little
//! is left to slide when it counts.

use super::capture::Lag;
use super::reports::Report;
use std::collections::VecDeque;

/// How fast a stream slides: one part in 20, which is 1 ms in a packet of 20 ms. Ours: sound and
/// picture of one person may differ by 4 % before anyone notices (tape speed, film at 24 and 25
/// frames a second), and half a second is made good in ten.
const SLIDE: i64 = 20;
/// How fast it does so before it is recorded: all but one part in 20, so that its time still goes on.
const SETTLING: i64 = 19;
/// A larger difference is no drift but another stream: the timestamps begin anew. Ours: jitter
/// buffers correct at most some hundred milliseconds.
const JUMP: i64 = 1_000_000_000;

/// Slides are told when they come to so much together. Ours: half of what sound is let stray by in the
/// recordings.
const TOLD: i64 = 5_000_000;

/// Reports that differ by less tell the same, in ns. Ours: what GStreamer's and browsers' stray by is a few ms.
const STRAYS: i64 = 10_000_000;

/// So much of a stream in a row must lie later, in ns. Ours: the stalls of a busy machine that we saw
/// lasted up to some seconds; a sender's clock that is off by 200 millionths strays 2 ms in it.
const PATIENCE: i64 = 10_000_000_000;

/// Where one stream lies.
#[derive(Debug)]
pub struct Timeline {
    /// RTP units a second.
    rate: i64,
    /// The newest packet: its RTP timestamp, and the same unwrapped since the first one.
    newest: Option<(u32, i64)>,
    /// From unwrapped RTP time, in ns, to the timeline.
    offset: i64,
    /// By how much it has slid since that was told, in ns.
    slid: i64,
    /// By how much it is to lie earlier than the jitter buffer says, in ns.
    lead: i64,
    /// From unwrapped RTP time, in ns, to when it was taken by its sender's clock, as packets tell.
    captured: Option<i64>,
    /// The same as reports tell.
    reported: Option<i64>,
    /// The newest report, which is not to be heard again, by a stream that has jumped meanwhile least of all.
    heard: Option<Report>,
    /// The least offset of the latest media.
    least: Least,
}

/// The least of what was said within the last [`PATIENCE`].
#[derive(Debug, Default)]
struct Least(VecDeque<(i64, i64)>);

impl Least {
    /// Hears `value` at `time`, in ns; the least since `time - PATIENCE`.
    fn hear(&mut self, time: i64, value: i64) -> i64 {
        // What is followed by less will never be the least: values rise from front to back.
        while self.0.back().is_some_and(|(_, other)| *other >= value) {
            self.0.pop_back();
        }
        self.0.push_back((time, value));
        while self.0.front().is_some_and(|(old, _)| *old < time.saturating_sub(PATIENCE)) {
            self.0.pop_front();
        }
        self.get().unwrap_or(value)
    }

    fn get(&self) -> Option<i64> {
        self.0.front().map(|(_, least)| *least)
    }
}

/// How much may be seen of a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Everything: nobody records, and nobody but the participant's own effects hears it yet.
    Settling,
    /// As little as possible.
    Steady,
}

/// A packet's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// On the timeline, in ns.
    pub time: i64,
    /// What is to be told of the stream here.
    pub correction: Option<Correction>,
}

/// A stream is found to lie elsewhere; in ns, positive is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// It has slid by so much in the course of time.
    Slid(i64),
    /// It has jumped here: its timestamps began anew.
    Jumped(i64),
}

impl Timeline {
    /// A stream whose RTP timestamps count `rate` units a second.
    #[must_use]
    pub fn new(rate: u32) -> Self {
        Self {
            rate: rate.max(1).into(),
            newest: None,
            offset: 0,
            slid: 0,
            lead: 0,
            captured: None,
            reported: None,
            heard: None,
            least: Least::default(),
        }
    }

    /// The packet that was placed last was taken at `time`, in ns of its sender's clock.
    pub fn taken(&mut self, time: i64) {
        let elapsed = self.newest.map_or(0, |(_, unwrapped)| self.nanoseconds(unwrapped));
        self.captured = Some(time.saturating_sub(elapsed));
    }

    /// Hears the newest report of the stream. How exactly a sender makes them is its own affair: what strays little
    /// counts half, and so does what is known. (Less, and a clock that runs fast would be followed too late: one that is
    /// off by 200 millionths strays 1 ms from one report to the next, and is then 1 ms behind.)
    pub(super) fn reported(&mut self, report: Report) {
        let Some((last, unwrapped)) = self.newest else { return };
        if self.heard.replace(report) == Some(report) {
            return;
        }
        let units = i64::from(report.stamp.wrapping_sub(last).cast_signed());
        let elapsed = self.nanoseconds(unwrapped.saturating_add(units));
        let said = report.time.saturating_sub(elapsed);
        let known = self.reported.unwrap_or(said);
        let strays = said.saturating_sub(known);
        let part = if strays.abs() < STRAYS { strays / 2 } else { strays };
        self.reported = Some(known.saturating_add(part));
    }

    /// How much later than it was taken the jitter buffer puts the stream, in ns, from one clock to another.
    #[must_use]
    pub fn lag(&self) -> Lag {
        let lag = |taken| Some(self.least.get()?.saturating_sub(taken));
        Lag { captured: self.captured.and_then(lag), reported: self.reported.and_then(lag) }
    }

    /// By how much it is to lie earlier from now on than the packets say, in ns; negative is later.
    pub fn lead(&mut self, by: i64) {
        self.lead = by;
    }

    /// Places the next packet; `rtp` is its timestamp, `said` where the jitter buffer puts it, in ns.
    pub fn place(&mut self, rtp: u32, said: i64, pace: Pace) -> Place {
        let Some((last, unwrapped)) = self.newest else {
            self.newest = Some((rtp, 0));
            self.offset = said;
            self.least.hear(0, said);
            return Place { time: said, correction: None };
        };
        // Timestamps wrap; the shorter way round is the right one.
        let units = i64::from(rtp.wrapping_sub(last).cast_signed());
        let unwrapped = unwrapped.saturating_add(units);
        self.newest = Some((rtp, unwrapped));
        let elapsed = self.nanoseconds(unwrapped);
        let lies = said.saturating_sub(elapsed);
        let error = lies.saturating_sub(self.lead).saturating_sub(self.offset);
        let most = if pace == Pace::Settling { SETTLING } else { 1 };
        let slide = self.nanoseconds(units).abs() / SLIDE * most;
        let before = self.least.get().unwrap_or(lies);
        let jumps = lies.saturating_sub(before).abs() > JUMP;
        if jumps {
            (self.least, self.captured, self.reported) = (Least::default(), None, None);
        }
        let least = self.least.hear(elapsed, lies);
        let moved =
            if jumps { error } else { (least - self.lead - self.offset).clamp(-slide, slide) };
        self.offset += moved;
        self.slid += moved;
        let correction = (jumps || self.slid.abs() >= TOLD).then(|| {
            let by = std::mem::take(&mut self.slid);
            if jumps { Correction::Jumped(by) } else { Correction::Slid(by) }
        });
        Place { time: elapsed.saturating_add(self.offset), correction }
    }

    fn nanoseconds(&self, units: i64) -> i64 {
        let elapsed = i128::from(units) * 1_000_000_000 / i128::from(self.rate);
        // A cast of what fits.
        elapsed.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    /// Places packets of 20 ms that the jitter buffer puts at `said`, in ms.
    fn sound(first: u32, said: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut timeline = Timeline::new(48_000);
        let mut rtp = first;
        said.into_iter()
            .map(|said| {
                let place = timeline.place(rtp, said * MS, Pace::Steady);
                rtp = rtp.wrapping_add(960);
                assert!(!matches!(place.correction, Some(Correction::Jumped(_))));
                place.time
            })
            .collect()
    }

    #[test]
    fn jitter_does_not_show() {
        let placed = sound(0, [1000, 1021, 1039, 1060, 1080]);
        assert_eq!(placed[0], 1000 * MS);
        for pair in placed.windows(2) {
            assert!((pair[1] - pair[0] - 20 * MS).abs() <= MS, "{placed:?}");
        }
    }

    #[test]
    fn a_correction_is_slid_to_in_steps_of_a_twentieth() {
        // The stream turns out to lie 100 ms earlier than it began.
        let placed = sound(0, (0..200).map(|n| 1000 + 20 * n - if n == 0 { 0 } else { 100 }));
        assert_eq!(placed[1] - placed[0], 19 * MS);
        assert_eq!(placed[100] - placed[99], 19 * MS);
        assert_eq!(placed[101] - placed[100], 20 * MS);
        assert_eq!(placed[199], (1000 + 20 * 199 - 100) * MS);
    }

    #[test]
    fn packets_that_were_held_up_stay_where_they_belong() {
        // A stall of a second: what was taken at its beginning comes a second late, and the jitter
        // buffer lets nothing be later than 150 ms.
        let late = |n: i64| if (200..250).contains(&n) { (850 - 20 * (n - 200)).max(0) } else { 0 };
        let placed = sound(0, (0..400).map(|n| 1000 + 20 * n + late(n)));
        for (n, time) in (0..).zip(placed) {
            assert_eq!(time, (1000 + 20 * n) * MS, "{n}");
        }
    }

    #[test]
    fn a_stream_that_lies_later_is_slid_to_when_that_lasts() {
        let placed = sound(0, (0..700).map(|n| 1000 + 20 * n + if n < 50 { 0 } else { 30 }));
        let off = |n: i64| placed[n as usize] - (1000 + 20 * n) * MS;
        // The last early one is forgotten after ten seconds of media.
        assert_eq!(
            [off(549), off(550), off(560), off(580), off(699)].map(|off| off / MS),
            [0, 1, 11, 30, 30]
        );
    }

    #[test]
    fn before_it_is_recorded_a_stream_goes_where_it_belongs_nearly_at_once() {
        let mut timeline = Timeline::new(48_000);
        let mut place = |packet: u32, late: i64| {
            let said = (i64::from(packet) * 20 + late) * MS;
            timeline.place(packet * 960, said, Pace::Settling).time - i64::from(packet) * 20 * MS
        };
        // The first packet came 100 ms late.
        let off = [place(0, 100), place(1, 0), place(2, 0), place(5, 0), place(6, 0), place(7, 0)];
        assert_eq!(off.map(|off| off / MS), [100, 81, 62, 5, 0, 0]);
    }

    #[test]
    fn a_stream_is_led_to_where_it_was_taken() {
        let mut timeline = Timeline::new(48_000);
        let mut off = |packet: u32, taken: Option<i64>, lead: i64| {
            let said = (i64::from(packet) * 20 + 1000 + i64::from(packet % 3)) * MS;
            timeline.lead(lead * MS);
            let place = timeline.place(packet * 960, said, Pace::Settling);
            if let Some(taken) = taken {
                timeline.taken(taken * MS);
            }
            (place.time / MS - i64::from(packet) * 20, timeline.lag().captured.map(|lag| lag / MS))
        };
        assert_eq!(off(0, None, 0), (1000, None));
        // It was taken 30 ms before the jitter buffer says so at best, by a clock of its own.
        assert_eq!(off(1, Some(70_000 + 20 - 30), 0), (1000, Some(-68_970)));
        // Nearly at once.
        assert_eq!(off(2, None, 20), (981, Some(-68_970)));
        assert_eq!(off(5, Some(70_000 + 100 - 30), 20), (980, Some(-68_970)));
        assert_eq!(off(6, None, 0), (999, Some(-68_970)));
    }

    #[test]
    fn reports_tell_when_a_stream_was_taken_and_small_differences_count_half() {
        let mut timeline = Timeline::new(48_000);
        let report = |packet: u32, off: i64| Report {
            stamp: packet * 960,
            time: (i64::from(packet) * 20 + off) * MS,
        };
        timeline.reported(report(0, 0));
        assert_eq!(timeline.lag(), Lag::default(), "there is no stream yet");
        for packet in 0..10 {
            timeline.place(packet * 960, (i64::from(packet) * 20 + 1000) * MS, Pace::Steady);
        }
        let mut lag = |report: Report| {
            timeline.reported(report);
            timeline.reported(report);
            timeline.lag().reported
        };
        // Of what is still to come, or was long ago.
        assert_eq!(lag(report(12, 400)), Some(600 * MS));
        assert_eq!(lag(report(4, 408)), Some(596 * MS));
        let first = Report { stamp: 0_u32.wrapping_sub(960), time: 280 * MS };
        assert_eq!(lag(first), Some(700 * MS), "of what came before the first one");
    }

    #[test]
    fn a_report_from_before_a_jump_says_nothing_of_what_follows() {
        let mut timeline = Timeline::new(48_000);
        let mut place = |packet: u32, said: i64, report: Report| {
            timeline.place(packet * 960, said * MS, Pace::Steady);
            timeline.reported(report);
            timeline.lag().reported.map(|lag| lag / MS)
        };
        let before = Report { stamp: 0, time: 400 * MS };
        assert_eq!(place(0, 1000, before), Some(600));
        assert_eq!(place(1, 1020, before), Some(600));
        // A pause of 1.5 s, through which its timestamps stood still.
        assert_eq!(place(2, 2540, before), None);
        assert_eq!(place(3, 2560, before), None);
        assert_eq!(place(4, 2580, Report { stamp: 4 * 960, time: 1980 * MS }), Some(600));
    }

    #[test]
    fn a_stream_is_led_later_at_once() {
        let mut timeline = Timeline::new(48_000);
        let mut off = |packet: u32, later: i64| {
            timeline.lead(-later * MS);
            let said = (i64::from(packet) * 20 + 1000) * MS;
            timeline.place(packet * 960, said, Pace::Steady).time / MS - i64::from(packet) * 20
        };
        assert_eq!((off(0, 0), off(1, 3), off(2, 3), off(3, 3)), (1000, 1001, 1002, 1003));
        assert_eq!((off(4, 3), off(5, 0), off(8, 0)), (1003, 1002, 1000));
    }

    #[test]
    fn corrections_are_told_in_pieces_that_add_up() {
        let mut timeline = Timeline::new(48_000);
        let mut told = Vec::new();
        for packet in 0..700u32 {
            // It turns out to lie 32 ms later, and jitters by 2 ms.
            let late = if packet > 0 { 32 + i64::from(packet % 3) } else { 0 };
            let said = (i64::from(packet) * 20 + late) * MS;
            told.extend(timeline.place(packet * 960, said, Pace::Steady).correction);
        }
        assert_eq!(told.len(), 6, "{told:?}");
        let sum: i64 = told
            .iter()
            .map(|correction| match correction {
                Correction::Slid(by) => *by,
                Correction::Jumped(_) => 0,
            })
            .sum();
        assert!((sum - 32 * MS).abs() < TOLD, "{told:?}");
    }

    #[test]
    fn packets_of_one_picture_share_its_time_and_timestamps_wrap() {
        let mut timeline = Timeline::new(90_000);
        let first = u32::MAX - 1000;
        assert_eq!(timeline.place(first, 0, Pace::Steady).time, 0);
        assert_eq!(timeline.place(first, 5 * MS, Pace::Steady).time, 0, "the same picture");
        let next = first.wrapping_add(3600);
        assert_eq!(
            timeline.place(next, 40 * MS, Pace::Steady),
            Place { time: 40 * MS, correction: None }
        );
    }

    #[test]
    fn another_stream_jumps_and_says_so() {
        let mut timeline = Timeline::new(48_000);
        timeline.place(0, 0, Pace::Steady);
        let place = timeline.place(2_000_000_000, 20 * MS, Pace::Steady);
        assert_eq!(place.time, 20 * MS);
        assert!(matches!(place.correction, Some(Correction::Jumped(_))));
        assert_eq!(
            timeline.place(2_000_000_960, 40 * MS, Pace::Steady),
            Place { time: 40 * MS, correction: None }
        );
    }

    proptest! {
        #[test]
        fn in_order_packets_stay_in_order_and_near_what_is_said(
            jitter in proptest::collection::vec(-400i64..400, 2..200)
        ) {
            let placed = sound(7, jitter.iter().enumerate().map(|(n, j)| 5000 + 20 * n as i64 + j));
            for pair in placed.windows(2) {
                prop_assert!((19 * MS..=21 * MS).contains(&(pair[1] - pair[0])));
            }
        }
    }
}
