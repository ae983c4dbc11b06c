// SPDX-License-Identifier: MPL-2.0

//! Which server a load may be put on. Pure: names are resolved elsewhere.

use std::net::IpAddr;
use url::{Host, Url};

/// A server's address, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name, or a number without brackets.
    pub(crate) host: String,
    /// The port, also where the address leaves it out.
    pub(crate) port: u16,
}

/// Why no load is put there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is no address of a WebSocket.
    #[error("--uri {0}: a WebSocket is written like ws://localhost:8100/ws")]
    NotAWebSocket(String),
    /// It is another machine.
    #[error(
        "--uri: {host} is {address}, not this machine; with --anywhere a load is put on it all the \
         same, if it is yours and expects it"
    )]
    Elsewhere {
        /// As it was typed.
        host: String,
        /// The first address that is not of this machine.
        address: IpAddr,
    },
    /// Nobody knows the name.
    #[error("--uri: {0} has no address")]
    Unknown(String),
}

impl Server {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Refusal::NotAWebSocket`].
    pub(crate) fn parse(uri: &str) -> Result<Self, Refusal> {
        let refusal = || Refusal::NotAWebSocket(uri.to_owned());
        let url = Url::parse(uri).map_err(|_| refusal())?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(refusal());
        }
        let host = match url.host().ok_or_else(refusal)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or_else(refusal)?;
        Ok(Self { host, port })
    }

    /// Whether a load may be put on a server with these addresses: on this machine, or, with
    /// `anywhere`, on any.
    ///
    /// # Errors
    /// [`Refusal::Elsewhere`] when a single one is not of this machine, because any may be taken;
    /// [`Refusal::Unknown`] when there is none.
    pub(crate) fn allow(&self, addresses: &[IpAddr], anywhere: bool) -> Result<(), Refusal> {
        if addresses.is_empty() {
            return Err(Refusal::Unknown(self.host.clone()));
        }
        let elsewhere = addresses.iter().find(|address| !address.to_canonical().is_loopback());
        match elsewhere {
            Some(address) if !anywhere => {
                Err(Refusal::Elsewhere { host: self.host.clone(), address: *address })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_its_port() {
        for (uri, host, port) in [
            ("ws://localhost:8100/ws", "localhost", 8100),
            ("wss://lab.example/path/ws?x=1", "lab.example", 443),
            ("ws://127.0.0.1/ws", "127.0.0.1", 80),
            ("ws://[::1]:9/ws", "::1", 9),
        ] {
            let server = Server { host: host.into(), port };
            assert_eq!(Server::parse(uri), Ok(server), "{uri}");
        }
        for uri in ["", "localhost:8100", "http://localhost:8100/ws", "ws://", "ws://a:99999/"] {
            assert_eq!(Server::parse(uri), Err(Refusal::NotAWebSocket(uri.into())), "{uri}");
        }
    }

    #[test]
    fn only_this_machine_unless_told_otherwise() {
        let server = Server { host: "name".into(), port: 8100 };
        for (addresses, here) in [
            (&["127.0.0.1"][..], true),
            (&["127.1.2.3"], true),
            (&["::1", "127.0.0.1"], true),
            (&["::ffff:127.0.0.1"], true),
            (&["192.168.1.4"], false),
            (&["127.0.0.1", "192.168.1.4"], false),
            (&["0.0.0.0"], false),
            (&["2001:db8::1"], false),
        ] {
            let addresses: Vec<IpAddr> =
                addresses.iter().map(|text| text.parse().expect("an address")).collect();
            assert_eq!(server.allow(&addresses, false).is_ok(), here, "{addresses:?}");
            assert_eq!(server.allow(&addresses, true), Ok(()), "{addresses:?}");
        }
        assert_eq!(server.allow(&[], true), Err(Refusal::Unknown("name".into())));
    }
}
