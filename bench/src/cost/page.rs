// SPDX-License-Identifier: MPL-2.0

//! Rows into the page of results, each in the place of the row that it makes obsolete: one measurement
//! is short, and the table is made of many. Pure, but for the file itself.

use anyhow::Context as _;
use std::path::Path;

/// Part of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    /// What the table is found by.
    pub(crate) name: &'static str,
    /// The heading above it, with the words that explain it.
    pub(crate) title: &'static str,
    /// What is in the columns.
    pub(crate) head: &'static [&'static str],
    /// How many of the first columns say what a row is about.
    pub(crate) keys: usize,
    /// New ones.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Puts them into the page, which is made if there is none.
///
/// # Errors
/// When the page cannot be read or written.
pub(crate) fn write(path: &Path, rows: &Rows) -> anyhow::Result<()> {
    let page = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        page => page.with_context(|| path.display().to_string())?,
    };
    std::fs::write(path, with(&page, rows)).with_context(|| path.display().to_string())
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.map(|cell| cell.replace('|', "/")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn with(page: &str, Rows { name, title, head, keys, rows }: &Rows) -> String {
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
    let found = page.split_once(&begin).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(&end)?;
        Some((before, table, after))
    });
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let old = found.map_or("", |(_, table, _)| table);
    let above = line(head.iter().copied());
    // Rows of a table with other columns are of no use in this one.
    let mut all: Vec<Vec<String>> = match old.starts_with(&above) {
        true => old.lines().skip(2).map(cells).collect(),
        false => Vec::new(),
    };
    for row in rows {
        match all.iter_mut().find(|old| old.iter().take(*keys).eq(row.iter().take(*keys))) {
            Some(old) => old.clone_from(row),
            None => all.push(row.clone()),
        }
    }
    let rule = line(head.iter().map(|_| "---"));
    let body: String = all.iter().map(|row| line(row.iter().map(String::as_str))).collect();
    let table = format!("{begin}{above}{rule}{body}{end}");
    match found {
        Some((before, _, after)) => format!("{before}{table}{after}"),
        None => format!("{}\n\n{title}\n\n{table}\n", page.trim_end()).trim_start().to_owned(),
    }
}

/// The day of the measurement, as in 2026-01-31 (UTC).
pub(crate) fn today() -> String {
    glib::DateTime::now_utc()
        .and_then(|now| now.format("%Y-%m-%d"))
        .map_or_else(|_| String::new(), |day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(cells: &[[&str; 3]]) -> Rows {
        let rows = cells.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        Rows { name: "cost", title: "## Cost\n\nWords.", head: &["a", "b", "c"], keys: 2, rows }
    }

    #[test]
    fn a_row_takes_the_place_of_the_one_about_the_same() {
        let first = with("# Results\n\n## Other\n", &rows(&[["x", "1", "old"], ["x", "2", "old"]]));
        assert!(first.starts_with(
            "# Results\n\n## Other\n\n## Cost\n\nWords.\n\n<!-- begin: cost -->\n| a |"
        ));
        let second = with(&first, &rows(&[["x", "2", "new|er"], ["y", "1", "new"]]));
        assert_eq!(
            second,
            first.replace("| x | 2 | old |\n", "| x | 2 | new/er |\n| y | 1 | new |\n")
        );
        let other = Rows { head: &["a", "b", "d"], ..rows(&[["x", "1", "z"]]) };
        assert_eq!(with(&second, &other).matches("| x |").count(), 1, "other columns, other table");
    }

    #[test]
    fn a_page_that_is_not_there_begins_with_the_table() {
        assert!(with("", &rows(&[["x", "1", "z"]])).starts_with("## Cost\n"));
    }
}
