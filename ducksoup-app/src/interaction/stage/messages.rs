// SPDX-License-Identifier: MPL-2.0

//! What elements say of a participant's media becomes entries of the log, lines of the table of events, and files of the
//! manifest.

use super::Stage;
use crate::interaction::events::{Event, Kind};
use crate::interaction::journal::Recording;
use crate::interaction::peer::called;
use crate::interaction::sdp;
use crate::log::messages::Message;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::Identifier;
use gst::glib;
use gst::prelude::*;
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;

impl Stage {
    /// An element says something.
    pub(super) fn element_message(
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
    pub(super) fn paused(&mut self, structure: &gst::StructureRef) {
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
    pub(super) fn timed(
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
