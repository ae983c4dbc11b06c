// SPDX-License-Identifier: MPL-2.0

//! What is measured of the live path, what it is to be, and whether it is. Pure.

use super::account::median;
use std::collections::BTreeMap;
use std::fmt;

/// A figure of a run. Times are in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Server residence of pictures.
    Picture(Place),
    /// p99 − p50 of it.
    PictureSpread,
    /// The same of sound.
    Sound(Place),
    SoundSpread,
    /// The largest change of the residence from before a command to after it: of the median in half a second of
    /// pictures, of the mean in 1.12 s of sound.
    PictureStep,
    SoundStep,
    /// How much later pictures are played than sound, against when they were taken: the middle.
    Skew,
    /// Pictures that went out of those that came in.
    Shown,
    /// How irregularly pictures leave: 95 % of the intervals are less than this from their own.
    Jitter,
    /// From a command to the picture, the sound, with which its effect leaves.
    CommandSeen(Place),
    CommandHeard(Place),
    /// How often the picture stands still.
    Freezes,
    /// How often it would with a fixed buffer of 150 ms.
    FreezesBuffered,
}

/// Where among all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    P50,
    P95,
    P99,
}

impl Place {
    pub(crate) const ALL: [Self; 3] = [Self::P50, Self::P95, Self::P99];

    /// As a share.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
            Self::P99 => "p99",
        })
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picture(place) => write!(to, "picture in the server, {place}, ms"),
            Self::PictureSpread => write!(to, "picture, p99 − p50, ms"),
            Self::Sound(place) => write!(to, "sound in the server, {place}, ms"),
            Self::SoundSpread => write!(to, "sound, p99 − p50, ms"),
            Self::PictureStep => write!(to, "picture, largest step at a command, ms"),
            Self::SoundStep => write!(to, "sound, largest step at a command, ms"),
            Self::Skew => write!(to, "picture after sound as played, ms"),
            Self::Shown => write!(to, "pictures shown of those sent"),
            Self::Jitter => write!(to, "irregularity of pictures, p95, ms"),
            Self::CommandSeen(place) => write!(to, "command to picture, {place}, ms"),
            Self::CommandHeard(place) => write!(to, "command to sound, {place}, ms"),
            Self::Freezes => write!(to, "freezes"),
            Self::FreezesBuffered => write!(to, "freezes with a fixed buffer of 150 ms"),
        }
    }
}

/// All figures of one run.
pub(crate) type Figures = BTreeMap<Measure, f64>;

/// What a call is measured under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Effects that change nothing, on a good network.
    Clean,
    /// Effects that do something.
    Effects,
    /// 2 % loss and 30 ms jitter.
    Loss,
}

/// What else goals depend on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Circumstances {
    pub(crate) kind: Kind,
    /// Duration of a frame, ms.
    pub(crate) frame: f64,
}

/// A goal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most,
            Self::AtLeast(least) => figure >= least,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(to, "≤ {}", short(*most)),
            Self::AtLeast(least) => write!(to, "≥ {}", short(*least)),
        }
    }
}

/// Length of a packet of sound, ms.
const PACKET: f64 = 20.0;
/// What a command may take besides the wait for the next frame or packet, ms.
const COMMAND: f64 = 25.0;
/// What sound may take, and what it takes in the floor without an effect, ms: the difference is what
/// the server may add to a floor whose effect keeps sound back.
const SOUND: f64 = 17.0;
const SOUND_FLOOR: f64 = 7.0;
/// How much of p99 may lie above p50, ms.
const SPREAD: f64 = 3.0;

/// What a measure is to be; `floor` and `own` are the other figures of the same rounds.
pub(crate) fn goal(
    measure: Measure,
    at: Circumstances,
    floor: &Figures,
    own: &Figures,
) -> Option<Goal> {
    use Measure as M;
    let ground = |measure| floor.get(&measure).copied();
    let picture = floor.get(&M::Picture(Place::P95)).map(|floor| floor + at.frame);
    match (measure, at.kind) {
        (M::Picture(Place::P95), Kind::Clean) => Some(Goal::AtMost(8.0)),
        (M::Picture(Place::P95), Kind::Effects) => picture.map(Goal::AtMost),
        (M::Picture(Place::P95), Kind::Loss) => Some(Goal::AtMost(70.0)),
        (M::Sound(Place::P95), Kind::Loss) => Some(Goal::AtMost(70.0)),
        (M::Sound(Place::P95), Kind::Clean) => Some(Goal::AtMost(SOUND)),
        (M::Sound(Place::P95), Kind::Effects) => {
            ground(measure).map(|floor| Goal::AtMost(SOUND - SOUND_FLOOR + floor))
        }
        (M::Freezes, Kind::Loss) => own.get(&M::FreezesBuffered).copied().map(Goal::AtMost),
        (_, Kind::Loss) => None,
        (M::SoundSpread, Kind::Effects) => {
            ground(measure).map(|floor| Goal::AtMost(SPREAD + floor))
        }
        (M::PictureSpread | M::SoundSpread, _) => Some(Goal::AtMost(SPREAD)),
        (M::PictureStep | M::SoundStep, _) => Some(Goal::AtMost(5.0)),
        (M::Skew, _) => Some(Goal::AtMost(5.0)),
        (M::Shown, _) => Some(Goal::AtLeast(0.995)),
        (M::CommandSeen(Place::P95), _) => Some(Goal::AtMost(COMMAND + at.frame)),
        (M::CommandHeard(Place::P95), _) => Some(Goal::AtMost(COMMAND + PACKET)),
        _ => None,
    }
}

/// What is in the columns of [`rows`].
pub(crate) const HEAD: &[&str] = &[
    "measure",
    "goal",
    "server: median of rounds [least, most]",
    "floor",
    "server / floor",
    "verdict",
];

/// A table of what was measured, and whether all goals are met. The median round is what a goal is
/// held against.
pub(crate) fn rows(
    at: Circumstances,
    server: &[Figures],
    floor: &[Figures],
) -> (Vec<Vec<String>>, bool) {
    let middles = |rounds: &[Figures]| -> Figures {
        let mut all: BTreeMap<Measure, Vec<f64>> = BTreeMap::new();
        for (measure, value) in rounds.iter().flatten() {
            all.entry(*measure).or_default().push(*value);
        }
        all.into_iter().filter_map(|(measure, values)| Some((measure, median(&values)?))).collect()
    };
    let (own, ground) = (middles(server), middles(floor));
    let mut met = true;
    let row = |(measure, value): (&Measure, &f64)| {
        let goal = goal(*measure, at, &ground, &own);
        let rounds = server.iter().filter_map(|figures| figures.get(measure));
        let (least, most) =
            rounds.fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(*value), b.max(*value)));
        let floor = ground.get(measure);
        let figure = if *measure == Measure::Skew { value.abs() } else { *value };
        let verdict = match goal.map(|goal| goal.is_met(figure)) {
            None => "",
            Some(true) => "met",
            Some(false) => {
                met = false;
                "**missed**"
            }
        };
        vec![
            measure.to_string(),
            goal.map_or(String::new(), |goal| goal.to_string()),
            format!("{} [{}, {}]", short(*value), short(least), short(most)),
            floor.map_or(String::new(), |floor| short(*floor)),
            floor
                .filter(|floor| **floor > 0.0)
                .map_or(String::new(), |floor| format!("{:.2}", value / floor)),
            verdict.to_owned(),
        ]
    };
    let rows = own.iter().map(row).collect();
    (rows, met)
}

/// Enough digits, and no more.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        small if small < 1.0 => 3,
        small if small < 10.0 => 2,
        _ => 1,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(kind: Kind) -> Circumstances {
        Circumstances { kind, frame: 38.5 }
    }

    #[test]
    fn each_kind_of_call_has_its_own_goals() {
        use Measure as M;
        let (p95, none) = (Place::P95, Figures::new());
        let floor =
            Figures::from([(M::Picture(p95), 4.0), (M::Sound(p95), 40.0), (M::SoundSpread, 20.0)]);
        let own = Figures::from([(M::FreezesBuffered, 3.0)]);
        for (measure, kind, expected) in [
            (M::Picture(p95), Kind::Clean, Some(Goal::AtMost(8.0))),
            (M::Picture(p95), Kind::Effects, Some(Goal::AtMost(42.5))),
            (M::Picture(p95), Kind::Loss, Some(Goal::AtMost(70.0))),
            (M::Picture(Place::P50), Kind::Clean, None),
            (M::Sound(p95), Kind::Clean, Some(Goal::AtMost(17.0))),
            (M::Sound(p95), Kind::Effects, Some(Goal::AtMost(50.0))),
            (M::SoundSpread, Kind::Effects, Some(Goal::AtMost(23.0))),
            (M::SoundSpread, Kind::Clean, Some(Goal::AtMost(3.0))),
            (M::Sound(p95), Kind::Loss, Some(Goal::AtMost(70.0))),
            (M::PictureSpread, Kind::Clean, Some(Goal::AtMost(3.0))),
            (M::SoundSpread, Kind::Loss, None),
            (M::SoundStep, Kind::Effects, Some(Goal::AtMost(5.0))),
            (M::Skew, Kind::Clean, Some(Goal::AtMost(5.0))),
            (M::Shown, Kind::Clean, Some(Goal::AtLeast(0.995))),
            (M::CommandSeen(p95), Kind::Effects, Some(Goal::AtMost(63.5))),
            (M::CommandHeard(p95), Kind::Effects, Some(Goal::AtMost(45.0))),
            (M::Freezes, Kind::Loss, Some(Goal::AtMost(3.0))),
            (M::Freezes, Kind::Clean, None),
            (M::Jitter, Kind::Clean, None),
        ] {
            assert_eq!(goal(measure, at(kind), &floor, &own), expected, "{measure} {kind:?}");
        }
        assert_eq!(goal(M::Picture(p95), at(Kind::Effects), &none, &none), None, "no floor");
    }

    #[test]
    fn the_median_round_stands_beside_its_goal_and_its_floor() {
        let measure = Measure::Picture(Place::P95);
        let round = |value: f64| Figures::from([(measure, value), (Measure::Skew, -value)]);
        let server = [round(9.0), round(7.5), round(6.0)];
        let (rows, met) = self::rows(at(Kind::Clean), &server, &[round(5.0)]);
        let expected = ["≤ 8.00", "7.50 [6.00, 9.00]", "5.00", "1.50", "met"];
        assert_eq!(rows[0][1..], expected);
        assert_eq!(rows[1][5], "**missed**", "either way");
        assert!(!met);
        assert!(rows.iter().all(|row| row.len() == HEAD.len()));
    }
}
