// SPDX-License-Identifier: MPL-2.0

//! `ducksoup-app`: see [`ducksoup_app`].

fn main() -> anyhow::Result<()> {
    ducksoup_app::interaction::run()
}
