// SPDX-License-Identifier: MPL-2.0

//! Files have pictures at a constant rate, and so at the times of a grid (`framegrid`): up to half a frame from when they
//! were taken, as far as the camera happens to be out of step with the grid. A file's reader counts pictures; a receiver
//! plays them beside sound. So what leaves for receivers bears again when it was taken. The decision is pure.

use gst::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many pictures are on their way through an encoder at most. Ours: encoders hold none back; one on another processor,
/// or behind a queue, may have some.
const ON_THE_WAY: usize = 64;

/// How far the grid moves pictures. All times are running times in ns.
#[derive(Debug, Default)]
struct Phase {
    /// When the picture was taken that is in the grid.
    taken: Option<i64>,
    /// How much later than it was taken the last one lies.
    moved: i64,
    /// When the last one was taken.
    last: Option<i64>,
    /// Where pictures lie that are on their way, and when they were taken.
    on_the_way: VecDeque<(i64, i64)>,
}

impl Phase {
    fn enters(&mut self, taken: i64) {
        self.taken = Some(taken);
    }

    /// A picture comes out that lies at `slot`, of that length: the one that has come in, or an older one once more. The
    /// grid takes the nearest slot, or the one behind it; what is repeated before lies in earlier ones.
    fn leaves(&mut self, slot: i64, length: i64) {
        let own = self.taken.map(|taken| slot - taken).filter(|moved| *moved > -length / 2);
        if let Some(moved) = own {
            (self.moved, self.taken) = (moved, None);
        }
        // Whatever happens, time goes on.
        let least = self.last.map_or(i64::MIN, |last| last.saturating_add(1));
        let taken = (slot - self.moved).max(least);
        self.last = Some(taken);
        self.on_the_way.push_back((slot, taken));
        if self.on_the_way.len() > ON_THE_WAY {
            self.on_the_way.pop_front();
        }
    }

    /// When the picture was taken that lies at `slot`.
    fn taken(&self, slot: i64) -> i64 {
        let own = self.on_the_way.iter().rev().find(|(place, _)| *place == slot);
        own.map_or(slot - self.moved, |(_, taken)| *taken)
    }
}

/// Lets pictures leave this chain with the times at which they were taken, where a grid has moved them: from the payloader
/// that gives out `packets` on.
pub(super) fn keep(chain: &gst::Bin, packets: &gst::Pad) {
    let grid = chain.by_name("grid");
    let Some((input, output)) =
        grid.and_then(|grid| grid.static_pad("sink").zip(grid.static_pad("src")))
    else {
        return;
    };
    let payloader = packets.parent_element();
    let Some(end) = payloader.and_then(|payloader| payloader.static_pad("sink")) else { return };
    // Taken by streaming threads, and let go of before anything is passed on.
    let phase = Arc::new(Mutex::new(Phase::default()));
    let own = Arc::clone(&phase);
    watch(&input, move |buffer| {
        if let Some(taken) = nanoseconds(buffer.pts()) {
            open(&own).enters(taken);
        }
    });
    let own = Arc::clone(&phase);
    watch(&output, move |buffer| {
        if let Some(slot) = nanoseconds(buffer.pts()) {
            open(&own).leaves(slot, nanoseconds(buffer.duration()).unwrap_or_default());
        }
    });
    end.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer_mut()
            && let Some(slot) = running_time(pad, buffer)
            && let Some(pts) = nanoseconds(buffer.pts())
        {
            let taken = pts.saturating_add(open(&phase).taken(slot) - slot);
            let taken = u64::try_from(taken).unwrap_or_default();
            buffer.make_mut().set_pts(gst::ClockTime::from_nseconds(taken));
        }
        gst::PadProbeReturn::Ok
    });
}

fn watch(pad: &gst::Pad, look: impl Fn(&gst::Buffer) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        info.buffer().into_iter().for_each(&look);
        gst::PadProbeReturn::Ok
    });
}

/// Where a buffer lies: some encoders count from elsewhere (`x264enc` from 1000 hours), and say so in their segment.
fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<i64> {
    let segment = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = segment.segment().downcast_ref::<gst::ClockTime>()?;
    nanoseconds(segment.to_running_time(buffer.pts()?))
}

fn nanoseconds(time: Option<gst::ClockTime>) -> Option<i64> {
    i64::try_from(time?.nseconds()).ok()
}

fn open(phase: &Mutex<Phase>) -> MutexGuard<'_, Phase> {
    phase.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gst_check::Harness;

    #[test]
    fn a_picture_leaves_when_it_was_taken_and_a_repeated_one_as_much_beside_its_slot() {
        let mut phase = Phase::default();
        for (taken, slots, expected) in [
            (Some(993), vec![1000], vec![993]),
            (Some(1035), vec![1040], vec![1035]),
            // One is missing: the one before it stands for it.
            (Some(1117), vec![1080, 1120], vec![1075, 1117]),
            // Its nearest slot has its picture.
            (Some(1122), vec![1160], vec![1122]),
            // The clock fills a slot.
            (None, vec![1200], vec![1162]),
            // Time goes on.
            (Some(1150), vec![1240], vec![1163]),
            // Nothing came out for this one.
            (Some(1500), vec![], vec![]),
            (Some(1519), vec![1520], vec![1519]),
        ] {
            if let Some(taken) = taken {
                phase.enters(taken);
            }
            slots.iter().for_each(|slot| phase.leaves(*slot, 40));
            let found: Vec<i64> = slots.iter().map(|slot| phase.taken(*slot)).collect();
            assert_eq!(found, expected, "{taken:?}");
        }
        assert_eq!(phase.taken(7000), 6999, "nobody has seen it come out");
    }

    #[test]
    fn files_have_the_grid_and_receivers_the_times_of_the_camera() {
        gst::init().unwrap();
        super::super::elements::register().unwrap();
        let mut harness = Harness::new_parse(
            "framegrid name=grid framerate=25/1 ! identity name=file ! rtpvrawpay name=pay",
        );
        let bin = harness.element().unwrap().downcast::<gst::Bin>().unwrap();
        let (sender, files) = std::sync::mpsc::channel();
        let file = bin.by_name("file").unwrap().static_pad("src").unwrap();
        watch(&file, move |buffer| {
            let _ = sender.send(buffer.pts().unwrap().mseconds());
        });
        keep(&bin, &bin.by_name("pay").unwrap().static_pad("src").unwrap());
        harness.set_src_caps_str("video/x-raw,format=I420,width=16,height=16,framerate=25/1");
        let mut left = Vec::new();
        for taken in [13, 51, 94, 173] {
            let mut picture = gst::Buffer::with_size(384).unwrap();
            picture.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(taken));
            harness.push(picture).unwrap();
            left.extend(std::iter::from_fn(|| harness.try_pull()));
        }
        let mut left: Vec<u64> = left.iter().map(|it| it.pts().unwrap().mseconds()).collect();
        left.dedup();
        let files: Vec<u64> = files.try_iter().collect();
        assert_eq!(left.len(), files.len());
        let slots: Vec<u64> = files.iter().map(|slot| slot - files[0]).collect();
        assert_eq!(slots, [0, 40, 80, 120, 160]);
        // What was repeated is as much beside its slot as it was when it came.
        let repeated = 94 + (files[3] - files[2]);
        assert_eq!(left, [13, 51, 94, repeated, 173]);
    }
}
