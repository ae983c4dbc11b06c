// SPDX-License-Identifier: MPL-2.0

//! How much of a participant's sound gets lost on the way to the others, as its encoder is to know: `opusenc`
//! repeats what went before (in-band FEC, RFC 6716 §2.1.7) only when it expects loss. The decisions are pure.
//!
//! The worst receiver counts. More loss counts at once; less of it when there was none of the
//! higher for [`HOLD`], for losses come in flocks.

use ducksoup_signaller::protocol::Identifier;
use gst::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// See the module. Ours: a few reports of receivers, which come every second or so.
const HOLD: Duration = Duration::from_secs(10);
/// Percentages are told in such steps, so that an encoder does not change its ways with each report. Ours.
const STEP: u32 = 5;
/// Beyond this libopus makes no more of it (`decide_fec` in opus_encoder.c).
const MOST: u32 = 25;
/// Of `opusenc`.
const PROPERTY: &str = "packet-loss-percentage";

/// What one receiver loses.
#[derive(Debug, Clone, Copy)]
struct Loss {
    percent: u32,
    until: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    losses: BTreeMap<(String, Identifier), Loss>,
    told: BTreeMap<String, u32>,
}

impl Hearing {
    /// A receiver loses that part of a source's sound, 0 to 1. Returns what the source's encoder
    /// is to expect, in percent, when that is new.
    pub(super) fn reported(
        &mut self,
        source: &str,
        receiver: &Identifier,
        part: f64,
        now: Duration,
    ) -> Option<u32> {
        let percent = steps(part);
        let own = self.losses.entry((source.to_owned(), receiver.clone()));
        let own = own.or_insert(Loss { percent, until: now });
        if percent >= own.percent || own.until <= now {
            *own = Loss { percent, until: now + HOLD };
        }
        let others =
            self.losses.iter().filter(|((whose, _), loss)| whose == source && loss.until > now);
        let worst = others.map(|(_, loss)| loss.percent).max().unwrap_or(0);
        let told = self.told.insert(source.to_owned(), worst).unwrap_or(0);
        (told != worst).then_some(worst)
    }

    /// A source's encoder is a new one, which expects nothing.
    pub(super) fn forget(&mut self, source: &str) {
        self.told.remove(source);
    }
}

/// A part as a percentage, rounded up to a step.
fn steps(part: f64) -> u32 {
    if part <= 0.0 {
        return 0;
    }
    let mut steps = (1..=MOST / STEP).map(|step| step * STEP);
    steps.find(|percent| part * 100.0 <= f64::from(*percent)).unwrap_or(MOST)
}

/// Tells an encoder of sound what to expect.
pub(super) fn tell(encoder: &gst::Element, percent: u32) {
    if encoder.has_property_with_type(PROPERTY, i32::static_type()) {
        encoder.set_property(PROPERTY, i32::try_from(percent).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> Identifier {
        Identifier::new(name).expect("valid")
    }

    #[test]
    fn the_worst_receiver_counts_and_less_loss_only_after_a_while() {
        let mut hearing = Hearing::default();
        // at s, source, receiver, part lost → what the encoder is told
        for (at, source, receiver, part, expected) in [
            (0, "ann", "ben", 0.0, None),
            (1, "ann", "ben", 0.004, Some(5)),
            (1, "dan", "ben", 0.07, Some(10)),
            (2, "ann", "cleo", 0.12, Some(15)),
            (3, "ann", "ben", 0.02, None),
            (4, "ann", "cleo", 0.0, None),
            (11, "ann", "cleo", 0.0, None),
            (12, "ann", "cleo", 0.0, Some(5)),
            (14, "ann", "ben", 0.0, Some(0)),
            (15, "ann", "ben", 0.9, Some(25)),
        ] {
            let told = hearing.reported(source, &user(receiver), part, Duration::from_secs(at));
            assert_eq!(told, expected, "at {at} s");
        }
    }

    #[test]
    fn a_new_encoder_is_told_again() {
        let mut hearing = Hearing::default();
        let report = |hearing: &mut Hearing, at| {
            hearing.reported("ann", &user("ben"), 0.03, Duration::from_secs(at))
        };
        assert_eq!(report(&mut hearing, 0), Some(5));
        assert_eq!(report(&mut hearing, 1), None);
        hearing.forget("ann");
        assert_eq!(report(&mut hearing, 2), Some(5));
    }

    /// Whether a packet of 20 ms repeats the sound before it (the LBRR flag, RFC 6716 §4.2.4).
    fn repeats(packet: &[u8]) -> bool {
        // The first of 16 configurations have the layer that can (section 3.1).
        packet[0] >> 3 < 16 && packet[1] & 0x40 != 0
    }

    #[test]
    fn an_encoder_that_expects_loss_repeats_itself() {
        gst::init().expect("GStreamer starts");
        let args = crate::config::Args::default();
        let config = crate::config::Config::new(&args, std::path::Path::new("/nonexistent"));
        let settings = config.expect("valid").stage_settings();
        let encoder = gst::ElementFactory::make("opusenc").build().expect("opusenc");
        crate::interaction::tuning::set(&encoder, "opus", &settings.elements["opus"])
            .expect("its settings");
        let mut harness = gst_check::Harness::with_element(&encoder, Some("sink"), Some("src"));
        harness
            .set_src_caps_str("audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1");
        let mut share = |expected: Option<u32>| {
            if let Some(percent) = expected {
                tell(&encoder, percent);
            }
            let mut repeating = 0;
            for packet in 0..50_u32 {
                // A voice, more or less: a buzz that swells four times a second.
                let samples = (0..960).flat_map(|sample| {
                    let at = f64::from(packet * 960 + sample) / 48_000.0;
                    let buzz = (at * 150.0).fract() - 0.5;
                    let swell = (at * 4.0 * std::f64::consts::TAU).sin().abs();
                    #[allow(clippy::cast_possible_truncation)] // below 10000
                    ((buzz * swell * 16_000.0) as i16).to_le_bytes()
                });
                let mut buffer = gst::Buffer::from_mut_slice(samples.collect::<Vec<u8>>());
                let buffer_ref = buffer.get_mut().expect("new");
                buffer_ref.set_pts(gst::ClockTime::from_mseconds(20) * u64::from(packet));
                buffer_ref.set_duration(gst::ClockTime::from_mseconds(20));
                harness.push(buffer).expect("taken");
                while let Some(encoded) = harness.try_pull() {
                    repeating += u32::from(repeats(&encoded.map_readable().expect("readable")));
                }
            }
            repeating
        };
        assert_eq!(share(None), 0, "nothing is lost: nothing is repeated");
        let repeating = share(Some(10));
        assert!(repeating > 25, "{repeating} of 50 packets");
    }
}
