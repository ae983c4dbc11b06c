// SPDX-License-Identifier: MPL-2.0

//! Who works on the GPU and who on the CPU. A flag is a wish: what counts is what the probe
//! ([`probe`]) saw. What cannot be had on the GPU is done on the CPU, and the log says why.

pub mod probe;

use ducksoup_signaller::protocol::VideoFormat;

/// Smallest pictures that NVENC takes: the caps of `nvh264enc` begin there.
const SMALLEST: (u32, u32) = (145, 49);

/// Who does a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Device {
    /// The processor, always there.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Gpu,
}

/// Who does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Devices {
    /// Encoding and decoding H.264.
    pub codec: Device,
    /// Scaling and converting raw pictures.
    pub scale: Device,
}

/// What a participant's pictures ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// Its option `gpu`.
    pub gpu: bool,
    /// Whether there is a picture at all, and the mode decodes and encodes it again.
    pub reencodes: bool,
    /// What it is encoded as.
    pub format: VideoFormat,
    /// Width and height after scaling.
    pub size: (u32, u32),
}

/// What the operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// `DUCKSOUP_NVCODEC`.
    pub codec: bool,
    /// `DUCKSOUP_NVCUDA`.
    pub scale: bool,
}

/// What a probe saw.
pub type Finding = Result<(), String>;

/// What the probes saw of this machine. Nothing is known of what the operator does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Encoding and decoding H.264.
    pub codec: Option<Finding>,
    /// Scaling and converting raw pictures.
    pub scale: Option<Finding>,
}

/// Why something that was wished for is done on the CPU.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The operator allows neither use.
    #[error("neither DUCKSOUP_NVCODEC nor DUCKSOUP_NVCUDA is true")]
    NotAllowed,
    /// What is left to the GPU is no part of this picture's way.
    #[error("the GPU encodes H264 only, and DUCKSOUP_NVCUDA is not true")]
    Format,
    /// NVENC cannot take it.
    #[error("the GPU encodes no picture smaller than {}×{}", SMALLEST.0, SMALLEST.1)]
    Size,
    /// The elements are missing, or do not work.
    #[error("H264 cannot be encoded and decoded on a GPU here: {0}")]
    Codec(String),
    /// The elements are missing, or do not work.
    #[error("pictures cannot be scaled on a GPU here: {0}")]
    Scale(String),
}

/// Who does what for a participant, and why not as wished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Who does what.
    pub devices: Devices,
    /// What is not as wished.
    pub refusals: Vec<Refusal>,
}

/// Whether what the probes say could make a difference for this wish.
#[must_use]
pub fn needs_probe(wish: Wish, allowed: Allowed) -> bool {
    wish.gpu && wish.reencodes && (allowed.codec || allowed.scale)
}

/// Decides who does what.
#[must_use]
pub fn choose(wish: Wish, allowed: Allowed, findings: &Findings) -> Choice {
    let mut choice = Choice::default();
    if !wish.gpu || !wish.reencodes {
        return choice;
    }
    if !allowed.codec && !allowed.scale {
        choice.refusals.push(Refusal::NotAllowed);
        return choice;
    }
    if allowed.codec {
        match judge_codec(wish, allowed, findings.codec.as_ref()) {
            Ok(device) => choice.devices.codec = device,
            Err(refusal) => choice.refusals.push(refusal),
        }
    }
    if allowed.scale {
        match &findings.scale {
            Some(Ok(())) => choice.devices.scale = Device::Gpu,
            Some(Err(reason)) => choice.refusals.push(Refusal::Scale(reason.clone())),
            None => {}
        }
    }
    choice
}

fn judge_codec(wish: Wish, allowed: Allowed, finding: Option<&Finding>) -> Result<Device, Refusal> {
    match (wish.format, finding) {
        // The rest of its way is the GPU's.
        (VideoFormat::VP8, _) if allowed.scale => Ok(Device::Cpu),
        (VideoFormat::VP8, _) => Err(Refusal::Format),
        (VideoFormat::H264, _) if wish.size.0 < SMALLEST.0 || wish.size.1 < SMALLEST.1 => {
            Err(Refusal::Size)
        }
        (VideoFormat::H264, Some(Ok(()))) => Ok(Device::Gpu),
        (VideoFormat::H264, Some(Err(reason))) => Err(Refusal::Codec(reason.clone())),
        (VideoFormat::H264, None) => Ok(Device::Cpu),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Device::{Cpu, Gpu};
    use VideoFormat::{H264, VP8};

    const WISH: Wish = Wish { gpu: true, reencodes: true, format: H264, size: (320, 240) };
    const BOTH: Allowed = Allowed { codec: true, scale: true };
    const CODEC: Allowed = Allowed { codec: true, scale: false };
    const SCALE: Allowed = Allowed { codec: false, scale: true };
    const NEITHER: Allowed = Allowed { codec: false, scale: false };

    fn finding(allowed: bool, works: bool) -> Option<Finding> {
        allowed.then(|| if works { Ok(()) } else { Err("missing".to_owned()) })
    }

    fn decide(
        wish: Wish,
        allowed: Allowed,
        codec: bool,
        scale: bool,
    ) -> (Device, Device, Vec<Refusal>) {
        let findings =
            Findings { codec: finding(allowed.codec, codec), scale: finding(allowed.scale, scale) };
        let Choice { devices, refusals } = choose(wish, allowed, &findings);
        (devices.codec, devices.scale, refusals)
    }

    #[test]
    fn each_wish_meets_each_setting_and_each_machine() {
        let no_codec = || Refusal::Codec("missing".into());
        let no_scale = || Refusal::Scale("missing".into());
        // format, allowed, codec works, scale works → codec, scale, refusals
        let table = [
            (H264, BOTH, true, true, Gpu, Gpu, vec![]),
            (H264, BOTH, true, false, Gpu, Cpu, vec![no_scale()]),
            (H264, BOTH, false, true, Cpu, Gpu, vec![no_codec()]),
            (H264, BOTH, false, false, Cpu, Cpu, vec![no_codec(), no_scale()]),
            (H264, CODEC, true, true, Gpu, Cpu, vec![]),
            (H264, CODEC, false, true, Cpu, Cpu, vec![no_codec()]),
            (H264, SCALE, true, true, Cpu, Gpu, vec![]),
            (H264, SCALE, true, false, Cpu, Cpu, vec![no_scale()]),
            (H264, NEITHER, true, true, Cpu, Cpu, vec![Refusal::NotAllowed]),
            (VP8, BOTH, true, true, Cpu, Gpu, vec![]),
            (VP8, BOTH, false, true, Cpu, Gpu, vec![]),
            (VP8, BOTH, true, false, Cpu, Cpu, vec![no_scale()]),
            (VP8, CODEC, true, true, Cpu, Cpu, vec![Refusal::Format]),
            (VP8, CODEC, false, true, Cpu, Cpu, vec![Refusal::Format]),
            (VP8, SCALE, true, true, Cpu, Gpu, vec![]),
            (VP8, SCALE, true, false, Cpu, Cpu, vec![no_scale()]),
            (VP8, NEITHER, true, true, Cpu, Cpu, vec![Refusal::NotAllowed]),
        ];
        for (format, allowed, codec, scale, by_codec, by_scale, refusals) in table {
            let wish = Wish { format, ..WISH };
            assert_eq!(
                decide(wish, allowed, codec, scale),
                (by_codec, by_scale, refusals),
                "{format:?}, {allowed:?}, codec works: {codec}, scale works: {scale}"
            );
            assert_eq!(needs_probe(wish, allowed), allowed != NEITHER);
        }
    }

    #[test]
    fn who_does_not_ask_or_has_no_picture_to_encode_gets_the_cpu_without_a_word() {
        for wish in [Wish { gpu: false, ..WISH }, Wish { reencodes: false, ..WISH }] {
            for allowed in [BOTH, CODEC, SCALE, NEITHER] {
                for works in [true, false] {
                    assert_eq!(decide(wish, allowed, works, works), (Cpu, Cpu, vec![]));
                    assert!(!needs_probe(wish, allowed), "{wish:?} costs no probe");
                }
            }
        }
    }

    #[test]
    fn a_picture_too_small_for_the_encoder_is_encoded_on_the_cpu() {
        for (size, device) in
            [((144, 240), Cpu), ((145, 49), Gpu), ((320, 48), Cpu), ((1920, 1080), Gpu)]
        {
            let (codec, scale, refusals) = decide(Wish { size, ..WISH }, BOTH, true, true);
            assert_eq!((codec, scale), (device, Gpu), "{size:?}");
            assert_eq!(refusals == [Refusal::Size], device == Cpu, "{size:?}");
        }
    }

    #[test]
    fn the_reasons_are_sentences_that_name_what_to_do() {
        assert!(Refusal::NotAllowed.to_string().contains("DUCKSOUP_NVCODEC"));
        assert!(
            Refusal::Codec("no element \"nvh264enc\"".into())
                .to_string()
                .ends_with("\"nvh264enc\"")
        );
        assert!(Refusal::Size.to_string().contains("145×49"));
    }
}
