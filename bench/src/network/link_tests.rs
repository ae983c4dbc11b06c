// SPDX-License-Identifier: MPL-2.0

#![allow(clippy::unwrap_used)]

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What becomes of `count` packets of 1000 bytes, one every `period`; times in µs since the first.
fn run(link: Link, count: u64, period: Duration) -> Vec<(u64, Result<u64, Cause>, bool)> {
    let mut wire = Wire::new(link, 0);
    let begin = Instant::now();
    (0..count)
        .map(|number| {
            let now = begin + period * u32::try_from(number).unwrap();
            let micros = |at: Instant| u64::try_from((at - begin).as_micros()).unwrap();
            let (fate, twice) = match wire.send(now, 1000) {
                Fate::Arrives(at) => (Ok(micros(at)), false),
                Fate::Twice(at) => (Ok(micros(at)), true),
                Fate::Lost(cause) => (Err(cause), false),
            };
            (micros(now), fate, twice)
        })
        .collect()
}

fn arrivals(link: Link, count: u64, period: Duration) -> Vec<(u64, u64)> {
    let fates = run(link, count, period);
    fates.into_iter().filter_map(|(sent, fate, _)| Some((sent, fate.ok()?))).collect()
}

/// Whether a count of chances lies within five standard deviations of what is expected: a miss in
/// two million, and the seed is fixed.
fn is_likely(found: usize, count: u64, share: f64) -> bool {
    let count = count as f64;
    (found as f64 - count * share).abs() <= 5.0 * (count * share * (1.0 - share)).sqrt()
}

#[test]
fn a_good_link_does_nothing() {
    for (sent, fate, twice) in run(Link::default(), 100, ms(1)) {
        assert_eq!((fate, twice), (Ok(sent), false));
    }
}

#[test]
fn a_rate_changes_when_it_is_said_to() {
    // 1028 bytes every 10 ms are 822 kbit/s.
    let half = Some(Rate { bits: 411_200, queue: 1_000_000 });
    let link = Link { changes: vec![(ms(100), half), (ms(200), None)], ..Link::default() };
    for (number, (sent, arrived)) in (0..).zip(arrivals(link, 40, ms(10))) {
        let expected = match number {
            // Each takes 20 ms, and the next one waits for it.
            10..20 => sent + 20_000 + (number - 10) * 10_000,
            // The queue that was there is no faster than it was.
            20..30 => sent.max(300_000),
            _ => sent,
        };
        assert_eq!(arrived, expected, "packet {number}");
    }
}

#[test]
fn a_delay_is_the_same_for_all() {
    for (sent, arrived) in arrivals(Link { delay: ms(40), ..Link::default() }, 100, ms(1)) {
        assert_eq!(arrived, sent + 40_000);
    }
}

#[test]
fn as_many_are_lost_and_doubled_as_was_asked() {
    for share in [0.0, 0.01, 0.03, 0.5, 1.0] {
        let link = Link { loss: share, seed: 7, ..Link::default() };
        let lost = run(link, 20_000, ms(1)).iter().filter(|fate| fate.1.is_err()).count();
        assert!(is_likely(lost, 20_000, share), "{lost} lost of {share}");
        let link = Link { duplicate: share, seed: 7, ..Link::default() };
        let twice = run(link, 20_000, ms(1)).iter().filter(|fate| fate.2).count();
        assert!(is_likely(twice, 20_000, share), "{twice} doubled of {share}");
    }
}

#[test]
fn losses_come_by_themselves() {
    let link = Link { loss: 0.1, ..Link::default() };
    let lost: Vec<bool> = run(link, 50_000, ms(1)).iter().map(|fate| fate.1.is_err()).collect();
    let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
    assert!(is_likely(pairs, 50_000, 0.01), "{pairs}");
}

#[test]
fn jitter_is_evenly_spread_and_keeps_the_order() {
    let link = Link { delay: ms(10), jitter: ms(20), ..Link::default() };
    // Sound: each packet is late by itself.
    let late: Vec<u64> = arrivals(link.clone(), 5000, ms(20))
        .into_iter()
        .map(|(sent, arrived)| arrived - sent - 10_000)
        .collect();
    for quarter in 0..4 {
        let within = quarter * 5000..(quarter + 1) * 5000;
        let found = late.iter().filter(|late| within.contains(*late)).count();
        assert!(is_likely(found, 5000, 0.25), "{found} of 5000 in {within:?} µs");
    }
    assert!(late.iter().all(|late| *late <= 20_000));
    // Pictures: those of one moment stay together, and none overtakes.
    let all = arrivals(link, 5000, ms(1));
    assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].1));
    assert!(all.chunks(20).all(|one| one.iter().all(|(sent, at)| at - sent <= 30_000)));
}

#[test]
fn an_overtaken_packet_arrives_behind_its_successor() {
    let link = Link { delay: ms(10), reorder: 0.1, seed: 3, ..Link::default() };
    let all = arrivals(link, 20_000, ms(1));
    let overtaken: Vec<_> = all.iter().filter(|(sent, at)| at - sent > 10_000).collect();
    assert!(is_likely(overtaken.len(), 20_000, 0.1), "{}", overtaken.len());
    assert!(overtaken.iter().all(|(sent, at)| (12_000..40_000).contains(&(at - sent))));
}

#[test]
fn a_bottleneck_lets_its_rate_through_and_loses_what_finds_no_place() {
    // 1028 bytes every ms are 8.224 Mbit/s.
    let rate = |bits, queue| Link { rate: Some(Rate { bits, queue }), ..Link::default() };
    for (sent, arrived) in arrivals(rate(8_224_000, 0), 100, ms(1)) {
        assert_eq!(arrived, sent + 1000, "a link of just that rate, no queue");
    }
    let half = run(rate(4_112_000, 10_280), 1000, ms(1));
    let through: Vec<u64> = half.iter().filter_map(|fate| fate.1.ok()).collect();
    assert!(through.windows(2).all(|pair| pair[1] - pair[0] == 2000), "one packet every 2 ms");
    assert!((500..=510).contains(&through.len()), "{}", through.len());
    assert!(half.iter().all(|fate| fate.1.is_ok() || fate.1 == Err(Cause::Queue)));
    let slowest = half.iter().filter_map(|(sent, fate, _)| Some(fate.ok()? - sent)).max();
    // Ten packets of 2 ms each.
    assert_eq!(slowest, Some(20_000));
}

#[test]
fn what_a_bottleneck_has_sent_may_still_be_lost() {
    let rate = Some(Rate { bits: 4_112_000, queue: 1_000_000 });
    let link = Link { rate, loss: 0.5, seed: 1, ..Link::default() };
    let through = arrivals(link, 200, ms(1));
    assert_eq!(through.last().map(|(_, at)| at % 2000), Some(0), "the lost ones take their time");
    assert!(through.last().unwrap().1 > 390_000);
}

#[test]
fn nothing_gets_through_a_blackout() {
    let link = Link { blackout: Some(ms(100)..ms(200)), ..Link::default() };
    for (sent, fate, _) in run(link, 300, ms(1)) {
        let expected = match sent {
            100_000..200_000 => Err(Cause::Blackout),
            _ => Ok(sent),
        };
        assert_eq!(fate, expected, "at {sent} µs");
    }
}

#[test]
fn chance_is_the_same_for_the_same_seed_and_number() {
    let link = |seed| Link { loss: 0.5, jitter: ms(30), seed, ..Link::default() };
    let fates = |seed, number| {
        let mut wire = Wire::new(link(seed), number);
        let begin = Instant::now();
        (0..64)
            .map(|step| match wire.send(begin + ms(20) * step, 100) {
                Fate::Arrives(at) => Some(at - begin),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(fates(1, 0), fates(1, 0));
    assert_ne!(fates(1, 0), fates(2, 0));
    assert_ne!(fates(1, 0), fates(1, 1));
    // The same packets are lost whatever else the link does.
    let lost = |link: Link| -> Vec<bool> {
        run(link, 200, ms(1)).iter().map(|fate| fate.1.is_err()).collect()
    };
    let other = Link { delay: ms(5), reorder: 0.5, duplicate: 0.5, ..link(1) };
    assert_eq!(lost(link(1)), lost(other));
}
