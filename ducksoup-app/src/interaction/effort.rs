// SPDX-License-Identifier: MPL-2.0

//! Before the run begins nobody sees what an encoder of pictures makes. It shows that it works, for a track is ready when
//! its first packet has passed its chain, and rests until just before the run: what comes in is decoded and passes the
//! effect, so that both are at work by then, and ends in front of the encoder. Waiting for the others costs half as
//! much, and when everyone is ready, their connections are told of each other's tracks while the processors are free
//! (measured with eight on two cores: 0.4 s among encoders at work, 0.05 s without).
//!
//! Sound is cheap to encode, and its encoder counts samples: a rest that happens to be shorter than what it takes for
//! jitter (40 ms) would move all that follows.

use gst::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So long before the run begins the encoder is at work: a picture or two.
const WARM: gst::ClockTime = gst::ClockTime::from_mseconds(40);

/// What an encoder does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Its first packet.
    Proving,
    /// Nothing.
    Resting,
    /// What was taken at this running time or later.
    Due(gst::ClockTime),
}

impl Work {
    /// What becomes of a buffer of that running time. What is handled is dropped, and once only: Drop releases it
    /// twice (GStreamer 1.22).
    fn fate(self, time: Option<gst::ClockTime>) -> gst::PadProbeReturn {
        match self {
            Self::Proving => gst::PadProbeReturn::Ok,
            Self::Resting => gst::PadProbeReturn::Handled,
            Self::Due(from) if time.is_some_and(|time| time < from) => gst::PadProbeReturn::Handled,
            Self::Due(_) => gst::PadProbeReturn::Remove,
        }
    }

    /// After its first packet.
    fn proven(self) -> Self {
        if self == Self::Proving { Self::Resting } else { self }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Effort(Arc<Mutex<Work>>);

impl Effort {
    /// Of the element `encoder` in this chain, which has its pad `src`; its buffers bear running times.
    pub(super) fn of(chain: &gst::Bin) -> Self {
        let effort = Self(Arc::new(Mutex::new(Work::Proving)));
        let encoder = chain.by_name("encoder").and_then(|encoder| encoder.static_pad("sink"));
        if let Some((input, output)) = encoder.zip(chain.static_pad("src")) {
            effort.watch(&input, &output);
        }
        effort
    }

    fn watch(&self, input: &gst::Pad, output: &gst::Pad) {
        let own = self.clone();
        input.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let time = info.buffer().and_then(|buffer| buffer.pts());
            own.work().fate(time)
        });
        let own = self.clone();
        let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        output.add_probe(media, move |_, _| {
            let mut work = own.work();
            *work = work.proven();
            gst::PadProbeReturn::Remove
        });
    }

    /// The run begins at `origin`.
    pub(super) fn begin(&self, origin: gst::ClockTime) {
        *self.work() = Work::Due(origin.saturating_sub(WARM));
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst::PadProbeReturn::{Handled, Ok, Remove};

    #[test]
    fn the_whole_table() {
        let [zero, before, warm] = [0, 59, 60].map(gst::ClockTime::from_mseconds);
        let due = Work::Due(warm);
        for (work, proven, fates) in [
            (Work::Proving, Work::Resting, [Ok, Ok, Ok, Ok]),
            (Work::Resting, Work::Resting, [Handled, Handled, Handled, Handled]),
            (due, due, [Remove, Handled, Handled, Remove]),
        ] {
            assert_eq!(work.proven(), proven, "{work:?}");
            let times = [None, Some(zero), Some(before), Some(warm)];
            assert_eq!(times.map(|time| work.fate(time)), fates, "{work:?}");
        }
    }
}
