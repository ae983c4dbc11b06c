// SPDX-License-Identifier: MPL-2.0

//! One peer's `webrtcbin`: set up so that it never waits, its callbacks turned into inputs.

use super::input::{Input, Inputs, PeerInput};
use super::meter::{self, Tap};
use super::tuning::{self, JITTER_BUFFER};
use crate::log::messages::Level;
use ducksoup_signaller::frame::{Connection, StageSettings};
use ducksoup_signaller::nice;
use gst::glib;
use gst::prelude::*;

/// What a session is taken to carry, in bit/s. Feedback may take a twentieth of it (RFC 3550, section 6.2).
/// It takes much less, since it is sent when there is something to tell; but the share decides how long it has to
/// wait for its turn. Left to itself, rtpsession goes by what has come in lately: at the start of a
/// call, or on a thin line, a request for a keyframe or for a lost packet then waits for up to a
/// second (measured: 0.1 to 1.0 s), and the jitter buffer has long given up. With what clients send at most
/// (web/lib/bitrate.js) and as much back, a request waited for some 45 ms; this is four times that, so that a lost
/// packet can be asked for twice, or three times, before the jitter buffer gives up. (With 32 times that, eight participants on a
/// small machine were heard no more: it had more feedback to make than it could.)
const SESSION_BANDWIDTH: f64 = 12_000_000.0;

/// How long a missing packet is waited for before it is asked for, once a later one is there, in ms. The jitter buffer's own
/// wait is half a picture's time (20 ms at 25 a second), unless four later ones have come: for the end of a picture always.
/// Browsers do not wait either. What was merely overtaken comes twice then.
const ASK_AFTER: i32 = 0;

/// How long an answer is waited for at least before a packet is asked for again, in ms; else it is by what answers took so
/// far. The jitter buffer's own least is a picture's time. Ours: a picture's packets leave within a few ms.
const ASK_AGAIN: i32 = 10;

/// Time between two of our connectivity checks, in ms: the least that RFC 8445 (14.2) allows. libnice's own 20
/// lets media wait for 60 ms, since a pair of addresses is checked, then nominated, each at its turn.
const ICE_PACE: u32 = 5;

/// How often a connectivity check is sent that nobody answers. libnice nominates a pair at once when both ends speak
/// from an address of their own; behind a translator of addresses, so from every home, it waits until all other
/// checks have failed. By its own 3 that is 500, 1000 and 500 ms (measured: media 2.0 s after the browser had its
/// way, at each join and return); by these 500 and 250. A pair that answers later is checked again as soon as the
/// browser checks it.
const ICE_CHECKS: u32 = 2;

/// How long such a check over TCP may take, in ms. libnice's own 7900 are waited for likewise, when a browser has
/// begun to connect and then found a way over UDP (seen: no media after 8.5 s). Ours: some round trips.
const ICE_TCP_CHECK: u32 = 1000;

/// A `webrtcbin` called `webrtc` whose signals become inputs.
///
/// # Errors
/// When the element is missing, or a jitter buffer does not take its settings.
pub fn make(
    connection: Connection,
    jitter_buffer: u32,
    settings: &StageSettings,
    inputs: &Inputs,
) -> Result<gst::Element, glib::BoolError> {
    let properties = settings.elements.get(JITTER_BUFFER).cloned().unwrap_or_default();
    let trial = gst::ElementFactory::make(JITTER_BUFFER).build()?;
    tuning::set(&trial, JITTER_BUFFER, &properties)
        .map_err(|error| glib::bool_error!("{error}"))?;
    let webrtcbin = gst::ElementFactory::make("webrtcbin")
        .name("webrtc")
        .property_from_str("bundle-policy", "max-bundle")
        .property("latency", jitter_buffer)
        .build()?;
    let stun = settings
        .ice_servers
        .iter()
        .flat_map(|server| &server.urls)
        .find_map(|url| url.strip_prefix("stun:"));
    if let Some(address) = stun {
        webrtcbin.set_property("stun-server", format!("stun://{address}"));
    }
    nice::no_upnp(&webrtcbin);
    hurry_checks(&webrtcbin);
    if let Some((min, max)) = settings.media_ports {
        let agent = webrtcbin.property::<gst::Object>("ice-agent");
        agent.set_property("min-rtp-port", u32::from(min));
        agent.set_property("max-rtp-port", u32::from(max));
    }
    if let Some(bin) = webrtcbin.downcast_ref::<gst::Bin>() {
        if let Some(rtpbin) = bin.by_name("rtpbin") {
            // Sender reports tell when media were taken. By default they tell when they are sent,
            // which needs a latency that nobody configures here: without it they run away from the
            // media by a second every second, and browsers cannot align sound and picture.
            rtpbin.set_property("rtcp-sync-send-time", false);
        }
        let tap = if settings.log_level >= Level::Trace.number() { Tap::All } else { Tap::Used };
        let to = inputs.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            never_wait(element);
            if element.factory().is_some_and(|factory| factory.name() == JITTER_BUFFER) {
                // Tried above, with another one of the same kind.
                let _ = tuning::set(element, JITTER_BUFFER, &properties);
            }
            meter::tap(element, tap, connection, &to);
        });
    }
    let to = inputs.clone();
    webrtcbin.connect_closure(
        "on-ice-candidate",
        false,
        glib::closure!(move |_webrtcbin: gst::Element, m_line: u32, candidate: String| {
            to.send(Input::Peer(connection, PeerInput::LocalCandidate { m_line, candidate }));
        }),
    );
    let to = inputs.clone();
    webrtcbin.connect_notify(Some("connection-state"), move |webrtcbin, _| {
        let state = webrtcbin.property("connection-state");
        to.send(Input::Peer(connection, PeerInput::ConnectionState(state)));
    });
    let to = inputs.clone();
    webrtcbin.connect_notify(Some("signaling-state"), move |webrtcbin, _| {
        let state = webrtcbin.property("signaling-state");
        to.send(Input::Peer(connection, PeerInput::SignalingState(state)));
    });
    Ok(webrtcbin)
}

/// Sets the pace of connectivity checks, and how long one is waited for, where ICE is libnice's.
fn hurry_checks(webrtcbin: &gst::Element) {
    let Some(agent) = nice::agent(webrtcbin) else {
        return;
    };
    for (name, value) in [
        ("stun-pacing-timer", ICE_PACE),
        ("stun-max-retransmissions", ICE_CHECKS),
        ("stun-reliable-timeout", ICE_TCP_CHECK),
    ] {
        if agent.find_property(name).is_some() {
            agent.set_property(name, value);
        }
    }
}

/// The live path never waits, for the clock or for its turn: the places inside `webrtcbin` that would.
fn never_wait(element: &gst::Element) {
    match element.factory().map(|factory| factory.name()).as_deref() {
        Some("clocksync") => element.set_property("sync", false),
        Some("rtpjitterbuffer") => {
            // Without it the first packets are held for the whole latency.
            element.set_property("faststart-min-packets", 1u32);
            // A packet that nobody has sent yet is not lost: a sender that pauses for longer than
            // the latency would lose the next one.
            element.set_property("rtx-next-seqnum", false);
            element.set_property("rtx-delay", ASK_AFTER);
            element.set_property("rtx-min-retry-timeout", ASK_AGAIN);
        }
        Some("rtpsession") => element.set_property("bandwidth", SESSION_BANDWIDTH),
        _ => {}
    }
}

/// Makes an offer and sets it; what comes of it is a [`PeerInput::Offered`].
pub fn create_offer(webrtcbin: &gst::Element, connection: Connection, inputs: &Inputs) {
    let (bin, inputs) = (webrtcbin.downgrade(), inputs.clone());
    let promise = gst::Promise::with_change_func(move |reply| {
        let offer = match (promise_error(&reply), reply) {
            (None, Ok(Some(reply))) => reply
                .get::<gst_webrtc::WebRTCSessionDescription>("offer")
                .map_err(|error| error.to_string()),
            (Some(error), _) => Err(error),
            (None, _) => Err("no offer".to_owned()),
        };
        if let (Ok(offer), Some(webrtcbin)) = (&offer, bin.upgrade()) {
            let none = None::<gst::Promise>;
            webrtcbin.emit_by_name::<()>("set-local-description", &[offer, &none]);
        }
        inputs.send(Input::Peer(connection, PeerInput::Offered(offer)));
    });
    webrtcbin.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
}

/// Sets an answer; what comes of it is a [`PeerInput::AnswerSet`].
pub fn accept_answer(
    webrtcbin: &gst::Element,
    answer: &gst_webrtc::WebRTCSessionDescription,
    connection: Connection,
    inputs: &Inputs,
) {
    let inputs = inputs.clone();
    let promise = gst::Promise::with_change_func(move |reply| {
        let result = promise_error(&reply).map_or(Ok(()), Err);
        inputs.send(Input::Peer(connection, PeerInput::AnswerSet(result)));
    });
    webrtcbin.emit_by_name::<()>("set-remote-description", &[answer, &promise]);
}

/// Asks for the way that media take; it comes as a [`PeerInput::PairSelected`], from GStreamer 1.22 on.
pub fn find_pair(webrtcbin: &gst::Element, connection: Connection, inputs: &Inputs) {
    let inputs = inputs.clone();
    let promise = gst::Promise::with_change_func(move |reply| {
        // A connection that is closing has none.
        if let Ok(Some(stats)) = reply
            && let Some(pair) = pair(stats)
        {
            inputs.send(Input::Peer(connection, PeerInput::PairSelected(pair)));
        }
    });
    webrtcbin.emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, &promise]);
}

/// The selected pair of candidates, as a text.
fn pair(stats: &gst::StructureRef) -> Option<String> {
    let parts = || stats.iter().filter_map(|(_, value)| value.get::<gst::Structure>().ok());
    let pair = parts().find(|part| part.name() == "candidate-pair")?;
    let end = |field| {
        let id = pair.get::<String>(field).ok()?;
        let end = stats.get::<gst::Structure>(&id).ok()?;
        let text = |name| end.get::<String>(name).unwrap_or_default();
        let port = end.get::<u32>("port").ok()?;
        Some(format!("{} {} {}:{port}", text("protocol"), text("candidate-type"), text("address")))
    };
    Some(format!("{} / {}", end("local-candidate-id")?, end("remote-candidate-id")?))
}

/// What went wrong, when a promise tells of an error.
fn promise_error(reply: &Result<Option<&gst::StructureRef>, gst::PromiseError>) -> Option<String> {
    match reply {
        Ok(Some(structure)) => {
            structure.get::<glib::Error>("error").ok().map(|error| error.to_string())
        }
        Ok(None) => None,
        Err(error) => Some(format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn connectivity_checks_are_not_waited_for_longer_than_the_agent_keeps() {
        gst::init().unwrap();
        let webrtcbin = gst::ElementFactory::make("webrtcbin").build().unwrap();
        hurry_checks(&webrtcbin);
        let agent = nice::agent(&webrtcbin).unwrap();
        assert_eq!(agent.property::<u32>("stun-pacing-timer"), ICE_PACE);
        assert_eq!(agent.property::<u32>("stun-max-retransmissions"), ICE_CHECKS);
        assert_eq!(agent.property::<u32>("stun-reliable-timeout"), ICE_TCP_CHECK);
    }

    #[test]
    fn feedback_leaves_well_before_a_jitter_buffer_gives_up() {
        gst::init().unwrap();
        let session = gst::ElementFactory::make("rtpsession").build().unwrap();
        never_wait(&session);
        let share = session.property::<f64>("rtcp-fraction");
        let rtcp = session.property::<f64>("bandwidth") * share;
        // A report and feedback for sound and pictures, 200 bytes; both ways, and their repetitions:
        // 8 streams. The mean time between two packets by RFC 3550, section 6.3.1.
        let interval = 200.0 * 8.0 * 8.0 / rtcp;
        assert!(interval < 0.03, "{interval} s, of 0.15 s");
    }

    /// A jitter buffer of pictures under a clock of its own.
    struct Buffer {
        harness: gst_check::Harness,
        clock: gst_check::TestClock,
    }

    impl Buffer {
        fn new() -> Self {
            gst::init().unwrap();
            let element = gst::ElementFactory::make(JITTER_BUFFER).build().unwrap();
            never_wait(&element);
            element.set_property("do-retransmission", true);
            element.set_property("latency", 150u32);
            let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
            harness.set_src_caps_str(
                "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96",
            );
            let clock = harness.testclock().unwrap();
            Self { harness, clock }
        }

        /// A packet of the picture that was taken at `taken`, in ms, comes at `at`; `again` when it was asked for.
        fn comes(&mut self, number: u16, taken: u32, at: u64, again: bool) {
            self.clock.set_time(gst::ClockTime::from_mseconds(at));
            let mut packet = vec![0x80, 96];
            packet.extend(number.to_be_bytes());
            packet.extend((taken * 90).to_be_bytes());
            packet.extend([0, 0, 0, 7, 1, 2, 3, 4]);
            let mut packet = gst::Buffer::from_slice(packet);
            let about = packet.get_mut().unwrap();
            about.set_dts(gst::ClockTime::from_mseconds(at));
            about.set_pts(gst::ClockTime::from_mseconds(at));
            if again {
                about.set_flags(gst::BufferFlags::from_bits_retain(RETRANSMISSION));
            }
            self.harness.push(packet).unwrap();
        }

        /// The next packet that is asked for, for which the clock may have to go on; and when that is, in ms.
        fn asked(&mut self) -> (u32, u64) {
            let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
            loop {
                while let Some(event) = self.harness.try_pull_upstream_event() {
                    let request = event.structure().filter(|it| it.name() == REQUEST);
                    if let Some(request) = request {
                        let now = self.clock.time();
                        return (request.get("seqnum").unwrap(), now.mseconds());
                    }
                }
                assert!(std::time::Instant::now() < end, "nothing is asked for");
                // Only what is waited for lets the time go on.
                if self.clock.peek_next_pending_id().is_some() {
                    self.clock.crank();
                }
                std::thread::yield_now();
            }
        }
    }

    const REQUEST: &str = "GstRTPRetransmissionRequest";
    /// `GST_RTP_BUFFER_FLAG_RETRANSMISSION`, as `rtprtxreceive` marks what comes again.
    const RETRANSMISSION: u32 = 1 << 20;

    #[test]
    fn a_packet_of_a_picture_that_is_missing_is_asked_for_at_once_and_soon_again() {
        let mut buffer = Buffer::new();
        // Pictures of two packets each.
        for picture in 0..20u16 {
            let at = 40 * u32::from(picture);
            buffer.comes(2 * picture, at, at.into(), false);
            buffer.comes(2 * picture + 1, at, at.into(), false);
        }
        buffer.comes(41, 800, 800, false);
        assert_eq!(buffer.asked(), (40, 800));
        buffer.comes(40, 800, 806, true);
        buffer.comes(43, 840, 840, false);
        assert_eq!(buffer.asked(), (42, 840));
        assert_eq!(buffer.asked(), (42, 850), "longer than an answer takes");
    }
}
