// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app load`: what a server can take, seen by its participants.
//!
//! Everything is decided beforehand (`plan`), counted where it arrives (`gaps`), kept in one place
//! (`board`) and judged at the end (`report`); these are pure. Around them: the media (`clip`,
//! cleaned by `nal`, played as `reel` says), the participants (`participant`), the processes
//! (`server`, added up in `usage`), the terminal (`view`), and the loop that brings them together
//! (`run`).

mod args;
mod board;
mod clip;
mod gaps;
mod nal;
mod participant;
mod plan;
mod reel;
mod report;
mod run;
mod server;
mod target;
mod usage;
mod view;

pub use args::{Format, LoadArgs, Picture};
pub use plan::{ChurnKind, Knob};

use anyhow::Context as _;
use board::Board;
use plan::{Plan, PlanError, Wishes};
use report::{Figures, Limits};
use run::{Clips, Run};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;
use target::{Refusal, Server};
use view::View;

/// Longest wait for the server's port to answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);
/// Exit code of wrong options, as clap's.
const USAGE: u8 = 2;

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Target(#[from] Refusal),
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl Stop {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Target(Refusal::NotAWebSocket(_) | Refusal::Elsewhere { .. }) | Self::Plan(_) => {
                USAGE
            }
            Self::Target(Refusal::Unknown(_)) | Self::Other(_) => 1,
        }
    }
}

/// Puts a load on a server and prints what came of it; the exit code says whether all went well.
#[must_use]
pub fn run(args: &LoadArgs) -> ExitCode {
    match load(args) {
        Ok(code) => ExitCode::from(code),
        Err(stop) => {
            eprintln!("ducksoup-app load: {stop}");
            ExitCode::from(stop.exit_code())
        }
    }
}

fn load(args: &LoadArgs) -> Result<u8, Stop> {
    let target = Server::parse(&args.uri)?;
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let plan = Plan::new(&Wishes {
        interactions: args.interactions as usize,
        participants: args.participants as usize,
        duration: Duration::from_secs(args.duration.into()),
        ramp_up: args.ramp_up(),
        churn: args.churn,
        kinds: &args.churn_kinds,
        controls: args.controls,
        knobs: &args.control,
        seed,
    })?;
    let addresses = resolve(&target);
    let ips: Vec<_> = addresses.iter().map(SocketAddr::ip).collect();
    target.allow(&ips, args.anywhere)?;
    knock(&target, &addresses)?;
    let here = ips.iter().all(|ip| ip.to_canonical().is_loopback());
    let server = if here { server::Family::listening_on(target.port) } else { None };
    more_descriptors();
    gst::init().context("GStreamer does not start")?;
    ducksoup_signaller::plugin_register_static().context("the element of the participants")?;
    let clips = Clips::new(args).context("before the run")?;

    let mut view = View::new(plan.span);
    let (mut run, heard) = Run::new(args, &clips, Board::new(plan, args.audio_only), server);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime")?;
    runtime.block_on(run.run(heard, &mut view)).context("signals")?;
    view.end();

    let limits = Limits { max_gap: args.max_gap, min_frames: args.min_frames };
    let known = Figures { load: words(args), seed, limits, ..Figures::default() };
    let figures = run.figures(known);
    println!("{}", view::table(&figures.rows()));
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&figures).context("the figures")?;
        std::fs::write(file, json + "\n").with_context(|| format!("--json {}", file.display()))?;
    }
    Ok(figures.exit_code())
}

/// All addresses of a server; none when nobody knows its name.
fn resolve(target: &Server) -> Vec<SocketAddr> {
    let found = (target.host.as_str(), target.port).to_socket_addrs();
    found.into_iter().flatten().collect()
}

/// Whether somebody is there, before anything is built.
fn knock(target: &Server, addresses: &[SocketAddr]) -> anyhow::Result<()> {
    let Server { host, port } = target;
    let mut why = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, CONNECT_LIMIT) {
            Ok(_) => return Ok(()),
            Err(error) => why = Some(error),
        }
    }
    let why = why.map_or_else(|| "no address".to_owned(), |error| error.to_string());
    anyhow::bail!("there is no server on {host}, port {port}: {why}")
}

/// As many descriptors as this process may have: each participant needs some thirty.
fn more_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is not allowed, the participants that find none will say so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The load in words.
fn words(args: &LoadArgs) -> String {
    let mut words = format!("{} s each", args.duration);
    if args.audio_only {
        words += ", sound only";
    } else {
        let Picture { width, height, framerate } = args.size;
        words += &format!(", {width}x{height}@{framerate} {}", args.video_format.wire());
    }
    for (name, value) in
        [("", &args.recording_mode), ("audio: ", &args.audio_fx), ("video: ", &args.video_fx)]
    {
        if let Some(value) = value {
            words += &format!(", {name}{value}");
        }
    }
    words
}
