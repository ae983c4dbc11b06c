// SPDX-License-Identifier: MPL-2.0

//! What is told of each participant's media: figures each second, control packets, keyframes asked
//! for, GStreamer's own words.

use super::Stage;
use super::messages::fields;
use crate::interaction::counters::Counted;
use crate::interaction::events;
use crate::interaction::gstreamer_log::Words;
use crate::interaction::input::AskedBy;
use crate::interaction::measures::Figures;
use crate::interaction::peer::Peer;
use crate::interaction::playout::Keeping;
use crate::interaction::rtcp::{self, Compound, Direction};
use crate::interaction::sdp::Kind;
use crate::interaction::stats::Participant;
use crate::interaction::traffic::Finding;
use crate::log::messages::{Level, Message};
use ducksoup_signaller::frame::{Connection, StageFrame};
use ducksoup_signaller::protocol::Identifier;
use gst::prelude::*;
use serde_json::{Map, Value, json};
use std::time::Instant;

impl Stage {
    /// A connection's counters have come.
    pub(super) fn counted(&mut self, connection: Connection, user: &Identifier, counted: &Counted) {
        let at = counted.at.saturating_duration_since(self.opened);
        if let Some(figures) = self.graph.measure(connection, counted, at) {
            self.plot_figures(user, counted.at, &figures);
            for (message, fields) in entries(&figures) {
                self.journal.log(message, Some(user), fields);
            }
            self.hear(user, &figures);
            self.stats.measured(connection, figures);
        }
    }

    /// What this one loses of the others' sound, their encoders are told.
    fn hear(&mut self, receiver: &Identifier, figures: &Figures) {
        let now = self.now();
        for route in figures.routes.iter().filter(|route| route.kind == Kind::Audio.name()) {
            let (source, part) = (route.source.as_str(), route.fraction_lost);
            if let Some(percent) = self.hearing.reported(source, receiver, part, now)
                && let Some(peer) =
                    self.graph.peers().find(|peer| peer.options.user.as_str() == source)
            {
                peer.expect_loss(percent);
            }
        }
    }

    /// The latest figures of everyone, for the stats page.
    pub(super) fn show_figures(&mut self) {
        let participants: Vec<_> = self.graph.peers().map(participant).collect();
        let running = self
            .t0
            .map(|t0| self.graph.running_time().saturating_sub(t0.running_time).mseconds() / 1000);
        let stats = self.stats.told(&participants, running);
        self.door.send(StageFrame::Stats { stats });
    }

    /// A control packet has passed.
    pub(super) fn rtcp(&mut self, connection: Connection, user: &Identifier, compound: &Compound) {
        if self.opening.settings.log_level >= Level::Trace.number() {
            let message = match compound.direction {
                Direction::Received => Message::RtcpReceived,
                Direction::Sent => Message::RtcpSent,
            };
            let fields = json!({"packets": rtcp::read(&compound.bytes)});
            self.journal.log(message, Some(user), fields);
        }
        let Some(peer) = self.graph.peer_mut(connection) else {
            return;
        };
        let findings = peer.traffic.passes(compound);
        let estimate = peer.reported(compound);
        let keeping = peer.hear_losses(compound, Instant::now());
        let reencoded = peer.is_reencoded();
        for finding in findings {
            match finding {
                Finding::Loss { route: (source, kind), lost, fraction } => {
                    let fields = json!({
                        "value": lost, "fraction": fraction, "source": source, "type": kind.name(),
                    });
                    self.journal.log(Message::LossThresholdExceeded, Some(user), fields);
                    let loss = self.event_now(events::Kind::Loss).of(Some(user));
                    let track = format!("{source}.{}", kind.name());
                    self.journal.event(loss.target(track).value(&lost));
                }
                Finding::KeyframeAsked { by, packet, others } => {
                    let cause = cause(by, reencoded);
                    let asked = self.event_now(events::Kind::KeyframeAsked).of(Some(user));
                    self.journal.event(asked.target(Kind::Video.name()).value(cause));
                    let fields = json!({"cause": cause, "type": packet});
                    self.journal.log(Message::PliSent, Some(user), fields);
                    if others > 0 {
                        let fields = json!({"cause": "coalesced", "value": others});
                        self.journal.log(Message::PliSkipped, Some(user), fields);
                    }
                }
            }
        }
        if let Some(bitrate) = estimate {
            self.estimated(connection, user, bitrate);
        }
        if let Some(keeping) = keeping {
            let value = match keeping {
                Keeping::No => "at once",
                Keeping::Free => "browser",
            };
            let event = self.event_now(events::Kind::PlayoutDelay).of(Some(user));
            self.journal.event(event.value(&value));
            let fields = json!({"value": value});
            self.journal.log(Message::PlayoutDelay, Some(user), fields);
        }
    }

    /// What a connection can take has changed.
    pub(super) fn estimated(&mut self, connection: Connection, user: &Identifier, bitrate: u32) {
        let Some(peer) = self.graph.peer_mut(connection) else {
            return;
        };
        peer.estimated(bitrate);
        let event = self.event_now(events::Kind::Estimate).of(Some(user));
        self.journal.event(event.value(&bitrate));
        let fields = json!({"value": bitrate, "unit": BITRATE});
        self.journal.log(Message::EstimateUpdated, Some(user), fields);
    }

    /// Somebody wants a keyframe of the browser.
    pub(super) fn keyframe_wanted(
        &mut self,
        connection: Connection,
        user: &Identifier,
        by: AskedBy,
    ) {
        let Some(peer) = self.graph.peer_mut(connection) else {
            return;
        };
        peer.traffic.wants_keyframe(by);
        peer.hurry();
        if by == AskedBy::Chain {
            let fields = json!({"cause": cause(Some(by), peer.is_reencoded())});
            self.journal.log(Message::PliRequested, Some(user), fields);
        }
    }

    /// The targets that encoders begin with.
    pub(super) fn first_targets(&mut self, connection: Connection, user: &Identifier) {
        let peer = self.graph.peer(connection).filter(|peer| peer.is_reencoded());
        let Some(codecs) = peer.map(|peer| peer.shown().codecs) else {
            return;
        };
        for codec in codecs {
            let (message, range) = match codec.kind() {
                Kind::Audio => (Message::AudioTarget, self.opening.settings.audio_bitrate),
                Kind::Video => (Message::VideoTarget, self.opening.settings.video_bitrate),
            };
            let fields = json!({"value": range.default, "previous": 0, "unit": BITRATE});
            self.journal.log(message, Some(user), fields);
            let target = u64::from(range.default);
            self.plot_target(user, codec.kind(), target, target);
            self.stats.target(user, codec.kind(), target);
            let event = self.event_now(events::Kind::BitrateTarget).of(Some(user));
            self.journal.event(event.target(codec.kind().name()).value(&target));
        }
    }

    /// An encoder has another target.
    pub(super) fn target(
        &mut self,
        source: Option<&gst::Object>,
        user: Option<&Identifier>,
        fields: &Map<String, Value>,
    ) {
        let kind = match source.and_then(GstObjectExt::parent).map(|chain| chain.name()) {
            Some(chain) if chain == Kind::Audio.name() => Kind::Audio,
            Some(chain) if chain == Kind::Video.name() => Kind::Video,
            _ => return,
        };
        let message = match kind {
            Kind::Audio => Message::AudioTarget,
            Kind::Video => Message::VideoTarget,
        };
        let field = |name| fields.get(name).cloned().unwrap_or_default();
        let (target, previous) = (field("target"), field("previous"));
        if let (Some(user), Some(target)) = (user, target.as_u64()) {
            self.plot_target(user, kind, target, previous.as_u64().unwrap_or(target));
            self.stats.target(user, kind, target);
        }
        let event = self.event_now(events::Kind::BitrateTarget).of(user);
        self.journal.event(event.target(kind.name()).value(&target));
        let fields = json!({"value": target, "previous": previous, "unit": BITRATE});
        self.journal.log(message, user, fields);
    }

    /// GStreamer says something.
    pub(super) fn gstreamer(&mut self, words: &Words) {
        if words.dropped > 0 {
            self.journal.log(Message::GstreamerDropped, None, json!({"value": words.dropped}));
        }
        let user = words.owner.and_then(|owner| self.graph.user_of(owner)).cloned();
        self.journal.gstreamer(words, user.as_ref());
    }

    /// The elements of somebody who left are at rest.
    pub(super) fn down(&mut self, connection: Connection) {
        if let Some(user) = self.graph.down(connection) {
            self.journal.log(Message::PipelineDeleted, Some(&user), json!({}));
        }
    }
}

/// A participant, for the stats page.
fn participant(peer: &Peer) -> Participant<'_> {
    let recorded = peer.recorder.as_ref().map(|recorder| recorder.property("stats"));
    let recorded = recorded.map(|stats: gst::Structure| fields(&stats)).unwrap_or_default();
    Participant { connection: peer.connection, count: peer.count, options: &peer.options, recorded }
}

/// The unit of all bitrates in the log.
const BITRATE: &str = "bit/s";

/// What the log says of a second.
fn entries(figures: &Figures) -> Vec<(Message, Value)> {
    let rate = |value: u64| json!({"value": value, "unit": BITRATE});
    let mut entries = Vec::new();
    for (kind, track) in &figures.incoming {
        let (bitrate, report) = match *kind {
            "audio" => (Message::AudioInBitrate, Message::AudioInReport),
            _ => (Message::VideoInBitrate, Message::VideoInReport),
        };
        entries.push((bitrate, rate(track.bitrate)));
        let count = track.packets + track.lost;
        entries.push((report, json!({"count": count, "lost": track.lost})));
    }
    for (kind, track) in &figures.outgoing {
        let bitrate = match *kind {
            "audio" => Message::AudioOutBitrate,
            _ => Message::VideoOutBitrate,
        };
        entries.push((bitrate, rate(track.bitrate)));
        if track.keyframes_skipped > 0 {
            let fields = json!({"cause": "throttled", "value": track.keyframes_skipped});
            entries.push((Message::PliSkipped, fields));
        }
    }
    entries
}

/// Why a keyframe is wanted of the browser.
fn cause(by: Option<AskedBy>, reencoded: bool) -> &'static str {
    match (by, reencoded) {
        (None, _) => "unknown",
        (Some(AskedBy::Start), _) => "interaction_started",
        (Some(AskedBy::Chain), true) => "pipeline",
        (Some(AskedBy::Chain), false) => "receiver",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::measures::{In, Out};

    #[test]
    fn a_second_is_told_track_by_track() {
        let arrived = In { bitrate: 64_000, packets: 48, lost: 2, ..In::default() };
        let made = Out { bitrate: 300_000, keyframes_skipped: 4, ..Out::default() };
        let figures = Figures {
            incoming: [("audio", arrived)].into(),
            outgoing: [("video", made)].into(),
            ..Figures::default()
        };
        assert_eq!(
            entries(&figures),
            [
                (Message::AudioInBitrate, json!({"value": 64_000, "unit": "bit/s"})),
                (Message::AudioInReport, json!({"count": 50, "lost": 2})),
                (Message::VideoOutBitrate, json!({"value": 300_000, "unit": "bit/s"})),
                (Message::PliSkipped, json!({"cause": "throttled", "value": 4})),
            ]
        );
        assert_eq!(entries(&Figures::default()), []);
    }

    #[test]
    fn a_request_has_the_cause_of_the_mode_it_is_made_in() {
        assert_eq!(cause(None, true), "unknown");
        assert_eq!(cause(Some(AskedBy::Start), false), "interaction_started");
        assert_eq!(cause(Some(AskedBy::Chain), true), "pipeline");
        assert_eq!(cause(Some(AskedBy::Chain), false), "receiver");
    }
}
