// SPDX-License-Identifier: MPL-2.0

//! What each source may use of what its receivers can take.

use super::routing::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// One route, as far as its bitrate goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share {
    /// The mixer's own number of the source pad.
    pub route: u32,
    /// Who receives.
    pub receiver: String,
    /// The mixer's own number of the sink pad that is received.
    pub sink: u32,
    /// Audio or video.
    pub kind: Kind,
}

/// How a receiver's estimate is shared out; bit/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// What each audio route takes.
    pub audio: u32,
    /// A video route that gets less is paused.
    pub least_video: u32,
}

/// What comes of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// The bitrate (bit/s) that each source is told: the smallest share among its receivers. A source none
    /// of whose receivers has an estimate, or takes pictures, is not in it.
    pub told: BTreeMap<u32, u32>,
    /// The video routes that would be at the cost of audio.
    pub paused: BTreeSet<u32>,
}

/// Of each estimate audio comes out first, as much as the terms say for each route (less when even that is
/// too much); video routes get equal parts of the rest.
pub(super) fn shares(estimates: &BTreeMap<String, u32>, routes: &[Share], terms: Terms) -> Shares {
    let mut shares = Shares::default();
    for (receiver, estimate) in estimates {
        let own = || routes.iter().filter(|route| route.receiver == *receiver);
        let count = |kind| own().filter(|route| route.kind == kind).count();
        let audios = u32::try_from(count(Kind::Audio)).unwrap_or(u32::MAX);
        let videos = u32::try_from(count(Kind::Video)).unwrap_or(u32::MAX);
        let audio = estimate.checked_div(audios).map_or(0, |equal| equal.min(terms.audio));
        let rest = estimate.saturating_sub(audio.saturating_mul(audios));
        let video = rest.checked_div(videos).unwrap_or(0);
        for route in own() {
            let share = match route.kind {
                Kind::Audio => audio,
                Kind::Video if video < terms.least_video => {
                    shares.paused.insert(route.route);
                    continue;
                }
                Kind::Video => video,
            };
            let told = shares.told.entry(route.sink).or_insert(share);
            *told = share.min(*told);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: u32 = 64_000;

    /// Its number tells both ends.
    fn route(receiver: &str, sink: u32, kind: Kind) -> Share {
        let route = 10 * sink + receiver.bytes().map(u32::from).sum::<u32>() % 10;
        Share { route, receiver: receiver.to_owned(), sink, kind }
    }

    fn shared(estimates: &[(&str, u32)], routes: &[Share], least_video: u32) -> Shares {
        let estimates = estimates
            .iter()
            .map(|(receiver, bitrate)| ((*receiver).to_owned(), *bitrate))
            .collect();
        shares(&estimates, routes, Terms { audio: AUDIO, least_video })
    }

    fn told(estimates: &[(&str, u32)], routes: &[Share]) -> Vec<(u32, u32)> {
        shared(estimates, routes, 0).told.into_iter().collect()
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
    #[test]
    fn a_picture_that_would_be_at_the_cost_of_sound_is_paused_for_this_receiver_alone() {
        let routes = [
            route("a", 1, Kind::Audio),
            route("a", 3, Kind::Video),
            route("b", 2, Kind::Audio),
            route("b", 3, Kind::Video),
        ];
        let both = shared(&[("a", 139_000), ("b", 600_000)], &routes, 75_000);
        assert_eq!(both.told, [(1, AUDIO), (2, AUDIO), (3, 75_000)].into());
        assert_eq!(both.paused, [].into());
        let one = shared(&[("a", 138_000), ("b", 600_000)], &routes, 75_000);
        assert_eq!(one.told, [(1, AUDIO), (2, AUDIO), (3, 536_000)].into(), "no weight any more");
        assert_eq!(one.paused, [routes[1].route].into());
        let none = shared(&[("a", 40_000), ("b", 0)], &routes, 75_000);
        assert_eq!(none.told, [(1, 40_000), (2, 0)].into(), "who encodes the picture goes on");
        assert_eq!(none.paused, [routes[1].route, routes[3].route].into());
    }
}
