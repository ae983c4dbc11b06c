// SPDX-License-Identifier: MPL-2.0

//! Past a queue of `webrtcbin` that nobody needs here.
//!
//! Between the socket and the decryption of what comes in, webrtcbin 1.22 keeps a `queue`, and so a thread
//! that does little else than wake up: once a packet, as the socket's own thread did just before, and as
//! the jitter buffer's does just behind. That is a fifth of all wake-ups of a stage and some 3 % of its
//! time (bench/RESULTS.md, "What a participant costs"), and a delay for each packet. What must not be held
//! up is behind the jitter buffer, which has threads of its own; so the socket's thread goes on itself.

use gst::glib;
use gst::prelude::*;

/// The bin inside `webrtcbin` that receives (its GType; GStreamer 1.22 to 1.26).
const RECEIVER: &str = "TransportReceiveBin";

/// Lets everything pass this queue at once, if it is the one; to be called when `parent` gets it.
pub fn take(parent: &gst::Bin, element: &gst::Element) {
    let is_queue = element.factory().is_some_and(|factory| factory.name() == "queue");
    if !is_queue || parent.type_().name() != RECEIVER {
        return;
    }
    let (Some(sink), Some(source)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return;
    };
    let source = source.downgrade();
    let passing = gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST
        | gst::PadProbeType::EVENT_DOWNSTREAM
        | gst::PadProbeType::EVENT_FLUSH;
    sink.add_probe(passing, move |_, info| pass(&source, info));
}

/// All of it takes the same way, so that nothing overtakes anything.
fn pass(source: &glib::WeakRef<gst::Pad>, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    let Some(next) = source.upgrade().and_then(|source| source.peer()) else {
        // Not linked yet: the queue keeps it.
        return gst::PadProbeReturn::Ok;
    };
    match info.data.take() {
        Some(gst::PadProbeData::Buffer(buffer)) => info.flow_res = next.chain(buffer),
        Some(gst::PadProbeData::BufferList(list)) => info.flow_res = next.chain_list(list),
        Some(gst::PadProbeData::Event(event)) => {
            // Whether somebody wanted it is the sender's to know, and no sender here asks.
            let _ = next.send_event(event);
        }
        other => {
            info.data = other;
            return gst::PadProbeReturn::Ok;
        }
    }
    gst::PadProbeReturn::Handled
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn media_and_events_pass_in_the_thread_that_brings_them() {
        gst::init().unwrap();
        let launch = "appsrc name=source caps=text/x-raw ! queue name=queue ! fakesink name=sink sync=false async=false";
        let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        let part = |name: &str| pipeline.by_name(name).unwrap();
        let queue = part("queue");
        let source = queue.static_pad("src").unwrap().downgrade();
        let all = gst::PadProbeType::DATA_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
        let sink = queue.static_pad("sink").unwrap();
        sink.add_probe(all, move |_, info| pass(&source, info));
        let (told, heard) = mpsc::channel();
        let end = part("sink").static_pad("sink").unwrap();
        end.add_probe(gst::PadProbeType::DATA_DOWNSTREAM, move |_, info| {
            let what = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => format!("{} bytes", buffer.size()),
                Some(gst::PadProbeData::Event(event)) => event.type_().to_string(),
                _ => "something else".to_owned(),
            };
            told.send((what, std::thread::current().name().map(str::to_owned))).unwrap();
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let appsrc = part("source").downcast::<gst_app::AppSrc>().unwrap();
        for size in 1..=3 {
            appsrc.push_buffer(gst::Buffer::with_size(size).unwrap()).unwrap();
        }
        appsrc.end_of_stream().unwrap();
        let limit = std::time::Duration::from_secs(20);
        let all: Vec<_> = (0..7).map(|_| heard.recv_timeout(limit).unwrap()).collect();
        pipeline.set_state(gst::State::Null).unwrap();
        let what: Vec<&str> = all.iter().map(|(what, _)| &**what).collect();
        assert_eq!(
            what,
            ["stream-start", "caps", "segment", "1 bytes", "2 bytes", "3 bytes", "eos"]
        );
        assert!(all.iter().all(|(_, thread)| thread.as_deref() == Some("source:src")), "{all:?}");
    }
}
