//! Gives `plugin_define!` the release date it wants.
fn main() {
    println!("cargo:rustc-env=BUILD_REL_DATE=2026-11-21");
}
