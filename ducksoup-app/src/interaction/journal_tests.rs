// SPDX-License-Identifier: MPL-2.0

use super::*;

#[test]
fn what_is_said_shortly_before_t0_is_before_it() {
    let zero = Instant::now() + Duration::from_secs(1);
    for (at, expected) in [(0, -1000), (999_500, -1), (1_000_000, 0), (1_002_999, 2)] {
        let now = zero - Duration::from_secs(1) + Duration::from_micros(at);
        assert_eq!(milliseconds_since(zero, now), expected, "{at}");
    }
}

#[test]
fn a_clients_words_have_the_context_of_their_kind() {
    for (kind, context, property) in [
        ("ext_user_event", "ext", "payload"),
        ("client_video_resolution_updated", "track", "value"),
        ("client_message", "track", "value"),
        ("client_selected_candidate_pair", "signaling", "payload"),
        ("client_connection_state_changed", "signaling", "payload"),
        ("client_ice_connection_state_failed", "signaling", "payload"),
        ("client_anything_else", "track", "value"),
        // The server's own message of that name has a context of its own.
        ("client_signaling_refused", "track", "value"),
    ] {
        assert_eq!(client_words(kind), (context, property), "{kind}");
    }
}
