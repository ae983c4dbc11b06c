// SPDX-License-Identifier: MPL-2.0

//! The WebSocket of one conversation: a task that carries out what the [`Session`] decides.

use super::address::Address;
use super::event::Failure;
use super::session::{Effect, Input, Session};
use super::tls::{self, Trust};
use futures_util::{SinkExt, StreamExt};
use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Error};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Longest message of the server's, in bytes. Ours: the longest offer that is read, escaped twice.
const MAX_MESSAGE: usize = 1024 * 1024;
/// How long the server may take to read a message of ours. Ours.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long the farewell may take. Ours.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// How long the server may be silent: it pings at least once a minute (PROTOCOL, "Transport").
const SILENCE_LIMIT: Duration = Duration::from_secs(90);

/// One for all participants of this process: two threads carry hundreds of quiet sockets, and one
/// listener that is slow does not stop the others.
pub(super) static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("ducksouppeer-io").enable_io().enable_time();
    builder.build().ok()
});

/// Where to go, and what to say there.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) address: Address,
    pub(super) origin: String,
    pub(super) trust: Trust,
    pub(super) session: Session,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}
type Socket = WebSocketStream<Box<dyn Wire>>;

/// The whole conversation. What concerns neither the socket nor the clock goes to `hand_on`.
pub(super) async fn converse(
    plan: Plan,
    mut commands: mpsc::Receiver<Input>,
    mut hand_on: impl FnMut(Effect) + Send,
) {
    let Plan { address, origin, trust, mut session } = plan;
    let opening = open(&address, &origin, &trust);
    tokio::pin!(opening);
    let mut socket = loop {
        let input = tokio::select! {
            opened = &mut opening => match opened {
                Ok(socket) => break socket,
                Err(failure) => Input::Closed(failure),
            },
            command = commands.recv() => command.unwrap_or(Input::HangUp),
            () = due(&session) => Input::Tick,
        };
        for effect in session.step(input, Instant::now()) {
            match effect {
                Effect::Close(_) => return,
                effect => hand_on(effect),
            }
        }
    };

    let mut input = Input::Opened;
    let mut heard = Instant::now();
    let code = loop {
        if let ControlFlow::Break(code) =
            carry_out(&mut socket, &mut session, input, &mut hand_on).await
        {
            break code;
        }
        input = tokio::select! {
            frame = socket.next() => {
                heard = Instant::now();
                match frame {
                    Some(Ok(Message::Text(text))) => Input::Heard(text.to_string()),
                    // Pings are answered below us; binary frames are not ours.
                    Some(Ok(Message::Close(frame))) => Input::Closed(closed(frame.as_ref())),
                    Some(Ok(_)) => Input::Tick,
                    Some(Err(error)) => Input::Closed(broken(&error)),
                    None => Input::Closed(closed(None)),
                }
            }
            command = commands.recv() => command.unwrap_or(Input::HangUp),
            () = due(&session) => Input::Tick,
            () = sleep_until((heard + SILENCE_LIMIT).into()) => Input::Closed(
                Failure::Closed(format!("silent for {} s", SILENCE_LIMIT.as_secs()))
            ),
        };
    };
    // Whatever comes of it, the socket is dropped after this.
    let _ = timeout(CLOSE_LIMIT, farewell(&mut socket, code)).await;
}

/// Carries out a step; breaks with the code to close with.
async fn carry_out(
    socket: &mut Socket,
    session: &mut Session,
    input: Input,
    hand_on: &mut (impl FnMut(Effect) + Send),
) -> ControlFlow<u16> {
    let mut effects = session.step(input, Instant::now());
    while !effects.is_empty() {
        let mut failure = None;
        for effect in effects {
            match effect {
                Effect::Close(code) => return ControlFlow::Break(code),
                Effect::Say(text) if failure.is_none() => {
                    let said = timeout(WRITE_LIMIT, socket.send(Message::text(text))).await;
                    failure = match said {
                        Ok(Ok(())) => None,
                        Ok(Err(error)) => Some(broken(&error)),
                        Err(_) => Some(Failure::Closed("it reads nothing any more".to_owned())),
                    };
                }
                Effect::Say(_) => {}
                effect => hand_on(effect),
            }
        }
        effects = match failure {
            Some(failure) => session.step(Input::Closed(failure), Instant::now()),
            None => vec![],
        };
    }
    ControlFlow::Continue(())
}

async fn farewell(socket: &mut Socket, code: u16) {
    let frame = CloseFrame { code: code.into(), reason: "".into() };
    if socket.close(Some(frame)).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

async fn due(session: &Session) {
    match session.deadline() {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn open(address: &Address, origin: &str, trust: &Trust) -> Result<Socket, Failure> {
    let unreachable =
        |reason: String| Failure::Unreachable { address: address.authority.clone(), reason };
    let not_admitted =
        |reason: String| Failure::NotAdmitted { address: address.authority.clone(), reason };
    let stream = TcpStream::connect((address.host.as_str(), address.port))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // Small words, each of which somebody waits for.
    let _ = stream.set_nodelay(true);
    let wire: Box<dyn Wire> = if address.tls {
        Box::new(tls::wrap(stream, &address.host, trust).await.map_err(not_admitted)?)
    } else {
        Box::new(stream)
    };
    let mut request = address
        .uri()
        .into_client_request()
        .map_err(|error| Failure::Settings(format!("uri: {error}")))?;
    let origin = HeaderValue::from_str(origin)
        .map_err(|_| Failure::Settings(format!("origin {origin:?} is no origin")))?;
    request.headers_mut().insert("Origin", origin);
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    match client_async_with_config(request, wire, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(not_admitted(format!("HTTP {}", response.status()))),
        Err(error) => Err(unreachable(format!("it speaks no WebSocket: {error}"))),
    }
}

fn closed(frame: Option<&CloseFrame>) -> Failure {
    Failure::Closed(match frame {
        Some(frame) if frame.reason.is_empty() => format!("code {}", frame.code),
        Some(frame) => format!("code {}, {}", frame.code, frame.reason.as_str()),
        None => "without a word".to_owned(),
    })
}

fn broken(error: &tungstenite::Error) -> Failure {
    match error {
        Error::Capacity(_) => Failure::Unusable {
            kind: "message",
            reason: format!("it has more than {MAX_MESSAGE} bytes"),
        },
        error => Failure::Closed(error.to_string()),
    }
}
