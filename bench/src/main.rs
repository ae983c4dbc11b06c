// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench`: measures the real server with real participants, from what comes out.
//! Timings are no tests: they stand here, and their results in the tables beside this program.

mod cost;
mod counts;
mod janus;
mod live;
mod machine;
mod network;
mod pace;
mod page;
mod quality;
mod recordings;
mod server;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "ducksoup-bench", version, about = "Measures DuckSoup")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What does a participant cost the server?
    Cost(cost::CostArgs),
    /// Is every picture and every packet in the recording?
    Counts(counts::Args),
    /// What does it cost to hand packets on, beside Janus?
    Forwarding(janus::Args),
    /// What does a server cost that has nothing to do?
    Idle(cost::IdleArgs),
    /// How long does it take from joining to the first picture?
    Join(cost::JoinArgs),
    /// How long do sound and pictures stay in the server?
    Live(live::Args),
    /// Opens a bad connection to a server on this machine
    Network(network::NetworkArgs),
    /// What does speed cost in quality?
    Quality(quality::Args),
    /// Do the recordings of one conversation share one time?
    Recordings(Box<recordings::Args>),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Cost(args) => cost::run_cost(&args),
        Command::Counts(args) => counts::run(&args),
        Command::Forwarding(args) => janus::run(&args),
        Command::Idle(args) => cost::run_idle(&args),
        Command::Join(args) => cost::run_join(&args),
        Command::Live(args) => live::run(&args),
        Command::Network(args) => network::run(&args).map(|()| true),
        Command::Quality(args) => quality::run(&args),
        Command::Recordings(args) => recordings::run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ducksoup-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
