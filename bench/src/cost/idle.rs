// SPDX-License-Identifier: MPL-2.0

//! What is used while nothing happens: by a server without anybody, and by an interaction whose
//! participant waits for the other one.

use super::call::{House, read};
use super::cpu::{BITRATE, camera, options};
use super::media::Media;
use super::participant::{Event, Reception};
use super::rounds::Rounds;
use crate::counts::Format;
use crate::machine;
use crate::page::{self, Table};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::time::Duration;

/// Before a reading begins.
const SETTLE: Duration = Duration::from_secs(3);

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Length of a reading, in s
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

const TITLE: &str = "### Idle

`ducksoup-bench idle`: what the server (all its processes) uses while nothing happens. *Nobody*: the door and its spare
stage. *One waits*: besides, an interaction of two in which one participant already sends and the other one has not come.";

const HEAD: &[&str] = &["what", "server, core", "threads", "RSS, MB", "rounds", "measured"];

/// Runs it.
///
/// # Errors
/// When a round does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    super::init()?;
    let time = Duration::from_secs(args.seconds.into());
    let camera = camera(Format::H264);
    let media = Media::new(camera)?;
    let mut all: [(&str, [Rounds; 3]); 2] =
        [("nobody", Default::default()), ("one waits", Default::default())];
    for _ in 0..args.rounds {
        let house = House::open(BITRATE)?;
        std::thread::sleep(SETTLE);
        let nobody = read(|| house.look(), &[], time)?;
        let options = options(2, camera, "forced", "pitch pitch=0.8 name=fx", time);
        let guest = house.guest(0, &options, &media, Reception::Count)?;
        guest.join()?;
        house.wait(&[0], &Event::Joined)?;
        std::thread::sleep(SETTLE);
        let waits = read(|| house.look(), &[], time)?;
        drop(guest);
        house.close()?;
        for ((_, rounds), reading) in all.iter_mut().zip([nobody, waits]) {
            rounds[0].push(reading.cores);
            rounds[1].push(reading.family.threads() as f64);
            rounds[2].push(reading.family.memory() as f64 / 1e6);
        }
    }
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|(what, [cores, threads, memory])| {
            let rounds = args.rounds.to_string();
            vec![
                (*what).to_owned(),
                cores.show(4),
                threads.show(0),
                memory.show(0),
                rounds,
                machine::describe(),
            ]
        })
        .collect();
    rows.iter().for_each(|row| println!("{}", row.join(" | ")));
    if let Some(path) = &args.page {
        let table = Table { name: "idle", head: HEAD, keys: Some(1), rows };
        page::write(path, TITLE, &[table])?;
    }
    Ok(true)
}
