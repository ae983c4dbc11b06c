// SPDX-License-Identifier: MPL-2.0

//! The seam between the door (`ducksoup-app serve`) and the stage (`ducksoup-app interaction`):
//! one JSON object a line, on the stage's standard input and output, or over any other carrier.
//!
//! The first frame of the door is [`DoorFrame::Open`], which tells a warm stage what it is; the
//! stage answers [`StageFrame::Ready`] as soon as it could take it. End of file on the stage's
//! input means that the door is gone: the stage finishes its files and exits.

use crate::protocol::{ClientMessage, IceServer, Identifier, JoinOptions, ServerMessage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// One WebSocket, as the door counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Connection(pub u64);

/// What the door says to a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case", deny_unknown_fields)]
pub enum DoorFrame {
    /// What this stage is; the first frame.
    Open(Box<Opening>),
    /// A client's checked join.
    Join {
        /// Its socket.
        connection: Connection,
        /// The page's origin.
        origin: String,
        /// What it asks for.
        options: Box<JoinOptions>,
        /// ICE servers for this client alone, besides the settings' own.
        ice_servers: Vec<IceServer>,
    },
    /// A joined client's message.
    Message {
        /// Its socket.
        connection: Connection,
        /// What it says; never a join.
        message: ClientMessage,
    },
    /// A client's socket is gone.
    Leave {
        /// The socket.
        connection: Connection,
        /// Why.
        cause: LeaveCause,
    },
    /// Finish the files and exit.
    Shutdown,
}

/// Why a socket is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveCause {
    /// The client said `stop`.
    Stopped,
    /// The client closed the socket, or answered no ping for as long as silence is borne.
    Closed,
    /// The socket broke, or was closed by a client that is about to come back: for a while its
    /// participant is not taken for gone.
    Lost,
    /// The same user came by another socket while this one was silent.
    Replaced,
}

/// What makes an interaction, and the settings it runs under.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The page's origin: interactions of two origins never meet.
    pub origin: String,
    /// The folder of a study.
    pub namespace: Identifier,
    /// The interaction's name.
    pub interaction: Identifier,
    /// The run's random id.
    pub id: Identifier,
    /// The server's settings.
    pub settings: StageSettings,
}

/// The part of the server's configuration that a stage needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSettings {
    /// The data folder.
    pub data: PathBuf,
    /// Seconds from the first join until an incomplete interaction is aborted.
    pub abort_delay: u32,
    /// Seconds that a participant's silence is borne.
    pub blackout: u32,
    /// Ceiling of what a missing packet is waited for, in ms.
    pub jitter_buffer: u32,
    /// Properties of elements, by the section of `config/gst.yml` (`x264`, `rtpjitterbuffer`…).
    pub elements: BTreeMap<String, Properties>,
    /// Whether transport-wide feedback is sent to browsers.
    pub twcc: bool,
    /// Whether what receivers can take is estimated by Google congestion control.
    pub gcc: bool,
    /// Handed to clients and to the server's own ICE.
    pub ice_servers: Vec<IceServer>,
    /// UDP ports for media, `(min, max)`; any when absent.
    pub media_ports: Option<(u16, u16)>,
    /// The server's public address, where it is to be offered as a host candidate.
    pub host_candidate: Option<IpAddr>,
    /// Whether H.264 may be encoded and decoded on an NVIDIA GPU.
    pub nvcodec: bool,
    /// Whether pictures may be scaled and converted on an NVIDIA GPU.
    pub nvcuda: bool,
    /// Whether every picture shows the time, asked for or not.
    pub force_overlay: bool,
    /// Folders in which effects may name files.
    pub effect_folders: Vec<PathBuf>,
    /// Element names that the operator allows besides the policy's own, and (with a `-` before) forbids.
    pub effect_policy: Vec<String>,
    /// Whether files are written at all.
    pub recording: bool,
    /// Whether plots are drawn at the end.
    pub plots: bool,
    /// Whether GStreamer's own log goes into the interaction's.
    pub intercept_gst_logs: bool,
    /// 0 to 4: how much goes into the interaction's log.
    pub log_level: u8,
    /// Whether log entries are sent to the door too, for its standard output.
    pub log_to_door: bool,
    /// Targets for audio, in bit/s.
    pub audio_bitrate: BitrateRange,
    /// Targets for video, in bit/s.
    pub video_bitrate: BitrateRange,
}

/// Properties of an element, as they stand in a launch line: plain words by name.
pub type Properties = BTreeMap<String, String>;

/// An encoder's range, in bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitrateRange {
    /// Where it starts.
    pub default: u32,
    /// The floor.
    pub min: u32,
    /// The ceiling.
    pub max: u32,
}

/// What a stage says to the door.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case", deny_unknown_fields)]
pub enum StageFrame {
    /// The stage has its settings and takes joins.
    Ready,
    /// Words for a client.
    Send {
        /// Its socket.
        connection: Connection,
        /// What to say.
        message: ServerMessage,
    },
    /// Nothing more will be said to this client; the door closes the socket.
    Close {
        /// Its socket.
        connection: Connection,
    },
    /// The answer to a join that came after [`StageFrame::Over`] had left: no refusal, the door
    /// takes the same join to a new run.
    Decline {
        /// Its socket.
        connection: Connection,
    },
    /// This run takes no more joins: the same name joined again is a new run.
    Over,
    /// An entry of the interaction's log, for the door's standard output.
    Log {
        /// The entry.
        entry: Map<String, Value>,
    },
    /// Figures for the stats page. May be dropped.
    Stats {
        /// The figures.
        stats: Map<String, Value>,
    },
}

/// One frame as a line, newline included.
///
/// # Errors
/// When the frame cannot be written as JSON (a number that is none).
pub fn line(frame: &impl Serialize) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(frame)?;
    line.push('\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_survive_the_seam() {
        let options = JoinOptions::from_json(
            json!({"interactionName": "i", "userId": "u"}).as_object().expect("an object"),
        )
        .expect("valid");
        let frames = [
            DoorFrame::Join {
                connection: Connection(1),
                origin: "http://localhost".into(),
                options: Box::new(options),
                ice_servers: vec![IceServer {
                    urls: vec!["turn:turn.example.org:3478?transport=udp".into()],
                    username: Some("1700000000:1".into()),
                    credential: Some("c".into()),
                }],
            },
            DoorFrame::Message {
                connection: Connection(1),
                message: ClientMessage::NegotiationNeeded,
            },
            DoorFrame::Message {
                connection: Connection(1),
                message: ClientMessage::IceConnectionState("failed".into()),
            },
            DoorFrame::Leave { connection: Connection(1), cause: LeaveCause::Closed },
            DoorFrame::Shutdown,
        ];
        for frame in frames {
            let line = line(&frame).expect("writable");
            assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
            assert_eq!(serde_json::from_str::<DoorFrame>(&line).expect("readable"), frame);
        }
        let frames = [
            StageFrame::Ready,
            StageFrame::Send {
                connection: Connection(2),
                message: ServerMessage::Start { remaining: 3 },
            },
            StageFrame::Close { connection: Connection(2) },
            StageFrame::Over,
        ];
        for frame in frames {
            let line = line(&frame).expect("writable");
            assert_eq!(serde_json::from_str::<StageFrame>(&line).expect("readable"), frame);
        }
    }
}
