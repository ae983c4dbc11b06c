// SPDX-License-Identifier: MPL-2.0

//! What the plots are drawn from, and when: after the last word to the clients.

use super::Stage;
use crate::interaction::measures::Figures;
use crate::interaction::naming::stamp;
use crate::interaction::plots::{self, Kept, Plot};
use crate::interaction::sdp::Kind;
use crate::log::messages::Message;
use ducksoup_signaller::protocol::{Identifier, JoinOptions};
use serde_json::json;
use std::time::Instant;

impl Stage {
    /// Somebody has connected, the `count`th time.
    pub(super) fn plot_joined(&mut self, options: &JoinOptions, count: u32) {
        if let Some(kept) = self.kept(&options.user) {
            kept.connections = count;
            kept.duration = options.duration;
        }
    }

    /// Keeps a second's figures, which were counted at some moment before now.
    pub(super) fn plot_figures(&mut self, user: &Identifier, counted: Instant, figures: &Figures) {
        let age = counted.elapsed().as_secs_f64();
        if let (Some(now), Some(kept)) = (self.since_start(), self.kept(user)) {
            kept.record.figures(now - age, figures);
        }
    }

    /// Keeps what a browser says.
    pub(super) fn plot_report(&mut self, user: &Identifier, kind: &str, text: Option<&str>) {
        let at = self.since_start();
        if let (Some(text), Some(kept)) = (text, self.kept(user)) {
            kept.record.report(at, kind, text);
        }
    }

    /// Keeps an encoder's new target and the one before, in bit/s.
    pub(super) fn plot_target(&mut self, user: &Identifier, kind: Kind, target: u64, before: u64) {
        let at = self.since_start();
        if let Some(kept) = self.kept(user) {
            kept.record.target(at, kind, target, before);
        }
    }

    /// What is kept of a user, when plots are wanted.
    fn kept(&mut self, user: &Identifier) -> Option<&mut Kept> {
        self.opening.settings.plots.then(|| self.records.entry(user.clone()).or_default())
    }

    /// Seconds since t0, once there is one.
    #[allow(clippy::cast_precision_loss)] // nanoseconds of an interaction fit
    fn since_start(&self) -> Option<f64> {
        let t0 = self.t0?;
        let since = self.graph.running_time().saturating_sub(t0.running_time);
        Some(since.nseconds() as f64 / 1e9)
    }

    /// Draws what is known of a run that has taken place.
    pub(super) fn draw_plots(&mut self) {
        let (Some(t0), Some(end)) = (self.t0, self.since_start()) else {
            return;
        };
        let run = self.journal.run().clone();
        let start = stamp(t0.utc);
        let plots: Vec<_> = std::mem::take(&mut self.records)
            .into_iter()
            .filter(|(_, kept)| !kept.record.is_empty())
            .map(|(user, kept)| Plot {
                path: run.plots(t0.utc, &user, kept.connections),
                title: format!("Participant {user}"),
                subtitle: format!(
                    "{} / {}, run {}, started {start} UTC",
                    run.namespace, run.interaction, run.id
                ),
                // Files are completed after the end.
                duration: end.min(kept.duration.into()),
                record: kept.record,
            })
            .collect();
        if plots.is_empty() {
            return;
        }
        let files: Vec<_> = plots.iter().map(|plot| plot.path.clone()).collect();
        match plots::write_all(&self.opening.settings.data, plots) {
            Ok(()) => self.journal.log(Message::PlotsWritten, None, json!({"files": files})),
            Err(error) => {
                let fields = json!({"error": error.to_string()});
                self.journal.log(Message::PlotsFailed, None, fields);
            }
        }
    }
}
