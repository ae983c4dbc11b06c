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
    /// How many of the first columns say what a row is about: a row takes the place of the one about
    /// the same, and those that are about something else stay. None: the rows are the whole table.
    pub(crate) keys: Option<usize>,
    /// The rows.
    pub(crate) rows: Vec<Vec<String>>,
}

/// Puts these tables into the page. One that is new comes last in the section of this title, as
/// `## Counts`, which is added to the page if it is not there, with the words that follow it.
///
/// # Errors
/// When the page cannot be read or written.
pub(crate) fn write(path: &Path, title: &str, tables: &[Table]) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let page = tables.iter().fold(page, |page, table| with(&page, title, table));
    std::fs::write(path, page).with_context(|| path.display().to_string())
}

fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<String> = cells.into_iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// What a line is about.
fn about(line: &str, keys: usize) -> Vec<&str> {
    line.trim_start_matches("| ").split(" | ").take(keys).collect()
}

/// The page with that table in it.
pub(crate) fn with(page: &str, title: &str, table: &Table) -> String {
    let Table { name, head, keys, rows } = table;
    let (begin, end) = (format!("<!-- begin: {name} -->\n"), format!("<!-- end: {name} -->"));
    let above = line(head.iter().copied());
    let found = page.split_once(&begin).and_then(|(before, rest)| {
        let (old, after) = rest.split_once(&end)?;
        Some((before, old, after))
    });
    // Rows of a table with other columns are of no use in this one.
    let kept = found.map_or("", |(_, old, _)| old).strip_prefix(&above).filter(|_| keys.is_some());
    let mut lines: Vec<String> =
        kept.unwrap_or_default().lines().skip(1).map(|line| format!("{line}\n")).collect();
    for row in rows {
        let new = line(row.iter().map(String::as_str));
        let same = |keys| lines.iter().position(|old| about(old, keys) == about(&new, keys));
        match keys.and_then(same) {
            Some(place) => lines[place] = new,
            None => lines.push(new),
        }
    }
    let rule = line(head.iter().map(|_| "---"));
    let table = format!("{begin}{above}{rule}{}{end}", lines.concat());
    if let Some((before, _, after)) = found {
        return format!("{before}{table}{after}");
    }
    let heading = title.lines().next().unwrap_or_default();
    let mut headings = page.lines().scan(0, place);
    let Some((begin, _)) = headings.find(|(_, line)| *line == heading) else {
        return format!("{}\n\n{title}\n\n{table}\n", page.trim_end());
    };
    let mut next = page.lines().scan(0, place);
    let next = next.find(|(place, line)| *place > begin && line.starts_with("##"));
    let (section, after) = page.split_at(next.map_or(page.len(), |(place, _)| place));
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}\n\n{table}\n{gap}{after}", section.trim_end())
}

/// Each line with the byte at which it begins.
fn place<'a>(place: &mut usize, line: &'a str) -> Option<(usize, &'a str)> {
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
        Table { name, head: &["x", "y"], keys: None, rows }
    }

    #[test]
    fn with_keys_a_row_takes_the_place_of_the_one_about_the_same() {
        let table = |cells: &[[&str; 3]]| {
            let rows = cells.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
            Table { name: "cost", head: &["a", "b", "c"], keys: Some(2), rows }
        };
        let title = "## Cost\n\nWords.";
        let first = with("# Results\n", title, &table(&[["x|", "1", "old"], ["x|", "2", "old"]]));
        let begin = "# Results\n\n## Cost\n\nWords.\n\n<!-- begin: cost -->\n| a |";
        assert!(first.starts_with(begin), "{first}");
        let second = with(&first, title, &table(&[["x|", "2", "new"], ["y", "1", "new"]]));
        let expected =
            first.replace("| x\\| | 2 | old |\n", "| x\\| | 2 | new |\n| y | 1 | new |\n");
        assert_eq!(second, expected);
        let other = Table { head: &["a", "b", "d"], ..table(&[["x|", "1", "z"]]) };
        assert_eq!(with(&second, title, &other).matches("| x").count(), 1, "other columns");
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
