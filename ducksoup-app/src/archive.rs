// SPDX-License-Identifier: MPL-2.0

//! What is done with the recordings of runs that are over, offline.
//!
//! - [`manifest`]: what a run said of its files; [`hold`]: whether it still lives.
//! - [`decode`]: what can really be read from a file; [`pieces`]: how much of it is whole.
//! - `reader`: a track of a file, decoded piece by piece, for those who make something of it.
//! - [`verify`]: the one held against the other.
//! - [`recover`]: what a run whose process died could not say any more.

pub(crate) mod complaint;
pub mod decode;
pub(crate) mod digest;
pub mod hold;
pub mod manifest;
pub mod pieces;
pub(crate) mod reader;
pub mod recover;
pub mod verify;
