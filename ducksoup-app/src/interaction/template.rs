// SPDX-License-Identifier: MPL-2.0

//! Text with names in double braces, as the files under `pipelines/` are written.

use std::collections::BTreeMap;

/// Deepest nesting of values that hold names themselves; ours, against a name that holds itself.
const DEPTH: usize = 4;

/// Why a text cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing has this name.
    #[error("nothing is called {{{{{0}}}}}")]
    Unknown(String),
    /// Opening braces without closing ones.
    #[error("braces without an end")]
    Open,
    /// Names hold each other without end.
    #[error("names are nested more than {DEPTH} deep")]
    Depth,
}

/// Puts `values` in the place of their names.
///
/// # Errors
/// An unknown name is an error, never an empty text.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut text = text.to_owned();
    for _ in 0..DEPTH {
        if !text.contains("{{") {
            return Ok(text);
        }
        text = fill_once(&text, values)?;
    }
    if text.contains("{{") { Err(TemplateError::Depth) } else { Ok(text) }
}

fn fill_once(text: &str, values: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Open)?;
        let name = name.trim();
        let value = values.get(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_are_filled_in_also_inside_values() {
        let values = values(&[("codec.pay", "pay pt={{payload}}"), ("payload", "96")]);
        assert_eq!(fill("a ! {{codec.pay}} ! b", &values).as_deref(), Ok("a ! pay pt=96 ! b"));
        assert_eq!(fill("none", &values).as_deref(), Ok("none"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        let values = values(&[("self", "{{self}}")]);
        assert_eq!(fill("{{x}}", &values), Err(TemplateError::Unknown("x".into())));
        assert_eq!(fill("{{self", &values), Err(TemplateError::Open));
        assert_eq!(fill("{{self}}", &values), Err(TemplateError::Depth));
    }
}
