// SPDX-License-Identifier: MPL-2.0

//! Pages drawn from made-up runs, read by another program (poppler).

use super::draw::{Page, draw};
use super::panels::{Axis, PANELS};
use super::series::{Quantity, Record};
use super::*;
use crate::interaction::sdp::Kind;
use std::process::Command;

/// A run with everything in it: an uplink that narrows, a loss, a reconnection.
fn eventful(seconds: u32) -> Record {
    let mut record = Record::default();
    record.report(None, "client_video_resolution_updated", "640x480");
    for second in 0..seconds {
        let at = f64::from(second) + 0.4;
        let phase = f64::from(second) / f64::from(seconds);
        if (0.45..0.5).contains(&phase) {
            continue;
        }
        let narrow = (0.6..0.8).contains(&phase);
        let ripple = 1.0 + 0.06 * (f64::from(second) * 1.7).sin();
        let uplink = if narrow { 250.0 } else { 900.0_f64.min(250.0 + 100.0 * at) };
        record.add(Quantity::VideoIn, at, uplink * ripple);
        record.add(Quantity::VideoOut, at, 760.0 * ripple);
        record.add(Quantity::VideoEstimate, at, 1500.0 * ripple);
        record.add(Quantity::AudioIn, at, 38.0 * ripple);
        record.add(Quantity::AudioOut, at, 61.0 * ripple);
        for (quantity, value) in [
            (Quantity::FramesIn, if narrow { 15.0 } else { 25.0 }),
            (Quantity::FramesOut, 25.0),
            (Quantity::FramesRepeated, if narrow { 10.0 } else { 0.0 }),
            (Quantity::LostVideo, if narrow { 6.0 } else { 0.0 }),
            (Quantity::LostAudio, if narrow { 1.0 } else { 0.0 }),
            (Quantity::LostBeyond, if second % 9 == 0 { 2.0 } else { 0.0 }),
            (Quantity::Dropped, 0.0),
            (Quantity::JitterVideo, 6.0 * ripple),
            (Quantity::JitterAudio, 2.5 * ripple),
            (Quantity::RoundTrip, if narrow { 48.0 } else { 21.0 } * ripple),
        ] {
            record.add(quantity, at, value);
        }
        record.report(Some(at), "client_video_fps_updated", if narrow { "14" } else { "25" });
        if second % 10 == 0 {
            for quantity in [
                Quantity::ClientKeyframesEncoded,
                Quantity::KeyframesAsked,
                Quantity::KeyframesWanted,
                Quantity::KeyframesMade,
                Quantity::ClientKeyframesDecoded,
                Quantity::ClientLossReports,
            ] {
                record.add(quantity, at, 1.0);
            }
        }
    }
    record.report(Some(0.61 * f64::from(seconds)), "client_video_resolution_updated", "320x240");
    record.report(Some(0.82 * f64::from(seconds)), "client_video_resolution_updated", "640x480");
    record.target(Some(0.6 * f64::from(seconds)), Kind::Video, 500_000, 800_000);
    record.target(Some(0.8 * f64::from(seconds)), Kind::Video, 800_000, 500_000);
    record
}

fn page(record: &Record, duration: f64) -> Page<'_> {
    Page {
        title: "Participant ann",
        subtitle: "study / dyad-7, run Ab12Cd34, started 20261121-101718.045 UTC",
        duration,
        record,
    }
}

/// What a program of poppler prints about a document; it must have nothing to complain about.
fn read(program: &str, pdf: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("page.pdf");
    std::fs::write(&path, pdf).expect("written");
    let mut command = Command::new(program);
    command.arg(&path);
    if program == "pdftotext" {
        command.arg("-");
    }
    let output = command.output().expect("poppler-utils are installed");
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && complaints.is_empty(), "{program}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_page_holds_every_panel_with_its_titles_legends_and_units() {
    for seconds in [1, 12, 60, 1200] {
        let record = eventful(seconds);
        let pdf = draw(&page(&record, f64::from(seconds))).expect("drawn");
        assert!(pdf.len() < 1_000_000, "{seconds} s: {} bytes", pdf.len());
        let info = read("pdfinfo", &pdf);
        assert!(info.contains("Pages:           1") && info.contains("A4"), "{info}");
        assert!(info.contains("Participant ann"), "{info}");
        let text = read("pdftotext", &pdf);
        for panel in &PANELS {
            assert!(text.contains(panel.title), "{}: {text}", panel.title);
            for curve in panel.curves {
                let there = !record.series(curve.quantity).is_empty();
                let told = text.contains(curve.label);
                assert!(!there || told, "{}: {text}", curve.label);
            }
        }
        for words in ["Participant ann", "dyad-7", "seconds since the start"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
}

#[test]
fn what_was_not_measured_takes_no_room() {
    let mut record = Record::default();
    for second in 0..10 {
        record.add(Quantity::AudioIn, f64::from(second), 40.0);
    }
    let text = read("pdftotext", &draw(&page(&record, 10.0)).expect("drawn"));
    assert!(text.contains("Audio bitrate (kbit/s)"), "{text}");
    assert!(!text.contains("Video bitrate"), "{text}");
    let nothing = Record::default();
    let text = read("pdftotext", &draw(&page(&nothing, 0.0)).expect("drawn"));
    assert!(text.contains("Nothing was measured."), "{text}");
}

#[test]
fn every_quantity_is_drawn_once_and_the_browsers_words_by_crosses_and_triangles() {
    let mut drawn = Vec::new();
    for panel in &PANELS {
        assert!(!panel.title.is_empty() && panel.curves.len() <= 6, "{}", panel.title);
        assert!(matches!(panel.axis, Axis::Rows) || panel.title.contains('('), "a unit");
        for curve in panel.curves {
            let is_client = format!("{:?}", curve.quantity).starts_with("Client");
            let marked = matches!(curve.mark, panels::Mark::Cross | panels::Mark::Triangle);
            assert_eq!(is_client, marked, "{:?}", curve.quantity);
            drawn.push(curve.quantity);
        }
    }
    let all = drawn.len();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), all, "none twice");
    assert_eq!(all, Quantity::RoundTrip as usize + 1, "none forgotten");
}

#[test]
fn plots_are_written_once_and_a_failure_does_not_stop_the_others() {
    let data = tempfile::tempdir().expect("a folder");
    let plot = |name: &str| Plot {
        path: Path::new("study/dyad/plots").join(name),
        title: "Participant ann".into(),
        subtitle: String::new(),
        duration: 5.0,
        record: eventful(5),
    };
    write_all(data.path(), vec![plot("one.pdf")]).expect("written");
    let first = std::fs::read(data.path().join("study/dyad/plots/one.pdf")).expect("there");
    assert!(first.starts_with(b"%PDF-"));
    let again = write_all(data.path(), vec![plot("one.pdf"), plot("two.pdf")]);
    assert!(matches!(again, Err(PlotError::Write(_))), "{again:?}");
    let kept = std::fs::read(data.path().join("study/dyad/plots/one.pdf")).expect("there");
    assert!(kept == first, "what is there stays");
    assert!(data.path().join("study/dyad/plots/two.pdf").exists());
}
