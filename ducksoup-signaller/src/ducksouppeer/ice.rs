// SPDX-License-Identifier: MPL-2.0

//! The server's ICE servers as webrtcbin wants to be told them, pure.

use crate::protocol::IceServer;
use std::fmt::Write;

/// Addresses in webrtcbin's manner.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Servers {
    /// webrtcbin 1.22 takes one.
    pub(super) stun: Option<String>,
    pub(super) turn: Vec<String>,
}

/// Translates; what is no STUN or TURN address is left out.
pub(super) fn servers(said: &[IceServer]) -> Servers {
    let mut servers = Servers::default();
    for server in said {
        for url in &server.urls {
            if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
                continue;
            }
            match url.split_once(':') {
                Some(("stun", address)) if servers.stun.is_none() => {
                    servers.stun = Some(format!("stun://{}", with_port(address, 3478)));
                }
                Some((scheme @ ("turn" | "turns"), address)) => {
                    let port = if scheme == "turns" { 5349 } else { 3478 };
                    let (name, word) = (&server.username, &server.credential);
                    servers.turn.push(format!(
                        "{scheme}://{}:{}@{}",
                        escaped(name.as_deref().unwrap_or_default()),
                        escaped(word.as_deref().unwrap_or_default()),
                        with_port(address, port),
                    ));
                }
                _ => {}
            }
        }
    }
    servers
}

/// The address with its scheme's own port (RFC 7064, 7065) when it names none.
fn with_port(address: &str, port: u16) -> String {
    let (host, query) = match address.split_once('?') {
        Some((host, query)) => (host, format!("?{query}")),
        None => (address, String::new()),
    };
    let behind = host.rsplit_once(']').map_or(host, |(_, behind)| behind);
    if behind.contains(':') { format!("{host}{query}") } else { format!("{host}:{port}{query}") }
}

/// Percent-encoded but for the unreserved characters (RFC 3986, section 2.3).
fn escaped(text: &str) -> String {
    text.bytes().fold(String::new(), |mut escaped, byte| {
        match byte {
            b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => escaped.push(byte.into()),
            // Writing to a String cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(urls: &[&str], name: Option<&str>, word: Option<&str>) -> IceServer {
        IceServer {
            urls: urls.iter().map(ToString::to_string).collect(),
            username: name.map(Into::into),
            credential: word.map(Into::into),
        }
    }

    #[test]
    fn addresses_are_as_webrtcbin_wants_them() {
        let servers = servers(&[
            server(&["stun:a.b:19302", "stun:c"], None, None),
            server(&["turn:t:3479?transport=tcp", "turns:t"], Some("1:u@x"), Some("p/=+")),
            server(&["turn:[::1]", "http:x", "", "turn:a b"], None, None),
        ]);
        assert_eq!(servers.stun.as_deref(), Some("stun://a.b:19302"));
        assert_eq!(
            servers.turn,
            [
                "turn://1%3Au%40x:p%2F%3D%2B@t:3479?transport=tcp",
                "turns://1%3Au%40x:p%2F%3D%2B@t:5349",
                "turn://:@[::1]:3478",
            ]
        );
        assert_eq!(
            super::servers(&[server(&["stun:c"], None, None)]).stun.as_deref(),
            Some("stun://c:3478")
        );
    }
}
