// SPDX-License-Identifier: MPL-2.0

//! What the packets that were received hold, read when everything is over: which picture, how
//! bright; which samples. Each at its RTP timestamp.

use super::clip::{PACKET, Voice};
use crate::counts::Format;
use crate::recordings::picture::{self, Plane};
use crate::recordings::sound::RATE;
use anyhow::Context as _;
use gst_app::{AppSink, AppSrc};
use gst_video::prelude::*;

/// RTP units a second of pictures (RFC 6184, RFC 7741).
pub(crate) const VIDEO_RATE: u32 = 90_000;

/// An RTP packet as it came.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ssrc: u32,
    pub(crate) timestamp: u32,
    /// The time that it bears, in s; of no meaning but its differences.
    pub(crate) time: f64,
}

impl Packet {
    /// Takes it; `None` if it has no header or no time.
    pub(crate) fn new(buffer: &gst::BufferRef) -> Option<Self> {
        let bytes = buffer.map_readable().ok()?.to_vec();
        let (header, _) = bytes.split_first_chunk::<12>()?;
        let [.., t, i, m, e, a, b, c, d] = *header;
        let time = buffer.pts()?.nseconds() as f64 / 1e9;
        let (ssrc, timestamp) =
            (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([t, i, m, e]));
        Some(Self { ssrc, timestamp, bytes, time })
    }
}

/// How many units `timestamp` is behind `origin`, across the end of the numbers.
pub(crate) fn since(timestamp: u32, origin: u32) -> i64 {
    i64::from(timestamp.wrapping_sub(origin).cast_signed())
}

/// What is seen in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Seen {
    pub(crate) timestamp: u32,
    pub(crate) number: Option<u16>,
    /// Mean brightness of its field.
    pub(crate) luma: f64,
}

/// Decodes pictures.
///
/// # Errors
/// When they cannot be decoded at all.
pub(crate) fn look(format: Format, packets: &[Packet]) -> anyhow::Result<Vec<Seen>> {
    let (name, decode) = match format {
        Format::H264 => (
            "H264",
            "rtph264depay ! h264parse \
             ! avdec_h264 thread-type=slice max-threads=1 std-compliance=normal",
        ),
        Format::Vp8 => ("VP8", "rtpvp8depay ! vp8dec threads=1"),
    };
    let description = format!(
        "appsrc name=in format=time max-bytes=0 caps=application/x-rtp,media=video,payload=96,\
         clock-rate={VIDEO_RATE},encoding-name={name} ! {decode} \
         ! videoconvert ! video/x-raw,format=I420 ! appsink name=out sync=false max-buffers=8"
    );
    let origin = packets.first().context("no packets of pictures")?.timestamp;
    let mut seen = Vec::new();
    decode_all(&description, packets, VIDEO_RATE, |units, sample| {
        let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
        let frame =
            gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
        let plane = Plane {
            width: info.width() as usize,
            height: info.height() as usize,
            stride: usize::try_from(*frame.plane_stride().first()?).ok()?,
        };
        let picture::Seen { luma, number } = picture::read(plane, frame.plane_data(0).ok()?);
        // A timestamp wraps, as it does on its way.
        let timestamp = origin.wrapping_add(units as u32);
        seen.push(Seen { timestamp, number, luma });
        Some(())
    })?;
    Ok(seen)
}

/// Decodes sound: its samples, from the first packet's timestamp on; what is missing is silent.
///
/// # Errors
/// When it cannot be decoded at all.
pub(crate) fn hear(packets: &[Packet]) -> anyhow::Result<Vec<f32>> {
    let description = format!(
        "appsrc name=in format=time max-bytes=0 caps=application/x-rtp,media=audio,payload=96,\
         clock-rate={RATE},encoding-name=OPUS ! rtpopusdepay ! opusdec ! audioconvert \
         ! audio/x-raw,format=F32LE,rate={RATE},channels=1 ! appsink name=out sync=false max-buffers=8"
    );
    let mut samples = Vec::new();
    decode_all(&description, packets, RATE, |units, sample| lay(&mut samples, units, sample))?;
    Ok(samples)
}

/// What who decodes a voice hears.
///
/// # Errors
/// When it cannot be decoded.
pub(crate) fn decode(voice: &Voice) -> anyhow::Result<Vec<f32>> {
    // Without the encoder's header, as it is behind RTP: nothing is cut off at the beginning.
    let description = format!(
        "appsrc name=in format=time max-bytes=0 caps=audio/x-opus,rate={RATE},channels=1,\
         channel-mapping-family=0 ! opusdec ! audioconvert \
         ! audio/x-raw,format=F32LE,rate={RATE},channels=1 ! appsink name=out sync=false max-buffers=8"
    );
    let pieces = voice.packets.iter().enumerate();
    let pieces: Vec<(gst::Buffer, u64)> =
        pieces.map(|(place, packet)| (packet.bytes.copy(), (place * PACKET) as u64)).collect();
    let mut samples = Vec::new();
    run(&description, pieces, RATE, |units, sample| lay(&mut samples, units, sample))?;
    Ok(samples)
}

/// Puts decoded sound where it belongs.
fn lay(samples: &mut Vec<f32>, units: i64, sample: &gst::Sample) -> Option<()> {
    let bytes = sample.buffer()?.map_readable().ok()?;
    let piece = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let (begin, piece): (usize, Vec<f32>) = (usize::try_from(units).ok()?, piece.collect());
    let end = begin + piece.len();
    samples.resize(samples.len().max(end), 0.0);
    samples[begin..end].copy_from_slice(&piece);
    Some(())
}

/// Decodes packets in order; `take` gets each result and its RTP units since the first packet.
fn decode_all(
    description: &str,
    packets: &[Packet],
    rate: u32,
    take: impl FnMut(i64, &gst::Sample) -> Option<()>,
) -> anyhow::Result<()> {
    let origin = packets.first().context("no packets")?.timestamp;
    let pieces = packets.iter().map(|packet| {
        let units = u64::try_from(since(packet.timestamp, origin)).unwrap_or_default();
        (gst::Buffer::from_mut_slice(packet.bytes.clone()), units)
    });
    run(description, pieces.collect(), rate, take)
}

fn run(
    description: &str,
    pieces: Vec<(gst::Buffer, u64)>,
    rate: u32,
    mut take: impl FnMut(i64, &gst::Sample) -> Option<()>,
) -> anyhow::Result<()> {
    let pipeline = super::Running::new(description)?;
    let (source, sink) = (pipeline.part::<AppSrc>("in")?, pipeline.part::<AppSink>("out")?);
    pipeline.play()?;
    for (mut bytes, units) in pieces {
        if let Some(bytes) = bytes.get_mut() {
            // Rounded up, so that the way back rounds to the same.
            let time = (units * 1_000_000_000).div_ceil(rate.into());
            bytes.set_pts(gst::ClockTime::from_nseconds(time));
            bytes.set_dts(gst::ClockTime::NONE);
        }
        source.push_buffer(bytes)?;
    }
    source.end_of_stream()?;
    let bus = pipeline.0.bus().context("a pipeline without a bus")?;
    while let Ok(sample) = sink.pull_sample() {
        if let Some(time) = sample.buffer().and_then(|buffer| buffer.pts()) {
            let units = (time.nseconds() as f64 * f64::from(rate) / 1e9).round() as i64;
            take(units, &sample);
        }
    }
    match bus.pop_filtered(&[gst::MessageType::Error]).as_deref().map(gst::MessageRef::view) {
        Some(gst::MessageView::Error(error)) => {
            anyhow::bail!("{} {:?}", error.error(), error.debug())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::clip::Sounds;

    #[test]
    fn who_decodes_a_voice_hears_its_chirps() {
        gst::init().expect("GStreamer");
        let voice = Voice::new(Sounds::Chirps).expect("an encoder");
        let samples = decode(&voice).expect("a decoder");
        let whole = voice.packets.len() * PACKET;
        assert!((whole - PACKET..=whole).contains(&samples.len()), "{}", samples.len());
        let chirps = crate::live::exact(&samples);
        assert!(chirps.len() > 120, "{}", chirps.len());
        // The same through RTP, whose timestamps begin anew on the way.
        let packets: Vec<Packet> = (0_u32..)
            .zip(&voice.packets)
            .map(|(place, packet)| {
                let timestamp = (place * 960).wrapping_sub(96_000);
                let mut bytes = vec![0x80, 96, (place >> 8) as u8, place as u8];
                bytes.extend(timestamp.to_be_bytes());
                bytes.extend([0, 0, 0, 7]);
                bytes.extend(packet.bytes.map_readable().expect("bytes").iter());
                Packet { bytes, ssrc: 7, timestamp, time: 0.0 }
            })
            .collect();
        assert_eq!(crate::live::exact(&hear(&packets).expect("a decoder")), chirps);
    }
}
