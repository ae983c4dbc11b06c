// SPDX-License-Identifier: MPL-2.0

//! The floor: what the codecs and the effect alone cost. One `gst-launch-1.0` that takes the same
//! packets as the server, live, from sockets, and does for each participant no more than
//! depay ! decode ! effect ! encode ! pay, with the settings of config/gst.yml. It holds no
//! connections, encrypts nothing, forwards nothing, records nothing, and controls nothing.

use super::media::{Camera, Clip, Media};
use super::processes::Family;
use crate::counts::{Format, Running};
use anyhow::Context as _;
use gst::prelude::*;
use gst_app::AppSrc;
use std::net::UdpSocket;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Longest wait until it takes packets.
const READY: std::time::Duration = std::time::Duration::from_secs(20);

/// A floor at work; ends with its scope.
#[derive(Debug)]
pub(crate) struct Floor {
    process: Child,
    _senders: Vec<Running>,
}

/// The encoder of pictures, as the server has it.
pub(crate) fn encoder(format: Format, bitrate: u32) -> String {
    match format {
        Format::H264 => format!(
            "x264enc tune=zerolatency aud=false speed-preset=ultrafast threads=1 key-int-max=250 \
             bitrate={} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au",
            bitrate / 1000
        ),
        Format::Vp8 => format!(
            "vp8enc lag-in-frames=0 end-usage=cbr max-quantizer=56 undershoot=95 overshoot=15 \
             buffer-initial-size=300 buffer-optimal-size=400 buffer-size=600 \
             error-resilient=default static-threshold=1 deadline=1 cpu-used=8 threads=1 \
             keyframe-max-dist=250 target-bitrate={bitrate}"
        ),
    }
}

/// The decoder of pictures, as the server has it.
pub(crate) fn decoder(format: Format) -> &'static str {
    match format {
        Format::H264 => "avdec_h264 thread-type=slice max-threads=1 std-compliance=normal",
        Format::Vp8 => "vp8dec threads=1",
    }
}

/// What a participant costs at least: both of its chains, from sockets at these ports.
fn chains(camera: Camera, effect: &str, bitrate: u32, [sound, pictures]: [u16; 2]) -> String {
    let Camera { format, framerate, .. } = camera;
    let (name, depay, pay) = match format {
        Format::H264 => ("H264", "rtph264depay ! h264parse", "rtph264pay"),
        Format::Vp8 => ("VP8", "rtpvp8depay", "rtpvp8pay"),
    };
    let (decoder, encoder) = (decoder(format), encoder(format, bitrate));
    format!(
        "udpsrc port={sound} caps=application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111 \
         ! rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,channels=1 ! {effect} ! audioconvert \
         ! opusenc audio-type=voice frame-size=20 inband-fec=true bitrate=64000 \
         ! rtpopuspay ! fakesink sync=false async=false \
         udpsrc port={pictures} caps=application/x-rtp,media=video,clock-rate=90000,encoding-name={name},payload=102 \
         ! {depay} ! {decoder} ! capssetter caps=video/x-raw,framerate={framerate}/1 ! {encoder} \
         ! {pay} mtu=1200 ! fakesink sync=false async=false "
    )
}

impl Floor {
    /// Starts one for `participants`, and what they send.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(
        participants: usize,
        media: &Media,
        camera: Camera,
        effect: &str,
        bitrate: u32,
    ) -> anyhow::Result<Self> {
        let mut launch = String::new();
        let mut ports = Vec::new();
        for _ in 0..participants {
            let port = || UdpSocket::bind("127.0.0.1:0");
            // Both at once, so that they differ; free again when it is known which.
            let (sound, pictures) = (port()?, port()?);
            let pair = [sound.local_addr()?.port(), pictures.local_addr()?.port()];
            launch += &chains(camera, effect, bitrate, pair);
            ports.push(pair);
        }
        let process = Command::new("gst-launch-1.0")
            .arg("-q")
            .args(launch.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("gst-launch-1.0")?;
        let mut floor = Self { process, _senders: Vec::new() };
        floor.wait(&ports)?;
        for [sound, pictures] in ports {
            let payer = match camera.format {
                Format::H264 => {
                    "rtph264pay pt=102 mtu=1200 aggregate-mode=zero-latency config-interval=-1"
                }
                Format::Vp8 => "rtpvp8pay pt=102 mtu=1200 picture-id-mode=15-bit",
            };
            floor._senders.push(send(&media.sound, "rtpopuspay pt=111", sound)?);
            floor._senders.push(send(&media.pictures, payer, pictures)?);
        }
        Ok(floor)
    }

    /// Until all its sockets are open: whoever sends earlier loses the one keyframe.
    fn wait(&mut self, ports: &[[u16; 2]]) -> anyhow::Result<()> {
        let since = std::time::Instant::now();
        let is_open = |port: &u16| UdpSocket::bind(("0.0.0.0", *port)).is_err();
        while !ports.iter().flatten().all(is_open) {
            anyhow::ensure!(since.elapsed() < READY, "gst-launch-1.0 opens no sockets");
            anyhow::ensure!(self.process.try_wait()?.is_none(), "gst-launch-1.0 ended");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(())
    }

    /// What it has used.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn look(&mut self) -> anyhow::Result<Family> {
        anyhow::ensure!(self.process.try_wait()?.is_none(), "gst-launch-1.0 ended");
        Family::of(self.process.id())
    }
}

/// Sends a clip to a port, each piece at its time.
fn send(clip: &Arc<Clip>, payer: &str, port: u16) -> anyhow::Result<Running> {
    let launch = format!(
        "appsrc name=source ! clocksync ! {payer} ! udpsink host=127.0.0.1 port={port} sync=false async=false"
    );
    let pipeline = gst::parse::launch(&launch)?.downcast::<gst::Pipeline>();
    let running = Running(pipeline.map_err(|_| anyhow::anyhow!("no pipeline"))?);
    let source = running.0.by_name("source").context("no source")?;
    clip.play(&source.downcast::<AppSrc>().map_err(|_| anyhow::anyhow!("no appsrc"))?);
    running.0.set_state(gst::State::Playing)?;
    Ok(running)
}

impl Drop for Floor {
    fn drop(&mut self) {
        // It is gone already, or it goes now.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
