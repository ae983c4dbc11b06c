// SPDX-License-Identifier: MPL-2.0

//! Tables in a page of results: each program has a section of its own, each table a place that it
//! finds again. Pure, but for the file itself.

use anyhow::Context as _;
use std::path::Path;

/// A table of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// What it is found by.
    pub(crate) name: &'static str,
    /// What is in the columns.
    pub(crate) head: &'static [&'static str],
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Replaces these tables in the page. One that is new comes last in the section of this title, as
/// `## Counts`, which is added to the page if it is not there.
///
/// # Errors
/// When the page cannot be read or written.
pub(crate) fn write(path: &Path, title: &str, tables: &[Table]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let page = tables.iter().fold(page, |page, table| with(&page, title, table));
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn with(page: &str, title: &str, Table { name, head, rows }: &Table) -> String {
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
    let Some(begin) = page.lines().scan(0, lines).find(|(_, line)| *line == title) else {
        return format!("{}\n\n{title}\n\n{table}\n", page.trim_end());
    };
    let next = page
        .lines()
        .scan(0, lines)
        .find(|(place, line)| *place > begin.0 && line.starts_with("## "));
    let (section, after) = page.split_at(next.map_or(page.len(), |(place, _)| place));
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}\n\n{table}\n{gap}{after}", section.trim_end())
}

/// Each line with the byte at which it begins.
fn lines<'a>(place: &mut usize, line: &'a str) -> Option<(usize, &'a str)> {
    let begin = *place;
    *place += line.len() + 1;
    Some((begin, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNTS: &str = "## Counts";

    fn table(name: &'static str, text: &str) -> Table {
        let rows = vec![vec![text.to_owned(), "a|b".to_owned()]];
        Table { name, head: &["x", "y"], rows }
    }

    #[test]
    fn rows_take_the_place_of_those_before_and_nothing_else_changes() {
        let first = with("# Recordings\n\nwords\n", COUNTS, &table("rates", "1"));
        let begin =
            "# Recordings\n\nwords\n\n## Counts\n\n<!-- begin: rates -->\n| x | y |\n| --- ";
        assert!(first.starts_with(begin), "{first}");
        assert!(first.ends_with("\n| 1 | a\\|b |\n<!-- end: rates -->\n"));
        let both = with(&first, COUNTS, &table("sizes", "2"));
        assert_eq!(both.matches(COUNTS).count(), 1);
        let again = with(&both, COUNTS, &table("rates", "3"));
        assert_eq!(again, both.replace("| 1 |", "| 3 |"));
    }

    #[test]
    fn a_new_table_comes_last_in_its_own_section() {
        let page = "# P\n\n## Counts\n\nwords\n\n## Other\n\nmore\n";
        let page = with(page, COUNTS, &table("rates", "1"));
        assert!(page.starts_with("# P\n\n## Counts\n\nwords\n\n<!-- begin: rates -->"), "{page}");
        assert!(page.ends_with("<!-- end: rates -->\n\n## Other\n\nmore\n"), "{page}");
        let page = with(&page, "## Other", &table("speed", "2"));
        assert!(page.ends_with("more\n\n<!-- begin: speed -->\n| x | y |\n| --- | --- |\n| 2 | a\\|b |\n<!-- end: speed -->\n"), "{page}");
    }
}
