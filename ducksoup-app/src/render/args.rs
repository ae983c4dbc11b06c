// SPDX-License-Identifier: MPL-2.0

//! What can be typed for `render`.

use ducksoup_signaller::protocol::MAX_FX;
use std::path::PathBuf;

/// The options of `render`.
#[derive(Debug, Clone, clap::Args)]
#[allow(missing_docs)] // the help texts say it
#[command(
    after_help = "Exit code: 0 all was rendered (and, with --compare, is as it was recorded); 1 something \
                        failed or differs; 2 wrong options. Example:\n  ducksoup-app render \
                        data/study/dyad_7 --participant ann --compare"
)]
pub struct RenderArgs {
    /// The interaction's folder: data/NAMESPACE/INTERACTION
    pub folder: PathBuf,
    /// Only this participant [default: all]
    #[arg(long, value_name = "USER")]
    pub participant: Option<String>,
    /// Only this run [default: all]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Where the files go; nothing there is ever replaced [default: FOLDER/render]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Another effect on the voice than the run's, or "" for none
    #[arg(long, value_name = "FX", value_parser = parse_fx)]
    pub audio_fx: Option<String>,
    /// Another effect on the picture than the run's, or "" for none
    #[arg(long, value_name = "FX", value_parser = parse_fx)]
    pub video_fx: Option<String>,
    /// Another table of commands than the run's (onset duration participant type target value)
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    /// Hold what comes out against what was recorded, second by second
    #[arg(long)]
    pub compare: bool,
    /// As of `serve` [default: plugins]
    #[arg(long, env = "DUCKSOUP_EFFECT_FOLDERS", value_name = "FOLDERS")]
    pub effect_folders: Option<String>,
    /// As of `serve` [default: none]
    #[arg(
        long,
        env = "DUCKSOUP_EFFECT_POLICY",
        value_name = "ELEMENTS",
        allow_hyphen_values = true
    )]
    pub effect_policy: Option<String>,
}

fn parse_fx(text: &str) -> Result<String, String> {
    if text.len() > MAX_FX {
        return Err(format!("longer than {MAX_FX} bytes"));
    }
    Ok(text.trim().to_owned())
}
