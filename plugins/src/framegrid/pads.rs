// SPDX-License-Identifier: MPL-2.0

//! What passes the pads beside frames: events, queries, and the negotiation of the rate.

use super::caps;
use super::imp::{CAT, FrameGrid, Liveness};
use gst::prelude::*;
use gst::subclass::prelude::*;

impl FrameGrid {
    pub(super) fn renegotiate(&self) -> Result<(), gst::FlowError> {
        let Some(incoming) = self.lock().incoming.clone() else {
            return Ok(());
        };
        if self.negotiate(&incoming) {
            return Ok(());
        }
        self.srcpad.mark_reconfigure();
        if self.srcpad.pad_flags().contains(gst::PadFlags::FLUSHING) {
            return Err(gst::FlowError::Flushing);
        }
        Err(gst::FlowError::NotNegotiated)
    }

    /// Decides on the rate. The caps go out now or, when a picture of other caps may have to be
    /// repeated first, with the next frame.
    fn negotiate(&self, incoming: &gst::Caps) -> bool {
        let settings = self.lock().settings;
        let any = caps::at_any_rate(incoming.clone());
        let downstream = self.srcpad.peer_query_caps(Some(&any));
        let Some((outgoing, rate)) = caps::outgoing(incoming, settings.framerate, &downstream)
        else {
            gst::warning!(CAT, imp = self, "{downstream} does not take {incoming}");
            return false;
        };
        gst::info!(CAT, imp = self, "{incoming} becomes {outgoing}");
        let now = {
            let mut state = self.lock();
            let origin = state.settings.origin;
            state.incoming = Some(incoming.clone());
            state.stream.set_caps(outgoing, rate, origin)
        };
        self.restart_timer();
        now.is_none_or(|caps| self.srcpad.push_event(gst::event::Caps::new(&caps)))
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        match event.view() {
            EventView::Caps(caps) => {
                self.srcpad.check_reconfigure();
                return self.negotiate(&caps.caps_owned());
            }
            EventView::Segment(segment) => return self.take_segment(segment),
            EventView::Gap(gap) => {
                self.pass_gap(gap);
                return true;
            }
            EventView::StreamStart(_) => {
                let mut state = self.lock();
                state.segment_sent = false;
                state.liveness = Liveness::Unknown;
            }
            EventView::FlushStop(_) => {
                let mut state = self.lock();
                let origin = state.settings.origin;
                state.stream.reset(origin);
                state.segment_sent = false;
            }
            EventView::Eos(_) => {
                let now = self.now();
                let tail = self.lock().stream.end(now);
                if let Err(err) = self.send(tail) {
                    gst::debug!(CAT, imp = self, "Downstream refuses the tail: {err}");
                }
                gst::info!(CAT, imp = self, "At the end: {}", self.stats());
            }
            _ => (),
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn take_segment(&self, event: &gst::event::Segment) -> bool {
        let Some(segment) = event.segment().downcast_ref::<gst::ClockTime>() else {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("Frames can be placed by time only"),
                ["segment in {:?}", event.segment().format()]
            );
            return false;
        };
        let sent = {
            let mut state = self.lock();
            state.stream.set_segment(segment.clone());
            std::mem::replace(&mut state.segment_sent, true)
        };
        // What goes out is in running time already.
        let ours = gst::FormattedSegment::<gst::ClockTime>::new();
        sent || self
            .srcpad
            .push_event(gst::event::Segment::builder(&ours).seqnum(event.seqnum()).build())
    }

    fn pass_gap(&self, event: &gst::event::Gap) {
        let (start, length) = event.get();
        let output = {
            let mut state = self.lock();
            length
                .and_then(|length| state.stream.running_time(start + length))
                .and_then(|end| state.stream.pass_gap(end))
        };
        if let Err(err) = self.send(output) {
            gst::debug!(CAT, imp = self, "Downstream refuses the gap's slots: {err}");
        }
    }

    pub(super) fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Qos(_) => true,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    pub(super) fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let filter = query.filter_owned().map(caps::at_any_rate);
                let downstream = self.srcpad.peer_query_caps(filter.as_ref());
                let answer = caps::at_any_rate(downstream);
                answer_caps(pad, query, &answer);
                true
            }
            gst::QueryViewMut::Allocation(query) => {
                let answered = self.srcpad.peer_query(query);
                if answered {
                    spare_one(query);
                }
                answered
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    pub(super) fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let framerate = self.lock().settings.framerate;
                let filter = query.filter_owned().map(caps::at_any_rate);
                let upstream = self.sinkpad.peer_query_caps(filter.as_ref());
                let answer = caps::at_grid_rates(upstream, framerate);
                answer_caps(pad, query, &answer);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

fn answer_caps(pad: &gst::Pad, query: &mut gst::query::Caps, answer: &gst::Caps) {
    let mut answer = answer.intersect(&pad.pad_template_caps());
    if let Some(filter) = query.filter() {
        answer = answer.intersect_with_mode(filter, gst::CapsIntersectMode::First);
    }
    query.set_result(&answer);
}

/// We keep the last picture: the pools proposed from downstream need a buffer more.
fn spare_one(query: &mut gst::query::Allocation) {
    let pools: Vec<_> = query.allocation_pools().collect();
    for (index, (pool, size, min, max)) in (0_u32..).zip(pools) {
        let max = if max == 0 { 0 } else { max.saturating_add(1) };
        query.set_nth_allocation_pool(index, pool.as_ref(), size, min.saturating_add(1), max);
    }
}
