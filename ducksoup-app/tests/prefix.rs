// SPDX-License-Identifier: MPL-2.0

//! `DUCKSOUP_WEB_PREFIX`, as it is meant: behind a reverse proxy that lets only paths under it
//! through. Every page, whatever it links to and loads, and WebSockets.

use ducksoup_app::config::{Args, Config};
use ducksoup_app::serve;
use futures_util::{SinkExt as _, StreamExt as _};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

const PREFIX: &str = "/lab/soup";
const ORIGIN: &str = "https://lab.example";
/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);
/// The documented pages.
const PAGES: [&str; 8] = [
    "/",
    "/test/mirror/",
    "/test/interaction/",
    "/test/play/",
    "/test/ice/",
    "/test/direct/",
    "/test/audio_direct/",
    "/stats/",
];

/// A door under a prefix, and the proxy before it.
struct Site {
    /// The proxy's.
    address: SocketAddr,
    /// What was asked of the proxy and is not under the prefix.
    strayed: Arc<Mutex<Vec<String>>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<std::io::Result<()>>,
    _working: TempDir,
}

impl Site {
    async fn start() -> Self {
        let working = tempfile::tempdir().expect("a folder");
        let args = Args {
            web_prefix: Some(PREFIX.into()),
            allowed_ws_origins: Some(ORIGIN.into()),
            test_password: Some("pass".into()),
            ..Args::default()
        };
        let mut config = Config::new(&args, working.path()).expect("valid");
        config.stage_program = vec!["/nowhere/stage".into()];
        config.limits.write = Duration::from_secs(1);
        let door = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let upstream = door.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(serve::run(door, config, async {
            let _ = stopped.await;
        }));
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = proxy.local_addr().expect("an address");
        let strayed = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(forward(proxy, upstream, Arc::clone(&strayed)));
        Self { address, strayed, stop, running, _working: working }
    }

    /// The head and the body of the answer to a request for a path.
    async fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: lab.example\r\nconnection: close\r\n\
             authorization: Basic ZHVja3NvdXA6cGFzcw==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut reply = Vec::new();
        timeout(LIMIT, stream.read_to_end(&mut reply)).await.expect("in time").expect("readable");
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a reply");
        (head.to_owned(), body.to_owned())
    }

    async fn stop(self) {
        assert_eq!(*self.strayed.lock().expect("no panic"), Vec::<String>::new());
        self.stop.send(()).expect("it runs");
        let ended = timeout(LIMIT, self.running).await.expect("in time");
        ended.expect("no panic").expect("no error");
    }
}

/// What a reverse proxy with one location does: paths under the prefix go on as they are.
async fn forward(proxy: TcpListener, upstream: SocketAddr, strayed: Arc<Mutex<Vec<String>>>) {
    while let Ok((mut client, _)) = proxy.accept().await {
        let strayed = Arc::clone(&strayed);
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("a request"));
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            let path = text.split(' ').nth(1).unwrap_or_default();
            if !path.starts_with(PREFIX) {
                strayed.lock().expect("no panic").push(path.to_owned());
                return;
            }
            let mut server = TcpStream::connect(upstream).await.expect("the door");
            server.write_all(&head).await.expect("written");
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

/// The addresses that a text names: links and sources of a page, imports of a script.
fn links(path: &str, text: &str) -> Vec<String> {
    let marks: &[&str] = if path.ends_with(".js") || path.ends_with(".mjs") {
        &["from \"", "import \"", "import(\"", "from '", "import '", "import('"]
    } else if path.ends_with('/') || path.ends_with(".html") {
        &["href=\"", "src=\""]
    } else {
        &[]
    };
    let after = marks
        .iter()
        .flat_map(|mark| text.match_indices(mark).map(move |(at, _)| &text[at + mark.len()..]));
    after
        .filter_map(|rest| rest.split(['"', '\'']).next())
        .filter(|link| !link.is_empty() && !link.starts_with('#') && !link.contains(':'))
        // Not a placeholder of a template, and not a word of a comment.
        .filter(|link| !link.contains(['$', ' ']))
        .map(|link| resolved(path, link))
        .collect()
}

/// A link on a page, as a browser reads it.
fn resolved(page: &str, link: &str) -> String {
    let link = link.split(['?', '#']).next().unwrap_or_default();
    if link.starts_with('/') {
        return link.to_owned();
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let folder = link.ends_with("..") || link.ends_with('.');
    if folder { format!("{path}/") } else { path }
}

#[test]
fn links_are_read_as_a_browser_reads_them() {
    for (page, link, expected) in [
        ("/a/test/mirror/", "../../assets/x.js", "/a/assets/x.js"),
        ("/a/test/mirror/", "../../", "/a/"),
        ("/a/", "./", "/a/"),
        ("/a/x.js", "./lib/y.js?v=1", "/a/lib/y.js"),
        ("/a/x/", "/b", "/b"),
    ] {
        assert_eq!(resolved(page, link), expected, "{link} on {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_and_everything_it_links_to_lies_under_the_prefix() {
    let site = Site::start().await;
    let mut waiting: VecDeque<_> =
        PAGES.iter().map(|page| (format!("{PREFIX}{page}"), "the documents".to_owned())).collect();
    let mut seen = BTreeSet::new();
    while let Some((path, from)) = waiting.pop_front() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (head, body) = site.get(&path).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{path}, named by {from}: {head}");
        waiting.extend(links(&path, &body).into_iter().map(|link| (link, path.clone())));
    }
    let scripts = seen.iter().filter(|path| path.ends_with(".js")).count();
    assert!(scripts > 10 && seen.iter().any(|path| path.ends_with(".css")), "{seen:?}");
    for file in ["server.yml", "sfu.yml", "gst.yml"] {
        let (head, _) = site.get(&format!("{PREFIX}/config/{file}")).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{file}: {head}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_stay_under_the_prefix() {
    let site = Site::start().await;
    for path in ["", "/test/mirror", "/test/direct", "/stats"] {
        let path = format!("{PREFIX}{path}");
        let (head, _) = site.get(&path).await;
        assert!(head.starts_with("HTTP/1.1 302"), "{path}: {head}");
        assert!(head.lines().any(|line| line == format!("location: {path}/")), "{path}: {head}");
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_speaks_through_a_reverse_proxy() {
    let site = Site::start().await;
    let url = format!("ws://lab.example{PREFIX}/ws?href=https%3A%2F%2Flab.example%2F");
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("origin", ORIGIN.parse().expect("a header"));
    let stream = TcpStream::connect(site.address).await.expect("a connection");
    let opened = timeout(LIMIT, tokio_tungstenite::client_async(request, stream)).await;
    let (mut web, _) = opened.expect("in time").expect("let in");
    web.send(Message::text(r#"{"kind":"join","payload":"{}"}"#)).await.expect("sent");
    let word = timeout(LIMIT, web.next()).await.expect("in time").expect("a word");
    let word = word.expect("readable").into_text().expect("a text");
    assert!(word.contains("error-join"), "{word}");
    drop(web);
    site.stop().await;
}
