// SPDX-License-Identifier: MPL-2.0

//! Every mode with everything that can be asked of it, run on real media: what comes out is decoded.

use super::*;
use crate::interaction::gpu::{Device, Devices};
use crate::interaction::pipelines::{Layout, MODES};
use ducksoup_signaller::frame::{BitrateRange, Properties};
use ducksoup_signaller::protocol::{JoinOptions, RecordingMode};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

const WIDTH: usize = 160;
const HEIGHT: usize = 120;
/// Pictures sent in a trial.
const PICTURES: usize = 6;
/// Every wait has a limit; these take a second at most, on a free machine.
const LIMIT: gst::ClockTime = gst::ClockTime::from_seconds(60);
const GPU: Devices = Devices { codec: Device::Gpu, scale: Device::Gpu };

/// Everything a chain is built with; borrowed as [`Values`].
struct Rig {
    pipelines: Pipelines,
    options: JoinOptions,
    elements: BTreeMap<String, Properties>,
}

impl Rig {
    fn new(working: &Path) -> Self {
        gst::init().expect("GStreamer starts");
        crate::interaction::elements::register().expect("our elements");
        let object = json!({
            "interactionName": "i", "userId": "u", "width": WIDTH, "height": HEIGHT
        });
        let args = crate::config::Args::default();
        let config = crate::config::Config::new(&args, Path::new("/nonexistent"));
        Self {
            pipelines: Pipelines::read(working),
            options: JoinOptions::from_json(object.as_object().expect("an object")).expect("valid"),
            elements: config.expect("valid").stage_settings().elements,
        }
    }

    fn embedded() -> Self {
        Self::new(Path::new("/nonexistent"))
    }

    fn values(&self) -> Values<'_> {
        Values {
            options: &self.options,
            bitrates: BitrateRange { default: 800_000, min: 150_000, max: 1_800_000 },
            jitter_buffer: 150,
            elements: &self.elements,
            devices: Devices::default(),
            overlay: false,
        }
    }

    fn mode(&self, mode: RecordingMode) -> &Mode {
        self.pipelines.mode(mode).expect("a good file")
    }

    fn build(&self, mode: RecordingMode, codec: Codec, values: Values<'_>) -> Chain {
        Chain::build(&self.pipelines, self.mode(mode), codec, values)
            .unwrap_or_else(|error| panic!("{mode:?} with {codec:?}: {error}"))
    }
}

/// Which end of a chain is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// What goes to the others.
    Sent,
    /// What is recorded.
    Tee(&'static str),
}

/// A browser's media of one kind, as RTP.
fn source(codec: Codec) -> String {
    let pictures = format!(
        "videotestsrc num-buffers={PICTURES} pattern=black \
         ! video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=25/1"
    );
    match codec {
        Codec::Opus => "audiotestsrc num-buffers=20 samplesperbuffer=960 freq=1000 \
                        ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111"
            .to_owned(),
        Codec::H264 => {
            format!(
                "{pictures} ! x264enc tune=zerolatency ! video/x-h264,profile=constrained-baseline ! rtph264pay pt=102"
            )
        }
        Codec::Vp8 => format!("{pictures} ! vp8enc deadline=1 ! rtpvp8pay pt=96"),
    }
}

/// What makes raw media again of what one end gives.
fn reader(codec: Codec, end: End) -> String {
    let (depay, decode) = match codec {
        Codec::Opus => ("rtpopusdepay", "opusdec ! audioconvert ! audio/x-raw,format=S16LE"),
        Codec::H264 => ("rtph264depay ! h264parse", "avdec_h264 max-threads=1 ! videoconvert"),
        Codec::Vp8 => ("rtpvp8depay", "vp8dec ! videoconvert"),
    };
    let depay = if end == End::Sent { depay } else { "identity" };
    let raw = match codec.kind() {
        Kind::Audio => "identity",
        Kind::Video => "video/x-raw,format=GRAY8",
    };
    format!("{depay} ! {decode} ! {raw} ! fakesink name=end sync=false async=false")
}

/// Sends media through a chain whose run has begun and returns the raw buffers that its end gives.
fn pass(chain: &Chain, end: End) -> Vec<Vec<u8>> {
    chain.begin(gst::ClockTime::ZERO);
    play(chain, end)
}

/// Sends media through a chain and returns the raw buffers that its end gives.
fn play(chain: &Chain, end: End) -> Vec<Vec<u8>> {
    let pipeline = gst::Pipeline::new();
    let part = |text: &str| {
        let bin = gst::parse::bin_from_description(text, true).expect("a description");
        pipeline.add(&bin).expect("added");
        bin
    };
    let source = part(&source(chain.codec));
    let reader = part(&reader(chain.codec, end));
    pipeline.add(&chain.bin).expect("added");
    source.link(&chain.bin).expect("RTP is taken");
    let tap = match end {
        End::Sent => chain.bin.static_pad("src").expect("an end"),
        End::Tee(tee) => {
            let sink = gst::ElementFactory::make("fakesink").property("sync", false);
            let sink = sink.property("async", false).build().expect("an element");
            pipeline.add(&sink).expect("added");
            chain.bin.link(&sink).expect("what is sent goes nowhere");
            chain.tap(tee).expect("a tee")
        }
    };
    tap.link(&reader.static_pad("sink").expect("a sink")).expect("fits");
    let buffers = Arc::new(Mutex::new(Vec::new()));
    let to = buffers.clone();
    let pad = reader.by_name("end").and_then(|end| end.static_pad("sink")).expect("a sink");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().and_then(|buffer| buffer.map_readable().ok());
        to.lock().expect("never poisoned").push(buffer.expect("readable").to_vec());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let bus = pipeline.bus().expect("a bus");
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(LIMIT, &types);
    pipeline.set_state(gst::State::Null).expect("it stops");
    let message = message.expect("it ends");
    if let gst::MessageView::Error(error) = message.view() {
        panic!("{:?} {end:?}: {} {:?}", chain.codec, error.error(), error.debug());
    }
    std::mem::take(&mut *buffers.lock().expect("never poisoned"))
}

/// The corner in which the time stands, of a grey picture.
fn corner(picture: &[u8]) -> Vec<u8> {
    picture.chunks(WIDTH).take(HEIGHT / 4).flat_map(|row| row[..WIDTH / 2].to_vec()).collect()
}

/// Whether something stands in the corner of a black picture (black is 16, text 235).
fn is_written(picture: &[u8]) -> bool {
    corner(picture).iter().any(|luma| *luma > 128)
}

fn assert_pictures(pictures: &[Vec<u8>], written: bool, what: &str) {
    // The grid may find a slot short at either end.
    assert!(pictures.len() + 1 >= PICTURES, "{what}: {} pictures", pictures.len());
    for picture in pictures {
        assert_eq!(is_written(picture), written, "{what}: the time in the picture");
    }
    let mut corners: Vec<_> = pictures.iter().map(|picture| corner(picture)).collect();
    corners.dedup();
    let changes = if written { pictures.len() } else { 1 };
    assert_eq!(corners.len(), changes, "{what}: the time goes on");
}

fn assert_tone(buffers: &[Vec<u8>], what: &str) {
    let samples: usize = buffers.iter().map(|buffer| buffer.len() / 2).sum();
    let loud = buffers.iter().flatten().any(|byte| *byte != 0);
    // 20 packets of 960 samples, but for the codec's delay at the ends.
    assert!(samples > 17 * 960 && loud, "{what}: {samples} samples, sound: {loud}");
}

#[test]
fn every_mode_sends_every_codec_with_and_without_the_time_in_the_picture() {
    let rig = Rig::embedded();
    for mode in MODES {
        let effects = rig.mode(mode).effects;
        for codec in [Codec::Opus, Codec::H264, Codec::Vp8] {
            for overlay in [false, true] {
                let what = format!("{mode:?}, {codec:?}, overlay: {overlay}");
                let chain = rig.build(mode, codec, Values { overlay, ..rig.values() });
                assert_eq!(chain.fx().is_some(), effects, "{what}");
                let media = pass(&chain, End::Sent);
                match codec.kind() {
                    Kind::Audio => assert_tone(&media, &what),
                    Kind::Video => assert_pictures(&media, overlay && effects, &what),
                }
            }
        }
    }
}

#[test]
fn every_mode_records_what_its_file_says() {
    let rig = Rig::embedded();
    for mode in MODES {
        let Mode { layout, effects, .. } = *rig.mode(mode);
        for codec in [Codec::Opus, Codec::H264, Codec::Vp8] {
            for (tee, there, written) in [
                ("dry", layout != Layout::None, false),
                ("wet", layout != Layout::None && effects, true),
            ] {
                let what = format!("{mode:?}, {codec:?}, {tee}");
                let build = || rig.build(mode, codec, Values { overlay: true, ..rig.values() });
                assert_eq!(build().tap(tee).is_some(), there, "{what}");
                if there {
                    let media = pass(&build(), End::Tee(tee));
                    match codec.kind() {
                        Kind::Audio => assert_tone(&media, &what),
                        Kind::Video => assert_pictures(&media, written, &what),
                    }
                }
            }
        }
    }
}

#[test]
fn an_encoder_that_works_rests_until_the_run_begins() {
    let rig = Rig::embedded();
    for codec in [Codec::H264, Codec::Vp8] {
        for (begins_at, sent) in [(None, 1), (Some(1), PICTURES), (Some(4), 1 + PICTURES - 3)] {
            // This mode has no grid, which might repeat a picture.
            let chain = Arc::new(rig.build(RecordingMode::Free, codec, rig.values()));
            let changed = chain.fx().and_then(|fx| fx.static_pad("src")).expect("an effect");
            let (begun, pictures) = (Arc::downgrade(&chain), Mutex::new(0));
            changed.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let mut pictures = pictures.lock().expect("never poisoned");
                *pictures += 1;
                if begins_at == Some(*pictures)
                    && let Some(chain) = begun.upgrade()
                {
                    chain.begin(gst::ClockTime::ZERO);
                }
                gst::PadProbeReturn::Ok
            });
            let what = format!("{codec:?}, begun with picture {begins_at:?}");
            assert_eq!(play(&chain, End::Sent).len(), sent, "{what}");
        }
    }
}

#[test]
fn only_what_is_chosen_for_the_gpu_is_described_for_it() {
    let rig = Rig::embedded();
    for mode in MODES {
        let mode = rig.mode(mode);
        for codec in [Codec::Opus, Codec::H264, Codec::Vp8] {
            for by_codec in [Device::Cpu, Device::Gpu] {
                for by_scale in [Device::Cpu, Device::Gpu] {
                    let devices = Devices { codec: by_codec, scale: by_scale };
                    let values = Values { devices, ..rig.values() };
                    let text = rig.pipelines.describe(mode, codec, values).expect("described");
                    let codes = mode.effects && codec == Codec::H264 && by_codec == Device::Gpu;
                    let scales =
                        mode.effects && codec.kind() == Kind::Video && by_scale == Device::Gpu;
                    assert_eq!(text.contains("nvh264enc"), codes, "{text}");
                    assert_eq!(text.contains("nvh264dec"), codes, "{text}");
                    assert_eq!(text.contains("cudascale"), scales, "{text}");
                    assert!(!codes || text.contains("zerolatency=true"), "gst.yml counts: {text}");
                }
            }
        }
    }
}

/// The chains for a GPU, with elements of the CPU in the place of those that need one: everything
/// but the elements themselves is what a GPU would get.
#[test]
fn the_chains_for_a_gpu_fit_together() {
    let embedded = include_str!("../../../../pipelines/codecs.yml");
    let mut text = embedded.to_owned();
    for (gpu, stand_in) in [
        ("nvh264dec max-display-delay=0", "avdec_h264 max-threads=1"),
        (
            "nvh264enc name=encoder rc-mode=cbr aud=false {{nv264}}",
            "x264enc name=encoder tune=zerolatency",
        ),
        ("format=NV12", "format=I420"),
        ("cudaupload ! cudascale ! cudaconvert", "videoscale ! videoconvert"),
        ("(memory:CUDAMemory)", ""),
        ("! cudadownload", "! identity"),
    ] {
        assert!(text.contains(gpu), "codecs.yml has changed: no {gpu}");
        text = text.replace(gpu, stand_in);
    }
    let working = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(working.path().join("pipelines")).expect("created");
    std::fs::write(working.path().join("pipelines/codecs.yml"), text).expect("written");
    let rig = Rig::new(working.path());
    for mode in MODES.into_iter().filter(|mode| rig.mode(*mode).effects) {
        for codec in [Codec::H264, Codec::Vp8] {
            let values = Values { devices: GPU, overlay: true, ..rig.values() };
            let media = pass(&rig.build(mode, codec, values), End::Sent);
            assert_pictures(&media, true, &format!("{mode:?}, {codec:?}"));
        }
    }
}

#[test]
fn what_stands_in_gst_yml_reaches_every_encoder() {
    let mut rig = Rig::embedded();
    for (section, name, value) in [
        ("x264", "key-int-max", "77"),
        ("vp8", "max-quantizer", "33"),
        ("opus", "frame-size", "10"),
    ] {
        let section = rig.elements.get_mut(section).expect("a section");
        section.insert(name.to_owned(), value.to_owned());
    }
    let set = |codec, name: &str| {
        let chain = rig.build(RecordingMode::Forced, codec, rig.values());
        let encoder = chain.bin.by_name("encoder").expect("an encoder");
        encoder.property_value(name).serialize().expect("a text").to_string()
    };
    assert_eq!(set(Codec::H264, "key-int-max"), "77");
    assert_eq!(set(Codec::H264, "speed-preset"), "ultrafast");
    assert_eq!(set(Codec::Vp8, "max-quantizer"), "33", "wins over pipelines/");
    assert_eq!(set(Codec::Vp8, "cpu-used"), "-8");
    assert_eq!(set(Codec::Opus, "frame-size"), "10");
}

#[test]
fn a_property_that_the_encoder_does_not_have_is_named() {
    let mut rig = Rig::embedded();
    let section = rig.elements.get_mut("x264").expect("a section");
    section.insert("no-such-thing".to_owned(), "1".to_owned());
    let mode = rig.mode(RecordingMode::Forced);
    let error = Chain::build(&rig.pipelines, mode, Codec::H264, rig.values());
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("config/gst.yml") && error.contains("no-such-thing"), "{error}");
}

/// A tone as a browser sends it, in packets of 20 ms.
fn tone(packets: u32) -> Vec<gst::Buffer> {
    let mut harness = gst_check::Harness::new_parse(&format!(
        "audiotestsrc num-buffers={packets} samplesperbuffer=960 freq=1000 \
         ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111"
    ));
    harness.play();
    (0..packets).map(|_| harness.pull().expect("a packet")).collect()
}

/// The powers of pieces of 20 ms of a decoded stream, in the order of time.
fn powers(packets: Vec<gst::Buffer>) -> Vec<f64> {
    let mut harness = gst_check::Harness::new("opusdec");
    harness.set_src_caps_str("audio/x-opus,rate=48000,channels=1,channel-mapping-family=0");
    let mut samples = Vec::new();
    for packet in packets {
        harness.push(packet).expect("taken");
        while let Some(raw) = harness.try_pull() {
            let bytes = raw.map_readable().expect("readable");
            let (pairs, _) = bytes.as_chunks::<2>();
            samples.extend(pairs.iter().map(|pair| f64::from(i16::from_ne_bytes(*pair))));
        }
    }
    let power = |piece: &[f64]| piece.iter().map(|sample| sample * sample).sum::<f64>();
    samples.chunks_exact(960).map(power).collect()
}

#[test]
fn sound_that_never_came_is_made_up_for_the_files_and_left_to_the_receivers_to_make_up() {
    let rig = Rig::embedded();
    let stamp = |packet: &gst::BufferRef| {
        let bytes = packet.map_readable().expect("readable");
        u32::from_be_bytes(*bytes[4..].first_chunk().expect("RTP"))
    };
    for (fx, withheld) in
        [("volume volume=0.5 name=voice", vec![20, 30, 31]), ("pitch pitch=1.1 name=voice", vec![])]
    {
        let chain = rig.build(RecordingMode::Forced, Codec::Opus, rig.values());
        chain.fx().expect("a slot").set_property("fx", fx);
        chain.begin(gst::ClockTime::ZERO);
        let wet = Arc::new(Mutex::new(Vec::new()));
        let to = wet.clone();
        let tee = chain.bin.by_name("wet").and_then(|tee| tee.static_pad("sink")).expect("a tee");
        tee.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            to.lock().expect("never poisoned").extend(info.buffer().cloned());
            gst::PadProbeReturn::Ok
        });
        let mut harness = gst_check::Harness::with_element(&chain.bin, Some("sink"), Some("src"));
        let caps = "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111";
        harness.set_src_caps_str(caps);
        let length = 20_000_000_u64;
        for (place, packet) in (0..).zip(tone(50)) {
            if ![20, 30, 31].contains(&place) {
                harness.push(packet).expect("taken");
                continue;
            }
            let lost = gst::Structure::builder("GstRTPPacketLost")
                .field("seqnum", 0_u32)
                .field("timestamp", place * length)
                .field("duration", length);
            harness.push_event(gst::event::CustomDownstream::new(lost.build()));
        }
        let sent: Vec<u32> =
            std::iter::from_fn(|| harness.try_pull()).map(|packet| stamp(&packet)).collect();
        let wet = std::mem::take(&mut *wet.lock().expect("never poisoned"));
        let first = *sent.first().expect("something is sent");
        let all: Vec<u32> = (0..wet.len() as u32).filter(|n| !withheld.contains(n)).collect();
        let place = |stamp: &u32| (stamp.wrapping_sub(first) + 480) / 960;
        let sent: Vec<u32> = sent.iter().map(place).collect();
        assert_eq!(sent, all, "{fx}");
        assert!(wet.len() > 40, "{fx}: {} packets", wet.len());
        let powers = powers(wet);
        let usual = powers[10];
        for (piece, power) in powers.iter().enumerate().skip(10) {
            // What is made up fades, but is not silent.
            assert!(*power > usual / 10.0, "{fx}: {piece}: {power} of {usual}");
        }
    }
}
