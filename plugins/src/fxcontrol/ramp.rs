// SPDX-License-Identifier: MPL-2.0

//! The value of a number on its way from one place to another. Pure.

use gst::glib;

/// The way from the value reached to the value wanted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFxControlShape")]
#[repr(i32)]
pub enum Shape {
    /// A straight line.
    #[default]
    #[enum_value(name = "Linear: a straight line", nick = "linear")]
    Linear,
    /// At once, whatever the duration.
    #[enum_value(name = "Step: at once, whatever the duration", nick = "step")]
    Step,
    /// Half a cosine: slow, fast, slow.
    #[enum_value(name = "Cosine: slow, fast, slow", nick = "cosine")]
    Cosine,
    /// Equal ratios in equal times, as the ear hears gain and pitch. Linear when the two ends do
    /// not have the same sign or one is zero.
    #[enum_value(name = "Exponential: equal ratios in equal times", nick = "exponential")]
    Exponential,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Self; 4] = [Self::Linear, Self::Step, Self::Cosine, Self::Exponential];

    /// The name used in texts, messages and by `gst-launch-1.0`.
    #[must_use]
    pub const fn nick(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Step => "step",
            Self::Cosine => "cosine",
            Self::Exponential => "exponential",
        }
    }

    /// The shape of that [`Self::nick`].
    #[must_use]
    pub fn from_nick(nick: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shape| shape.nick() == nick)
    }
}

/// A number on its way. Times are running times in ns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ramp {
    /// When it leaves `from`.
    pub(super) start: u64,
    /// How long it takes; 0 is at once.
    pub(super) duration: u64,
    /// Where it begins.
    pub(super) from: f64,
    /// Where it ends.
    pub(super) to: f64,
    /// How it gets there.
    pub(super) shape: Shape,
}

impl Ramp {
    /// When it is at `to`.
    pub(super) fn end(&self) -> u64 {
        match self.shape {
            Shape::Step => self.start,
            _ => self.start.saturating_add(self.duration),
        }
    }

    /// The value at `now`: `from` before the start, exactly `to` from the end on.
    pub(super) fn value_at(&self, now: u64) -> f64 {
        if now >= self.end() {
            return self.to;
        }
        if now <= self.start {
            return self.from;
        }
        #[allow(clippy::cast_precision_loss)] // ns of a ramp: far below 2^53
        let part = (now - self.start) as f64 / self.duration as f64;
        let part = match self.shape {
            Shape::Cosine => (1.0 - (std::f64::consts::PI * part).cos()) / 2.0,
            Shape::Exponential if self.from * self.to > 0.0 => {
                return self.within(self.from * (self.to / self.from).powf(part));
            }
            _ => part,
        };
        // Not from + (to - from) * part: the difference of two large ends may overflow.
        self.within(self.from * (1.0 - part) + self.to * part)
    }

    /// Rounding must not carry a value past its ends: they were checked, what lies outside was not.
    fn within(&self, value: f64) -> f64 {
        value.clamp(self.from.min(self.to), self.from.max(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    fn ramp(shape: Shape, from: f64, to: f64) -> Ramp {
        Ramp { start: 1000 * MS, duration: 100 * MS, from, to, shape }
    }

    #[test]
    fn each_shape_has_its_values() {
        let root = std::f64::consts::SQRT_2;
        let table = [
            // shape, from, to, value at 0, 25, 50, 75, 100 ms
            (Shape::Linear, 0.0, 2.0, [0.0, 0.5, 1.0, 1.5, 2.0]),
            (Shape::Linear, 1.0, -1.0, [1.0, 0.5, 0.0, -0.5, -1.0]),
            (Shape::Step, 0.0, 2.0, [2.0; 5]),
            (Shape::Cosine, 0.0, 1.0, [0.0, (2.0 - root) / 4.0, 0.5, (2.0 + root) / 4.0, 1.0]),
            (Shape::Exponential, 1.0, 16.0, [1.0, 2.0, 4.0, 8.0, 16.0]),
            (Shape::Exponential, -1.0, -16.0, [-1.0, -2.0, -4.0, -8.0, -16.0]),
            (Shape::Exponential, 0.0, 1.0, [0.0, 0.25, 0.5, 0.75, 1.0]),
            (Shape::Exponential, -1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]),
            (Shape::Linear, 3.0, 3.0, [3.0; 5]),
        ];
        for (shape, from, to, values) in table {
            for (at, wanted) in [0, 25, 50, 75, 100].into_iter().zip(values) {
                let value = ramp(shape, from, to).value_at((1000 + at) * MS);
                assert!((value - wanted).abs() < 1e-9, "{shape:?} {at} {value}");
            }
        }
    }

    #[test]
    fn before_and_behind_it_stands_still() {
        for shape in [Shape::Linear, Shape::Cosine, Shape::Exponential] {
            let ramp = ramp(shape, 1.0, 2.0);
            assert_eq!(ramp.value_at(0).to_bits(), 1f64.to_bits());
            assert_eq!(ramp.value_at(u64::MAX).to_bits(), 2f64.to_bits());
        }
        let at_once = Ramp { duration: 0, ..ramp(Shape::Linear, 1.0, 2.0) };
        assert_eq!(at_once.value_at(1000 * MS).to_bits(), 2f64.to_bits());
    }

    #[test]
    fn nicks_come_back() {
        for shape in Shape::ALL {
            assert_eq!(Shape::from_nick(shape.nick()), Some(shape));
        }
        assert_eq!(Shape::from_nick("spline"), None);
    }

    proptest! {
        #[test]
        fn a_ramp_never_leaves_its_ends(
            from in -1e300f64..1e300, to in -1e300f64..1e300, at in 0u64..200, shape in 0usize..4
        ) {
            let value = ramp(Shape::ALL[shape], from, to).value_at((950 + at) * MS);
            prop_assert!(value >= from.min(to) && value <= from.max(to));
        }
    }
}
