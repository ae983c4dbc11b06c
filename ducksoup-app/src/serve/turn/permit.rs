// SPDX-License-Identifier: MPL-2.0

//! Whereto this server relays: to its own media, and nowhere else. Pure but for the question
//! whether an address is the machine's own, which is handed in.
//!
//! Who holds a credential could otherwise reach the operator's network, or the whole Internet,
//! through this machine.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Ports of privileged programs (RFC 6335, section 6, "System Ports"): never relayed to.
const SYSTEM_PORTS: RangeInclusive<u16> = 0..=1023;

/// The rules.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    /// The address that this server is known by.
    pub(super) public: IpAddr,
    /// The machine's own address that stands for the public one, where a translator owns that.
    pub(super) inside: Option<IpAddr>,
    /// Where media are received.
    pub(super) ports: RangeInclusive<u16>,
    /// Where this TURN server listens.
    pub(super) turn_port: u16,
}

impl Permits {
    /// Whether the address is of the family that is relayed.
    pub(super) fn is_family(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.public.is_ipv4()
    }

    /// Whether anything at this address may be relayed to.
    pub(super) fn address(&self, address: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> bool {
        // ::ffff:127.0.0.1 is a loopback address too.
        let plain = address.to_canonical();
        if plain.is_loopback() || plain.is_unspecified() || plain.is_multicast() {
            return false;
        }
        plain == address && self.is_family(address) && (address == self.public || is_own(address))
    }

    /// Whether a port of such an address may be relayed to.
    pub(super) fn port(&self, port: u16) -> bool {
        self.ports.contains(&port) && !SYSTEM_PORTS.contains(&port) && port != self.turn_port
    }

    /// Where a packet for that peer really goes: the translator in front of this machine need not
    /// send the machine's own packets back to it.
    pub(super) fn route(&self, peer: SocketAddr) -> SocketAddr {
        match self.inside {
            Some(inside) if peer.ip() == self.public => SocketAddr::new(inside, peer.port()),
            _ => peer,
        }
    }

    /// The peer as the client knows it, of those addresses that it may hear from.
    pub(super) fn seen_as(
        &self,
        from: SocketAddr,
        is_permitted: impl Fn(IpAddr) -> bool,
    ) -> Option<SocketAddr> {
        if is_permitted(from.ip()) {
            return Some(from);
        }
        let is_alias = self.inside == Some(from.ip()) && is_permitted(self.public);
        is_alias.then(|| SocketAddr::new(self.public, from.port()))
    }
}

/// The ports that a kernel gives to sockets that ask for none, from the text of
/// `/proc/sys/net/ipv4/ip_local_port_range`; IANA's range (RFC 6335, section 6) where that says
/// nothing.
pub(super) fn ephemeral_ports(text: &str) -> RangeInclusive<u16> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(min)), Some(Ok(max))) if min <= max => min..=max,
        _ => 49152..=65535,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn permits() -> Permits {
        Permits {
            public: ip("203.0.113.7"),
            inside: Some(ip("10.0.0.5")),
            ports: 40_000..=40_999,
            turn_port: 40_100,
        }
    }

    fn is_own(address: IpAddr) -> bool {
        // A careless answer: the rules come first.
        address.is_loopback()
            || [ip("10.0.0.5"), ip("172.17.0.1"), ip("fd00::5")].contains(&address)
    }

    #[test]
    fn only_the_machines_own_addresses_are_relayed_to() {
        for (address, expected) in [
            ("203.0.113.7", true),
            ("10.0.0.5", true),
            ("172.17.0.1", true),
            ("10.0.0.6", false),
            ("8.8.8.8", false),
            ("169.254.169.254", false),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:10.0.0.5", false),
            ("fd00::5", false),
        ] {
            assert_eq!(permits().address(ip(address), is_own), expected, "{address}");
        }
    }

    #[test]
    fn a_server_of_the_other_family_relays_that_one() {
        let permits = Permits { public: ip("2001:db8::7"), inside: None, ..permits() };
        assert!(permits.address(ip("2001:db8::7"), is_own));
        assert!(permits.address(ip("fd00::5"), is_own));
        assert!(!permits.address(ip("10.0.0.5"), is_own));
        assert!(!permits.address(ip("::ffff:10.0.0.5"), |_| true));
        assert!(!permits.address(ip("::1"), |_| true));
    }

    #[test]
    fn only_media_ports_are_relayed_to() {
        let all = Permits { ports: 0..=u16::MAX, ..permits() };
        for (port, narrow, wide) in [
            (40_000, true, true),
            (40_999, true, true),
            (40_100, false, false),
            (39_999, false, true),
            (41_000, false, true),
            (1024, false, true),
            (1023, false, false),
            (53, false, false),
            (0, false, false),
        ] {
            assert_eq!(permits().port(port), narrow, "{port}");
            assert_eq!(all.port(port), wide, "{port}");
        }
    }

    #[test]
    fn the_public_address_stands_for_the_one_behind_the_translator() {
        let permits = permits();
        assert_eq!(permits.route(peer("203.0.113.7:40001")), peer("10.0.0.5:40001"));
        assert_eq!(permits.route(peer("10.0.0.5:40001")), peer("10.0.0.5:40001"));
        let from = peer("10.0.0.5:40001");
        let seen = |known: &[&str]| permits.seen_as(from, |ip| known.contains(&&*ip.to_string()));
        assert_eq!(seen(&["203.0.113.7"]), Some(peer("203.0.113.7:40001")));
        assert_eq!(seen(&["10.0.0.5"]), Some(from));
        assert_eq!(seen(&["203.0.113.7", "10.0.0.5"]), Some(from));
        assert_eq!(seen(&[]), None);
        assert_eq!(permits.seen_as(peer("10.0.0.6:1"), |ip| ip == permits.public), None);
    }

    #[test]
    fn the_kernels_range_is_read() {
        assert_eq!(ephemeral_ports("32768\t60999\n"), 32_768..=60_999);
        for text in ["", "x y", "5", "9 3", "1 99999"] {
            assert_eq!(ephemeral_ports(text), 49_152..=65_535, "{text}");
        }
    }
}
