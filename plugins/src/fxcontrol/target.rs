// SPDX-License-Identifier: MPL-2.0

//! A number or a text becomes the value of a property: the property's own type decides, its range
//! is a limit, and nothing is clamped in silence.
//!
//! | type of the property | a number | a text |
//! |---|---|---|
//! | int, uint, int64, uint64, long, ulong, char, uchar | rounded | the number |
//! | float, double | as it is | the number |
//! | boolean | 0 or 1 | true, false, yes, no, 1, 0 |
//! | enum | its number | nick, name or number |
//! | flags | their number | nicks joined by `+`, or the number |
//! | string | refused | as it is |
//! | any other | refused | refused |

use gst::glib;
use gst::prelude::*;

/// What a command gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    /// From `control`.
    Number(f64),
    /// From `control-text`, a timeline or a description.
    Text(&'a str),
}

impl std::fmt::Display for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A value that fits its property. Its `Display` is a text that gives the same value again.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    /// Of the signed types.
    Signed(i64),
    /// Of the unsigned types.
    Unsigned(u64),
    /// Of float and double.
    Float(f64),
    /// Of boolean.
    Bool(bool),
    /// Of an enum.
    Enum {
        /// Its number.
        value: i32,
        /// Its nick.
        nick: String,
    },
    /// Of flags.
    Flags(u32),
    /// Of string.
    Text {
        /// What the property gets; for a file its full path.
        set: String,
        /// What the command said, for messages: paths of the server are not told.
        said: String,
    },
}

/// Why an input does not fit a property.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// The property can only be read.
    #[error("it cannot be written")]
    ReadOnly,
    /// The property is fixed when the element is made, or before it runs.
    #[error("it cannot change while media flows")]
    Fixed,
    /// A type that commands do not know.
    #[error("properties of type {0} cannot be set")]
    Type(String),
    /// Not a number, or infinite.
    #[error("the value is not finite")]
    NotFinite,
    /// Not what the type wants.
    #[error("{said:?} is not {wanted}")]
    Wrong {
        /// The input.
        said: String,
        /// What would fit, in words.
        wanted: String,
    },
    /// Outside the property's range.
    #[error("{said} is outside {min} to {max}")]
    Range {
        /// The input.
        said: String,
        /// Smallest value.
        min: String,
        /// Largest value.
        max: String,
    },
    /// A NUL character in a text.
    #[error("the value has a NUL character in it")]
    Nul,
}

/// When a value is to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// When the element is made.
    Start,
    /// While media flows.
    Running,
}

/// What a property takes.
enum Domain {
    Signed(i64, i64),
    Unsigned(u64, u64),
    Single(f32, f32),
    Double(f64, f64),
    Bool,
    Enum(glib::EnumClass),
    Flags(glib::FlagsClass),
    Text,
}

/// Converts `input` for the property of `spec`.
///
/// # Errors
/// Typed, in words that tell the caller what would have been right.
pub(super) fn convert(
    spec: &glib::ParamSpec,
    input: Input<'_>,
    moment: Moment,
) -> Result<Setting, TargetError> {
    check_flags(spec.flags(), moment)?;
    match input {
        Input::Number(number) if !number.is_finite() => return Err(TargetError::NotFinite),
        Input::Text(text) if text.contains('\0') => return Err(TargetError::Nul),
        _ => {}
    }
    match domain(spec).ok_or_else(|| TargetError::Type(spec.value_type().name().to_owned()))? {
        Domain::Signed(min, max) => to_integer(input, i128::from(min), i128::from(max))
            .map(|number| Setting::Signed(number.try_into().unwrap_or(min))),
        Domain::Unsigned(min, max) => to_integer(input, i128::from(min), i128::from(max))
            .map(|number| Setting::Unsigned(number.try_into().unwrap_or(min))),
        Domain::Single(min, max) => to_single(input, min, max).map(Setting::Float),
        Domain::Double(min, max) => to_double(input, min, max).map(Setting::Float),
        Domain::Bool => to_bool(input).map(Setting::Bool),
        Domain::Enum(class) => to_enum(input, &class),
        Domain::Flags(class) => to_flags(input, &class).map(Setting::Flags),
        Domain::Text => match input {
            Input::Text(text) => Ok(Setting::Text { set: text.to_owned(), said: text.to_owned() }),
            Input::Number(_) => Err(wrong(input, "a text")),
        },
    }
}

fn check_flags(flags: glib::ParamFlags, moment: Moment) -> Result<(), TargetError> {
    if !flags.contains(glib::ParamFlags::WRITABLE) {
        return Err(TargetError::ReadOnly);
    }
    // Most elements say nothing about when a property may change; those that name only READY mean it.
    let later = gst::PARAM_FLAG_MUTABLE_PAUSED | gst::PARAM_FLAG_MUTABLE_PLAYING;
    let fixed = flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
        || (flags.contains(gst::PARAM_FLAG_MUTABLE_READY) && !flags.intersects(later));
    match moment {
        Moment::Running if fixed => Err(TargetError::Fixed),
        _ => Ok(()),
    }
}

fn domain(spec: &glib::ParamSpec) -> Option<Domain> {
    // A property taken over from an interface keeps its range there.
    let target =
        spec.downcast_ref::<glib::ParamSpecOverride>().and_then(|spec| spec.redirect_target());
    let spec = target.as_ref().unwrap_or(spec);
    macro_rules! range {
        ($spec:ty, $domain:ident) => {
            if let Some(spec) = spec.downcast_ref::<$spec>() {
                return Some(Domain::$domain(spec.minimum().into(), spec.maximum().into()));
            }
        };
    }
    range!(glib::ParamSpecInt, Signed);
    range!(glib::ParamSpecUInt, Unsigned);
    range!(glib::ParamSpecInt64, Signed);
    range!(glib::ParamSpecUInt64, Unsigned);
    range!(glib::ParamSpecFloat, Single);
    range!(glib::ParamSpecDouble, Double);
    range!(glib::ParamSpecChar, Signed);
    range!(glib::ParamSpecUChar, Unsigned);
    // The C long is 32 or 64 bits wide.
    #[allow(clippy::useless_conversion)]
    {
        range!(glib::ParamSpecLong, Signed);
        range!(glib::ParamSpecULong, Unsigned);
    }
    if spec.is::<glib::ParamSpecBoolean>() {
        Some(Domain::Bool)
    } else if spec.is::<glib::ParamSpecEnum>() {
        glib::EnumClass::with_type(spec.value_type()).map(Domain::Enum)
    } else if spec.is::<glib::ParamSpecFlags>() {
        glib::FlagsClass::with_type(spec.value_type()).map(Domain::Flags)
    } else if spec.is::<glib::ParamSpecString>() {
        Some(Domain::Text)
    } else {
        None
    }
}

fn wrong(input: Input<'_>, wanted: impl Into<String>) -> TargetError {
    TargetError::Wrong { said: input.to_string(), wanted: wanted.into() }
}

fn out_of_range(input: Input<'_>, min: &dyn ToString, max: &dyn ToString) -> TargetError {
    TargetError::Range { said: input.to_string(), min: min.to_string(), max: max.to_string() }
}

fn to_number(input: Input<'_>) -> Result<f64, TargetError> {
    let number = match input {
        Input::Number(number) => number,
        Input::Text(text) => text.trim().parse().map_err(|_| wrong(input, "a number"))?,
    };
    if number.is_finite() { Ok(number) } else { Err(TargetError::NotFinite) }
}

fn to_integer(input: Input<'_>, min: i128, max: i128) -> Result<i128, TargetError> {
    // A whole number in a text is read as such: f64 has only 53 bits.
    let exact = match input {
        Input::Text(text) => text.trim().parse::<i128>().ok(),
        Input::Number(_) => None,
    };
    let number = match exact {
        Some(number) => number,
        #[allow(clippy::cast_possible_truncation)] // saturates far outside every range
        None => to_number(input)?.round() as i128,
    };
    if (min..=max).contains(&number) { Ok(number) } else { Err(out_of_range(input, &min, &max)) }
}

fn to_single(input: Input<'_>, min: f32, max: f32) -> Result<f64, TargetError> {
    let number = to_number(input)?;
    // In range is what the property would hold: 0.1 lies below the float of that name.
    #[allow(clippy::cast_possible_truncation)]
    if (min..=max).contains(&(number as f32)) {
        Ok(number)
    } else {
        Err(out_of_range(input, &min, &max))
    }
}

fn to_double(input: Input<'_>, min: f64, max: f64) -> Result<f64, TargetError> {
    let number = to_number(input)?;
    if (min..=max).contains(&number) { Ok(number) } else { Err(out_of_range(input, &min, &max)) }
}

fn to_bool(input: Input<'_>) -> Result<bool, TargetError> {
    let truth = match input {
        Input::Number(number) if number.to_bits() == 1f64.to_bits() => Some(true),
        Input::Number(number) if number.abs() < f64::MIN_POSITIVE => Some(false),
        Input::Number(_) => None,
        Input::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(true),
            "false" | "no" | "0" => Some(false),
            _ => None,
        },
    };
    truth.ok_or_else(|| wrong(input, "true or false"))
}

/// A whole number that `T` can hold, of an enum or of flags.
fn whole<T: TryFrom<i128>>(input: Input<'_>) -> Option<T> {
    match input {
        Input::Text(text) => text.trim().parse::<i128>().ok()?.try_into().ok(),
        #[allow(clippy::cast_possible_truncation)] // whole, and saturating
        Input::Number(number) if number.fract().abs() < f64::MIN_POSITIVE => {
            (number as i128).try_into().ok()
        }
        Input::Number(_) => None,
    }
}

fn to_enum(input: Input<'_>, class: &glib::EnumClass) -> Result<Setting, TargetError> {
    let by_word = match input {
        Input::Text(text) if !text.is_empty() => {
            class.value_by_nick(text).or_else(|| class.value_by_name(text))
        }
        _ => None,
    };
    let found = by_word.or_else(|| whole(input).and_then(|number| class.value(number)));
    found
        .map(|value| Setting::Enum { value: value.value(), nick: value.nick().to_owned() })
        .ok_or_else(|| {
            let nicks: Vec<_> = class.values().iter().map(glib::EnumValue::nick).collect();
            wrong(input, format!("one of {}", nicks.join(", ")))
        })
}

fn to_flags(input: Input<'_>, class: &glib::FlagsClass) -> Result<u32, TargetError> {
    let known = class.values().iter().fold(0, |all, flag| all | flag.value());
    let by_number = whole::<u32>(input).filter(|number| number & !known == 0);
    let by_words = || match input {
        Input::Text(text) => text.split('+').try_fold(0, |all, nick| {
            class.value_by_nick(nick.trim()).map(|flag| all | flag.value())
        }),
        Input::Number(_) => None,
    };
    by_number.or_else(by_words).ok_or_else(|| {
        let nicks: Vec<_> = class.values().iter().map(glib::FlagsValue::nick).collect();
        wrong(input, format!("made of {}", nicks.join(", ")))
    })
}

impl Setting {
    /// The number of a type that can move along a ramp.
    pub(super) fn number(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)] // only the way is rough, its end is set as it is
        match self {
            Self::Signed(number) => Some(*number as f64),
            Self::Unsigned(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Bool(_) | Self::Enum { .. } | Self::Flags(_) | Self::Text { .. } => None,
        }
    }

    /// The setting of the same type at `number`, a place on the way to this one: rounded where
    /// the type has no fractions.
    pub(super) fn at(&self, number: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturating
        match self {
            Self::Signed(_) => Self::Signed(number.round() as i64),
            Self::Unsigned(_) => Self::Unsigned(number.round() as u64),
            Self::Float(_) => Self::Float(number),
            other => other.clone(),
        }
    }

    /// The `GValue` for a property of `spec`; nothing when the two do not belong together.
    pub(super) fn to_value(&self, spec: &glib::ParamSpec) -> Option<glib::Value> {
        use glib::Type;
        let type_ = spec.value_type();
        // Double to float is meant to round; the C long is 32 or 64 bits wide.
        #[allow(clippy::cast_possible_truncation, clippy::useless_conversion)]
        Some(match self {
            Self::Signed(number) => match type_ {
                Type::I32 => i32::try_from(*number).ok()?.to_value(),
                Type::I64 => number.to_value(),
                Type::I_LONG => glib::ILong((*number).try_into().ok()?).to_value(),
                Type::I8 => i8::try_from(*number).ok()?.to_value(),
                _ => return None,
            },
            Self::Unsigned(number) => match type_ {
                Type::U32 => u32::try_from(*number).ok()?.to_value(),
                Type::U64 => number.to_value(),
                Type::U_LONG => glib::ULong((*number).try_into().ok()?).to_value(),
                Type::U8 => u8::try_from(*number).ok()?.to_value(),
                _ => return None,
            },
            Self::Float(number) => match type_ {
                Type::F32 => (*number as f32).to_value(),
                Type::F64 => number.to_value(),
                _ => return None,
            },
            Self::Bool(truth) => truth.to_value(),
            Self::Enum { value, .. } => glib::EnumClass::with_type(type_)?.to_value(*value)?,
            Self::Flags(bits) => {
                let class = glib::FlagsClass::with_type(type_)?;
                let flags = class.values().iter();
                flags
                    .filter(|flag| flag.value() & bits == flag.value())
                    .fold(class.builder(), |builder, flag| builder.set(flag.value()))
                    .build()?
            }
            Self::Text { set, .. } => set.to_value(),
        })
    }
}

/// The number in a property's value, where its type can move along a ramp.
pub(super) fn number_of(value: &glib::Value) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)] // where a ramp begins may be rough beyond 2^53
    match value.type_() {
        glib::Type::F64 => value.get().ok(),
        glib::Type::F32 => value.get::<f32>().ok().map(f64::from),
        glib::Type::I32 => value.get::<i32>().ok().map(f64::from),
        glib::Type::U32 => value.get::<u32>().ok().map(f64::from),
        glib::Type::I64 => value.get::<i64>().ok().map(|number| number as f64),
        glib::Type::U64 => value.get::<u64>().ok().map(|number| number as f64),
        glib::Type::I_LONG => value.get::<glib::ILong>().ok().map(|number| number.0 as f64),
        glib::Type::U_LONG => value.get::<glib::ULong>().ok().map(|number| number.0 as f64),
        glib::Type::I8 => value.get::<i8>().ok().map(f64::from),
        glib::Type::U8 => value.get::<u8>().ok().map(f64::from),
        _ => None,
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signed(number) => write!(f, "{number}"),
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{number}"),
            Self::Bool(truth) => write!(f, "{truth}"),
            Self::Enum { nick, .. } => f.write_str(nick),
            Self::Flags(bits) => write!(f, "{bits}"),
            Self::Text { said, .. } => f.write_str(said),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use Input::{Number, Text};

    fn specs() -> Vec<glib::ParamSpec> {
        vec![
            glib::ParamSpecInt::builder("int").minimum(-5).maximum(5).build(),
            glib::ParamSpecUInt::builder("uint").maximum(5).build(),
            glib::ParamSpecInt64::builder("int64").build(),
            glib::ParamSpecUInt64::builder("uint64").build(),
            glib::ParamSpecLong::builder("long").minimum(-5).maximum(5).build(),
            glib::ParamSpecULong::builder("ulong").maximum(5).build(),
            glib::ParamSpecFloat::builder("float")
                .minimum(0.1)
                .maximum(2.0)
                .default_value(1.0)
                .build(),
            glib::ParamSpecDouble::builder("double").minimum(0.0).maximum(2.0).build(),
            glib::ParamSpecBoolean::builder("boolean").build(),
            glib::ParamSpecEnum::builder_with_default("enum", gst::Format::Time).build(),
            glib::ParamSpecFlags::builder::<gst::SeekFlags>("flags").build(),
            glib::ParamSpecString::builder("string").build(),
            glib::ParamSpecObject::builder::<glib::Object>("object").build(),
            glib::ParamSpecInt::builder("read").read_only().build(),
            glib::ParamSpecInt::builder("once").construct_only().build(),
            glib::ParamSpecInt::builder("ready").mutable_ready().build(),
        ]
    }

    #[test]
    fn the_propertys_type_decides_and_its_range_is_a_limit() {
        gst::init().unwrap();
        let specs = specs();
        #[rustfmt::skip]
        let table = [
            ("int", Number(2.5), Some("3")), ("int", Number(-5.4), Some("-5")),
            ("int", Text(" 4 "), Some("4")), ("int", Text("-2.6"), Some("-3")),
            ("int", Number(5.6), None), ("int", Number(1e300), None), ("int", Text("x"), None),
            ("int", Number(f64::NAN), None), ("int", Text("NaN"), None), ("int", Text(""), None),
            ("uint", Number(5.0), Some("5")), ("uint", Number(-1.0), None), ("uint", Text("-1"), None),
            ("int64", Text("9007199254740993"), Some("9007199254740993")),
            ("int64", Number(1e19), None), ("int64", Text("-9223372036854775808"), Some("-9223372036854775808")),
            ("uint64", Text("18446744073709551615"), Some("18446744073709551615")),
            ("uint64", Text("18446744073709551616"), None), ("uint64", Number(-0.4), Some("0")),
            ("long", Number(-5.0), Some("-5")), ("long", Number(6.0), None),
            ("ulong", Number(5.0), Some("5")), ("ulong", Number(6.0), None),
            ("float", Number(0.1), Some("0.1")), ("float", Text("2.1"), None), ("float", Number(0.099), None),
            ("float", Number(f64::INFINITY), None), ("float", Number(1e39), None),
            ("double", Text("0.1"), Some("0.1")), ("double", Text("inf"), None),
            ("double", Number(2.000_001), None), ("double", Text("half"), None),
            ("boolean", Number(1.0), Some("true")), ("boolean", Number(0.5), None),
            ("boolean", Text("Yes"), Some("true")), ("boolean", Text("false"), Some("false")),
            ("boolean", Text("maybe"), None),
            ("enum", Text("bytes"), Some("bytes")), ("enum", Text("GST_FORMAT_BYTES"), Some("bytes")),
            ("enum", Number(2.0), Some("bytes")), ("enum", Text("2"), Some("bytes")),
            ("enum", Number(99.0), None), ("enum", Number(2.5), None), ("enum", Text(""), None),
            ("flags", Text("flush+accurate"), Some("3")), ("flags", Number(3.0), Some("3")),
            ("flags", Text("flush+nothing"), None), ("flags", Number(4e9), None), ("flags", Number(-1.0), None),
            ("string", Text("a b"), Some("a b")), ("string", Text("a\0"), None), ("string", Number(1.0), None),
            ("object", Text("x"), None), ("read", Number(1.0), None), ("once", Number(1.0), None),
            ("ready", Number(1.0), None),
        ];
        for (name, input, wanted) in table {
            let spec = specs.iter().find(|spec| spec.name() == name).unwrap();
            let setting = convert(spec, input, Moment::Running);
            let shown = setting.as_ref().ok().map(ToString::to_string);
            assert_eq!(shown.as_deref(), wanted, "{name} {input:?} {setting:?}");
            if let Ok(setting) = setting {
                let value = setting.to_value(spec).unwrap();
                assert_eq!(value.type_(), spec.value_type(), "{name}");
                let again = setting.to_string();
                assert_eq!(convert(spec, Text(&again), Moment::Running), Ok(setting));
            }
        }
        let once = specs.iter().find(|spec| spec.name() == "once").unwrap();
        assert!(convert(once, Number(1.0), Moment::Start).is_ok());
    }

    #[test]
    fn a_float_and_a_double_are_each_written_and_read_as_what_they_are() {
        let specs = specs();
        for (name, wanted) in [("float", f64::from(0.1f32)), ("double", 0.1)] {
            let spec = specs.iter().find(|spec| spec.name() == name).unwrap();
            let setting = convert(spec, Number(0.1), Moment::Running).unwrap();
            let value = setting.to_value(spec).unwrap();
            assert_eq!(number_of(&value).unwrap().to_bits(), wanted.to_bits());
        }
    }

    #[test]
    fn refusals_say_what_would_have_been_right() {
        let specs = specs();
        let refusal = |name: &str, input| {
            let spec = specs.iter().find(|spec| spec.name() == name).unwrap();
            convert(spec, input, Moment::Running).unwrap_err().to_string()
        };
        assert_eq!(refusal("int", Number(7.0)), "7 is outside -5 to 5");
        assert_eq!(refusal("boolean", Text("a")), "\"a\" is not true or false");
        assert_eq!(refusal("string", Number(1.0)), "\"1\" is not a text");
        assert_eq!(refusal("once", Number(1.0)), "it cannot change while media flows");
    }

    #[test]
    fn a_place_on_the_way_is_rounded_where_there_are_no_fractions() {
        assert_eq!(Setting::Signed(9).at(2.5), Setting::Signed(3));
        assert_eq!(Setting::Unsigned(9).at(2.4), Setting::Unsigned(2));
        assert_eq!(Setting::Float(9.0).at(2.4), Setting::Float(2.4));
        assert_eq!(Setting::Bool(true).at(0.0), Setting::Bool(true));
    }
}
