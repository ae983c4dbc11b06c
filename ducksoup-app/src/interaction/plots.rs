// SPDX-License-Identifier: MPL-2.0

//! A run as pictures, for those who look for what went wrong (`DUCKSOUP_GENERATE_PLOTS`): a PDF for
//! each participant, drawn when the run is over and its files are complete.
//!
//! | module | what it does |
//! |---|---|
//! | [`series`] | keeps a point a second of each quantity (pure) |
//! | [`panels`] | what stands where, and how it looks (a table) |
//! | [`draw`] | a page of them (plotters) |
//! | [`pdf`] | plotters on paper |

pub mod draw;
pub mod panels;
pub mod pdf;
pub mod series;

use draw::Page;
use ducksoup_signaller::protocol::Identifier;
use series::Record;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// Longest time all plots of a run may take. Ours: a page takes some milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// What is known of one participant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// How often it has connected.
    pub connections: u32,
    /// The run's length, in s.
    pub duration: u32,
    /// What was measured.
    pub record: Record,
}

/// What is known of everybody in a run.
pub type Records = BTreeMap<Identifier, Kept>;

/// A page to be drawn, and its file.
#[derive(Debug)]
pub struct Plot {
    /// Below the data folder.
    pub path: PathBuf,
    /// Who.
    pub title: String,
    /// In which run.
    pub subtitle: String,
    /// The length of the axis of time, in s.
    pub duration: f64,
    /// What is known.
    pub record: Record,
}

impl Plot {
    fn page(&self) -> Page<'_> {
        Page {
            title: &self.title,
            subtitle: &self.subtitle,
            duration: self.duration,
            record: &self.record,
        }
    }
}

/// Why there is no plot.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// It cannot be drawn.
    #[error(transparent)]
    Draw(#[from] draw::DrawError),
    /// It cannot be written.
    #[error("{0}")]
    Write(#[from] std::io::Error),
    /// It takes too long.
    #[error("not drawn within {} s", LIMIT.as_secs())]
    Late,
}

/// Draws and writes plots, on a thread that may be left behind.
///
/// # Errors
/// The first that fails; the others are written nevertheless.
pub fn write_all(data: &Path, plots: Vec<Plot>) -> Result<(), PlotError> {
    let (to, from) = mpsc::channel();
    let data = data.to_owned();
    std::thread::Builder::new().name("plots".into()).spawn(move || {
        let all = plots.into_iter().map(|plot| write(&data, &plot));
        // Who asked may have stopped waiting.
        let _ = to.send(all.fold(Ok(()), Result::and));
    })?;
    from.recv_timeout(LIMIT).unwrap_or(Err(PlotError::Late))
}

/// Nothing that is there is ever overwritten.
fn write(data: &Path, plot: &Plot) -> Result<(), PlotError> {
    let pdf = draw::draw(&plot.page())?;
    let path = data.join(&plot.path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(&pdf)?;
    Ok(())
}

#[cfg(test)]
mod tests;
