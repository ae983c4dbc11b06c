// SPDX-License-Identifier: MPL-2.0

//! One client's allocation: which peers it may exchange packets with, and by which channels. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};
use stun_types::message::TransactionId;

/// RFC 8656, section 9.
const PERMISSION: Duration = Duration::from_secs(300);
/// RFC 8656, section 12.
const CHANNEL: Duration = Duration::from_secs(600);
/// RFC 8656, section 12; older clients (RFC 5766) use numbers up to 0x7fff.
const CHANNELS: RangeInclusive<u16> = 0x4000..=0x7fff;
/// Permissions of one allocation. Ours: the server has as many addresses, at the most.
const MAX_PERMISSIONS: usize = 64;
/// Channels of one allocation. Ours: a browser binds one for each candidate it tries.
const MAX_CHANNELS: usize = 256;

/// Why a peer is not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAdded {
    /// The channel number is none, or used for another peer, or the peer has another one.
    Channel,
    /// There are enough.
    Full,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    until: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Allocation {
    /// Whose it is.
    pub(super) username: String,
    /// Of the request that made it: the same request again has the same answer.
    pub(super) transaction: TransactionId,
    /// That answer.
    pub(super) answer: Vec<u8>,
    /// When it ends.
    pub(super) until: Instant,
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, Channel>,
}

impl Allocation {
    /// One that may not exchange a packet with anyone yet.
    pub(super) fn new(
        username: String,
        transaction: TransactionId,
        answer: Vec<u8>,
        until: Instant,
    ) -> Self {
        Self {
            username,
            transaction,
            answer,
            until,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
        }
    }

    /// Lets packets pass to and from that address, for a while.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn permit(&mut self, address: IpAddr, now: Instant) -> Result<(), NotAdded> {
        self.permissions.retain(|_, until| *until > now);
        if self.permissions.len() >= MAX_PERMISSIONS && !self.permissions.contains_key(&address) {
            return Err(NotAdded::Full);
        }
        self.permissions.insert(address, now + PERMISSION);
        Ok(())
    }

    /// Gives that peer a channel, and a permission.
    ///
    /// # Errors
    /// When the number or the peer is bound otherwise, or there are too many.
    pub(super) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        now: Instant,
    ) -> Result<(), NotAdded> {
        self.channels.retain(|_, channel| channel.until > now);
        let other = |(own, channel): (&u16, &Channel)| (*own == number) != (channel.peer == peer);
        if !CHANNELS.contains(&number) || self.channels.iter().any(other) {
            return Err(NotAdded::Channel);
        }
        if self.channels.len() >= MAX_CHANNELS && !self.channels.contains_key(&number) {
            return Err(NotAdded::Full);
        }
        self.permit(peer.ip(), now)?;
        self.channels.insert(number, Channel { peer, until: now + CHANNEL });
        Ok(())
    }

    /// Whether packets pass to and from that address.
    pub(super) fn is_permitted(&self, address: IpAddr, now: Instant) -> bool {
        self.permissions.get(&address).is_some_and(|until| *until > now)
    }

    /// The peer of a channel.
    pub(super) fn peer(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        let channel = self.channels.get(&number).filter(|channel| channel.until > now)?;
        self.is_permitted(channel.peer.ip(), now).then_some(channel.peer)
    }

    /// The channel of a peer.
    pub(super) fn channel(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        let bound = |(_, channel): &(&u16, &Channel)| channel.peer == peer && channel.until > now;
        self.channels.iter().find(bound).map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(now: Instant) -> Allocation {
        let until = now + Duration::from_secs(6000);
        Allocation::new("1:1".into(), TransactionId::generate(), Vec::new(), until)
    }

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 5], port))
    }

    #[test]
    fn a_permission_lasts_five_minutes_unless_renewed() {
        let start = Instant::now();
        let mut allocation = allocation(start);
        let ip = peer(1).ip();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!allocation.is_permitted(ip, start));
        allocation.permit(ip, start).expect("room");
        assert!(allocation.is_permitted(ip, at(299)) && !allocation.is_permitted(ip, at(300)));
        allocation.permit(ip, at(200)).expect("room");
        assert!(allocation.is_permitted(ip, at(499)));
    }

    #[test]
    fn a_channel_lasts_ten_minutes_and_needs_its_permission() {
        let start = Instant::now();
        let mut allocation = allocation(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        allocation.bind(0x4000, peer(1), start).expect("room");
        assert_eq!(allocation.peer(0x4000, at(299)), Some(peer(1)));
        assert_eq!(allocation.channel(peer(1), at(299)), Some(0x4000));
        assert_eq!(allocation.peer(0x4000, at(300)), None, "the permission is over");
        allocation.permit(peer(1).ip(), at(400)).expect("room");
        assert_eq!(allocation.peer(0x4000, at(599)), Some(peer(1)));
        assert_eq!(allocation.peer(0x4000, at(600)), None);
        assert_eq!(allocation.channel(peer(1), at(600)), None);
    }

    #[test]
    fn a_channel_belongs_to_one_peer_and_a_peer_to_one_channel() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        allocation.bind(0x4000, peer(1), now).expect("room");
        for (number, peer, expected) in [
            (0x4000, peer(1), Ok(())),
            (0x4000, peer(2), Err(NotAdded::Channel)),
            (0x4001, peer(1), Err(NotAdded::Channel)),
            (0x4001, peer(2), Ok(())),
            (0x3fff, peer(3), Err(NotAdded::Channel)),
            (0x8000, peer(3), Err(NotAdded::Channel)),
        ] {
            assert_eq!(allocation.bind(number, peer, now), expected, "{number:x} {peer}");
        }
    }

    #[test]
    fn a_client_can_fill_its_own_tables_only_so_far() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        let bound = (0..2000).filter(|i| allocation.bind(0x4000 + i, peer(*i), now).is_ok());
        assert_eq!(bound.count(), MAX_CHANNELS);
        let permitted = (0..=255u8)
            .filter(|i| allocation.permit(IpAddr::from([10, 0, 1, *i]), now).is_ok())
            .count();
        assert_eq!(permitted, MAX_PERMISSIONS - 1, "one is the channels'");
        let later = now + PERMISSION;
        assert!(allocation.permit(IpAddr::from([10, 0, 2, 1]), later).is_ok());
    }
}
