// SPDX-License-Identifier: MPL-2.0

//! Cameras and microphones of participants in this process: each piece is given when it is due.

use gst::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What is given piece after piece.
pub(crate) trait Feed {
    /// When the next piece is due, since the beginning.
    fn due(&self) -> Duration;
    /// Gives it.
    fn give(&mut self);
}

/// Gives each piece when it is due, until it is told to stop.
pub(crate) fn play<F: Feed>(
    feeds: &mut [F],
    clock: &gst::Clock,
    base: gst::ClockTime,
    goes_on: &AtomicBool,
) {
    while goes_on.load(Ordering::Relaxed) {
        let Some(feed) = feeds.iter_mut().min_by_key(|feed| feed.due()) else {
            return;
        };
        if let Ok(due) = gst::ClockTime::try_from(feed.due()) {
            // A wait that is refused ends at once, and the piece is given early.
            let _ = clock.new_single_shot_id(base + due).wait();
        }
        feed.give();
    }
}
