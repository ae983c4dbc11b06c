// SPDX-License-Identifier: MPL-2.0

//! The section "Counts" of RECORDINGS.md. Pure, but for the file itself.

use anyhow::Context as _;
use std::path::Path;

/// What is in the columns.
const HEAD: [&str; 12] = [
    "format",
    "mode",
    "sender, frames/s",
    "loss",
    "wet: frames / promised",
    "widest step, slots",
    "off the grid",
    "dry pictures: recorded / received",
    "dry packets of sound: recorded / received",
    "dry sound and pictures begin after t0",
    "changes of size",
    "verdict",
];
const TITLE: &str = "## Counts";

/// Replaces the rows of these tables in the page, and writes the section if it is not there.
///
/// # Errors
/// When the page cannot be read or written.
pub(crate) fn write(path: &Path, tables: &[(&str, Vec<Vec<String>>)]) -> anyhow::Result<()> {
    let mut page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    for (name, rows) in tables {
        page = with(&page, name, rows);
    }
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn with(page: &str, name: &str, rows: &[Vec<String>]) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->"), format!("<!-- end: {name} -->"));
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let head = line(&HEAD.map(str::to_owned));
    let rule = line(&HEAD.map(|_| "---".to_owned()));
    let rows: String = rows.iter().map(|row| line(row)).collect();
    let table = format!("{begin}\n{head}{rule}{rows}{end}");
    if let Some((before, rest)) = page.split_once(&begin)
        && let Some((_, after)) = rest.split_once(&end)
    {
        return format!("{before}{table}{after}");
    }
    let title = if page.contains(TITLE) { String::new() } else { format!("\n{TITLE}\n") };
    format!("{}\n{title}\n{table}\n", page.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_the_place_of_those_before_and_nothing_else_changes() {
        let row = |text: &str| vec![vec![text.to_owned(), "a|b".to_owned()]];
        let first = with("# Recordings\n\nwords\n", "rates", &row("1"));
        assert!(
            first.starts_with("# Recordings\n\nwords\n\n## Counts\n\n<!-- begin: rates -->\n| f")
        );
        assert!(first.ends_with("\n| 1 | a\\|b |\n<!-- end: rates -->\n"));
        let both = with(&first, "sizes", &row("2"));
        assert_eq!(both.matches(TITLE).count(), 1);
        let again = with(&both, "rates", &row("3"));
        assert_eq!(again, both.replace("| 1 |", "| 3 |"));
    }
}
