// SPDX-License-Identifier: MPL-2.0

//! The upstream event that carries a receiver's bandwidth estimate.
//!
//! It starts where a receiver is known (behind a `webrtcbin`, say), enters
//! [`ducksoupmixer`](crate::ducksoupmixer) by one of that receiver's source pads, leaves it by the
//! sink pad of every source as that source's share, and ends in
//! [`bitratecontroller`](crate::bitratecontroller).

/// Name of the event's structure.
pub const NAME: &str = "ducksoup-estimate";

/// Makes the event: what the receiver can take, in bit/s.
#[must_use]
pub fn event(bitrate: u32) -> gst::Event {
    gst::event::CustomUpstream::new(gst::Structure::builder(NAME).field("bitrate", bitrate).build())
}

/// What the receiver can take in bit/s, when `event` is an estimate; anything else is `None`.
#[must_use]
pub fn parse(event: &gst::EventRef) -> Option<u32> {
    let gst::EventView::CustomUpstream(custom) = event.view() else {
        return None;
    };
    let structure = custom.structure()?;
    (structure.name() == NAME).then(|| structure.get("bitrate").ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_what_is_read() {
        gst::init().expect("GStreamer starts");
        assert_eq!(parse(&event(500_000)), Some(500_000));
    }

    #[test]
    fn another_event_is_no_estimate() {
        gst::init().expect("GStreamer starts");
        let other = gst::event::CustomUpstream::new(gst::Structure::new_empty("other"));
        assert_eq!(parse(&other), None);
        assert_eq!(parse(&gst::event::Eos::new()), None);
    }
}
