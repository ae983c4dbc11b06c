// SPDX-License-Identifier: MPL-2.0

//! What is done with the recordings of runs that are over, offline.
//!
//! - [`manifest`]: what a run said of its files.
//! - [`decode`]: what can really be read from a file.
//! - [`verify`]: the one held against the other.

pub mod decode;
pub mod manifest;
pub mod verify;
