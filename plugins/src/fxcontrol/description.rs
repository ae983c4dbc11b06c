// SPDX-License-Identifier: MPL-2.0

//! The text of an effect chain, read by us and by nothing else.
//!
//! ```text
//! chain      = [ effect { "!" effect } ]
//! effect     = factory { property "=" value }
//! value      = bare word | "in quotes" | 'in quotes'      (a backslash takes the next character)
//! ```
//!
//! `name=` names the effect for commands. There are no caps filters, bins, pads or presets: what
//! is not in the grammar is an error. Pure.

use super::lexer::{Lexer, LexerError, quote};
use std::collections::HashSet;
use std::fmt;

/// Longest description, in bytes. Ours: eight effects with many properties fit.
pub const MAX_LENGTH: usize = 2048;
/// Most effects in one chain. Ours: each costs at least a copy of every frame.
pub const MAX_EFFECTS: usize = 8;
/// Longest name of an effect, in bytes. Ours.
pub const MAX_NAME: usize = 100;

/// A chain of effects; empty when the media is to pass untouched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Description {
    /// In the order in which media passes them.
    pub effects: Vec<Effect>,
}

/// One effect of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The element factory.
    pub factory: String,
    /// What commands call it; given, or the factory with a number behind it.
    pub name: String,
    /// Property and value, in the order written.
    pub properties: Vec<(String, String)>,
}

/// Why a text is no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DescriptionError {
    /// Longer than [`MAX_LENGTH`].
    #[error("the description is longer than {MAX_LENGTH} bytes")]
    TooLong,
    /// More effects than [`MAX_EFFECTS`].
    #[error("the description has more than {MAX_EFFECTS} effects")]
    TooMany,
    /// A NUL character.
    #[error("the description has a NUL character in it")]
    Nul,
    /// Nothing before, after or between `!`.
    #[error("an effect is missing beside a \"!\"")]
    MissingEffect,
    /// Something that is no name stands where a name must.
    #[error("{0:?} cannot stand here: an effect is a name followed by property=value")]
    Unexpected(char),
    /// A word without `=` behind it.
    #[error("{0:?} needs a \"=\" and a value")]
    MissingAssignment(String),
    /// `property=` with nothing behind it.
    #[error("{0:?} has no value")]
    MissingValue(String),
    /// A broken quote or escape.
    #[error("{0}")]
    Word(#[from] LexerError),
    /// `name=` with other than letters, digits, `-`, `_`, or too long.
    #[error("an effect's name must be 1 to {MAX_NAME} letters, digits, \"-\" or \"_\"")]
    BadName,
    /// Two effects of the same name.
    #[error("two effects have the name {0:?}")]
    DuplicateName(String),
    /// The same property twice in one effect.
    #[error("the property {0:?} is set twice in one effect")]
    DuplicateProperty(String),
}

impl Description {
    /// Reads a description.
    ///
    /// # Errors
    /// Typed; a text that is only white space is no error but an empty chain.
    pub fn parse(text: &str) -> Result<Self, DescriptionError> {
        if text.len() > MAX_LENGTH {
            return Err(DescriptionError::TooLong);
        }
        if text.contains('\0') {
            return Err(DescriptionError::Nul);
        }
        let mut lexer = Lexer::new(text);
        lexer.skip_space();
        let mut drafts = Vec::new();
        while lexer.peek().is_some() || !drafts.is_empty() {
            if drafts.len() == MAX_EFFECTS {
                return Err(DescriptionError::TooMany);
            }
            drafts.push(parse_effect(&mut lexer)?);
            if !lexer.take('!') {
                break;
            }
        }
        Ok(Self { effects: name_all(drafts)? })
    }
}

/// An effect whose name may still be missing.
struct Draft {
    factory: String,
    name: Option<String>,
    properties: Vec<(String, String)>,
}

/// One effect, and the space behind it, up to `!` or the end.
fn parse_effect(lexer: &mut Lexer<'_>) -> Result<Draft, DescriptionError> {
    lexer.skip_space();
    let factory = lexer.identifier();
    if factory.is_empty() {
        return Err(match lexer.peek() {
            None | Some('!') => DescriptionError::MissingEffect,
            Some(other) => DescriptionError::Unexpected(other),
        });
    }
    let mut draft = Draft { factory: factory.to_owned(), name: None, properties: Vec::new() };
    let mut first = true;
    loop {
        let before = lexer.peek();
        lexer.skip_space();
        match lexer.peek() {
            None | Some('!') => return Ok(draft),
            // Right behind the factory only space, "!" or the end may stand.
            Some(other) if first && before == Some(other) => {
                return Err(DescriptionError::Unexpected(other));
            }
            Some(_) => {}
        }
        first = false;
        let (property, value) = parse_assignment(lexer)?;
        if property == "name" {
            if draft.name.is_some() {
                return Err(DescriptionError::DuplicateProperty(property));
            }
            check_name(&value)?;
            draft.name = Some(value);
        } else if draft.properties.iter().any(|(known, _)| *known == property) {
            return Err(DescriptionError::DuplicateProperty(property));
        } else {
            draft.properties.push((property, value));
        }
    }
}

fn parse_assignment(lexer: &mut Lexer<'_>) -> Result<(String, String), DescriptionError> {
    // GObject takes "_" for "-" too; one spelling here, so that no property is set twice.
    let property = lexer.identifier().replace('_', "-");
    if property.is_empty() {
        return Err(lexer
            .peek()
            .map_or(DescriptionError::MissingEffect, DescriptionError::Unexpected));
    }
    lexer.skip_space();
    if !lexer.take('=') {
        return Err(DescriptionError::MissingAssignment(property));
    }
    lexer.skip_space();
    let quoted = matches!(lexer.peek(), Some('"' | '\''));
    let value = lexer.value(None)?;
    if value.is_empty() && !quoted {
        return Err(DescriptionError::MissingValue(property));
    }
    Ok((property, value))
}

fn check_name(name: &str) -> Result<(), DescriptionError> {
    let fits = (1..=MAX_NAME).contains(&name.len());
    if fits && name.chars().all(super::lexer::is_identifier) {
        Ok(())
    } else {
        Err(DescriptionError::BadName)
    }
}

/// Gives the unnamed effects names that nobody else has: `pitch0`, `pitch1`…
fn name_all(drafts: Vec<Draft>) -> Result<Vec<Effect>, DescriptionError> {
    let mut taken = HashSet::new();
    for name in drafts.iter().filter_map(|draft| draft.name.as_ref()) {
        if !taken.insert(name.clone()) {
            return Err(DescriptionError::DuplicateName(name.clone()));
        }
    }
    let effects = drafts.into_iter().map(|draft| {
        let name = draft.name.unwrap_or_else(|| {
            (0..)
                .map(|number| format!("{}{number}", draft.factory))
                .find(|name| taken.insert(name.clone()))
                .unwrap_or_default()
        });
        Effect { factory: draft.factory, name, properties: draft.properties }
    });
    Ok(effects.collect())
}

/// Writes a text that [`Description::parse`] reads as the same description.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, effect) in self.effects.iter().enumerate() {
            if place > 0 {
                f.write_str(" ! ")?;
            }
            write!(f, "{} name={}", effect.factory, effect.name)?;
            for (property, value) in &effect.properties {
                write!(f, " {property}={}", quote(value))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn effect(factory: &str, name: &str, properties: &[(&str, &str)]) -> Effect {
        Effect {
            factory: factory.into(),
            name: name.into(),
            properties: properties
                .iter()
                .map(|(property, value)| ((*property).into(), (*value).into()))
                .collect(),
        }
    }

    #[test]
    fn descriptions_are_read_as_written() {
        let table: [(&str, Vec<Effect>); 8] = [
            ("", vec![]),
            (" \n", vec![]),
            ("volume", vec![effect("volume", "volume0", &[])]),
            ("pitch pitch=0.8 name=fx", vec![effect("pitch", "fx", &[("pitch", "0.8")])]),
            (
                "audioecho max_delay = 5 ! volume!volume name=volume0",
                vec![
                    effect("audioecho", "audioecho0", &[("max-delay", "5")]),
                    effect("volume", "volume1", &[]),
                    effect("volume", "volume0", &[]),
                ],
            ),
            (
                r#"textoverlay text="a ! \"b\"" name='t' ! agingtv"#,
                vec![
                    effect("textoverlay", "t", &[("text", "a ! \"b\"")]),
                    effect("agingtv", "agingtv0", &[]),
                ],
            ),
            (
                "textoverlay text=hi!there",
                vec![effect("textoverlay", "textoverlay0", &[("text", "hi!there")])],
            ),
            ("textoverlay text=''", vec![effect("textoverlay", "textoverlay0", &[("text", "")])]),
        ];
        for (text, effects) in table {
            assert_eq!(Description::parse(text).unwrap().effects, effects, "{text}");
        }
    }

    #[test]
    fn what_is_outside_the_grammar_is_refused() {
        use DescriptionError as E;
        let many = ["volume"; MAX_EFFECTS + 1].join("!");
        let long = "v".repeat(MAX_LENGTH + 1);
        let named = format!("volume name={}", "n".repeat(MAX_NAME + 1));
        for (text, error) in [
            ("!", E::MissingEffect),
            ("volume !", E::MissingEffect),
            ("! volume", E::MissingEffect),
            ("volume ! ! volume", E::MissingEffect),
            ("(volume)", E::Unexpected('(')),
            ("volume. ! volume", E::Unexpected('.')),
            ("audio/x-raw,rate=8000", E::Unexpected('/')),
            ("volume (x=1)", E::Unexpected('(')),
            ("volume=1", E::Unexpected('=')),
            ("volume \"a\"", E::Unexpected('"')),
            ("volume volume", E::MissingAssignment("volume".into())),
            ("volume fx.volume=1", E::MissingAssignment("fx".into())),
            ("volume volume=", E::MissingValue("volume".into())),
            ("volume volume=\"1", E::Word(LexerError::OpenQuote)),
            ("volume name='a b'", E::BadName),
            ("volume name=é", E::BadName),
            ("volume name=''", E::BadName),
            ("volume name=a ! volume name=a", E::DuplicateName("a".into())),
            ("volume name=a name=b", E::DuplicateProperty("name".into())),
            ("a b_c=1 b-c=1", E::DuplicateProperty("b-c".into())),
            ("volume text=\"\0\"", E::Nul),
            (&named, E::BadName),
            (&many, E::TooMany),
            (&long, E::TooLong),
        ] {
            assert_eq!(Description::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>()) {
            let _ = Description::parse(&text);
        }

        #[test]
        fn no_text_of_its_own_characters_makes_it_panic(text in "[a-c =!\"'\\\\._-]{0,60}") {
            if let Ok(description) = Description::parse(&text) {
                prop_assert_eq!(Description::parse(&description.to_string()), Ok(description));
            }
        }

        #[test]
        fn any_value_comes_back_from_quotes(value in "[^\0]{0,100}") {
            let description = Description {
                effects: vec![effect("textoverlay", "fx", &[("text", &value)])],
            };
            prop_assert_eq!(Description::parse(&description.to_string()), Ok(description));
        }
    }
}
