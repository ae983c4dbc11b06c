// SPDX-License-Identifier: MPL-2.0

//! From where each recording flashes and beeps to the figures of a run. Pure.

use super::compare::{Onsets, Summary, differences, drift};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// What came in and what an effect made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Dry,
    Wet,
}

/// What was found in one participant's files of one side.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Recording {
    pub(crate) flashes: Onsets,
    pub(crate) beeps: Onsets,
    /// The beeps, where they are when the samples are counted and no timestamp is looked at.
    pub(crate) counted: Onsets,
    /// Different pictures in the file, and those that were sent between its first and its last.
    pub(crate) pictures: (usize, usize),
}

/// All recordings of a run.
pub(crate) type Recordings = BTreeMap<(String, Side), Recording>;

/// The figures of a run. Differences in ms, drifts in ms a minute: the worst of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measures {
    /// The same beep in the dry files of two participants, over all pairs.
    pub(crate) sound_between: Option<Summary>,
    /// The same flash.
    pub(crate) picture_between: Option<Summary>,
    /// How much later the flash is than the beep in the same dry file.
    pub(crate) dry: Option<Summary>,
    /// The same in wet files.
    pub(crate) wet: Option<Summary>,
    /// How much later a beep is in the wet file than in the dry one.
    pub(crate) sound_effect: Option<Summary>,
    /// The same of flashes.
    pub(crate) picture_effect: Option<Summary>,
    /// How fast two participants' beeps part.
    pub(crate) drift_between: Option<f64>,
    /// How fast sound and picture of a dry file part.
    pub(crate) drift_within: Option<f64>,
    /// How fast dry and wet sound part.
    pub(crate) drift_effect: Option<f64>,
    /// How fast two participants' beeps part for who counts samples.
    pub(crate) drift_counted: Option<f64>,
    /// Pictures of the dry files, and those that were sent meanwhile.
    pub(crate) pictures: (usize, usize),
}

/// How many different pictures a file has, and how many were sent between its first and its last.
pub(crate) fn pictures(numbers: impl IntoIterator<Item = Option<u16>>) -> (usize, usize) {
    let seen: BTreeSet<u16> = numbers.into_iter().flatten().collect();
    let sent =
        seen.first().zip(seen.last()).map_or(0, |(first, last)| usize::from(last - first) + 1);
    (seen.len(), sent)
}

/// Points of several comparisons, and the worst of their drifts.
#[derive(Default)]
struct Pool {
    differences: Vec<f64>,
    drift: Option<f64>,
}

impl Pool {
    fn add(&mut self, one: &Onsets, other: &Onsets) {
        let points = differences(one, other);
        self.differences.extend(points.iter().map(|(_, difference)| difference));
        let worst = [self.drift, drift(&points)].into_iter().flatten();
        self.drift = worst.max_by(|a, b| a.abs().total_cmp(&b.abs()));
    }

    fn summary(&self) -> Option<Summary> {
        Summary::of(self.differences.iter().copied())
    }
}

/// Sums a run up.
pub(crate) fn measure(recordings: &Recordings) -> Measures {
    let of = |side| recordings.iter().filter(move |((_, own), _)| *own == side);
    let dry: Vec<_> = of(Side::Dry).collect();
    let (mut sound, mut picture, mut counted) = <(Pool, Pool, Pool)>::default();
    for (place, (_, one)) in dry.iter().enumerate() {
        for (_, other) in &dry[place + 1..] {
            sound.add(&one.beeps, &other.beeps);
            picture.add(&one.flashes, &other.flashes);
            counted.add(&one.counted, &other.counted);
        }
    }
    let within = |side| {
        let mut pool = Pool::default();
        of(side).for_each(|(_, file)| pool.add(&file.beeps, &file.flashes));
        pool
    };
    let (mut sound_effect, mut picture_effect) = <(Pool, Pool)>::default();
    for ((user, _), dry) in &dry {
        if let Some(wet) = recordings.get(&(user.clone(), Side::Wet)) {
            sound_effect.add(&dry.beeps, &wet.beeps);
            picture_effect.add(&dry.flashes, &wet.flashes);
        }
    }
    let in_dry = within(Side::Dry);
    Measures {
        sound_between: sound.summary(),
        picture_between: picture.summary(),
        dry: in_dry.summary(),
        wet: within(Side::Wet).summary(),
        sound_effect: sound_effect.summary(),
        picture_effect: picture_effect.summary(),
        drift_between: sound.drift,
        drift_within: in_dry.drift,
        drift_effect: sound_effect.drift,
        drift_counted: counted.drift,
        pictures: dry.iter().fold((0, 0), |(recorded, sent), (_, file)| {
            (recorded + file.pictures.0, sent + file.pictures.1)
        }),
    }
}

/// Greatest distance between two participants that 95 % of events keep, and that half of them do
/// (ms); greatest between sound and picture (ms, 95 %); greatest drift (ms a minute). The goals of
/// recordings that a study can stand on.
const BETWEEN: f64 = 20.0;
const BETWEEN_HALF: f64 = 5.0;
const WITHIN: f64 = 20.0;
const DRIFT: f64 = 1.0;
/// In a shorter run what a file begins with is taken for drift, in seconds.
const LONG: u64 = 300;

impl Measures {
    /// Which goals a run of so many seconds misses; all of those that could not be measured, too.
    pub(crate) fn missed(&self, seconds: u64) -> Vec<String> {
        let p95 = |summary: Option<Summary>| summary.map(|summary| summary.p95);
        let half = |summary: Option<Summary>| summary.map(|summary| summary.distance);
        let mut goals = vec![
            ("sound between, p95", p95(self.sound_between), BETWEEN),
            ("sound between, median", half(self.sound_between), BETWEEN_HALF),
            ("picture between, p95", p95(self.picture_between), BETWEEN),
            ("picture between, median", half(self.picture_between), BETWEEN_HALF),
            ("dry picture against sound, p95", p95(self.dry), WITHIN),
        ];
        if self.wet.is_some() {
            goals.push(("wet picture against sound, p95", p95(self.wet), WITHIN));
        }
        if seconds >= LONG {
            goals.push(("drift between", self.drift_between, DRIFT));
            goals.push(("drift of picture against sound", self.drift_within, DRIFT));
        }
        let missed = |(name, value, goal): (&str, Option<f64>, f64)| match value {
            None => Some(format!("{name}: not measured")),
            Some(value) if value.abs() > goal => Some(format!("{name}: {value:.1}")),
            Some(_) => None,
        };
        goals.into_iter().filter_map(missed).collect()
    }
}

/// Every recording by itself, for who looks for a reason: where it lies against the times at which
/// the events were sent, and how fast it parts from them.
pub(crate) fn details(recordings: &Recordings, schedule: &[f64]) -> String {
    let sent: Onsets = schedule.iter().copied().enumerate().collect();
    let mut text = String::new();
    for ((user, side), file) in recordings {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{user}, {side:?}: pictures {:?}", file.pictures);
        for (what, onsets) in
            [("flashes", &file.flashes), ("beeps", &file.beeps), ("counted", &file.counted)]
        {
            let points = differences(&sent, onsets);
            let first = points.first().map_or(0.0, |(_, difference)| *difference);
            let moved = points.iter().map(|(_, difference)| difference - first);
            let (least, most) =
                moved.fold((0.0, 0.0), |(a, b): (f64, f64), d| (a.min(d), b.max(d)));
            let _ = writeln!(
                text,
                "  {what}: {}, the first is {:.1} ms off; later ones {:+.1} to {:+.1} ms; {:+.2} ms a minute",
                points.len(),
                first * 1e3,
                least * 1e3,
                most * 1e3,
                drift(&points).unwrap_or_default(),
            );
        }
        let within = differences(&file.beeps, &file.flashes);
        if let Some(Summary { median, p95, worst, .. }) = Summary::of(within.iter().map(|d| d.1)) {
            let _ = writeln!(
                text,
                "  picture − sound: {median:+.1} ms, p95 {p95:.1}, worst {worst:.1}"
            );
        }
    }
    text
}

/// Every event of every recording: user, side, what, number, when it was sent, when it is in the file.
pub(crate) fn points(recordings: &Recordings, schedule: &[f64]) -> String {
    let mut text = "user\tside\twhat\tevent\tsent\tfound\n".to_owned();
    for ((user, side), file) in recordings {
        for (what, onsets) in [("flash", &file.flashes), ("beep", &file.beeps)] {
            for (event, found) in onsets {
                let sent = schedule.get(*event).copied().unwrap_or_default();
                // Writing into a String cannot fail.
                let _ = writeln!(text, "{user}\t{side:?}\t{what}\t{event}\t{sent:.3}\t{found:.6}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Events a second apart, `late` ms after their time, and `drift` ms more each minute.
    fn onsets(late: f64, drift: f64) -> Onsets {
        (0..600).map(|n| (n, n as f64 + (late + drift * n as f64 / 60.0) / 1_000.0)).collect()
    }

    fn recording(beeps: Onsets, flashes: Onsets) -> Recording {
        Recording { counted: beeps.clone(), beeps, flashes, pictures: (90, 100) }
    }

    fn run(recordings: [(&str, Side, Recording); 4]) -> Recordings {
        recordings.into_iter().map(|(user, side, it)| ((user.to_owned(), side), it)).collect()
    }

    fn near(summary: Option<Summary>, median: f64) -> bool {
        summary.is_some_and(|summary| (summary.median - median).abs() < 1e-6)
    }

    #[test]
    fn offsets_that_are_known_come_out() {
        let run = run([
            ("ann", Side::Dry, recording(onsets(0.0, 0.0), onsets(3.0, 0.0))),
            ("ann", Side::Wet, recording(onsets(2.0, 0.0), onsets(23.0, 0.0))),
            ("bob", Side::Dry, recording(onsets(4.0, 0.0), onsets(7.0, 0.0))),
            ("bob", Side::Wet, recording(onsets(6.0, 0.0), onsets(27.0, 0.0))),
        ]);
        let measures = measure(&run);
        assert!(near(measures.sound_between, 4.0) && near(measures.picture_between, 4.0));
        assert!(near(measures.dry, 3.0) && near(measures.wet, 21.0));
        assert!(near(measures.sound_effect, 2.0) && near(measures.picture_effect, 20.0));
        assert_eq!(measures.sound_between.map(|summary| summary.count), Some(600));
        assert_eq!(measures.dry.map(|summary| summary.count), Some(1_200));
        assert_eq!(measures.pictures, (180, 200));
        assert_eq!(measures.missed(600), ["wet picture against sound, p95: 21.0"]);
    }

    #[test]
    fn drift_is_the_worst_pair_s_and_judged_in_long_runs() {
        let run = run([
            ("ann", Side::Dry, recording(onsets(0.0, 0.0), onsets(0.0, 0.0))),
            ("bob", Side::Dry, recording(onsets(0.0, 0.4), onsets(0.0, 0.4))),
            ("eve", Side::Dry, recording(onsets(0.0, -1.2), onsets(0.0, 0.2))),
            ("ann", Side::Wet, recording(onsets(0.0, 0.0), onsets(0.0, 0.0))),
        ]);
        let measures = measure(&run);
        let drift = |value: Option<f64>, is: f64| value.is_some_and(|v| (v - is).abs() < 1e-3);
        assert!(drift(measures.drift_between, -1.6), "{:?}", measures.drift_between);
        assert!(drift(measures.drift_within, 1.4), "{:?}", measures.drift_within);
        assert!(drift(measures.drift_effect, 0.0));
        let missed = measures.missed(600);
        assert!(missed.contains(&"drift between: -1.6".to_owned()), "{missed:?}");
        assert!(!measures.missed(60).iter().any(|goal| goal.starts_with("drift")));
    }

    #[test]
    fn nothing_measured_is_nothing_met() {
        assert_eq!(Measures::default().missed(600).len(), 7);
        assert_eq!(measure(&Recordings::new()), Measures::default());
        assert_eq!(pictures([]), (0, 0));
        assert_eq!(pictures([None, Some(3), Some(3), Some(6)]), (2, 4));
    }

    #[test]
    fn details_name_each_file() {
        let run = run([
            ("ann", Side::Dry, recording(onsets(5.0, 0.0), onsets(5.0, 6.0))),
            ("ann", Side::Wet, Recording::default()),
            ("bob", Side::Dry, Recording::default()),
            ("bob", Side::Wet, Recording::default()),
        ]);
        let schedule: Vec<f64> = (0..600).map(f64::from).collect();
        let points = points(&run, &schedule);
        assert_eq!(points.lines().count(), 1 + 2 * 600);
        assert!(points.contains("ann\tDry\tflash\t60\t60.000\t60.011000\n"), "{points}");
        let details = details(&run, &schedule);
        assert!(details.contains("ann, Dry"), "{details}");
        assert!(details.contains("beeps: 600, the first is 5.0 ms off"));
        assert!(details.contains("+6.00 ms a minute"), "{details}");
    }
}
