// SPDX-License-Identifier: MPL-2.0

//! What the media say: connections and tracks of peers, messages of the pipeline.

use super::{Stage, session};
use crate::interaction::candidates;
use crate::interaction::events::{Event, Kind};
use crate::interaction::input::PeerInput;
use crate::interaction::journal::Recording;
use crate::interaction::lifecycle;
use crate::interaction::peer::{AnswerRefusal, called, owner};
use crate::interaction::sdp::{self, Codec};
use crate::interaction::timeline::Correction;
use crate::log::messages::Message;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::Identifier;
use gst::glib;
use gst::prelude::*;
use gstrswebrtc::signaller::SignallableExt;
use serde_json::{Map, Value, json};
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

    fn element_message(
        &mut self,
        connection: Connection,
        source: Option<&gst::Object>,
        user: Option<&Identifier>,
        structure: &gst::StructureRef,
    ) -> ControlFlow<()> {
        let name = structure.name();
        let fields = fields(structure);
        match name.as_str() {
            "experimentrecorder-file" => {
                if let Some(user) = user {
                    self.recording(user, fields);
                }
            }
            "experimentrecorder-finished" => {
                self.graph.recorded(connection);
                return self.files_finished_if_all();
            }
            "experimentrecorder-error" => {
                self.recording_failed(user, fields);
            }
            "bitratecontroller-target" => self.target(source, user, &fields),
            other => {
                if let Some(event) = element_event(other, &fields, user) {
                    if let (Kind::FxApplied, Some(user), Some(target), Some(value)) =
                        (event.kind, user, &event.target, &event.value)
                    {
                        self.stats.reached(user, target.clone(), value.clone());
                    }
                    self.journal.event(event);
                }
                if let Some(message) = element_words(other) {
                    let fields = self.words(message, fields);
                    self.timed(message, user, fields);
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// The mixer holds a picture back from somebody, or no longer.
    fn paused(&mut self, structure: &gst::StructureRef) {
        let mut fields = fields(structure);
        let receiver = fields.remove("receiver");
        let connection = receiver.as_ref().and_then(Value::as_str).and_then(called);
        let user = connection.and_then(|connection| self.graph.user_of(connection)).cloned();
        // Otherwise it left meanwhile.
        if let (Some(user), Some((message, event))) = (user, pause(&mut fields)) {
            self.journal.event(event.of(Some(&user)));
            self.timed(message, Some(&user), fields);
        }
    }

    /// An entry about a moment of the pipeline, which is told on the run's timeline too.
    fn timed(
        &mut self,
        message: Message,
        user: Option<&Identifier>,
        mut fields: Map<String, Value>,
    ) {
        if let Some(t0) = self.t0
            && let Some(time) = fields.get("running-time").and_then(Value::as_u64)
        {
            #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction fit
            let seconds = (time as f64 - t0.running_time.nseconds() as f64) / 1e9;
            fields.insert("onset".into(), json!(seconds));
        }
        self.journal.log(message, user, Value::Object(fields));
    }

    fn recording_failed(&mut self, user: Option<&Identifier>, mut fields: Map<String, Value>) {
        // `message` is the entry's own.
        let code = fields.get("code").and_then(Value::as_str).unwrap_or_default();
        let failed = self.event_now(Kind::RecordingFailed).of(user).value(code);
        self.journal.event(failed);
        let error = fields.remove("message").unwrap_or_default();
        let path = fields.get("path").and_then(Value::as_str).map(|path| self.below_data(path));
        fields.insert("path".into(), json!(path));
        fields.insert("error".into(), error);
        self.journal.log(Message::RecordingFailed, user, Value::Object(fields));
    }

    /// A path as it may be told: below the data folder.
    fn below_data(&self, path: &str) -> String {
        let data = &self.opening.settings.data;
        let path = std::path::Path::new(path);
        path.strip_prefix(data).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// A file of the recorder, below the data folder.
    fn recorded(&self, file: &str) -> String {
        let name = file.rsplit('/').next().unwrap_or(file);
        self.journal.run().recordings().join(name).to_string_lossy().into_owned()
    }

    /// What an element says, as the log does.
    fn words(&self, message: Message, mut fields: Map<String, Value>) -> Map<String, Value> {
        if message == Message::FileOpened {
            let file = fields.get("path").and_then(Value::as_str).unwrap_or_default();
            let file = self.recorded(file);
            fields.retain(|name, _| name == "running-time");
            fields.insert("file".into(), json!(file));
        }
        fields
    }

    /// Notes a file that the recorder has completed.
    fn recording(&mut self, user: &Identifier, mut report: Map<String, Value>) {
        let Some(Value::String(file)) = report.remove("path") else {
            return;
        };
        let path = self.recorded(&file);
        let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let origin = report.remove("origin").and_then(|origin| origin.as_u64()).unwrap_or(0);
        let zero = self.t0.map_or(0, |t0| t0.running_time.nseconds());
        report.insert("offset".into(), json!(i128::from(origin) - i128::from(zero)));
        for event in file_events(&report, origin, &name, user) {
            self.journal.event(event);
        }
        let recording = Recording { path: path.clone(), user: user.clone(), report };
        self.journal.log(Message::FileFinished, Some(user), json!({"file": path}));
        self.journal.file(recording);
    }
}

/// What is told of a picture that is held back, or no longer; `fields` are left as the log has them.
fn pause(fields: &mut Map<String, Value>) -> Option<(Message, Event)> {
    let (message, kind) = if fields.remove("paused")?.as_bool()? {
        (Message::PicturePaused, Kind::PicturePaused)
    } else {
        (Message::PictureResumed, Kind::PictureResumed)
    };
    let target = format!("{}.{}", fields.get("source")?.as_str()?, sdp::Kind::Video.name());
    let at = fields.get("running-time")?.as_u64()?;
    Some((message, Event::new(at, kind).target(target)))
}

/// What an element did, for the table of events.
fn element_event(
    message: &str,
    fields: &Map<String, Value>,
    user: Option<&Identifier>,
) -> Option<Event> {
    let kind = match message {
        "fxcontrol-started" => Kind::FxStarted,
        "fxcontrol-applied" => Kind::FxApplied,
        "fxcontrol-finished" => Kind::FxFinished,
        "fxcontrol-bypass" => Kind::FxBypass,
        "experimentrecorder-opened" => Kind::RecordingOpened,
        "experimentrecorder-overflow" => Kind::RecordingOverflow,
        "experimentrecorder-size" => Kind::Resolution,
        _ => return None,
    };
    let text = |name| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
    let event = Event::new(fields.get("running-time")?.as_u64()?, kind).of(user);
    Some(match kind {
        Kind::FxBypass => event.value(fields.get("bypass")?),
        Kind::RecordingOpened => event.target(text("what")).value(text("name")),
        Kind::RecordingOverflow => event.target(text("pad")),
        Kind::Resolution => {
            event.target(text("pad")).value(&format!("{}x{}", number("width"), number("height")))
        }
        _ => event
            .lasting(fields.get("duration").and_then(Value::as_u64))
            .target(format!("{}.{}", text("name"), text("property")))
            .value(text("value")),
    })
}

/// What a finished file tells: where media are missing in it, and where it ends. `origin` is its zero,
/// in ns of the running time.
fn file_events(
    report: &Map<String, Value>,
    origin: u64,
    name: &str,
    user: &Identifier,
) -> Vec<Event> {
    let number = |value: &Value, field: &str| value.get(field).and_then(Value::as_u64);
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut events = Vec::new();
    for track in list(report.get("tracks")) {
        let pad = track.get("pad").and_then(Value::as_str).unwrap_or_default();
        for gap in list(track.get("gaps")) {
            let (Some(from), Some(to)) = (number(&gap, "from"), number(&gap, "to")) else {
                continue;
            };
            let kind = match gap.get("cause").and_then(Value::as_str) {
                Some("keyframe") => Kind::KeyframeWait,
                _ => Kind::Gap,
            };
            let lasting = Some(to.saturating_sub(from));
            let event = Event::new(origin.saturating_add(from), kind).of(Some(user));
            events.push(event.lasting(lasting).target(pad).value(name));
        }
    }
    let last = report.get("last").and_then(Value::as_u64).unwrap_or(0);
    let what = report.get("what").and_then(Value::as_str).unwrap_or_default();
    let finished = Event::new(origin.saturating_add(last), Kind::RecordingFinished);
    events.push(finished.of(Some(user)).target(what).value(name));
    events
}

/// What an element's message is in the log; those that are not there are counted otherwise.
fn element_words(name: &str) -> Option<Message> {
    Some(match name {
        "fxcontrol-accepted" => Message::FxAccepted,
        "fxcontrol-refused" => Message::FxRefused,
        "fxcontrol-started" => Message::FxStarted,
        "fxcontrol-applied" => Message::FxApplied,
        "fxcontrol-finished" => Message::FxFinished,
        "fxcontrol-bypass" => Message::FxBypass,
        "experimentrecorder-overflow" => Message::RecordingOverflow,
        "experimentrecorder-opened" => Message::FileOpened,
        "experimentrecorder-size" => Message::PictureSize,
        _ => return None,
    })
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

/// A structure's fields as JSON.
pub(super) fn fields(structure: &gst::StructureRef) -> Map<String, Value> {
    structure.iter().map(|(name, value)| (name.to_string(), json_of(value))).collect()
}

/// A value as JSON; what JSON has no word for as GStreamer writes it.
fn json_of(value: &glib::SendValue) -> Value {
    if let Ok(number) = value.get::<u64>() {
        json!(number)
    } else if let Ok(number) = value.get::<i64>() {
        json!(number)
    } else if let Ok(number) = value.get::<u32>() {
        json!(number)
    } else if let Ok(number) = value.get::<i32>() {
        json!(number)
    } else if let Ok(number) = value.get::<f64>() {
        json!(number)
    } else if let Ok(flag) = value.get::<bool>() {
        json!(flag)
    } else if let Ok(text) = value.get::<Option<String>>() {
        json!(text)
    } else if let Ok(structure) = value.get::<gst::Structure>() {
        Value::Object(fields(&structure))
    } else if let Ok(array) = value.get::<gst::Array>() {
        array.iter().map(json_of).collect()
    } else if let Ok(list) = value.get::<gst::List>() {
        list.iter().map(json_of).collect()
    } else {
        json!(value.serialize().map(|text| text.to_string()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    #[test]
    fn a_finished_file_tells_its_gaps_on_the_runs_timeline() {
        let report = object(json!({
            "what": "dry", "last": 9_000_000_000u64,
            "tracks": [
                {"pad": "dry_video", "gaps": [{"from": 0, "to": 400_000_000, "cause": "keyframe"}]},
                {"pad": "dry_audio", "gaps": [{"from": 2_000_000_000u64, "to": 3_000_000_000u64}]},
            ],
        }));
        let ann = Identifier::new("ann").expect("valid");
        let lines: Vec<_> = file_events(&report, 15_000_000_000, "f.mp4", &ann)
            .iter()
            .map(|event| event.line(5_000_000_000))
            .collect();
        assert_eq!(
            lines,
            [
                "10.000000\t0.400000\tann\tkeyframe_wait\tdry_video\tf.mp4\tn/a\n",
                "12.000000\t1.000000\tann\tgap\tdry_audio\tf.mp4\tn/a\n",
                "19.000000\tn/a\tann\trecording_finished\tdry\tf.mp4\tn/a\n",
            ]
        );
    }

    #[test]
    fn a_picture_that_is_held_back_and_sent_again_is_two_lines_and_two_entries() {
        for (paused, message, kind) in [
            (true, Message::PicturePaused, "picture_paused"),
            (false, Message::PictureResumed, "picture_resumed"),
        ] {
            let at = 7_000_000_000u64;
            let mut fields = object(json!({"source": "ben", "paused": paused, "running-time": at}));
            let (told, event) = pause(&mut fields).expect("complete");
            assert_eq!(told, message);
            let line = format!("2.000000\tn/a\tn/a\t{kind}\tben.video\tn/a\tn/a\n");
            assert_eq!(event.line(5_000_000_000), line);
            assert_eq!(fields, object(json!({"source": "ben", "running-time": at})));
        }
        assert_eq!(pause(&mut object(json!({"paused": true}))), None);
    }

    #[test]
    fn what_elements_say_becomes_lines() {
        for (message, fields, line) in [
            (
                "fxcontrol-started",
                json!({"name": "v", "property": "pitch", "value": "0.8", "duration": 500_000_000}),
                "0.500000\tn/a\tfx_started\tv.pitch\t0.8",
            ),
            ("fxcontrol-bypass", json!({"bypass": true}), "n/a\tn/a\tfx_bypass\tn/a\ttrue"),
            (
                "experimentrecorder-size",
                json!({"pad": "dry_video", "width": 640, "height": 480}),
                "n/a\tn/a\tresolution\tdry_video\t640x480",
            ),
            (
                "experimentrecorder-opened",
                json!({"what": "wet", "name": "f.mkv", "path": "/d/f.mkv"}),
                "n/a\tn/a\trecording_opened\twet\tf.mkv",
            ),
        ] {
            let mut fields = object(fields);
            fields.insert("running-time".into(), json!(1_000_000_000));
            let event = element_event(message, &fields, None).expect("an event");
            assert_eq!(event.line(0), format!("1.000000\t{line}\tn/a\n"));
        }
        assert_eq!(element_event("fxcontrol-accepted", &Map::new(), None), None);
    }
}
