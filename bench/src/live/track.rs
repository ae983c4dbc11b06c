// SPDX-License-Identifier: MPL-2.0

//! What is known of a call when it is over, whoever carried it: the server, or the floor.

use super::reading::{Packet, since};
use ducksoup_app::interaction::rtcp;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;

/// A frame or a packet of sound that was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sent {
    pub(crate) ssrc: u32,
    pub(crate) timestamp: u32,
    /// When it was taken by its own clock, in s.
    pub(crate) captured: f64,
    /// Of a picture: which one of the film.
    pub(crate) number: u16,
}

/// Sound or pictures of one participant, on their way to another. Times are in s since the
/// beginning of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    pub(crate) sent: Vec<Sent>,
    /// When the last packet of each timestamp had come in; one that was lost counts as if it had.
    pub(crate) entered: BTreeMap<u32, f64>,
    /// When nothing of it was missing any more; what stayed incomplete is not there.
    pub(crate) whole: BTreeMap<u32, f64>,
    /// When the last packet of each timestamp had gone out; these timestamps are others.
    pub(crate) left: BTreeMap<u32, f64>,
    /// What came out.
    pub(crate) received: Vec<Packet>,
    /// What its receiver was told of it, in the order of time.
    pub(crate) reports: Vec<Report>,
}

/// A sender report: which time belongs to which timestamp (RFC 3550, section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Report {
    /// When it came.
    pub(crate) at: f64,
    pub(crate) ssrc: u32,
    /// The sender's time, in s.
    pub(crate) time: f64,
    pub(crate) timestamp: u32,
}

impl Track {
    /// The time at which a receiver plays what has this timestamp and left at `left`, if it goes by what it was told
    /// until then; of no meaning but its differences. `rate` is how many units a second has.
    pub(crate) fn played(&self, timestamp: u32, left: f64, rate: u32) -> Option<f64> {
        let told = self.reports.iter().rev().find(|report| report.at <= left)?;
        Some(told.time + since(timestamp, told.timestamp) as f64 / f64::from(rate))
    }
}

/// The sender reports in a compound packet that came at `at`. Nothing of what is cut or is something else.
pub(crate) fn reports(compound: &[u8], at: f64) -> Vec<Report> {
    let report = |packet| match packet {
        rtcp::Packet::SenderReport { ssrc, ntp, timestamp, .. } => {
            Some(Report { at, ssrc, time: ntp as f64 / 2f64.powi(32), timestamp })
        }
        _ => None,
    };
    rtcp::read(compound).into_iter().filter_map(report).collect()
}

/// One participant's tracks.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) sound: Track,
    pub(crate) picture: Track,
    /// What they commanded, and when.
    pub(crate) commands: Vec<(f64, Command)>,
    /// What counts.
    pub(crate) window: Range<f64>,
}

/// What an effect is told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) effect: &'static str,
    pub(crate) property: &'static str,
    pub(crate) value: f64,
    /// How long it takes to get there, in ms.
    pub(crate) duration: u32,
}

impl Command {
    /// Has a participant say it.
    pub(crate) fn give(&self, peer: &gst::Element) {
        let Self { effect, property, value, duration } = self;
        peer.emit_by_name::<()>("control-fx", &[effect, property, value, duration, &None::<&str>]);
    }
}

/// When nothing of each timestamp was missing: from packets with their timestamp, whether they are
/// first sendings, and when they came, if they did.
pub(crate) fn whole(
    packets: impl IntoIterator<Item = (u32, bool, Option<f64>)>,
) -> BTreeMap<u32, f64> {
    let mut found: BTreeMap<u32, (i32, f64)> = BTreeMap::new();
    for (timestamp, is_first, came) in packets {
        let (missing, last) = found.entry(timestamp).or_insert((0, f64::MIN));
        match (is_first, came) {
            (true, None) => *missing += 1,
            (false, Some(at)) if *missing > 0 => {
                *missing -= 1;
                *last = last.max(at);
            }
            (true, Some(at)) => *last = last.max(at),
            (false, _) => {}
        }
    }
    found.retain(|_, (missing, _)| *missing == 0);
    found.into_iter().map(|(timestamp, (_, last))| (timestamp, last)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_when_what_was_lost_has_come_again() {
        let packets = [
            (7, true, Some(1.0)),
            (7, true, None),
            (8, true, Some(2.0)),
            (9, true, None),
            (7, false, None),
            (7, false, Some(3.0)),
            (8, false, Some(4.0)),
        ];
        assert_eq!(whole(packets), BTreeMap::from([(7, 3.0), (8, 2.0)]));
    }

    #[test]
    fn reports_tell_when_what_follows_them_is_played() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let report = |ssrc, seconds, timestamp| -> Vec<u8> {
            words(&[0x80c8_0006, ssrc, seconds, 1 << 31, timestamp, 0, 0])
        };
        let description: Vec<u8> = words(&[0x81ca_0001, 7]);
        let whole = [report(7, 100, u32::MAX), description, report(8, 200, 0)].concat();
        let read = reports(&whole, 2.0);
        assert_eq!(
            read.iter().map(|it| (it.ssrc, it.time)).collect::<Vec<_>>(),
            [(7, 100.5), (8, 200.5)]
        );
        assert_eq!(reports(&whole[..whole.len() - 1], 2.0).len(), 1, "cut");
        let later = reports(&report(7, 110, 480_000), 12.0);
        let track = Track { reports: [&read[..1], &later].concat(), ..Track::default() };
        assert_eq!(track.played(47_999, 3.0, 48_000), Some(101.5), "across the end of the numbers");
        assert_eq!(track.played(528_000, 13.0, 48_000), Some(111.5), "by the newest");
        assert_eq!(track.played(0, 1.0, 48_000), None, "nothing is known yet");
    }
}
