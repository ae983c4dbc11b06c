// SPDX-License-Identifier: MPL-2.0

//! What is seen of an export: a bar where somebody looks, and a line for each file.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The terminal. Where it is none, only the lines are there.
#[derive(Debug)]
pub(crate) struct View(ProgressBar);

impl View {
    /// `length` is what there is to do, in any unit.
    pub(crate) fn new(length: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let template = "{elapsed_precise} {bar:30} {percent:>3} % {eta} to go  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// What is being done.
    pub(crate) fn begin(&self, what: &str) {
        self.0.set_message(what.to_owned());
    }

    /// So much more is done.
    pub(crate) fn step(&self, much: u64) {
        self.0.inc(much);
    }

    /// Something to be told once.
    pub(crate) fn tell(&self, line: &str) {
        self.0.suspend(|| println!("{line}"));
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
