// SPDX-License-Identifier: MPL-2.0

//! Tab-separated tables with a header, as BIDS has them. Pure.

/// What has no value (BIDS, "Tabular files").
pub(crate) const NONE: &str = "n/a";

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    /// Reads one; none without a header, or when a row has another number of cells.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let cells = |line: &str| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        // Of Windows, or with a byte order mark, is a table too.
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().filter(|line| !line.is_empty());
        let header = cells(lines.next()?);
        let rows: Vec<_> = lines.map(cells).collect();
        rows.iter().all(|row| row.len() == header.len()).then_some(Self { header, rows })
    }

    /// A column's place.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name)
    }

    /// A column's cells.
    pub(crate) fn cells<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let column = self.column(name);
        self.rows.iter().filter_map(move |row| row.get(column?).map(String::as_str))
    }

    /// Sets cells, by column, in the row whose first cell is `key`; rows and columns that are not
    /// there are added, and what is there of others stays.
    pub(crate) fn set(&mut self, key: &str, cells: &[(&str, &str)]) {
        for (name, _) in cells {
            if self.column(name).is_none() {
                self.header.push((*name).to_owned());
                self.rows.iter_mut().for_each(|row| row.push(NONE.to_owned()));
            }
        }
        let at = self.rows.iter().position(|row| row.first().is_some_and(|cell| cell == key));
        let at = at.unwrap_or_else(|| {
            let mut row = vec![NONE.to_owned(); self.header.len()];
            key.clone_into(&mut row[0]);
            self.rows.push(row);
            self.rows.len() - 1
        });
        for (name, value) in cells {
            if let Some(column) = self.column(name) {
                (*value).clone_into(&mut self.rows[at][column]);
            }
        }
    }

    /// As it is written.
    pub(crate) fn text(&self) -> String {
        let lines = std::iter::once(&self.header).chain(&self.rows);
        lines.map(|row| row.join("\t") + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_changed_or_added_and_what_others_wrote_stays() {
        let mut table =
            Table::parse("participant_id\tage\nsub-ann\t31\nsub-bob\t40\n").expect("a table");
        table.set("sub-bob", &[("ducksoup_user", "b-ob")]);
        table.set("sub-cleo", &[("ducksoup_user", "cleo")]);
        assert_eq!(
            table.text(),
            "participant_id\tage\tducksoup_user\nsub-ann\t31\tn/a\nsub-bob\t40\tb-ob\n\
             sub-cleo\tn/a\tcleo\n"
        );
        assert_eq!(table.cells("age").collect::<Vec<_>>(), ["31", "40", "n/a"]);
        assert_eq!(table.cells("absent").count(), 0);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert_eq!(Table::parse(""), None);
        assert_eq!(Table::parse("a\tb\n1\n"), None);
        let windows = Table::parse("\u{feff}a\tb\r\n1\t2\r\n").expect("a table");
        assert_eq!(windows.text(), "a\tb\n1\t2\n");
    }
}
