// SPDX-License-Identifier: MPL-2.0

//! The candidates that browsers are told of (RFC 8839, section 5.1). Pure.
//!
//! Behind an address translator that forwards the media ports one to one, the addresses that the
//! machine knows are of no use outside; `DUCKSOUP_EXPLICIT_HOST_CANDIDATE` adds the public one. It is
//! added, not put in their place: somebody on the same network still finds the short way.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Longest wait for the first of the machine's own addresses. Ours: they are known at once, but
/// machines are busy. When every port is taken, webrtcbin 1.22 says nothing at all.
const LIMIT: Duration = Duration::from_secs(5);
/// Of two ways that both work, the short one: one step of local preference (RFC 8445, section
/// 5.1.2.1) below the candidate it is made from.
const STEP: u32 = 1 << 8;
/// Longest foundation (RFC 8839, section 5.1).
const MAX_FOUNDATION: usize = 32;

/// Why a connection has no address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCandidate {
    /// Every port of the range is taken.
    #[error("no port of DUCKSOUP_MEDIA_PORTS ({0}-{1}) is free")]
    Ports(u16, u16),
    /// There is no range, so it must be the network.
    #[error("no network address is found")]
    Network,
}

/// Whether a connection has found an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gathering {
    /// Nobody has asked yet.
    #[default]
    Unasked,
    /// It has until then.
    Until(Instant),
    /// It has.
    Found,
}

impl Gathering {
    /// An offer is made; with the first one it begins to look.
    pub fn offered(&mut self, now: Instant) {
        if *self == Self::Unasked {
            *self = Self::Until(now + LIMIT);
        }
    }

    /// A candidate is found; it may come before the offer is seen.
    pub fn found(&mut self, candidate: &str) {
        if parse(candidate).is_some() {
            *self = Self::Found;
        }
    }

    /// When it is too late.
    #[must_use]
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Until(deadline) => Some(deadline),
            Self::Unasked | Self::Found => None,
        }
    }
}

/// The candidate that browsers are told of besides this one: the same port at the public address.
/// `None` when the candidate is no UDP host candidate of another address of that family.
#[must_use]
pub fn public(candidate: &str, address: IpAddr) -> Option<String> {
    let Host { foundation, component, transport, priority, own, port } = parse(candidate)?;
    if own == address || own.is_ipv4() != address.is_ipv4() || own.is_loopback() {
        return None;
    }
    // Another base makes another foundation (RFC 8445, section 5.1.1.3).
    let foundation: String = format!("P{foundation}").chars().take(MAX_FOUNDATION).collect();
    let priority = priority.saturating_sub(STEP).max(1);
    Some(format!(
        "candidate:{foundation} {component} {transport} {priority} {address} {port} typ host"
    ))
}

struct Host<'a> {
    foundation: &'a str,
    component: &'a str,
    transport: &'a str,
    priority: u32,
    own: IpAddr,
    port: u16,
}

fn parse(candidate: &str) -> Option<Host<'_>> {
    let line = candidate.strip_prefix("a=").unwrap_or(candidate);
    let mut words = line.strip_prefix("candidate:")?.split_whitespace();
    let host = Host {
        foundation: words.next()?,
        component: words.next()?,
        transport: words.next()?,
        priority: words.next()?.parse().ok()?,
        own: words.next()?.parse().ok()?,
        port: words.next()?.parse().ok()?,
    };
    let is_host = words.next() == Some("typ") && words.next() == Some("host");
    (is_host && host.transport.eq_ignore_ascii_case("udp")).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_udp_host_candidate_gets_a_companion_at_the_public_address() {
        let public4 = "203.0.113.7";
        for (given, address, expected) in [
            (
                "candidate:1 1 UDP 2015363327 10.0.0.5 40000 typ host",
                public4,
                Some("candidate:P1 1 UDP 2015363071 203.0.113.7 40000 typ host"),
            ),
            (
                "a=candidate:12 2 udp 2015363326 172.17.0.1 40001 typ host generation 0",
                public4,
                Some("candidate:P12 2 udp 2015363070 203.0.113.7 40001 typ host"),
            ),
            (
                "candidate:3 1 UDP 2015363327 fd00::5 40002 typ host",
                "2001:db8::7",
                Some("candidate:P3 1 UDP 2015363071 2001:db8::7 40002 typ host"),
            ),
            ("candidate:1 1 UDP 2015363327 203.0.113.7 40000 typ host", public4, None),
            ("candidate:1 1 UDP 2015363327 fd00::5 40000 typ host", public4, None),
            ("candidate:1 1 UDP 2015363327 127.0.0.1 40000 typ host", public4, None),
            ("candidate:2 1 TCP 1015021823 10.0.0.5 9 typ host tcptype active", public4, None),
            (
                "candidate:4 1 UDP 1677722111 203.0.113.7 40000 typ srflx raddr 10.0.0.5 rport 40000",
                public4,
                None,
            ),
            ("candidate:1 1 UDP 1 0b1c.local 40000 typ host", public4, None),
            ("candidate:1 1 UDP 2015363327 10.0.0.5 70000 typ host", public4, None),
            ("candidate:", public4, None),
            ("", public4, None),
        ] {
            assert_eq!(public(given, ip(address)).as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn a_candidate_stays_within_the_grammars_bounds() {
        let long = format!("candidate:{} 1 UDP 7 10.0.0.5 1 typ host", "a".repeat(32));
        let made = public(&long, ip("203.0.113.7")).expect("a candidate");
        assert!(made.starts_with(&format!("candidate:P{} 1 UDP 1 ", "a".repeat(31))), "{made}");
    }

    #[test]
    fn a_connection_has_five_seconds_for_its_first_udp_socket() {
        let host = "candidate:1 1 UDP 2015363327 10.0.0.5 40000 typ host";
        let tcp = "candidate:2 1 TCP 1015021823 10.0.0.5 9 typ host tcptype active";
        let reflexive = "candidate:4 1 UDP 1 203.0.113.7 4 typ srflx raddr 10.0.0.5 rport 4";
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let after = |steps: &[&dyn Fn(&mut Gathering)]| {
            let mut gathering = Gathering::default();
            steps.iter().for_each(|step| step(&mut gathering));
            gathering.deadline()
        };
        let offered = |gathering: &mut Gathering| gathering.offered(now);
        let again = |gathering: &mut Gathering| gathering.offered(later);
        let found = |candidate| move |gathering: &mut Gathering| gathering.found(candidate);
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[&offered]), Some(now + LIMIT));
        assert_eq!(after(&[&offered, &again]), Some(now + LIMIT), "the first offer counts");
        assert_eq!(after(&[&offered, &found(host)]), None);
        assert_eq!(after(&[&found(host), &offered]), None);
        assert_eq!(after(&[&offered, &found(host), &again]), None);
        assert_eq!(after(&[&offered, &found(tcp)]), Some(now + LIMIT));
        assert_eq!(after(&[&offered, &found(reflexive)]), Some(now + LIMIT));
    }
}
