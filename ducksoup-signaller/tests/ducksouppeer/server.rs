// SPDX-License-Identifier: MPL-2.0

//! A server that does what a test says, on a port of its own.

#![allow(dead_code)] // each test program uses a part

use ducksoup_signaller::protocol::{ClientMessage, JoinContext, ServerMessage};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept_hdr};

/// Longest wait for anything; it takes well under a second on a quiet machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long a read may block before something else gets its turn.
const TURN: Duration = Duration::from_millis(10);

/// Gone with its last connection.
pub(crate) struct Server {
    port: u16,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Accepts TCP connections; each is `serve`d on a thread of its own.
    pub(crate) fn tcp(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let over = Arc::new(AtomicBool::new(false));
        let (until, serve) = (over.clone(), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if until.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, serve) = (stream.unwrap(), serve.clone());
                std::thread::spawn(move || serve(stream));
            }
        });
        Self { port, over }
    }

    /// Accepts WebSockets.
    #[allow(clippy::result_large_err)] // tungstenite's own type
    pub(crate) fn start(serve: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        Self::tcp(move |stream| {
            stream.set_nodelay(true).unwrap();
            let mut origin = String::new();
            let socket = accept_hdr(stream, |request: &Request, response: Response| {
                let header = request.headers().get("origin");
                origin = header.map(|text| text.to_str().unwrap().to_owned()).unwrap_or_default();
                Ok(response)
            });
            if let Ok(socket) = socket {
                socket.get_ref().set_read_timeout(Some(TURN)).unwrap();
                serve(Connection { socket, origin });
            }
        })
    }

    pub(crate) fn uri(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address());
    }
}

/// What a client does.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Said(ClientMessage),
    Closed(Option<u16>),
    /// Nothing, this turn.
    Nothing,
}

pub(crate) struct Connection {
    socket: WebSocket<TcpStream>,
    pub(crate) origin: String,
}

impl Connection {
    pub(crate) fn say(&mut self, message: &ServerMessage) {
        self.say_text(&message.to_wire());
    }

    /// Fails when the client is gone, which is not ours to judge.
    pub(crate) fn say_text(&mut self, text: &str) {
        let _ = self.socket.send(Message::text(text));
    }

    pub(crate) fn say_binary(&mut self, bytes: &[u8]) {
        let _ = self.socket.send(Message::binary(bytes.to_vec()));
    }

    pub(crate) fn close(&mut self, code: u16) {
        let _ = self.socket.close(Some(CloseFrame { code: code.into(), reason: "".into() }));
        let _ = self.socket.flush();
    }

    /// Waits for one turn.
    pub(crate) fn hear(&mut self) -> Heard {
        match self.socket.read() {
            Ok(Message::Text(text)) => match ClientMessage::parse(&text) {
                Ok(message) => Heard::Said(message),
                Err(error) => panic!("{error}: {text}"),
            },
            Ok(Message::Close(frame)) => Heard::Closed(frame.map(|frame| frame.code.into())),
            Ok(_) => Heard::Nothing,
            Err(Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                Heard::Nothing
            }
            Err(_) => Heard::Closed(None),
        }
    }

    /// The next thing that is not nothing.
    pub(crate) fn next(&mut self) -> Heard {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            match self.hear() {
                Heard::Nothing => {}
                heard => return heard,
            }
        }
        panic!("the client says nothing");
    }

    /// The first word of every client, and its answer.
    pub(crate) fn let_join(&mut self) {
        self.expect_join();
        self.say(&joined());
    }

    pub(crate) fn expect_join(&mut self) {
        let heard = self.next();
        assert!(matches!(heard, Heard::Said(ClientMessage::Join(_))), "{heard:?}");
    }

    /// Everything until the client is gone, but candidates and reports.
    pub(crate) fn rest(&mut self) -> Vec<Heard> {
        let mut all = vec![];
        loop {
            match self.next() {
                Heard::Said(ClientMessage::Candidate(_)) => {}
                closed @ Heard::Closed(_) => {
                    all.push(closed);
                    return all;
                }
                heard => all.push(heard),
            }
        }
    }
}

pub(crate) fn joined() -> ServerMessage {
    ServerMessage::Joined { context: JoinContext::NewInteraction, ice_servers: vec![] }
}
