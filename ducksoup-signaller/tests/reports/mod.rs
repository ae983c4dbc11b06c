// SPDX-License-Identifier: MPL-2.0

//! What sender reports say to the webrtcbins of a test.

use gst::prelude::*;
use std::sync::Mutex;
use std::sync::mpsc::Sender;

/// How far a report may lie from the media, in seconds. Generous: the machine may be busy. Reports
/// that run away are off by the whole age of the connection.
pub(crate) const NEAR: f64 = 1.0;

/// Tells, for each sender report that comes to a webrtcbin in `bin` from now on, how far the time of
/// the media that the sender takes just now lies from this moment, in seconds; infinite when the
/// report does not fit the media at all.
pub(crate) fn watch(bin: &gst::Bin, offs: Sender<f64>) {
    let offs = Mutex::new(offs);
    bin.connect_deep_element_added(move |_, _, element| {
        if element.factory().is_none_or(|factory| factory.name() != "rtpjitterbuffer") {
            return;
        }
        let offs = offs.lock().unwrap().clone();
        let buffer = element.downgrade();
        element.connect("handle-sync", false, move |values| {
            let report = values[1].get::<gst::Structure>().unwrap();
            let now = buffer.upgrade().and_then(|buffer| buffer.current_running_time());
            let _ = offs.send(off(&report, now.unwrap_or_default()));
            None
        });
    });
}

fn off(report: &gst::StructureRef, now: gst::ClockTime) -> f64 {
    let field = |name| report.get::<u64>(name).unwrap();
    let said = field("sr-ext-rtptime");
    // What the jitter buffer says of a report that it does not believe.
    if said == u64::MAX {
        return f64::INFINITY;
    }
    let units = said as f64 - field("base-rtptime") as f64;
    let seconds = units / f64::from(report.get::<u32>("clock-rate").unwrap());
    seconds + (field("base-time") as f64 - now.nseconds() as f64) / 1e9
}
