// SPDX-License-Identifier: MPL-2.0

//! The table of results in Markdown: one row a command. Pure.

use super::compare::Summary;
use super::measure::Measures;

/// Between these lines stand the rows.
const BEGIN: &str = "<!-- begin: rows -->";
const END: &str = "<!-- end: rows -->";
/// What is in the columns.
const HEAD: [&str; 13] = [
    "command",
    "between participants: sound",
    "picture",
    "picture − sound: dry",
    "wet",
    "wet − dry: sound",
    "picture",
    "drift between",
    "picture − sound",
    "wet − dry",
    "pictures recorded / sent",
    "goals",
    "measured",
];

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row(Vec<String>);

impl Row {
    /// What a command measured; `circumstances` say when and where.
    pub(crate) fn new(
        command: &str,
        seconds: u64,
        measures: &Measures,
        circumstances: &str,
    ) -> Self {
        let missed = measures.missed(seconds);
        let verdict = match missed.is_empty() {
            true => "met".to_owned(),
            false => format!("**missed**: {}", missed.join("; ")),
        };
        let (recorded, sent) = measures.pictures;
        Self(vec![
            format!("`{command}`"),
            distance(measures.sound_between),
            distance(measures.picture_between),
            signed(measures.dry),
            signed(measures.wet),
            signed(measures.sound_effect),
            signed(measures.picture_effect),
            slope(measures.drift_between),
            slope(measures.drift_within),
            slope(measures.drift_effect),
            format!("{recorded} / {sent}"),
            verdict,
            circumstances.to_owned(),
        ])
    }

    fn line(&self) -> String {
        let cells: Vec<String> = self.0.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |", cells.join(" | "))
    }

    /// For a terminal: a line for each cell.
    pub(crate) fn lines(&self) -> String {
        let lines = HEAD.iter().zip(&self.0).map(|(head, cell)| format!("{head:>28}  {cell}\n"));
        lines.collect()
    }
}

/// The middle distance, that of 95 %, the greatest.
fn distance(summary: Option<Summary>) -> String {
    summary.map_or("–".to_owned(), |Summary { distance, p95, worst, .. }| {
        format!("{distance:.1} / {p95:.1} / {worst:.1}")
    })
}

/// The middle difference with its sign, the distance of 95 %, the greatest.
fn signed(summary: Option<Summary>) -> String {
    summary.map_or("–".to_owned(), |Summary { median, p95, worst, .. }| {
        format!("{median:+.1} / {p95:.1} / {worst:.1}")
    })
}

fn slope(drift: Option<f64>) -> String {
    drift.map_or("–".to_owned(), |drift| format!("{drift:+.2}"))
}

/// Puts a row in the place of the one of the same command, or at the end.
///
/// None where the text has no place for rows.
pub(crate) fn put(text: &str, row: &Row) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (rows, after) = rest.split_once(END)?;
    let command = |line: &str| line.split('|').nth(1).map(|cell| cell.trim().to_owned());
    let line = row.line();
    let mut lines: Vec<&str> = rows.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    match lines.iter().position(|old| command(old) == command(&line)) {
        Some(place) => lines[place] = &line,
        None => lines.push(&line),
    }
    let head = format!("| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    Some(format!("{before}{BEGIN}\n{head}\n{}\n{END}{after}", lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(command: &str, drift: f64) -> Row {
        let summary = Summary { count: 1, median: -1.04, distance: 1.04, p95: 2.0, worst: 30.0 };
        let measures = Measures {
            sound_between: Some(summary),
            dry: Some(summary),
            drift_between: Some(drift),
            pictures: (9, 10),
            ..Measures::default()
        };
        Row::new(command, 60, &measures, "2026-11-21")
    }

    #[test]
    fn a_row_takes_the_place_of_the_same_command_and_new_ones_come_last() {
        let text = format!("# Title\n{BEGIN}\n{END}\nend\n");
        let text = put(&text, &row("a --b 1", 0.1)).expect("a place");
        let text = put(&text, &row("a --b 2", 0.2)).expect("a place");
        let text = put(&text, &row("a --b 1", 0.3)).expect("a place");
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[0].starts_with("| `a --b 1` | 1.0 / 2.0 / 30.0 | – | -1.0 / 2.0 / 30.0 |"));
        assert!(rows[0].contains("| +0.30 |") && rows[1].contains("| +0.20 |"), "{text}");
        assert!(rows[0].ends_with("| 2026-11-21 |"));
        assert!(text.starts_with("# Title\n") && text.ends_with("\nend\n"), "{text}");
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().filter(|l| l.starts_with('|')).all(|l| columns(l) == HEAD.len() + 1));
    }

    #[test]
    fn a_bar_in_a_command_does_not_break_the_table() {
        let text = put(&format!("{BEGIN}{END}"), &row("a|b", 0.0)).expect("a place");
        assert!(text.contains("`a\\|b`"));
        assert_eq!(put("no place", &row("a", 0.0)), None);
    }
}
