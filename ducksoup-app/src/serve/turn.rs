// SPDX-License-Identifier: MPL-2.0

//! The embedded TURN server: for participants whose network lets no media pass but to one port.
//!
//! # Layout
//! - `credentials`: time-limited user names and passwords, nonces (pure).
//! - `permit`: whereto is relayed: this server's own media (pure).
//! - `session`, `allocation`, `answer`: what one client may do and is answered (pure).
//! - `framing`: messages in a TCP stream (pure). `quota`: how many may have what.
//! - `leg`: carries out what a session says. Here: the sockets.
//!
//! ```text
//!   browser ── UDP or TCP ──► leg: session ── relay socket ──► webrtcbin's socket, same machine
//! ```
//!
//! Messages are read and written by the crates `stun-types` and `turn-types`. The server that the
//! same project builds on them, `turn-server-proto` 0.7, is not used: it keeps a nonce for every
//! address that ever sent it a packet, and a user for ever, and has no say in who is relayed to.
//! Here nothing is kept about a client until it has proved that it holds a credential; then it has
//! a task of its own.

mod allocation;
mod answer;
mod credentials;
mod framing;
mod leg;
mod permit;
mod quota;
mod session;

use super::rate::Bucket;
use crate::config::{Secret, TurnConfig};
use credentials::Credentials;
use ducksoup_signaller::frame::{Connection, StageSettings};
use ducksoup_signaller::protocol::{IceServer, MAX_DURATION};
use framing::{MAX_MESSAGE, Stream, padded};
use leg::{Leg, Way};
use permit::{Permits, ephemeral_ports};
use quota::{Bounds, Place, Quota};
use rand::Rng as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use session::{Grant, Now, Parity, Rules};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// A credential outlives the longest wait for the others and the longest run by this much. Ours.
const SLACK: Duration = Duration::from_secs(60);
/// Messages that may wait for a client's leg, or on a TCP connection for its client: 50 ms of
/// 40 Mbit/s. Ours; what does not fit is lost, as on any network.
const QUEUE: usize = 256;
/// For a TCP client to take what is written to it. Ours.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
/// After a socket reports an error that is nobody's. Ours: so that a lasting one keeps no core busy.
const PAUSE: Duration = Duration::from_millis(20);
/// Attempts to find a port that is free for UDP and TCP, or outside a range. Ours.
const ATTEMPTS: usize = 32;
/// Refusals that are logged, each second and at once. Ours: a stranger must not fill a disk.
const REFUSALS: (f64, f64) = (1.0, 10.0);
/// Allocations that are logged, each second and at once. Ours: a class that begins together is; one
/// client that goes on and on is not.
const ALLOCATIONS: (f64, f64) = (5.0, 500.0);

/// What the door needs: it tells participants where to go, and as whom.
#[derive(Debug)]
pub(crate) struct Turn {
    shared: Arc<Shared>,
    urls: Vec<String>,
}

/// What all clients' legs share.
struct Shared {
    rules: Rules,
    quota: Arc<Quota>,
    /// Where relays are not, if possible: webrtcbin needs these ports.
    media_ports: Option<(u16, u16)>,
    refusals: Mutex<Lines>,
    allocations: Mutex<Lines>,
    stopped: watch::Receiver<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Lines of the log, so many and no more.
#[derive(Debug)]
struct Lines {
    bucket: Bucket,
    unlogged: u64,
}

impl Lines {
    fn new((rate, burst): (f64, f64)) -> Mutex<Self> {
        Mutex::new(Self { bucket: Bucket::new(rate, burst, Instant::now()), unlogged: 0 })
    }

    /// Whether there may be another one; then, how many there might not be before it.
    fn another(lines: &Mutex<Self>) -> Option<u64> {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bucket.take(1.0, Instant::now()) {
            return Some(std::mem::take(&mut lines.unlogged));
        }
        lines.unlogged += 1;
        None
    }
}

/// Where an allocation is relayed from.
#[derive(Debug)]
struct Relay {
    /// Given back before the socket is: its port may be another relay's the moment it is free.
    _place: Place,
    socket: UdpSocket,
    address: SocketAddr,
}

impl Turn {
    /// Listens, and serves until `stopped` is told or dropped.
    ///
    /// # Errors
    /// When the port cannot be listened on, over UDP and TCP.
    pub(crate) async fn start(
        config: &TurnConfig,
        settings: &StageSettings,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<Self> {
        let (udp, tcp) = listen(config.port).await.map_err(|error| {
            let reason =
                format!("DUCKSOUP_TURN_PORT: port {} cannot be listened on: {error}", config.port);
            io::Error::new(error.kind(), reason)
        })?;
        let port = udp.local_addr()?.port();
        let bounds = Bounds::of(open_files());
        let lifetime =
            Duration::from_secs(u64::from(MAX_DURATION) + u64::from(settings.abort_delay));
        let secret = Secret::new(rand::rng().random::<u128>().to_string());
        let public = config.public_ip;
        let inside = if is_own(public) { None } else { facing(public) };
        let ports = settings.media_ports.map_or_else(kernel_ports, |(min, max)| min..=max);
        let shared = Arc::new(Shared {
            rules: Rules {
                realm: config.address.clone(),
                credentials: Credentials::new(secret, lifetime + SLACK),
                permits: Permits { public, inside, ports, turn_port: port },
                is_own,
            },
            quota: Quota::of_allocations(bounds),
            media_ports: settings.media_ports,
            refusals: Lines::new(REFUSALS),
            allocations: Lines::new(ALLOCATIONS),
            stopped,
        });
        log::info!(context = "server", address = config.address.as_str(), port = port,
            public_ip:% = public, allocations = bounds.allocations; "turn_started");
        tokio::spawn(serve_udp(Arc::clone(&shared), Arc::new(udp)));
        tokio::spawn(serve_tcp(Arc::clone(&shared), tcp, Quota::of_connections(bounds)));
        let urls = ["udp", "tcp"]
            .map(|transport| format!("turn:{}:{port}?transport={transport}", config.address));
        Ok(Self { shared, urls: urls.into() })
    }

    /// What one participant is told.
    pub(crate) fn ice_server(&self, connection: Connection) -> IceServer {
        let name = connection.0.to_string();
        let credential = self.shared.rules.credentials.issue(&name, now().unix);
        IceServer {
            urls: self.urls.clone(),
            username: Some(credential.username),
            credential: Some(credential.password.reveal().to_owned()),
        }
    }
}

impl Shared {
    /// A socket to relay from.
    ///
    /// # Errors
    /// The code of the refusal, when there is no more.
    async fn open(&self, grant: &Grant, client: IpAddr) -> Result<Relay, u16> {
        use stun_types::attribute::ErrorCode;
        let mut place = self.quota.take(&grant.username, client).map_err(|full| match full {
            quota::Full::User => ErrorCode::ALLOCATION_QUOTA_REACHED,
            quota::Full::All => ErrorCode::INSUFFICIENT_CAPACITY,
        })?;
        let public = self.rules.permits.public;
        // Held until the end, or the kernel would give the same port again.
        let mut odd = Vec::new();
        let mut of_media = Vec::new();
        let (socket, port) = loop {
            let bound = UdpSocket::bind((any(public), 0)).await;
            let Some((socket, port)) = bound.ok().and_then(|socket| {
                let port = socket.local_addr().ok()?.port();
                Some((socket, port))
            }) else {
                return Err(ErrorCode::INSUFFICIENT_CAPACITY);
            };
            if grant.parity == Parity::Even && port % 2 == 1 {
                odd.push(socket);
            } else if self.media_ports.is_some_and(|(min, max)| (min..=max).contains(&port)) {
                of_media.push((socket, port));
            } else {
                break (socket, port);
            }
            if odd.len() + of_media.len() == ATTEMPTS {
                // Media may have all ports there are; better one port less for them than no relay.
                break of_media.pop().ok_or(ErrorCode::INSUFFICIENT_CAPACITY)?;
            }
        };
        place.has_port(port);
        Ok(Relay { _place: place, socket, address: SocketAddr::new(public, port) })
    }

    /// One line for many refusals.
    fn log_refusal(&self, code: u16, transport: &'static str) {
        if let Some(unlogged) = Lines::another(&self.refusals) {
            log::debug!(context = "server", code = code, transport = transport, unlogged = unlogged; "turn_refused");
        }
    }

    fn log_allocation(&self, client: SocketAddr, username: &str, transport: &'static str) {
        if let Some(unlogged) = Lines::another(&self.allocations) {
            log::debug!(context = "server", client:% = client, username = username,
                transport = transport, unlogged = unlogged; "turn_allocated");
        }
    }

    /// With the bytes that have passed, to peers and to the client.
    fn log_release(&self, client: SocketAddr, (to_peers, to_client): (u64, u64)) {
        if let Some(unlogged) = Lines::another(&self.allocations) {
            log::debug!(context = "server", client:% = client, to_peers = to_peers,
                to_client = to_client, unlogged = unlogged; "turn_released");
        }
    }

    /// The server ends.
    async fn stops(&self) {
        // An error says that the door is gone altogether.
        let _ = self.stopped.clone().wait_for(|stopped| *stopped).await;
    }
}

/// The moment, on both clocks.
fn now() -> Now {
    // A clock before 1970 gives credentials that expire at once.
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { instant: Instant::now(), unix: unix.as_secs() }
}

/// UDP and TCP on one port.
async fn listen(port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let mut attempt = 1;
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        match TcpListener::bind((Ipv4Addr::UNSPECIFIED, udp.local_addr()?.port())).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if port != 0 || attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

/// Clients over UDP: who has an allocation has a leg; all others are answered and forgotten.
async fn serve_udp(shared: Arc<Shared>, socket: Arc<UdpSocket>) {
    let mut legs: HashMap<SocketAddr, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut buffer = vec![0; MAX_MESSAGE + 1];
    loop {
        let received = tokio::select! {
            () = shared.stops() => return,
            received = socket.recv_from(&mut buffer) => received,
        };
        let Ok((length, client)) = received else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let bytes = &buffer[..length];
        if length > MAX_MESSAGE {
            continue;
        }
        if let Some(leg) = legs.get(&client) {
            match leg.try_send(bytes.to_vec()) {
                Ok(()) | Err(TrySendError::Full(_)) => continue,
                Err(TrySendError::Closed(_)) => legs.remove(&client),
            };
        }
        let mut leg = Leg::new(&shared, client, Way::Udp(Arc::clone(&socket)));
        // A leg that ends here has never begun.
        let _ = leg.take(bytes).await;
        if leg.has_relay() {
            legs.retain(|_, leg| !leg.is_closed());
            let (messages, to_leg) = mpsc::channel(QUEUE);
            legs.insert(client, messages);
            tokio::spawn(leg.run(to_leg));
        }
    }
}

/// Clients over TCP: each connection is a leg, which ends soon when it makes no allocation.
async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener, connections: Arc<Quota>) {
    loop {
        let accepted = tokio::select! {
            () = shared.stops() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, client)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = connections.take("", client.ip()) else {
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            serve_connection(&shared, stream, client).await;
            drop(place);
        });
    }
}

async fn serve_connection(shared: &Arc<Shared>, stream: TcpStream, client: SocketAddr) {
    // Media are late enough over TCP; a stream that cannot do without the delay works too.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let (messages, to_leg) = mpsc::channel(QUEUE);
    let (outgoing, to_client) = mpsc::channel(QUEUE);
    let leg = Leg::new(shared, client, Way::Tcp(outgoing));
    // Each ends when its neighbour does.
    tokio::join!(read_all(read, messages), leg.run(to_leg), write_all(write, to_client));
}

async fn read_all(mut read: OwnedReadHalf, messages: mpsc::Sender<Vec<u8>>) {
    let mut stream = Stream::default();
    let mut buffer = vec![0; MAX_MESSAGE];
    loop {
        let length = tokio::select! {
            length = read.read(&mut buffer) => length.unwrap_or_default(),
            () = messages.closed() => return,
        };
        if length == 0 {
            return;
        }
        stream.push(&buffer[..length]);
        loop {
            match stream.next() {
                Ok(Some(message)) => {
                    if messages.send(message).await.is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

async fn write_all(mut write: OwnedWriteHalf, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(message) = messages.recv().await {
        let written = timeout(WRITE_LIMIT, write.write_all(&padded(message))).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
}

/// Whether an address is the machine's own: the kernel then talks to it from itself. Asked each
/// time, since addresses come and go.
fn is_own(address: IpAddr) -> bool {
    facing(address) == Some(address)
}

/// The machine's own address from which packets to that one would leave. Sends nothing.
fn facing(address: IpAddr) -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind((any(address), 0)).ok()?;
    // Any port does.
    socket.connect((address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// All addresses of that one's family.
fn any(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn kernel_ports() -> std::ops::RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    ephemeral_ports(&text.unwrap_or_default())
}

/// How many files this process may open, after asking for enough.
fn open_files() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let current = current.unwrap_or(u64::MAX);
    let wanted = maximum.unwrap_or(u64::MAX).min(quota::FILES_WANTED);
    let more = Rlimit { current: Some(wanted), maximum };
    if current < wanted && setrlimit(Resource::Nofile, more).is_ok() { wanted } else { current }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_addresses_are_told_from_others() {
        let own = facing(IpAddr::from([192, 0, 2, 99])).unwrap_or(Ipv4Addr::LOCALHOST.into());
        assert!(is_own(own), "{own}");
        for other in ["8.8.8.8", "192.0.2.99", "224.0.0.1", "255.255.255.255", "2001:db8::1"] {
            assert!(!is_own(other.parse().expect("an address")), "{other}");
        }
    }
}
