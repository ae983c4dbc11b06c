// SPDX-License-Identifier: MPL-2.0

//! One WebSocket, one task: frames in, words out. The [`Guard`] decides about what comes in,
//! the lobby about who may stay.

use super::guard::{End, Guard, Verdict};
use super::limits::CLIENT_QUEUE;
use super::lobby::{Client, Request, Word};
use super::roster::Newcomer;
use super::{Door, lock};
use ducksoup_signaller::frame::{Connection, LeaveCause};
use ducksoup_signaller::protocol::{JoinOptions, ServerMessage};
use futures_util::{SinkExt as _, StreamExt as _};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};
use warp::ws::{Message, WebSocket};

/// The payload of a ping that asks for one client's life; other pings carry none.
const PROBE: &[u8] = b"probe";
/// With this code a client closes that is about to join again (docs/protocol.md, "Transport").
const CLOSE_RETURNING: u16 = 4001;

/// Whether a client's frame was refused; else its socket broke.
fn is_refusal(error: &warp::Error) -> bool {
    let reason = error.source().and_then(|reason| reason.downcast_ref());
    !matches!(
        reason,
        Some(
            tungstenite::Error::Io(_)
                | tungstenite::Error::ConnectionClosed
                | tungstenite::Error::AlreadyClosed
                | tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        )
    )
}

/// What the log says about whoever is at the other end.
struct Who {
    interaction: String,
    namespace: String,
    user: String,
}

/// The door ends.
async fn closes(closing: &mut watch::Receiver<bool>) {
    // An error says that the door is gone altogether.
    let _ = closing.wait_for(|closing| *closing).await;
}

/// One client's socket.
struct Socket {
    door: Arc<Door>,
    connection: Connection,
    origin: String,
    web: WebSocket,
    guard: Guard,
    /// Until when nothing is read.
    pause: Instant,
    /// The way here, until the lobby has it.
    client: Option<Client>,
    who: Option<Who>,
}

/// Serves a WebSocket of a page of that origin to its end.
pub(crate) async fn serve(web: WebSocket, origin: String, door: Arc<Door>) {
    let now = Instant::now();
    let connection = door.next_connection();
    log::info!(context = "peer", origin = origin.as_str(), connection = connection.0; "websocket_upgraded");
    let (client, words) = mpsc::channel(CLIENT_QUEUE);
    let socket = Socket {
        guard: Guard::new(connection, door.config.limits, now),
        door,
        connection,
        origin,
        web,
        pause: now,
        client: Some(client),
        who: None,
    };
    socket.run(words).await;
}

impl Socket {
    async fn run(mut self, mut words: mpsc::Receiver<Word>) {
        let mut closing = self.door.closing.clone();
        let end = loop {
            let timer = self.guard.next_timeout();
            let step = tokio::select! {
                word = words.recv() => match word {
                    Some(word) => self.word(word).await,
                    None => Err(End::new("closed_by_server")),
                },
                frame = self.web.next(), if self.pause <= Instant::now() => self.frame(frame).await,
                () = sleep_until(self.pause.into()), if self.pause > Instant::now() => Ok(()),
                () = sleep_until(timer.into()) => {
                    let verdict = self.guard.tick(Instant::now());
                    self.carry_out(verdict).await
                }
                // The lobby's last words come first.
                () = closes(&mut closing), if self.client.is_some() => {
                    Err(End { code: 1001, ..End::new("server_stopping") })
                }
            };
            if let Err(end) = step {
                break end;
            }
        };
        self.end(end).await;
    }

    /// A word of the lobby.
    async fn word(&mut self, word: Word) -> Result<(), End> {
        match word {
            Word::Say(message) => {
                self.write(Message::text(message.to_wire())).await?;
                if message.ends_call() {
                    return Err(End::new("told_by_server"));
                }
                Ok(())
            }
            Word::Probe => self.write(Message::ping(PROBE)).await,
        }
    }

    /// A frame of the client, or the end of them.
    async fn frame(&mut self, frame: Option<Result<Message, warp::Error>>) -> Result<(), End> {
        let message = match frame {
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                log::debug!(context = "peer", connection = self.connection.0, error:% = error; "websocket_error");
                return Err(if is_refusal(&error) {
                    End::too_large()
                } else {
                    End::lost("websocket_broken")
                });
            }
            None => return Err(End::lost("websocket_closed")),
        };
        let now = Instant::now();
        self.pause = now + self.guard.pause(message.as_bytes().len(), now);
        if message.is_close() {
            return Err(match message.close_frame() {
                Some((CLOSE_RETURNING, _)) => End::lost("client_returns"),
                _ => End::new("client_closed"),
            });
        }
        self.guard.heard();
        if message.is_pong() {
            return match message.as_bytes() {
                PROBE => self.ask(Request::Pong(self.connection)).await,
                _ => Ok(()),
            };
        }
        let verdict = match message.to_str() {
            Ok(text) => self.guard.text(text, now),
            Err(()) if message.is_binary() => self.guard.binary(),
            // A ping; the library answers it.
            Err(()) => Verdict::Nothing,
        };
        self.carry_out(verdict).await
    }

    async fn carry_out(&mut self, verdict: Verdict) -> Result<(), End> {
        match verdict {
            Verdict::Nothing => Ok(()),
            Verdict::Join(options) => self.join(options).await,
            Verdict::Pass(message) => {
                let connection = self.connection;
                self.ask(Request::Message { connection, message }).await
            }
            Verdict::Reply(message) => self.write(Message::text(message.to_wire())).await,
            Verdict::Ping => self.write(Message::ping(Vec::new())).await,
            Verdict::End(end) => Err(end),
        }
    }

    async fn join(&mut self, options: Box<JoinOptions>) -> Result<(), End> {
        let Some(client) = self.client.take() else {
            return Ok(());
        };
        let allowed = lock(&self.door.joins).take(1.0, Instant::now());
        if !allowed {
            log::warn!(context = "peer", connection = self.connection.0; "joins_limited");
            let sentence = "too many people join at this moment, try again in a few seconds";
            // RFC 6455 §7.4.1, as registered: try again later.
            let end = End { code: 1013, ..End::new("joins_limited") };
            return Err(End { message: Some(ServerMessage::Failure(sentence.into())), ..end });
        }
        let who = Who {
            interaction: options.interaction.to_string(),
            namespace: options.namespace.to_string(),
            user: options.user.to_string(),
        };
        log::info!(context = "peer", connection = self.connection.0,
            namespace = who.namespace.as_str(), interaction = who.interaction.as_str(),
            user = who.user.as_str(); "peer_server_started");
        self.who = Some(who);
        let turn = self.door.turn.as_ref();
        let newcomer = Newcomer {
            connection: self.connection,
            origin: self.origin.clone(),
            options,
            ice_servers: turn.map(|turn| turn.ice_server(self.connection)).into_iter().collect(),
        };
        self.ask(Request::Join { newcomer, client }).await
    }

    async fn ask(&mut self, request: Request) -> Result<(), End> {
        let sent = self.door.lobby.send(request).await;
        sent.map_err(|_| End::new("server_stopping"))
    }

    /// Writes within the limit; a client that does not take it is gone.
    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.door.config.limits.write, self.web.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::lost("websocket_closed")),
            Err(_) => Err(End::lost("client_too_slow")),
        }
    }

    async fn end(mut self, end: End) {
        match &self.who {
            Some(who) => {
                log::info!(context = "peer", connection = self.connection.0, cause = end.cause,
                    namespace = who.namespace.as_str(), interaction = who.interaction.as_str(),
                    user = who.user.as_str(); "peer_server_ended");
                self.gone(end.leave).await;
            }
            None => {
                log::info!(context = "peer", connection = self.connection.0, cause = end.cause; "websocket_ended");
            }
        }
        let code = end.code;
        let wrote = match end.message {
            Some(message) => self.last_word(&message).await,
            None => Ok(()),
        };
        if wrote.is_ok() && self.write(Message::close_with(code, end.cause)).await.is_ok() {
            // Until the client's own close has come the words before it may not have been read.
            let limit = self.door.config.limits.write;
            let _ =
                timeout(limit, async { while let Some(Ok(_)) = self.web.next().await {} }).await;
        }
    }

    async fn last_word(&mut self, message: &ServerMessage) -> Result<(), End> {
        self.write(Message::text(message.to_wire())).await
    }

    async fn gone(&mut self, cause: LeaveCause) {
        let connection = self.connection;
        // A lobby that is gone needs no telling.
        let _ = self.ask(Request::Gone { connection, cause }).await;
    }
}
