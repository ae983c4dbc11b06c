// SPDX-License-Identifier: MPL-2.0

use super::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn no_two_messages_share_a_name_and_each_tells_something() {
    let mut names = BTreeSet::new();
    for about in Message::ALL.iter().map(|message| message.about()) {
        assert!(names.insert(about.name), "{} is there twice", about.name);
        assert!(about.meaning.ends_with('.'), "{}: {}", about.name, about.meaning);
        let own: BTreeSet<_> = about.properties.iter().map(|(name, _)| name).collect();
        assert_eq!(own.len(), about.properties.len(), "{}", about.name);
        for taken in ["level", "time", "context", "message", "user", "namespace", "interaction"] {
            assert!(!own.contains(&taken) || about.name == "stage_opened", "{}", about.name);
        }
    }
    assert_eq!(Message::named("interaction_created"), Some(Message::InteractionCreated));
    assert_eq!(Message::named("nothing"), None);
}

#[test]
fn the_page_of_the_logs_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/logs.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).expect("docs can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/logs.md is not what the table says; its head tells how to write it"
    );
}

/// An entry of the global log, as it stands in the source.
#[derive(Debug)]
struct Logged {
    level: String,
    context: String,
    name: String,
    fields: Vec<String>,
}

/// The global log's entries in a source text.
fn logged(source: &str) -> Vec<Logged> {
    let mut found = Vec::new();
    for level in ["error", "warn", "info", "debug", "trace"] {
        for (at, start) in source.match_indices(&format!("log::{level}!(")) {
            let call = &source[at + start.len()..];
            let (fields, name) = call_parts(call).expect("a message with key-values");
            let context = fields.split_once("context = \"").map_or("", |(_, rest)| rest);
            found.push(Logged {
                level: level.to_owned(),
                context: context.split('"').next().unwrap_or_default().to_owned(),
                name: name.split('"').next().unwrap_or_default().to_owned(),
                fields: fields.split(',').filter_map(field).collect(),
            });
        }
    }
    found
}

/// What stands before the message of a call, and what begins with it.
fn call_parts(call: &str) -> Option<(&str, &str)> {
    call.match_indices(';').find_map(|(at, _)| {
        let message = call[at + 1..].trim_start().strip_prefix('"')?;
        Some((&call[..at], message))
    })
}

/// The name of a key-value, such as `error:% = error`.
fn field(text: &str) -> Option<String> {
    let (name, _) = text.split_once('=')?;
    let name = name.split(':').next()?.trim();
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (plain && !matches!(name, "" | "context" | "target")).then(|| name.to_owned())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}

#[test]
fn all_that_the_door_logs_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = sources(&folder.join("serve"));
    files.push(folder.join("main.rs"));
    let mut seen = BTreeSet::new();
    for file in files {
        let source = std::fs::read_to_string(&file).expect("a source");
        for entry in logged(&source) {
            let place = format!("{}: {entry:?}", file.display());
            let about = Message::named(&entry.name).map(Message::about);
            let about = about.unwrap_or_else(|| panic!("{place} is not in the table"));
            assert_eq!(about.context, entry.context, "{place}");
            let fatal = about.level == Level::Fatal && entry.level == "error";
            assert!(about.level.name() == entry.level || fatal, "{place}");
            assert_ne!(about.scope, Scope::Interaction, "{place}");
            for field in &entry.fields {
                let known = about.properties.iter().any(|(name, _)| name == field);
                let common = ["namespace", "interaction", "user"].contains(&field.as_str());
                assert!(known || common, "{place}: {field}");
            }
            seen.insert(about.name);
        }
    }
    for about in Message::ALL.iter().map(|message| message.about()) {
        let own = ["app_panicked", "log_entries_dropped"].contains(&about.name);
        let global = about.scope != Scope::Interaction;
        assert!(!global || own || seen.contains(about.name), "nobody says {}", about.name);
    }
}
