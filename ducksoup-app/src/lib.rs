// SPDX-License-Identifier: MPL-2.0

//! The DuckSoup server: one program, two kinds of process.
//!
//! - [`serve`] is the door: HTTP, WebSockets, who may enter. It never touches GStreamer.
//! - [`interaction`] is the stage: one process for each interaction, with its lifecycle, its
//!   pipeline, its recordings and its log.
//! - [`archive`] is what is done with recordings when they are over.
//! - [`render`] makes the wet streams again from dry recordings.
//! - [`export`] makes aligned files of recordings, for other tools.
//! - [`load`] is a crowd of participants, to see what a server can take.
//!
//! The first two speak in the frames of [`ducksoup_signaller::frame`] and know nothing else of each other.

pub mod archive;
pub mod config;
pub mod export;
pub mod interaction;
pub mod load;
pub mod log;
pub mod render;
pub mod serve;
