// SPDX-License-Identifier: MPL-2.0

//! The section "Counts" of RECORDINGS.md. Pure, but for the file itself.

use anyhow::Context as _;
use std::path::Path;

/// A table of the section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// What it is found by.
    pub(crate) name: &'static str,
    /// What is in the columns.
    pub(crate) head: &'static [&'static str],
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
}

const TITLE: &str = "## Counts";

/// Replaces these tables in the page, and writes the section if it is not there.
///
/// # Errors
/// When the page cannot be read or written.
pub(crate) fn write(path: &Path, tables: &[Table]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let page = tables.iter().fold(page, |page, table| with(&page, table));
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn with(page: &str, Table { name, head, rows }: &Table) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->"), format!("<!-- end: {name} -->"));
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<String> = cells.map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let above = line(&mut head.iter().copied());
    let rule = line(&mut head.iter().map(|_| "---"));
    let rows: String = rows.iter().map(|row| line(&mut row.iter().map(String::as_str))).collect();
    let table = format!("{begin}\n{above}{rule}{rows}{end}");
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
        let table = |name, text: &str| {
            let rows = vec![vec![text.to_owned(), "a|b".to_owned()]];
            Table { name, head: &["x", "y"], rows }
        };
        let first = with("# Recordings\n\nwords\n", &table("rates", "1"));
        let begin =
            "# Recordings\n\nwords\n\n## Counts\n\n<!-- begin: rates -->\n| x | y |\n| --- ";
        assert!(first.starts_with(begin), "{first}");
        assert!(first.ends_with("\n| 1 | a\\|b |\n<!-- end: rates -->\n"));
        let both = with(&first, &table("sizes", "2"));
        assert_eq!(both.matches(TITLE).count(), 1);
        let again = with(&both, &table("rates", "3"));
        assert_eq!(again, both.replace("| 1 |", "| 3 |"));
    }
}
