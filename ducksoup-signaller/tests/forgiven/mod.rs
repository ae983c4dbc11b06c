// SPDX-License-Identifier: MPL-2.0

//! For tests in which webrtcbins carry media.

use gst::glib;

/// Warnings of others that say nothing about us.
///
/// - rtpsession 1.22 lets go of its lock while it walks its sources for a report (about one session
///   in fifty, as measured with two webrtcbins in a process), and GLib says so when one was added
///   meanwhile; the walk goes on.
/// - libnice 0.1.21 says so when an agent goes before its relay was told; the relay forgets it by
///   itself (RFC 8656, section 3.2).
const FORGIVEN: [&str; 2] = [
    "g_hash_table_foreach: assertion 'version == hash_table->version' failed",
    "We still have alive TURN refreshes",
];

/// With `G_DEBUG=fatal-warnings` every warning ends the process, but for [`FORGIVEN`].
pub(crate) fn forgive() {
    let fatal = std::env::var("G_DEBUG").is_ok_and(|debug| debug.contains("fatal"));
    if !fatal {
        return;
    }
    glib::log_set_always_fatal(glib::LogLevels::LEVEL_ERROR);
    glib::log_set_default_handler(|domain, level, text| {
        let is_bad = matches!(level, glib::LogLevel::Warning | glib::LogLevel::Critical);
        if is_bad && !FORGIVEN.iter().any(|known| text.contains(known)) {
            eprintln!("{domain:?} {level:?}: {text}");
            std::process::abort();
        }
    });
}
