// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app render`: the wet streams again, from the dry files and the log of commands.
//!
//! `table` reads the commands, `plan` makes jobs of them, `ramps`, `sound` and `picture` judge what
//! came of one; these are pure. Around them: what is typed (`args`), the descriptions under
//! `pipelines/` (`recipe`), a dry file read (`archive::reader`) and rendered (`painter`, whose tracks meet in
//! `meeting`), the terminal (`view`), and `compare`, which reads what was recorded.

mod args;
mod compare;
mod meeting;
mod painter;
mod picture;
mod plan;
mod ramps;
mod recipe;
mod sound;
mod table;
mod view;

pub use args::RenderArgs;

use crate::archive::manifest::{self, Manifest};
use crate::config::{Args, Config};
use crate::interaction::elements;
use anyhow::Context as _;
use gstducksoup::fxcontrol::{self, MediaKind};
use painter::Painted;
use plan::{Job, Wishes};
use recipe::Recipe;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use table::Table;
use view::View;

/// Largest table of events that is read, in bytes. Ours: eight ramps moving for twenty minutes make
/// some 10 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Renders what is wished for and prints what came of it; gives whether all is as it should be.
///
/// # Errors
/// When there is nothing to render, or not all that is needed.
pub fn run(args: &RenderArgs) -> anyhow::Result<bool> {
    gst::init().context("GStreamer does not start")?;
    elements::register()?;
    let working = std::env::current_dir().context("the working directory")?;
    let recipe = recipe(args, &working)?;
    let wishes = Wishes {
        participant: args.participant.as_deref(),
        audio_fx: args.audio_fx.as_deref(),
        video_fx: args.video_fx.as_deref(),
    };
    let jobs = jobs(args, wishes)?;
    for job in &jobs {
        check(job, &recipe)?;
    }
    let output = args.output.clone().unwrap_or_else(|| args.folder.join("render"));
    for job in &jobs {
        absent(&output, &job.name)?;
    }
    fs::create_dir_all(&output).with_context(|| output.display().to_string())?;
    let mut good = true;
    for job in &jobs {
        // One that cannot be rendered must not keep the others from it.
        match render(job, args, &recipe, &output) {
            Ok(verdict) => good &= verdict,
            Err(error) => {
                eprintln!("ducksoup-app render: {}: {error:#}", job.dry.name);
                good = false;
            }
        }
    }
    Ok(good)
}

/// The effects' policy and the encoders' properties are those of the server.
fn recipe(args: &RenderArgs, working: &Path) -> anyhow::Result<Recipe> {
    let typed = Args {
        effect_folders: args.effect_folders.clone(),
        effect_policy: args.effect_policy.clone(),
        ..Args::default()
    };
    let settings = Config::new(&typed, working)?.stage_settings();
    Ok(Recipe::read(working, settings)?)
}

fn jobs(args: &RenderArgs, wishes: Wishes<'_>) -> anyhow::Result<Vec<Job>> {
    let mut runs = manifest::read_all(&args.folder)?;
    if let Some(id) = &args.run {
        let there: Vec<_> = runs.iter().map(|run| run.id.clone()).collect();
        runs.retain(|run| run.id == *id);
        anyhow::ensure!(
            !runs.is_empty(),
            "{} has no run {id}; there are {}",
            args.folder.display(),
            there.join(", ")
        );
    }
    let (mut jobs, mut refusal) = (Vec::new(), None);
    for run in &runs {
        let made = events(args, run)
            .and_then(|events| plan::jobs(run, &events, wishes).map_err(anyhow::Error::from));
        match made {
            Ok(made) => jobs.extend(made),
            // Among several runs some have nothing to render.
            Err(error) if refusal.is_none() => refusal = Some(error),
            Err(_) => {}
        }
    }
    match refusal {
        Some(refusal) if jobs.is_empty() || runs.len() == 1 => Err(refusal),
        Some(refusal) => {
            eprintln!("ducksoup-app render: {refusal:#}");
            Ok(jobs)
        }
        None => Ok(jobs),
    }
}

/// The run's table, or the one that is wished for.
fn events(args: &RenderArgs, run: &Manifest) -> anyhow::Result<Table> {
    let path = match &args.events {
        Some(path) => path.clone(),
        // An id is a file's name, not a path: `read_all` found the manifest by it only by chance.
        None if run.id.contains(['/', '\\', '\0']) => {
            anyhow::bail!("run {:?} is no run's id", run.id)
        }
        None if run.started.is_none() => return Ok(Table::default()),
        None => args.folder.join(format!("i-{}-events.tsv", run.id)),
    };
    let name = || path.display().to_string();
    let length = fs::metadata(&path).with_context(name)?.len();
    anyhow::ensure!(length <= MAX_BYTES, "{}: too large for a table of events", name());
    let bytes = fs::read(&path).with_context(name)?;
    let text =
        String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("no text")).with_context(name)?;
    Table::parse(&text).with_context(name)
}

/// Whether this machine has the effects and the operator allows them.
fn check(job: &Job, recipe: &Recipe) -> anyhow::Result<()> {
    for (part, kind) in [(&job.audio, MediaKind::Audio), (&job.video, MediaKind::Video)] {
        if let Some(part) = part {
            let policy = crate::interaction::effects::policy(&recipe.settings);
            fxcontrol::check(&part.fx, kind, &policy)
                .with_context(|| format!("{}: the effect {:?}", job.dry.user, part.fx))?;
        }
    }
    Ok(())
}

/// Nothing that is there is replaced.
fn absent(output: &Path, stem: &str) -> anyhow::Result<()> {
    for ending in ["mp4", "mkv", "ogg"] {
        let path = output.join(format!("{stem}.{ending}"));
        anyhow::ensure!(
            !path.exists(),
            "{}: is there already; move it, or name another --output",
            path.display()
        );
    }
    Ok(())
}

/// Renders one file; gives whether it is as it should be.
fn render(job: &Job, args: &RenderArgs, recipe: &Recipe, output: &Path) -> anyhow::Result<bool> {
    let dry = job.dry.path(&args.folder).context("its name leads out of the folder")?;
    let scratch = Scratch::new(output, &job.name)?;
    let view = View::new(&job.name, job.end);
    let painted =
        painter::paint(job, recipe, &dry, &scratch.0, &mut |position| view.show(position))?;
    drop(view);
    let path = keep(&painted.path, output, &job.name)?;
    println!("{}", line(&path, &painted));
    for note in &job.notes {
        println!("  {note}");
    }
    if !args.compare {
        return Ok(true);
    }
    let Some(recorded) = job.wet.as_ref().and_then(|wet| wet.path(&args.folder)) else {
        println!("  nothing was recorded to compare it with");
        return Ok(true);
    };
    let verdict = compare::compare(job, recipe, &recorded, &path, &painted.applied)?;
    println!("{}", verdict.text);
    for fault in &verdict.faults {
        println!("DIFFERS: {fault}");
    }
    if verdict.faults.is_empty() {
        println!("It is as it was recorded.");
    }
    Ok(verdict.faults.is_empty())
}

/// A file in a line.
fn line(path: &Path, painted: &Painted) -> String {
    #[allow(clippy::cast_precision_loss)] // samples of days
    let seconds = painted.samples as f64 / 48_000.0;
    format!("{}: {} pictures, {seconds:.3} s of sound", path.display(), painted.frames)
}

/// The folder of a file that is not ready; gone with its scope.
struct Scratch(PathBuf);

impl Scratch {
    fn new(output: &Path, name: &str) -> anyhow::Result<Self> {
        // Two of these programs may work in the same folder.
        let path = output.join(format!("{name}.{}.part", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Gives a finished file its name, if nobody has it.
fn keep(file: &Path, output: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    let path = output.join(format!("{name}.{ending}"));
    let kept = fs::hard_link(file, &path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Err(error),
        // File systems without links.
        _ if path.exists() => Err(io::ErrorKind::AlreadyExists.into()),
        _ => fs::rename(file, &path),
    });
    kept.with_context(|| path.display().to_string())?;
    Ok(path)
}
