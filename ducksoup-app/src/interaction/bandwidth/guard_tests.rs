// SPDX-License-Identifier: MPL-2.0

use super::*;
use proptest::prelude::*;

/// Everything at once: what most of these are about comes later.
const BOUNDS: Bounds = Bounds { min: 32_000, enough: 182_000, start: 1_864_000, max: 1_864_000 };
/// The browser's clock began elsewhere.
const APART: i64 = 77 * SECOND;
/// Bytes of a packet.
const SIZE: u32 = 1000;

/// A connection in front of a browser that gives feedback ten times a second, and what is sent there.
struct Line {
    guard: Guard,
    now: i64,
    /// How long its queue is, in ns.
    queue: i64,
    /// Everything is longer on its way than before, in ns.
    late: i64,
    numbers: u32,
    /// What the browser has not told of, and when it told last.
    untold: Vec<Seen>,
    told: i64,
}

/// What a connection does.
#[derive(Clone, Copy)]
struct Weather {
    /// bit/s.
    capacity: i64,
    /// One of so many packets is lost.
    one_lost_of: u32,
    /// ns that packets come late in turns.
    jitter: i64,
}

const FAIR: Weather = Weather { capacity: 100_000_000, one_lost_of: u32::MAX, jitter: 0 };

impl Line {
    fn new() -> Self {
        Self::with(BOUNDS)
    }

    fn with(bounds: Bounds) -> Self {
        Self {
            guard: Guard::new(bounds),
            now: SECOND,
            queue: 0,
            late: 0,
            numbers: 0,
            untold: Vec::new(),
            told: SECOND,
        }
    }

    /// Sends so many bit/s for so many ms, with `gcc` as the element's estimate; what is held then.
    fn send(&mut self, bitrate: i64, ms: i64, weather: Weather, gcc: impl Fn(u32) -> u32) -> u32 {
        let gap = i64::from(SIZE) * 8 * SECOND / bitrate;
        let takes = i64::from(SIZE) * 8 * SECOND / weather.capacity;
        let end = self.now + ms * MILLISECOND;
        while self.now < end {
            self.numbers += 1;
            let lost = self.numbers.is_multiple_of(weather.one_lost_of);
            self.queue = (self.queue - gap).max(0) + takes;
            let jitter = weather.jitter * i64::from(self.numbers / 3 % 4) / 3;
            let way = 20 * MILLISECOND + self.queue + jitter + self.late;
            let arrival = (!lost).then_some(self.now + way + APART);
            self.untold.push(Seen { departure: self.now, arrival, size: SIZE });
            self.now += gap;
            if self.now - self.told >= 100 * MILLISECOND {
                self.guard.hear(&self.untold, gcc(self.guard.held));
                self.untold.clear();
                self.told = self.now;
            }
        }
        self.guard.held
    }

    /// As [`Self::send`], what is held at the time, a tenth more for what an encoder overshoots; sound alone where
    /// there is not enough for pictures. The longest queue of each second, in ms.
    fn follow(&mut self, seconds: usize, weather: Weather) -> Vec<i64> {
        let mut longest = vec![0; seconds];
        for tenth in 0..10 * seconds {
            let held = i64::from(self.guard.held);
            let bitrate = if self.guard.held < BOUNDS.enough { 50_000 } else { held * 11 / 10 };
            self.send(bitrate.min(1_800_000), 100, weather, |held| held);
            let second = &mut longest[tenth / 10];
            *second = self.queue.div_euclid(MILLISECOND).max(*second);
        }
        longest
    }
}

/// An estimator that says so.
fn says(bitrate: u32) -> impl Fn(u32) -> u32 {
    move |_| bitrate
}

#[test]
fn on_a_good_connection_everything_is_possible_from_the_beginning() {
    let mut line = Line::new();
    assert_eq!(line.guard.held, BOUNDS.max);
    assert_eq!(line.send(800_000, 500, FAIR, |held| held), BOUNDS.max);
}

#[test]
fn a_still_picture_lowers_nothing_whatever_the_estimator_says() {
    let mut line = Line::new();
    line.send(1_500_000, 2000, FAIR, |held| held);
    assert_eq!(line.send(60_000, 60_000, FAIR, says(25_000)), BOUNDS.max);
    assert_eq!(line.send(1_500_000, 2000, FAIR, |held| held), BOUNDS.max, "motion");
}

#[test]
fn one_late_packet_in_a_still_picture_lowers_nothing() {
    let mut line = Line::new();
    line.send(60_000, 5000, FAIR, |held| held);
    line.late = 300 * MILLISECOND;
    line.send(60_000, 150, FAIR, says(25_000));
    line.late = 0;
    assert_eq!(line.send(60_000, 2000, FAIR, says(25_000)), BOUNDS.max);
}

#[test]
fn a_narrow_connection_is_known_within_a_second_and_a_half() {
    let narrow = Weather { capacity: 600_000, ..FAIR };
    let mut line = Line::new();
    line.send(800_000, 2000, FAIR, |held| held);
    let held = line.send(800_000, 1500, narrow, |held| held);
    assert!((350_000..=600_000).contains(&held), "{held}");
}

#[test]
fn a_queue_is_gone_three_seconds_after_a_connection_became_narrow() {
    for capacity in [1_000_000, 600_000, 400_000] {
        let mut line = Line::new();
        line.send(1_500_000, 3000, FAIR, |held| held);
        let queues = line.follow(10, Weather { capacity, ..FAIR });
        assert!(queues[3..].iter().all(|queue| *queue < 200), "{capacity}: {queues:?}");
        let held = i64::from(line.guard.held);
        assert!(held * 11 / 10 > capacity / 2, "{capacity}: {held} is less than it takes");
    }
}

#[test]
fn a_line_that_nobody_knows_is_opened_within_two_seconds_and_not_filled() {
    let bounds = Bounds { start: 364_000, ..BOUNDS };
    assert_eq!(Guard::new(bounds).told(), 364_000);
    let begun = |capacity| {
        let mut line = Line::with(bounds);
        let mut longest = 0;
        for _ in 0..20 {
            let bitrate = i64::from(line.guard.told()) * 11 / 10;
            line.send(bitrate, 100, Weather { capacity, ..FAIR }, |held| held);
            longest = line.queue.max(longest);
        }
        (line.guard.told(), longest / MILLISECOND)
    };
    assert_eq!(begun(100_000_000).0, BOUNDS.max);
    for capacity in [300_000, 600_000, 1_000_000] {
        let (told, longest) = begun(capacity);
        assert!(longest < 250, "{capacity}: {longest} ms");
        assert!(i64::from(told) < capacity * 11 / 10, "{capacity}: {told}");
    }
    let mut still = Line::with(bounds);
    still.send(60_000, 3000, FAIR, says(25_000));
    assert_eq!(still.guard.told(), BOUNDS.max, "a still picture is no trouble");
}

#[test]
fn a_line_that_is_known_is_not_filled_again_and_again() {
    for capacity in [1_000_000, 600_000, 300_000] {
        let mut line = Line::new();
        let narrow = Weather { capacity, ..FAIR };
        line.send(1_500_000, 1000, FAIR, |held| held);
        line.follow(5, narrow);
        let queues = line.follow(60, narrow);
        let filled = queues.iter().filter(|queue| **queue > 60).count();
        assert!(filled <= 15, "{capacity}: {queues:?}");
        assert!(queues.iter().all(|queue| *queue < 130), "{capacity}: {queues:?}");
        let held = i64::from(line.guard.held);
        assert!(held * 11 / 10 > capacity * 3 / 4, "{capacity}: {held} is much less than it takes");
    }
}

#[test]
fn a_line_that_is_wide_again_is_known_again() {
    let mut line = Line::new();
    line.send(1_500_000, 1000, FAIR, |held| held);
    line.follow(60, Weather { capacity: 600_000, ..FAIR });
    line.follow(24, FAIR);
    assert!(line.guard.held > 1_500_000, "{}", line.guard.held);
}

#[test]
fn a_line_that_was_narrow_once_is_not_held_against_who_sends_little() {
    let mut line = Line::new();
    line.send(1_500_000, 1000, FAIR, |held| held);
    line.follow(5, Weather { capacity: 300_000, ..FAIR });
    for _ in 0..90 {
        let little = i64::from(line.guard.told()) * 7 / 10;
        line.send(little, 1000, FAIR, |held| held);
    }
    assert!(line.guard.told() > 1_500_000, "{}", line.guard.told());
}

#[test]
fn a_picture_that_comes_later_opens_its_part_of_the_line() {
    let sound = Bounds { min: 32_000, enough: 32_000, start: 64_000, max: 64_000 };
    let mut line = Line::with(sound);
    line.send(64_000, 500, FAIR, |held| held);
    line.guard.set_bounds(Bounds { start: 364_000, ..BOUNDS });
    assert_eq!(line.guard.told(), 364_000);
    line.send(1_500_000, 2000, FAIR, |held| held);
    assert_eq!(line.guard.told(), BOUNDS.max);
}

#[test]
fn a_queue_that_grows_fast_is_seen_within_a_quarter_of_a_second_and_a_stall_is_none() {
    let mut line = Line::new();
    line.send(1_800_000, 3000, FAIR, |held| held);
    let narrow = Weather { capacity: 600_000, ..FAIR };
    let held = line.send(1_800_000, 250, narrow, |held| held);
    assert!((240_000..=600_000).contains(&held), "{held}");
    let mut line = Line::new();
    line.send(1_800_000, 3000, FAIR, |held| held);
    line.queue = 240 * MILLISECOND;
    assert_eq!(line.send(1_800_000, 3000, FAIR, |held| held), BOUNDS.max, "it is caught up with");
}

#[test]
fn a_line_that_loses_most_is_known_by_what_comes_through() {
    let mut line = Line::new();
    line.send(1_500_000, 3000, FAIR, |held| held);
    line.late = 800 * MILLISECOND;
    // Four of five find no place in a full queue.
    let (departure, mut feedback) = (line.now, Vec::new());
    for n in 0..160 {
        let departure = departure + n * 5 * MILLISECOND;
        let arrival =
            (n % 5 == 0).then_some(departure + APART + 900 * MILLISECOND + n * MILLISECOND);
        feedback.push(Seen { departure, arrival, size: SIZE });
        if n % 8 == 7 {
            line.guard.hear(&feedback, BOUNDS.max);
            feedback.clear();
        }
    }
    assert!(line.guard.held < BOUNDS.enough, "{}", line.guard.held);
}

#[test]
fn pictures_stop_where_sound_alone_has_room_and_are_tried_ever_more_rarely() {
    let mut line = Line::new();
    let narrow = Weather { capacity: 80_000, ..FAIR };
    line.send(50_000, 1000, narrow, |held| held);
    let mut tries = Vec::new();
    let mut queues = Vec::new();
    for second in 0..120 {
        let before = line.guard.held;
        queues.extend(line.follow(1, narrow));
        if before < BOUNDS.enough && line.guard.held >= BOUNDS.enough {
            tries.push(second);
        }
    }
    assert!((2..=4).contains(&tries.len()), "{tries:?} {queues:?}");
    let late = queues.iter().filter(|queue| **queue > 200).count();
    assert!(late < 40, "{queues:?}");
    line.follow(140, FAIR);
    assert!(line.guard.held > 1_000_000, "they come back: {}", line.guard.held);
}

#[test]
fn the_estimators_own_fall_counts_when_it_is_less_deep() {
    let narrow = Weather { capacity: 600_000, ..FAIR };
    let mut line = Line::new();
    line.send(800_000, 2000, FAIR, |held| held);
    let held = line.send(700_000, 1000, narrow, says(560_000));
    assert!((500_000..=560_000).contains(&held), "{held}");
}

#[test]
fn jitter_is_no_queue() {
    let jitter = Weather { jitter: 30 * MILLISECOND, ..FAIR };
    assert_eq!(Line::new().send(800_000, 10_000, jitter, says(200_000)), BOUNDS.max);
}

#[test]
fn few_losses_lower_nothing_and_many_do() {
    for (one_lost_of, ms, expected) in [
        (50, 10_000, BOUNDS.max..=BOUNDS.max),
        (20, 10_000, BOUNDS.max..=BOUNDS.max),
        (4, 2000, 400_000..=1_200_000),
    ] {
        let weather = Weather { one_lost_of, ..FAIR };
        let held = Line::new().send(800_000, ms, weather, |held| held);
        assert!(expected.contains(&held), "one of {one_lost_of}: {held}");
    }
}

#[test]
fn a_rise_goes_no_further_than_half_above_what_arrives() {
    let narrow = Weather { capacity: 500_000, ..FAIR };
    let mut line = Line::new();
    line.send(800_000, 1000, FAIR, |held| held);
    let low = line.send(800_000, 3000, narrow, |held| held);
    assert!(low < 500_000, "{low}");
    line.queue = 0;
    let held = line.send(300_000, 3000, FAIR, says(BOUNDS.max));
    // In the first second, 500 kbit/s still come from the queue.
    assert!((low..=750_000).contains(&held), "{held} after {low}");
    assert!(line.send(700_000, 3000, FAIR, says(BOUNDS.max)) > 1_000_000);
}

#[test]
fn a_queue_behind_a_still_picture_lowers_step_by_step() {
    let mut line = Line::new();
    line.send(160_000, 3000, FAIR, |held| held);
    line.late = 80 * MILLISECOND;
    let held = line.send(160_000, 700, FAIR, says(25_000));
    assert!((900_000..BOUNDS.max).contains(&held), "one or two steps of 15 %: {held}");
}

#[test]
fn what_others_leave_or_take_moves_the_bounds() {
    let mut guard = Guard::new(BOUNDS);
    let more = Bounds { min: 100_000, enough: 300_000, start: 3_000_000, max: 3_000_000 };
    guard.set_bounds(more);
    assert_eq!(guard.held, more.max, "nothing was known");
    let mut line = Line { guard, ..Line::new() };
    line.send(800_000, 1000, FAIR, |held| held);
    let low = line.send(800_000, 2000, Weather { capacity: 600_000, ..FAIR }, |held| held);
    assert!(low < 600_000, "{low}");
    line.guard.set_bounds(Bounds { max: 5_000_000, ..more });
    assert_eq!(line.guard.held, low, "that much was found out");
    line.guard.set_bounds(Bounds { max: 200_000, ..more });
    assert_eq!(line.guard.held, 200_000);
}

#[test]
fn a_browser_whose_clock_is_set_is_measured_anew() {
    for jump in [3_600 * SECOND, -3_600 * SECOND] {
        let mut line = Line::new();
        line.send(800_000, 2000, FAIR, |held| held);
        line.late = jump;
        assert_eq!(line.send(800_000, 5000, FAIR, says(200_000)), BOUNDS.max);
    }
}

#[test]
fn nothing_heard_is_nothing_known() {
    let mut guard = Guard::new(BOUNDS);
    assert_eq!(guard.hear(&[], 1), BOUNDS.max);
}

proptest! {
    #[test]
    fn whatever_a_browser_says_the_bounds_hold(
        told in prop::collection::vec(
            (prop::collection::vec((any::<i64>(), any::<Option<i64>>(), any::<u32>()), 0..30), any::<u32>()),
            0..30,
        ),
    ) {
        let mut guard = Guard::new(BOUNDS);
        for (packets, estimate) in told {
            let packets: Vec<_> = packets
                .into_iter()
                .map(|(departure, arrival, size)| Seen { departure, arrival, size })
                .collect();
            let held = guard.hear(&packets, estimate);
            prop_assert!((BOUNDS.min..=BOUNDS.max).contains(&held));
        }
    }

    #[test]
    fn feedback_that_repeats_itself_is_kept_for_no_longer_than_a_second(
        departures in prop::collection::vec(0..60_i64, 1..400),
    ) {
        let mut guard = Guard::new(BOUNDS);
        for at in departures {
            let departure = at * SECOND;
            guard.hear(&[Seen { departure, arrival: Some(departure), size: SIZE }], 1);
            let newest = guard.newest.expect("heard");
            prop_assert!(guard.packets.iter().all(|p| newest - p.departure <= WINDOW));
            prop_assert!(guard.quickest.len() < 400);
        }
    }
}
