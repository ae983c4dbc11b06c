// SPDX-License-Identifier: MPL-2.0

//! How long browsers keep pictures before they show them: the RTP header extension playout-delay, which the mixer writes. Pure.
//!
//! Left to itself, Chromium keeps every picture for about as long as their ways differ. What it repairs itself on its own
//! way it leaves out of that; but where the server has to wait for a repair on the sender's way, it sees a way that varies.
//! (Measured, VP8, 25 a second: with 5 % of losses on the sender's way it kept pictures for 41 ms, and showed them 48 ms later
//! than with as much on its own way, for which it kept them for 4 ms.) It also keeps pictures back until they are as
//! late as sound, which takes longer, in encoders and in what receivers keep in hand. That nobody notices up to 125 ms
//! (ITU-R BT.1359-1). So pictures are to be shown as soon as they are whole, with one exception:
//!
//! | the browser | keeps pictures |
//! |---|---|
//! | loses nothing, or gets it again within a picture's time | not at all |
//! | asks again and again for packets that take longer to come | as long as it holds for right |
//!
//! A picture that lacks a packet, and all behind it, wait for the packet to be sent again. Where pictures are shown as
//! soon as they are whole, they stand still for a round trip and more at each loss, and then hurry after; a browser that
//! is left to itself keeps all pictures for about as long, and they go on evenly.
//!
//! | state | a loss that is seen | none | 10 s after the latest loss |
//! |---|---|---|---|
//! | none | once | none | |
//! | once | within a second: once; later: granted | once | none (a loss: once) |
//! | granted | granted | granted | none (a loss: once) |

use std::time::{Duration, Instant};

/// Header extension id of ours: any from 1 to 14 that is free would do (RFC 8285).
pub const ID: u8 = 5;
/// <http://www.webrtc.org/experiments/rtp-hdrext/playout-delay>
pub const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";

/// A round trip, in ms, from which on losses are seen. Ours: a picture's time at 25 a second; what takes
/// less comes with the next one.
const SEEN: f64 = 40.0;
/// How long a browser that lost something may go on keeping pictures, and how soon it has to lose something again to
/// begin. Ours: a loss every ten seconds is one packet of some 2000; less is not worth a delay.
const MEMORY: Duration = Duration::from_secs(10);
/// Requests that follow each other faster are about the same loss. Ours: Chromium asks ten times for one packet, a round
/// trip apart; that it has to ask for so long on a line of more than 100 ms is rare, and then it may be seen, too.
const SAME_LOSS: Duration = Duration::from_secs(1);

/// How a browser may keep pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// Each is shown as soon as it can be.
    No,
    /// As long as the browser holds for right.
    Free,
}

impl Keeping {
    /// The most that a browser is told, in ms.
    #[must_use]
    pub fn most(self) -> i32 {
        match self {
            Self::No => 0,
            // The most that can be told: 12 bits of 10 ms.
            Self::Free => 40_950,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Patience {
    /// Nothing is lost that would be seen.
    #[default]
    None,
    /// Something was lost, at that time.
    Once(Instant),
    /// Losses follow each other; the latest was at that time.
    Granted(Instant),
}

impl Patience {
    /// What holds now.
    #[must_use]
    pub fn keeping(self) -> Keeping {
        match self {
            Self::None | Self::Once(_) => Keeping::No,
            Self::Granted(_) => Keeping::Free,
        }
    }

    /// A control packet has come, `asked` with a request for packets of pictures, over a connection whose round trip
    /// takes so many ms, if that is known. What holds from now on, if that is news.
    pub fn hear(&mut self, asked: bool, round_trip: Option<f64>, now: Instant) -> Option<Keeping> {
        let before = self.keeping();
        let since = |at: Instant| now.saturating_duration_since(at);
        let lost = asked && round_trip.is_some_and(|round_trip| round_trip >= SEEN);
        *self = match *self {
            Self::None if lost => Self::Once(now),
            Self::None => Self::None,
            Self::Once(at) | Self::Granted(at) if since(at) >= MEMORY => {
                if lost {
                    Self::Once(now)
                } else {
                    Self::None
                }
            }
            Self::Once(at) if lost && since(at) >= SAME_LOSS => Self::Granted(now),
            Self::Once(at) => Self::Once(at),
            Self::Granted(_) if lost => Self::Granted(now),
            Self::Granted(at) => Self::Granted(at),
        };
        (self.keeping() != before).then(|| self.keeping())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is news, at those ms: each entry is when, whether packets are asked for, and the round trip.
    fn news(heard: &[(u64, bool, Option<f64>)]) -> Vec<(u64, Keeping)> {
        let (mut patience, begin) = (Patience::default(), Instant::now());
        let heard = heard.iter().filter_map(|(at, asked, round_trip)| {
            let now = begin + Duration::from_millis(*at);
            Some((*at, patience.hear(*asked, *round_trip, now)?))
        });
        heard.collect()
    }

    #[test]
    fn losses_that_follow_each_other_on_a_long_way_let_pictures_be_kept_and_their_end_ends_it() {
        let far = Some(60.0);
        let heard = [
            (0, true, far),
            (500, true, far),
            (1200, true, far),
            (9000, true, far),
            (18_000, false, far),
        ];
        assert_eq!(news(&heard), [(1200, Keeping::Free)]);
        let again = [(19_500, true, far), (21_000, true, far)];
        assert_eq!(
            news(&[&heard[..], &again[..]].concat()),
            [(1200, Keeping::Free), (19_500, Keeping::No), (21_000, Keeping::Free)],
            "a loss after so long is the first one"
        );
        assert_eq!(
            news(&[&heard[..], &[(19_000, false, far), (19_100, false, far)]].concat()),
            [(1200, Keeping::Free), (19_000, Keeping::No)]
        );
    }

    #[test]
    fn what_is_not_seen_or_does_not_come_again_is_not_worth_it() {
        let near = Some(20.0);
        for heard in [
            [(0, true, near), (2000, true, near), (4000, true, near)],
            [(0, true, None), (2000, true, None), (4000, true, None)],
            // One loss, asked for three times.
            [(0, true, Some(300.0)), (300, true, Some(300.0)), (900, true, Some(300.0))],
            // One every ten seconds.
            [(0, true, Some(60.0)), (10_000, true, Some(60.0)), (20_000, true, Some(60.0))],
            [(0, false, Some(300.0)), (2000, false, Some(300.0)), (4000, false, Some(300.0))],
        ] {
            assert_eq!(news(&heard), [], "{heard:?}");
        }
    }
}
