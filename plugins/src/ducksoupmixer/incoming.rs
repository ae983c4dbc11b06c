// SPDX-License-Identifier: MPL-2.0

//! The sink pads' side: packets, events and queries of the sources.

use super::imp::{CAT, Mixer};
use super::keyframe::Codec;
use super::lock;
use super::packet::{Arrival, Beginning, Packet};
use super::pad::{MixerSinkPad, sink::State};
use super::rewrite::StreamId;
use crate::keyframes::Urgency;
use gst::{prelude::*, subclass::prelude::*};

impl Mixer {
    pub(super) fn sink_chain(
        &self,
        pad: &MixerSinkPad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.take(pad, std::iter::once(buffer));
        Ok(gst::FlowSuccess::Ok)
    }

    pub(super) fn sink_chain_list(
        &self,
        pad: &MixerSinkPad,
        list: &gst::BufferListRef,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.take(pad, list.iter_owned());
        Ok(gst::FlowSuccess::Ok)
    }

    /// Packets that came at once go to each receiver at once: every offer may wake a thread.
    fn take(&self, pad: &MixerSinkPad, buffers: impl Iterator<Item = gst::Buffer>) {
        let arrivals: Vec<Arrival> =
            buffers.filter_map(|buffer| Self::arrival(pad, buffer)).collect();
        if arrivals.is_empty() {
            return;
        }
        let (targets, waiting) = {
            let state = lock(&pad.imp().state);
            (state.targets.clone(), state.requests.is_waiting())
        };
        let wishes = targets.iter().filter_map(|target| {
            let ready = target.pad.imp().takes_packets();
            target.receiver.offer(target.lane, ready, &arrivals)
        });
        for urgency in wishes.collect::<Vec<_>>() {
            self.ask(pad, urgency);
        }
        if waiting {
            let now = self.now();
            let due = lock(&pad.imp().state).requests.poll(now);
            if due {
                Self::push_key_unit(pad, Urgency::Repair);
            }
        }
    }

    /// What this buffer brings, counted; `None` when it is no RTP packet.
    fn arrival(pad: &MixerSinkPad, buffer: gst::Buffer) -> Option<Arrival> {
        let Some((sink, beginning)) = pad.imp().id().zip(Beginning::read(&buffer)) else {
            gst::log!(CAT, obj = pad, "no RTP packet: {buffer:?}");
            lock(&pad.imp().state).counts.malformed += 1;
            return None;
        };
        let header = beginning.header();
        let mut state = lock(&pad.imp().state);
        state.flows = true;
        state.counts.packets += 1;
        state.counts.bytes += buffer.size() as u64;
        let keyframe = state.begins_keyframe(&beginning);
        let time = state.running_time(buffer.pts());
        let stream = StreamId { sink, ssrc: header.ssrc };
        Some(Arrival { stream, keyframe, packet: Packet::new(buffer, header, time) })
    }

    /// Every event of a source ends here: routes outlive their sources.
    pub(super) fn sink_event(&self, pad: &MixerSinkPad, event: &gst::Event) -> bool {
        use gst::EventView;
        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::StreamStart(_) => lock(&pad.imp().state).ended = false,
            EventView::Caps(event) => {
                lock(&pad.imp().state).set_caps(event.caps_owned());
                self.reroute();
            }
            EventView::Segment(event) => {
                let segment = event.segment().downcast_ref::<gst::ClockTime>().cloned();
                lock(&pad.imp().state).segment = segment;
            }
            EventView::FlushStop(_) => {
                let mut state = lock(&pad.imp().state);
                state.segment = None;
                state.ended = false;
            }
            EventView::Eos(_) => {
                gst::info!(CAT, obj = pad, "has ended");
                lock(&pad.imp().state).ended = true;
                self.end_if_all_ended();
            }
            _ => {}
        }
        true
    }

    pub(super) fn sink_query(&self, pad: &MixerSinkPad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let caps = pad.pad_template_caps();
                let filter = query.filter().map(|filter| filter.to_owned());
                query.set_result(&filter.map_or_else(
                    || caps.clone(),
                    |filter| filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                ));
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                let accepted = pad.pad_template_caps().can_intersect(query.caps());
                query.set_result(accepted);
                true
            }
            // Nothing is known of a source's receivers that would hold for all of them.
            _ => false,
        }
    }
}

impl State {
    fn set_caps(&mut self, caps: gst::Caps) {
        let name =
            caps.structure(0).and_then(|structure| structure.get::<String>("encoding-name").ok());
        self.codec = Codec::from_encoding_name(name.as_deref().unwrap_or_default());
        self.caps = Some(caps);
    }

    /// Whether this packet is the first of a keyframe. Where that cannot be told, every new
    /// timestamp counts as one.
    fn begins_keyframe(&mut self, beginning: &Beginning) -> bool {
        let header = beginning.header();
        let frame = (header.ssrc, header.timestamp);
        let unknown = self.codec == Codec::Other;
        if self.keyframe == Some(frame)
            || !(unknown || self.codec.begins_keyframe(beginning.payload()))
        {
            return false;
        }
        self.keyframe = Some(frame);
        if !unknown {
            self.counts.keyframes += 1;
            self.requests.keyframe();
        }
        true
    }

    fn running_time(&self, pts: Option<gst::ClockTime>) -> Option<gst::ClockTime> {
        let Some(segment) = &self.segment else {
            return pts;
        };
        match segment.to_running_time_full(pts?)? {
            gst::Signed::Positive(time) => Some(time),
            gst::Signed::Negative(_) => Some(gst::ClockTime::ZERO),
        }
    }
}
