// SPDX-License-Identifier: MPL-2.0

//! The head of an HTTP request on its way through a gate. Pure.
//!
//! The server must take what comes through the gate for what comes to itself: pages that it serves
//! there, and the WebSocket, with its query and the page's own origin.

/// Longest head that is read, in bytes. Ours; the server's own limit is of that order.
pub(crate) const MAX_HEAD: usize = 16 * 1024;

/// Where a head ends.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|place| place + 4)
}

/// A request as the server is to read it; `gate` and `server` are `host:port`.
///
/// The origin of a page that has itself come through the gate becomes the server's own. Whatever is
/// no WebSocket is one request, one connection; a WebSocket has no extensions, so that its messages
/// can be read.
pub(crate) fn request(head: &str, gate: &str, server: &str) -> String {
    let upgrade = is_upgrade(head);
    let mut lines: Vec<String> = Vec::new();
    for line in head.trim_end().split("\r\n") {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "host" => lines.push(format!("Host: {server}")),
            "origin" => lines.push(format!("Origin: {}", origin(value.trim(), gate, server))),
            "sec-websocket-extensions" => {}
            "connection" if !upgrade => {}
            _ => lines.push(line.to_owned()),
        }
    }
    if !upgrade {
        lines.push("Connection: close".to_owned());
    }
    lines.join("\r\n") + "\r\n\r\n"
}

/// Whether an answer opens a WebSocket.
pub(crate) fn is_accepted(head: &str) -> bool {
    head.split_whitespace().nth(1) == Some("101")
}

fn is_upgrade(head: &str) -> bool {
    head.split("\r\n").any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("upgrade") && value.trim().eq_ignore_ascii_case("websocket")
        })
    })
}

fn origin(origin: &str, gate: &str, server: &str) -> String {
    let port = gate.rsplit(':').next().unwrap_or_default();
    let own = ["http://", "ws://"].iter().filter_map(|scheme| origin.strip_prefix(scheme));
    let own = own
        .into_iter()
        .any(|authority| authority == gate || authority.strip_prefix("localhost:") == Some(port));
    if own { format!("http://{server}") } else { origin.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(head: &str) -> String {
        request(head, "127.0.0.1:5000", "localhost:8100")
    }

    #[test]
    fn a_websocket_keeps_its_query_and_the_origin_of_its_page() {
        assert_eq!(
            sent(
                "GET /ws?href=http%3A%2F%2Fa HTTP/1.1\r\nhost: 127.0.0.1:5000\r\n\
                 Origin: https://study.example\r\nConnection: Upgrade\r\nupgrade: WebSocket\r\n\
                 Sec-WebSocket-Key: k\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
            ),
            "GET /ws?href=http%3A%2F%2Fa HTTP/1.1\r\nHost: localhost:8100\r\n\
             Origin: https://study.example\r\nConnection: Upgrade\r\nupgrade: WebSocket\r\n\
             Sec-WebSocket-Key: k\r\n\r\n"
        );
    }

    #[test]
    fn the_gates_own_origin_becomes_the_servers() {
        for (given, expected) in [
            ("http://127.0.0.1:5000", "http://localhost:8100"),
            ("http://localhost:5000", "http://localhost:8100"),
            ("http://localhost:8100", "http://localhost:8100"),
            ("http://localhost:50000", "http://localhost:50000"),
            ("https://127.0.0.1:5000", "https://127.0.0.1:5000"),
            ("null", "null"),
        ] {
            assert_eq!(origin(given, "127.0.0.1:5000", "localhost:8100"), expected, "{given}");
        }
    }

    #[test]
    fn a_page_is_one_request_and_one_connection() {
        assert_eq!(
            sent("GET /test/mirror/ HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"),
            "GET /test/mirror/ HTTP/1.1\r\nHost: localhost:8100\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_head_ends_with_an_empty_line() {
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nrest"), Some(27));
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert!(is_accepted("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
        assert!(!is_accepted("HTTP/1.1 403 Forbidden\r\n\r\n"));
        assert!(!is_accepted(""));
    }
}
