// SPDX-License-Identifier: MPL-2.0

//! The elements this process brings along. A type name can exist only once in a process, so a copy
//! of theirs that the plugin path brings is taken out of the registry before our own is registered.

/// What cannot be done without, and the Debian package that brings it.
const NEEDED: [(&str, &str); 12] = [
    ("webrtcbin", "gstreamer1.0-plugins-bad"),
    ("nicesrc", "gstreamer1.0-nice"),
    ("dtlsdec", "gstreamer1.0-plugins-bad"),
    ("srtpdec", "gstreamer1.0-plugins-bad"),
    ("rtpbin", "gstreamer1.0-plugins-good"),
    ("opusenc", "gstreamer1.0-plugins-base"),
    ("vp8enc", "gstreamer1.0-plugins-good"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("avdec_h264", "gstreamer1.0-libav"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("matroskamux", "gstreamer1.0-plugins-good"),
];

/// The plugins that are linked into the program.
const OWN: [&str; 2] = ["ducksoup", "rsrtp"];

/// Why the stage cannot work here.
#[derive(Debug, thiserror::Error)]
pub enum ElementsError {
    /// GStreamer refused our plugin.
    #[error("cannot register the elements linked into the program: {0}")]
    Register(#[from] glib::BoolError),
    /// Something of GStreamer is not installed.
    #[error("the GStreamer element {0} is missing (Debian package {1})")]
    Missing(&'static str, &'static str),
}

/// Registers our elements and checks for those of others.
///
/// # Errors
/// Names what is missing.
pub fn register() -> Result<(), ElementsError> {
    static ONCE: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
    let mut done = ONCE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*done {
        let registry = gst::Registry::get();
        for own in OWN {
            if let Some(other) = registry.find_plugin(own) {
                registry.remove_plugin(&other);
            }
        }
        gstducksoup::plugin_register_static()?;
        // For its estimator of what a connection can take.
        gstrsrtp::plugin_register_static()?;
        *done = true;
    }
    for (element, package) in NEEDED {
        if gst::ElementFactory::find(element).is_none() {
            return Err(ElementsError::Missing(element, package));
        }
    }
    Ok(())
}
