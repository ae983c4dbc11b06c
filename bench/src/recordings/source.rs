// SPDX-License-Identifier: MPL-2.0

//! What one participant's camera and microphone give, and when. Pure.
//!
//! A device has a clock of its own. Of a microphone whose clock is fast, more samples come in a
//! second of true time than it says; each event still sounds at its true time.

use super::schedule::{self, FLASH, FRAME};
use super::sound::{RATE, chirp};
use std::time::Duration;

/// Samples in one packet of sound: 20 ms, as browsers send them.
pub(crate) const PACKET: usize = 960;

/// A clock, by how much faster than the true one it runs (1.0002: 200 ppm).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Clock(pub(crate) f64);

impl Clock {
    /// The true time at which this clock says `own`.
    pub(crate) fn to_true(self, own: Duration) -> Duration {
        Duration::from_secs_f64(own.as_secs_f64() / self.0)
    }
}

/// A microphone.
#[derive(Debug, Clone)]
pub(crate) struct Microphone {
    clock: Clock,
    beep: Vec<f32>,
    /// First sample of each event, by its own count.
    events: Vec<u64>,
}

impl Microphone {
    /// Hears the events that begin with these pictures.
    pub(crate) fn new(clock: Clock, events: &[u64]) -> Self {
        let sample = |picture: &u64| {
            (schedule::seconds(*picture) * clock.0 * f64::from(RATE)).round() as u64
        };
        Self { clock, beep: chirp(), events: events.iter().map(sample).collect() }
    }

    /// What its own clock says at the beginning of a packet.
    pub(crate) fn time(number: u64) -> Duration {
        Duration::from_millis(number * PACKET as u64 * 1_000 / u64::from(RATE))
    }

    /// When a packet can be had, in true time: its last sample must have been taken.
    pub(crate) fn due(&self, number: u64) -> Duration {
        self.clock.to_true(Self::time(number + 1))
    }

    /// A packet's samples.
    pub(crate) fn packet(&self, number: u64) -> Vec<i16> {
        let (from, length) = (number * PACKET as u64, self.beep.len() as u64);
        let next = self.events.partition_point(|event| event + length <= from);
        let event = self.events.get(next).copied();
        (from..from + PACKET as u64)
            .map(|sample| {
                let place = event.and_then(|event| sample.checked_sub(event));
                let place = place.and_then(|place| usize::try_from(place).ok());
                let value = place.and_then(|place| self.beep.get(place)).copied();
                (value.unwrap_or_default() * f32::from(i16::MAX)) as i16
            })
            .collect()
    }
}

/// Whether a picture is white.
pub(crate) fn flashes(picture: u64, events: &[u64]) -> bool {
    let after = events.partition_point(|event| *event <= picture);
    after.checked_sub(1).is_some_and(|last| picture - events[last] < FLASH)
}

/// When a picture is taken, in true time.
pub(crate) fn taken(picture: u64) -> Duration {
    FRAME * u32::try_from(picture).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beep_of_an_event_is_at_its_true_time_by_every_clock() {
        let events = schedule::events(25 * 120);
        for speed in [1.0, 1.000_2, 0.999_9] {
            let microphone = Microphone::new(Clock(speed), &events);
            let sound: Vec<i16> = (0..6_000).flat_map(|number| microphone.packet(number)).collect();
            for event in &events {
                let first = (schedule::seconds(*event) * 48_000.0 * speed).round() as usize;
                // It swells: within the first millisecond there is something, before it nothing.
                let Some(piece) = sound.get(first - 100..first + 49) else { continue };
                assert!(piece[..100].iter().all(|sample| *sample == 0), "{speed} {event}");
                assert!(piece[100..].iter().any(|sample| *sample != 0), "{speed} {event}");
            }
        }
    }

    #[test]
    fn a_fast_clock_gives_its_packets_early() {
        let after = |speed: f64| Microphone::new(Clock(speed), &[]).due(29_999);
        assert_eq!(after(1.0), Duration::from_secs(600));
        let early = Duration::from_secs(600) - after(1.000_2);
        assert_eq!(early.as_millis(), 119);
    }

    #[test]
    fn a_flash_is_white_for_three_pictures() {
        let white: Vec<u64> = (0..50).filter(|picture| flashes(*picture, &[10, 30])).collect();
        assert_eq!(white, [10, 11, 12, 30, 31, 32]);
        assert_eq!(taken(30), Duration::from_millis(1_200));
    }
}
