// SPDX-License-Identifier: MPL-2.0

//! `ducksouppeer` on the ways to a server that not every participant takes: through its relay, and
//! behind a certificate.

#![allow(clippy::unwrap_used)]

#[path = "../../ducksoup-signaller/tests/forgiven/mod.rs"]
mod forgiven;
#[path = "support/program.rs"]
mod program;
#[path = "../../ducksoup-signaller/tests/reports/mod.rs"]
mod reports;

use gst::prelude::*;
use program::{Served, program};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Once;
use tempfile::TempDir;

/// Longest wait for anything. Generous: the machine may be busy.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(60);

fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        forgiven::forgive();
        ducksoup_signaller::plugin_register_static().unwrap();
    });
}

/// This machine's address as others know it. Nothing is sent.
fn own_address() -> Ipv4Addr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // RFC 5737: an address that leads nowhere.
    socket.connect("203.0.113.7:9").unwrap();
    let SocketAddr::V4(own) = socket.local_addr().unwrap() else { panic!("IPv4") };
    *own.ip()
}

fn free_port() -> u16 {
    UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port()
}

fn serve(folder: &TempDir, variables: &[(&str, &str)], arguments: &[&str]) -> Served {
    let mut command = program(folder.path(), variables);
    command
        // rtpsession 1.22 warns of a race of its own, about once in fifty sessions.
        .env_remove("G_DEBUG")
        .args(arguments)
        .envs([
            ("DUCKSOUP_MODE", "DEV"),
            ("DUCKSOUP_PORT", "0"),
            ("DUCKSOUP_STUN_SERVER_URLS", "false"),
            ("DUCKSOUP_LOG_FILE", "server.log"),
        ]);
    Served::start(command)
}

/// What became of a participant who says a tone to a mirror.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It came back.
    Heard,
    /// The error's text.
    Failed(String),
}

/// A participant in a mirror: says a tone and waits to hear it. `peer` are the element's properties.
fn mirror(scheme: &str, port: u16, peer: &str) -> Outcome {
    init();
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc is-live=true freq=1000 ! ducksouppeer name=p {peer}
           signaller::uri={scheme}://localhost:{port}/ws signaller::interaction=mirror signaller::user=ann
           signaller::size=1 signaller::audio-only=true signaller::recording-mode=none
         p.audio_src_ann ! queue ! audioconvert ! spectrum bands=240 threshold=-50 message-magnitude=true
           ! fakesink sync=false async=false"
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let bus = pipeline.bus().unwrap();
    pipeline.set_state(gst::State::Playing).ok();
    let outcome = loop {
        let kinds = [gst::MessageType::Element, gst::MessageType::Error, gst::MessageType::Eos];
        let message = bus.timed_pop_filtered(LIMIT, &kinds).expect("in time");
        match message.view() {
            gst::MessageView::Error(error) => break Outcome::Failed(error.error().to_string()),
            gst::MessageView::Eos(_) => panic!("it ended"),
            _ if loudest(&message) == Some(10) => break Outcome::Heard,
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null).unwrap();
    outcome
}

/// The loudest band, of 100 Hz each, if there is any sound.
fn loudest(message: &gst::Message) -> Option<usize> {
    let magnitudes = message.structure().filter(|s| s.name() == "spectrum")?;
    let magnitudes = magnitudes.get::<gst::List>("magnitude").unwrap();
    let magnitudes: Vec<f32> = magnitudes.iter().map(|value| value.get().unwrap()).collect();
    let (band, level) =
        magnitudes.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (level > -40.0).then_some(band)
}

#[test]
fn a_participant_that_may_use_nothing_else_goes_through_the_servers_relay() {
    let folder = tempfile::tempdir().unwrap();
    let (address, port) = (own_address().to_string(), free_port().to_string());
    let relay = [
        ("DUCKSOUP_PUBLIC_IP", address.as_str()),
        ("DUCKSOUP_TURN_ADDRESS", address.as_str()),
        ("DUCKSOUP_TURN_PORT", port.as_str()),
    ];
    let server = serve(&folder, &relay, &[]);
    assert_eq!(mirror("ws", server.port, "ice-transport-policy=relay"), Outcome::Heard);
    server.stop(Signal::TERM);
    let log = std::fs::read_to_string(folder.path().join("server.log")).unwrap();
    assert!(log.contains("turn_allocated"), "{log}");
}

#[test]
fn the_servers_reports_tell_when_sound_and_picture_were_taken() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, &[], &[]);
    let port = server.port;
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc is-live=true ! ducksouppeer name=p signaller::uri=ws://localhost:{port}/ws
           signaller::interaction=mirror signaller::user=ann signaller::size=1
           signaller::recording-mode=none signaller::width=160 signaller::height=120
         videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=15/1 ! p."
    ));
    let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
    let (told, offs) = std::sync::mpsc::channel();
    reports::watch(pipeline.upcast_ref(), told);
    pipeline.set_state(gst::State::Playing).unwrap();
    // The first two may come before anything could run away.
    let offs: Vec<f64> = (0..4).map(|_| offs.recv_timeout(LIMIT.into()).unwrap()).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    server.stop(Signal::TERM);
    assert!(offs[2..].iter().all(|off| off.abs() < reports::NEAR), "{offs:?}");
}

/// Writes a certificate for `localhost`, its key, and the authority's own certificate.
fn certificates(folder: &Path) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("authority.pem"), authority.pem()).unwrap();
}

#[test]
fn a_participant_believes_the_certificates_it_is_told_to_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let origins = [("DUCKSOUP_ALLOWED_WS_ORIGINS", "https://lab.example")];
    let server = serve(&folder, &origins, &["--cert", "cert.pem", "--key", "key.pem"]);
    let origin = "signaller::origin=https://lab.example";
    let authority = folder.path().join("authority.pem");
    let believing = format!("{origin} signaller::cafile={}", authority.display());
    assert_eq!(mirror("wss", server.port, &believing), Outcome::Heard);
    let Outcome::Failed(error) = mirror("wss", server.port, origin) else {
        panic!("it believes a stranger");
    };
    assert!(error.to_lowercase().contains("certificate"), "{error}");
    let careless = format!("{origin} signaller::insecure-tls=true");
    assert_eq!(mirror("wss", server.port, &careless), Outcome::Heard);
    server.stop(Signal::TERM);
}
