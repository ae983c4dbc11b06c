// SPDX-License-Identifier: MPL-2.0

//! What each source may use of what its receivers can take.

use super::routing::Kind;
use std::collections::BTreeMap;

/// One route, as far as its bitrate goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    /// Who receives.
    pub receiver: String,
    /// The mixer's own number of the sink pad that is received.
    pub sink: u32,
    /// Audio or video.
    pub kind: Kind,
}

/// The bitrate (bit/s) that each source is told: the smallest share among its receivers. A source none
/// of whose receivers has an estimate is not in it.
///
/// Of each estimate audio comes out first, `audio_bitrate` for each route (less when even that is too
/// much); video routes get equal parts of the rest.
pub(super) fn shares(
    estimates: &BTreeMap<String, u32>,
    routes: &[Share],
    audio_bitrate: u32,
) -> BTreeMap<u32, u32> {
    let mut told = BTreeMap::new();
    for (receiver, estimate) in estimates {
        let own = || routes.iter().filter(|route| route.receiver == *receiver);
        let count = |kind| own().filter(|route| route.kind == kind).count();
        let audios = u32::try_from(count(Kind::Audio)).unwrap_or(u32::MAX);
        let videos = u32::try_from(count(Kind::Video)).unwrap_or(u32::MAX);
        let audio = estimate.checked_div(audios).map_or(0, |equal| equal.min(audio_bitrate));
        let rest = estimate.saturating_sub(audio.saturating_mul(audios));
        let video = rest.checked_div(videos).unwrap_or(0);
        for route in own() {
            let share = match route.kind {
                Kind::Audio => audio,
                Kind::Video => video,
            };
            told.entry(route.sink)
                .and_modify(|least: &mut u32| *least = share.min(*least))
                .or_insert(share);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: u32 = 64_000;

    fn route(receiver: &str, sink: u32, kind: Kind) -> Share {
        Share { receiver: receiver.to_owned(), sink, kind }
    }

    fn told(estimates: &[(&str, u32)], routes: &[Share]) -> Vec<(u32, u32)> {
        let estimates = estimates
            .iter()
            .map(|(receiver, bitrate)| ((*receiver).to_owned(), *bitrate))
            .collect();
        shares(&estimates, routes, AUDIO).into_iter().collect()
    }

    #[test]
    fn audio_comes_out_first_and_video_shares_the_rest() {
        let routes = [
            route("a", 1, Kind::Audio),
            route("a", 2, Kind::Audio),
            route("a", 3, Kind::Video),
            route("a", 4, Kind::Video),
        ];
        assert_eq!(
            told(&[("a", 1_128_000)], &routes),
            [(1, AUDIO), (2, AUDIO), (3, 500_000), (4, 500_000)]
        );
    }

    #[test]
    fn the_weakest_receiver_decides() {
        let routes =
            [route("a", 3, Kind::Video), route("b", 3, Kind::Video), route("b", 4, Kind::Video)];
        assert_eq!(told(&[("a", 800_000), ("b", 600_000)], &routes), [(3, 300_000), (4, 300_000)]);
        assert_eq!(told(&[("a", 200_000), ("b", 600_000)], &routes), [(3, 200_000), (4, 300_000)]);
    }

    #[test]
    fn where_nobody_knows_nothing_is_told() {
        let routes = [route("a", 3, Kind::Video), route("b", 4, Kind::Video)];
        assert_eq!(told(&[], &routes), []);
        assert_eq!(told(&[("b", 9), ("gone", 5)], &routes), [(4, 9)]);
    }

    #[test]
    fn an_estimate_below_the_audio_leaves_nothing_for_video() {
        let routes =
            [route("a", 1, Kind::Audio), route("a", 2, Kind::Audio), route("a", 3, Kind::Video)];
        assert_eq!(told(&[("a", 50_000)], &routes), [(1, 25_000), (2, 25_000), (3, 0)]);
    }
}
