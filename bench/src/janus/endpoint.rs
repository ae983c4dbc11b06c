// SPDX-License-Identifier: MPL-2.0

//! One connection to Janus: a `webrtcbin` that publishes ready-made media, or counts what it gets.

use crate::cost::media::Media;
use crate::cost::participant::Received;
use crate::counts::{Format, Running};
use anyhow::Context as _;
use gst::prelude::*;
use gst_app::AppSrc;
use gst_webrtc::{WebRTCICEGatheringState, WebRTCSDPType, WebRTCSessionDescription};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for a description or for candidates.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection; ends with its scope.
#[derive(Debug)]
pub(crate) struct Endpoint {
    running: Running,
    webrtc: gst::Element,
    /// What it has got.
    pub(crate) received: Arc<Received>,
}

impl Endpoint {
    fn new(launch: &str) -> anyhow::Result<Self> {
        let pipeline = match gst::parse::launch(launch)?.downcast::<gst::Pipeline>() {
            Ok(pipeline) => pipeline,
            // A single element is no pipeline yet.
            Err(alone) => {
                let pipeline = gst::Pipeline::new();
                pipeline.add(&alone)?;
                pipeline
            }
        };
        let running = Running(pipeline);
        let webrtc = running.0.by_name("webrtc").context("no webrtcbin")?;
        let received = Arc::<Received>::default();
        let (counted, around) = (Arc::clone(&received), running.0.downgrade());
        webrtc.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = around.upgrade()
                && pad.direction() == gst::PadDirection::Src
                && let Err(error) = drain(&pipeline, pad, &counted)
            {
                gst::element_error!(pipeline, gst::CoreError::Pad, ["{error}"]);
            }
        });
        Ok(Self { running, webrtc, received })
    }

    /// Publishes these media; gives it and its offer, candidates included.
    ///
    /// # Errors
    /// When it does not come to an offer.
    pub(crate) fn publish(media: &Media, format: Format) -> anyhow::Result<(Self, String)> {
        let (name, payer) = match format {
            Format::H264 => {
                ("H264", "rtph264pay mtu=1200 aggregate-mode=zero-latency config-interval=-1")
            }
            Format::Vp8 => ("VP8", "rtpvp8pay mtu=1200 picture-id-mode=15-bit"),
        };
        let endpoint = Self::new(&format!(
            "webrtcbin name=webrtc bundle-policy=max-bundle \
             appsrc name=sound ! clocksync ! rtpopuspay pt=111 \
             ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! webrtc. \
             appsrc name=pictures ! clocksync ! {payer} pt=102 \
             ! application/x-rtp,media=video,encoding-name={name},payload=102 ! webrtc."
        ))?;
        for (name, clip) in [("sound", &media.sound), ("pictures", &media.pictures)] {
            let source = endpoint.running.0.by_name(name).context("no source")?;
            clip.play(&source.downcast::<AppSrc>().map_err(|_| anyhow::anyhow!("no appsrc"))?);
        }
        endpoint.running.0.set_state(gst::State::Playing)?;
        // The offer names the streams only when their caps have come.
        let since = Instant::now();
        let knows = |pad: &gst::Pad| pad.current_caps().is_some();
        while !endpoint.webrtc.sink_pads().iter().all(knows) {
            anyhow::ensure!(since.elapsed() < LIMIT, "no caps");
            std::thread::sleep(Duration::from_millis(10));
        }
        for pad in endpoint.webrtc.sink_pads() {
            let transceiver = pad.property::<gst_webrtc::WebRTCRTPTransceiver>("transceiver");
            transceiver.set_direction(gst_webrtc::WebRTCRTPTransceiverDirection::Sendonly);
            if pad
                .current_caps()
                .is_some_and(|caps| caps.to_string().contains("media=(string)video"))
            {
                transceiver.set_property("do-nack", true);
            }
        }
        let offer = endpoint.describe("create-offer", "offer")?;
        Ok((endpoint, offer))
    }

    /// Takes what is offered; gives it and its answer, candidates included.
    ///
    /// # Errors
    /// When it does not come to an answer.
    pub(crate) fn subscribe(offer: &str) -> anyhow::Result<(Self, String)> {
        let endpoint = Self::new("webrtcbin name=webrtc bundle-policy=max-bundle")?;
        endpoint.running.0.set_state(gst::State::Playing)?;
        endpoint.hear(WebRTCSDPType::Offer, offer)?;
        let answer = endpoint.describe("create-answer", "answer")?;
        Ok((endpoint, answer))
    }

    /// Sets what the other side says.
    ///
    /// # Errors
    /// When it is no session description.
    pub(crate) fn hear(&self, kind: WebRTCSDPType, text: &str) -> anyhow::Result<()> {
        let message = gst_sdp::SDPMessage::parse_buffer(text.as_bytes())?;
        let description = WebRTCSessionDescription::new(kind, message);
        let promise = gst::Promise::new();
        self.webrtc.emit_by_name::<()>("set-remote-description", &[&description, &promise]);
        promise.wait();
        Ok(())
    }

    /// Makes a description and waits for its candidates.
    fn describe(&self, signal: &str, field: &str) -> anyhow::Result<String> {
        let promise = gst::Promise::new();
        self.webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]);
        promise.wait();
        let reply = promise.get_reply().context("no reply")?;
        let description = reply.get::<WebRTCSessionDescription>(field)?;
        let set = gst::Promise::new();
        self.webrtc.emit_by_name::<()>("set-local-description", &[&description, &set]);
        set.wait();
        let since = Instant::now();
        let state = || self.webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
        while state() != WebRTCICEGatheringState::Complete {
            anyhow::ensure!(since.elapsed() < LIMIT, "no candidates");
            std::thread::sleep(Duration::from_millis(10));
        }
        let whole = self.webrtc.property::<WebRTCSessionDescription>("local-description");
        Ok(whole.sdp().as_text()?)
    }
}

/// Counts what comes out of a pad.
fn drain(pipeline: &gst::Pipeline, pad: &gst::Pad, received: &Arc<Received>) -> anyhow::Result<()> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .property("enable-last-sample", false)
        .build()?;
    let end = sink.static_pad("sink").context("no sink pad")?;
    received.watch(&end, caps.to_string().contains("media=(string)video"));
    pipeline.add(&sink)?;
    sink.sync_state_with_parent()?;
    pad.link(&end)?;
    Ok(())
}
