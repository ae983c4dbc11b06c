// SPDX-License-Identifier: MPL-2.0

//! What the media say: connections and tracks of peers, messages of the pipeline.

use super::{Stage, session};
use crate::interaction::candidates;
use crate::interaction::events::{Event, Kind};
use crate::interaction::input::PeerInput;
use crate::interaction::lifecycle;
use crate::interaction::peer::{AnswerRefusal, owner};
use crate::interaction::sdp::Codec;
use crate::interaction::timeline::Correction;
use crate::log::messages::Message;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::Identifier;
use gst::prelude::*;
use gstrswebrtc::signaller::SignallableExt;
use serde_json::json;
use std::ops::ControlFlow;

/// By which the mixer tells of a picture that it holds back.
const PAUSED: &str = "ducksoupmixer-paused";

impl Stage {
    pub(super) fn peer_input(
        &mut self,
        connection: Connection,
        input: PeerInput,
    ) -> ControlFlow<()> {
        if matches!(input, PeerInput::Down) {
            self.down(connection);
            return ControlFlow::Continue(());
        }
        let inputs = self.inputs.clone();
        let Some(peer) = self.graph.peer_mut(connection) else {
            // It left meanwhile.
            return ControlFlow::Continue(());
        };
        let user = peer.options.user.clone();
        match input {
            PeerInput::Offered(Ok(offer)) => {
                let offer = peer.offered(&offer);
                self.signaller.send_sdp(&session(connection), &offer);
            }
            PeerInput::Offered(Err(error)) | PeerInput::AnswerSet(Err(error)) => {
                return self.fail(connection, &user, Message::ServerNegotiationFailed, &error);
            }
            PeerInput::Answered(answer) => match peer.answer(&answer, &inputs) {
                Ok(()) => {}
                Err(AnswerRefusal::Unasked) => {
                    let fields = json!({"error": "no offer is open"});
                    self.journal.log(Message::ClientSignalingRefused, Some(&user), fields);
                }
                Err(refusal) => {
                    let refusal = refusal.to_string();
                    let message = Message::ClientAnswerRejected;
                    return self.fail(connection, &user, message, &refusal);
                }
            },
            PeerInput::AnswerSet(Ok(())) => peer.answered(&inputs),
            PeerInput::LocalCandidate { m_line, candidate } => {
                peer.found(&candidate);
                self.signaller.add_ice(&session(connection), &candidate, m_line, None);
                let public = self.opening.settings.host_candidate;
                if let Some(other) = public.and_then(|ip| candidates::public(&candidate, ip)) {
                    self.signaller.add_ice(&session(connection), &other, m_line, None);
                }
            }
            PeerInput::RemoteCandidate { m_line, candidate } => {
                peer.add_candidate(m_line, &candidate);
            }
            PeerInput::ConnectionState(state) => {
                return self.connection_state(connection, &user, state);
            }
            PeerInput::TrackReceived { kind, ssrc } => {
                if let Some(ssrc) = ssrc {
                    peer.traffic.comes(kind, ssrc);
                }
                let mime = peer.codec(kind).map(Codec::mime);
                let track = peer.track_names.get(&kind);
                let fields =
                    json!({"type": kind.name(), "track": track, "ssrc": ssrc, "mime": mime});
                self.journal.log(Message::InTrackReceived, Some(&user), fields);
            }
            PeerInput::TimeCorrected { kind, at, correction } => {
                let (message, by) = match correction {
                    Correction::Slid(by) => (Message::InTrackTimeCorrected, by),
                    Correction::Jumped(by) => (Message::InTrackTimeJumped, by),
                };
                let by = by / 1_000_000;
                let event = Event::new(at, Kind::TimeCorrected).of(Some(&user));
                self.journal.event(event.target(kind.name()).value(&by));
                let fields = [
                    ("type".into(), json!(kind.name())),
                    ("value".into(), json!(by)),
                    ("unit".into(), json!("ms")),
                    ("running-time".into(), json!(at)),
                ];
                self.timed(message, Some(&user), fields.into_iter().collect());
            }
            PeerInput::TrackReady(kind) => {
                let all = peer.track_ready(kind);
                if all {
                    peer.find_pair(&inputs);
                }
                let fields = json!({"type": kind.name()});
                self.journal.log(Message::InTrackAdded, Some(&user), fields);
                if all {
                    return self.advance(lifecycle::Input::Ready { connection });
                }
            }
            PeerInput::Counted(counted) => self.counted(connection, &user, &counted),
            PeerInput::Rtcp(compound) => self.rtcp(connection, &user, &compound),
            PeerInput::Estimated(bitrate) => self.estimated(connection, &user, bitrate),
            PeerInput::Wanted(kind, bitrate) => peer.bandwidth.wanted(kind, bitrate),
            PeerInput::KeyframeAsked(by) => self.keyframe_wanted(connection, &user, by),
            PeerInput::SignalingState(state) => {
                let fields = json!({"value": signaling_state(state)});
                self.journal.log(Message::ServerSignalingState, Some(&user), fields);
            }
            PeerInput::PairSelected(pair) => {
                self.journal.log(Message::ServerCandidatePair, Some(&user), json!({"value": pair}));
            }
            PeerInput::RoutePromised => peer.route_promised(),
            PeerInput::Down => {}
        }
        ControlFlow::Continue(())
    }

    fn connection_state(
        &mut self,
        connection: Connection,
        user: &Identifier,
        state: gst_webrtc::WebRTCPeerConnectionState,
    ) -> ControlFlow<()> {
        let fields = json!({"value": format!("{state:?}").to_lowercase()});
        self.journal.log(Message::ServerConnectionState, Some(user), fields);
        let flowing = match state {
            gst_webrtc::WebRTCPeerConnectionState::Connected => true,
            gst_webrtc::WebRTCPeerConnectionState::Failed => {
                let fields = json!({"error": "ICE or DTLS failed"});
                self.journal.log(Message::ServerConnectionFailed, Some(user), fields);
                false
            }
            _ => return ControlFlow::Continue(()),
        };
        self.advance(lifecycle::Input::Media { connection, flowing })
    }

    pub(super) fn bus(&mut self, message: &gst::Message) -> ControlFlow<()> {
        let connection = message.src().and_then(owner);
        let user = connection.and_then(|connection| self.graph.user_of(connection)).cloned();
        match message.view() {
            gst::MessageView::Error(error) => {
                let text = error.error().to_string();
                let fields = json!({
                    "error": text,
                    "element": message.src().map(|source| source.name().to_string()),
                    "debug": error.debug().map(|debug| debug.to_string()),
                });
                self.journal.log(Message::PipelineError, user.as_ref(), fields);
                self.graph.dump("error");
                return match (connection, user) {
                    (Some(connection), Some(_)) => {
                        self.advance(lifecycle::Input::Failed { connection })
                    }
                    // Nobody's: the mixer or the pipeline itself, without which nothing goes on.
                    _ => self.advance(lifecycle::Input::Shutdown),
                };
            }
            gst::MessageView::Warning(warning) => {
                let fields = json!({
                    "error": warning.error().to_string(),
                    "element": message.src().map(|source| source.name().to_string()),
                });
                self.journal.log(Message::GstreamerWarning, user.as_ref(), fields);
            }
            gst::MessageView::Element(element) => {
                if let Some(pause) = element.structure().filter(|s| s.name() == PAUSED) {
                    self.paused(pause);
                } else if let (Some(structure), Some(connection)) =
                    (element.structure(), connection)
                {
                    return self.element_message(
                        connection,
                        message.src(),
                        user.as_ref(),
                        structure,
                    );
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// As WebRTC calls it.
fn signaling_state(state: gst_webrtc::WebRTCSignalingState) -> &'static str {
    match state {
        gst_webrtc::WebRTCSignalingState::Stable => "stable",
        gst_webrtc::WebRTCSignalingState::Closed => "closed",
        gst_webrtc::WebRTCSignalingState::HaveLocalOffer => "have-local-offer",
        gst_webrtc::WebRTCSignalingState::HaveRemoteOffer => "have-remote-offer",
        gst_webrtc::WebRTCSignalingState::HaveLocalPranswer => "have-local-pranswer",
        gst_webrtc::WebRTCSignalingState::HaveRemotePranswer => "have-remote-pranswer",
        _ => "unknown",
    }
}
