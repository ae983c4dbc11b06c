// SPDX-License-Identifier: MPL-2.0

//! Tries what is to be done on the GPU, on a few pictures, before anybody depends on it: that an
//! element exists says nothing about drivers, sessions or memory. Once a stage, and only when a
//! participant wishes for it.

use super::{Allowed, Choice, Finding, Findings, Wish, choose, needs_probe};
use crate::interaction::pipelines::Pipelines;
use ducksoup_signaller::frame::{Properties, StageSettings};
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Pictures that go in, and must come out.
const PICTURES: u32 = 2;

/// Longest time a trial may take. Ours: opening CUDA takes some hundred milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

/// The sections of `config/gst.yml`.
type Elements = BTreeMap<String, Properties>;

/// The GPU of this machine, as far as it is known.
#[derive(Debug)]
pub struct Gpu {
    allowed: Allowed,
    findings: Option<Findings>,
}

impl Gpu {
    /// Nothing is tried yet.
    #[must_use]
    pub fn new(settings: &StageSettings) -> Self {
        let allowed = Allowed { codec: settings.nvcodec, scale: settings.nvcuda };
        Self { allowed, findings: None }
    }

    /// Decides who does what; the first wish that could come true waits for the trials.
    pub fn choose(&mut self, wish: Wish, pipelines: &Pipelines, elements: &Elements) -> Choice {
        if !needs_probe(wish, self.allowed) {
            return choose(wish, self.allowed, &Findings { codec: None, scale: None });
        }
        let allowed = self.allowed;
        let findings = self.findings.get_or_insert_with(|| look(allowed, pipelines, elements));
        choose(wish, allowed, findings)
    }
}

/// Tries what is allowed.
fn look(allowed: Allowed, pipelines: &Pipelines, elements: &Elements) -> Findings {
    let attempt = |description: Result<String, _>| match description {
        Ok(description) => attempt(&description, LIMIT),
        Err(error) => Err(format!("{error}")),
    };
    Findings {
        codec: allowed.codec.then(|| attempt(pipelines.gpu_codec(elements))),
        scale: allowed.scale.then(|| attempt(pipelines.gpu_scale(160, 120))),
    }
}

/// Whether pictures pass the elements of `description` within `limit`. A driver that never answers
/// is left behind on a thread of its own.
fn attempt(description: &str, limit: Duration) -> Finding {
    let text = format!(
        "videotestsrc num-buffers={PICTURES} \
         ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 \
         ! {description} ! fakesink name=end sync=false"
    );
    let (to, from) = mpsc::channel();
    let trial = move || {
        // Who asked may have stopped waiting.
        let _ = to.send(run(&text, limit));
    };
    std::thread::Builder::new()
        .name("gpu-probe".into())
        .spawn(trial)
        .map_err(|error| error.to_string())?;
    // The trial ends itself at the limit; one that is stuck in a driver does not.
    from.recv_timeout(limit + limit / 2).unwrap_or_else(|_| Err(too_slow(limit)))
}

fn too_slow(limit: Duration) -> String {
    format!("no answer within {} s", limit.as_secs_f32())
}

/// Runs a description to its end and takes it to NULL.
fn run(text: &str, limit: Duration) -> Finding {
    let element = gst::parse::launch_full(text, None, gst::ParseFlags::FATAL_ERRORS)
        .map_err(|error| error.message().to_owned())?;
    let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "no pipeline".to_owned())?;
    let seen = Arc::new(AtomicU32::new(0));
    let counter = seen.clone();
    let end = pipeline.by_name("end").and_then(|end| end.static_pad("sink"));
    if let Some(end) = end {
        end.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            gst::PadProbeReturn::Ok
        });
    }
    let finding = play(&pipeline, limit);
    // Nothing is left to do about elements that cannot stop.
    let _ = pipeline.set_state(gst::State::Null);
    finding?;
    match seen.load(Ordering::Relaxed) {
        PICTURES => Ok(()),
        some => Err(format!("{some} of {PICTURES} pictures came out")),
    }
}

fn play(pipeline: &gst::Pipeline, limit: Duration) -> Finding {
    let bus = pipeline.bus().ok_or("no bus")?;
    // Why it failed is on the bus.
    let _ = pipeline.set_state(gst::State::Playing);
    let limit = gst::ClockTime::from_nseconds(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(limit, &types);
    match message.as_ref().map(|message| message.view()) {
        Some(gst::MessageView::Eos(_)) => Ok(()),
        Some(gst::MessageView::Error(error)) => {
            let from = error.src().map(|source| source.name().to_string()).unwrap_or_default();
            Err(format!("{from}: {}", error.error().message()))
        }
        _ => Err(too_slow(Duration::from_nanos(limit.nseconds()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ducksoup_signaller::protocol::VideoFormat;

    const WHOLE: Duration = Duration::from_secs(60);

    fn start() {
        gst::init().expect("GStreamer starts");
    }

    #[test]
    fn elements_that_work_pass_the_trial() {
        start();
        let codec = "x264enc tune=zerolatency ! h264parse ! avdec_h264";
        assert_eq!(attempt(codec, WHOLE), Ok(()));
        let scale = "videoscale ! video/x-raw,width=160,height=120";
        assert_eq!(attempt(scale, WHOLE), Ok(()));
    }

    #[test]
    fn an_element_that_is_missing_is_named() {
        start();
        let error = attempt("nvnothing ! identity", WHOLE).expect_err("missing");
        assert!(error.contains("nvnothing"), "{error}");
    }

    #[test]
    fn elements_that_fail_or_swallow_pictures_do_not_pass() {
        start();
        let error = attempt("identity error-after=1", WHOLE).expect_err("fails");
        assert!(error.contains("identity"), "{error}");
        let error = attempt("identity drop-probability=1", WHOLE).expect_err("swallows");
        assert_eq!(error, "0 of 2 pictures came out");
        let error = attempt("video/x-raw,format=RGB", WHOLE).expect_err("does not fit");
        assert!(!error.is_empty());
    }

    #[test]
    fn a_trial_that_takes_too_long_is_given_up() {
        start();
        let slow = "identity sleep-time=2000000";
        let error = attempt(slow, Duration::from_millis(50)).expect_err("slow");
        assert_eq!(error, "no answer within 0.05 s");
    }

    #[test]
    fn the_real_probe_gives_each_wish_a_device_and_each_refusal_a_reason() {
        start();
        let pipelines = Pipelines::read(std::path::Path::new("/nonexistent"));
        let allowed = Allowed { codec: true, scale: true };
        let mut gpu = Gpu { allowed, findings: None };
        let wish = Wish { gpu: true, reencodes: true, format: VideoFormat::H264, size: (320, 240) };
        let elements = [("nv264".to_owned(), Properties::new())].into();
        let choice = gpu.choose(wish, &pipelines, &elements);
        let there = |name| gst::ElementFactory::find(name).is_some();
        if !there("nvh264enc") {
            assert_eq!(choice.devices.codec, super::super::Device::Cpu);
            let reasons: Vec<_> = choice.refusals.iter().map(ToString::to_string).collect();
            assert!(reasons.iter().any(|reason| reason.contains("nvh264")), "{reasons:?}");
        }
        let found = gpu.findings.clone();
        assert_eq!(
            gpu.choose(wish, &pipelines, &elements),
            choice,
            "the second wish gets the same"
        );
        assert_eq!(gpu.findings, found, "and nothing is tried again");
    }
}
