// SPDX-License-Identifier: MPL-2.0

//! Connections: https and wss with a certificate authority of the test's own, plain ones beside
//! them, and those that never say what they want.

#[path = "support/program.rs"]
mod program;

use ducksoup_app::config::{Args, Config};
use ducksoup_app::serve::{self, Limits, listener};
use futures_util::{SinkExt as _, StreamExt as _};
use program::{Served, ended, program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const ORIGIN: &str = "https://lab.example";
/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);
/// The waits that a test sees the end of.
const SHORT: Duration = Duration::from_millis(300);

/// Writes `cert.pem` and `key.pem` for `localhost` into a folder; a client that trusts them, and
/// nothing else.
fn certificate(folder: &Path) -> TlsConnector {
    let mut params = CertificateParams::new(vec![]).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let authority = authority.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let cert = params.signed_by(&key, &authority).expect("a certificate");
    std::fs::write(folder.join("cert.pem"), cert.pem()).expect("written");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("written");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // What a browser says that could do more.
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(client))
}

/// A door in this process, whose stages do not start.
struct Door {
    address: SocketAddr,
    connector: TlsConnector,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
    _working: TempDir,
}

impl Door {
    async fn start(tls: bool, edit: impl FnOnce(&mut Args, &mut Limits)) -> Self {
        let working = tempfile::tempdir().expect("a folder");
        let connector = certificate(working.path());
        let mut args = Args { allowed_ws_origins: Some(ORIGIN.into()), ..Args::default() };
        if tls {
            args.cert = Some("cert.pem".into());
            args.key = Some("key.pem".into());
        }
        let mut limits = Limits { write: Duration::from_secs(1), ..Limits::default() };
        edit(&mut args, &mut limits);
        let mut config = Config::new(&args, working.path()).expect("valid");
        config.stage_program = vec!["/nowhere/stage".into()];
        config.limits = limits;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(serve::run(listener, config, async {
            let _ = stopped.await;
        }));
        Self { address, connector, stop, running, _working: working }
    }

    async fn plain(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    async fn secure(&self) -> TlsStream<TcpStream> {
        secure(&self.connector, self.plain().await).await
    }

    async fn stop(self) {
        self.stop.send(()).expect("it runs");
        let ended = timeout(LIMIT, self.running).await.expect("in time");
        ended.expect("no panic").expect("no error");
    }
}

async fn secure(connector: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connecting = timeout(LIMIT, connector.connect(name, stream)).await;
    connecting.expect("in time").expect("trusted")
}

/// The answer to a request for a path.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut reply = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut reply)).await.expect("in time").expect("readable");
    String::from_utf8_lossy(&reply).into_owned()
}

/// Opens a WebSocket over a stream; the error as a text.
async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    origin: &str,
) -> Result<tokio_tungstenite::WebSocketStream<S>, String> {
    let mut request = "wss://localhost/ws?href=page".into_client_request().expect("a request");
    request.headers_mut().insert("origin", origin.parse().expect("a header"));
    let opened = timeout(LIMIT, tokio_tungstenite::client_async(request, stream)).await;
    opened.expect("in time").map(|(web, _)| web).map_err(|error| error.to_string())
}

/// Says a join that cannot be, and waits for the refusal: words in both directions.
async fn refused_join<S: AsyncRead + AsyncWrite + Unpin>(
    mut web: tokio_tungstenite::WebSocketStream<S>,
) {
    web.send(Message::text(r#"{"kind":"join","payload":"{}"}"#)).await.expect("sent");
    let next = timeout(LIMIT, web.next()).await.expect("in time");
    let word = next.expect("a word").expect("readable").into_text().expect("a text");
    assert!(word.contains("error-join"), "{word}");
}

/// Whether the server closes the connection by itself.
async fn is_closed(mut stream: impl AsyncRead + Unpin) {
    let mut rest = Vec::new();
    // A reset is a close as well.
    let _ = timeout(LIMIT, stream.read_to_end(&mut rest)).await.expect("closed in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_web_sockets_come_over_tls() {
    let door = Door::start(true, |_, _| ()).await;
    let stream = door.secure().await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let reply = get(stream, "/config/sfu.yml").await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("1800000"), "{reply}");
    refused_join(open(door.secure().await, ORIGIN).await.expect("let in")).await;
    let error = open(door.secure().await, "https://evil.example").await.expect_err("refused");
    assert!(error.contains("403"), "{error}");
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_dev_mode_the_pages_of_the_server_itself_may_open_web_sockets_over_tls() {
    let door = Door::start(true, |args, _| args.mode = Some("DEV".into())).await;
    let origin = format!("https://localhost:{}", door.address.port());
    refused_join(open(door.secure().await, &origin).await.expect("let in")).await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_or_never_ends_the_handshake_harms_nobody() {
    let door = Door::start(true, |_, limits| limits.handshake = SHORT).await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(door.plain().await);
    }
    let reply = get(door.plain().await, "/config/sfu.yml").await;
    assert!(!reply.contains("200"), "{reply}");
    let reply = get(door.secure().await, "/config/sfu.yml").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    for stream in silent {
        is_closed(stream).await;
    }
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_silent_requests_lose_their_place_plain_or_not() {
    for tls in [false, true] {
        let door = Door::start(tls, |_, limits| limits.head = SHORT).await;
        for head in ["", "GET /config/sfu.yml HTTP/1.1\r\nhost:"] {
            if tls {
                let mut stream = door.secure().await;
                stream.write_all(head.as_bytes()).await.expect("written");
                is_closed(stream).await;
            } else {
                let mut stream = door.plain().await;
                stream.write_all(head.as_bytes()).await.expect("written");
                is_closed(stream).await;
            }
        }
        door.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_kept_ends_and_a_web_socket_does_not() {
    let door = Door::start(false, |_, limits| {
        limits.head = SHORT;
        limits.connection = 2 * SHORT;
    })
    .await;
    let web = open(door.plain().await, ORIGIN).await.expect("let in");
    let mut kept = door.plain().await;
    kept.write_all(b"GET /config/sfu.yml HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("written");
    is_closed(kept).await;
    // One request after the other, each head in time, and no answer is read.
    let mut slow = door.plain().await;
    let request = b"GET /config/sfu.yml HTTP/1.1\r\nhost: x\r\n\r\n";
    while timeout(LIMIT, slow.write_all(request)).await.expect("closed in time").is_ok() {}
    refused_join(web).await;
    door.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_what_is_open_over_tls() {
    let door = Door::start(true, |_, _| ()).await;
    let idle = door.secure().await;
    let web = open(door.secure().await, ORIGIN).await.expect("let in");
    door.stop().await;
    is_closed(idle).await;
    let words: Vec<_> = timeout(LIMIT, web.collect()).await.expect("in time");
    let close = words.into_iter().find_map(|word| match word {
        Ok(Message::Close(frame)) => frame,
        _ => None,
    });
    assert_eq!(close.map(|frame| u16::from(frame.code)), Some(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_listens_on_every_address_of_the_machine() {
    let listener = listener::bind(0).expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut addresses = vec![IpAddr::from(Ipv4Addr::LOCALHOST)];
    // Where there is IPv6, that too.
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(Ipv6Addr::LOCALHOST.into());
    }
    for ip in addresses {
        let connecting = TcpStream::connect((ip, address.port()));
        let _stream = timeout(LIMIT, connecting).await.expect("in time").expect("there");
        timeout(LIMIT, listener.accept()).await.expect("in time").expect("accepted");
    }
    let taken = listener::bind(address.port()).expect_err("taken");
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_serves_https_with_cert_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let connector = certificate(folder.path());
    let variables = [("DUCKSOUP_MODE", "DEV"), ("DUCKSOUP_PORT", "0")];
    let mut command = program(folder.path(), &variables);
    command.args(["--cert", "cert.pem", "--key", "key.pem"]);
    let served = Served::start(command);
    assert!(served.url.starts_with("https://localhost:"), "{}", served.url);
    let stream = TcpStream::connect(("127.0.0.1", served.port)).await.expect("there");
    let reply = get(secure(&connector, stream).await, "/assets/v1.5/js/ducksoup.js").await;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    served.stop(Signal::TERM);
}

#[test]
fn a_certificate_that_cannot_be_used_stops_the_start_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    std::fs::write(folder.path().join("text.pem"), "no PEM\n").expect("written");
    let other = KeyPair::generate().expect("a key").serialize_pem();
    std::fs::write(folder.path().join("other.pem"), other).expect("written");
    for (cert, key, names) in [
        ("none.pem", "key.pem", "--cert: none.pem: cannot be read"),
        ("text.pem", "key.pem", "--cert: text.pem: holds no PEM"),
        ("cert.pem", "none.pem", "--key: none.pem: cannot be read"),
        ("cert.pem", "text.pem", "--key: text.pem: holds no PEM"),
        ("cert.pem", "other.pem", "--key: other.pem: does not belong"),
    ] {
        let mut command = program(folder.path(), &[("DUCKSOUP_PORT", "0")]);
        let child = command.args(["--cert", cert, "--key", key]).spawn().expect("it runs");
        let output = ended(child);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(names), "{error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    }
}
