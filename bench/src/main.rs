// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench`: measures the real server with real participants, from what comes out.
//! Timings are no tests: they stand here, and their results in the tables beside this program.

mod network;
#[cfg(test)]
mod server;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "ducksoup-bench", version, about = "Measures DuckSoup")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Opens a bad connection to a server on this machine
    Network(network::NetworkArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Network(args) => network::run(&args),
    }
}
