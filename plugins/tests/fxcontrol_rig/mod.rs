// SPDX-License-Identifier: MPL-2.0

//! `fxcontrol` between two pads of a harness, with what it posts.

#![allow(clippy::unwrap_used, dead_code)] // each test file uses its part

use gst::prelude::*;
use std::sync::Once;

pub(crate) const RATE: u64 = 48_000;
pub(crate) const MS: u64 = 1_000_000;
pub(crate) const MONO: &str = "audio/x-raw,format=F32LE,rate=48000,channels=1,layout=interleaved";
pub(crate) const FRAME: &str = "video/x-raw,format=I420,width=16,height=16,framerate=25/1";

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().unwrap();
        gstducksoup::plugin_register_static().unwrap();
    });
}

pub(crate) struct Rig {
    pub(crate) harness: gst_check::Harness,
    pub(crate) element: gst::Element,
    bus: gst::Bus,
}

/// A piece of audio that came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) pts: u64,
    pub(crate) duration: u64,
    pub(crate) samples: Vec<f32>,
}

impl Rig {
    pub(crate) fn new(properties: &[(&str, &str)], caps: &str) -> Self {
        Self::of("fxcontrol", properties, caps)
    }

    /// Any element. In and out have the same caps.
    pub(crate) fn of(factory: &str, properties: &[(&str, &str)], caps: &str) -> Self {
        init();
        let element = gst::ElementFactory::make(factory).build().unwrap();
        for (name, value) in properties {
            element.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_caps_str(caps, caps);
        Self { harness, element, bus }
    }

    pub(crate) fn audio(properties: &[(&str, &str)]) -> Self {
        Self::new(properties, MONO)
    }

    pub(crate) fn video(properties: &[(&str, &str)]) -> Self {
        Self::new(properties, FRAME)
    }

    /// The child of that name.
    pub(crate) fn effect(&self, name: &str) -> gst::Element {
        let bin = self.element.downcast_ref::<gst::Bin>().unwrap();
        bin.by_name(name).unwrap()
    }

    pub(crate) fn control(
        &self,
        name: &str,
        property: &str,
        value: f64,
        ms: u64,
    ) -> Option<String> {
        let duration = ms * MS;
        self.element.emit_by_name("control", &[&name, &property, &value, &duration])
    }

    pub(crate) fn control_text(&self, name: &str, property: &str, value: &str) -> Option<String> {
        self.element.emit_by_name("control-text", &[&name, &property, &value])
    }

    /// `samples` at `ms`.
    pub(crate) fn push(&mut self, ms: u64, samples: &[f32]) {
        self.push_at(ms * MS, samples);
    }

    pub(crate) fn push_at(&mut self, pts: u64, samples: &[f32]) {
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        let length = u64::try_from(samples.len()).unwrap();
        let buffer_mut = buffer.get_mut().unwrap();
        buffer_mut.set_pts(gst::ClockTime::from_nseconds(pts));
        buffer_mut.set_duration(gst::ClockTime::from_nseconds(length * 1_000_000_000 / RATE));
        buffer_mut.set_offset(pts * RATE / 1_000_000_000);
        buffer_mut.set_offset_end(pts * RATE / 1_000_000_000 + length);
        self.harness.push(buffer).unwrap();
    }

    /// 20 ms of the same value at `ms`.
    pub(crate) fn push_constant(&mut self, ms: u64, value: f32) {
        self.push(ms, &[value; 960]);
    }

    /// A frame whose luma is `luma` everywhere, and its chroma 128.
    pub(crate) fn push_frame(&mut self, ms: u64, luma: u8) {
        let mut bytes = vec![luma; 256];
        bytes.extend([128; 128]);
        let mut buffer = gst::Buffer::from_slice(bytes);
        let buffer_mut = buffer.get_mut().unwrap();
        buffer_mut.set_pts(gst::ClockTime::from_mseconds(ms));
        buffer_mut.set_duration(gst::ClockTime::from_mseconds(40));
        self.harness.push(buffer).unwrap();
    }

    /// All audio that is out.
    pub(crate) fn pieces(&mut self) -> Vec<Piece> {
        std::iter::from_fn(|| self.harness.try_pull())
            .map(|buffer| Piece {
                pts: buffer.pts().unwrap().nseconds(),
                duration: buffer.duration().unwrap().nseconds(),
                samples: floats(&buffer),
            })
            .collect()
    }

    /// All frames that are out: time in ms, mean luma.
    pub(crate) fn lumas(&mut self) -> Vec<(u64, f64)> {
        std::iter::from_fn(|| self.harness.try_pull())
            .map(|buffer| {
                let map = buffer.map_readable().unwrap();
                let sum: f64 = map[..256].iter().map(|luma| f64::from(*luma)).sum();
                (buffer.pts().unwrap().mseconds(), sum / 256.0)
            })
            .collect()
    }

    /// All that was posted since the last time: name of the message and its fields.
    pub(crate) fn messages(&self) -> Vec<gst::Structure> {
        std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element]))
            .filter_map(|message| message.structure().map(ToOwned::to_owned))
            .filter(|structure| structure.name().starts_with("fxcontrol-"))
            .collect()
    }

    /// Messages as short lines: name, value, time in ms.
    pub(crate) fn told(&self) -> Vec<String> {
        let lines = self.messages().into_iter().map(|message| {
            let name = message.name().strip_prefix("fxcontrol-").unwrap().to_owned();
            let value: String = message.get("value").unwrap_or_default();
            match message.get::<u64>("running-time") {
                Ok(time) => format!("{name} {value} @{}", time / MS),
                Err(_) => format!("{name} {value}"),
            }
        });
        lines.collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let errors = [gst::MessageType::Error, gst::MessageType::Warning];
        let error = self.bus.pop_filtered(&errors);
        if !std::thread::panicking() {
            assert!(error.is_none(), "{error:?}");
        }
    }
}

pub(crate) fn floats(buffer: &gst::BufferRef) -> Vec<f32> {
    let map = buffer.map_readable().unwrap();
    map.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// No sample is lost or doubled: each piece begins where the one before it ends, and is as long as
/// its samples.
pub(crate) fn assert_contiguous(pieces: &[Piece]) {
    for pair in pieces.windows(2) {
        assert_eq!(pair[0].pts + pair[0].duration, pair[1].pts);
    }
    let start = pieces.first().map_or(0, |piece| piece.pts);
    let mut samples = 0;
    for piece in pieces {
        let wanted = start + samples * 1_000_000_000 / RATE;
        assert!(piece.pts.abs_diff(wanted) <= 1, "{} {wanted}", piece.pts);
        samples += u64::try_from(piece.samples.len()).unwrap();
    }
}

/// The power of one frequency in `samples`.
pub(crate) fn goertzel(samples: &[f32], frequency: f64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let step = 2.0 * std::f64::consts::PI * frequency / RATE as f64;
    let coefficient = 2.0 * step.cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        (last, before) = (f64::from(*sample) + coefficient * last - before, last);
    }
    last * last + before * before - coefficient * last * before
}
