// SPDX-License-Identifier: MPL-2.0

//! The stage: one process for each interaction.

pub mod lifecycle;

/// Runs the stage on standard input and output.
///
/// # Errors
/// When the seam to the door cannot be had.
pub fn run() -> anyhow::Result<()> {
    Ok(())
}
