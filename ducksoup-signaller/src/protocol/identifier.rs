// SPDX-License-Identifier: MPL-2.0

//! Names given by clients: interactions, users, namespaces.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest identifier, in characters. The original cuts here, which lets two people collide; a
/// longer one is refused instead.
pub const MAX_IDENTIFIER: usize = 50;

/// A name that is safe in a path, a log line and an element name: 1 to [`MAX_IDENTIFIER`] ASCII
/// letters, digits, `-` and `_`. Holding one is the proof that the check was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier(String);

/// Why a text is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// More than [`MAX_IDENTIFIER`] characters.
    #[error("is longer than {MAX_IDENTIFIER} characters")]
    TooLong,
    /// Something else than a letter, a digit, `-` or `_`.
    #[error("holds other characters than letters, digits, - and _")]
    Character,
}

impl Identifier {
    /// Checks a text.
    ///
    /// # Errors
    /// Says what is wrong; nothing is dropped or cut.
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        if text.is_empty() {
            return Err(IdentifierError::Empty);
        }
        if text.chars().nth(MAX_IDENTIFIER).is_some() {
            return Err(IdentifierError::TooLong);
        }
        if !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return Err(IdentifierError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Identifier {
    type Error = IdentifierError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(&text)
    }
}

impl From<Identifier> for String {
    fn from(identifier: Identifier) -> Self {
        identifier.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_letters_digits_dash_and_underscore_pass() {
        for good in ["a", "user-1", "P_07", &"x".repeat(MAX_IDENTIFIER)] {
            assert_eq!(Identifier::new(good).expect(good).as_str(), good);
        }
        let long = "x".repeat(10_000);
        for (bad, why) in [
            ("", IdentifierError::Empty),
            ("../../etc", IdentifierError::Character),
            ("a b", IdentifierError::Character),
            ("a\0", IdentifierError::Character),
            ("é", IdentifierError::Character),
            (long.as_str(), IdentifierError::TooLong),
        ] {
            assert_eq!(Identifier::new(bad), Err(why));
        }
    }
}
