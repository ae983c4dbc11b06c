// SPDX-License-Identifier: MPL-2.0

//! Past a queue of `webrtcbin` that nobody needs here.
//!
//! Between the socket and the decryption of what comes in, webrtcbin 1.22 keeps a `queue`, and so a thread
//! that does little else than wake up: once a packet, as the socket's own thread did just before, and as
//! the jitter buffer's does just behind. That is a fifth of all wake-ups of a stage and some 3 % of its
//! time (bench/RESULTS.md, "What a participant costs"), and a delay for each packet. What must not be held
//! up is behind the jitter buffer, which has threads of its own; so the socket's thread goes on itself with media.
//!
//! DTLS stays behind the queue: a browser's first word may be there at the very moment at which the addresses are
//! settled, and the socket's thread would take it to a `dtlsdec` that has not been started ("Fatal SSL error",
//! each time when connectivity checks are quick).

use gst::glib;
use gst::prelude::*;

/// The bin inside `webrtcbin` that receives (its GType; GStreamer 1.22 to 1.26).
const RECEIVER: &str = "TransportReceiveBin";

/// Lets media pass this queue at once, if it is the one; to be called when `parent` gets it.
pub fn take(parent: &gst::Bin, element: &gst::Element) {
    let is_queue = element.factory().is_some_and(|factory| factory.name() == "queue");
    if !is_queue || parent.type_().name() != RECEIVER {
        return;
    }
    let (Some(sink), Some(source)) = (element.static_pad("sink"), element.static_pad("src")) else {
        return;
    };
    let source = source.downgrade();
    let passing = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    sink.add_probe(passing, move |_, info| pass(&source, info));
}

/// Events and DTLS have gone through the queue before the first packet of media comes: there are no keys for it
/// earlier.
fn pass(source: &glib::WeakRef<gst::Pad>, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
    let Some(next) = source.upgrade().and_then(|source| source.peer()) else {
        // Not linked yet: the queue keeps it.
        return gst::PadProbeReturn::Ok;
    };
    match info.data.take() {
        Some(gst::PadProbeData::Buffer(buffer)) if is_media(&buffer) => {
            info.flow_res = next.chain(buffer);
        }
        Some(gst::PadProbeData::BufferList(list)) if list.get(0).is_some_and(is_media) => {
            info.flow_res = next.chain_list(list);
        }
        other => {
            info.data = other;
            return gst::PadProbeReturn::Ok;
        }
    }
    gst::PadProbeReturn::Handled
}

/// Whether this is RTP or RTCP, by its first byte (RFC 7983, section 7).
fn is_media(packet: &gst::BufferRef) -> bool {
    let mut first = [0];
    packet.copy_to_slice(0, &mut first).is_ok() && (128..=191).contains(&first[0])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn media_pass_in_the_thread_that_brings_them_and_a_handshake_does_not() {
        gst::init().unwrap();
        let launch = "appsrc name=source caps=text/x-raw ! queue name=queue ! fakesink name=sink sync=false async=false";
        let pipeline = gst::parse::launch(launch).unwrap().downcast::<gst::Pipeline>().unwrap();
        let part = |name: &str| pipeline.by_name(name).unwrap();
        let queue = part("queue");
        let source = queue.static_pad("src").unwrap().downgrade();
        let all = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        let sink = queue.static_pad("sink").unwrap();
        sink.add_probe(all, move |_, info| pass(&source, info));
        let (told, heard) = mpsc::channel();
        let end = part("sink").static_pad("sink").unwrap();
        end.add_probe(gst::PadProbeType::DATA_DOWNSTREAM, move |_, info| {
            let what = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => {
                    format!("a packet of {}", buffer.map_readable().unwrap()[0])
                }
                Some(gst::PadProbeData::Event(event)) => event.type_().to_string(),
                _ => "something else".to_owned(),
            };
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            told.send(format!("{what} by {thread}")).unwrap();
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let appsrc = part("source").downcast::<gst_app::AppSrc>().unwrap();
        let limit = std::time::Duration::from_secs(20);
        for (first, expected) in [
            (22, vec!["stream-start", "caps", "segment", "a packet of 22"]),
            (128, vec!["a packet of 128"]),
            (191, vec!["a packet of 191"]),
            (63, vec!["a packet of 63"]),
        ] {
            appsrc.push_buffer(gst::Buffer::from_slice([first, 1])).unwrap();
            let thread = if first < 128 { "queue:src" } else { "source:src" };
            for what in expected {
                assert_eq!(heard.recv_timeout(limit).unwrap(), format!("{what} by {thread}"));
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
