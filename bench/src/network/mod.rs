// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench network`: a bad connection, without a bad network and without being root.
//!
//! A [`Gate`] stands between participants and a server on this machine. It passes the server's
//! pages and WebSockets on, tells each side of its own UDP ports in place of the other's
//! (`signalling`), and so carries all their media, ICE and DTLS included, through a [`Link`] each
//! way (`forwarder`, `link`). It works for whatever speaks the protocol: browsers and
//! `ducksouppeer`s. What has passed and what was lost is in its tally (`tally`). A call without a
//! server goes through the same links when its ends ask for the way.

mod forwarder;
mod gate;
mod head;
mod link;
mod schedule;
mod signalling;
mod socket;
mod tally;

#[cfg(test)]
mod call_tests;

pub(crate) use forwarder::Forwarder;
pub(crate) use gate::Gate;
pub(crate) use link::{Link, Rate};
pub(crate) use tally::{Event, Passage, Tally};

use anyhow::Context as _;
use clap::{ArgGroup, Args, ValueEnum};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// A link as options say it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("bottleneck").multiple(true))]
pub(crate) struct NetworkArgs {
    /// The server's WebSocket, as ws://localhost:8100/ws
    server: String,
    /// Share of packets that are lost, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// How long each packet travels, in ms
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// How much longer it may take, in ms
    #[arg(long, default_value_t = 0)]
    jitter: u64,
    /// How much fits through, in bit/s
    #[arg(long, group = "bottleneck")]
    rate: Option<u64>,
    /// How much fits through from then on, in s since the first packet, as 10:600000 or 20:any; again for more
    #[arg(long, value_parser = change, group = "bottleneck")]
    then: Vec<(Duration, Option<u64>)>,
    /// Bytes that may wait for that
    #[arg(long, default_value_t = 65_536, requires = "bottleneck")]
    queue: u64,
    /// Share of packets that are overtaken
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    reorder: f64,
    /// Share of packets that arrive twice
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    duplicate: f64,
    /// When nothing gets through, in s since the first packet, as 5..7.5
    #[arg(long, value_parser = blackout)]
    blackout: Option<Range<Duration>>,
    /// Another one for another course of chance
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Which way is bad
    #[arg(long, value_enum, default_value_t = Way::Both)]
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// From the participants to the server.
    Up,
    /// From the server to the participants.
    Down,
    /// Both.
    Both,
}

impl NetworkArgs {
    /// What these options mean, up and down.
    fn links(&self) -> (Link, Link) {
        let rate = |bits| Rate { bits, queue: self.queue };
        let mut changes: Vec<_> =
            self.then.iter().map(|(from, bits)| (*from, bits.map(rate))).collect();
        changes.sort_by_key(|(from, _)| *from);
        let bad = Link {
            loss: self.loss,
            delay: Duration::from_millis(self.delay),
            jitter: Duration::from_millis(self.jitter),
            rate: self.rate.map(rate),
            changes,
            reorder: self.reorder,
            duplicate: self.duplicate,
            blackout: self.blackout.clone(),
            seed: self.seed,
        };
        match self.way {
            Way::Up => (bad, Link::default()),
            Way::Down => (Link::default(), bad),
            Way::Both => (bad.clone(), bad),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "a number from 0 to 1 is needed".to_owned())
}

fn change(text: &str) -> Result<(Duration, Option<u64>), String> {
    let parse = || {
        let (from, bits) = text.split_once(':')?;
        let from = Duration::try_from_secs_f64(from.parse().ok()?).ok()?;
        let bits = if bits == "any" { None } else { Some(bits.parse().ok()?) };
        Some((from, bits))
    };
    parse().ok_or_else(|| "seconds and bit/s are needed, as 10:600000 or 20:any".to_owned())
}

fn blackout(text: &str) -> Result<Range<Duration>, String> {
    let seconds = |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
    text.split_once("..")
        .and_then(|(from, to)| Some(seconds(from)?..seconds(to)?))
        .filter(|range| !range.is_empty())
        .ok_or_else(|| "two numbers of seconds are needed, as 5..7.5".to_owned())
}

/// Keeps a gate open until it is interrupted, then prints what has passed. Whoever calls without a
/// server asks for ways through the same links on standard input: an address of this machine a
/// line, each answered by the one to send to in its place.
///
/// # Errors
/// When there can be no gate.
pub(crate) fn run(args: &NetworkArgs) -> anyhow::Result<()> {
    let (up, down) = args.links();
    let gate = Gate::open(&args.server, up.clone(), down.clone())?;
    let page = gate.uri().replacen("ws", "http", 1);
    println!("{}\npages: {}", gate.uri(), page.trim_end_matches("ws"));
    // It ends with the process.
    std::thread::spawn(move || answer(up, down));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c()).context("no signals")?;
    println!("{}", serde_json::to_string_pretty(&gate.close())?);
    Ok(())
}

/// A way for each address on standard input; what is none is answered by a dash.
fn answer(up: Link, down: Link) {
    let Ok((forwarder, fronts)) = Forwarder::new(up, down, 0, Arc::default()) else {
        return;
    };
    std::thread::spawn(|| forwarder.run());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let front = line.trim().parse().ok().and_then(|address| fronts.open(address).ok());
        println!("{}", front.map_or("-".to_owned(), |front| front.to_string()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: NetworkArgs,
    }

    fn links(options: &str) -> Option<(Link, Link)> {
        let words = ["bench", "ws://localhost:1/ws"].into_iter().chain(options.split_whitespace());
        Cli::try_parse_from(words).ok().map(|cli| cli.args.links())
    }

    #[test]
    fn options_make_links() {
        let good = Link::default();
        let bad = Link {
            loss: 0.03,
            delay: Duration::from_millis(40),
            jitter: Duration::from_millis(30),
            rate: Some(Rate { bits: 1_000_000, queue: 65_536 }),
            blackout: Some(Duration::from_secs(5)..Duration::from_millis(7500)),
            seed: 9,
            ..good.clone()
        };
        let options =
            "--loss 0.03 --delay 40 --jitter 30 --rate 1000000 --blackout 5..7.5 --seed 9";
        assert_eq!(links(""), Some((good.clone(), good.clone())));
        assert_eq!(links(options), Some((bad.clone(), bad.clone())));
        assert_eq!(links(&format!("{options} --way up")), Some((bad.clone(), good.clone())));
        assert_eq!(links(&format!("{options} --way down")), Some((good, bad)));
        let changes = [(20, None), (10, Some(Rate { bits: 600_000, queue: 65_536 }))];
        let mut changes: Vec<_> =
            changes.into_iter().map(|(s, rate)| (Duration::from_secs(s), rate)).collect();
        changes.reverse();
        let changing = Link { changes, ..Link::default() };
        let options = "--then 20:any --then 10:600000 --way up";
        assert_eq!(links(options), Some((changing, Link::default())), "in their order");
        for wrong in [
            "--then 3",
            "--then x:any",
            "--then 3:some",
            "--loss 3",
            "--loss x",
            "--blackout 5",
            "--blackout 7..5",
            "--queue 5",
        ] {
            assert_eq!(links(wrong), None, "{wrong}");
        }
    }
}
