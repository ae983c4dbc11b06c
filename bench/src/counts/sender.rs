// SPDX-License-Identifier: MPL-2.0

//! One participant who sees themselves, and an exact account of what left them.

use super::ledger::{Piece, Sent};
use super::packet::{Rtp, Shape, mark};
use anyhow::Context as _;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for the door, in ms: what is counted here is not the door.
const JOIN: u32 = 30_000;
/// What may pass besides the interaction itself: joining, and the farewell.
const BESIDES: Duration = Duration::from_secs(90);
/// Pictures between two keyframes that nobody asked for: nearly never, as in browsers.
const KEYS: u32 = 3000;

/// What pictures are encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// H.264.
    #[value(name = "h264")]
    H264,
    /// VP8.
    Vp8,
}

impl Format {
    /// As the protocol calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::H264 => "H264",
            Self::Vp8 => "VP8",
        }
    }

    fn shape(self) -> Shape {
        match self {
            Self::H264 => Shape::StartCodes,
            Self::Vp8 => Shape::Whole,
        }
    }

    fn encoder(self) -> String {
        match self {
            Self::H264 => format!(
                "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max={KEYS} \
                 aud=false bitrate=600 \
                 ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"
            ),
            Self::Vp8 => format!(
                "vp8enc deadline=1 cpu-used=8 threads=1 lag-in-frames=0 end-usage=cbr \
                 keyframe-max-dist={KEYS} target-bitrate=600000"
            ),
        }
    }
}

/// What they do.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    /// What they send.
    pub(crate) format: Format,
    /// How many of these a second.
    pub(crate) framerate: u32,
    /// Of which sizes, for the same time each.
    pub(crate) sizes: Vec<(u32, u32)>,
    /// How long, in s.
    pub(crate) duration: u32,
    /// Other options of the join.
    pub(crate) options: Vec<(&'static str, String)>,
}

/// What left them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// Sound.
    pub(crate) sound: Track,
    /// Pictures.
    pub(crate) picture: Track,
}

/// One stream of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Track {
    /// Its SSRC.
    pub(crate) ssrc: u32,
    /// The SSRC of its repetitions; 0 without any.
    pub(crate) repetitions: u32,
    /// All of it.
    pub(crate) sent: Sent,
    /// Pictures that were encoded in the meantime and never sent.
    pub(crate) left_out: usize,
    /// The PTS of the latest piece.
    latest: Option<gst::ClockTime>,
}

/// What probes write down.
#[derive(Debug, Default)]
struct Notes {
    account: Account,
    /// Encoded pictures on their way to their packets: mark and whether it is a key, by PTS.
    coded: BTreeMap<gst::ClockTime, (u64, bool)>,
}

type Notebook = Arc<Mutex<Notes>>;

fn open(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pipeline that ends with its scope.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Takes part at `uri` until the server says that it is over.
///
/// # Errors
/// When they cannot join, or are thrown out.
pub(crate) fn take_part(uri: &str, scene: &Scene) -> anyhow::Result<Account> {
    let launch = format!(
        "ducksouppeer name=peer output=rtp connect-timeout={JOIN} \
         audiotestsrc is-live=true wave=pink-noise volume=0.3 samplesperbuffer=960 \
         ! audio/x-raw,rate=48000,channels=1 ! peer.audio_sink \
         videotestsrc is-live=true pattern=ball ! capsfilter name=size ! {} \
         ! identity name=coded ! peer.video_sink",
        scene.format.encoder()
    );
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let running = Running(pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?);
    let pipeline = &running.0;
    let part = |name: &str| pipeline.by_name(name).with_context(|| format!("no {name}"));
    let (peer, size) = (part("peer")?, part("size")?);
    let signaller = peer.property::<glib::Object>("signaller");
    signaller.set_property("uri", uri);
    for (name, value) in &scene.options {
        signaller.set_property_from_str(name, value);
    }
    let show = |number: usize| {
        let (width, height) = scene.sizes[number % scene.sizes.len()];
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width.cast_signed())
            .field("height", height.cast_signed())
            .field("framerate", gst::Fraction::new(scene.framerate.cast_signed(), 1))
            .build();
        size.set_property("caps", caps);
    };
    show(0);
    let notes = Notebook::default();
    let coded = part("coded")?.static_pad("src").context("no pad")?;
    note_pictures(&coded, scene.format.shape(), &notes);
    note_packets(peer.downcast_ref::<gst::Bin>().context("no bin")?, &notes);
    let bus = pipeline.bus().context("no bus")?;
    pipeline.set_state(gst::State::Playing)?;
    watch(&bus, scene, show)?;
    drop(running);
    let account = open(&notes).account.clone();
    Ok(account)
}

/// Until the end was told; the sizes follow each other from the start on.
fn watch(bus: &gst::Bus, scene: &Scene, show: impl Fn(usize)) -> anyhow::Result<()> {
    let length = Duration::from_secs(scene.duration.into());
    let step = length / u32::try_from(scene.sizes.len())?;
    let until = Instant::now() + length + BESIDES;
    let mut next: Option<(Instant, usize)> = None;
    loop {
        anyhow::ensure!(Instant::now() < until, "the server never said end");
        if let Some((due, number)) = next
            && Instant::now() >= due
        {
            show(number);
            next = (number + 1 < scene.sizes.len()).then_some((due + step, number + 1));
        }
        let kinds = [gst::MessageType::Element, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(gst::ClockTime::from_mseconds(20), &kinds)
        else {
            continue;
        };
        if let gst::MessageView::Error(error) = message.view() {
            anyhow::bail!("{} {:?}", error.error(), error.debug());
        }
        match message.structure().map(|said| said.name().as_str()) {
            Some("ducksouppeer-start") if scene.sizes.len() > 1 => {
                next = Some((Instant::now() + step, 1));
            }
            Some("ducksouppeer-end") => return Ok(()),
            _ => {}
        }
    }
}

fn note_pictures(pad: &gst::Pad, shape: Shape, notes: &Notebook) {
    let notes = Arc::clone(notes);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer()
            && let (Some(pts), Ok(bytes)) = (buffer.pts(), buffer.map_readable())
        {
            let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
            open(&notes).coded.insert(pts, (mark(shape, &bytes), is_key));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Which packets are looked at.
#[derive(Debug, Clone, Copy)]
enum Which {
    Sound,
    Picture,
    /// All that leave, repetitions among them.
    All,
}

/// Looks at the places inside a `ducksouppeer` that packets pass: the ends of what makes them
/// (docs of its `sending.rs`), and webrtcbin's element that repeats them.
fn note_packets(peer: &gst::Bin, notes: &Notebook) {
    let notes = Arc::clone(notes);
    peer.connect_deep_element_added(move |_, parent, element| {
        let is_repeater = element.factory().is_some_and(|factory| factory.name() == "rtprtxsend");
        let (pad, which) = match (element.name().as_str(), parent.name().as_str()) {
            ("packets", "audio-tail") => ("sink", Which::Sound),
            ("packets", "video-tail") => ("sink", Which::Picture),
            _ if is_repeater => ("src", Which::All),
            _ => return,
        };
        let Some(pad) = element.static_pad(pad) else { return };
        let notes = Arc::clone(&notes);
        let media = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(media, move |_, info| {
            let mut notes = open(&notes);
            match &info.data {
                Some(gst::PadProbeData::Buffer(packet)) => notes.take(which, packet),
                Some(gst::PadProbeData::BufferList(packets)) => {
                    packets.iter().for_each(|packet| notes.take(which, packet));
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        });
    });
}

impl Notes {
    fn take(&mut self, which: Which, packet: &gst::BufferRef) {
        let Ok(bytes) = packet.map_readable() else { return };
        let Some(rtp) = Rtp::parse(&bytes) else { return };
        let Account { sound, picture } = &mut self.account;
        match which {
            Which::Sound => {
                sound.ssrc = rtp.ssrc;
                let mark = mark(Shape::Whole, rtp.payload);
                let packets = vec![rtp.number];
                let piece = Piece { mark, is_key: true, after_hole: false, packets };
                sound.sent.pieces.push(piece);
            }
            Which::Picture => {
                picture.ssrc = rtp.ssrc;
                if picture.latest == packet.pts()
                    && let Some(piece) = picture.sent.pieces.last_mut()
                {
                    piece.packets.push(rtp.number);
                    return;
                }
                picture.latest = packet.pts();
                let Some(pts) = packet.pts() else { return };
                // What is still there from before has been left out, by a queue that was full.
                let later = self.coded.split_off(&pts);
                let left_out = std::mem::replace(&mut self.coded, later).len();
                let (mark, is_key) = self.coded.remove(&pts).unwrap_or_default();
                let after_hole = left_out > 0 && !picture.sent.pieces.is_empty();
                picture.left_out += if after_hole { left_out } else { 0 };
                let packets = vec![rtp.number];
                picture.sent.pieces.push(Piece { mark, is_key, after_hole, packets });
            }
            Which::All if rtp.ssrc != sound.ssrc && rtp.ssrc != picture.ssrc => {
                picture.repetitions = rtp.ssrc;
                if let Some(number) = rtp.repeated() {
                    picture.sent.repeated.insert(rtp.number, number);
                }
            }
            Which::All => {}
        }
    }
}
