// SPDX-License-Identifier: MPL-2.0

//! The table of results in Markdown: one row a command. Pure.

use super::compare::Summary;
use super::measure::Measures;
use crate::page::Table;

/// The heading above the table.
pub(crate) const TITLE: &str = "### Results";
/// What is in the columns.
const HEAD: &[&str] = &[
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

    /// It in the place of the one of the same command.
    pub(crate) fn table(&self) -> Table {
        Table { name: "rows", head: HEAD, keys: Some(1), rows: vec![self.0.clone()] }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::with;

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
        let text = "# Title\n### Results\n";
        let rows = [row("a --b 1", 0.1), row("a --b 2", 0.2), row("a --b 1", 0.3)];
        let text = rows.iter().fold(text.to_owned(), |text, row| with(&text, TITLE, &row.table()));
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[0].starts_with("| `a --b 1` | 1.0 / 2.0 / 30.0 | – | -1.0 / 2.0 / 30.0 |"));
        assert!(rows[0].contains("| +0.30 |") && rows[1].contains("| +0.20 |"), "{text}");
        assert!(rows[0].ends_with("| 2026-11-21 |"));
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().filter(|l| l.starts_with('|')).all(|l| columns(l) == HEAD.len() + 1));
    }
}
