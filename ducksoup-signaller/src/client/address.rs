// SPDX-License-Identifier: MPL-2.0

//! Where the server is, pure: the `uri` and the `origin` that goes with it.

use super::event::Failure;

/// A server's WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether TLS is spoken.
    pub(super) tls: bool,
    /// A name or a number; without the brackets of IPv6.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
    /// For the `Host` header: with brackets, the port if it is no default.
    pub(super) authority: String,
    /// Path and query.
    pub(super) target: String,
}

impl Address {
    /// Reads `ws://host[:port][/path]` or `wss://…`. The path is `/ws` when there is none
    /// (PROTOCOL, "Transport").
    pub(super) fn parse(uri: &str) -> Result<Self, Failure> {
        let wrong = |reason: &str| Failure::Settings(format!("uri {uri:?} {reason}"));
        let (tls, rest) = match uri.split_once("://") {
            Some(("ws", rest)) => (false, rest),
            Some(("wss", rest)) => (true, rest),
            _ => return Err(wrong("does not begin with ws:// or wss://")),
        };
        if uri.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("holds blanks"));
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("holds a user name"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) =
                    bracketed.split_once(']').ok_or_else(|| wrong("has an open bracket"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong("has no port from 1 to 65535"))?,
            None if tls => 443,
            None => 80,
        };
        let target = match target {
            "" | "/" => "/ws".to_owned(),
            query if query.starts_with('?') => format!("/ws{query}"),
            path => path.to_owned(),
        };
        Ok(Self { tls, host: host.to_owned(), port, authority: authority.to_owned(), target })
    }

    /// The origin of pages that this server serves itself.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }

    /// The whole address.
    pub(super) fn uri(&self) -> String {
        format!("{}://{}{}", if self.tls { "wss" } else { "ws" }, self.authority, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_browsers_read_it() {
        for (uri, tls, host, port, target, origin) in [
            ("ws://localhost:8100/ws", false, "localhost", 8100, "/ws", "http://localhost:8100"),
            ("ws://localhost:8100", false, "localhost", 8100, "/ws", "http://localhost:8100"),
            ("wss://a.b/x/ws?href=1", true, "a.b", 443, "/x/ws?href=1", "https://a.b"),
            ("ws://a/", false, "a", 80, "/ws", "http://a"),
            ("ws://[::1]:9/ws#x", false, "::1", 9, "/ws", "http://[::1]:9"),
            ("ws://a?type=x", false, "a", 80, "/ws?type=x", "http://a"),
        ] {
            let address = Address::parse(uri).expect(uri);
            assert_eq!(
                (address.tls, address.host.as_str(), address.port, address.target.as_str()),
                (tls, host, port, target),
                "{uri}"
            );
            assert_eq!(address.origin(), origin, "{uri}");
        }
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said() {
        for (uri, part) in [
            ("", "ws://"),
            ("http://a", "ws://"),
            ("ws://", "no host"),
            ("ws://:1", "no host"),
            ("ws://a:x", "port"),
            ("ws://a:99999", "port"),
            ("ws://u:p@a", "user name"),
            ("ws://[::1", "bracket"),
            ("ws://a b", "blanks"),
        ] {
            let error = Address::parse(uri).expect_err(uri).to_string();
            assert!(error.contains(part), "{uri}: {error}");
        }
    }
}
