// SPDX-License-Identifier: MPL-2.0

//! Which commands are due, which ramps are on their way, and where a buffer must be cut. Pure:
//! times are running times in ns, given by the caller.
//!
//! `K` is a property, `V` a value that fits it. There is one move for each property: a new one
//! ends the one before it.

use super::ramp::{Ramp, Shape};
use std::collections::VecDeque;

/// How often, at most, a ramp tells the value it has reached, in ns (besides its first and last).
/// Ours: fine enough to draw it, few enough for the bus.
pub(super) const REPORT_PERIOD: u64 = 100_000_000;

/// A property is to reach a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command<K, V> {
    /// Ties the messages about one command together.
    pub(super) id: u64,
    /// The property.
    pub(super) key: K,
    /// The value at the end, exactly.
    pub(super) end: V,
    /// The same as a number, when the type has a way between two values.
    pub(super) number: Option<f64>,
    /// How long the way takes.
    pub(super) duration: u64,
    /// The way.
    pub(super) shape: Shape,
}

/// What [`Schedule::step`] asks to be set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change<K, V> {
    /// The command behind it.
    pub(super) id: u64,
    /// The property.
    pub(super) key: K,
    /// A value of the property's type: the command's end.
    pub(super) end: V,
    /// The place on the way there; nothing at the end.
    pub(super) on_the_way: Option<f64>,
    /// Whether this change is to be told.
    pub(super) report: bool,
}

/// A move that another one ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interrupted<K, V> {
    /// The command behind it.
    pub(super) command: Command<K, V>,
    /// What it had reached.
    pub(super) reached: f64,
    /// Whether it was at its end just then.
    pub(super) complete: bool,
}

#[derive(Debug, Clone)]
struct Move<K, V> {
    command: Command<K, V>,
    ramp: Ramp,
    next_report: u64,
}

/// The commands of one effect.
#[derive(Debug, Clone)]
pub(super) struct Schedule<K, V> {
    timeline: Vec<(u64, Command<K, V>)>,
    next: usize,
    moves: Vec<Move<K, V>>,
}

impl<K, V> Default for Schedule<K, V> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<K, V> Schedule<K, V> {
    /// A schedule whose `timeline` is in order of time.
    pub(super) fn new(timeline: Vec<(u64, Command<K, V>)>) -> Self {
        Self { timeline, next: 0, moves: Vec::new() }
    }

    /// Running time begins anew: so does the timeline, and what is on its way stops where it is.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
        self.moves.clear();
    }

    /// Whether nothing is on its way and nothing is left to come.
    pub(super) fn is_idle(&self) -> bool {
        self.moves.is_empty() && self.next == self.timeline.len()
    }

    /// Where to cut a buffer that spans from `now` to `end`: the start of the next slice.
    pub(super) fn cut(&self, now: u64, end: u64, period: u64) -> u64 {
        let due = self.timeline.get(self.next).map(|(time, _)| *time);
        let ends = self.moves.iter().map(|on_way| on_way.ramp.end());
        let slice = (!self.moves.is_empty()).then(|| now.saturating_add(period.max(1)));
        due.into_iter().chain(ends).chain(slice).filter(|cut| *cut > now).fold(end, u64::min)
    }
}

impl<K: PartialEq + Clone, V: Clone> Schedule<K, V> {
    /// The next command of the timeline that is due, with its time.
    pub(super) fn due(&mut self, now: u64) -> Option<(u64, Command<K, V>)> {
        let (time, command) = self.timeline.get(self.next)?;
        if *time > now {
            return None;
        }
        self.next += 1;
        Some((*time, command.clone()))
    }

    /// What the move of `key`, if there is one, has reached at `now`.
    pub(super) fn reached(&self, key: &K, now: u64) -> Option<f64> {
        let on_way = self.moves.iter().find(|on_way| on_way.command.key == *key)?;
        Some(on_way.ramp.value_at(now))
    }

    /// Starts a command at `at`, from the number `from` where there is a way to go. Gives back the
    /// move that it interrupts.
    pub(super) fn begin(
        &mut self,
        command: Command<K, V>,
        from: Option<f64>,
        at: u64,
    ) -> Option<Interrupted<K, V>> {
        let place = self.moves.iter().position(|on_way| on_way.command.key == command.key);
        let interrupted = place.map(|place| {
            let on_way = self.moves.remove(place);
            Interrupted {
                reached: on_way.ramp.value_at(at),
                complete: at >= on_way.ramp.end(),
                command: on_way.command,
            }
        });
        let ramp = match (from, command.number) {
            (Some(from), Some(to)) => {
                Ramp { start: at, duration: command.duration, from, to, shape: command.shape }
            }
            _ => Ramp { start: at, duration: 0, from: 0.0, to: 0.0, shape: Shape::Step },
        };
        self.moves.push(Move { command, ramp, next_report: 0 });
        interrupted
    }

    /// All that is to be set at `now`, in the order in which it began. A change that is not
    /// `on_the_way` is the last of its command.
    pub(super) fn step(&mut self, now: u64) -> Vec<Change<K, V>> {
        let mut changes = Vec::with_capacity(self.moves.len());
        self.moves.retain_mut(|on_way| {
            let over = now >= on_way.ramp.end();
            let report = over || now >= on_way.next_report;
            if report {
                on_way.next_report = now.saturating_add(REPORT_PERIOD);
            }
            changes.push(Change {
                id: on_way.command.id,
                key: on_way.command.key.clone(),
                end: on_way.command.end.clone(),
                on_the_way: (!over).then(|| on_way.ramp.value_at(now)),
                report,
            });
            !over
        });
        changes
    }
}

/// Commands that wait for the next buffer. They would all start at its time, so a command that
/// another one of the same property follows is left out, unless it is a step and a ramp goes on
/// from it: at most two wait for each property, however long no media comes.
#[derive(Debug)]
pub(super) struct Waiting<K, V> {
    commands: VecDeque<Command<K, V>>,
}

impl<K, V> Default for Waiting<K, V> {
    fn default() -> Self {
        Self { commands: VecDeque::new() }
    }
}

impl<K: PartialEq, V> Waiting<K, V> {
    /// Adds a command.
    pub(super) fn push(&mut self, command: Command<K, V>) {
        let is_step = |command: &Command<K, V>| {
            command.duration == 0 || command.number.is_none() || command.shape == Shape::Step
        };
        let ramp = !is_step(&command);
        self.commands.retain(|earlier| earlier.key != command.key || (ramp && is_step(earlier)));
        self.commands.push_back(command);
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Command<K, V>> {
        self.commands.pop_front()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    type Plan = Schedule<&'static str, f64>;

    fn command(id: u64, key: &'static str, end: f64, ms: u64) -> Command<&'static str, f64> {
        Command { id, key, end, number: Some(end), duration: ms * MS, shape: Shape::Linear }
    }

    fn values(plan: &mut Plan, ms: u64) -> Vec<(u64, Option<f64>)> {
        let changes = plan.step(ms * MS);
        changes.into_iter().map(|change| (change.id, change.on_the_way)).collect()
    }

    #[test]
    fn a_ramp_goes_its_way_and_ends_on_its_exact_value() {
        let mut plan = Plan::default();
        assert_eq!(plan.begin(command(1, "a", 1.0, 100), Some(0.0), 50 * MS), None);
        assert_eq!(values(&mut plan, 50), [(1, Some(0.0))]);
        assert_eq!(values(&mut plan, 75), [(1, Some(0.25))]);
        assert_eq!(values(&mut plan, 150), [(1, None)]);
        assert_eq!(values(&mut plan, 200), []);
        assert!(plan.is_idle());
    }

    #[test]
    fn interrupting_goes_on_from_the_value_reached() {
        let mut plan = Plan::default();
        plan.begin(command(1, "a", 1.0, 100), Some(0.0), 0);
        plan.begin(command(2, "b", 1.0, 100), Some(0.0), 0);
        let reached = plan.reached(&"a", 40 * MS);
        assert_eq!(reached, Some(0.4));
        let interrupted = plan.begin(command(3, "a", 0.0, 100), reached, 40 * MS).unwrap();
        assert_eq!((interrupted.command.id, interrupted.reached), (1, 0.4));
        assert_eq!(values(&mut plan, 40), [(2, Some(0.4)), (3, Some(0.4))]);
        assert_eq!(values(&mut plan, 140), [(2, None), (3, None)]);
        assert_eq!(plan.reached(&"a", 141 * MS), None);
    }

    #[test]
    fn a_value_without_a_way_is_set_at_once() {
        let mut plan = Plan::default();
        let mut boolean = command(1, "mute", 1.0, 100);
        boolean.number = None;
        plan.begin(boolean, None, 10 * MS);
        assert_eq!(values(&mut plan, 10), [(1, None)]);
    }

    #[test]
    fn a_buffer_is_cut_only_where_something_happens() {
        let mut plan = Plan::new(vec![(12 * MS, command(1, "a", 1.0, 9))]);
        assert_eq!(plan.cut(0, 20 * MS, 5 * MS), 12 * MS);
        assert_eq!(plan.cut(0, 10 * MS, 5 * MS), 10 * MS);
        assert_eq!(plan.due(11 * MS), None);
        let (at, due) = plan.due(12 * MS).unwrap();
        plan.begin(due, Some(0.0), at);
        assert_eq!(plan.cut(12 * MS, 40 * MS, 5 * MS), 17 * MS);
        assert_eq!(plan.cut(17 * MS, 40 * MS, 5 * MS), 21 * MS, "the end of the ramp");
        plan.step(21 * MS);
        assert_eq!(plan.cut(21 * MS, 40 * MS, 5 * MS), 40 * MS);
    }

    #[test]
    fn a_command_that_was_due_earlier_starts_at_its_own_time() {
        let mut plan = Plan::new(vec![(10 * MS, command(1, "a", 1.0, 100))]);
        let (at, due) = plan.due(60 * MS).unwrap();
        plan.begin(due, Some(0.0), at);
        assert_eq!(values(&mut plan, 60), [(1, Some(0.5))]);
        plan.rewind();
        assert!(!plan.is_idle());
        assert_eq!(values(&mut plan, 60), []);
    }

    #[test]
    fn a_ramp_tells_its_first_and_last_value_and_one_each_period() {
        let mut plan = Plan::default();
        plan.begin(command(1, "a", 1.0, 250), Some(0.0), 0);
        let told: Vec<_> = (0..=250)
            .step_by(5)
            .filter(|ms| plan.step(ms * MS).iter().any(|change| change.report))
            .collect();
        assert_eq!(told, [0, 100, 200, 250]);
    }

    #[test]
    fn at_most_a_step_and_a_ramp_wait_for_one_property() {
        let mut waiting = Waiting::default();
        for id in 0..1000 {
            waiting.push(command(id, "a", 1.0, 0));
            waiting.push(command(id, "b", 1.0, 5));
        }
        waiting.push(command(1000, "a", 1.0, 5));
        waiting.push(command(1001, "b", 1.0, 0));
        let left: Vec<_> = std::iter::from_fn(|| waiting.pop()).map(|c| (c.id, c.key)).collect();
        assert_eq!(left, [(999, "a"), (1000, "a"), (1001, "b")]);
    }

    proptest! {
        #[test]
        fn a_cut_always_moves_on_and_never_past_the_end(
            commands in prop::collection::vec((0u64..100, 0u64..50), 0..8), period in 0u64..20
        ) {
            let mut timeline: Vec<_> = commands
                .iter()
                .enumerate()
                .map(|(id, (at, ms))| (at * MS, command(id as u64, ["a", "b"][id % 2], 1.0, *ms)))
                .collect();
            timeline.sort_by_key(|(at, _)| *at);
            let mut plan = Plan::new(timeline);
            let (mut now, end) = (0, 200 * MS);
            while now < end {
                while let Some((at, due)) = plan.due(now) {
                    let from = plan.reached(&due.key, at).or(Some(0.0));
                    plan.begin(due, from, at);
                }
                plan.step(now);
                let cut = plan.cut(now, end, period * MS);
                prop_assert!(cut > now && cut <= end);
                now = if period == 0 { (now + MS).min(end) } else { cut };
            }
            plan.step(end);
            prop_assert!(plan.is_idle());
        }
    }
}
