// SPDX-License-Identifier: MPL-2.0

//! What is known of a call when it is over, whoever carried it: the server, or the floor.

use super::reading::Packet;
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
}
