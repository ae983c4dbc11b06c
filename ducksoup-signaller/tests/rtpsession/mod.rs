// SPDX-License-Identifier: MPL-2.0

//! For tests in which webrtcbins carry media.

use gst::glib;

/// With G_DEBUG=fatal-warnings every warning ends the process. One is not ours: rtpsession 1.22 lets
/// go of its lock while it walks its sources for a report (about one session in fifty, as measured
/// with two webrtcbins in a process), and GLib says so when one was added meanwhile; the walk goes on.
pub(crate) fn forgive() {
    let fatal = std::env::var("G_DEBUG").is_ok_and(|debug| debug.contains("fatal"));
    if !fatal {
        return;
    }
    glib::log_set_always_fatal(glib::LogLevels::LEVEL_ERROR);
    glib::log_set_default_handler(|domain, level, text| {
        let known = "g_hash_table_foreach: assertion 'version == hash_table->version' failed";
        let is_bad = matches!(level, glib::LogLevel::Warning | glib::LogLevel::Critical);
        if is_bad && text != known {
            eprintln!("{domain:?} {level:?}: {text}");
            std::process::abort();
        }
    });
}
