// SPDX-License-Identifier: MPL-2.0

//! What the first participant of an interaction would wait for, done while the stage waits for its interaction:
//! plugins are loaded, and the process makes its certificate for DTLS (measured: 110 ms and 30 to 600 ms).

use super::graph::Graph;
use super::input::{BACKLOG, Input, Inputs, PeerInput};
use crate::config::{Args, Config};
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::JoinOptions;
use serde_json::json;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Longest wait for an offer. Ours: it takes a second at most.
const LIMIT: Duration = Duration::from_secs(10);

/// Rehearses on a thread of its own: the interaction may come at any time.
pub fn begin() {
    let begun = std::thread::Builder::new().name("rehearsal".into()).spawn(|| {
        // The first real participant will be told the same.
        if let Err(error) = rehearse() {
            eprintln!("rehearsal: {error}");
        }
    });
    if let Err(error) = begun {
        eprintln!("no thread for the rehearsal: {error}");
    }
}

/// Builds a participant for each video format, up to the first offer, and forgets them. Nothing is said to
/// anybody: no file, no STUN server.
fn rehearse() -> anyhow::Result<()> {
    let mut settings = Config::new(&Args::default(), Path::new(""))?.stage_settings();
    settings.ice_servers.clear();
    settings.intercept_gst_logs = false;
    let (sender, inputs) = sync_channel(BACKLOG);
    let mut graph = Graph::new(settings, Inputs::new(sender))?;
    for (number, format) in (1..).zip(["VP8", "H264"]) {
        let join =
            json!({"interactionName": "rehearsal", "userId": "nobody", "videoFormat": format});
        let options = join.as_object().map(JoinOptions::from_json);
        let Some(Ok(options)) = options else {
            anyhow::bail!("the rehearsal's own join is refused");
        };
        graph.open(Connection(number), options, "rehearsal".to_owned(), 1)?;
        graph.negotiate();
        while !matches!(inputs.recv_timeout(LIMIT)?, Input::Peer(_, PeerInput::Offered(_))) {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rehearsal_gets_as_far_as_an_offer() {
        gst::init().expect("GStreamer starts");
        super::super::elements::register().expect("elements");
        rehearse().expect("two offers");
    }
}
