// SPDX-License-Identifier: MPL-2.0

//! Words, quotes and escapes, shared by effect descriptions and timelines.
//!
//! Pure: text in, words out.

/// Why a text cannot be cut into words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LexerError {
    /// A quote that is never closed.
    #[error("a quote is not closed")]
    OpenQuote,
    /// A backslash with nothing behind it.
    #[error("nothing follows the last backslash")]
    OpenEscape,
    /// A quote inside or right behind a word.
    #[error("a quote stands inside a word; put the whole value in quotes")]
    StrayQuote,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes `wanted` when it is the next character.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The longest run of letters, digits, `-` and `_`; may be empty.
    pub(super) fn identifier(&mut self) -> &'a str {
        let end = self.rest.find(|character| !is_identifier(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A value: in single or double quotes, or bare up to white space or `stop`. In all three a
    /// backslash takes the next character as it is.
    pub(super) fn value(&mut self, stop: Option<char>) -> Result<String, LexerError> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, stop),
            _ => self.bare(stop),
        }
    }

    fn quoted(&mut self, quote: char, stop: Option<char>) -> Result<String, LexerError> {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        characters.next();
        loop {
            match characters.next() {
                None => return Err(LexerError::OpenQuote),
                Some('\\') => value.push(characters.next().ok_or(LexerError::OpenEscape)?),
                Some(character) if character == quote => break,
                Some(character) => value.push(character),
            }
        }
        self.rest = characters.as_str();
        match self.peek() {
            None | Some('!') => Ok(value),
            Some(next) if next.is_whitespace() || Some(next) == stop => Ok(value),
            Some(_) => Err(LexerError::StrayQuote),
        }
    }

    fn bare(&mut self, stop: Option<char>) -> Result<String, LexerError> {
        let mut value = String::new();
        while let Some(character) = self.peek() {
            if character.is_whitespace() || Some(character) == stop {
                break;
            }
            let mut characters = self.rest.chars();
            characters.next();
            match character {
                '"' | '\'' => return Err(LexerError::StrayQuote),
                '\\' => value.push(characters.next().ok_or(LexerError::OpenEscape)?),
                _ => value.push(character),
            }
            self.rest = characters.as_str();
        }
        Ok(value)
    }
}

/// Whether `character` may stand in the name of an element, an effect or a property.
pub(super) fn is_identifier(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '-' || character == '_'
}

/// `value` in double quotes, so that [`Lexer::value`] reads the same again.
pub(super) fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_bare_or_in_quotes_with_escapes() {
        for (text, value) in [
            ("0.8 name=x", "0.8"),
            ("a!b c", "a!b"),
            (r"a\ b c", "a b"),
            (r#""a b" c"#, "a b"),
            (r#""a \"b\" \\" c"#, r#"a "b" \"#),
            ("'a \"b\"'!c", "a \"b\""),
            ("", ""),
        ] {
            assert_eq!(Lexer::new(text).value(None).unwrap(), value, "{text}");
        }
        assert_eq!(Lexer::new("1;2").value(Some(';')).unwrap(), "1");
    }

    #[test]
    fn broken_quotes_and_escapes_are_refused() {
        for (text, error) in [
            ("\"a", LexerError::OpenQuote),
            ("a\\", LexerError::OpenEscape),
            ("\"a\\", LexerError::OpenEscape),
            ("it's", LexerError::StrayQuote),
            ("\"a\"b", LexerError::StrayQuote),
        ] {
            assert_eq!(Lexer::new(text).value(None), Err(error), "{text}");
        }
    }
}
