// SPDX-License-Identifier: MPL-2.0

//! A whole server on a free port, and clients of it.

pub(crate) mod stage;

use ducksoup_app::config::{Args, Config, TurnConfig};
use ducksoup_app::serve;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};

/// The page's origin.
pub(crate) const ORIGIN: &str = "https://lab.example";
/// Says that this program is to be a stage, and how it behaves.
pub(crate) const STAGE_VARIABLE: &str = "DUCKSOUP_TEST_STAGE";
/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);

/// What differs between tests.
pub(crate) struct Settings {
    /// Between two pings, in ms.
    pub(crate) ping: u64,
    /// How long a stage may leave a frame unread, in ms.
    pub(crate) read: u64,
    /// How many may join, ever.
    pub(crate) joins: u32,
    /// See [`stage::run`]; `missing` is a program that is not there.
    pub(crate) behaviour: &'static str,
    /// The embedded TURN server.
    pub(crate) turn: Option<TurnConfig>,
    /// As they are typed.
    pub(crate) media_ports: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ping: 20_000,
            read: 5_000,
            joins: 1000,
            behaviour: "good",
            turn: None,
            media_ports: None,
        }
    }
}

/// A running door.
pub(crate) struct Server {
    address: SocketAddr,
    working: TempDir,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(settings: Settings) -> Self {
        let working = tempfile::tempdir().expect("a folder");
        let args = Args {
            allowed_ws_origins: Some(ORIGIN.into()),
            test_password: Some("pass".into()),
            media_ports: settings.media_ports,
            ..Args::default()
        };
        let mut config = Config::new(&args, working.path()).expect("valid");
        config.stage_program = stage_program(settings.behaviour, working.path());
        config.turn = settings.turn;
        config.limits.ping = Duration::from_millis(settings.ping);
        config.limits.read = Duration::from_millis(settings.read);
        config.limits.join = Duration::from_secs(3);
        config.limits.join_rate = 0;
        config.limits.join_burst = settings.joins;
        config.limits.write = Duration::from_secs(1);
        if settings.behaviour != "good" {
            config.limits.ready = Duration::from_secs(2);
            config.limits.shutdown = Duration::from_secs(2);
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(serve::run(listener, config, async {
            let _ = stopped.await;
        }));
        Self { address, working, stop, running }
    }

    /// Ends it, in time.
    pub(crate) async fn stop(self) {
        self.stop.send(()).expect("it runs");
        let ended = timeout(LIMIT, self.running).await.expect("in time");
        ended.expect("no panic").expect("no error");
    }

    pub(crate) async fn connect(&self, origin: Option<&str>) -> Result<Client, String> {
        self.open("ws?href=page", &[("origin", origin)]).await
    }

    /// The stats feed.
    pub(crate) async fn feed(&self, authorization: Option<&str>) -> Result<Client, String> {
        let headers = [("origin", Some(ORIGIN)), ("authorization", authorization)];
        self.open("ws?type=stats&href=page", &headers).await
    }

    async fn open(
        &self,
        path: &str,
        headers: &[(&'static str, Option<&str>)],
    ) -> Result<Client, String> {
        let mut request =
            format!("ws://{}/{path}", self.address).into_client_request().expect("a request");
        for (name, value) in headers {
            if let Some(value) = value {
                let value = value.parse().expect("a header");
                request.headers_mut().insert(*name, value);
            }
        }
        let stream = TcpStream::connect(self.address).await.expect("a connection");
        let (web, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Client { web })
    }

    pub(crate) async fn client(&self) -> Client {
        self.connect(Some(ORIGIN)).await.expect("let in")
    }

    /// A client that the stage has taken.
    pub(crate) async fn joined(&self, interaction: &str, user: &str) -> Client {
        let mut client = self.client().await;
        client.say(&join(interaction, user)).await;
        client.kind("joined").await;
        client
    }

    /// The process ids of all stages ever started, once there are that many.
    pub(crate) async fn stages_started(&self, count: usize) -> Vec<i32> {
        let folder = self.working.path().join("stages");
        let list = || -> Vec<i32> {
            let entries = std::fs::read_dir(&folder).into_iter().flatten();
            let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            names.filter_map(|name| name.parse().ok()).collect()
        };
        until(|| {
            let pids = list();
            (pids.len() >= count).then_some(pids)
        })
        .await
    }

    /// A page behind the password, as JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Basic ZHVja3NvdXA6cGFzcw==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut reply = String::new();
        let read = timeout(LIMIT, stream.read_to_string(&mut reply)).await;
        read.expect("in time").expect("readable");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).expect("JSON")
    }
}

/// This test program as a stage: its frames go to descriptor 3, because the test harness prints
/// on standard output.
fn stage_program(behaviour: &str, working: &Path) -> Vec<std::path::PathBuf> {
    if behaviour == "missing" {
        return vec!["/nowhere/stage".into()];
    }
    let folder = working.join("stages");
    std::fs::create_dir(&folder).expect("created");
    let script = format!(
        "{STAGE_VARIABLE}={behaviour} exec \"$0\" --exact the_stage_of_these_tests --nocapture 3>&1 >/dev/null"
    );
    let script = format!("DUCKSOUP_TEST_FOLDER=\"$1\"; export DUCKSOUP_TEST_FOLDER; {script}");
    let program = std::env::current_exe().expect("a path");
    vec!["sh".into(), "-c".into(), script.into(), program, folder]
}

/// A client's message with a JSON payload.
pub(crate) fn message(kind: &str, payload: &Value) -> String {
    json!({"kind": kind, "payload": payload.to_string()}).to_string()
}

pub(crate) fn join(interaction: &str, user: &str) -> String {
    let options = json!({"interactionName": interaction, "userId": user, "duration": 30});
    message("join", &options)
}

pub(crate) fn control(value: f64) -> String {
    let control = json!({"name": "fx", "property": "p", "value": value});
    message("client_control", &control)
}

/// A browser.
pub(crate) struct Client {
    web: WebSocketStream<TcpStream>,
}

impl Client {
    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub(crate) async fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.send(Message::binary(bytes)).await;
    }

    /// Sends; a server that has closed already is as good.
    async fn send(&mut self, message: Message) {
        let _ = timeout(LIMIT, self.web.send(message)).await.expect("in time");
    }

    pub(crate) async fn close(&mut self, code: u16) {
        let frame = tungstenite::protocol::CloseFrame { code: code.into(), reason: "".into() };
        self.send(Message::Close(Some(frame))).await;
    }

    async fn next(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        timeout(LIMIT, self.web.next()).await.expect("in time")
    }

    /// The payload of the next message of that kind; others are passed over.
    pub(crate) async fn kind(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => {
                    let mut message: Value = serde_json::from_str(&text).expect("JSON");
                    if message["kind"] == kind {
                        return message["payload"].take();
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of {kind}"),
            }
        }
    }

    /// The next frame of that name which the stage says it has got.
    pub(crate) async fn seen(&mut self, frame: &str) -> Value {
        self.any_of(&[frame]).await
    }

    /// The next frame of any of these names.
    pub(crate) async fn any_of(&mut self, frames: &[&str]) -> Value {
        loop {
            let refused = self.kind("control_refused").await;
            let text = refused["reason"].as_str().expect("a text");
            let frame: Value = serde_json::from_str(text).expect("a frame");
            if frames.iter().any(|name| frame["frame"] == *name) {
                return frame;
            }
        }
    }

    /// Waits for a ping of the server.
    pub(crate) async fn pinged(&mut self) {
        loop {
            match self.next().await {
                Some(Ok(Message::Ping(_))) => return,
                Some(Ok(_)) => {}
                other => panic!("{other:?} instead of a ping"),
            }
        }
    }

    /// The code with which the server closes.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Waits until the server is done with it, in whatever way.
    pub(crate) async fn ended(&mut self) {
        while let Some(Ok(_)) = self.next().await {}
    }

    /// Goes on answering pings.
    pub(crate) fn read_in_background(mut self) -> JoinHandle<()> {
        tokio::spawn(async move { while let Some(Ok(_)) = self.web.next().await {} })
    }
}

/// Asks every 20 ms until there is an answer.
async fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, asking).await.expect("in time")
}

/// Whether a process ends within the limit.
pub(crate) async fn is_gone(pid: i32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
    until(|| rustix::process::test_kill_process(pid).is_err().then_some(true)).await
}
