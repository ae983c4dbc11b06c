// SPDX-License-Identifier: MPL-2.0

//! A client of the tests' own, against the rules of a server at 203.0.113.7, behind a translator.

use super::*;
use crate::config::Secret;
use proptest::prelude::*;
use stun_types::attribute::AttributeWrite;
use stun_types::message::{MessageWrite as _, MessageWriteExt as _, MessageWriteVec, Method};

const CLIENT: &str = "198.51.100.9:6000";
const HOUR: u64 = 3600;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn rules() -> Rules {
    Rules {
        realm: "turn.example.org".into(),
        credentials: Credentials::new(Secret::new("north".into()), Duration::from_secs(3 * HOUR)),
        permits: Permits {
            public: address("203.0.113.7:1").ip(),
            inside: Some(address("10.0.0.5:1").ip()),
            ports: 40_000..=40_999,
            turn_port: 3478,
        },
        is_own: |ip| ip == address("10.0.0.5:1").ip(),
    }
}

/// What a request was answered with.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Success,
    Error(u16),
    Open,
    Nothing,
}

/// A session, its client, and their clock.
struct Plan {
    rules: Rules,
    session: Session,
    start: Instant,
    seconds: u64,
    username: String,
    password: String,
    nonce: String,
}

impl Plan {
    fn new() -> Self {
        let rules = rules();
        let credential = rules.credentials.issue("12", HOUR);
        Self {
            session: Session::new(address(CLIENT)),
            start: Instant::now(),
            seconds: 0,
            username: credential.username,
            password: credential.password.reveal().to_owned(),
            nonce: rules.credentials.nonce(address(CLIENT), HOUR),
            rules,
        }
    }

    /// One that has an allocation.
    fn allocated() -> Self {
        let mut plan = Self::new();
        let Action::Open(grant) = plan.act(ALLOCATE, &[&RequestedTransport::new(17)]) else {
            panic!("a relay is wanted");
        };
        let now = plan.now();
        let answer = plan.session.opened(&grant, Ok(address("203.0.113.7:50000")), now);
        let answer = Message::from_bytes(&answer).expect("a message");
        assert_eq!(answer.class(), MessageClass::Success);
        assert!(answer.validate_integrity_with_key(&plan.key()).is_ok());
        let transaction = answer.transaction_id();
        let relayed = answer.attribute::<XorRelayedAddress>().expect("an address");
        assert_eq!(relayed.addr(transaction), address("203.0.113.7:50000"));
        let mapped = answer.attribute::<XorMappedAddress>().expect("an address");
        assert_eq!(mapped.addr(transaction), address(CLIENT));
        assert_eq!(answer.attribute::<Lifetime>().expect("a time").seconds(), 600);
        plan
    }

    fn now(&self) -> Now {
        Now { instant: self.start + Duration::from_secs(self.seconds), unix: HOUR + self.seconds }
    }

    fn key(&self) -> IntegrityKey {
        let realm = self.rules.realm.clone();
        LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), realm)
            .make_key(IntegrityAlgorithm::Sha1)
    }

    fn signed(&self, method: Method, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        for attribute in attributes {
            message.add_attribute(*attribute).expect("fits");
        }
        message.add_attribute(&Username::new(&self.username).expect("short")).expect("fits");
        message.add_attribute(&Realm::new(&self.rules.realm).expect("short")).expect("fits");
        message.add_attribute(&Nonce::new(&self.nonce).expect("short")).expect("fits");
        message
            .add_message_integrity_with_key(&self.key(), IntegrityAlgorithm::Sha1)
            .expect("fits");
        message.add_fingerprint().expect("fits");
        message.finish()
    }

    fn put(&mut self, bytes: &[u8]) -> Action {
        let now = self.now();
        self.session.receive(bytes, &self.rules, now)
    }

    fn act(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Action {
        let bytes = self.signed(method, attributes);
        self.put(&bytes)
    }

    fn ask(&mut self, method: Method, attributes: &[&dyn AttributeWrite]) -> Reply {
        reply(&self.act(method, attributes))
    }

    fn permit(&mut self, peer: &str) -> Reply {
        let bytes = self.with_peers(CREATE_PERMISSION, &[peer], None);
        reply(&self.put(&bytes))
    }

    fn bind(&mut self, number: u16, peer: &str) -> Reply {
        let bytes = self.with_peers(CHANNEL_BIND, &[peer], Some(number));
        reply(&self.put(&bytes))
    }

    /// A request with peer addresses, which are written with its transaction.
    fn with_peers(&self, method: Method, peers: &[&str], channel: Option<u16>) -> Vec<u8> {
        let transaction = stun_types::message::TransactionId::generate();
        let kind =
            stun_types::message::MessageType::from_class_method(MessageClass::Request, method);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        if let Some(number) = channel {
            message.add_attribute(&ChannelNumber::new(number)).expect("fits");
        }
        // Our writer refuses an attribute twice; the wire does not.
        for (place, peer) in peers.iter().enumerate() {
            let peer = XorPeerAddress::new(address(peer), transaction);
            if place == 0 {
                message.add_attribute(&peer).expect("fits");
            } else {
                message.push_attribute_unchecked(&peer);
            }
        }
        message.add_attribute(&Username::new(&self.username).expect("short")).expect("fits");
        message.add_attribute(&Realm::new(&self.rules.realm).expect("short")).expect("fits");
        message.add_attribute(&Nonce::new(&self.nonce).expect("short")).expect("fits");
        message
            .add_message_integrity_with_key(&self.key(), IntegrityAlgorithm::Sha1)
            .expect("fits");
        message.finish()
    }

    fn send(&mut self, peer: &str, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let transaction = stun_types::message::TransactionId::generate();
        let kind =
            stun_types::message::MessageType::from_class_method(MessageClass::Indication, SEND);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        let peer = XorPeerAddress::new(address(peer), transaction);
        message.add_attribute(&peer).expect("fits");
        message.add_attribute(&Data::new(data)).expect("fits");
        relayed(self.put(&message.finish()))
    }

    fn send_by(&mut self, channel: u16, data: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        relayed(self.put(&answer::channel_data(channel, data)))
    }

    fn hear(&self, peer: &str, data: &[u8]) -> Option<Vec<u8>> {
        self.session.deliver(address(peer), data, &self.rules, self.now())
    }
}

fn reply(action: &Action) -> Reply {
    match action {
        Action::Answer(bytes) | Action::Refuse(_, bytes) | Action::End(bytes) => {
            let message = Message::from_bytes(bytes).expect("a message");
            match message.class() {
                MessageClass::Success => Reply::Success,
                _ => Reply::Error(message.attribute::<ErrorCode>().expect("a code").code()),
            }
        }
        Action::Open(_) => Reply::Open,
        Action::Ignore => Reply::Nothing,
        Action::Relay(..) => panic!("no request is relayed"),
    }
}

fn relayed(action: Action) -> Option<(SocketAddr, Vec<u8>)> {
    match action {
        Action::Relay(to, packet) => Some((to, packet)),
        Action::Ignore => None,
        other => panic!("{other:?}"),
    }
}

fn udp() -> RequestedTransport {
    RequestedTransport::new(RequestedTransport::UDP)
}

#[test]
fn anyone_learns_their_own_address_and_no_more() {
    let mut plan = Plan::new();
    let binding = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    let Action::Answer(answer) = plan.put(&binding) else { panic!("an answer") };
    let answer = Message::from_bytes(&answer).expect("a message");
    let mapped = answer.attribute::<XorMappedAddress>().expect("an address");
    assert_eq!(mapped.addr(answer.transaction_id()), address(CLIENT));
}

#[test]
fn who_does_not_sign_is_told_how_to() {
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let mut plan = Plan::new();
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        request.add_attribute(&udp()).expect("fits");
        let Action::Answer(answer) = plan.put(&request.finish()) else { panic!("an answer") };
        let answer = Message::from_bytes(&answer).expect("a message");
        assert_eq!(answer.attribute::<ErrorCode>().expect("a code").code(), 401);
        assert_eq!(answer.attribute::<Realm>().expect("a realm").realm(), plan.rules.realm);
        let nonce = answer.attribute::<Nonce>().expect("a nonce").nonce().to_owned();
        assert_eq!(nonce, plan.nonce);
        assert!(!answer.has_attribute(MessageIntegrity::TYPE));
    }
}

#[test]
fn expired_forged_and_stale_signatures_are_refused() {
    type Edit = fn(&mut Plan);
    let cases: &[(&str, Edit, Reply)] = &[
        ("right", |_| (), Reply::Open),
        ("almost expired", |plan| renew(plan, 3 * HOUR - 1), Reply::Open),
        ("expired", |plan| renew(plan, 3 * HOUR), Reply::Error(401)),
        ("moved expiry", |plan| plan.username = "99999999:12".into(), Reply::Error(401)),
        ("another name", |plan| plan.username.push('3'), Reply::Error(401)),
        ("no name", |plan| plan.username = "guest".into(), Reply::Error(401)),
        ("wrong password", |plan| plan.password.push('x'), Reply::Error(401)),
        ("invented nonce", |plan| plan.nonce = "nonce".into(), Reply::Error(438)),
        ("old nonce", |plan| plan.seconds = 2 * HOUR, Reply::Error(438)),
        (
            "someone else's nonce",
            |plan| plan.nonce = plan.rules.credentials.nonce(address("192.0.2.1:1"), HOUR),
            Reply::Error(438),
        ),
    ];
    for (name, edit, expected) in cases {
        let mut plan = Plan::new();
        edit(&mut plan);
        assert_eq!(plan.ask(ALLOCATE, &[&udp()]), *expected, "{name}");
    }
}

/// Time passes, and the client has a nonce of now.
fn renew(plan: &mut Plan, seconds: u64) {
    plan.seconds = seconds;
    plan.nonce = plan.rules.credentials.nonce(address(CLIENT), HOUR + seconds);
}

#[test]
fn a_changed_request_is_not_the_clients() {
    let mut plan = Plan::new();
    let bytes = plan.signed(ALLOCATE, &[&udp()]);
    for place in 20..bytes.len() - 8 {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        // Without its checksum, which is optional, or it would be no message at all.
        changed.truncate(bytes.len() - 8);
        let length = u16::try_from(changed.len() - 20).expect("short");
        changed[2..4].copy_from_slice(&length.to_be_bytes());
        let action = plan.put(&changed);
        assert!(!matches!(action, Action::Open(_)), "byte {place}");
    }
}

#[test]
fn relays_that_are_not_offered_are_refused_by_their_codes() {
    let mut plan = Plan::new();
    let v6 = RequestedAddressFamily::new(AddressFamily::IPV6);
    let v4 = RequestedAddressFamily::new(AddressFamily::IPV4);
    let token = ReservationToken::new(7);
    let cases: &[(&[&dyn AttributeWrite], Reply)] = &[
        (&[], Reply::Error(400)),
        (&[&RequestedTransport::new(RequestedTransport::TCP)], Reply::Error(442)),
        (&[&udp(), &v6], Reply::Error(440)),
        (&[&udp(), &v4], Reply::Open),
        (&[&udp(), &EvenPort::new(true)], Reply::Error(508)),
        (&[&udp(), &EvenPort::new(false)], Reply::Open),
        (&[&udp(), &token], Reply::Error(508)),
        (&[&udp(), &turn_types::attribute::DontFragment::new()], Reply::Error(420)),
        (&[&udp(), &Lifetime::new(4_000_000)], Reply::Open),
    ];
    for (attributes, expected) in cases {
        assert_eq!(plan.ask(ALLOCATE, attributes), *expected);
    }
}

#[test]
fn there_is_one_allocation_and_the_same_request_has_the_same_answer() {
    let mut plan = Plan::new();
    let request = plan.signed(ALLOCATE, &[&udp()]);
    let Action::Open(grant) = plan.put(&request) else { panic!("a relay is wanted") };
    let now = plan.now();
    let answer = plan.session.opened(&grant, Ok(address("203.0.113.7:50000")), now);
    assert!(matches!(plan.put(&request), Action::Answer(again) if again == answer));
    assert_eq!(plan.ask(ALLOCATE, &[&udp()]), Reply::Error(437));
}

#[test]
fn a_relay_that_cannot_be_had_is_a_signed_refusal() {
    let mut plan = Plan::new();
    let Action::Open(grant) = plan.act(ALLOCATE, &[&udp()]) else { panic!("a relay is wanted") };
    let now = plan.now();
    let answer = plan.session.opened(&grant, Err(486), now);
    let answer = Message::from_bytes(&answer).expect("a message");
    assert_eq!(answer.attribute::<ErrorCode>().expect("a code").code(), 486);
    assert!(answer.validate_integrity_with_key(&plan.key()).is_ok());
    assert_eq!(plan.session.until(), None);
}

#[test]
fn an_allocation_lasts_ten_minutes_from_its_last_refresh_whatever_is_asked() {
    let mut plan = Plan::allocated();
    let until = |plan: &Plan| plan.session.until().expect("one") - plan.start;
    assert_eq!(until(&plan), LIFETIME);
    plan.seconds = 500;
    assert_eq!(plan.ask(REFRESH, &[&Lifetime::new(3600)]), Reply::Success);
    assert_eq!(until(&plan), Duration::from_secs(1100));
    plan.seconds = 1100;
    assert_eq!(plan.ask(REFRESH, &[]), Reply::Error(437), "it is over");
    assert_eq!(plan.ask(ALLOCATE, &[&udp()]), Reply::Open);
}

#[test]
fn a_refresh_to_nothing_ends_the_allocation() {
    let mut plan = Plan::allocated();
    let action = plan.act(REFRESH, &[&Lifetime::new(0)]);
    assert!(matches!(action, Action::End(_)), "{action:?}");
    assert_eq!(plan.session.until(), None);
    assert_eq!(plan.ask(REFRESH, &[]), Reply::Error(437));
}

#[test]
fn nobody_acts_on_anothers_allocation() {
    let mut plan = Plan::allocated();
    let other = plan.rules.credentials.issue("13", HOUR);
    plan.username = other.username;
    plan.password = other.password.reveal().to_owned();
    assert_eq!(plan.ask(REFRESH, &[&Lifetime::new(0)]), Reply::Error(441));
    assert_eq!(plan.permit("10.0.0.5:40000"), Reply::Error(441));
    assert_eq!(plan.ask(ALLOCATE, &[&udp()]), Reply::Error(437));
}

#[test]
fn without_an_allocation_there_is_nothing_to_permit() {
    let mut plan = Plan::new();
    assert_eq!(plan.permit("10.0.0.5:40000"), Reply::Error(437));
    assert_eq!(plan.bind(0x4000, "10.0.0.5:40000"), Reply::Error(437));
    assert_eq!(plan.send("10.0.0.5:40000", b"x"), None);
    assert_eq!(plan.send_by(0x4000, b"x"), None);
}

#[test]
fn strangers_addresses_are_forbidden_and_the_servers_media_are_not() {
    for (peer, permission, channel) in [
        ("10.0.0.5:40000", Reply::Success, Reply::Success),
        ("203.0.113.7:40000", Reply::Success, Reply::Success),
        ("10.0.0.5:39999", Reply::Success, Reply::Error(403)),
        ("10.0.0.5:22", Reply::Success, Reply::Error(403)),
        ("203.0.113.7:3478", Reply::Success, Reply::Error(403)),
        ("10.0.0.6:40000", Reply::Error(403), Reply::Error(403)),
        ("8.8.8.8:40000", Reply::Error(403), Reply::Error(403)),
        ("127.0.0.1:40000", Reply::Error(403), Reply::Error(403)),
        ("198.51.100.9:6000", Reply::Error(403), Reply::Error(403)),
        ("[::1]:40000", Reply::Error(443), Reply::Error(443)),
        ("[fd00::5]:40000", Reply::Error(443), Reply::Error(443)),
    ] {
        let mut plan = Plan::allocated();
        assert_eq!(plan.permit(peer), permission, "{peer}");
        assert_eq!(plan.bind(0x4000, peer), channel, "{peer}");
    }
}

#[test]
fn one_stranger_among_the_peers_spoils_the_whole_request() {
    let mut plan = Plan::allocated();
    let bytes = plan.with_peers(CREATE_PERMISSION, &["10.0.0.5:40000", "8.8.8.8:53"], None);
    assert_eq!(reply(&plan.put(&bytes)), Reply::Error(403));
    assert_eq!(plan.send("10.0.0.5:40000", b"x"), None);
    let bytes = plan.with_peers(CREATE_PERMISSION, &["10.0.0.5:1", "203.0.113.7:1"], None);
    assert_eq!(reply(&plan.put(&bytes)), Reply::Success);
    assert!(plan.send("10.0.0.5:40000", b"x").is_some());
}

#[test]
fn packets_pass_both_ways_where_they_may() {
    let mut plan = Plan::allocated();
    assert_eq!(plan.send("10.0.0.5:40000", b"x"), None, "not permitted yet");
    assert_eq!(plan.hear("10.0.0.5:40000", b"x"), None);
    plan.permit("10.0.0.5:40000");
    let to = address("10.0.0.5:40000");
    assert_eq!(plan.send("10.0.0.5:40000", b"hello"), Some((to, b"hello".to_vec())));
    assert_eq!(plan.send("10.0.0.5:22", b"hello"), None, "the address, not the port");
    assert_eq!(plan.send("10.0.0.6:40000", b"hello"), None);
    assert_eq!(plan.hear("10.0.0.5:22", b"hello"), None);
    assert_eq!(plan.hear("198.51.100.1:40000", b"hello"), None);
    let heard = plan.hear("10.0.0.5:40000", b"hello").expect("heard");
    let heard = Message::from_bytes(&heard).expect("a message");
    assert_eq!(heard.attribute::<Data<'_>>().expect("data").data(), b"hello");
    let peer = heard.attribute::<XorPeerAddress>().expect("an address");
    assert_eq!(peer.addr(heard.transaction_id()), to);
    plan.bind(0x4000, "10.0.0.5:40000");
    assert_eq!(plan.send_by(0x4000, b"hello"), Some((to, b"hello".to_vec())));
    assert_eq!(plan.send_by(0x4001, b"hello"), None);
    let heard = plan.hear("10.0.0.5:40000", b"hello").expect("heard");
    assert_eq!(heard, [&[0x40, 0, 0, 5][..], b"hello"].concat());
    plan.seconds = 300;
    assert_eq!(plan.send_by(0x4000, b"hello"), None, "the permission is over");
    assert_eq!(plan.hear("10.0.0.5:40000", b"hello"), None);
}

#[test]
fn the_public_address_is_reached_inside_and_seen_as_itself() {
    let mut plan = Plan::allocated();
    plan.bind(0x4000, "203.0.113.7:40000");
    let inside = address("10.0.0.5:40000");
    assert_eq!(plan.send_by(0x4000, b"hello"), Some((inside, b"hello".to_vec())));
    let heard = plan.hear("10.0.0.5:40000", b"hello").expect("heard");
    assert_eq!(heard[..2], [0x40, 0]);
}

#[test]
fn an_unknown_method_is_a_bad_request() {
    let mut plan = Plan::allocated();
    assert_eq!(plan.ask(turn_types::message::CONNECT, &[]), Reply::Error(400));
    assert_eq!(plan.ask(Method::new(0x123), &[]), Reply::Error(400));
}

proptest! {
    #[test]
    fn whatever_comes_is_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut plan = Plan::allocated();
        let action = plan.put(&bytes);
        prop_assert!(!matches!(action, Action::Open(_) | Action::End(_) | Action::Relay(..)));
    }

    #[test]
    fn a_signed_request_with_damage_is_survived(
        place in 0usize..140, value: u8, cut in 0usize..140, kind in 0usize..4,
    ) {
        let mut plan = Plan::allocated();
        let method = [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND][kind];
        let mut bytes = plan.with_peers(method, &["10.0.0.5:40000"], Some(0x4000));
        let length = bytes.len();
        bytes[place % length] ^= value;
        bytes.truncate(length - cut % length);
        let _ = plan.put(&bytes);
    }
}
