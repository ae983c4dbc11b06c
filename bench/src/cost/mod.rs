// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-bench cost` and `ducksoup-bench join`: what a participant costs the server, over the floor
//! ([`floor`]), what an idle server costs, and how long it takes to see the others.

pub(crate) mod call;
mod cpu;
pub(crate) mod floor;
mod idle;
mod join;
pub(crate) mod media;
pub(crate) mod participant;
pub(crate) mod processes;
pub(crate) mod rounds;
mod scene;

pub(crate) use cpu::Args as CostArgs;
pub(crate) use cpu::run as run_cost;
pub(crate) use cpu::{BITRATE, camera, options};
pub(crate) use idle::Args as IdleArgs;
pub(crate) use idle::run as run_idle;
pub(crate) use join::Args as JoinArgs;
pub(crate) use join::run as run_join;

/// Registers what participants need.
///
/// # Errors
/// When GStreamer does not start.
pub(crate) fn init() -> anyhow::Result<()> {
    gst::init()?;
    ducksoup_signaller::plugin_register_static()?;
    Ok(())
}
