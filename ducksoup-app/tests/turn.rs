// SPDX-License-Identifier: MPL-2.0

//! The embedded TURN server against coturn's client, with a credential that a participant was given:
//! what it relays, and what it refuses.

#[allow(dead_code)] // made for the tests of the whole door
mod support;

use ducksoup_app::config::{Args, Config, TurnConfig};
use ducksoup_app::serve;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use support::{Client, Server, Settings, join};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::process::Command;
use tokio::time::timeout;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);
/// Messages that coturn's client sends, one every 20 ms.
const MESSAGES: usize = 20;

/// The machine's own address, the one that faces the world. Nothing is sent.
fn own_address() -> IpAddr {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("198.51.100.1:9").expect("a network");
    socket.local_addr().expect("an address").ip()
}

/// A participant's TURN server, as `joined` tells of it.
struct Told {
    urls: Vec<String>,
    username: String,
    password: String,
}

/// A server with TURN, a place for media, and a participant.
struct Site {
    server: Server,
    _participant: Client,
    told: Told,
    turn: SocketAddr,
    /// Echoes what it receives, where media may go.
    media: SocketAddr,
}

async fn echo(address: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind(address).await.expect("a socket");
    let bound = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    });
    bound
}

impl Site {
    /// One whose media have a single port.
    async fn open() -> Self {
        Self::with(own_address(), |media| (media, media)).await
    }

    /// One behind an address translator, which owns the public address.
    async fn behind(public: IpAddr) -> Self {
        Self::with(public, |media| (media, media)).await
    }

    /// One whose media have any port: by channels, coturn's client insists on one for a port that
    /// it invents.
    async fn wide() -> Self {
        Self::with(own_address(), |_| (1024, u16::MAX)).await
    }

    async fn with(public_ip: IpAddr, ports: impl FnOnce(u16) -> (u16, u16)) -> Self {
        let own = own_address();
        let media = echo(SocketAddr::new(own, 0)).await;
        let (min, max) = ports(media.port());
        let server = Server::start(Settings {
            turn: Some(TurnConfig { address: own.to_string(), port: 0, public_ip }),
            media_ports: Some(format!("{min}-{max}")),
            ..Settings::default()
        })
        .await;
        let mut participant = server.client().await;
        participant.say(&join("i", "a")).await;
        let told = told(&participant.kind("joined").await);
        let port = told.urls[0].split([':', '?']).nth(2).and_then(|port| port.parse().ok());
        let turn = SocketAddr::new(own, port.expect("a port"));
        Self { server, _participant: participant, told, turn, media }
    }

    /// What coturn's client says about sending messages to a peer by way of this server.
    async fn relay(&self, arguments: &[&str], peer: SocketAddr) -> String {
        self.relay_as(&self.told.username, &self.told.password, arguments, peer).await
    }

    async fn relay_as(
        &self,
        username: &str,
        password: &str,
        arguments: &[&str],
        peer: SocketAddr,
    ) -> String {
        let mut command = Command::new("turnutils_uclient");
        // One connection (-m), no second one for RTCP (-c).
        command.args(["-v", "-c", "-m", "1", "-n", &MESSAGES.to_string()]);
        command.args(["-u", username, "-w", password, "-p", &self.turn.port().to_string()]);
        command.args(["-e", &peer.ip().to_string(), "-r", &peer.port().to_string()]);
        command.args(arguments).arg(self.turn.ip().to_string()).kill_on_drop(true);
        let ended = timeout(LIMIT, command.output()).await.expect("in time");
        let output = ended.expect("coturn is installed");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn told(joined: &Value) -> Told {
    let server = &joined["iceServers"].as_array().expect("a list")[0];
    let text = |name: &str| server[name].as_str().expect(name).to_owned();
    let urls = server["urls"].as_array().expect("a list").iter();
    Told {
        urls: urls.map(|url| url.as_str().expect("a text").to_owned()).collect(),
        username: text("username"),
        password: text("credential"),
    }
}

/// How many messages came back.
fn received(said: &str) -> usize {
    let count = said.rsplit("tot_recv_msgs=").next().expect("a count");
    count.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_participant_is_told_of_both_ways_with_a_credential_of_their_own() {
    let site = Site::open().await;
    let [udp, tcp] = &site.told.urls[..] else { panic!("two ways: {:?}", site.told.urls) };
    assert_eq!(*udp, format!("turn:{}?transport=udp", site.turn));
    assert_eq!(*tcp, format!("turn:{}?transport=tcp", site.turn));
    let mut other = site.server.client().await;
    other.say(&join("i", "b")).await;
    let other = told(&other.kind("joined").await);
    assert_ne!(other.username, site.told.username);
    assert_ne!(other.password, site.told.password);
    let expiry = other.username.split(':').next().and_then(|seconds| seconds.parse().ok());
    let expiry = UNIX_EPOCH + Duration::from_secs(expiry.expect("a time"));
    let left = expiry.duration_since(SystemTime::now()).expect("not yet").as_secs();
    assert!((1200..1300).contains(&left), "the longest run, and the wait for it: {left} s");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_reaches_the_servers_media_over_udp_and_tcp() {
    for (site, ways) in [
        (Site::wide().await, [&[][..], &["-t"][..]]),
        (Site::open().await, [&["-s"][..], &["-t", "-s"][..]]),
    ] {
        for arguments in ways {
            let said = site.relay(arguments, site.media).await;
            assert_eq!(received(&said), MESSAGES, "{arguments:?}: {said}");
        }
        site.server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_translator_the_public_address_leads_to_the_media_too() {
    let public = IpAddr::from([203, 0, 113, 7]);
    let site = Site::behind(public).await;
    for peer in [site.media, SocketAddr::new(public, site.media.port())] {
        let said = site.relay(&["-s"], peer).await;
        assert!(said.contains("Received relay addr: 203.0.113.7:"), "{said}");
        assert_eq!(received(&said), MESSAGES, "{peer}: {said}");
    }
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reaches_anything_else() {
    let site = Site::open().await;
    // It is there, and would answer.
    let other_port = echo(SocketAddr::new(site.media.ip(), 0)).await;
    let loopback: SocketAddr = format!("127.0.0.1:{}", site.media.port()).parse().expect("one");
    let stranger = SocketAddr::new(IpAddr::from([203, 0, 113, 9]), site.media.port());
    for (peer, arguments) in [
        (stranger, &[][..]),
        (stranger, &["-s"][..]),
        (loopback, &[][..]),
        (loopback, &["-s"][..]),
        (other_port, &[][..]),
        (stranger, &["-t"][..]),
    ] {
        let said = site.relay(arguments, peer).await;
        assert!(said.contains("403"), "{peer} {arguments:?}: {said}");
        assert_eq!(received(&said), 0, "{peer} {arguments:?}: {said}");
    }
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_expired_credentials_get_nothing() {
    let site = Site::open().await;
    let Told { username, password, .. } = &site.told;
    let later = username.replacen('1', "2", 1);
    let expired = format!("1000000000:{}", username.split(':').nth(1).expect("a name"));
    for (username, password) in [
        (username.as_str(), "guess"),
        (later.as_str(), password),
        (expired.as_str(), password),
        ("guest", password),
    ] {
        for transport in [&[][..], &["-t"][..]] {
            let said = site.relay_as(username, password, transport, site.media).await;
            assert!(said.contains("Cannot complete Allocation"), "{username}: {said}");
            assert_eq!(received(&said), 0, "{username}: {said}");
        }
    }
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_stops_the_start_and_is_named() {
    let taken = TcpListener::bind("0.0.0.0:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let working = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(&Args::default(), working.path()).expect("valid");
    config.stage_program = vec!["/nowhere/stage".into()];
    config.turn = Some(TurnConfig { address: "x".into(), port, public_ip: own_address() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let ended = timeout(LIMIT, serve::run(listener, config, std::future::pending())).await;
    let error = ended.expect("in time").expect_err("no start").to_string();
    assert!(error.starts_with(&format!("DUCKSOUP_TURN_PORT: port {port} ")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_silence_are_turned_away_and_harm_nobody() {
    let site = Site::open().await;
    let silent = TcpStream::connect(site.turn).await.expect("a connection");
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 5000], &[0, 1, 0xff, 0xfc]] {
        let mut stream = TcpStream::connect(site.turn).await.expect("a connection");
        stream.write_all(garbage).await.expect("written");
        is_closed(stream).await;
    }
    let socket = UdpSocket::bind("0.0.0.0:0").await.expect("a socket");
    for length in (0..6000).step_by(7) {
        // The kernel may refuse what is too much.
        let _ = socket.send_to(&vec![0x21; length], site.turn).await;
    }
    is_closed(silent).await;
    let said = site.relay(&["-s"], site.media).await;
    assert_eq!(received(&said), MESSAGES, "{said}");
    site.server.stop().await;
}

/// Reads to the end, which comes in time.
async fn is_closed(mut stream: TcpStream) {
    let mut read = Vec::new();
    // A reset is an end too.
    let _ = timeout(LIMIT, stream.read_to_end(&mut read)).await.expect("closed in time");
}

/// Not a test: the stage that the door starts. Without its variable it does nothing.
#[test]
fn the_stage_of_these_tests() {
    if let Ok(behaviour) = std::env::var(support::STAGE_VARIABLE) {
        support::stage::run(&behaviour);
    }
}
