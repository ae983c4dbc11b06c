// SPDX-License-Identifier: MPL-2.0

//! Who does what when: the whole run is decided before it begins, by the options and a seed. Pure.
//!
//! A *seat* is one participant of one interaction, whatever it does in between. Its life:
//!
//! ```text
//! join ── settles ── (control …) ── leave | drop ── away ── join ── settles ── … until the server says end
//!                                └─ reload: closes and joins again at once
//! ```
//!
//! Nobody goes in the first seconds after joining nor in the last of the interaction, and nobody
//! controls while away, so that what fails is the server's doing and not the plan's.

use clap::ValueEnum;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Duration;

/// Participants of an interaction join within this time; ours: people who were sent the same link.
const JOIN_SPREAD: Duration = Duration::from_millis(500);
/// From a join to the first thing that a participant does. Ours: a call starts after one to two
/// seconds on a machine that is not overloaded.
const SETTLE: Duration = Duration::from_secs(4);
/// Who is away comes back after this long at least, …
const AWAY_MIN: Duration = Duration::from_secs(1);
/// … and this long at most. Ours: reloading a page by hand, or finding it again.
const AWAY_MAX: Duration = Duration::from_secs(4);
/// Nobody is away this long before the earliest end of the interaction, so that everyone is there
/// when it ends.
const CALM_END: Duration = Duration::from_secs(3);
/// Most steps of a plan: a minute of the largest load at the highest rate of controls. It bounds
/// memory (64 bytes a step).
const MAX_STEPS: f64 = 640_000.0;

/// How somebody goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChurnKind {
    /// Says `stop` and comes back after some seconds.
    Leave,
    /// Closes and joins again at once, as a reloaded page does.
    Reload,
    /// Is gone without a word and comes back after some seconds.
    Drop,
}

/// A property of an effect, and between which values it is moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    /// The effect's name.
    pub name: String,
    /// Its property.
    pub property: String,
    /// Smallest value sent.
    pub min: f64,
    /// Largest value sent.
    pub max: f64,
}

/// What a plan is made from.
#[derive(Debug, Clone)]
pub(crate) struct Wishes<'a> {
    pub(crate) interactions: usize,
    /// Of each interaction.
    pub(crate) participants: usize,
    /// Of each interaction, from its start.
    pub(crate) duration: Duration,
    /// From one interaction's beginning to the next one's.
    pub(crate) ramp_up: Duration,
    /// Goings per participant and minute.
    pub(crate) churn: f64,
    pub(crate) kinds: &'a [ChurnKind],
    /// Controls per participant and second.
    pub(crate) controls: f64,
    pub(crate) knobs: &'a [Knob],
    pub(crate) seed: u64,
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlanError {
    /// Controls, but nothing to move.
    #[error("--controls: nothing to move; name it with --control NAME.PROPERTY=MIN..MAX")]
    NoKnob,
    /// Something to move that never is.
    #[error("--control: never sent; say how often with --controls RATE")]
    NoRate,
    /// More than a run should hold.
    #[error("--controls: more than {MAX_STEPS} controls in all; shorten the run or lower the rate")]
    TooMany,
}

/// One participant of one interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// From 0.
    pub(crate) interaction: usize,
    /// From 0, within the interaction.
    pub(crate) user: usize,
}

/// What a seat does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Deed {
    /// Connects; again, when it was away.
    Join,
    /// See [`ChurnKind::Leave`].
    Leave,
    /// See [`ChurnKind::Reload`].
    Reload,
    /// See [`ChurnKind::Drop`].
    Drop,
    /// Moves a knob, by its place in [`Wishes::knobs`].
    Control {
        /// Which.
        knob: usize,
        /// To where.
        value: f64,
    },
}

/// A deed and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Since the run began.
    pub(crate) at: Duration,
    /// Place in [`Plan::seats`].
    pub(crate) seat: usize,
    /// What.
    pub(crate) deed: Deed,
}

/// The run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// All seats: the first interaction's, then the second's…
    pub(crate) seats: Vec<Seat>,
    /// All steps in the order of time.
    pub(crate) steps: Vec<Step>,
    /// When the last interaction should end, if nothing takes time.
    pub(crate) span: Duration,
}

impl Plan {
    /// Decides everything.
    ///
    /// # Errors
    /// When the wishes contradict each other or are too many.
    pub(crate) fn new(wishes: &Wishes<'_>) -> Result<Self, PlanError> {
        match (wishes.controls > 0.0, wishes.knobs.is_empty()) {
            (true, true) => return Err(PlanError::NoKnob),
            (false, false) => return Err(PlanError::NoRate),
            _ => {}
        }
        #[allow(clippy::cast_precision_loss)] // at most 512
        let people = (wishes.interactions * wishes.participants) as f64;
        if people * wishes.controls * wishes.duration.as_secs_f64() > MAX_STEPS {
            return Err(PlanError::TooMany);
        }
        let mut seats = Vec::new();
        let mut steps = Vec::new();
        let mut span = Duration::ZERO;
        for interaction in 0..wishes.interactions {
            #[allow(clippy::cast_possible_truncation)] // at most 64
            let begin = wishes.ramp_up * interaction as u32;
            for user in 0..wishes.participants {
                let seat = seats.len();
                seats.push(Seat { interaction, user });
                // A generator for each seat: more interactions leave the first ones as they were.
                let seed =
                    wishes.seed.wrapping_add((seat as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
                life(wishes, seat, begin, &mut StdRng::seed_from_u64(seed), &mut steps);
            }
            span = begin + JOIN_SPREAD + wishes.duration;
        }
        steps.sort_by_key(|step| step.at);
        Ok(Self { seats, steps, span })
    }

    /// The seats whose media this seat receives: the others of its interaction, or its own in a
    /// mirror.
    pub(crate) fn heard_by(&self, seat: usize) -> Vec<usize> {
        let interaction = self.seats[seat].interaction;
        let all =
            (0..self.seats.len()).filter(|other| self.seats[*other].interaction == interaction);
        let others: Vec<usize> = all.filter(|other| *other != seat).collect();
        if others.is_empty() { vec![seat] } else { others }
    }
}

/// All steps of one seat.
fn life(
    wishes: &Wishes<'_>,
    seat: usize,
    begin: Duration,
    random: &mut StdRng,
    steps: &mut Vec<Step>,
) {
    let join = begin + JOIN_SPREAD.mul_f64(random.random());
    steps.push(Step { at: join, seat, deed: Deed::Join });
    // The start is later than the last join, so the interaction lasts longer than this.
    let end = (begin + wishes.duration).saturating_sub(CALM_END);
    let mut here = join;
    loop {
        let settled = here + SETTLE;
        let going = settled + pause(wishes.churn / 60.0, random);
        let kind = match wishes.kinds {
            [] => None,
            kinds => Some(kinds[random.random_range(0..kinds.len())]),
        };
        let away = match kind {
            Some(ChurnKind::Reload) => Duration::ZERO,
            _ => AWAY_MIN + (AWAY_MAX - AWAY_MIN).mul_f64(random.random()),
        };
        let goes = kind.filter(|_| going.saturating_add(away) < end);
        control(wishes, seat, settled..goes.map_or(end, |_| going), random, steps);
        let Some(kind) = goes else {
            return;
        };
        here = going + away;
        match kind {
            ChurnKind::Reload => steps.push(Step { at: going, seat, deed: Deed::Reload }),
            ChurnKind::Leave | ChurnKind::Drop => {
                let deed = if kind == ChurnKind::Leave { Deed::Leave } else { Deed::Drop };
                steps.push(Step { at: going, seat, deed });
                steps.push(Step { at: here, seat, deed: Deed::Join });
            }
        }
    }
}

/// The controls of one seat in a time when it is there.
fn control(
    wishes: &Wishes<'_>,
    seat: usize,
    time: std::ops::Range<Duration>,
    random: &mut StdRng,
    steps: &mut Vec<Step>,
) {
    let mut at = time.start;
    loop {
        at = at.saturating_add(pause(wishes.controls, random));
        if at >= time.end {
            return;
        }
        let knob = random.random_range(0..wishes.knobs.len());
        let Knob { min, max, .. } = wishes.knobs[knob];
        let value = min + (max - min) * random.random::<f64>();
        steps.push(Step { at, seat, deed: Deed::Control { knob, value } });
    }
}

/// Until the next of events that come at random `rate` times a second.
fn pause(rate: f64, random: &mut StdRng) -> Duration {
    let share: f64 = random.random();
    let seconds = -(1.0 - share).ln() / rate;
    // Rate 0: never.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const ALL: &[ChurnKind] = &[ChurnKind::Leave, ChurnKind::Reload, ChurnKind::Drop];

    fn wishes() -> Wishes<'static> {
        Wishes {
            interactions: 1,
            participants: 2,
            duration: Duration::from_secs(60),
            ramp_up: Duration::from_secs(2),
            churn: 0.0,
            kinds: ALL,
            controls: 0.0,
            knobs: &[],
            seed: 7,
        }
    }

    fn knob(min: f64, max: f64) -> Knob {
        Knob { name: "voice".into(), property: "pitch".into(), min, max }
    }

    fn count(plan: &Plan, wanted: fn(&Deed) -> bool) -> usize {
        plan.steps.iter().filter(|step| wanted(&step.deed)).count()
    }

    #[test]
    fn interactions_begin_one_after_the_other_and_their_people_together() {
        let plan = Plan::new(&Wishes { interactions: 3, ..wishes() }).unwrap();
        assert_eq!(plan.seats.len(), 6);
        assert_eq!(plan.seats[3], Seat { interaction: 1, user: 1 });
        assert_eq!(plan.steps.len(), 6);
        for step in &plan.steps {
            assert_eq!(step.deed, Deed::Join);
            let begin =
                Duration::from_secs(2) * u32::try_from(plan.seats[step.seat].interaction).unwrap();
            assert!(step.at >= begin && step.at <= begin + JOIN_SPREAD, "{step:?}");
        }
        assert_eq!(plan.span, Duration::from_millis(64_500));
    }

    #[test]
    fn the_same_seed_is_the_same_run_and_another_one_is_not() {
        let knobs = [knob(0.5, 2.0)];
        let wishes = Wishes { churn: 6.0, controls: 1.0, knobs: &knobs, ..wishes() };
        let plan = Plan::new(&wishes).unwrap();
        assert_eq!(Plan::new(&wishes).unwrap(), plan);
        assert_ne!(Plan::new(&Wishes { seed: 8, ..wishes.clone() }).unwrap(), plan);
        let more = Plan::new(&Wishes { interactions: 2, ..wishes }).unwrap();
        let first: Vec<Step> = more.steps.into_iter().filter(|step| step.seat < 2).collect();
        assert_eq!(first, plan.steps, "a larger load begins with the smaller one");
    }

    #[test]
    fn rates_are_kept() {
        let knobs = [knob(0.5, 2.0), knob(-1.0, -1.0)];
        let long = Wishes { duration: Duration::from_secs(1200), participants: 8, ..wishes() };
        let plan = Plan::new(&Wishes { controls: 2.0, knobs: &knobs, ..long.clone() }).unwrap();
        let controls = count(&plan, |deed| matches!(deed, Deed::Control { .. }));
        assert!((18_000..20_000).contains(&controls), "{controls} of some 19 100");
        for step in &plan.steps {
            match step.deed {
                Deed::Control { knob: 0, value } => assert!((0.5..=2.0).contains(&value)),
                Deed::Control { value, .. } => assert_eq!(value, -1.0),
                _ => {}
            }
        }
        let plan = Plan::new(&Wishes { churn: 3.0, ..long }).unwrap();
        let reloads = count(&plan, |deed| *deed == Deed::Reload);
        let leaves = count(&plan, |deed| *deed == Deed::Leave);
        let drops = count(&plan, |deed| *deed == Deed::Drop);
        // Every 20 s, besides settling and being away: 8 × 1200 / 25.7.
        let all = reloads + leaves + drops;
        assert!((300..450).contains(&all), "{all}");
        assert!(reloads.min(leaves).min(drops) > 80, "{reloads} {leaves} {drops}");
        assert_eq!(count(&plan, |deed| *deed == Deed::Join), 8 + leaves + drops);
    }

    #[test]
    fn wishes_that_make_no_sense_are_refused() {
        let knobs = [knob(0.0, 1.0)];
        let refused = |wishes: &Wishes<'_>| Plan::new(wishes).unwrap_err();
        assert_eq!(refused(&Wishes { controls: 1.0, ..wishes() }), PlanError::NoKnob);
        assert_eq!(refused(&Wishes { knobs: &knobs, ..wishes() }), PlanError::NoRate);
        let many = Wishes {
            interactions: 64,
            participants: 8,
            duration: Duration::from_secs(1200),
            controls: 20.0,
            knobs: &knobs,
            ..wishes()
        };
        assert_eq!(refused(&many), PlanError::TooMany);
    }

    #[test]
    fn one_hears_the_others_and_a_mirror_hears_itself() {
        let plan = Plan::new(&Wishes { interactions: 2, participants: 3, ..wishes() }).unwrap();
        assert_eq!(plan.heard_by(4), [3, 5]);
        let mirrors = Plan::new(&Wishes { interactions: 2, participants: 1, ..wishes() }).unwrap();
        assert_eq!(mirrors.heard_by(1), [1]);
    }

    proptest! {
        #[test]
        fn nobody_acts_while_away_and_everybody_is_there_at_the_end(
            seed: u64, churn in 0.0..30.0, controls in 0.1..5.0, duration in 1u64..120,
        ) {
            let knobs = [knob(0.0, 1.0)];
            let duration = Duration::from_secs(duration);
            let wishes = Wishes { seed, churn, controls, knobs: &knobs, duration, ..wishes() };
            let plan = Plan::new(&wishes).unwrap();
            for seat in 0..plan.seats.len() {
                let mut here: Option<Duration> = None;
                for step in plan.steps.iter().filter(|step| step.seat == seat) {
                    let since = |join: Option<Duration>| join.map(|join| step.at - join);
                    match step.deed {
                        Deed::Join => {
                            prop_assert_eq!(here, None);
                            here = Some(step.at);
                        }
                        Deed::Leave | Deed::Drop => {
                            prop_assert!(since(here).unwrap() >= SETTLE);
                            here = None;
                        }
                        Deed::Reload => {
                            prop_assert!(since(here).unwrap() >= SETTLE);
                            here = Some(step.at);
                        }
                        Deed::Control { .. } => prop_assert!(since(here).unwrap() >= SETTLE),
                    }
                }
                prop_assert!(here.unwrap() < duration.max(JOIN_SPREAD));
            }
        }
    }
}
