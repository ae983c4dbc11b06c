// SPDX-License-Identifier: MPL-2.0

//! Builds the program anew when a file comes into the folders that are embedded in it: the
//! compiler itself only notices changes in files that it has seen.

fn main() {
    for folder in ["config", "../web", "../pipelines"] {
        if std::path::Path::new(folder).is_dir() {
            println!("cargo::rerun-if-changed={folder}");
        }
    }
}
