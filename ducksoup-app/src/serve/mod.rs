// SPDX-License-Identifier: MPL-2.0

//! The door: HTTP and WebSockets, who may enter, and the stage processes behind.
//!
//! # Layout
//! - `listener`: connections, plain or TLS, up to their first request.
//! - `routes`: which address is what; `assets`, `stats`: what is shown there; `auth`,
//!   `origin`: who may see it.
//! - `socket`: one task for each WebSocket; `guard`, `rate`: what its client may say.
//! - `checks`: what participants' device checks came to.
//! - `lobby`: the task that owns who is where; `roster`: its decisions.
//! - `worker`: the stage processes; `meter`: what they cost; `trial`: what is tried before
//!   anybody comes; `recovery`: what is completed for runs that died.
//! - `turn`: the embedded TURN server.
//! - `limits`: every wait and size.
//!
//! Frames travel socket → lobby → stage and back; each way is bounded, and only the side that
//! is at fault ever waits.

mod assets;
mod auth;
mod checks;
mod guard;
pub(crate) mod limits;
pub mod listener;
mod lobby;
mod meter;
mod origin;
mod rate;
mod recovery;
mod roster;
mod routes;
mod socket;
mod stats;
pub mod trial;
mod turn;
mod worker;

pub use limits::Limits;

use crate::config::Config;
use ducksoup_signaller::frame::Connection;
use limits::MAX_SOCKETS;
use lobby::{Lobby, Request};
use origin::Origins;
use rate::Bucket;
use recovery::Recovery;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;
use turn::Turn;

/// What requests and sockets share.
#[derive(Debug)]
struct Door {
    config: Config,
    origins: Origins,
    lobby: mpsc::Sender<Request>,
    turn: Option<Turn>,
    connections: AtomicU64,
    /// One permit for each socket.
    sockets: Arc<Semaphore>,
    /// How many more may join.
    joins: Mutex<Bucket>,
    /// How many more device checks are stored.
    checks: Mutex<checks::Allowance>,
    /// Becomes true at the end.
    closing: watch::Receiver<bool>,
}

impl Door {
    fn new(
        config: Config,
        port: u16,
        turn: Option<Turn>,
    ) -> (Arc<Self>, Lobby, watch::Sender<bool>) {
        let recovery = Recovery::start(&config);
        let (lobby, to_lobby) = Lobby::new(&config, recovery);
        let (close, closing) = watch::channel(false);
        let now = Instant::now();
        let Limits { join_rate, join_burst, .. } = config.limits;
        let door = Self {
            origins: Origins::new(
                &config.allowed_ws_origins,
                config.mode,
                port,
                config.tls.is_some(),
            ),
            config,
            lobby: to_lobby,
            turn,
            connections: AtomicU64::new(0),
            sockets: Arc::new(Semaphore::new(MAX_SOCKETS)),
            joins: Mutex::new(Bucket::new(join_rate.into(), join_burst.into(), now)),
            checks: Mutex::new(checks::Allowance::new(now)),
            closing,
        };
        (Arc::new(door), lobby, close)
    }

    fn next_connection(&self) -> Connection {
        Connection(self.connections.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// What is behind a lock that no panic can leave broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves on that listener until `shutdown`, then lets every stage finish its files (at most
/// [`Limits::shutdown`]) and every client hear its last word.
///
/// # Errors
/// When the listener has no address, the TURN server's port cannot be listened on, or a fault of
/// our own leaves nobody to let clients in.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let address = listener.local_addr()?;
    let limits = config.limits;
    log::info!(context = "app", address:% = address, version = env!("CARGO_PKG_VERSION"); "app_started");
    if !config.protected_pages_open() {
        log::warn!(context = "init", variable = "DUCKSOUP_TEST_PASSWORD"; "protected_pages_closed");
    }
    // Dropped at the end of this function: media flow until the stages have ended.
    let (_serving, turn_stops) = watch::channel(false);
    let turn = match &config.turn {
        Some(turn) => Some(Turn::start(turn, &config.stage_settings(), turn_stops).await?),
        None => None,
    };
    let (door, lobby, close) = Door::new(config, address.port(), turn);
    let (stop, stopped) = oneshot::channel();
    let tls = door.config.tls.as_ref().map(|tls| tls.server_config().into());
    let server = listener::accept(listener, tls, routes::routes(&door), limits, stopped);
    let mut server = tokio::spawn(server);
    let mut lobby = tokio::spawn(lobby.run());

    tokio::select! {
        () = shutdown => {
            // A lobby that is gone has finished.
            let _ = door.lobby.send(Request::Shutdown).await;
            let _ = lobby.await;
        }
        ended = &mut lobby => {
            // Without it nobody can come in: whoever started this program starts it again.
            let reason = ended.err().map_or_else(String::new, |error| error.to_string());
            return Err(std::io::Error::other(format!("the lobby ended: {reason}")));
        }
    }
    let _ = close.send(true);
    let all = u32::try_from(MAX_SOCKETS).unwrap_or(u32::MAX);
    let _ = timeout(2 * limits.write, door.sockets.acquire_many(all)).await;
    let _ = stop.send(());
    if timeout(limits.write, &mut server).await.is_err() {
        server.abort();
    }
    log::info!(context = "app"; "app_ended");
    log::logger().flush();
    Ok(())
}

#[cfg(test)]
mod tests;
