// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench`: measures the real server with real participants, from what comes out.
//! Timings are no tests: they stand here, and their results in the tables beside this program.

mod counts;
mod network;
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
    /// Is every picture and every packet in the recording?
    Counts(counts::Args),
    /// Opens a bad connection to a server on this machine
    Network(network::NetworkArgs),
}

fn main() -> anyhow::Result<ExitCode> {
    let met = match Cli::parse().command {
        Command::Counts(args) => counts::run(&args)?,
        Command::Network(args) => network::run(&args).map(|()| true)?,
    };
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
