// SPDX-License-Identifier: MPL-2.0

//! What is told of each participant's figures, once a second.

use super::Stage;
use crate::interaction::measures::Figures;
use ducksoup_signaller::frame::Connection;
use ducksoup_signaller::protocol::Identifier;
use serde_json::json;

impl Stage {
    /// A connection's counters have come.
    pub(super) fn counted(
        &mut self,
        connection: Connection,
        user: &Identifier,
        stats: &gst::StructureRef,
    ) {
        if let Some(figures) = self.graph.measure(connection, stats) {
            self.tell_figures(user, &figures);
        }
    }

    fn tell_figures(&mut self, user: &Identifier, figures: &Figures) {
        for (kind, figures) in &figures.incoming {
            let fields = json!({"value": figures.bitrate, "unit": "bit/s"});
            self.journal.debug("track", &format!("{kind}_in_bitrate"), Some(user), fields);
        }
    }
}
