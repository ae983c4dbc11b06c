// SPDX-License-Identifier: MPL-2.0

//! What the stage tells of its participants for the stats page: the latest [`Figures`] of each, what
//! they asked for, the values that their effects have reached, and what is on disk. Pure.

use super::measures::Figures;
use super::sdp::Kind;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A connected participant.
#[derive(Debug, Clone)]
pub struct Participant<'a> {
    /// Their socket.
    pub connection: Connection,
    /// How often they have connected.
    pub count: u32,
    /// What they asked for.
    pub options: &'a JoinOptions,
    /// The recorder's counters by pad; empty when there is none.
    pub recorded: Map<String, Value>,
}

/// What is remembered between two tellings.
#[derive(Debug, Default)]
pub struct Stats {
    figures: BTreeMap<Connection, Figures>,
    /// By user and `name.property`.
    reached: BTreeMap<Identifier, BTreeMap<String, String>>,
    /// Of the encoders of each user's tracks, in bit/s.
    targets: BTreeMap<Identifier, BTreeMap<&'static str, u64>>,
}

impl Stats {
    /// Takes a participant's latest figures.
    pub fn measured(&mut self, connection: Connection, figures: Figures) {
        self.figures.insert(connection, figures);
    }

    /// Notes a value that an effect has reached.
    pub fn reached(&mut self, user: &Identifier, target: String, value: String) {
        self.reached.entry(user.clone()).or_default().insert(target, value);
    }

    /// Notes the target, in bit/s, that the encoder of a track has now.
    pub fn target(&mut self, user: &Identifier, kind: Kind, bitrate: u64) {
        self.targets.entry(user.clone()).or_default().insert(kind.name(), bitrate);
    }

    /// Everything, for the door; `running` is the time since t0, in s.
    pub fn told(
        &mut self,
        participants: &[Participant<'_>],
        running: Option<u64>,
    ) -> Map<String, Value> {
        self.figures.retain(|connection, _| {
            participants.iter().any(|participant| participant.connection == *connection)
        });
        let participants: Value =
            participants.iter().map(|participant| self.participant(participant)).collect();
        let fields = [("running", json!(running)), ("participants", participants)];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    fn participant(&self, participant: &Participant<'_>) -> Value {
        let Participant { connection, count, options, recorded } = participant;
        json!({
            "user": options.user,
            "connections": count,
            "recordingMode": options.recording_mode,
            "videoFormat": (!options.audio_only).then_some(options.video_format),
            "audioFx": options.audio_fx,
            "videoFx": options.video_fx,
            "reached": self.reached.get(&options.user),
            "targets": self.targets.get(&options.user),
            "figures": self.figures.get(connection),
            "recorded": recording(recorded),
        })
    }
}

/// What is on disk, in bytes, and the units (frames, packets) that did not get there.
fn recording(recorded: &Map<String, Value>) -> Option<Value> {
    if recorded.is_empty() {
        return None;
    }
    let sum = |name| recorded.values().filter_map(|pad| pad.get(name)?.as_u64()).sum::<u64>();
    Some(json!({"bytes": sum("bytes"), "dropped": sum("dropped")}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::measures::In;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn options(user: &str) -> JoinOptions {
        let join = object(&json!({"interactionName": "i", "userId": user, "audioFx": "volume"}));
        JoinOptions::from_json(&join).expect("valid")
    }

    fn participant(connection: u64, options: &JoinOptions) -> Participant<'_> {
        let recorded = object(&json!({
            "dry_audio": {"bytes": 1000, "dropped": 1}, "wet_audio": {"bytes": 500, "dropped": 0},
        }));
        Participant { connection: Connection(connection), count: 2, options, recorded }
    }

    fn figures(bitrate: u64) -> Figures {
        let audio = In { bitrate, ..In::default() };
        Figures { incoming: [("audio", audio)].into(), ..Figures::default() }
    }

    #[test]
    fn a_participant_is_told_with_figures_effects_and_recordings() {
        let (ann, ben) = (options("ann"), options("ben"));
        let mut stats = Stats::default();
        stats.measured(Connection(1), figures(8000));
        stats.measured(Connection(1), figures(9000));
        stats.reached(&ann.user, "voice.pitch".into(), "0.8".into());
        stats.target(&ann.user, Kind::Video, 800_000);
        stats.target(&ann.user, Kind::Video, 900_000);
        let unheard = Participant { recorded: Map::new(), ..participant(2, &ben) };
        let told = Value::Object(stats.told(&[participant(1, &ann), unheard], Some(7)));
        assert_eq!(told["running"], 7);
        let [first, second] = told["participants"].as_array().expect("a list").as_slice() else {
            panic!("two: {told}");
        };
        assert_eq!((&first["user"], &first["connections"]), (&json!("ann"), &json!(2)));
        assert_eq!(
            (&first["recordingMode"], &first["videoFormat"]),
            (&json!("forced"), &json!("H264"))
        );
        assert_eq!((&first["audioFx"], &first["videoFx"]), (&json!("volume"), &Value::Null));
        assert_eq!(first["reached"], json!({"voice.pitch": "0.8"}));
        assert_eq!(first["targets"], json!({"video": 900_000}));
        assert_eq!(first["figures"]["in"]["audio"]["bitrate"], 9000);
        assert_eq!(first["recorded"], json!({"bytes": 1500, "dropped": 1}));
        for name in ["reached", "targets", "figures", "recorded"] {
            assert_eq!(second[name], Value::Null, "{name}");
        }
    }

    #[test]
    fn who_left_is_forgotten_and_what_their_effects_reached_is_kept_for_their_return() {
        let ann = options("ann");
        let mut stats = Stats::default();
        stats.measured(Connection(1), figures(1));
        stats.reached(&ann.user, "voice.pitch".into(), "0.8".into());
        let nobody = stats.told(&[], None);
        assert_eq!(Value::Object(nobody), json!({"running": null, "participants": []}));
        let back = Value::Object(stats.told(&[participant(1, &ann)], None));
        assert_eq!(back["participants"][0]["figures"], Value::Null);
        assert_eq!(back["participants"][0]["reached"], json!({"voice.pitch": "0.8"}));
    }
}
