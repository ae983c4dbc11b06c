// SPDX-License-Identifier: MPL-2.0

//! What the two sides are told of each other's addresses. Pure.
//!
//! The participant hears of the gate's ports in place of the server's. The server hears of none of
//! the participant's: it learns where the packets come from as they come (a peer-reflexive
//! candidate, RFC 8445, section 7.3.1.3). So the gate is the only way.

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// A message of the server as the participant is to read it; `None` if it tells of nothing else
/// than an address that cannot be gone through. `front` gives the gate's address for one of the
/// server's.
pub(crate) fn to_participant(
    text: &str,
    front: &mut dyn FnMut(SocketAddr) -> Option<SocketAddr>,
) -> Option<String> {
    let Some((message, mut payload)) = read(text) else {
        return Some(text.to_owned());
    };
    match message["kind"].as_str() {
        Some("candidate") => {
            let candidate = payload["candidate"].as_str()?;
            // An empty one says that there are no more.
            if !candidate.is_empty() {
                payload["candidate"] = through(candidate, front)?.into();
            }
        }
        Some("offer") => {
            let sdp = payload["sdp"].as_str().unwrap_or_default();
            payload["sdp"] = each_candidate(sdp, |candidate| through(candidate, front)).into();
        }
        _ => return Some(text.to_owned()),
    }
    Some(written(message, &payload))
}

/// A message of the participant as the server is to read it; `None` if it is not to.
pub(crate) fn to_server(text: &str) -> Option<String> {
    let Some((message, mut payload)) = read(text) else {
        return Some(text.to_owned());
    };
    match message["kind"].as_str() {
        Some("client_ice_candidate") => None,
        Some("client_answer") => {
            let sdp = payload["sdp"].as_str().unwrap_or_default();
            payload["sdp"] = each_candidate(sdp, |_| None).into();
            Some(written(message, &payload))
        }
        _ => Some(text.to_owned()),
    }
}

/// A message with a payload of JSON in a string, if it is one.
fn read(text: &str) -> Option<(Value, Value)> {
    let message: Value = serde_json::from_str(text).ok()?;
    let payload = serde_json::from_str(message["payload"].as_str()?).ok()?;
    Some((message, payload))
}

fn written(mut message: Value, payload: &Value) -> String {
    message["payload"] = payload.to_string().into();
    message.to_string()
}

/// An SDP whose candidates are replaced, or left out.
fn each_candidate(sdp: &str, mut replace: impl FnMut(&str) -> Option<String>) -> String {
    let lines = sdp.split_inclusive("\r\n").filter_map(|line| {
        match line.strip_prefix("a=").filter(|attribute| attribute.starts_with("candidate:")) {
            Some(candidate) => Some(format!("a={}\r\n", replace(candidate.trim_end())?)),
            None => Some(line.to_owned()),
        }
    });
    lines.collect()
}

/// A candidate of the server (RFC 8839, section 5.1) with the gate's address in it. `None` for one
/// that is not UDP, or no address of the server's own: a relay or a STUN server would be a way
/// around the gate.
fn through(
    candidate: &str,
    front: &mut dyn FnMut(SocketAddr) -> Option<SocketAddr>,
) -> Option<String> {
    let mut words: Vec<&str> = candidate.split_whitespace().collect();
    let [_, _, transport, _, address, port, typ, kind, ..] = words.as_slice() else {
        return None;
    };
    if !transport.eq_ignore_ascii_case("udp") || (*typ, *kind) != ("typ", "host") {
        return None;
    }
    let server = SocketAddr::new(address.parse::<IpAddr>().ok()?, port.parse().ok()?);
    let gate = front(server)?;
    let (address, port) = (gate.ip().to_string(), gate.port().to_string());
    words[4] = &address;
    words[5] = &port;
    Some(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const HOST: &str = "candidate:1 1 UDP 2015363327 10.0.0.5 40000 typ host";
    const TCP: &str = "candidate:2 1 TCP 1015021823 10.0.0.5 9 typ host tcptype active";

    fn message(kind: &str, payload: &Value) -> String {
        json!({"kind": kind, "payload": payload.to_string()}).to_string()
    }

    /// What the participant reads, when the gate's ports are the server's plus one.
    fn told(text: &str) -> Option<String> {
        to_participant(text, &mut |server| {
            (server.port() < 50_000).then(|| SocketAddr::from(([127, 0, 0, 1], server.port() + 1)))
        })
    }

    fn payload(text: &str) -> Value {
        read(text).expect("a payload").1
    }

    #[test]
    fn the_participant_is_told_of_the_gate_in_place_of_the_server() {
        for (candidate, expected) in [
            (HOST, Some("candidate:1 1 UDP 2015363327 127.0.0.1 40001 typ host")),
            (
                "candidate:3 1 udp 7 fd00::5 40002 typ host generation 0",
                Some("candidate:3 1 udp 7 127.0.0.1 40003 typ host generation 0"),
            ),
            ("", Some("")),
            (TCP, None),
            ("candidate:4 1 UDP 7 203.0.113.7 1 typ srflx raddr 10.0.0.5 rport 40000", None),
            ("candidate:5 1 UDP 7 203.0.113.7 1 typ relay raddr 10.0.0.5 rport 40000", None),
            ("candidate:1 1 UDP 2015363327 0b1c.local 40000 typ host", None),
            ("candidate:1 1 UDP 2015363327 10.0.0.5 70000 typ host", None),
            ("candidate:1 1 UDP 2015363327 10.0.0.5 50000 typ host", None),
            ("candidate:", None),
        ] {
            let given = message("candidate", &json!({"candidate": candidate, "sdpMLineIndex": 1}));
            let read = told(&given).map(|text| payload(&text));
            let expected = expected.map(|text| json!({"candidate": text, "sdpMLineIndex": 1}));
            assert_eq!(read, expected, "{candidate}");
        }
    }

    #[test]
    fn candidates_in_descriptions_are_treated_the_same() {
        let sdp = format!("v=0\r\na={HOST}\r\na={TCP}\r\na=mid:0\r\na={HOST}\r\n");
        let offer = told(&message("offer", &json!({"type": "offer", "sdp": sdp})));
        let gate = "a=candidate:1 1 UDP 2015363327 127.0.0.1 40001 typ host";
        assert_eq!(
            payload(&offer.expect("an offer")),
            json!({"type": "offer", "sdp": format!("v=0\r\n{gate}\r\na=mid:0\r\n{gate}\r\n")})
        );
        let answer = to_server(&message("client_answer", &json!({"type": "answer", "sdp": sdp})));
        assert_eq!(
            payload(&answer.expect("an answer")),
            json!({"type": "answer", "sdp": "v=0\r\na=mid:0\r\n"})
        );
    }

    #[test]
    fn the_server_is_told_of_no_address() {
        let candidate = json!({"candidate": HOST, "sdpMid": "0"});
        assert_eq!(to_server(&message("client_ice_candidate", &candidate)), None);
    }

    #[test]
    fn all_other_messages_pass_as_they_are() {
        for text in [
            r#"{"kind":"join", "payload":"{\"userId\":\"u\"}"}"#,
            r#"{"kind":"start","payload":30}"#,
            r#"{"kind":"ext_x","payload":"candidate:1"}"#,
            r#"{"kind":"candidate"}"#,
            "{}",
            "no JSON",
        ] {
            assert_eq!(told(text).as_deref(), Some(text));
            assert_eq!(to_server(text).as_deref(), Some(text));
        }
    }
}
