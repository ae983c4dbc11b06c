// SPDX-License-Identifier: MPL-2.0

//! One connection for media: a webrtcbin that answers. Coming back makes a new one.

use super::codec::{self, Wanted};
use super::ice::Servers;
use super::input::{Input, Inputs};
use super::promises::Promises;
use super::sending::{MEDIA, Sending};
use crate::nice;
use gst::glib;
use gst::prelude::*;
use gst_app::{AppLeakyType, AppSink, AppSrc, AppStreamType};
use gst_webrtc::{
    WebRTCICETransportPolicy, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection,
    WebRTCSessionDescription,
};
use std::sync::Arc;

/// What the jitter buffer waits for a packet that is missing (`DUCKSOUP_JITTER_BUFFER`).
pub(super) const JITTER_BUFFER: gst::ClockTime = gst::ClockTime::from_mseconds(150);
/// What waits for the network; the oldest goes first. Ours.
const BACKLOG: gst::ClockTime = gst::ClockTime::from_mseconds(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) session: u64,
    bin: gst::Bin,
    webrtcbin: gst::Element,
    /// The `MediaStream` ids of the latest offer's sections.
    streams: Vec<Option<String>>,
    /// What the server asks for.
    pub(super) wanted: Vec<Wanted>,
    /// Sections that have a sink pad already.
    sections: Vec<u32>,
    promises: Promises,
}

impl Call {
    /// A webrtcbin in `parent` that waits for an offer.
    pub(super) fn new(
        session: u64,
        policy: WebRTCICETransportPolicy,
        servers: &Servers,
        parent: &gst::Bin,
        inputs: &Inputs,
    ) -> Result<Self, glib::BoolError> {
        let webrtcbin = gst::ElementFactory::make("webrtcbin")
            .name("webrtc")
            .property_from_str("bundle-policy", "max-bundle")
            .property("ice-transport-policy", policy)
            .property("latency", u32::try_from(JITTER_BUFFER.mseconds()).unwrap_or(u32::MAX))
            .build()?;
        nice::no_upnp(&webrtcbin);
        if let Some(stun) = &servers.stun {
            webrtcbin.set_property("stun-server", stun);
        }
        for turn in &servers.turn {
            if !webrtcbin.emit_by_name::<bool>("add-turn-server", &[turn]) {
                gst::warning!(super::CAT, obj = webrtcbin, "a TURN server that is none");
            }
        }
        let bin = gst::Bin::with_name(&format!("call-{session}"));
        bin.add(&webrtcbin)?;
        let call = Self {
            session,
            bin,
            webrtcbin,
            streams: Vec::new(),
            wanted: Vec::new(),
            sections: Vec::new(),
            promises: Promises::new(),
        };
        call.report(inputs);
        parent.add(&call.bin)?;
        call.bin.sync_state_with_parent()?;
        Ok(call)
    }

    /// webrtcbin's callbacks become inputs.
    fn report(&self, inputs: &Inputs) {
        if let Some(bin) = self.webrtcbin.downcast_ref::<gst::Bin>() {
            bin.connect_deep_element_added(|_, _, element| never_wait(element));
            report_capture_times(bin);
        }
        let (session, to) = (self.session, inputs.clone());
        self.webrtcbin.connect_closure(
            "on-ice-candidate",
            false,
            glib::closure!(move |_: gst::Element, section: u32, candidate: String| {
                to.send(Input::OurCandidate(session, section, candidate));
            }),
        );
        self.webrtcbin.connect_closure(
            "on-new-transceiver",
            false,
            glib::closure!(|_: gst::Element, transceiver: WebRTCRTPTransceiver| {
                // On sound it makes browsers refuse the whole description.
                if transceiver.kind() == gst_webrtc::WebRTCKind::Video {
                    transceiver.set_property("do-nack", true);
                }
            }),
        );
        let to = inputs.clone();
        self.webrtcbin.connect_notify(Some("connection-state"), move |webrtcbin, _| {
            to.send(Input::Connection(session, webrtcbin.property("connection-state")));
        });
        let to = inputs.clone();
        self.webrtcbin.connect_pad_added(move |_, pad| {
            if pad.direction() == gst::PadDirection::Src {
                // It must not flow before it is linked, and this is no thread to link it on.
                let block = pad
                    .add_probe(gst::PadProbeType::BLOCK_DOWNSTREAM, |_, _| gst::PadProbeReturn::Ok);
                to.send(Input::Track(session, pad.clone(), block));
            }
        });
    }

    /// Takes the server's offer; what comes of it is an [`Input::Answered`]. The answer is told only
    /// when it is set: media that come earlier would find no way, which ends the connection.
    pub(super) fn describe(&mut self, offer: &WebRTCSessionDescription, inputs: &Inputs) {
        self.streams = codec::streams(offer.sdp());
        self.wanted = codec::wanted(offer.sdp());
        let (session, inputs) = (self.session, inputs.clone());
        let tell = move |answer| inputs.send(Input::Answered(session, answer));
        let (webrtcbin, promises) = (self.webrtcbin.downgrade(), self.promises.clone());
        self.promises.ask(&self.webrtcbin, "set-remote-description", offer, move |reply| {
            let Some(bin) = webrtcbin.upgrade() else {
                return;
            };
            if let Err(error) = reply {
                return tell(Err(error));
            }
            let then = promises.clone();
            promises.ask(&bin, "create-answer", &None::<gst::Structure>, move |reply| {
                let Some(bin) = webrtcbin.upgrade() else {
                    return;
                };
                let answer = match answer_in(reply) {
                    Ok(answer) => answer,
                    Err(error) => return tell(Err(error)),
                };
                then.ask(&bin, "set-local-description", &answer.clone(), move |reply| {
                    tell(reply.map(|_| answer));
                });
            });
        });
    }

    /// Gives `sending` a section of the offer that is about to be described.
    pub(super) fn send(
        &mut self,
        wanted: &Wanted,
        sending: &Arc<Sending>,
    ) -> Result<(), glib::BoolError> {
        if self.sections.contains(&wanted.section) {
            return Ok(());
        }
        let caps = sending.promise(wanted);
        let name = format!("sink_{}", wanted.section);
        let template = self
            .webrtcbin
            .pad_template("sink_%u")
            .ok_or_else(|| glib::bool_error!("webrtcbin without sink pads"))?;
        let pad = self
            .webrtcbin
            .request_pad(&template, Some(&name), Some(&caps))
            .ok_or_else(|| glib::bool_error!("webrtcbin gives no {name}"))?;
        let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
        transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
        transceiver.set_codec_preferences(Some(&caps));
        let outlet = AppSrc::builder()
            .name(format!("outlet-{}", wanted.section))
            .caps(&caps)
            .format(gst::Format::Time)
            .stream_type(AppStreamType::Stream)
            .is_live(true)
            .max_time(BACKLOG)
            .max_bytes(0)
            .leaky_type(AppLeakyType::Downstream)
            .build();
        self.bin.add(&outlet)?;
        let source =
            outlet.static_pad("src").ok_or_else(|| glib::bool_error!("appsrc without a pad"))?;
        source.link(&pad).map_err(|error| glib::bool_error!("{name}: {error}"))?;
        outlet.sync_state_with_parent()?;
        sending.connect(&outlet);
        self.sections.push(wanted.section);
        Ok(())
    }

    /// The connection stands. Its RTP session must know how late packets leave, or it makes no
    /// sender reports and nobody can align sound and picture. They leave at once.
    pub(super) fn settle(&self) {
        self.webrtcbin.send_event(gst::event::Latency::new(gst::ClockTime::ZERO));
    }

    pub(super) fn add_candidate(&self, section: u32, candidate: &str) {
        self.webrtcbin.emit_by_name::<()>("add-ice-candidate", &[&section, &candidate]);
    }

    /// Whose track comes out of a pad of webrtcbin: its `MediaStream` id.
    pub(super) fn stream_of(&self, pad: &gst::Pad) -> Option<&str> {
        let transceiver = pad.property::<Option<WebRTCRTPTransceiver>>("transceiver")?;
        self.streams.get(transceiver.mlineindex() as usize)?.as_deref()
    }

    /// An end for a pad of webrtcbin.
    pub(super) fn tap(&self, pad: &gst::Pad) -> Result<AppSink, glib::BoolError> {
        let sink = AppSink::builder().sync(false).async_(false).build();
        self.bin.add(&sink)?;
        let end = sink.static_pad("sink").ok_or_else(|| glib::bool_error!("no sink pad"))?;
        sink.sync_state_with_parent()?;
        pad.link(&end).map_err(|error| glib::bool_error!("{error}"))?;
        Ok(sink)
    }

    /// Takes the call out of `parent`; what is left is to be brought to NULL, wherever it may take
    /// its time.
    pub(super) fn detach(self, parent: &gst::Bin) -> gst::Bin {
        self.promises.withdraw();
        self.bin.set_locked_state(true);
        drop(parent.remove(&self.bin));
        self.bin
    }
}

/// The description in a reply to `create-answer`.
fn answer_in(
    reply: Result<Option<&gst::StructureRef>, String>,
) -> Result<WebRTCSessionDescription, String> {
    let reply = reply?.ok_or("no answer")?;
    reply.get("answer").map_err(|error| error.to_string())
}

/// The places inside webrtcbin that would wait for the clock.
fn never_wait(element: &gst::Element) {
    match element.factory().map(|factory| factory.name()).as_deref() {
        Some("clocksync") => element.set_property("sync", false),
        Some("rtpjitterbuffer") => {
            // Without it the first packets are held for the whole latency.
            element.set_property("faststart-min-packets", 1u32);
            // A packet that nobody has sent yet is not lost.
            element.set_property("rtx-next-seqnum", false);
        }
        _ => {}
    }
}

/// Sender reports tell when media were taken. By default they tell when they are sent, which needs
/// the configured latency; no latency event finds its way to the sessions inside a webrtcbin (1.22),
/// and their reports would run away from the media by a second every second.
fn report_capture_times(webrtcbin: &gst::Bin) {
    if let Some(rtpbin) = webrtcbin.by_name("rtpbin") {
        rtpbin.set_property("rtcp-sync-send-time", false);
    }
}

/// Lets media end at this pad: an open end would be an error. What is handled is dropped, and once only: Drop releases
/// it twice (GStreamer 1.22).
pub(super) fn drop_everything(pad: &gst::Pad) {
    pad.add_probe(MEDIA, |_, _| gst::PadProbeReturn::Handled);
}
