// SPDX-License-Identifier: MPL-2.0

//! `docs/parity.md`: every row has a proof that exists, and nothing that the program knows is
//! without a row.

use clap::CommandFactory as _;
use ducksoup_app::config::Cli;
use std::collections::BTreeSet;
use std::path::Path;

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The cells of every row of every table.
fn rows(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    lines
        .filter_map(|(number, line)| Some((number, line.strip_prefix("| ")?.strip_suffix(" |")?)))
        .map(|(number, line)| (number, line.split(" | ").collect()))
}

/// The words in backticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Everything that the first cells name.
fn named() -> BTreeSet<String> {
    let page = read("docs/parity.md");
    let first =
        rows(&page).flat_map(|(_, cells)| words(cells[0]).map(str::to_owned).collect::<Vec<_>>());
    first.collect()
}

#[test]
fn every_row_has_a_proof_that_exists() {
    let page = read("docs/parity.md");
    let mut proofs = 0;
    for (number, cells) in rows(&page).filter(|(_, cells)| cells[0] != "documented") {
        assert_eq!(cells.len(), 3, "line {number}: documented, here, proof");
        if cells[2] == "—" {
            let here = cells[1];
            assert!(here.starts_with("cannot occur here: "), "line {number}: {here:?}");
            continue;
        }
        for proof in cells[2].split("<br>") {
            let (file, name) = proof
                .split_once(": ")
                .unwrap_or_else(|| panic!("line {number}: {proof:?} is no file and test"));
            let text = read(file.trim_matches('`'));
            let test = match file.contains(".rs") {
                true => text.contains(&format!("fn {name}(")),
                false => text.contains(name) && file.contains(".test.js"),
            };
            assert!(test, "line {number}: {file} has no test {name:?}");
            proofs += 1;
        }
    }
    assert!(proofs > 100, "{proofs} proofs");
}

#[test]
fn every_variable_and_flag_of_its_own_has_a_row() {
    let named = named();
    let command = Cli::command();
    for argument in command.get_arguments() {
        let name = match (argument.get_env(), argument.get_long()) {
            (Some(variable), _) => variable.to_string_lossy().into_owned(),
            (None, Some("version")) => continue,
            (None, flag) => format!("--{}", flag.expect("a flag")),
        };
        assert!(named.contains(&name), "{name} has no row");
    }
}

/// `docs/protocol.md` has a sample of every message, held against the types by a test of its own.
#[test]
fn every_message_and_option_of_the_protocol_has_a_row() {
    let named = named();
    let has = |name: &str| {
        // Families: `client_ice_connection_state_…`, `ext_…`.
        let stem = name.trim_end_matches('…');
        named.iter().any(|row| row == name || (stem != name && row.starts_with(stem)))
    };
    let page = read("docs/protocol.md");
    let section = |title: &str| {
        let (_, after) = page.split_once(&format!("\n## {title}\n")).expect("a section");
        after.split("\n## ").next().expect("a text").to_owned()
    };
    let (client, server, errors) =
        (section("Client to server"), section("Server to client"), section("Errors"));
    let mut kinds = 0;
    for line in [&client, &server].into_iter().flat_map(|text| text.lines()) {
        let Some(kind) = line.strip_prefix("### ").filter(|title| !title.contains(' ')) else {
            continue;
        };
        assert!(has(kind), "{kind} has no row");
        kinds += 1;
    }
    assert!(kinds > 15, "{kinds} kinds");
    for text in [&client, &errors] {
        for (_, cells) in rows(text) {
            for name in words(cells[0]) {
                assert!(has(name), "{name} has no row");
                kinds += 1;
            }
        }
    }
    assert!(kinds > 45, "{kinds} kinds and options");
}
