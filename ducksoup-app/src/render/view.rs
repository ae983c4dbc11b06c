// SPDX-License-Identifier: MPL-2.0

//! How far a file is: a bar that lives, or, where nobody looks (no terminal), a line for each file.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

/// One file on its way.
#[derive(Debug)]
pub(super) struct View(Option<ProgressBar>);

impl View {
    /// Shows a file of `length` ns.
    pub(super) fn new(name: &str, length: u64) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!("rendering {name}");
            return Self(None);
        }
        let target = ProgressDrawTarget::stderr();
        let bar = ProgressBar::with_draw_target(Some(length / 1_000_000), target);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:20} {percent:>3} % {eta:>4} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Self(Some(bar))
    }

    /// So much of it is done, in ns.
    pub(super) fn show(&self, position: u64) {
        if let Self(Some(bar)) = self {
            bar.set_position(position / 1_000_000);
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Self(Some(bar)) = self {
            bar.finish_and_clear();
        }
    }
}
