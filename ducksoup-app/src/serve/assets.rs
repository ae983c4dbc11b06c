// SPDX-License-Identifier: MPL-2.0

//! The web pages and scripts: embedded, and a file of the same name under `web/` of the working
//! directory wins. Researchers can add pages of their own there.

use rust_embed::RustEmbed;
use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// `web/`, in the program, without what only its developers need.
#[derive(Debug, RustEmbed)]
#[folder = "../web"]
#[exclude = "node_modules/*"]
#[exclude = "test/*"]
#[exclude = "tests/*"]
#[exclude = ".*"]
struct Embedded;

/// The folder of the pages: their scripts and styles are assets, the pages themselves have their
/// own, protected, addresses.
const PAGES: &str = "pages";
/// Folders under `web/` that are the developers' own.
const NOT_ASSETS: [&str; 3] = ["node_modules", "test", "tests"];

/// A file to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its type, for the header.
    pub(crate) content_type: String,
    /// What is in it.
    pub(crate) bytes: Cow<'static, [u8]>,
}

/// The page of a path after `/test/`: `name` is the folder of that page.
pub(crate) fn page(path: &str) -> Option<String> {
    let clean = clean(path)?;
    Some(format!("{PAGES}/{}", index(&clean)))
}

/// What is under `web/` for a path after `/assets/`. Three spellings are in the field:
/// `v1.5/js/x`, `scripts/lib/x`, `x`.
pub(crate) fn asset(path: &str) -> Option<String> {
    let clean = clean(path)?;
    let versioned = clean
        .strip_prefix('v')
        .and_then(|rest| rest.split_once('/'))
        .and_then(|(_version, rest)| rest.strip_prefix("js/"));
    let inner = versioned.or_else(|| clean.strip_prefix("scripts/lib/")).unwrap_or(&clean);
    let first = inner.split('/').next()?;
    let page = first == PAGES && inner.to_ascii_lowercase().ends_with(".html");
    let file = !inner.is_empty() && !inner.ends_with('/') && !page;
    (file && !NOT_ASSETS.contains(&first)).then(|| inner.to_owned())
}

/// A folder shows its index.
fn index(path: &str) -> String {
    if path.is_empty() || path.ends_with('/') {
        format!("{path}index.html")
    } else {
        path.to_owned()
    }
}

/// The path, when every part of it is a plain name: letters, digits, `-`, `_`, `.`, and none
/// begins with a dot. Nothing is decoded: a path with `%` or `\` names no file of ours.
fn clean(path: &str) -> Option<String> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let parts = path.strip_suffix('/').unwrap_or(path);
    (path.is_empty() || parts.split('/').all(plain)).then(|| path.to_owned())
}

/// Reads a file under `web/` by a name that came from [`page`] or [`asset`].
pub(crate) async fn read(working: &Path, name: String) -> Option<File> {
    let own: PathBuf = working.join("web").join(&name);
    let content_type = content_type(&name);
    // The disk may be slow; other requests must not wait for it.
    let own = tokio::task::spawn_blocking(move || std::fs::read(own)).await;
    let bytes = match own {
        Ok(Ok(own)) => Cow::Owned(own),
        other => {
            if let Ok(Err(error)) = other
                && !matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
                )
            {
                log::warn!(context = "server", path = name.as_str(), error:% = error; "file_unreadable");
            }
            Embedded::get(&name)?.data
        }
    };
    Some(File { content_type, bytes })
}

/// By the name's ending; texts are UTF-8.
pub(crate) fn content_type(name: &str) -> String {
    let mime = match name.rsplit_once('.') {
        Some((_, "yml" | "yaml")) => return "text/plain; charset=utf-8".into(),
        _ => mime_guess::from_path(name).first_or_octet_stream(),
    };
    let is_text =
        mime.type_() == "text" || mime.subtype() == "javascript" || mime.subtype() == "json";
    if is_text { format!("{mime}; charset=utf-8") } else { mime.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_field_finds_its_script() {
        for (path, name) in [
            ("v1.5/js/ducksoup.js", Some("ducksoup.js")),
            ("v/js/ducksoup.js", Some("ducksoup.js")),
            ("v2-beta/js/lib/session.js", Some("lib/session.js")),
            ("scripts/lib/ducksoup.js", Some("ducksoup.js")),
            ("scripts/lib/lib/session.js", Some("lib/session.js")),
            ("lib/session.js", Some("lib/session.js")),
            ("version.js", Some("version.js")),
            ("vendor/x.js", Some("vendor/x.js")),
            ("", None),
            ("lib/", None),
            ("pages/mirror/index.html", None),
            ("v1/js/pages/mirror/index.html", None),
            ("pages/style.css", Some("pages/style.css")),
            ("pages/mirror/mirror.js", Some("pages/mirror/mirror.js")),
            ("scripts/lib/test/x.js", None),
            ("node_modules/x.js", None),
            ("../Cargo.toml", None),
            ("lib/../../x", None),
            ("lib//x", None),
            ("/etc/passwd", None),
            ("lib/%2e%2e/x", None),
            ("lib\\x", None),
            (".git/config", None),
            ("a/.env", None),
        ] {
            assert_eq!(asset(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn a_page_is_the_index_of_its_folder_or_a_file_in_it() {
        for (path, name) in [
            ("mirror/", Some("pages/mirror/index.html")),
            ("mirror/mirror.js", Some("pages/mirror/mirror.js")),
            ("mirror/../../x", None),
            ("mirror/%2e%2e/x", None),
            ("./", None),
        ] {
            assert_eq!(page(path).as_deref(), name, "{path}");
        }
    }

    #[test]
    fn content_types_are_what_browsers_need() {
        for (name, expected) in [
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "application/javascript; charset=utf-8"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.css", "text/css; charset=utf-8"),
            ("a.json", "application/json; charset=utf-8"),
            ("a.yml", "text/plain; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.wasm", "application/wasm"),
            ("a", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), expected, "{name}");
        }
    }
}
