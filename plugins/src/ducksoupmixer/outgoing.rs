// SPDX-License-Identifier: MPL-2.0

//! The source pads' side: events and queries of the receivers.

use super::imp::{CAT, Mixer};
use super::lane::Lane;
use super::lock;
use super::pad::MixerSrcPad;
use crate::estimate;
use crate::keyframes::Urgency;
use gst::{prelude::*, subclass::prelude::*};

impl Mixer {
    pub(super) fn src_event(&self, pad: &MixerSrcPad, event: &gst::Event) -> bool {
        if let Some(urgency) = Urgency::of(event) {
            let Some((id, receiver)) = self.receiver_of(pad) else {
                return false;
            };
            let paused = receiver.note(id, |lane| {
                lane.count_request();
                lane.is_paused()
            });
            let source = lock(&self.board).source_of(id);
            // Who is sent no pictures asks again and again, and would get none.
            if let Some(sink) = source.filter(|_| paused != Some(true)) {
                self.ask(&sink, urgency);
            }
            return true;
        }
        if let Some(bitrate) = estimate::parse(event) {
            let Some(id) = pad.imp().id() else {
                return false;
            };
            let terms = self.terms();
            let errands = lock(&self.board).estimate(id, bitrate, terms);
            self.run(errands);
            return true;
        }
        // One receiver's quality, latency or reconfiguration is no business of the others' sources.
        gst::log!(CAT, obj = pad, "ends here: {event:?}");
        matches!(
            event.type_(),
            gst::EventType::Qos | gst::EventType::Latency | gst::EventType::Reconfigure
        )
    }

    pub(super) fn src_query(&self, pad: &MixerSrcPad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                query.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            gst::QueryViewMut::Caps(query) => {
                let caps = pad.imp().promised().unwrap_or_else(|| pad.pad_template_caps());
                let filter = query.filter().map(|filter| filter.to_owned());
                query.set_result(&filter.map_or_else(
                    || caps.clone(),
                    |filter| filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                ));
                true
            }
            _ => false,
        }
    }

    pub(super) fn src_activatemode(
        &self,
        pad: &MixerSrcPad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode"));
        }
        gst::debug!(CAT, obj = pad, "active: {active}");
        if let Some((id, receiver)) = self.receiver_of(pad) {
            receiver.with(id, Lane::close);
        }
        Ok(())
    }

    /// Somebody listens now: tell them at once what comes, and get them a picture.
    pub(super) fn src_linked(&self, pad: &MixerSrcPad) {
        let Some((id, receiver)) = self.receiver_of(pad) else {
            return;
        };
        let ready = pad.imp().takes_packets();
        receiver.announce(id, |lane| {
            lane.linked();
            lane.set_ready(ready);
        });
        let source = lock(&self.board).source_of(id);
        if let Some(sink) = source
            && sink.imp().wants_asking()
            && pad.is_active()
        {
            receiver.note(id, Lane::count_request);
            self.ask(&sink, Urgency::Newcomer);
        }
    }
}
