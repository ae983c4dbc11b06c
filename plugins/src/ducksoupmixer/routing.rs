// SPDX-License-Identifier: MPL-2.0

//! Who receives whom: from the streams that come in and the routes that are wanted to pairs of pads.
//!
//! - A route that names its source gets that participant's newest stream of its kind.
//! - Default: the routes of one receiver that name none get the streams of everyone else, each another one, in
//!   the order in which they came. A receiver who is alone gets their own (a mirror).
//! - A default route keeps its participant as long as they are there, whoever else comes or goes.

use std::collections::BTreeMap;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// A sink pad whose kind is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// The mixer's own number of the pad: the newer, the higher.
    pub sink: u32,
    /// Who sends.
    pub participant: String,
    /// Audio or video.
    pub kind: Kind,
    /// `encoding-name`, once known.
    pub encoding: Option<String>,
}

/// A source pad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The mixer's own number of the pad.
    pub src: u32,
    /// Who receives.
    pub receiver: String,
    /// Whom they receive; `None`: by default.
    pub source: Option<String>,
    /// Audio or video; `None`: either.
    pub kind: Option<Kind>,
    /// `encoding-name` that was promised; `None`: any.
    pub encoding: Option<String>,
    /// Whom this pad received until now, and what.
    pub current: Option<(String, Kind)>,
}

/// The number of the sink pad for each source pad that gets one.
pub(super) fn route(streams: &[Stream], wanted: &[Wanted]) -> BTreeMap<u32, u32> {
    let newest = newest(streams);
    let mut router = Router { streams: &newest, claims: Vec::new(), edges: BTreeMap::new() };
    // Named sources first, then what default routes have, then what is left for the others.
    for want in wanted {
        if let Some(source) = &want.source {
            router.claim(want, |stream| stream.participant == *source);
        }
    }
    for want in wanted.iter().filter(|want| want.source.is_none()) {
        if let Some((participant, kind)) = &want.current {
            router.claim(want, |stream| {
                stream.participant == *participant
                    && stream.kind == *kind
                    && is_default(&newest, want, stream)
            });
        }
    }
    for want in wanted.iter().filter(|want| want.source.is_none()) {
        router.claim(want, |stream| is_default(&newest, want, stream));
    }
    router.edges
}

struct Router<'a> {
    /// In the order in which they first came.
    streams: &'a [&'a Stream],
    claims: Vec<(&'a str, u32)>,
    edges: BTreeMap<u32, u32>,
}

impl<'a> Router<'a> {
    /// Gives `want` the first stream that suits it and that no other route of its receiver has.
    fn claim(&mut self, want: &'a Wanted, suits: impl Fn(&Stream) -> bool) {
        if self.edges.contains_key(&want.src) {
            return;
        }
        let receiver = want.receiver.as_str();
        let found = self.streams.iter().find(|stream| {
            suits(stream)
                && want.kind.is_none_or(|kind| kind == stream.kind)
                && is_promised(want, stream)
                && !self.claims.contains(&(receiver, stream.sink))
        });
        if let Some(stream) = found {
            self.claims.push((receiver, stream.sink));
            self.edges.insert(want.src, stream.sink);
        }
    }
}

/// A stream in another codec than the promised one is noise to its receiver.
fn is_promised(want: &Wanted, stream: &Stream) -> bool {
    match (&want.encoding, &stream.encoding) {
        (Some(promised), Some(encoding)) => promised.eq_ignore_ascii_case(encoding),
        _ => true,
    }
}

fn is_default(streams: &[&Stream], want: &Wanted, stream: &Stream) -> bool {
    stream.participant != want.receiver
        || streams.iter().all(|other| other.participant == want.receiver)
}

/// The newest stream of each participant and kind, in the order in which those first came.
fn newest(streams: &[Stream]) -> Vec<&Stream> {
    let mut newest: Vec<&Stream> = Vec::new();
    for stream in streams {
        let same = newest
            .iter_mut()
            .find(|other| other.participant == stream.participant && other.kind == stream.kind);
        match same {
            Some(older) if older.sink < stream.sink => *older = stream,
            Some(_) => {}
            None => newest.push(stream),
        }
    }
    newest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(sink: u32, participant: &str, kind: Kind) -> Stream {
        Stream { sink, participant: participant.to_owned(), kind, encoding: None }
    }

    fn audio(sink: u32, participant: &str) -> Stream {
        stream(sink, participant, Kind::Audio)
    }

    fn wanted(src: u32, receiver: &str, source: Option<&str>) -> Wanted {
        Wanted {
            src,
            receiver: receiver.to_owned(),
            source: source.map(str::to_owned),
            kind: Some(Kind::Audio),
            encoding: None,
            current: None,
        }
    }

    fn edges(streams: &[Stream], wanted: &[Wanted]) -> Vec<(u32, u32)> {
        route(streams, wanted).into_iter().collect()
    }

    #[test]
    fn everyone_receives_everyone_else() {
        let streams = [audio(1, "a"), audio(2, "b"), audio(3, "c")];
        let all: Vec<_> = [(10, "a"), (11, "a"), (20, "b"), (21, "b"), (30, "c")]
            .iter()
            .map(|(src, receiver)| wanted(*src, receiver, None))
            .collect();
        assert_eq!(edges(&streams, &all), [(10, 2), (11, 3), (20, 1), (21, 3), (30, 1)]);
    }

    #[test]
    fn one_who_is_alone_sees_a_mirror() {
        let streams = [audio(1, "a")];
        assert_eq!(edges(&streams, &[wanted(10, "a", None)]), [(10, 1)]);
        let streams = [audio(1, "a"), audio(2, "b")];
        assert_eq!(edges(&streams, &[wanted(10, "a", None)]), [(10, 2)]);
    }

    #[test]
    fn a_listener_who_sends_nothing_receives_all() {
        let streams = [audio(1, "a"), audio(2, "b")];
        let all = [wanted(10, "x", None), wanted(11, "x", None)];
        assert_eq!(edges(&streams, &all), [(10, 1), (11, 2)]);
    }

    #[test]
    fn a_named_source_is_the_one_even_oneself() {
        let streams = [audio(1, "a"), audio(2, "b")];
        assert_eq!(edges(&streams, &[wanted(10, "a", Some("a"))]), [(10, 1)]);
        assert_eq!(edges(&streams, &[wanted(10, "a", Some("z"))]), []);
    }

    #[test]
    fn a_default_route_leaves_named_sources_to_their_routes() {
        let streams = [audio(1, "a"), audio(2, "b"), audio(3, "c")];
        let all = [wanted(10, "a", None), wanted(11, "a", Some("b"))];
        assert_eq!(edges(&streams, &all), [(10, 3), (11, 2)]);
    }

    #[test]
    fn the_newest_pad_of_a_participant_wins_and_keeps_their_place() {
        let streams = [audio(1, "a"), audio(2, "b"), audio(3, "c"), audio(4, "b")];
        let all = [wanted(10, "a", None), wanted(11, "a", None)];
        assert_eq!(edges(&streams, &all), [(10, 4), (11, 3)]);
    }

    #[test]
    fn a_default_route_stays_with_its_participant_through_a_leave() {
        let mut second = wanted(11, "a", None);
        second.current = Some(("c".to_owned(), Kind::Audio));
        let all = [wanted(10, "a", None), second];
        let without_b = [audio(1, "a"), audio(3, "c")];
        assert_eq!(edges(&without_b, &all), [(11, 3)]);
        let b_is_back = [audio(1, "a"), audio(3, "c"), audio(4, "b")];
        assert_eq!(edges(&b_is_back, &all), [(10, 4), (11, 3)]);
    }

    #[test]
    fn a_mirror_ends_when_another_participant_comes() {
        let mut own = wanted(10, "a", None);
        own.current = Some(("a".to_owned(), Kind::Audio));
        assert_eq!(edges(&[audio(1, "a"), audio(2, "b")], &[own]), [(10, 2)]);
    }

    #[test]
    fn kinds_do_not_mix_and_no_kind_takes_either() {
        let streams = [audio(1, "b"), stream(2, "b", Kind::Video)];
        let mut video = wanted(10, "a", Some("b"));
        video.kind = Some(Kind::Video);
        assert_eq!(edges(&streams, &[video]), [(10, 2)]);
        let either: Vec<_> =
            [10, 11].map(|src| Wanted { kind: None, ..wanted(src, "a", None) }).into();
        assert_eq!(edges(&streams, &either), [(10, 1), (11, 2)]);
    }

    #[test]
    fn another_codec_than_the_promised_one_is_not_routed() {
        let mut source = audio(1, "b");
        source.encoding = Some("OPUS".to_owned());
        let mut want = wanted(10, "a", Some("b"));
        want.encoding = Some("opus".to_owned());
        assert_eq!(edges(&[source.clone()], &[want.clone()]), [(10, 1)]);
        want.encoding = Some("PCMU".to_owned());
        assert_eq!(edges(&[source], &[want]), []);
    }

    proptest! {
        #[test]
        fn by_default_nobody_hears_oneself_in_company_nor_anyone_twice(
            senders in prop::collection::vec((0..4_u8, any::<bool>()), 0..10),
            receivers in prop::collection::vec(0..4_u8, 0..12),
        ) {
            let streams: Vec<_> = (0_u32..).zip(&senders).map(|(sink, (who, video))| {
                stream(sink, &who.to_string(), if *video { Kind::Video } else { Kind::Audio })
            }).collect();
            let wanted: Vec<_> = (100_u32..).zip(&receivers)
                .map(|(src, who)| wanted(src, &who.to_string(), None)).collect();
            let edges = route(&streams, &wanted);
            let company: std::collections::BTreeSet<_> = senders.iter().map(|(who, _)| who).collect();
            let mut pairs = std::collections::BTreeSet::new();
            for (src, sink) in edges {
                let receiver = &wanted[src as usize - 100].receiver;
                let sender = &streams[sink as usize].participant;
                prop_assert!(receiver != sender || company.len() == 1);
                prop_assert!(pairs.insert((receiver.clone(), sender.clone())));
            }
        }
    }
}
