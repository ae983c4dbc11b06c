// SPDX-License-Identifier: MPL-2.0

//! The packets of one participant, both ways, through two [`Wire`]s. One task owns all of it.
//!
//! For each address of the server there is a front, the socket that the participant sends to; for
//! each address that the participant sends from there is a flow, the socket that the server answers
//! to. So each end sees as many addresses of the other as without a gate.

use super::link::{Fate, Link, Wire};
use super::schedule::Schedule;
use super::socket::{self, Bell};
use super::tally::{Event, Tally};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Packets read from one port before the others are looked at.
const BATCH: usize = 64;
/// Longest packet, in bytes: the largest UDP payload (RFC 768, RFC 791).
const MAX_PACKET: usize = 65_507;
/// Addresses that a participant may send from, for each of the server's. A machine has a few.
const MAX_FLOWS: usize = 64;

/// A port that the participant is to send to in place of one of the server's.
#[derive(Debug)]
struct Front {
    socket: UdpSocket,
    server: SocketAddr,
    flows: Vec<Flow>,
}

#[derive(Debug)]
struct Flow {
    participant: SocketAddr,
    socket: UdpSocket,
}

/// Opens fronts; dropped, it ends the forwarder.
#[derive(Debug)]
pub(crate) struct Fronts {
    to: Option<Sender<Front>>,
    bell: Bell,
}

impl Fronts {
    /// A port of this machine that stands for the server's.
    ///
    /// # Errors
    /// When the server is elsewhere, or no port can be had.
    pub(crate) fn open(&self, server: SocketAddr) -> io::Result<SocketAddr> {
        let socket = socket::open(server)?;
        let gate = socket.local_addr()?;
        let gone = || io::Error::from(ErrorKind::BrokenPipe);
        let to = self.to.as_ref().ok_or_else(gone)?;
        to.send(Front { socket, server, flows: vec![] }).map_err(|_| gone())?;
        self.bell.ring();
        Ok(gate)
    }
}

impl Drop for Fronts {
    fn drop(&mut self) {
        drop(self.to.take());
        self.bell.ring();
    }
}

/// A packet on its way.
#[derive(Debug, Clone)]
struct Packet {
    /// Number of the front.
    front: usize,
    /// Number of its flow.
    flow: usize,
    /// Towards whom.
    to: End,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Server,
    Participant,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Forwarder {
    incoming: Receiver<Front>,
    bell: Bell,
    fronts: Vec<Front>,
    up: Wire,
    down: Wire,
    schedule: Schedule<Packet>,
    tally: Arc<Mutex<Tally>>,
    buffer: Vec<u8>,
}

impl Forwarder {
    /// A forwarder, and what opens its ports.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub(crate) fn new(
        up: Link,
        down: Link,
        number: u64,
        tally: Arc<Mutex<Tally>>,
    ) -> io::Result<(Self, Fronts)> {
        let bell = Bell::new()?;
        let (to, incoming) = channel();
        let forwarder = Self {
            incoming,
            bell: bell.clone(),
            fronts: Vec::new(),
            // Two directions of the same seed are not to lose their packets in step.
            up: Wire::new(up, 2 * number),
            down: Wire::new(down, 2 * number + 1),
            schedule: Schedule::default(),
            tally,
            buffer: vec![0; MAX_PACKET],
        };
        Ok((forwarder, Fronts { to: Some(to), bell }))
    }

    /// Forwards until [`Fronts`] is dropped.
    ///
    /// # Errors
    /// When the system gives no more sockets.
    pub(crate) fn run(mut self) -> io::Result<()> {
        loop {
            loop {
                match self.incoming.try_recv() {
                    Ok(front) => self.fronts.push(front),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            for front in 0..self.fronts.len() {
                self.read_front(front)?;
                for flow in 0..self.fronts[front].flows.len() {
                    self.read_flow(front, flow);
                }
            }
            while let Some(packet) = self.schedule.due(Instant::now()) {
                self.emit(&packet);
            }
            let now = Instant::now();
            let limit = self.schedule.next().map(|due| due.saturating_duration_since(now));
            let sockets = self.fronts.iter().flat_map(|front| {
                let flows = front.flows.iter().map(|flow| &flow.socket);
                std::iter::once(&front.socket).chain(flows)
            });
            self.bell.wait(sockets, limit)?;
        }
    }

    /// Takes packets of the participant.
    fn read_front(&mut self, front: usize) -> io::Result<()> {
        for _ in 0..BATCH {
            match self.fronts[front].socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => {
                    let bytes = self.buffer[..length].to_vec();
                    if let Some(flow) = self.flow(front, from)? {
                        self.take(Packet { front, flow, to: End::Server, bytes });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // It tells of an earlier packet, which nobody wanted.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Takes packets of the server.
    fn read_flow(&mut self, front: usize, flow: usize) {
        for _ in 0..BATCH {
            match self.fronts[front].flows[flow].socket.recv_from(&mut self.buffer) {
                Ok((length, _)) => {
                    let bytes = self.buffer[..length].to_vec();
                    self.take(Packet { front, flow, to: End::Participant, bytes });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {}
            }
        }
    }

    /// The flow of an address of the participant; none, if it has sent from too many.
    fn flow(&mut self, front: usize, participant: SocketAddr) -> io::Result<Option<usize>> {
        let Front { server, flows, .. } = &mut self.fronts[front];
        if let Some(flow) = flows.iter().position(|flow| flow.participant == participant) {
            return Ok(Some(flow));
        }
        if flows.len() == MAX_FLOWS {
            return Ok(None);
        }
        flows.push(Flow { participant, socket: socket::open(*server)? });
        Ok(Some(flows.len() - 1))
    }

    /// A packet comes: the link decides.
    fn take(&mut self, packet: Packet) {
        let wire = match packet.to {
            End::Server => &mut self.up,
            End::Participant => &mut self.down,
        };
        let fate = wire.send(Instant::now(), packet.bytes.len());
        self.count(&packet, Event::In);
        match fate {
            Fate::Arrives(at) => self.schedule.add(at, packet),
            Fate::Twice(at) => {
                self.count(&packet, Event::Doubled);
                self.schedule.add(at, packet.clone());
                self.schedule.add(at, packet);
            }
            Fate::Lost(cause) => self.count(&packet, Event::Lost(cause)),
        }
    }

    /// A packet leaves.
    fn emit(&self, packet: &Packet) {
        let front = &self.fronts[packet.front];
        let flow = &front.flows[packet.flow];
        let sent = match packet.to {
            End::Server => flow.socket.send_to(&packet.bytes, front.server),
            End::Participant => front.socket.send_to(&packet.bytes, flow.participant),
        };
        self.count(packet, if sent.is_ok() { Event::Out } else { Event::Unsent });
    }

    fn count(&self, packet: &Packet, event: Event) {
        let now = Instant::now();
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = match packet.to {
            End::Server => &mut tally.up,
            End::Participant => &mut tally.down,
        };
        lane.add(event, &packet.bytes, now);
    }
}

#[cfg(test)]
#[path = "forwarder_tests.rs"]
mod tests;
