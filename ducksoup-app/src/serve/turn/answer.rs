// SPDX-License-Identifier: MPL-2.0

//! What is written to clients: answers, and data of peers. Pure.

use std::net::SocketAddr;
use stun_types::attribute::{AttributeType, ErrorCode, UnknownAttributes};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageType, MessageWrite as _,
    MessageWriteExt as _, MessageWriteVec, StunWriteError, TransactionId,
};
use stun_types::prelude::AttributeWrite;
use turn_types::attribute::{Data, XorPeerAddress};
use turn_types::message::DATA;

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// RFC 8489, section 14.8, and RFC 8656, section 19.
    pub(super) code: u16,
    /// Of code 420.
    pub(super) unknown: Vec<AttributeType>,
}

impl From<u16> for Refusal {
    fn from(code: u16) -> Self {
        Self { code, unknown: Vec::new() }
    }
}

/// The request is done. Signed with the user's key, where there is one.
pub(super) fn success(
    request: &Message<'_>,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    let message = Message::builder_success(request, MessageWriteVec::new());
    written(message, attributes, key)
}

/// The request is refused.
pub(super) fn error(
    request: &Message<'_>,
    refusal: &Refusal,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    let message = Message::builder_error(request, MessageWriteVec::new());
    let Ok(code) = ErrorCode::builder(refusal.code).build() else {
        return Vec::new();
    };
    let unknown = UnknownAttributes::new(&refusal.unknown);
    let mut all: Vec<&dyn AttributeWrite> = vec![&code];
    if !refusal.unknown.is_empty() {
        all.push(&unknown);
    }
    all.extend(attributes);
    written(message, &all, key)
}

/// A peer's packet, for a client that has no channel for it.
pub(super) fn data(peer: SocketAddr, packet: &[u8]) -> Vec<u8> {
    let transaction = TransactionId::generate();
    let kind = MessageType::from_class_method(MessageClass::Indication, DATA);
    let writer = MessageWriteVec::with_capacity(packet.len() + 48);
    let mut message = Message::builder(kind, transaction, writer);
    let peer = XorPeerAddress::new(peer, transaction);
    let added =
        message.add_attribute(&peer).and_then(|()| message.add_attribute(&Data::new(packet)));
    finished(message, &added)
}

/// A peer's packet, for a client that has a channel for it.
pub(super) fn channel_data(channel: u16, packet: &[u8]) -> Vec<u8> {
    let Ok(length) = u16::try_from(packet.len()) else {
        return Vec::new();
    };
    let mut message = Vec::with_capacity(packet.len() + 4);
    message.extend(channel.to_be_bytes());
    message.extend(length.to_be_bytes());
    message.extend(packet);
    message
}

fn written(
    mut message: MessageWriteVec,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    let added = attributes
        .iter()
        .try_for_each(|attribute| message.add_attribute(*attribute))
        .and_then(|()| match key {
            Some(key) => message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1),
            None => Ok(()),
        })
        .and_then(|()| message.add_fingerprint());
    finished(message, &added)
}

/// Nothing is sent of a message that cannot be written: it would be a fault of ours, or too large.
fn finished(message: MessageWriteVec, added: &Result<(), StunWriteError>) -> Vec<u8> {
    if added.is_ok() { message.finish() } else { Vec::new() }
}
