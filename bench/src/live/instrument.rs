// SPDX-License-Identifier: MPL-2.0

//! What the instrument itself costs: packets of a call's sizes and pace through the gate's forwarder
//! to somebody who sends each back at once, and so nothing of a server.

use super::account::Stay;
use crate::network::{Event, Forwarder, Link, Tally};
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sent at this pace, as pictures of that many packets. Ours.
const FRAME: Duration = Duration::from_millis(38);
const PACKETS: usize = 4;
/// Bytes in a packet.
const LENGTH: usize = 1_100;
/// How long whoever waits for packets waits at most.
const LIMIT: Duration = Duration::from_millis(200);

/// When each picture left, and how long it stayed.
///
/// # Errors
/// When the system has no ports.
pub(crate) fn measure(length: Duration) -> anyhow::Result<Vec<Stay>> {
    let host = || -> anyhow::Result<UdpSocket> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(socket)
    };
    let (echo, participant) = (host()?, host()?);
    let mut tally = Tally::default();
    tally.up.passages = Some(Vec::new());
    tally.down.passages = Some(Vec::new());
    let tally = Arc::new(Mutex::new(tally));
    let good = Link::default;
    let (forwarder, fronts) = Forwarder::new(good(), good(), 0, Arc::clone(&tally))?;
    let gate = fronts.open(echo.local_addr()?)?;
    let forwarding = std::thread::spawn(|| forwarder.run());
    let until = Instant::now() + length;
    let echoing = std::thread::spawn(move || {
        let mut bytes = [0; 2 * LENGTH];
        while Instant::now() < until + LIMIT {
            if let Ok((count, from)) = echo.recv_from(&mut bytes) {
                // Whoever is gone needs it no more.
                let _ = echo.send_to(&bytes[..count], from);
            }
        }
    });
    let mut due = Instant::now();
    for picture in 0_u32.. {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += FRAME;
        if due > until {
            break;
        }
        let mut packet = [0; LENGTH];
        // RTP, version 2, a payload type without meaning, the timestamp (RFC 3550, section 5.1).
        packet[..2].copy_from_slice(&[0x80, 96]);
        packet[4..8].copy_from_slice(&picture.to_be_bytes());
        for _ in 0..PACKETS {
            participant.send_to(&packet, gate)?;
        }
    }
    echoing.join().map_err(|_| anyhow::anyhow!("the echo fell"))?;
    drop(fronts);
    forwarding
        .join()
        .map_err(|_| anyhow::anyhow!("the forwarder fell"))?
        .context("the forwarder")?;
    let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    let mut entered: BTreeMap<u32, Instant> = BTreeMap::new();
    for passage in tally.up.passages.iter().flatten().filter(|it| it.event == Event::Out) {
        entered.insert(passage.timestamp, passage.at);
    }
    let mut left: BTreeMap<u32, Instant> = BTreeMap::new();
    for passage in tally.down.passages.iter().flatten().filter(|it| it.event == Event::In) {
        left.insert(passage.timestamp, passage.at);
    }
    let stay = |(timestamp, left): (&u32, &Instant)| {
        let entered = entered.get(timestamp)?;
        Some((0.0, left.saturating_duration_since(*entered).as_secs_f64()))
    };
    Ok(left.iter().filter_map(stay).collect())
}
