// SPDX-License-Identifier: MPL-2.0

//! A stage without media. It repeats every frame it gets to all its clients, inside a
//! `control_refused`, and does what the `ext_…` messages of its clients say.

use ducksoup_signaller::frame::{Connection, DoorFrame, StageFrame, line};
use ducksoup_signaller::protocol::{ClientMessage, JoinContext, ServerMessage};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, Write as _};

/// The stage; it never returns. `behaviour` is one of
/// - `good`;
/// - `deaf`: reads nothing;
/// - `mute`: reads and says nothing;
/// - `stubborn`: does not end.
pub(crate) fn run(behaviour: &str) -> ! {
    let folder = std::env::var("DUCKSOUP_TEST_FOLDER").expect("a folder");
    let pid = std::process::id();
    File::create(std::path::Path::new(&folder).join(pid.to_string())).expect("created");
    if behaviour == "deaf" {
        loop {
            std::thread::park();
        }
    }
    let mut stage = Stage {
        out: File::create("/dev/fd/3").expect("the pipe"),
        clients: BTreeSet::new(),
        opening: Value::Null,
        quiet: false,
        controls: 0,
    };
    for text in std::io::stdin().lock().lines() {
        let text = text.expect("readable");
        let frame: DoorFrame = serde_json::from_str(&text).expect("a frame");
        if behaviour != "mute" {
            stage.handle(frame, &text, behaviour);
        }
    }
    if behaviour == "stubborn" {
        loop {
            std::thread::park();
        }
    }
    std::process::exit(0)
}

struct Stage {
    out: File,
    clients: BTreeSet<Connection>,
    opening: Value,
    quiet: bool,
    controls: u32,
}

impl Stage {
    fn say(&mut self, frame: &StageFrame) {
        let line = line(frame).expect("writable");
        // The door may be gone.
        let _ = self.out.write_all(line.as_bytes());
    }

    fn send(&mut self, connection: Connection, message: ServerMessage) {
        self.say(&StageFrame::Send { connection, message });
    }

    fn repeat(&mut self, frame: &Value) {
        if self.quiet {
            return;
        }
        for connection in self.clients.clone() {
            let message = ServerMessage::ControlRefused {
                name: "frame".into(),
                property: String::new(),
                reason: frame.to_string(),
            };
            self.send(connection, message);
        }
    }

    fn end_all(&mut self) {
        for connection in std::mem::take(&mut self.clients) {
            self.send(connection, ServerMessage::End);
            self.say(&StageFrame::Close { connection });
        }
    }

    fn handle(&mut self, frame: DoorFrame, text: &str, behaviour: &str) {
        let json: Value = serde_json::from_str(text).expect("JSON");
        match frame {
            DoorFrame::Open(opening) => {
                self.quiet = opening.interaction.as_str() == "quiet";
                self.opening = json;
                self.opening["pid"] = json!(std::process::id());
                self.say(&StageFrame::Ready);
            }
            DoorFrame::Join { connection, ice_servers, .. } => {
                self.clients.insert(connection);
                let opening = self.opening.clone();
                self.repeat(&opening);
                self.repeat(&json);
                let context = match self.clients.len() {
                    1 => JoinContext::NewInteraction,
                    _ => JoinContext::ExistingInteraction,
                };
                let joined = ServerMessage::Joined { context, ice_servers };
                self.send(connection, joined);
            }
            DoorFrame::Leave { connection, .. } => {
                self.clients.remove(&connection);
                self.repeat(&json);
            }
            DoorFrame::Message { connection, message } => {
                self.repeat(&json);
                self.obey(connection, &message);
            }
            DoorFrame::Shutdown if behaviour == "stubborn" => {}
            DoorFrame::Shutdown => {
                self.end_all();
                std::process::exit(0)
            }
        }
    }

    fn obey(&mut self, connection: Connection, message: &ClientMessage) {
        match message {
            ClientMessage::Control(_) => self.controls += 1,
            ClientMessage::Ext { kind, .. } => match kind.as_str() {
                "ext_crash" => std::process::exit(3),
                "ext_end" => {
                    self.say(&StageFrame::Over);
                    self.end_all();
                }
                "ext_count" => {
                    let remaining = self.controls;
                    self.send(connection, ServerMessage::Start { remaining });
                }
                "ext_rubbish" => {
                    let _ = self.out.write_all(b"an effect prints this\n\n{}\n\xff\xfe\n");
                }
                "ext_doze" => loop {
                    std::thread::park();
                },
                "ext_endless" => {
                    // Until the door kills this process.
                    while self.out.write_all(&[b'x'; 4096]).is_ok() {}
                }
                _ => {}
            },
            _ => {}
        }
    }
}
