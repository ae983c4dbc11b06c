// SPDX-License-Identifier: MPL-2.0

#![allow(clippy::unwrap_used)]

use super::*;
use crate::network::link::Rate;
use std::time::Duration;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: Duration = Duration::from_secs(30);

/// A server and a participant with a forwarder between them.
struct Rig {
    server: UdpSocket,
    participant: UdpSocket,
    gate: SocketAddr,
    tally: Arc<Mutex<Tally>>,
    fronts: Fronts,
    ended: Receiver<io::Result<()>>,
}

impl Rig {
    fn new(up: Link, down: Link) -> Self {
        let server = host();
        let tally = Arc::<Mutex<Tally>>::default();
        let (forwarder, fronts) = Forwarder::new(up, down, 0, Arc::clone(&tally)).unwrap();
        let (end, ended) = channel();
        std::thread::spawn(move || end.send(forwarder.run()).unwrap());
        let gate = fronts.open(server.local_addr().unwrap()).unwrap();
        Self { server, participant: host(), gate, tally, fronts, ended }
    }

    /// Ends the forwarder; all that has arrived is in the tally then.
    fn end(self) -> Tally {
        drop(self.fronts);
        self.ended.recv_timeout(LIMIT).unwrap().unwrap();
        self.tally.lock().unwrap().clone()
    }
}

/// A socket of this machine.
fn host() -> UdpSocket {
    let socket = socket::open(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket.set_nonblocking(false).unwrap();
    socket.set_read_timeout(Some(LIMIT)).unwrap();
    socket
}

/// A packet with its number in it.
fn packet(number: u32, length: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96, 0, 0];
    packet.extend(number.to_be_bytes());
    packet.extend(7_u32.to_be_bytes());
    packet.resize(length, 0);
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes(packet[4..8].try_into().unwrap())
}

fn received(socket: &UdpSocket) -> (u32, SocketAddr) {
    let mut buffer = [0; 2000];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (number(&buffer[..length]), from)
}

#[test]
fn both_ends_talk_through_it_and_several_addresses_keep_apart() {
    let rig = Rig::new(Link::default(), Link::default());
    let other = host();
    let mut seen = Vec::new();
    for (number, socket) in [(1, &rig.participant), (2, &other), (3, &rig.participant)] {
        socket.send_to(&packet(number, 100), rig.gate).unwrap();
        let (arrived, from) = received(&rig.server);
        assert_eq!(arrived, number);
        assert_ne!(from, socket.local_addr().unwrap());
        seen.push(from);
        rig.server.send_to(&packet(number + 10, 100), from).unwrap();
        assert_eq!(received(socket), (number + 10, rig.gate));
    }
    assert_eq!(seen[0], seen[2]);
    assert_ne!(seen[0], seen[1]);
    let tally = rig.end();
    for lane in [&tally.up, &tally.down] {
        assert_eq!((lane.all.packets_in, lane.all.packets_out), (3, 3));
        assert_eq!((lane.rtp[&7].payload_type, lane.rtp[&7].count), (96, lane.all));
    }
}

#[test]
fn thirty_megabits_a_second_lose_nothing_and_keep_their_order() {
    let rig =
        Rig::new(Link { delay: Duration::from_millis(20), ..Link::default() }, Link::default());
    let (server, gate) = (rig.server.try_clone().unwrap(), rig.gate);
    let sender = rig.participant.try_clone().unwrap();
    let begin = Instant::now();
    // 6250 packets of 1200 bytes in two seconds.
    let sending = std::thread::spawn(move || {
        for number in 0..6250 {
            if number % 25 == 0 {
                let due = begin + Duration::from_micros(320) * number;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            sender.send_to(&packet(number, 1200), gate).unwrap();
        }
    });
    for expected in 0..6250 {
        assert_eq!(received(&server).0, expected);
    }
    sending.join().unwrap();
    let all = rig.end().up.all;
    assert_eq!((all.packets_in, all.packets_out, all.on_the_way()), (6250, 6250, 0));
}

#[test]
fn what_does_not_arrive_is_in_the_tally() {
    let link = Link {
        loss: 0.1,
        duplicate: 0.1,
        rate: Some(Rate { bits: 10_000_000, queue: 50_000 }),
        ..Link::default()
    };
    let rig = Rig::new(link, Link::default());
    // Far more than fits, and then some that do.
    let mut sent = 0;
    let mut arrived = 0;
    rig.server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    for burst in [1000, 10, 10] {
        for _ in 0..burst {
            rig.participant.send_to(&packet(sent, 1000), rig.gate).unwrap();
            sent += 1;
        }
        let mut buffer = [0; 2000];
        while rig.server.recv_from(&mut buffer).is_ok() {
            arrived += 1;
        }
    }
    let all = rig.end().up.all;
    assert_eq!((all.packets_in, all.packets_out), (u64::from(sent), arrived));
    assert!(all.queue > 500 && all.lost > 0 && all.doubled > 0, "{all:?}");
    assert_eq!(all.on_the_way(), 0, "{all:?}");
}
