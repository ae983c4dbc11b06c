// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app`: see [`ducksoup_app`].

fn main() {}
