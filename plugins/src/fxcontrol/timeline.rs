// SPDX-License-Identifier: MPL-2.0

//! Commands with times, one a line. Pure.
//!
//! ```text
//! time name property value [duration] [shape]
//! ```
//!
//! Lines end with a newline or `;`. Times and durations are in seconds, times count in running
//! time. A line that begins with `#` is a remark. The value may stand in quotes.

use super::lexer::{Lexer, LexerError};
use super::ramp::Shape;

/// Longest time or duration, in s (31 years). Ours: far below where ns overflow 64 bits.
const MAX_SECONDS: f64 = 1e9;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// Running time, in ns.
    pub(super) time: u64,
    /// The effect's name.
    pub(super) name: String,
    /// Its property.
    pub(super) property: String,
    /// The value to reach, as text: the property's own type decides.
    pub(super) value: String,
    /// How long the way there takes, in ns.
    pub(super) duration: u64,
    /// The way.
    pub(super) shape: Shape,
}

/// Why a timeline cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("timeline, line {line}: {fault}")]
pub struct TimelineError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: TimelineFault,
}

/// See [`TimelineError`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TimelineFault {
    /// Fewer than four words.
    #[error("a command is: time name property value [duration] [shape]")]
    TooShort,
    /// More than six words.
    #[error("there are words behind the shape")]
    TooLong,
    /// No number of seconds from 0 on.
    #[error("{0:?} is no number of seconds")]
    Seconds(String),
    /// No shape.
    #[error("{0:?} is none of linear, step, cosine, exponential")]
    Shape(String),
    /// A broken quote or escape.
    #[error("{0}")]
    Word(#[from] LexerError),
}

/// Reads a timeline and puts it in order of time; lines of one time stay as written.
///
/// # Errors
/// With the number of the line.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Line)>, TimelineError> {
    let mut lexer = Lexer::new(text);
    let mut lines = Vec::new();
    let mut number = 1;
    let mut words = Vec::new();
    loop {
        let at = |fault: TimelineFault| TimelineError { line: number, fault };
        match lexer.peek() {
            Some('#') if words.is_empty() => {
                while lexer.peek().is_some_and(|c| c != '\n') {
                    let next = lexer.peek().unwrap_or('\n');
                    lexer.take(next);
                }
            }
            Some(end @ ('\n' | ';')) => {
                lexer.take(end);
                lines.extend(read_line(&words).map_err(at)?.map(|line| (number, line)));
                words.clear();
                number += 1;
            }
            Some(space) if space.is_whitespace() => {
                lexer.take(space);
            }
            Some(_) => words.push(lexer.value(Some(';')).map_err(|error| at(error.into()))?),
            None => {
                lines.extend(read_line(&words).map_err(at)?.map(|line| (number, line)));
                break;
            }
        }
    }
    lines.sort_by_key(|(_, line)| line.time);
    Ok(lines)
}

fn read_line(words: &[String]) -> Result<Option<Line>, TimelineFault> {
    let (time, name, property, value, rest) = match words {
        [] => return Ok(None),
        [time, name, property, value, rest @ ..] => (time, name, property, value, rest),
        _ => return Err(TimelineFault::TooShort),
    };
    let (duration, shape) = match rest {
        [] => (0, Shape::Linear),
        [duration] => (seconds(duration)?, Shape::Linear),
        [duration, shape] => (
            seconds(duration)?,
            Shape::from_nick(shape).ok_or_else(|| TimelineFault::Shape(shape.clone()))?,
        ),
        _ => return Err(TimelineFault::TooLong),
    };
    Ok(Some(Line {
        time: seconds(time)?,
        name: name.clone(),
        property: property.clone(),
        value: value.clone(),
        duration,
        shape,
    }))
}

fn seconds(word: &str) -> Result<u64, TimelineFault> {
    let seconds = word.parse().unwrap_or(f64::NAN);
    if (0.0..=MAX_SECONDS).contains(&seconds) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked above
        Ok((seconds * 1e9).round() as u64)
    } else {
        Err(TimelineFault::Seconds(word.to_owned()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_come_in_order_of_time() {
        let text = "# a remark; with a semicolon\n2.5 fx volume 0.5 1 cosine\n\n1 fx mute true; 0 t text 'a; b'";
        let lines = parse(text).unwrap();
        assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [5, 4, 2]);
        assert_eq!(lines[0].1.value, "a; b");
        assert_eq!(lines[1].1.duration, 0);
        assert_eq!(
            lines[2].1,
            Line {
                time: 2_500_000_000,
                name: "fx".into(),
                property: "volume".into(),
                value: "0.5".into(),
                duration: 1_000_000_000,
                shape: Shape::Cosine,
            }
        );
        assert_eq!(parse(" ;\n;").unwrap(), []);
    }

    #[test]
    fn a_wrong_line_is_named() {
        use TimelineFault as F;
        for (text, line, fault) in [
            ("1 fx volume", 1, F::TooShort),
            ("\n1 fx volume 1 1 linear more", 2, F::TooLong),
            ("-1 fx volume 1", 1, F::Seconds("-1".into())),
            ("nan fx volume 1", 1, F::Seconds("nan".into())),
            ("1 fx volume 1 inf", 1, F::Seconds("inf".into())),
            ("1 fx volume 1 1 spline", 1, F::Shape("spline".into())),
            ("0 a b c;1 fx text \"a", 2, F::Word(LexerError::OpenQuote)),
        ] {
            assert_eq!(parse(text), Err(TimelineError { line, fault }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
        #[test]
        fn no_text_of_its_own_characters_makes_it_panic(text in "[0-9a #;\n\"'\\\\.-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
