// SPDX-License-Identifier: MPL-2.0

//! From the last participant's join to the first decoded picture of somebody else: one who comes to
//! one who waits, and eight at once.

use super::call::House;
use super::cpu::{BITRATE, camera, options};
use super::media::Media;
use super::participant::{Event, Participant, Reception};
use super::processes::Family;
use super::rounds::{Rounds, verdict};
use crate::counts::Format;
use crate::machine;
use crate::page::{self, Table};
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The one who waits has all its transports.
const SETTLE: Duration = Duration::from_secs(2);
/// Eight at once over one alone: issue 7's.
const GOAL: f64 = 1.5;

/// What is to be measured.
#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Of the pictures
    #[arg(long, value_enum, default_value = "h264")]
    format: Format,
    /// Rounds, each of one alone and of eight at once
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The page that gets the rows; none: they are only shown
    #[arg(long)]
    page: Option<PathBuf>,
}

const TITLE: &str = "## From joining to the first picture

`ducksoup-bench join`: `ducksouppeer`s with ready-made media on the machine of the server, from the call of `join` (the
state change to PLAYING) to the first decoded picture of another participant, in ms. *One alone*: the second of two, the
first one waits connected. *Eight at once*: an interaction of eight who all join in the same instant; for each of them. *Four pairs*: four interactions
of two, all eight in the same instant. Besides, when `joined` and `start` were heard. Median (least–greatest) over rounds, of each round's median.
*CPU*: what all processes of the server, and all participants, used from the call of `join` to the slowest one's first picture (with those who wait);
both share the machine's processors, so that half of the sum of the two is the least time that two processors take for it.";

const HEAD: &[&str] = &[
    "format",
    "who",
    "joined, ms",
    "start, ms",
    "first picture, ms",
    "slowest, ms",
    "CPU of the server, ms",
    "CPU of the participants, ms",
    "over one alone",
    "goal",
    "rounds",
    "measured",
];

/// Figures of a case over the rounds.
#[derive(Debug, Default)]
struct Case {
    joined: Rounds,
    started: Rounds,
    seen: Rounds,
    slowest: Rounds,
    server: Rounds,
    guests: Rounds,
}

/// What the server and those who take part have used, at the moment when they begin to join.
#[derive(Debug)]
struct Start {
    at: Instant,
    server: Family,
    everybody: Family,
}

impl Start {
    fn now(house: &House) -> anyhow::Result<Self> {
        let (server, everybody) = (house.look()?, Family::of(std::process::id())?);
        Ok(Self { at: Instant::now(), server, everybody })
    }
}

/// Runs it; whether the goal is met.
///
/// # Errors
/// When a round does not come to its end, or the page cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    super::init()?;
    let media = Media::new(camera(args.format))?;
    let mut cases = [
        ("one alone", Case::default()),
        ("eight at once", Case::default()),
        ("four pairs", Case::default()),
    ];
    for round in 0..args.rounds {
        alone(&mut cases[0].1, &media, args.format)?;
        together(&mut cases[1].1, 8, &media, args.format)?;
        together(&mut cases[2].1, 2, &media, args.format)?;
        let told: Vec<_> = cases.iter().filter_map(|(_, case)| case.seen.0.last()).collect();
        eprintln!("round {}: {told:?}", round + 1);
    }
    let mut met = true;
    let base = cases[0].1.seen.clone();
    let rows: Vec<Vec<String>> = cases
        .iter()
        .enumerate()
        .map(|(number, (who, case))| {
            let ratio = case.seen.over(&base);
            met &= ratio.median() <= GOAL;
            let [over, goal] = match number {
                0 => [String::new(), String::new()],
                _ => [ratio.show(2), verdict(ratio.median(), GOAL)],
            };
            let Case { joined, started, seen, slowest, server, guests } = case;
            let figures =
                [joined, started, seen, slowest, server, guests].map(|rounds| rounds.show(0));
            let mut row = vec![args.format.name().to_owned(), (*who).to_owned()];
            row.extend(figures);
            row.extend([over, goal, args.rounds.to_string(), machine::describe()]);
            row
        })
        .collect();
    rows.iter().for_each(|row| println!("{}", row.join(" | ")));
    if let Some(path) = &args.page {
        let table = Table { name: "join", head: HEAD, keys: Some(2), rows };
        page::write(path, TITLE, &[table])?;
    }
    Ok(met)
}

impl Case {
    /// A round: from when on, and what everybody tells of it.
    fn note(&mut self, house: &House, guests: &[usize], since: &Start) -> anyhow::Result<()> {
        let ms = |times: Vec<Instant>| {
            Rounds(times.iter().map(|at| at.duration_since(since.at).as_secs_f64() * 1e3).collect())
        };
        self.joined.push(ms(house.wait(guests, &Event::Joined)?).median());
        self.started.push(ms(house.wait(guests, &Event::Started)?).median());
        let seen = ms(house.wait(guests, &Event::FirstPicture)?);
        self.seen.push(seen.median());
        self.slowest.push(seen.0.iter().copied().fold(0.0, f64::max));
        let (server, everybody) = (house.look()?, Family::of(std::process::id())?);
        let (server, everybody) = (server.used(&since.server), everybody.used(&since.everybody));
        self.server.push(server * 1e3);
        self.guests.push((everybody - server) * 1e3);
        Ok(())
    }
}

fn alone(case: &mut Case, media: &Media, format: Format) -> anyhow::Result<()> {
    let house = House::open(BITRATE)?;
    let options = options(2, camera(format), "forced", "pitch pitch=0.8 name=fx", SETTLE);
    let guest = |number| house.guest(number, &options, media, Reception::Decode(format));
    let (first, last) = (guest(0)?, guest(1)?);
    first.join()?;
    house.wait(&[0], &Event::Joined)?;
    std::thread::sleep(SETTLE);
    let since = Start::now(&house)?;
    last.join()?;
    case.note(&house, &[1], &since)?;
    drop((first, last));
    house.close()
}

/// Eight at once, in interactions of `size`.
fn together(case: &mut Case, size: usize, media: &Media, format: Format) -> anyhow::Result<()> {
    let house = House::open(BITRATE)?;
    let options = options(size, camera(format), "forced", "pitch pitch=0.8 name=fx", SETTLE);
    let guests: Vec<Participant> = (0..8)
        .map(|number| {
            let mut options = options.clone();
            options[0].1 = format!("join{}", number / size);
            house.guest(number, &options, media, Reception::Decode(format))
        })
        .collect::<anyhow::Result<_>>()?;
    let since = Start::now(&house)?;
    guests.iter().try_for_each(Participant::join)?;
    case.note(&house, &(0..8).collect::<Vec<_>>(), &since)?;
    drop(guests);
    house.close()
}
