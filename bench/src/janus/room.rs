// SPDX-License-Identifier: MPL-2.0

//! A Janus server with one room, and its language: JSON over a WebSocket.

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// Where Debian keeps its modules.
const MODULES: &str = "/usr/lib/x86_64-linux-gnu/janus";
/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(20);
/// The room.
const ROOM: u32 = 1;

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A server at work, and a session with it; ends with its scope.
pub(crate) struct Room {
    process: Child,
    _folder: TempDir,
    runtime: tokio::runtime::Runtime,
    socket: Socket,
    session: u64,
    transactions: u64,
    /// The handles whose media flow.
    up: HashSet<u64>,
}

/// All modules of a kind but this one.
fn others(kind: &str, but: &str) -> anyhow::Result<String> {
    let entries =
        std::fs::read_dir(Path::new(MODULES).join(kind)).context("janus is not installed")?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> =
        names.filter(|name| name.ends_with(".so") && !name.contains(but)).collect();
    Ok(names.join(","))
}

impl Room {
    /// Starts one whose room takes pictures of this codec, on ports that are free.
    ///
    /// # Errors
    /// When Janus is missing, or does not answer.
    pub(crate) fn open(codec: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let general = format!(
            "general: {{\n configs_folder = \"{}\"\n plugins_folder = \"{MODULES}/plugins\"\n \
             transports_folder = \"{MODULES}/transports\"\n debug_level = 2\n}}\n\
             plugins: {{ disable = \"{}\" }}\ntransports: {{ disable = \"{}\" }}\n",
            folder.path().display(),
            others("plugins", "videoroom")?,
            others("transports", "websockets")?,
        );
        let transport = format!(
            "general: {{\n ws = true\n ws_port = {port}\n ws_ip = \"127.0.0.1\"\n wss = false\n}}\n\
             admin: {{ admin_ws = false }}\n"
        );
        let room = format!(
            "room-{ROOM}: {{\n description = \"bench\"\n publishers = 16\n bitrate = 0\n \
             audiocodec = \"opus\"\n videocodec = \"{codec}\"\n record = false\n}}\n"
        );
        for (name, text) in [
            ("janus.jcfg", &general),
            ("janus.transport.websockets.jcfg", &transport),
            ("janus.plugin.videoroom.jcfg", &room),
        ] {
            std::fs::write(folder.path().join(name), text)?;
        }
        let mut process = Command::new("janus")
            .arg("--configs-folder")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("janus (.ci/install bench)")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = match runtime.block_on(connect(port)) {
            Ok(socket) => socket,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error);
            }
        };
        let mut room = Self {
            process,
            _folder: folder,
            runtime,
            socket,
            session: 0,
            transactions: 0,
            up: HashSet::new(),
        };
        let created = room.ask(json!({"janus": "create"}))?;
        room.session = number(&created, "/data/id")?;
        Ok(room)
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Somebody publishes what `offer` says; gives their handle, their feed and the answer.
    ///
    /// # Errors
    /// When Janus does not want it.
    pub(crate) fn publish(&mut self, offer: &str) -> anyhow::Result<(u64, u64, String)> {
        let handle = self.attach()?;
        let join = json!({"request": "join", "ptype": "publisher", "room": ROOM});
        let joined = self.tell(handle, &join, None)?;
        let feed = number(&joined, "/plugindata/data/id")?;
        let offer = json!({"type": "offer", "sdp": offer});
        let answer = self.tell(handle, &json!({"request": "publish"}), Some(offer))?;
        Ok((handle, feed, text(&answer, "/jsep/sdp")?))
    }

    /// Somebody wants these feeds; gives what they are offered.
    ///
    /// # Errors
    /// When Janus does not want it.
    pub(crate) fn subscribe(&mut self, feeds: &[u64]) -> anyhow::Result<(u64, String)> {
        let handle = self.attach()?;
        let streams: Vec<Value> = feeds.iter().map(|feed| json!({"feed": feed})).collect();
        let join =
            json!({"request": "join", "ptype": "subscriber", "room": ROOM, "streams": streams});
        let attached = self.tell(handle, &join, None)?;
        Ok((handle, text(&attached, "/jsep/sdp")?))
    }

    /// They answer, and media flow.
    ///
    /// # Errors
    /// When Janus does not want it.
    pub(crate) fn start(&mut self, handle: u64, answer: &str) -> anyhow::Result<()> {
        let answer = json!({"type": "answer", "sdp": answer});
        self.tell(handle, &json!({"request": "start"}), Some(answer)).map(drop)
    }

    fn attach(&mut self) -> anyhow::Result<u64> {
        let request = json!({"janus": "attach", "plugin": "janus.plugin.videoroom"});
        number(&self.ask(request)?, "/data/id")
    }

    /// Says something to the plugin and waits for its event.
    fn tell(&mut self, handle: u64, body: &Value, jsep: Option<Value>) -> anyhow::Result<Value> {
        let mut message = json!({"janus": "message", "handle_id": handle, "body": body});
        if let Some(jsep) = jsep {
            message["jsep"] = jsep;
        }
        let event = self.ask(message)?;
        let error = event.pointer("/plugindata/data/error");
        anyhow::ensure!(error.is_none(), "Janus: {}", error.unwrap_or(&Value::Null));
        Ok(event)
    }

    /// Waits until a connection stands: nobody can subscribe to a feed before.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn wait_up(&mut self, handle: u64) -> anyhow::Result<()> {
        let since = Instant::now();
        while !self.up.contains(&handle) {
            anyhow::ensure!(since.elapsed() < LIMIT, "a connection to Janus does not stand");
            std::thread::sleep(Duration::from_millis(20));
            // What happened meanwhile is read along.
            self.ask(json!({"janus": "keepalive"}))?;
        }
        Ok(())
    }

    /// Sends a request and waits for what is more than an acknowledgement.
    fn ask(&mut self, mut request: Value) -> anyhow::Result<Value> {
        self.transactions += 1;
        let transaction = self.transactions.to_string();
        request["transaction"] = transaction.clone().into();
        if self.session != 0 {
            request["session_id"] = self.session.into();
        }
        // A sign of life is acknowledged, and no more.
        let keeps = request["janus"] == "keepalive";
        let Self { runtime, socket, up, .. } = self;
        runtime.block_on(async {
            socket.send(Message::text(request.to_string())).await?;
            let answer = async {
                while let Some(message) = socket.next().await {
                    let Message::Text(text) = message? else { continue };
                    let said: Value = serde_json::from_str(&text)?;
                    if said["janus"] == "webrtcup" {
                        up.extend(said["sender"].as_u64());
                    }
                    let is_answer = said["janus"] != "ack" || keeps;
                    if said["transaction"] == *transaction && is_answer {
                        anyhow::ensure!(said["janus"] != "error", "Janus: {said}");
                        return Ok(said);
                    }
                }
                anyhow::bail!("Janus hangs up")
            };
            tokio::time::timeout(LIMIT, answer).await.context("Janus does not answer")?
        })
    }
}

async fn connect(port: u16) -> anyhow::Result<Socket> {
    let since = Instant::now();
    loop {
        let mut request = format!("ws://127.0.0.1:{port}/").into_client_request()?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", "janus-protocol".parse()?);
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => return Ok(socket),
            Err(error) if since.elapsed() > LIMIT => return Err(error).context("janus"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn number(value: &Value, path: &str) -> anyhow::Result<u64> {
    value.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path} in {value}"))
}

fn text(value: &Value, path: &str) -> anyhow::Result<String> {
    let text = value.pointer(path).and_then(Value::as_str);
    text.map(str::to_owned).with_context(|| format!("no {path} in {value}"))
}

impl Drop for Room {
    fn drop(&mut self) {
        // It is gone already, or it goes now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
