// SPDX-License-Identifier: MPL-2.0

//! What can be typed after `ducksoup-app export`.

use super::plan::Size;
use std::path::PathBuf;

/// Options of the command.
#[derive(Debug, Clone, clap::Args)]
#[allow(missing_docs)] // the help texts say it
pub struct ExportArgs {
    /// The interaction's folder: data/NAMESPACE/INTERACTION
    pub folder: PathBuf,
    /// Where the files go [default: export/ in the interaction's folder, with --bids bids/]
    #[arg(long, short, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Only this run, by its id; may be repeated [default: all]
    #[arg(long, value_name = "ID")]
    pub run: Vec<String>,
    /// Pictures a second [default: the largest that a participant of the run asked for]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=120))]
    pub framerate: Option<u32>,
    /// Size of each participant's picture, WIDTHxHEIGHT, even; other shapes get borders [default: what the participant asked for]
    #[arg(long, value_name = "SIZE")]
    pub size: Option<Size>,
    /// Only the part where everyone has sound and picture
    #[arg(long)]
    pub common: bool,
    /// All participants side by side too, in stereo
    #[arg(long, conflicts_with = "bids")]
    pub composite: bool,
    /// Lay the files out as a BIDS dataset (BEP047, audio and video recordings of behaviour); an existing one grows
    #[arg(long)]
    pub bids: bool,
    /// With --bids: the session [default: the namespace]
    #[arg(long, value_name = "NAME", requires = "bids")]
    pub session: Option<String>,
    /// With --bids: the task [default: the interaction's name]
    #[arg(long, value_name = "NAME", requires = "bids")]
    pub task: Option<String>,
}
