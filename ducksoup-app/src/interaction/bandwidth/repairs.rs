// SPDX-License-Identifier: MPL-2.0

//! What is sent again to a browser. Pure.
//!
//! A narrow line whose queue overflows loses hundreds of packets, and the browser asks for every one.
//! To send them takes the line for seconds, while the queue stands and what comes meanwhile is lost
//! too (measured: 600 kbit/s, 240 packets, no picture for six seconds). So only a part of what the
//! connection can take goes into repairs; beyond that a keyframe repairs everything at once.
//!
//! | of the budget is | a packet that is asked for | keyframe |
//! |---|---|---|
//! | enough left | is sent again | |
//! | too little left | is not | is asked for, once in a while |

use std::time::{Duration, Instant};

/// The part of what a connection can take that repairs may take: one of so many. Ours: at the 10 % of
/// losses that are not yet taken for too much, each packet can be sent again twice.
const PART: f64 = 4.0;
/// How much can be saved up, in s of that. Ours: all of a picture that is lost, and its neighbours.
const SAVED: f64 = 1.0;
/// What a packet takes, in bits: our payloaders' MTU.
const PACKET: f64 = 1200.0 * 8.0;
/// After a keyframe nothing of before is of any use; yet browsers go on asking for it for as long as
/// its way takes. Ours: a line with a second's queue.
const ONE_KEYFRAME: Duration = Duration::from_secs(1);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repair {
    /// The packet is sent again.
    Send,
    /// It is not.
    Leave,
    /// It is not, and whoever makes the picture is asked for a keyframe.
    Refresh,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// Bits that are left, and when that was.
    left: Option<(Instant, f64)>,
    /// When a keyframe was asked for last.
    refreshed: Option<Instant>,
}

impl Repairs {
    /// The browser asks for a packet; its connection can take `bitrate`, in bit/s.
    pub(super) fn ask(&mut self, bitrate: u32, now: Instant) -> Repair {
        let budget = f64::from(bitrate) / PART;
        // One packet at least, or there would never be any.
        let most = (budget * SAVED).max(PACKET);
        let left = self.left.map_or(most, |(at, left)| {
            (left + budget * now.saturating_duration_since(at).as_secs_f64()).min(most)
        });
        let (left, repair) = if left >= PACKET {
            (left - PACKET, Repair::Send)
        } else if self.refreshed.is_some_and(|at| now < at + ONE_KEYFRAME) {
            (left, Repair::Leave)
        } else {
            self.refreshed = Some(now);
            (left, Repair::Refresh)
        };
        self.left = Some((now, left));
        repair
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scattered_losses_are_all_repaired() {
        let (mut repairs, begin) = (Repairs::default(), Instant::now());
        for n in 0..1000 {
            // 10 % of 1.8 Mbit/s, half of it twice.
            let now = begin + Duration::from_millis(36 * n);
            assert_eq!(repairs.ask(1_800_000, now), Repair::Send, "{n}");
        }
    }

    #[test]
    fn a_line_that_overflows_is_repaired_by_a_keyframe() {
        let (mut repairs, begin) = (Repairs::default(), Instant::now());
        let asked: Vec<_> =
            (0..240).map(|n| repairs.ask(400_000, begin + Duration::from_millis(10 * n))).collect();
        let count = |repair| asked.iter().filter(|asked| **asked == repair).count();
        assert_eq!(asked[..10], [Repair::Send; 10]);
        assert_eq!(count(Repair::Refresh), 3, "2.4 s");
        assert!(count(Repair::Send) < 40, "{asked:?}");
    }

    proptest! {
        #[test]
        fn no_more_is_sent_again_than_there_is_room_for(
            asked in prop::collection::vec((0..1_000_000_u64, any::<u32>()), 1..300),
            most in 50_000_u32..10_000_000,
        ) {
            let (mut repairs, begin) = (Repairs::default(), Instant::now());
            let (mut now, mut sent) = (begin, 0.0);
            for (wait, bitrate) in asked {
                now += Duration::from_micros(wait);
                if repairs.ask(bitrate.min(most), now) == Repair::Send {
                    sent += PACKET;
                }
            }
            let room = f64::from(most) / PART * (SAVED + (now - begin).as_secs_f64());
            prop_assert!(sent <= room + PACKET, "{sent} of {room}");
        }
    }
}
