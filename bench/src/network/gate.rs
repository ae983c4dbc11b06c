// SPDX-License-Identifier: MPL-2.0

//! The door of a gate: TCP connections on their way to the server, and the messages in them.

use super::forwarder::{Forwarder, Fronts};
use super::link::Link;
use super::tally::Tally;
use super::{head, signalling};
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};

/// How long a farewell may take. Ours.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

type Web = WebSocketStream<TcpStream>;

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// The server's address is none that it can stand in front of.
    #[error("{0:?} is not of the form ws://host[:port]/path")]
    Uri(String),
    /// The system gives no port, no thread, no timer.
    #[error("no gate can be opened: {0}")]
    System(#[from] io::Error),
}

/// An address that stands for the server's; who goes through it has a bad connection. It has a
/// thread of its own, and one for the packets of each connection; all end with it.
#[derive(Debug)]
pub(crate) struct Gate {
    uri: String,
    tally: Arc<Mutex<Tally>>,
    /// Dropped, it ends the thread.
    closing: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread knows.
#[derive(Debug)]
struct Setting {
    /// `host:port` of the gate and of the server.
    gate: String,
    server: String,
    up: Link,
    down: Link,
    tally: Arc<Mutex<Tally>>,
}

impl Gate {
    /// A gate to the server whose WebSocket is there (`ws://…`, on this machine), with a link of
    /// its own for each connection: `up` to the server, `down` from it.
    ///
    /// # Errors
    /// When the address is of another kind, or the system has no means left.
    pub(crate) fn open(server: &str, up: Link, down: Link) -> Result<Self, GateError> {
        let (authority, path) = parse(server).ok_or_else(|| GateError::Uri(server.to_owned()))?;
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let gate = listener.local_addr()?.to_string();
        let uri = format!("ws://{gate}{path}");
        let tally = Arc::<Mutex<Tally>>::default();
        let setting =
            Setting { gate, server: authority.to_owned(), up, down, tally: Arc::clone(&tally) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (closing, closed) = oneshot::channel();
        let thread = std::thread::Builder::new().name("gate".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, Arc::new(setting)) => {}
                    _ = closed => {}
                }
            });
        })?;
        Ok(Self { uri, tally, closing: Some(closing), thread: Some(thread) })
    }

    /// From now on each packet is noted in the tally, not only counted.
    pub(crate) fn watch(&self) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.up.passages = Some(Vec::new());
        tally.down.passages = Some(Vec::new());
    }

    /// Where participants connect: `ws://127.0.0.1:…`. The server's pages are there too, with
    /// `http`.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Closes it; gives what has passed, all connections together. What is on its way then never
    /// arrives.
    pub(crate) fn close(mut self) -> Tally {
        self.end();
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&mut self) {
        drop(self.closing.take());
        if let Some(thread) = self.thread.take() {
            // Whatever it died of has been said by its panic.
            let _ = thread.join();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.end();
    }
}

/// The `host:port` and the path of a WebSocket's address.
fn parse(uri: &str) -> Option<(&str, &str)> {
    let rest = uri.strip_prefix("ws://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = authority.rsplit_once(':')?;
    let _: u16 = port.parse().ok()?;
    (!host.is_empty() && !host.contains('@')).then_some((authority, path))
}

async fn accept(listener: std::net::TcpListener, setting: Arc<Setting>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut number = 0;
    // A gate that can accept no more is closed: whoever stands before it will see it.
    while let Ok((participant, _)) = listener.accept().await {
        let setting = Arc::clone(&setting);
        tokio::spawn(async move {
            if let Err(error) = pass(participant, &setting, number).await {
                eprintln!("gate: connection {number}: {error}");
            }
        });
        number += 1;
    }
}

/// Carries one connection to its end.
async fn pass(mut participant: TcpStream, setting: &Setting, number: u64) -> io::Result<()> {
    let mut server = TcpStream::connect(&setting.server).await?;
    for stream in [&participant, &server] {
        stream.set_nodelay(true)?;
    }
    let Some((asked, early)) = read_head(&mut participant).await? else {
        return Ok(());
    };
    let request = head::request(&asked, &setting.gate, &setting.server);
    server.write_all(request.as_bytes()).await?;
    server.write_all(&early).await?;
    let Some((answer, begun)) = read_head(&mut server).await? else {
        return Ok(());
    };
    participant.write_all(answer.as_bytes()).await?;
    if !head::is_accepted(&answer) {
        participant.write_all(&begun).await?;
        // Either end may leave when it has what it wanted.
        let _ = copy_bidirectional(&mut participant, &mut server).await;
        return Ok(());
    }
    let participant = Web::from_raw_socket(participant, Role::Server, None).await;
    let server = Web::from_partially_read(server, begun, Role::Client, None).await;
    let (up, down) = (setting.up.clone(), setting.down.clone());
    let (forwarder, fronts) = Forwarder::new(up, down, number, Arc::clone(&setting.tally))?;
    let forwarding = tokio::task::spawn_blocking(|| forwarder.run());
    relay(participant, server, Ports { known: HashMap::new(), fronts }).await;
    forwarding.await?
}

/// The head of a message, and what has come behind it; `None` if there is none.
async fn read_head(stream: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await? == 0 || bytes.len() > head::MAX_HEAD {
            return Ok(None);
        }
        if let Some(end) = head::end(&bytes) {
            let rest = bytes.split_off(end);
            return Ok(String::from_utf8(bytes).ok().map(|head| (head, rest)));
        }
    }
}

/// The gate's ports for the server's.
#[derive(Debug)]
struct Ports {
    known: HashMap<SocketAddr, SocketAddr>,
    fronts: Fronts,
}

impl Ports {
    /// The port that stands for this one; `None` if it is not on this machine.
    fn front(&mut self, server: SocketAddr) -> Option<SocketAddr> {
        if let Some(gate) = self.known.get(&server) {
            return Some(*gate);
        }
        let gate = self.fronts.open(server).ok()?;
        self.known.insert(server, gate);
        Some(gate)
    }
}

/// Passes messages on until one end leaves. Each end's pings are answered here, and passed on: who hears
/// nothing for long gives up.
async fn relay(mut participant: Web, mut server: Web, mut ports: Ports) {
    loop {
        let (end, message) = tokio::select! {
            message = participant.next() => (End::Participant, message),
            message = server.next() => (End::Server, message),
        };
        let (from, to) = match end {
            End::Participant => (&mut participant, &mut server),
            End::Server => (&mut server, &mut participant),
        };
        let sent = match message {
            Some(Ok(Message::Text(text))) => {
                let text = match end {
                    End::Participant => signalling::to_server(&text),
                    End::Server => {
                        signalling::to_participant(&text, &mut |server| ports.front(server))
                    }
                };
                match text {
                    Some(text) => to.send(Message::text(text)).await,
                    None => Ok(()),
                }
            }
            Some(Ok(Message::Binary(bytes))) => to.send(Message::Binary(bytes)).await,
            Some(Ok(Message::Close(frame))) => {
                // Whoever does not answer is left.
                let _ = timeout(CLOSE_LIMIT, farewell(from, to, frame)).await;
                return;
            }
            Some(Ok(Message::Ping(bytes))) => to.send(Message::Ping(bytes)).await,
            Some(Ok(_)) => Ok(()),
            // It went without a word: so does the other leg.
            Some(Err(_)) | None => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum End {
    Participant,
    Server,
}

/// Closes as the other end has closed, and answers that one.
async fn farewell(from: &mut Web, to: &mut Web, frame: Option<CloseFrame>) {
    if to.close(frame).await.is_ok() {
        while let Some(Ok(_)) = to.next().await {}
    }
    while let Some(Ok(_)) = from.next().await {}
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_servers_address_is_taken_apart() {
        for (uri, expected) in [
            ("ws://localhost:8100/ws", Some(("localhost:8100", "/ws"))),
            ("ws://[::1]:9/x/ws?a=b", Some(("[::1]:9", "/x/ws?a=b"))),
            ("ws://localhost:8100", Some(("localhost:8100", ""))),
            ("wss://localhost:8100/ws", None),
            ("ws://localhost/ws", None),
            ("ws://:8100/ws", None),
            ("ws://localhost:x/ws", None),
            ("ws://u@localhost:1/ws", None),
        ] {
            assert_eq!(parse(uri), expected, "{uri}");
        }
    }

    #[test]
    fn pings_go_through() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let uri = format!("ws://{}/ws", listener.local_addr().unwrap());
        let gate = Gate::open(&uri, Link::default(), Link::default()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let call = async {
            let server = async {
                let listener = TcpListener::from_std(listener).unwrap();
                let (stream, _) = listener.accept().await.unwrap();
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                socket.send(Message::Ping("alive".into())).await.unwrap();
                socket.next().await
            };
            let participant = async {
                let address = gate.uri().trim_start_matches("ws://").trim_end_matches("/ws");
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut socket, _) =
                    tokio_tungstenite::client_async(gate.uri(), stream).await.unwrap();
                socket.next().await.unwrap().unwrap()
            };
            tokio::join!(server, participant).1
        };
        let heard = runtime.block_on(async { timeout(Duration::from_secs(60), call).await });
        assert_eq!(heard.unwrap(), Message::Ping("alive".into()));
    }
}
