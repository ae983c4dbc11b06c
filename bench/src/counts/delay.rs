// SPDX-License-Identifier: MPL-2.0

//! What a constant frame rate costs in time: inside, from `framegrid`'s sink pad to its source pad;
//! and from end to end, beside mode `free` in the same round.

use super::sender::Running;
use crate::server::Server;
use anyhow::Context as _;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is in the columns of [`inside`].
pub(crate) const INSIDE: &[&str] = &[
    "sender, frames/s",
    "frames in",
    "passed",
    "repeated",
    "in to out: median",
    "99 %",
    "longest",
];
/// What is in the columns of [`through`].
pub(crate) const THROUGH: &[&str] =
    &["round", "mode", "changes seen", "camera to screen: median", "95 %"];

/// Rounds from end to end.
const ROUNDS: u32 = 3;
/// How often the picture changes from black to white or back: not in step with 25 frames a second.
const CHANGE: Duration = Duration::from_millis(430);
/// What may pass besides the interaction itself.
const BESIDES: Duration = Duration::from_secs(90);

/// Frames through the elements of a `forced` chain, at each of these rates; `grid` is that of the
/// output.
///
/// # Errors
/// When an element is missing.
pub(crate) fn inside(
    framerates: &[u32],
    grid: u32,
    seconds: u32,
) -> anyhow::Result<Vec<Vec<String>>> {
    framerates.iter().map(|framerate| one_inside(*framerate, grid, seconds)).collect()
}

/// When each frame went in, by where its pixels are: a frame that passes is not copied.
#[derive(Debug, Default)]
struct Passing {
    entered: BTreeMap<usize, Instant>,
    frames: usize,
    repeated: usize,
    took: Vec<Duration>,
}

fn one_inside(framerate: u32, grid: u32, seconds: u32) -> anyhow::Result<Vec<String>> {
    let launch = format!(
        "videotestsrc is-live=true num-buffers={} pattern=ball \
         ! video/x-raw,format=I420,width=320,height=240,framerate={framerate}/1 \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 \
         ! avdec_h264 thread-type=slice max-threads=1 std-compliance=normal \
         ! videoscale ! video/x-raw,width=320,height=240 \
         ! framegrid name=grid framerate={grid}/1 ceiling=150000000 \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 ! fakesink sync=false",
        framerate * seconds
    );
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let running = Running(pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?);
    let element = running.0.by_name("grid").context("no framegrid")?;
    let passing = Arc::new(Mutex::new(Passing::default()));
    let pixels = |info: &gst::PadProbeInfo<'_>| {
        let buffer = info.buffer()?;
        Some(buffer.peek_memory(0).as_ptr() as usize)
    };
    let notes = Arc::clone(&passing);
    let sink = element.static_pad("sink").context("no pad")?;
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(place) = pixels(info) {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.frames += 1;
            notes.entered.insert(place, Instant::now());
        }
        gst::PadProbeReturn::Ok
    });
    let notes = Arc::clone(&passing);
    let source = element.static_pad("src").context("no pad")?;
    source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(place) = pixels(info) {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            match notes.entered.remove(&place) {
                Some(entered) => notes.took.push(entered.elapsed()),
                None => notes.repeated += 1,
            }
        }
        gst::PadProbeReturn::Ok
    });
    let bus = running.0.bus().context("no bus")?;
    running.0.set_state(gst::State::Playing)?;
    let limit = gst::ClockTime::from_seconds(u64::from(seconds) + BESIDES.as_secs());
    let end = bus.timed_pop_filtered(limit, &[gst::MessageType::Eos, gst::MessageType::Error]);
    let is_over = end.is_some_and(|end| end.type_() == gst::MessageType::Eos);
    anyhow::ensure!(is_over, "the frames do not come to their end");
    let mut passing = passing.lock().unwrap_or_else(PoisonError::into_inner);
    passing.took.sort();
    let at = |share| micros(place(&passing.took, share));
    let cells = vec![
        framerate.to_string(),
        passing.frames.to_string(),
        passing.took.len().to_string(),
        passing.repeated.to_string(),
        at(0.5),
        at(0.99),
        at(1.0),
    ];
    println!("{}", cells.join(" | "));
    Ok(cells)
}

fn micros(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// The value below which that share of sorted ones lies.
fn place(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// A picture that changes, sent and seen by one participant alone: `forced` and `free` in turn.
///
/// # Errors
/// When a run does not come to its end.
pub(crate) fn through(seconds: u32) -> anyhow::Result<Vec<Vec<String>>> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path(), &[])?;
    let mut rows = Vec::new();
    for round in 1..=ROUNDS {
        for mode in ["free", "forced"] {
            let interaction = format!("{mode}-{round}");
            let took = one_through(&server.uri, &interaction, mode, seconds)?;
            let at = |share| format!("{:.1} ms", place(&took, share).as_secs_f64() * 1000.0);
            let cells =
                vec![round.to_string(), mode.to_owned(), took.len().to_string(), at(0.5), at(0.95)];
            println!("{}", cells.join(" | "));
            rows.push(cells);
        }
    }
    Ok(rows)
}

/// Changes at a place that pictures pass, in order.
#[derive(Debug, Default)]
struct Changes {
    is_white: bool,
    at: Vec<(Instant, bool)>,
}

fn watch(pad: &gst::Pad) -> Arc<Mutex<Changes>> {
    let changes = Arc::<Mutex<Changes>>::default();
    let notes = Arc::clone(&changes);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let mut luma = [0];
        if info.buffer().is_some_and(|buffer| buffer.copy_to_slice(0, &mut luma).is_ok()) {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            if notes.is_white != (luma[0] > 128) {
                notes.is_white = !notes.is_white;
                let is_white = notes.is_white;
                notes.at.push((Instant::now(), is_white));
            }
        }
        gst::PadProbeReturn::Ok
    });
    changes
}

fn one_through(
    uri: &str,
    interaction: &str,
    mode: &str,
    seconds: u32,
) -> anyhow::Result<Vec<Duration>> {
    let launch = format!(
        "ducksouppeer name=peer connect-timeout=30000 signaller::uri={uri} \
         signaller::interaction={interaction} signaller::user=ada signaller::size=1 \
         signaller::duration={seconds} signaller::recording-mode={mode} \
         signaller::video-format=H264 signaller::width=320 signaller::height=240 \
         signaller::framerate=25 \
         audiotestsrc is-live=true ! peer.audio_sink \
         videotestsrc is-live=true name=camera pattern=solid-color foreground-color=0xff000000 \
         ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! identity name=sent \
         ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=3000 aud=false \
         ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au \
         ! peer.video_sink \
         peer.video_src_ada ! videoconvert ! video/x-raw,format=I420 ! identity name=seen \
         ! fakesink sync=false async=false"
    );
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let running = Running(pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?);
    let part = |name: &str| running.0.by_name(name).with_context(|| format!("no {name}"));
    let pad = |name: &str| part(name)?.static_pad("src").context("no pad");
    let (sent, seen) = (watch(&pad("sent")?), watch(&pad("seen")?));
    let camera = part("camera")?;
    let bus = running.0.bus().context("no bus")?;
    running.0.set_state(gst::State::Playing)?;
    let until = Instant::now() + Duration::from_secs(seconds.into()) + BESIDES;
    let (mut is_white, mut due) = (false, Instant::now());
    loop {
        anyhow::ensure!(Instant::now() < until, "the server never said end");
        if Instant::now() >= due {
            is_white = !is_white;
            due += CHANGE;
            camera.set_property("foreground-color", if is_white { u32::MAX } else { 0xff00_0000 });
        }
        let kinds = [gst::MessageType::Element, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(10), &kinds)
        else {
            continue;
        };
        if let gst::MessageView::Error(error) = message.view() {
            anyhow::bail!("{} {:?}", error.error(), error.debug());
        }
        if message.structure().is_some_and(|said| said.name() == "ducksouppeer-end") {
            break;
        }
    }
    drop(running);
    let list = |changes: &Mutex<Changes>| {
        changes.lock().unwrap_or_else(PoisonError::into_inner).at.clone()
    };
    Ok(between(&list(&sent), &list(&seen)))
}

/// How long each change that was seen took, sorted: from the latest change to that colour that was
/// sent before. What takes longer than two changes is not told apart.
fn between(sent: &[(Instant, bool)], seen: &[(Instant, bool)]) -> Vec<Duration> {
    let mut took: Vec<Duration> = seen
        .iter()
        .filter_map(|(seen, colour)| {
            let before = sent.iter().rev().find(|(at, sent)| sent == colour && at <= seen);
            before.map(|(at, _)| *seen - *at)
        })
        .collect();
    took.sort();
    took
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_took_as_long_as_since_the_same_one_was_sent() {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let at = |list: &[(u64, bool)]| -> Vec<(Instant, bool)> {
            list.iter().map(|(at, colour)| (begin + ms(*at), *colour)).collect()
        };
        let sent = at(&[(0, true), (430, false), (860, true), (1290, false)]);
        let seen = at(&[(470, false), (880, true), (1390, false)]);
        assert_eq!(between(&sent, &seen), [ms(20), ms(40), ms(100)]);
        assert_eq!(place(&[ms(1), ms(2), ms(9)], 0.5), ms(2));
        assert_eq!(place(&[ms(1), ms(2), ms(9)], 1.0), ms(9));
        assert_eq!(place(&[], 0.5), ms(0));
    }
}
