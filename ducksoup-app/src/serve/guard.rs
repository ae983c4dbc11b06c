// SPDX-License-Identifier: MPL-2.0

//! What one client's frames mean, and how much of them is taken. Pure: the socket hands frames
//! and the time in and does what comes out.
//!
//! | | silent (not joined) | talking |
//! |---|---|---|
//! | join | join | malformed |
//! | stop | the end | the end |
//! | another message | `error-join`, the end | passed on, controls up to a rate |
//! | no message, binary | `error-join`, the end | malformed |
//! | too large | `error`, the end | `error`, the end |
//! | the join deadline passes | `error-join`, the end | – |
//!
//! A malformed message is refused with a line in the log; [`MAX_MALFORMED`] of them end the
//! call. Whoever sends faster than [`BYTE_RATE`] is read more slowly.

use super::limits::{
    BYTE_BURST, BYTE_RATE, CONTROL_RATE, Limits, MAX_FRAME, MAX_MALFORMED, MESSAGE_COST,
};
use super::rate::Bucket;
use ducksoup_signaller::frame::{Connection, LeaveCause};
use ducksoup_signaller::protocol::{
    ClientMessage, ErrorCode, JoinOptions, ProtocolError, ServerMessage,
};
use std::time::{Duration, Instant};

/// Between two `control_refused` (one a second).
const REFUSAL_PERIOD: Duration = Duration::from_secs(1);

/// What the socket does next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Nothing.
    Nothing,
    /// Ask the lobby to let it in.
    Join(Box<JoinOptions>),
    /// Pass it on.
    Pass(ClientMessage),
    /// Say this to the client.
    Reply(ServerMessage),
    /// Send a ping.
    Ping,
    /// Say the last word, if any, and close.
    End(End),
}

/// How a socket ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct End {
    /// The last word.
    pub(crate) message: Option<ServerMessage>,
    /// For the log.
    pub(crate) cause: &'static str,
    /// For the stage.
    pub(crate) leave: LeaveCause,
    /// The WebSocket close code (RFC 6455 §7.4.1).
    pub(crate) code: u16,
}

impl End {
    /// Normal closure.
    pub(crate) fn new(cause: &'static str) -> Self {
        Self { message: None, cause, leave: LeaveCause::Closed, code: 1000 }
    }

    /// The client has not said that it leaves.
    pub(crate) fn lost(cause: &'static str) -> Self {
        Self { leave: LeaveCause::Lost, ..Self::new(cause) }
    }

    /// Closure with a last word; 1008 is "policy violation".
    fn refused(message: ServerMessage, cause: &'static str) -> Self {
        Self { message: Some(message), code: 1008, ..Self::new(cause) }
    }

    /// 1009 is "message too big"; it is also what a frame over the limit of the library ends in.
    pub(crate) fn too_large() -> Self {
        let message = ServerMessage::Failure("a message could not be taken".into());
        Self { code: 1009, ..Self::refused(message, "frame_refused") }
    }
}

/// Where the conversation is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Waiting for the join.
    Silent {
        /// Until when.
        until: Instant,
    },
    /// Joined, or on the way in.
    Talking,
}

/// One client's guard.
#[derive(Debug)]
pub(crate) struct Guard {
    /// For the log.
    connection: Connection,
    phase: Phase,
    limits: Limits,
    bytes: Bucket,
    controls: Bucket,
    malformed: u32,
    refusals: Refusals,
    next_ping: Instant,
    /// When the first ping went out that nothing has answered.
    unanswered: Option<Instant>,
}

/// Refused controls, told once a period.
#[derive(Debug, Default)]
struct Refusals {
    last: Option<Instant>,
    untold: u64,
}

impl Guard {
    /// For a socket that is new at `now`.
    pub(crate) fn new(connection: Connection, limits: Limits, now: Instant) -> Self {
        Self {
            connection,
            phase: Phase::Silent { until: now + limits.join },
            limits,
            bytes: Bucket::new(BYTE_RATE, BYTE_BURST, now),
            controls: Bucket::new(CONTROL_RATE, CONTROL_RATE, now),
            malformed: 0,
            refusals: Refusals::default(),
            next_ping: now + limits.ping,
            unanswered: None,
        }
    }

    /// How long to leave the socket unread after a frame of that many bytes.
    pub(crate) fn pause(&mut self, length: usize, now: Instant) -> Duration {
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        self.bytes.owe(length as f64 + MESSAGE_COST, now)
    }

    /// Anything came in: the client lives.
    pub(crate) fn heard(&mut self) {
        self.unanswered = None;
    }

    /// A text frame.
    pub(crate) fn text(&mut self, text: &str, now: Instant) -> Verdict {
        if text.len() > MAX_FRAME {
            return Verdict::End(End::too_large());
        }
        match (ClientMessage::parse(text), self.phase) {
            (Ok(ClientMessage::Join(options)), Phase::Silent { .. }) => {
                self.phase = Phase::Talking;
                Verdict::Join(options)
            }
            (Ok(ClientMessage::Stop), _) => {
                Verdict::End(End { leave: LeaveCause::Stopped, ..End::new("client_stop") })
            }
            (Ok(_), Phase::Silent { .. }) => self.no_join("the first message is no join"),
            (Err(error), Phase::Silent { .. }) => self.no_join(&error.to_string()),
            (Ok(ClientMessage::Join(_)), Phase::Talking) => self.malformed("a second join"),
            (Ok(ClientMessage::Unknown(kind)), Phase::Talking) => {
                log::debug!(context = "peer", connection = self.connection.0, kind = kind.as_str(); "client_message_ignored");
                Verdict::Nothing
            }
            (Ok(ClientMessage::Control(control)), Phase::Talking) => {
                if self.controls.take(1.0, now) {
                    Verdict::Pass(ClientMessage::Control(control))
                } else {
                    self.refuse(control.name, control.property, "too many controls", now)
                }
            }
            (Ok(message), Phase::Talking) => Verdict::Pass(message),
            (Err(error), Phase::Talking) => {
                let verdict = self.malformed(&error.to_string());
                match (&verdict, &error) {
                    (Verdict::Nothing, ProtocolError::Payload { kind, reason })
                        if kind.ends_with("control") =>
                    {
                        self.refuse(String::new(), String::new(), reason, now)
                    }
                    _ => verdict,
                }
            }
        }
    }

    /// A binary frame; the protocol has none.
    pub(crate) fn binary(&mut self) -> Verdict {
        match self.phase {
            Phase::Silent { .. } => self.no_join("a binary frame"),
            Phase::Talking => self.malformed("a binary frame"),
        }
    }

    /// When [`Guard::tick`] has something to say.
    pub(crate) fn next_timeout(&self) -> Instant {
        let next = self.next_ping.min(self.patience().unwrap_or(self.next_ping));
        match self.phase {
            Phase::Silent { until } => until.min(next),
            Phase::Talking => next,
        }
    }

    /// When the client is taken for gone.
    fn patience(&self) -> Option<Instant> {
        Some(self.unanswered? + self.limits.silence)
    }

    /// The time is `now`.
    pub(crate) fn tick(&mut self, now: Instant) -> Verdict {
        if matches!(self.phase, Phase::Silent { until } if until <= now) {
            return self.no_join("no message in time");
        }
        if self.patience().is_some_and(|until| until <= now) {
            return Verdict::End(End::new("no_pong"));
        }
        if now < self.next_ping {
            return Verdict::Nothing;
        }
        self.unanswered.get_or_insert(now);
        self.next_ping = now + self.limits.ping;
        Verdict::Ping
    }

    fn malformed(&mut self, reason: &str) -> Verdict {
        self.malformed += 1;
        log::warn!(context = "peer", connection = self.connection.0, reason = reason, count = self.malformed; "client_message_refused");
        if self.malformed < MAX_MALFORMED {
            return Verdict::Nothing;
        }
        let message = ServerMessage::Failure("too many malformed messages".into());
        Verdict::End(End::refused(message, "malformed_messages"))
    }

    fn refuse(&mut self, name: String, property: String, reason: &str, now: Instant) -> Verdict {
        let Refusals { last, untold } = &mut self.refusals;
        *untold += 1;
        if last.is_some_and(|last| now < last + REFUSAL_PERIOD) {
            return Verdict::Nothing;
        }
        let count = std::mem::take(untold);
        *last = Some(now);
        log::warn!(context = "peer", connection = self.connection.0, reason = reason, count = count; "client_control_refused");
        Verdict::Reply(ServerMessage::ControlRefused {
            name,
            property,
            reason: format!("{reason} ({count} refused)"),
        })
    }

    fn no_join(&self, reason: &str) -> Verdict {
        log::warn!(context = "peer", connection = self.connection.0, reason = reason; "join_refused");
        Verdict::End(End::refused(ServerMessage::Error(ErrorCode::Join), "join_refused"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn message(kind: &str, payload: &Value) -> String {
        json!({"kind": kind, "payload": payload.to_string()}).to_string()
    }

    fn join() -> String {
        message("join", &json!({"interactionName": "i", "userId": "u"}))
    }

    fn control() -> String {
        message("client_control", &json!({"name": "fx", "property": "p", "value": 1}))
    }

    fn silent(now: Instant) -> Guard {
        Guard::new(Connection(1), Limits::default(), now)
    }

    fn talking(now: Instant) -> Guard {
        let mut guard = silent(now);
        assert!(matches!(guard.text(&join(), now), Verdict::Join(_)));
        guard
    }

    fn said(verdict: &Verdict) -> Option<String> {
        match verdict {
            Verdict::End(End { message: Some(message), .. }) | Verdict::Reply(message) => {
                let wire: Value = serde_json::from_str(&message.to_wire()).expect("JSON");
                Some(wire["kind"].as_str().expect("a kind").to_owned())
            }
            _ => None,
        }
    }

    #[test]
    fn whatever_comes_first_and_is_no_join_is_refused() {
        let now = Instant::now();
        for first in [
            control(),
            message("client_answer", &json!({"type": "answer", "sdp": "v=0"})),
            r#"{"kind":"ext_x"}"#.into(),
            r#"{"kind":"whatever"}"#.into(),
            "nonsense".into(),
            message("join", &json!({"interactionName": "../../etc", "userId": "u"})),
            message("join", &json!({"interactionName": "i"})),
        ] {
            let verdict = silent(now).text(&first, now);
            assert_eq!(said(&verdict).as_deref(), Some("error-join"), "{first}");
            assert!(matches!(verdict, Verdict::End(_)), "{first}");
        }
        assert_eq!(said(&silent(now).binary()).as_deref(), Some("error-join"));
    }

    #[test]
    fn a_client_that_does_not_join_in_time_is_refused() {
        let now = Instant::now();
        let mut guard = silent(now);
        let until = guard.next_timeout();
        assert_eq!(until, now + Duration::from_secs(10));
        assert_eq!(said(&guard.tick(until)).as_deref(), Some("error-join"));
    }

    #[test]
    fn messages_of_a_joined_client_are_passed_on() {
        let now = Instant::now();
        let mut guard = talking(now);
        assert!(matches!(guard.text(&control(), now), Verdict::Pass(_)));
        assert!(matches!(guard.text(r#"{"kind":"ext_x"}"#, now), Verdict::Pass(_)));
        assert_eq!(guard.text(r#"{"kind":"whatever"}"#, now), Verdict::Nothing);
        assert!(matches!(
            guard.text(r#"{"kind":"stop"}"#, now),
            Verdict::End(End { message: None, leave: LeaveCause::Stopped, .. })
        ));
    }

    #[test]
    fn the_hundredth_malformed_message_ends_the_call() {
        let now = Instant::now();
        let mut guard = talking(now);
        for i in 1..MAX_MALFORMED {
            let verdict = match i % 3 {
                0 => guard.text("nonsense", now),
                1 => guard.binary(),
                _ => guard.text(&join(), now),
            };
            assert_eq!(verdict, Verdict::Nothing, "{i}");
        }
        assert_eq!(said(&guard.text("nonsense", now)).as_deref(), Some("error"));
    }

    #[test]
    fn a_frame_that_is_too_large_ends_the_call() {
        let now = Instant::now();
        let large = "x".repeat(MAX_FRAME + 1);
        for mut guard in [silent(now), talking(now)] {
            let verdict = guard.text(&large, now);
            assert_eq!(said(&verdict).as_deref(), Some("error"));
            assert!(matches!(verdict, Verdict::End(End { code: 1009, .. })));
        }
    }

    #[test]
    fn a_flood_of_controls_gets_one_refusal_a_second() {
        let start = Instant::now();
        let mut guard = talking(start);
        let (mut passed, mut told) = (0, 0);
        for i in 0..10_000 {
            let now = start + Duration::from_secs(5) * i / 10_000;
            match guard.text(&control(), now) {
                Verdict::Pass(_) => passed += 1,
                Verdict::Reply(ServerMessage::ControlRefused { name, .. }) => {
                    assert_eq!(name, "fx");
                    told += 1;
                }
                other => assert_eq!(other, Verdict::Nothing),
            }
        }
        assert!((1195..=1200).contains(&passed), "{passed}");
        assert_eq!(told, 5);
    }

    #[test]
    fn a_control_that_makes_no_sense_is_told_to_the_client() {
        let now = Instant::now();
        let mut guard = talking(now);
        let bad = message("client_control", &json!({"name": "fx", "value": 1}));
        assert_eq!(said(&guard.text(&bad, now)).as_deref(), Some("control_refused"));
        assert_eq!(guard.text(&bad, now), Verdict::Nothing, "once a second");
    }

    #[test]
    fn a_client_that_answers_no_ping_ends_when_its_silence_is_borne_no_longer() {
        let start = Instant::now();
        let limits = Limits::bearing(Duration::from_secs(30));
        let mut guard = Guard::new(Connection(1), limits, start);
        guard.text(&join(), start);
        let mut told = Vec::new();
        let end = loop {
            let now = guard.next_timeout();
            match guard.tick(now) {
                Verdict::Ping => told.push((now - start).as_secs()),
                verdict => break (verdict, (now - start).as_secs()),
            }
            // Deaf for 29 s from the first ping on: that is nothing.
            if told == [10, 20, 30] {
                guard.heard();
            }
        };
        assert_eq!(told, [10, 20, 30, 40, 50, 60]);
        assert!(matches!(end, (Verdict::End(End { cause: "no_pong", .. }), 70)), "{end:?}");
    }

    #[test]
    fn who_sends_too_fast_is_read_more_slowly() {
        let start = Instant::now();
        let mut guard = talking(start);
        let mut now = start;
        for _ in 0..1000 {
            now += guard.pause(MAX_FRAME, now);
        }
        let rate = 1000.0 * 65_536.0 / (now - start).as_secs_f64();
        assert!((350_000.0..=410_000.0).contains(&rate), "{rate} bytes a second");
    }
}
