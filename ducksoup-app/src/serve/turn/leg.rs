// SPDX-License-Identifier: MPL-2.0

//! Carries out what one client's [`Session`] says: a task, a relay, a way back to the client.

use super::framing::MAX_MESSAGE;
use super::session::{Action, Session};
use super::{Relay, Shared, now};
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::sleep_until;

/// For a TCP connection to make an allocation. Ours: it takes two round trips.
const IDLE: Duration = Duration::from_secs(10);

/// The way to a client.
#[derive(Debug)]
pub(super) enum Way {
    /// By the socket that all UDP clients share.
    Udp(Arc<UdpSocket>),
    /// To the task that writes to its TCP connection.
    Tcp(mpsc::Sender<Vec<u8>>),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Leg {
    shared: Arc<Shared>,
    client: SocketAddr,
    way: Way,
    session: Session,
    relay: Option<Relay>,
    /// Until when there has to be an allocation.
    deadline: Instant,
    /// Bytes relayed, to peers and to the client.
    relayed: (u64, u64),
}

impl Leg {
    /// A client that has done nothing yet.
    pub(super) fn new(shared: &Arc<Shared>, client: SocketAddr, way: Way) -> Self {
        Self {
            shared: Arc::clone(shared),
            client,
            way,
            session: Session::new(client),
            relay: None,
            deadline: Instant::now() + IDLE,
            relayed: (0, 0),
        }
    }

    /// Whether it has an allocation.
    pub(super) fn has_relay(&self) -> bool {
        self.relay.is_some()
    }

    /// Serves the client until its allocation ends, or `messages` does.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Vec<u8>>) {
        let shared = Arc::clone(&self.shared);
        let mut buffer = vec![0; MAX_MESSAGE + 1];
        loop {
            let until = self.session.until().unwrap_or(self.deadline);
            let flow = tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.take(&message).await,
                    None => break,
                },
                (length, peer) = received(self.relay.as_ref(), &mut buffer) => {
                    self.deliver(peer, &buffer[..length]).await
                }
                () = sleep_until(until.into()) => break,
                () = shared.stops() => break,
            };
            if flow.is_break() {
                break;
            }
        }
        if self.relay.is_some() {
            self.shared.log_release(self.client, self.relayed);
        }
    }

    /// Does what a message of the client asks for.
    pub(super) async fn take(&mut self, message: &[u8]) -> ControlFlow<()> {
        match self.session.receive(message, &self.shared.rules, now()) {
            Action::Ignore => ControlFlow::Continue(()),
            Action::Answer(answer) => self.say(answer).await,
            Action::Refuse(code, answer) => {
                self.shared.log_refusal(code, self.transport());
                self.say(answer).await
            }
            Action::Open(grant) => {
                // What is left of an allocation whose time was up.
                self.relay = None;
                let opened = self.shared.open(&grant, self.client.ip()).await;
                let address = opened.as_ref().map(|relay| relay.address).map_err(|code| *code);
                match address {
                    Ok(_) => {
                        let transport = self.transport();
                        self.shared.log_allocation(self.client, &grant.username, transport);
                    }
                    Err(code) => self.shared.log_refusal(code, self.transport()),
                }
                self.relay = opened.ok();
                let answer = self.session.opened(&grant, address, now());
                self.say(answer).await
            }
            Action::Relay(peer, packet) => {
                if let Some(relay) = &self.relay
                    && !self.shared.quota.is_relay(peer.port())
                {
                    // A packet that cannot be sent is lost, as on any network.
                    if relay.socket.send_to(&packet, peer).await.is_ok() {
                        self.relayed.0 += packet.len() as u64;
                    }
                }
                ControlFlow::Continue(())
            }
            Action::End(answer) => {
                // The client need not have heard.
                let _ = self.say(answer).await;
                ControlFlow::Break(())
            }
        }
    }

    async fn deliver(&mut self, peer: SocketAddr, packet: &[u8]) -> ControlFlow<()> {
        if packet.len() > MAX_MESSAGE {
            return ControlFlow::Continue(());
        }
        match self.session.deliver(peer, packet, &self.shared.rules, now()) {
            Some(message) => {
                self.relayed.1 += packet.len() as u64;
                self.say(message).await
            }
            None => ControlFlow::Continue(()),
        }
    }

    /// Says it to the client. Over TCP, what a client does not read in time is lost; over UDP it
    /// may be lost anyway.
    async fn say(&self, message: Vec<u8>) -> ControlFlow<()> {
        match &self.way {
            Way::Udp(socket) => {
                let _ = socket.send_to(&message, self.client).await;
                ControlFlow::Continue(())
            }
            Way::Tcp(outgoing) => match outgoing.try_send(message) {
                Ok(()) | Err(TrySendError::Full(_)) => ControlFlow::Continue(()),
                Err(TrySendError::Closed(_)) => ControlFlow::Break(()),
            },
        }
    }

    fn transport(&self) -> &'static str {
        match self.way {
            Way::Udp(_) => "udp",
            Way::Tcp(_) => "tcp",
        }
    }
}

/// The next packet of a peer; never, without a relay. An error tells of an earlier packet.
async fn received(relay: Option<&Relay>, buffer: &mut [u8]) -> (usize, SocketAddr) {
    match relay {
        Some(relay) => loop {
            match relay.socket.recv_from(buffer).await {
                Ok(received) => return received,
                Err(_) => tokio::time::sleep(super::PAUSE).await,
            }
        },
        None => std::future::pending().await,
    }
}
