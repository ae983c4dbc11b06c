// SPDX-License-Identifier: MPL-2.0

//! What one client may do: RFC 8656, for relays over UDP, with the long-term credentials of
//! RFC 8489, section 9.2. Pure.
//!
//! | | without an allocation | with one |
//! |---|---|---|
//! | Binding | the client's address | the same |
//! | Allocate | a relay, or why not | 437; the request that made it: its answer again |
//! | Refresh, CreatePermission, ChannelBind | 437 | done, or why not |
//! | Send, channel data | – | relayed, where that is permitted |
//!
//! Every request but Binding is signed: else 401; with an old nonce 438; by another user than the
//! allocation's 441. Refused are relays over TCP (442), of another address family (440, 443), pairs
//! of ports and reservations (508), and peers that are not this server's own media (403).

use super::allocation::{Allocation, NotAdded};
use super::answer::{self, Refusal};
use super::credentials::Credentials;
use super::permit::Permits;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use stun_types::AddressFamily;
use stun_types::attribute::{
    AttributeType, ErrorCode, MessageIntegrity, Nonce, Realm, Username, XorMappedAddress,
};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass,
    MessageHeader,
};
use stun_types::prelude::{Attribute as _, AttributeFromRaw as _, AttributeStaticType as _};
use turn_types::attribute::{
    ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
    ReservationToken, XorPeerAddress, XorRelayedAddress,
};
use turn_types::channel::ChannelData;
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

/// Of every allocation, from its last refresh: the default of RFC 8656, section 3.2. Longer ones
/// are not given, so that nothing outlives its credential for long.
const LIFETIME: Duration = Duration::from_secs(600);

/// What holds for all clients.
pub(super) struct Rules {
    /// What clients sign with besides their password.
    pub(super) realm: String,
    /// Who may allocate.
    pub(super) credentials: Credentials,
    /// Whereto is relayed.
    pub(super) permits: Permits,
    /// Whether an address is the machine's own.
    pub(super) is_own: fn(IpAddr) -> bool,
}

/// The moment, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// For what lasts.
    pub(super) instant: Instant,
    /// For credentials: seconds since 1970.
    pub(super) unix: u64,
}

/// Which ports will do (RFC 8656, section 18.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parity {
    /// All.
    Any,
    /// The even ones.
    Even,
}

/// A relay is wanted, and may be had.
#[derive(Debug)]
pub(super) struct Grant {
    /// Whose it will be.
    pub(super) username: String,
    /// Of its port.
    pub(super) parity: Parity,
    request: Vec<u8>,
    key: IntegrityKey,
}

/// What to do about a message.
#[derive(Debug)]
pub(super) enum Action {
    /// Nothing: it means nothing, or nothing that is allowed.
    Ignore,
    /// Answer this.
    Answer(Vec<u8>),
    /// Answer this, a refusal with that code.
    Refuse(u16, Vec<u8>),
    /// Make a relay and tell [`Session::opened`].
    Open(Grant),
    /// Relay this packet to that address of the machine's own.
    Relay(SocketAddr, Vec<u8>),
    /// Answer this; the allocation is no more.
    End(Vec<u8>),
}

/// One client: an address and port, over UDP or TCP.
#[derive(Debug)]
pub(super) struct Session {
    client: SocketAddr,
    allocation: Option<Allocation>,
}

/// A request whose signature is right.
struct Signed {
    username: String,
    key: IntegrityKey,
}

/// What becomes of a signed request.
enum Outcome {
    Success,
    Lifetime(u32),
    Open(Parity),
    Again(Vec<u8>),
}

impl Session {
    /// A client that has done nothing yet.
    pub(super) fn new(client: SocketAddr) -> Self {
        Self { client, allocation: None }
    }

    /// When the allocation ends, while there is one.
    pub(super) fn until(&self) -> Option<Instant> {
        self.allocation.as_ref().map(|allocation| allocation.until)
    }

    /// What to do about a message of the client.
    pub(super) fn receive(&mut self, bytes: &[u8], rules: &Rules, now: Now) -> Action {
        if bytes.first().is_some_and(|first| first >> 6 == 0b01) {
            return self.channel_data(bytes, rules, now).unwrap_or(Action::Ignore);
        }
        let length = MessageHeader::from_bytes(bytes)
            .map(|header| MessageHeader::LENGTH + usize::from(header.data_length()));
        let message = match (length, Message::from_bytes(bytes)) {
            (Ok(length), Ok(message)) if length == bytes.len() => message,
            _ => return Action::Ignore,
        };
        match message.class() {
            MessageClass::Request if message.method() == BINDING => {
                let mapped = XorMappedAddress::new(self.client, message.transaction_id());
                Action::Answer(answer::success(&message, &[&mapped], None))
            }
            MessageClass::Request => self.request(&message, rules, now),
            MessageClass::Indication if message.method() == SEND => {
                self.send(&message, rules, now).unwrap_or(Action::Ignore)
            }
            _ => Action::Ignore,
        }
    }

    /// The relay of a [`Grant`] is there, known to the client by that address; or it is not. The
    /// answer for the client.
    pub(super) fn opened(
        &mut self,
        grant: &Grant,
        relay: Result<SocketAddr, u16>,
        now: Now,
    ) -> Vec<u8> {
        let Ok(request) = Message::from_bytes(&grant.request) else {
            return Vec::new();
        };
        let key = Some(&grant.key);
        let relay = match relay {
            Ok(relay) => relay,
            Err(code) => return answer::error(&request, &code.into(), &[], key),
        };
        let transaction = request.transaction_id();
        let relayed = XorRelayedAddress::new(relay, transaction);
        let mapped = XorMappedAddress::new(self.client, transaction);
        let lifetime = Lifetime::new(seconds(LIFETIME));
        let answer = answer::success(&request, &[&relayed, &lifetime, &mapped], key);
        let username = grant.username.clone();
        let until = now.instant + LIFETIME;
        self.allocation = Some(Allocation::new(username, transaction, answer.clone(), until));
        answer
    }

    /// A peer's packet as the client is to get it, when it is to get it.
    pub(super) fn deliver(
        &self,
        from: SocketAddr,
        packet: &[u8],
        rules: &Rules,
        now: Now,
    ) -> Option<Vec<u8>> {
        let allocation = self.alive(now)?;
        let peer = rules.permits.seen_as(from, |ip| allocation.is_permitted(ip, now.instant))?;
        if !rules.permits.port(peer.port()) {
            return None;
        }
        Some(match allocation.channel(peer, now.instant) {
            Some(channel) => answer::channel_data(channel, packet),
            None => answer::data(peer, packet),
        })
    }

    fn alive(&self, now: Now) -> Option<&Allocation> {
        self.allocation.as_ref().filter(|allocation| allocation.until > now.instant)
    }

    fn channel_data(&self, bytes: &[u8], rules: &Rules, now: Now) -> Option<Action> {
        let data = ChannelData::parse(bytes).ok()?;
        let peer = self.alive(now)?.peer(data.id(), now.instant)?;
        relay(peer, data.data(), rules)
    }

    fn send(&self, message: &Message<'_>, rules: &Rules, now: Now) -> Option<Action> {
        let peer = message.attribute::<XorPeerAddress>().ok()?.addr(message.transaction_id());
        let data = message.attribute::<Data<'_>>().ok()?;
        let known = [XorPeerAddress::TYPE, Data::TYPE];
        if unknown(message, &known).is_some() {
            return None;
        }
        let is_permitted = self.alive(now)?.is_permitted(peer.ip(), now.instant);
        is_permitted.then(|| relay(peer, data.data(), rules)).flatten()
    }

    fn request(&mut self, message: &Message<'_>, rules: &Rules, now: Now) -> Action {
        let signed = match self.signature(message, rules, now) {
            Ok(signed) => signed,
            Err(code) => return self.challenge(message, code, rules, now),
        };
        let key = Some(&signed.key);
        match self.signed_request(message, &signed, rules, now) {
            Ok(Outcome::Success) => Action::Answer(answer::success(message, &[], key)),
            Ok(Outcome::Lifetime(0)) => {
                self.allocation = None;
                Action::End(answer::success(message, &[&Lifetime::new(0)], key))
            }
            Ok(Outcome::Lifetime(seconds)) => {
                Action::Answer(answer::success(message, &[&Lifetime::new(seconds)], key))
            }
            Ok(Outcome::Again(answer)) => Action::Answer(answer),
            Ok(Outcome::Open(parity)) => Action::Open(Grant {
                username: signed.username,
                parity,
                request: message.as_bytes().to_vec(),
                key: signed.key,
            }),
            Err(refusal) => {
                let code = refusal.code;
                Action::Refuse(code, answer::error(message, &refusal, &[], key))
            }
        }
    }

    /// Whose request it is (RFC 8489, section 9.2.4), or the code of the refusal.
    fn signature(&self, message: &Message<'_>, rules: &Rules, now: Now) -> Result<Signed, u16> {
        if !message.has_attribute(MessageIntegrity::TYPE) {
            return Err(ErrorCode::UNAUTHORIZED);
        }
        let username = message.attribute::<Username>();
        let nonce = message.attribute::<Nonce>();
        let (Ok(username), Ok(nonce), true) = (username, nonce, message.has_attribute(Realm::TYPE))
        else {
            return Err(ErrorCode::BAD_REQUEST);
        };
        if !rules.credentials.is_fresh(nonce.nonce(), self.client, now.unix) {
            return Err(ErrorCode::STALE_NONCE);
        }
        let username = username.username().to_owned();
        let password =
            rules.credentials.password(&username, now.unix).ok_or(ErrorCode::UNAUTHORIZED)?;
        let key = LongTermKeyCredentials::new(
            username.clone(),
            password.reveal().to_owned(),
            rules.realm.clone(),
        )
        .make_key(IntegrityAlgorithm::Sha1);
        match message.validate_integrity_with_key(&key) {
            Ok(_) => Ok(Signed { username, key }),
            Err(_) => Err(ErrorCode::UNAUTHORIZED),
        }
    }

    fn challenge(&self, message: &Message<'_>, code: u16, rules: &Rules, now: Now) -> Action {
        let nonce = rules.credentials.nonce(self.client, now.unix);
        let (Ok(realm), Ok(nonce)) = (Realm::new(&rules.realm), Nonce::new(&nonce)) else {
            return Action::Ignore;
        };
        let answer = if code == ErrorCode::BAD_REQUEST {
            answer::error(message, &code.into(), &[], None)
        } else {
            answer::error(message, &code.into(), &[&realm, &nonce], None)
        };
        // The first request of everyone is not signed: that is no refusal worth a word.
        if message.has_attribute(MessageIntegrity::TYPE) {
            Action::Refuse(code, answer)
        } else {
            Action::Answer(answer)
        }
    }

    fn signed_request(
        &mut self,
        message: &Message<'_>,
        signed: &Signed,
        rules: &Rules,
        now: Now,
    ) -> Result<Outcome, Refusal> {
        if message.method() == ALLOCATE {
            return self.allocate(message, signed, rules, now);
        }
        let allocation = self
            .allocation
            .as_mut()
            .filter(|allocation| allocation.until > now.instant)
            .ok_or(Refusal::from(ErrorCode::ALLOCATION_MISMATCH))?;
        if allocation.username != signed.username {
            return Err(ErrorCode::WRONG_CREDENTIALS.into());
        }
        match message.method() {
            REFRESH => refresh(allocation, message, rules, now),
            CREATE_PERMISSION => create_permission(allocation, message, rules, now),
            CHANNEL_BIND => channel_bind(allocation, message, rules, now),
            _ => Err(ErrorCode::BAD_REQUEST.into()),
        }
    }

    fn allocate(
        &self,
        message: &Message<'_>,
        signed: &Signed,
        rules: &Rules,
        now: Now,
    ) -> Result<Outcome, Refusal> {
        if let Some(allocation) = self.alive(now) {
            let again = allocation.transaction == message.transaction_id()
                && allocation.username == signed.username;
            return if again {
                Ok(Outcome::Again(allocation.answer.clone()))
            } else {
                Err(ErrorCode::ALLOCATION_MISMATCH.into())
            };
        }
        let known = [
            RequestedTransport::TYPE,
            Lifetime::TYPE,
            RequestedAddressFamily::TYPE,
            EvenPort::TYPE,
            ReservationToken::TYPE,
        ];
        check(message, &known)?;
        let transport = message
            .attribute::<RequestedTransport>()
            .map_err(|_| Refusal::from(ErrorCode::BAD_REQUEST))?;
        if transport.protocol() != RequestedTransport::UDP {
            return Err(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL.into());
        }
        if wanted_family(message).unwrap_or(AddressFamily::IPV4) != family(rules.permits.public) {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED.into());
        }
        let even = message.attribute::<EvenPort>();
        let is_reserved = even.as_ref().is_ok_and(EvenPort::requested);
        if is_reserved || message.has_attribute(ReservationToken::TYPE) {
            return Err(ErrorCode::INSUFFICIENT_CAPACITY.into());
        }
        Ok(Outcome::Open(if even.is_ok() { Parity::Even } else { Parity::Any }))
    }
}

fn refresh(
    allocation: &mut Allocation,
    message: &Message<'_>,
    rules: &Rules,
    now: Now,
) -> Result<Outcome, Refusal> {
    check(message, &[Lifetime::TYPE, RequestedAddressFamily::TYPE])?;
    if wanted_family(message).is_some_and(|wanted| wanted != family(rules.permits.public)) {
        return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH.into());
    }
    if message.attribute::<Lifetime>().is_ok_and(|lifetime| lifetime.seconds() == 0) {
        return Ok(Outcome::Lifetime(0));
    }
    allocation.until = now.instant + LIFETIME;
    Ok(Outcome::Lifetime(seconds(LIFETIME)))
}

fn create_permission(
    allocation: &mut Allocation,
    message: &Message<'_>,
    rules: &Rules,
    now: Now,
) -> Result<Outcome, Refusal> {
    check(message, &[XorPeerAddress::TYPE])?;
    let mut peers = Vec::new();
    for (_, attribute) in message.iter_attributes() {
        if attribute.get_type() == XorPeerAddress::TYPE {
            let peer = XorPeerAddress::from_raw(attribute)
                .map_err(|_| Refusal::from(ErrorCode::BAD_REQUEST))?;
            peers.push(peer.addr(message.transaction_id()).ip());
        }
    }
    if peers.is_empty() {
        return Err(ErrorCode::BAD_REQUEST.into());
    }
    // All or none (RFC 8656, section 10.2).
    for peer in &peers {
        permitted(*peer, rules)?;
    }
    for peer in peers {
        allocation.permit(peer, now.instant).map_err(not_added)?;
    }
    Ok(Outcome::Success)
}

fn channel_bind(
    allocation: &mut Allocation,
    message: &Message<'_>,
    rules: &Rules,
    now: Now,
) -> Result<Outcome, Refusal> {
    check(message, &[XorPeerAddress::TYPE, ChannelNumber::TYPE])?;
    let (Ok(peer), Ok(number)) =
        (message.attribute::<XorPeerAddress>(), message.attribute::<ChannelNumber>())
    else {
        return Err(ErrorCode::BAD_REQUEST.into());
    };
    let peer = peer.addr(message.transaction_id());
    permitted(peer.ip(), rules)?;
    if !rules.permits.port(peer.port()) {
        return Err(ErrorCode::FORBIDDEN.into());
    }
    allocation.bind(number.channel(), peer, now.instant).map_err(not_added)?;
    Ok(Outcome::Success)
}

fn permitted(peer: IpAddr, rules: &Rules) -> Result<(), Refusal> {
    if !rules.permits.is_family(peer) {
        return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH.into());
    }
    if !rules.permits.address(peer, rules.is_own) {
        return Err(ErrorCode::FORBIDDEN.into());
    }
    Ok(())
}

fn not_added(why: NotAdded) -> Refusal {
    match why {
        NotAdded::Channel => ErrorCode::BAD_REQUEST.into(),
        NotAdded::Full => ErrorCode::INSUFFICIENT_CAPACITY.into(),
    }
}

/// Permissions are for addresses; ports are looked at with each packet.
fn relay(peer: SocketAddr, packet: &[u8], rules: &Rules) -> Option<Action> {
    let to = rules.permits.route(peer);
    rules.permits.port(peer.port()).then(|| Action::Relay(to, packet.to_vec()))
}

/// Refuses attributes that have to be understood and are not.
fn check(message: &Message<'_>, known: &[AttributeType]) -> Result<(), Refusal> {
    match unknown(message, known) {
        None => Ok(()),
        Some(unknown) => Err(Refusal { code: ErrorCode::UNKNOWN_ATTRIBUTE, unknown }),
    }
}

fn unknown(message: &Message<'_>, known: &[AttributeType]) -> Option<Vec<AttributeType>> {
    let signing = [Username::TYPE, Realm::TYPE, Nonce::TYPE, MessageIntegrity::TYPE];
    let unknown: Vec<_> = message
        .iter_attributes()
        .map(|(_, attribute)| attribute.get_type())
        .filter(|kind| kind.comprehension_required())
        .filter(|kind| !known.contains(kind) && !signing.contains(kind))
        .collect();
    (!unknown.is_empty()).then_some(unknown)
}

fn wanted_family(message: &Message<'_>) -> Option<AddressFamily> {
    message.attribute::<RequestedAddressFamily>().ok().map(|wanted| wanted.family())
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::IPV4 } else { AddressFamily::IPV6 }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
