// SPDX-License-Identifier: MPL-2.0

//! The media side of a server: a webrtcbin that offers, through the server's own signaller. It
//! sends blue and 1320 Hz, and tells what it sees and hears.

#![allow(dead_code)] // each test program uses a part

use super::server::{Connection, Heard};
use ducksoup_signaller::frame;
use ducksoup_signaller::nice;
use ducksoup_signaller::protocol::{ClientMessage, Identifier, ServerMessage};
use ducksoup_signaller::server::ServerSignaller;
use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSessionDescription};
use gstrswebrtc::signaller::prelude::*;
use std::sync::mpsc::{Receiver, Sender, channel};

/// What a media stream shows, a buffer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sense {
    /// A tone that makes up nearly all of it, in Hz.
    Tone(u32),
    /// A picture of one colour: red, green and blue, each none (0), some (1) or much (2).
    Colour([u8; 3]),
}

pub(crate) const RED: Sense = Sense::Colour([2, 0, 0]);
pub(crate) const BLUE: Sense = Sense::Colour([0, 0, 2]);
pub(crate) const LOW: Sense = Sense::Tone(440);
pub(crate) const HIGH: Sense = Sense::Tone(1320);

/// The end of a chain that tells `sender` what it gets; raw media of this kind come in.
pub(crate) fn sensor(kind: &str, sender: Sender<Sense>) -> gst::Bin {
    let description = match kind {
        "audio" => {
            "audioconvert ! audioresample ! audio/x-raw,format=F32LE,channels=1,rate=48000
             ! appsink name=end sync=false async=false"
        }
        _ => {
            "videoconvert ! videoscale ! video/x-raw,format=RGB,width=16,height=16
             ! appsink name=end sync=false async=false"
        }
    };
    let bin = gst::parse::bin_from_description(description, true).unwrap();
    let end = bin.by_name("end").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let is_audio = kind == "audio";
    end.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |end| {
                let sample = end.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let map = sample.buffer().unwrap().map_readable().unwrap();
                let sense = if is_audio { tone(&map) } else { Some(colour(&map)) };
                if let Some(sense) = sense {
                    let _ = sender.send(sense);
                }
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );
    bin
}

fn tone(bytes: &[u8]) -> Option<Sense> {
    let samples: Vec<f32> =
        bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let all: f32 = samples.iter().map(|sample| sample * sample).sum();
    [440, 1320]
        .into_iter()
        .find(|frequency| share(&samples, *frequency, all) > 0.9)
        .map(Sense::Tone)
}

/// The share of the power that lies at `frequency` (Goertzel).
fn share(samples: &[f32], frequency: u32, all: f32) -> f32 {
    let turn = 2.0 * (std::f32::consts::TAU * frequency as f32 / 48_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (sample + turn * last - before, last);
    }
    let at = last * last + before * before - turn * last * before;
    2.0 * at / (all * samples.len() as f32).max(f32::MIN_POSITIVE)
}

fn colour(pixels: &[u8]) -> Sense {
    let mean = |channel: usize| {
        let sum: u32 = pixels.iter().skip(channel).step_by(3).map(|byte| u32::from(*byte)).sum();
        sum / (16 * 16)
    };
    Sense::Colour([0, 1, 2].map(|channel| match mean(channel) {
        0..60 => 0,
        60..180 => 1,
        _ => 2,
    }))
}

/// The caps of one track, as the server promises them.
pub(crate) fn promise(codec: &str, ssrc: Option<u32>) -> gst::Caps {
    let builder = gst::Caps::builder("application/x-rtp");
    let builder = match codec {
        "OPUS" => builder
            .field("media", "audio")
            .field("payload", 111)
            .field("clock-rate", 48_000)
            .field("encoding-params", "2"),
        "H264" => builder
            .field("media", "video")
            .field("payload", 102)
            .field("clock-rate", 90_000)
            .field("packetization-mode", "1")
            .field("profile-level-id", "42e01f")
            .field("level-asymmetry-allowed", "1")
            .field("rtcp-fb-nack-pli", true),
        _ => builder
            .field("media", "video")
            .field("payload", 96)
            .field("clock-rate", 90_000)
            .field("rtcp-fb-nack-pli", true),
    };
    let builder = builder.field("encoding-name", codec);
    match ssrc {
        Some(ssrc) => builder.field("ssrc", ssrc).build(),
        None => builder.build(),
    }
}

enum Turn {
    Say(ServerMessage),
    Offer(WebRTCSessionDescription),
    Candidate(u32, String),
}

const CLIENT: frame::Connection = frame::Connection(1);

/// Gone with its connection.
pub(crate) struct Stage {
    pub(crate) pipeline: gst::Pipeline,
    webrtcbin: gst::Element,
    signaller: ServerSignaller,
    turns: Receiver<Turn>,
    sender: Sender<Turn>,
    format: String,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Stage {
    /// Asks to receive Opus and this video format; what comes goes to `senses`.
    pub(crate) fn new(format: &str, senses: &Sender<Sense>) -> Self {
        let (sender, turns) = channel();
        let pipeline = gst::Pipeline::new();
        let webrtcbin = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .build()
            .unwrap();
        nice::no_upnp(&webrtcbin);
        pipeline.add(&webrtcbin).unwrap();
        let to = sender.clone();
        webrtcbin.connect_closure(
            "on-ice-candidate",
            false,
            glib::closure!(move |_: &gst::Element, section: u32, line: String| {
                let _ = to.send(Turn::Candidate(section, line));
            }),
        );
        let to = senses.clone();
        webrtcbin.connect_pad_added(move |webrtcbin, pad| sense(webrtcbin, pad, &to));
        pipeline.set_state(gst::State::Playing).unwrap();
        for codec in ["OPUS", format] {
            let direction = WebRTCRTPTransceiverDirection::Recvonly;
            let caps = promise(codec, None);
            let _: WebRTCRTPTransceiver =
                webrtcbin.emit_by_name("add-transceiver", &[&direction, &caps]);
        }
        let to = sender.clone();
        let signaller = ServerSignaller::new(move |_, message| {
            let _ = to.send(Turn::Say(message));
        });
        let to = webrtcbin.clone();
        signaller.connect_closure(
            "session-description",
            false,
            glib::closure!(
                move |_: glib::Object, _: &str, description: &WebRTCSessionDescription| {
                    let nobody = None::<gst::Promise>;
                    to.emit_by_name::<()>("set-remote-description", &[description, &nobody]);
                }
            ),
        );
        let to = webrtcbin.clone();
        signaller.connect_closure(
            "handle-ice",
            false,
            glib::closure!(move |_: glib::Object,
                                 _: &str,
                                 section: u32,
                                 _: Option<String>,
                                 candidate: &str| {
                to.emit_by_name::<()>("add-ice-candidate", &[&section, &candidate]);
            }),
        );
        signaller.open(CLIENT, &Identifier::new("u").unwrap());
        Self { pipeline, webrtcbin, signaller, turns, sender, format: format.to_owned() }
    }

    /// Asks for lost packets of pictures again, from the next offer on.
    pub(crate) fn ask_again(&self) {
        let transceiver: WebRTCRTPTransceiver =
            self.webrtcbin.emit_by_name("get-transceiver", &[&1i32]);
        transceiver.set_property("do-nack", true);
    }

    pub(crate) fn offer(&self) {
        let sender = self.sender.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply.unwrap().unwrap().get::<WebRTCSessionDescription>("offer").unwrap();
            let _ = sender.send(Turn::Offer(offer));
        });
        let options = None::<gst::Structure>;
        self.webrtcbin.emit_by_name::<()>("create-offer", &[&options, &promise]);
    }

    /// Sends blue and 1320 Hz under this stream id, from the next offer on.
    pub(crate) fn send(&self, stream: &str) {
        let encode = match self.format.as_str() {
            "H264" => {
                "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 aud=false
                 ! video/x-h264,profile=constrained-baseline ! rtph264pay pt=102 config-interval=-1"
            }
            _ => "vp8enc deadline=1 keyframe-max-dist=20 ! rtpvp8pay pt=96",
        };
        let video = format!(
            "videotestsrc is-live=true pattern=blue ! video/x-raw,width=160,height=120,framerate=20/1
             ! {encode} ssrc=22"
        );
        let audio = "audiotestsrc is-live=true freq=1320 ! audio/x-raw,rate=48000,channels=1
                     ! opusenc ! rtpopuspay pt=111 ssrc=11";
        for (index, description, codec, ssrc) in
            [(2, audio, "OPUS", 11), (3, video.as_str(), self.format.as_str(), 22)]
        {
            let caps = promise(codec, Some(ssrc));
            let source = gst::parse::bin_from_description(
                &format!("{description} ! capssetter name=promise replace=true join=false ! queue"),
                true,
            )
            .unwrap();
            source.by_name("promise").unwrap().set_property("caps", &caps);
            self.pipeline.add(&source).unwrap();
            let template = self.webrtcbin.pad_template("sink_%u").unwrap();
            let name = format!("sink_{index}");
            let pad = self.webrtcbin.request_pad(&template, Some(&name), Some(&caps)).unwrap();
            pad.set_property("msid", stream);
            let transceiver = pad.property::<WebRTCRTPTransceiver>("transceiver");
            transceiver.set_direction(WebRTCRTPTransceiverDirection::Sendonly);
            transceiver.set_codec_preferences(Some(&caps));
            // The offer names the source only when its caps are there.
            let (sender, arrived) = channel();
            pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
                if info.event().is_some_and(|event| event.type_() == gst::EventType::Caps) {
                    let _ = sender.send(());
                }
                gst::PadProbeReturn::Ok
            });
            source.static_pad("src").unwrap().link(&pad).unwrap();
            source.sync_state_with_parent().unwrap();
            arrived.recv_timeout(super::server::LIMIT).unwrap();
        }
        self.offer();
    }

    /// Lets both sides talk for one turn; false when the client is gone. `munge` sees each offer
    /// on its way out, and each answer on its way in.
    pub(crate) fn turn(
        &self,
        connection: &mut Connection,
        munge: &mut impl FnMut(&mut String),
    ) -> bool {
        while let Ok(turn) = self.turns.try_recv() {
            match turn {
                Turn::Say(ServerMessage::Offer(mut offer)) => {
                    munge(&mut offer.sdp);
                    connection.say(&ServerMessage::Offer(offer));
                }
                Turn::Say(message) => connection.say(&message),
                Turn::Offer(offer) => {
                    let nobody = None::<gst::Promise>;
                    self.webrtcbin.emit_by_name::<()>("set-local-description", &[&offer, &nobody]);
                    self.signaller.send_sdp("1", &offer);
                }
                Turn::Candidate(section, line) => self.signaller.add_ice("1", &line, section, None),
            }
        }
        match connection.hear() {
            Heard::Said(ClientMessage::Answer(mut answer)) => {
                munge(&mut answer.sdp);
                self.signaller.receive(CLIENT, &ClientMessage::Answer(answer)).unwrap();
            }
            Heard::Said(message @ ClientMessage::Candidate(_)) => {
                self.signaller.receive(CLIENT, &message).unwrap();
            }
            Heard::Said(_) | Heard::Nothing => {}
            Heard::Closed(_) => return false,
        }
        true
    }
}

fn sense(webrtcbin: &gst::Element, pad: &gst::Pad, senses: &Sender<Sense>) {
    if pad.direction() != gst::PadDirection::Src {
        return;
    }
    let caps = pad.current_caps().unwrap();
    let encoding = caps.structure(0).unwrap().get::<String>("encoding-name").unwrap();
    let (kind, decode) = match encoding.as_str() {
        "OPUS" => ("audio", "rtpopusdepay ! opusdec"),
        "H264" => ("video", "rtph264depay ! h264parse ! avdec_h264"),
        _ => ("video", "rtpvp8depay wait-for-keyframe=true ! vp8dec"),
    };
    let pipeline = webrtcbin.parent().unwrap().downcast::<gst::Bin>().unwrap();
    let decode = gst::parse::bin_from_description(&format!("queue ! {decode}"), true).unwrap();
    let sensor = sensor(kind, senses.clone());
    pipeline.add_many([&decode, &sensor]).unwrap();
    decode.link(&sensor).unwrap();
    sensor.sync_state_with_parent().unwrap();
    decode.sync_state_with_parent().unwrap();
    pad.link(&decode.static_pad("sink").unwrap()).unwrap();
}
