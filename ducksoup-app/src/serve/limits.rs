// SPDX-License-Identifier: MPL-2.0

//! How long the door waits for what, and how much it takes from whom. Tests shorten the waits.

use std::time::Duration;

/// Largest text frame of a client, in bytes: an SDP answer for eight participants fits four times.
pub(crate) const MAX_FRAME: usize = 64 * 1024;
/// Malformed messages after which a client is closed. Ours.
pub(crate) const MAX_MALFORMED: u32 = 100;
/// Controls a client may send each second, sustained, and at once. Ours: a slider that is
/// dragged sends 60.
pub(crate) const CONTROL_RATE: f64 = 200.0;
/// What a client may send each second, sustained, in bytes; a client that sends more is read no
/// faster. Ours: [`CONTROL_RATE`] fits, with [`MESSAGE_COST`], and as much again of other words.
pub(crate) const BYTE_RATE: f64 = 384.0 * 1024.0;
/// What a client may send at once, in bytes: 16 frames of the largest size.
pub(crate) const BYTE_BURST: f64 = 1024.0 * 1024.0;
/// What a message costs besides its length, in bytes: parsing, a line in a log.
pub(crate) const MESSAGE_COST: f64 = 1024.0;
/// WebSockets at the same time. Ours: with their stages' pipes they stay below the usual limit
/// of 1024 open files.
pub(crate) const MAX_SOCKETS: usize = 512;
/// Connections at the same time that are no WebSockets: TLS handshakes, requests, browsers that
/// keep theirs for the next request. Others wait in the listener's queue. Ours: a page needs 20
/// files over at most 6 connections (what browsers open to one host), and they end quickly.
pub(crate) const MAX_CONNECTIONS: usize = 256;
/// Words that may wait for one client; a client that does not take them is closed.
pub(crate) const CLIENT_QUEUE: usize = 256;
/// Frames that may wait for one stage: what eight clients can send within [`Limits::read`].
pub(crate) const STAGE_QUEUE: usize = 8192;
/// Longest frame of a stage, in bytes: an offer for eight participants fits many times.
pub(crate) const MAX_STAGE_LINE: usize = 1024 * 1024;
/// Between two messages of the stats feed (the README's "polled every second").
pub(crate) const STATS_PERIOD: Duration = Duration::from_secs(1);
/// Largest device check of a page, in bytes; pages send under 1500.
pub(crate) const MAX_CHECK: usize = 8 * 1024;
/// Device checks a second, sustained and at once, of all participants together. Ours: a course
/// of sixty that begins at the same moment.
pub(crate) const CHECK_RATE: f64 = 2.0;
/// See [`CHECK_RATE`].
pub(crate) const CHECK_BURST: f64 = 60.0;
/// Device checks that one run of the server stores: with [`MAX_CHECK`], under 400 MB.
pub(crate) const MAX_CHECKS: u32 = 50_000;
/// What a newcomer may say while the door probes the socket it would replace.
pub(crate) const MAX_HELD: usize = 32;

/// Waits, and what tests make smaller besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For a TLS handshake. Ours, as that of widespread HTTP servers (10 s in Caddy's and Go's).
    pub handshake: Duration,
    /// For the head of a request, the first and every next one on the same connection.
    pub head: Duration,
    /// For all requests of one connection that is no WebSocket: nobody keeps a place by reading
    /// slowly.
    pub connection: Duration,
    /// From the upgrade to the join (PROTOCOL).
    pub join: Duration,
    /// Between two pings: reverse proxies close a socket that is silent for 60 s.
    pub ping: Duration,
    /// For an answer to a ping, or any other word: who gives none is gone.
    pub silence: Duration,
    /// For the pong of a socket whose user comes by another one (DESIGN §3).
    pub probe: Duration,
    /// For a client to take what is written to it, and for its close.
    pub write: Duration,
    /// For a stage's `Ready`.
    pub ready: Duration,
    /// For a stage to read what is written to it.
    pub read: Duration,
    /// For a stage to exit once it is over and everyone left.
    pub exit: Duration,
    /// For all stages to exit when the door ends.
    pub shutdown: Duration,
    /// Before a spare stage that died by itself is replaced, so that a broken program does not
    /// keep the machine busy.
    pub respawn: Duration,
    /// Joins of all clients together, a second, sustained: each may start a process.
    pub join_rate: u32,
    /// The same at once.
    pub join_burst: u32,
}

impl Limits {
    /// The usual ones, with so much silence borne. Then pings are so frequent that it ends at most a
    /// third later.
    pub(crate) fn bearing(silence: Duration) -> Self {
        let usual = Self::default();
        Self { ping: usual.ping.min(silence / 3), silence, ..usual }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            connection: Duration::from_secs(600),
            join: Duration::from_secs(10),
            ping: Duration::from_secs(20),
            silence: Duration::from_secs(40),
            probe: Duration::from_secs(1),
            write: Duration::from_secs(5),
            ready: Duration::from_secs(10),
            read: Duration::from_secs(5),
            exit: Duration::from_secs(30),
            shutdown: Duration::from_secs(20),
            respawn: Duration::from_secs(5),
            join_rate: 20,
            // Ours: half of the sockets there can be.
            join_burst: 256,
        }
    }
}
