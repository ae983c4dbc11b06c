// SPDX-License-Identifier: MPL-2.0

//! The run's time in the picture. The element stands in `pipelines/codecs.yml`; what it shows is
//! told to it here, frame by frame.

use gst::ClockTime;
use gst::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What stands there before the run begins.
const NOT_YET: &str = "-:--.---";

/// An origin that is not known yet.
const UNKNOWN: u64 = u64::MAX;

/// A chain's clock, which knows t0 as soon as there is one.
#[derive(Debug, Clone)]
pub struct Overlay(Arc<AtomicU64>);

impl Overlay {
    /// Lets a `textoverlay` show the time.
    #[must_use]
    pub fn new(element: &gst::Element) -> Option<Self> {
        let origin = Arc::new(AtomicU64::new(UNKNOWN));
        let known = origin.clone();
        let sink = element.static_pad("video_sink")?;
        let element = element.downgrade();
        sink.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(element), Some(at)) = (element.upgrade(), running_time(pad, info)) {
                let origin = known.load(Ordering::Relaxed);
                element.set_property("text", text(at, origin));
            }
            gst::PadProbeReturn::Ok
        });
        Some(Self(origin))
    }

    /// The run begins at `origin` of the running time.
    pub fn begin(&self, origin: ClockTime) {
        self.0.store(origin.nseconds(), Ordering::Relaxed);
    }
}

/// The running time of the buffer that passes.
fn running_time(pad: &gst::Pad, info: &gst::PadProbeInfo<'_>) -> Option<u64> {
    let pts = info.buffer()?.pts()?;
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(pts).map(ClockTime::nseconds)
}

/// `minutes:seconds.milliseconds` since the origin, all in ns of the running time.
fn text(at: u64, origin: u64) -> String {
    // What was still on its way when the run began.
    let Some(since) = at.checked_sub(origin) else {
        return NOT_YET.to_owned();
    };
    let milliseconds = since / 1_000_000;
    let (minutes, rest) = (milliseconds / 60_000, milliseconds % 60_000);
    format!("{minutes}:{:02}.{:03}", rest / 1000, rest % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_the_time_since_the_run_began() {
        const S: u64 = 1_000_000_000;
        for (at, origin, expected) in [
            (5 * S, UNKNOWN, NOT_YET),
            (5 * S, 6 * S, NOT_YET),
            (6 * S, 6 * S, "0:00.000"),
            (6 * S + 1_999_999, 6 * S, "0:00.001"),
            (65 * S + 40_000_000, 5 * S, "1:00.040"),
            (1200 * S, 0, "20:00.000"),
        ] {
            assert_eq!(text(at, origin), expected, "{at} in a run from {origin}");
        }
    }
}
