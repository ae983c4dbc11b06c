// SPDX-License-Identifier: MPL-2.0

//! What is kept of a participant for the plots: at most one point a second of each quantity.

use crate::interaction::measures::Figures;
use crate::interaction::sdp::Kind;
use std::collections::BTreeMap;

/// Longest run that is kept, in s: what a join may ask for at most, and a minute for the end.
const LONGEST: f64 = 1260.0;

/// What is plotted. Those whose names begin with `Client` are the browser's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // each is explained where it is drawn, in `panels`
pub enum Quantity {
    VideoIn,
    VideoOut,
    VideoTarget,
    VideoEstimate,
    AudioIn,
    AudioOut,
    AudioTarget,
    ClientHeight,
    ClientFramerate,
    FramesIn,
    FramesOut,
    FramesRepeated,
    ClientKeyframesEncoded,
    KeyframesAsked,
    KeyframesWanted,
    KeyframesMade,
    ClientKeyframesDecoded,
    ClientLossReports,
    LostAudio,
    LostVideo,
    LostBeyond,
    Dropped,
    JitterAudio,
    JitterVideo,
    RoundTrip,
}

impl Quantity {
    /// Whether two points of the same second are added up; of others the later counts.
    fn adds_up(self) -> bool {
        matches!(
            self,
            Self::ClientKeyframesEncoded
                | Self::KeyframesAsked
                | Self::KeyframesWanted
                | Self::KeyframesMade
                | Self::ClientKeyframesDecoded
                | Self::ClientLossReports
        )
    }
}

/// A value and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Seconds since t0.
    pub at: f64,
    /// In the quantity's own unit.
    pub value: f64,
}

/// A participant's series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    series: BTreeMap<Quantity, Vec<Point>>,
    /// When the latest figures were counted.
    figured: Option<f64>,
    /// The latest of each counter that the browser sends.
    counts: BTreeMap<&'static str, f64>,
}

impl Record {
    /// The points of a quantity, in the order of time.
    #[must_use]
    pub fn series(&self, quantity: Quantity) -> &[Point] {
        self.series.get(&quantity).map_or(&[], Vec::as_slice)
    }

    /// Whether there is nothing to plot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds a point. One that is no number, or lies outside the run, is left out.
    pub fn add(&mut self, quantity: Quantity, at: f64, value: f64) {
        if !(0.0..=LONGEST).contains(&at) || !value.is_finite() {
            return;
        }
        let points = self.series.entry(quantity).or_default();
        match points.last_mut() {
            Some(last) if last.at.floor() >= at.floor() => {
                let before = if quantity.adds_up() { last.value } else { 0.0 };
                last.value = before + value;
            }
            _ => points.push(Point { at, value }),
        }
    }

    /// Adds the figures of the second, or a little more or less, that ends at `at`.
    #[allow(clippy::cast_precision_loss)] // counts of a second
    pub fn figures(&mut self, at: f64, figures: &Figures) {
        let kilobits = |bits: u64| bits as f64 / 1000.0;
        let elapsed = self.figured.map_or(1.0, |before| at - before);
        // After a silence, figures are those of one second again.
        let elapsed = if (0.3..3.0).contains(&elapsed) { elapsed } else { 1.0 };
        let rate = |count: u64| count as f64 / elapsed;
        self.figured = Some(at);
        for (kind, bitrate, lost, jitter) in [
            ("audio", Quantity::AudioIn, Quantity::LostAudio, Quantity::JitterAudio),
            ("video", Quantity::VideoIn, Quantity::LostVideo, Quantity::JitterVideo),
        ] {
            if let Some(incoming) = figures.incoming.get(kind) {
                self.add(bitrate, at, kilobits(incoming.bitrate));
                self.add(lost, at, rate(incoming.lost));
                self.add(jitter, at, incoming.jitter);
                if kind == "video" {
                    self.count(Quantity::KeyframesAsked, at, incoming.keyframe_requests);
                }
            }
        }
        if let Some(audio) = figures.outgoing.get("audio") {
            self.add(Quantity::AudioOut, at, kilobits(audio.bitrate));
        }
        if let Some(video) = figures.outgoing.get("video") {
            self.add(Quantity::VideoOut, at, kilobits(video.bitrate));
            if video.estimate > 0 {
                self.add(Quantity::VideoEstimate, at, f64::from(video.estimate) / 1000.0);
            }
            if video.frames_in > 0 || video.frames_out > 0 {
                self.add(Quantity::FramesIn, at, rate(video.frames_in));
                self.add(Quantity::FramesOut, at, rate(video.frames_out));
                self.add(Quantity::FramesRepeated, at, rate(video.frames_repeated));
            }
            let wanted = video.keyframe_requests + video.keyframes_skipped;
            self.count(Quantity::KeyframesWanted, at, wanted);
            self.count(Quantity::KeyframesMade, at, video.keyframes);
        }
        if !figures.routes.is_empty() {
            let sum = |of: fn(&_) -> u64| rate(figures.routes.iter().map(of).sum());
            self.add(Quantity::LostBeyond, at, sum(|route| route.lost));
            self.add(Quantity::Dropped, at, sum(|route| route.drops));
        }
        let rtt = figures.routes.iter().filter_map(|route| route.rtt).reduce(f64::max);
        if let Some(rtt) = rtt {
            self.add(Quantity::RoundTrip, at, rtt);
        }
    }

    /// Takes an encoder's new target and the one before, in bit/s.
    pub fn target(&mut self, at: Option<f64>, kind: Kind, target: u64, before: u64) {
        let quantity = match kind {
            Kind::Audio => Quantity::AudioTarget,
            Kind::Video => Quantity::VideoTarget,
        };
        #[allow(clippy::cast_precision_loss)] // bit/s
        let kilobits = |bits: u64| bits as f64 / 1000.0;
        if at.is_some() && self.series(quantity).is_empty() {
            self.add(quantity, 0.0, kilobits(before));
        }
        self.hold(quantity, at, kilobits(target));
    }

    /// Takes a browser's report; one that is not plotted, or makes no sense, is left out. `at` is
    /// `None` before the run.
    pub fn report(&mut self, at: Option<f64>, kind: &str, text: &str) {
        let number = || text.trim().parse::<f64>().ok();
        match kind {
            "client_video_resolution_updated" => {
                let height =
                    text.split_once('x').and_then(|(_, height)| height.trim().parse().ok());
                if let Some(height) = height {
                    self.hold(Quantity::ClientHeight, at, height);
                }
            }
            "client_video_fps_updated" => {
                if let Some(framerate) = number() {
                    self.hold(Quantity::ClientFramerate, at, framerate);
                }
            }
            "client_keyframe_encoded_count_updated" => {
                self.counted(Quantity::ClientKeyframesEncoded, "encoded", at, number());
            }
            "client_keyframe_decoded_count_updated" => {
                self.counted(Quantity::ClientKeyframesDecoded, "decoded", at, number());
            }
            "client_pli_received_count_updated" => {
                self.counted(Quantity::ClientLossReports, "pli", at, number());
            }
            "client_fir_received_count_updated" => {
                self.counted(Quantity::ClientLossReports, "fir", at, number());
            }
            _ => {}
        }
    }

    /// Adds a value that holds until the next one: the latest before the run is the run's first.
    fn hold(&mut self, quantity: Quantity, at: Option<f64>, value: f64) {
        self.add(quantity, at.unwrap_or(0.0), value);
    }

    /// Notes events, where there were any.
    #[allow(clippy::cast_precision_loss)] // counts of a second
    fn count(&mut self, quantity: Quantity, at: f64, count: u64) {
        if count > 0 {
            self.add(quantity, at, count as f64);
        }
    }

    /// Notes how much a browser's counter has grown; one that went back belongs to another page.
    fn counted(
        &mut self,
        quantity: Quantity,
        counter: &'static str,
        at: Option<f64>,
        count: Option<f64>,
    ) {
        let Some(count) = count.filter(|count| *count >= 0.0) else {
            return;
        };
        let before = self.counts.insert(counter, count).unwrap_or_default();
        let grown = if count < before { count } else { count - before };
        if let Some(at) = at.filter(|_| grown > 0.0) {
            self.add(quantity, at, grown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::measures::{In, Out, Route};

    fn values(record: &Record, quantity: Quantity) -> Vec<(f64, f64)> {
        record.series(quantity).iter().map(|point| (point.at, point.value)).collect()
    }

    #[test]
    fn there_is_one_point_a_second_the_latest_or_the_sum() {
        let mut record = Record::default();
        for (at, value) in [(0.1, 1.0), (0.9, 2.0), (1.0, 3.0), (2.5, 4.0)] {
            record.add(Quantity::VideoIn, at, value);
            record.add(Quantity::KeyframesMade, at, value);
        }
        assert_eq!(values(&record, Quantity::VideoIn), [(0.1, 2.0), (1.0, 3.0), (2.5, 4.0)]);
        assert_eq!(values(&record, Quantity::KeyframesMade), [(0.1, 3.0), (1.0, 3.0), (2.5, 4.0)]);
    }

    #[test]
    fn what_lies_outside_the_run_or_is_no_number_is_left_out() {
        let mut record = Record::default();
        for (at, value) in [(-0.1, 1.0), (1261.0, 1.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            record.add(Quantity::VideoIn, at, value);
        }
        assert!(record.is_empty());
        for tenth in 0..100_000 {
            record.add(Quantity::VideoIn, f64::from(tenth) / 10.0, 1.0);
        }
        assert!(record.series(Quantity::VideoIn).len() <= 1261, "memory is bounded");
    }

    #[test]
    fn figures_come_in_the_units_that_are_drawn() {
        let route = |lost, rtt| Route {
            paused: false,
            source: "ann".into(),
            kind: "video",
            bitrate: 0,
            packets: 0,
            drops: 1,
            keyframe_requests: 0,
            nacks: 0,
            lost,
            fraction_lost: 0.0,
            jitter: 0.0,
            rtt,
        };
        let figures = Figures {
            incoming: [("video", In { bitrate: 800_000, lost: 3, jitter: 4.5, ..In::default() })]
                .into(),
            outgoing: [("video", Out { bitrate: 500_000, keyframes: 2, ..Out::default() })].into(),
            routes: vec![route(2, None), route(3, Some(20.0)), route(0, Some(35.0))],
            estimate: Some(900_000),
            ..Figures::default()
        };
        let mut record = Record::default();
        record.figures(7.0, &figures);
        for (quantity, value) in [
            (Quantity::VideoIn, 800.0),
            (Quantity::VideoOut, 500.0),
            (Quantity::LostVideo, 3.0),
            (Quantity::JitterVideo, 4.5),
            (Quantity::KeyframesMade, 2.0),
            (Quantity::LostBeyond, 5.0),
            (Quantity::Dropped, 3.0),
            (Quantity::RoundTrip, 35.0),
        ] {
            assert_eq!(values(&record, quantity), [(7.0, value)], "{quantity:?}");
        }
        for quantity in [Quantity::AudioIn, Quantity::VideoEstimate, Quantity::KeyframesAsked] {
            assert_eq!(values(&record, quantity), [], "{quantity:?}: nobody has said");
        }
    }

    #[test]
    fn counts_of_more_or_less_than_a_second_become_counts_a_second() {
        let mut record = Record::default();
        for (at, frames_in) in [(1.0, 25), (3.0, 50), (3.5, 12), (9.0, 20)] {
            let video = Out { frames_in, ..Out::default() };
            let outgoing = [("video", video)].into();
            record.figures(at, &Figures { outgoing, ..Figures::default() });
        }
        let expected = [(1.0, 25.0), (3.0, 24.0), (9.0, 20.0)];
        assert_eq!(values(&record, Quantity::FramesIn), expected, "of a second the latest");
    }

    #[test]
    fn what_browsers_count_becomes_events() {
        let mut record = Record::default();
        let kind = "client_keyframe_encoded_count_updated";
        // The page is loaded again before the last one.
        record.report(None, kind, "1");
        for (at, text) in [(1.0, "3"), (2.0, "3"), (3.0, "6"), (4.0, "six"), (5.0, "1")] {
            record.report(Some(at), kind, text);
        }
        let expected = [(1.0, 2.0), (3.0, 3.0), (5.0, 1.0)];
        assert_eq!(values(&record, Quantity::ClientKeyframesEncoded), expected);
    }

    #[test]
    fn what_browsers_say_of_their_picture_is_read() {
        let mut record = Record::default();
        record.report(None, "client_video_resolution_updated", "320x240");
        record.report(None, "client_video_resolution_updated", "640x480");
        record.report(Some(1.0), "client_video_fps_updated", "25");
        for text in ["", "640", "axb", "640x"] {
            record.report(Some(2.0), "client_video_resolution_updated", text);
            record.report(Some(2.0), "client_something_new", text);
        }
        assert_eq!(values(&record, Quantity::ClientHeight), [(0.0, 480.0)], "held");
        assert_eq!(values(&record, Quantity::ClientFramerate), [(1.0, 25.0)]);
    }

    #[test]
    fn the_first_target_tells_what_stood_before_it() {
        let mut record = Record::default();
        record.target(Some(3.0), Kind::Video, 600_000, 800_000);
        record.target(Some(5.0), Kind::Video, 700_000, 600_000);
        record.target(None, Kind::Audio, 32_000, 64_000);
        let expected = [(0.0, 800.0), (3.0, 600.0), (5.0, 700.0)];
        assert_eq!(values(&record, Quantity::VideoTarget), expected);
        assert_eq!(values(&record, Quantity::AudioTarget), [(0.0, 32.0)]);
    }
}
