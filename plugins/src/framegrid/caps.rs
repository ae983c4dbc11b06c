// SPDX-License-Identifier: MPL-2.0

//! What a constant frame rate means for caps: all else passes, the rate is replaced.

use super::grid::{FASTEST, Rate};

/// The field that the grid decides on.
const FRAMERATE: &str = "framerate";

/// Where neither the property, nor downstream, nor upstream names a rate: that of an interaction.
const USUAL: i32 = 25;

/// `caps` with any frame rate.
pub(super) fn at_any_rate(mut caps: gst::Caps) -> gst::Caps {
    for structure in caps.make_mut().iter_mut() {
        structure.remove_fields([FRAMERATE, "max-framerate"]);
    }
    caps
}

/// `caps` with the rates that can go out; a `framerate` of zero leaves the choice open.
pub(super) fn at_grid_rates(caps: gst::Caps, framerate: gst::Fraction) -> gst::Caps {
    let mut caps = at_any_rate(caps);
    for structure in caps.make_mut().iter_mut() {
        if framerate.numer() > 0 {
            structure.set(FRAMERATE, framerate);
        } else {
            structure.set(
                FRAMERATE,
                gst::FractionRange::new(
                    gst::Fraction::new(1, i32::MAX),
                    gst::Fraction::from_integer(FASTEST),
                ),
            );
        }
    }
    caps
}

/// The caps and rate that go out for fixed `incoming` caps: the one of `framerate` or, when it is
/// zero, the one that `downstream` accepts that is nearest to the incoming one.
pub(super) fn outgoing(
    incoming: &gst::Caps,
    framerate: gst::Fraction,
    downstream: &gst::Caps,
) -> Option<(gst::Caps, Rate)> {
    let mut caps = at_grid_rates(incoming.clone(), framerate).intersect(downstream);
    caps.truncate();
    let usual = gst::Fraction::from_integer(USUAL);
    let wish = incoming
        .structure(0)?
        .get::<gst::Fraction>(FRAMERATE)
        .ok()
        .filter(|rate| rate.numer() > 0)
        .unwrap_or(usual);
    let structure = caps.make_mut().structure_mut(0)?;
    structure.fixate_field_nearest_fraction(FRAMERATE, wish);
    let chosen = structure.get::<gst::Fraction>(FRAMERATE).ok()?;
    let rate = Rate::new(chosen.numer(), chosen.denom())?;
    Some((caps, rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr;

    fn caps(text: &str) -> gst::Caps {
        gst::init().expect("GStreamer starts");
        gst::Caps::from_str(text).expect("valid caps")
    }

    #[test]
    fn the_rate_is_the_settings_or_the_nearest_that_downstream_takes() {
        let cases = [
            ("30/1", "25/1", "ANY", Some("25/1")),
            ("30/1", "25/1", "video/x-raw,framerate=30/1", None),
            ("30/1", "0/1", "ANY", Some("30/1")),
            ("0/1", "0/1", "ANY", Some("25/1")),
            ("0/1", "0/1", "video/x-raw,framerate=30/1", Some("30/1")),
            ("60/1", "0/1", "video/x-raw,framerate={10/1,50/1}", Some("50/1")),
            ("30/1", "0/1", "video/x-raw,framerate=0/1", None),
            ("30/1", "25/1", "video/x-raw,width=16", None),
            ("2000/1", "0/1", "ANY", Some("1000/1")),
        ];
        for (incoming, framerate, downstream, expected) in cases {
            let line = format!("{incoming} {framerate} {downstream}");
            let incoming = caps(&format!(
                "video/x-raw,format=I420,width=8,height=8,framerate={incoming},max-framerate=99/1"
            ));
            let framerate = if framerate == "0/1" { 0 } else { 25 };
            let got =
                outgoing(&incoming, gst::Fraction::from_integer(framerate), &caps(downstream));
            let expected = expected.map(|rate| {
                caps(&format!("video/x-raw,format=I420,width=8,height=8,framerate={rate}"))
            });
            assert_eq!(got.map(|(caps, _)| caps), expected, "{line}");
        }
    }

    #[test]
    fn memory_features_pass() {
        let incoming = caps("video/x-raw(memory:GLMemory),format=RGBA,width=8,height=8");
        let (caps, _) =
            outgoing(&incoming, gst::Fraction::from_integer(25), &caps("ANY")).expect("negotiated");
        assert!(caps.features(0).expect("features").contains("memory:GLMemory"));
    }
}
