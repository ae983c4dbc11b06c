// SPDX-License-Identifier: MPL-2.0

//! A run's table of events, read back for what it says of effects. It may have been edited, or
//! written by hand: whatever is not what it must be is named with its line. Pure.

use gstducksoup::fxcontrol::FxControlShape as Shape;

/// Columns that must be there; others may be, and `shape` is read where it is.
const COLUMNS: [&str; 6] = ["onset", "duration", "participant", "type", "target", "value"];
/// What has no value (BIDS, "Tabular files").
const NONE: &str = "n/a";
/// Farthest time and longest duration, in s: a day. Ours: runs take twenty minutes at most.
const MAX_SECONDS: f64 = 86_400.0;

/// A property was to reach a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Command {
    /// When it began, in ns of the run's timeline.
    pub(super) onset: i64,
    /// How long it took, in ns.
    pub(super) duration: u64,
    /// The way there.
    pub(super) shape: Shape,
    /// What it moved, and whereto.
    pub(super) aim: Aim,
    /// Where it stands, from 1.
    pub(super) line: usize,
}

/// A property's value at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    /// In ns of the run's timeline.
    pub(super) onset: i64,
    /// The property and its value.
    pub(super) aim: Aim,
}

/// A property and a value of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Aim {
    /// The effect's name.
    pub(super) effect: String,
    /// Its property.
    pub(super) property: String,
    /// As text: the property's own type decides.
    pub(super) value: String,
}

/// One line about an effect, and whose it is.
#[derive(Debug, Clone, PartialEq)]
struct Row<T> {
    /// Everybody's when it is not said.
    participant: Option<String>,
    /// In which of that participant's connections; in each when it is not said.
    connection: Option<u32>,
    what: T,
}

/// What a table says of effects.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Table {
    commands: Vec<Row<Command>>,
    applied: Vec<Row<Applied>>,
}

/// Why a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub(super) struct TableError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: TableFault,
}

/// See [`TableError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TableFault {
    /// The first line does not name the columns.
    #[error("no table of events: the first line must name the columns {}", COLUMNS.join(", "))]
    Header,
    /// Another number of columns than the first line.
    #[error("{is} columns instead of {wanted}")]
    Columns {
        /// In this line.
        is: usize,
        /// In the first one.
        wanted: usize,
    },
    /// No number of seconds, or one out of reach.
    #[error("the {column} {text:?} is no number of seconds")]
    Seconds {
        /// Which one.
        column: &'static str,
        /// What stands there.
        text: String,
    },
    /// No `effect.property`.
    #[error("the target {0:?} is not written as effect.property")]
    Target(String),
    /// A command without a value.
    #[error("there is no value")]
    Value,
    /// No way that is known.
    #[error("the shape {0:?} is none of linear, step, cosine, exponential")]
    Shape(String),
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// The first line that is wrong, among those that matter here.
    pub(super) fn parse(text: &str) -> Result<Self, TableError> {
        let mut lines = text.trim_start_matches('\u{feff}').lines().zip(1..);
        let header: Vec<_> = lines.next().unwrap_or(("", 1)).0.split('\t').collect();
        let place = |name: &str| header.iter().position(|column| *column == name);
        let places = COLUMNS.map(place);
        let [Some(onset), Some(duration), Some(participant), Some(kind), Some(target), Some(value)] =
            places
        else {
            return Err(TableError { line: 1, fault: TableFault::Header });
        };
        let shape = place("shape");
        let mut table = Self::default();
        let mut connections: Vec<(String, u32)> = Vec::new();
        for (text, line) in lines.filter(|(text, _)| !text.trim().is_empty()) {
            let at = |fault| TableError { line, fault };
            let cells: Vec<_> = text.split('\t').collect();
            if cells.len() != header.len() {
                let (is, wanted) = (cells.len(), header.len());
                return Err(at(TableFault::Columns { is, wanted }));
            }
            let cell = |place: usize| Some(cells[place]).filter(|text| *text != NONE);
            let whose = cell(participant).map(str::to_owned);
            let known = |connections: &[(String, u32)]| {
                let same = |(user, _): &&(String, u32)| Some(user) == whose.as_ref();
                connections.iter().rev().find(same).map(|(_, count)| *count)
            };
            match cells[kind] {
                "joined" | "reconnected" => {
                    if let (Some(user), Some(count)) =
                        (&whose, cell(value).and_then(|count| count.parse().ok()))
                    {
                        connections.push((user.clone(), count));
                    }
                }
                "fx_started" => {
                    let what = Command {
                        onset: seconds("onset", cells[onset]).map_err(at)?,
                        duration: length(cell(duration)).map_err(at)?,
                        shape: way(shape.and_then(cell)).map_err(at)?,
                        aim: aim(cells[target], cell(value)).map_err(at)?,
                        line,
                    };
                    let connection = known(&connections);
                    table.commands.push(Row { participant: whose, connection, what });
                }
                "fx_applied" => {
                    let onset = seconds("onset", cells[onset]).map_err(at)?;
                    let aim = aim(cells[target], cell(value)).map_err(at)?;
                    let (what, connection) = (Applied { onset, aim }, known(&connections));
                    table.applied.push(Row { participant: whose, connection, what });
                }
                _ => {}
            }
        }
        Ok(table)
    }

    /// The commands to a participant's effects in one of the connections, in the order in which
    /// they began.
    pub(super) fn commands(&self, participant: &str, connection: Option<u32>) -> Vec<Command> {
        let mut commands = of(&self.commands, participant, connection);
        commands.sort_by_key(|command| command.onset);
        commands
    }

    /// The values that were set, as logged.
    pub(super) fn applied(&self, participant: &str, connection: Option<u32>) -> Vec<Applied> {
        let mut applied = of(&self.applied, participant, connection);
        applied.sort_by_key(|applied| applied.onset);
        applied
    }
}

fn of<T: Clone>(rows: &[Row<T>], participant: &str, connection: Option<u32>) -> Vec<T> {
    rows.iter()
        .filter(|row| row.participant.as_deref().is_none_or(|whose| whose == participant))
        .filter(|row| match (row.connection, connection) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        })
        .map(|row| row.what.clone())
        .collect()
}

/// Seconds as nanoseconds.
fn seconds(column: &'static str, text: &str) -> Result<i64, TableFault> {
    let number = text.trim().parse().unwrap_or(f64::NAN);
    if !(-MAX_SECONDS..=MAX_SECONDS).contains(&number) {
        return Err(TableFault::Seconds { column, text: text.to_owned() });
    }
    #[allow(clippy::cast_possible_truncation)] // checked above
    Ok((number * 1e9).round() as i64)
}

fn length(text: Option<&str>) -> Result<u64, TableFault> {
    let Some(text) = text else { return Ok(0) };
    let fault = || TableFault::Seconds { column: "duration", text: text.to_owned() };
    u64::try_from(seconds("duration", text)?).map_err(|_| fault())
}

fn way(text: Option<&str>) -> Result<Shape, TableFault> {
    // What clients can ask for is linear.
    let Some(text) = text else { return Ok(Shape::Linear) };
    Shape::from_nick(text).ok_or_else(|| TableFault::Shape(text.to_owned()))
}

fn aim(target: &str, value: Option<&str>) -> Result<Aim, TableFault> {
    // A name has no point in it.
    let (effect, property) =
        target.split_once('.').ok_or_else(|| TableFault::Target(target.to_owned()))?;
    // What else could stand there would be read as something else by `fxcontrol`.
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !is_name(effect) || !is_name(property) {
        return Err(TableFault::Target(target.to_owned()));
    }
    Ok(Aim {
        effect: effect.to_owned(),
        property: property.to_owned(),
        value: value.ok_or(TableFault::Value)?.to_owned(),
    })
}

/// Commands as `fxcontrol` reads them, each at its onset plus `shift` (ns).
pub(super) fn timeline<'a>(commands: impl IntoIterator<Item = &'a Command>, shift: i64) -> String {
    let lines = commands.into_iter().map(|command| {
        let Command { onset, duration, shape, aim, .. } = command;
        let time = u64::try_from(onset.saturating_add(shift)).unwrap_or(0);
        let value = aim.value.replace('\\', "\\\\").replace('\'', "\\'");
        let (time, duration, shape) = (decimal(time), decimal(*duration), shape.nick());
        format!("{time} {} {} '{value}' {duration} {shape}", aim.effect, aim.property)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Nanoseconds in seconds, exactly.
fn decimal(nanoseconds: u64) -> String {
    format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "onset\tduration\tparticipant\ttype\ttarget\tvalue\n";
    const MS: i64 = 1_000_000;

    fn parse(rows: &str) -> Result<Table, TableError> {
        Table::parse(&format!("{HEADER}{rows}"))
    }

    fn aim(effect: &str, property: &str, value: &str) -> Aim {
        Aim { effect: effect.into(), property: property.into(), value: value.into() }
    }

    #[test]
    fn commands_belong_to_a_participant_and_a_connection() {
        let table = parse(
            "-1.5\tn/a\tann\tjoined\tn/a\t1\n\
             -0.250000\t0.5\tann\tfx_started\tvoice.pitch\t0.8\n\
             0.000000\tn/a\tn/a\tstarted\tn/a\tn/a\n\
             2.000001\t0.000000\tben\tfx_started\tface.hue\t-0.5\n\
             0.1\tn/a\tann\tfx_applied\tvoice.pitch\t0.86\n\
             5\tn/a\tann\treconnected\tn/a\t2\n\
             6.5\t1\tann\tfx_started\tvoice.pitch\t1.2\n",
        )
        .expect("a table");
        let first = Command {
            onset: -250 * MS,
            duration: 500_000_000,
            shape: Shape::Linear,
            aim: aim("voice", "pitch", "0.8"),
            line: 3,
        };
        assert_eq!(table.commands("ann", Some(1)), [first]);
        assert_eq!(table.commands("ann", Some(2))[0].onset, 6_500 * MS);
        assert_eq!(table.commands("ann", None).len(), 2);
        assert_eq!(table.commands("ben", Some(1))[0].onset, 2_000_001_000);
        assert_eq!(table.commands("eve", Some(1)), []);
        let applied = Applied { onset: 100 * MS, aim: aim("voice", "pitch", "0.86") };
        assert_eq!(table.applied("ann", Some(1)), [applied]);
    }

    #[test]
    fn a_table_by_hand_may_leave_out_whose_it_is_and_name_shapes_and_more() {
        let text = "type\tshape\tonset\tduration\tparticipant\ttarget\tvalue\tnote\n\
                    fx_started\tcosine\t1\t2\tn/a\tfx.volume\t0.5\tmine\n\
                    \n\
                    fx_started\tn/a\t0.5\tn/a\tn/a\tfx.text\tit's \\ here\tn/a\n";
        let commands = Table::parse(text).expect("a table").commands("whoever", Some(3));
        assert_eq!(
            timeline(&commands, 10 * MS),
            "0.510000000 fx text 'it\\'s \\\\ here' 0.000000000 linear\n\
             1.010000000 fx volume '0.5' 2.000000000 cosine"
        );
    }

    #[test]
    fn rubbish_is_named_with_its_line() {
        use TableFault as F;
        let seconds = |column, text: &str| F::Seconds { column, text: text.into() };
        for (rows, line, fault) in [
            ("1\t2\n", 2, F::Columns { is: 2, wanted: 6 }),
            (
                "1\tn/a\tann\tjoined\tn/a\t1\nx\t0\ta\tfx_started\tb.c\t1\n",
                3,
                seconds("onset", "x"),
            ),
            ("1e9\t0\ta\tfx_started\tb.c\t1\n", 2, seconds("onset", "1e9")),
            ("nan\t0\ta\tfx_applied\tb.c\t1\n", 2, seconds("onset", "nan")),
            ("1\t-1\ta\tfx_started\tb.c\t1\n", 2, seconds("duration", "-1")),
            ("1\t0\ta\tfx_started\tbc\t1\n", 2, F::Target("bc".into())),
            ("1\t0\ta\tfx_started\t.c\t1\n", 2, F::Target(".c".into())),
            ("1\t0\ta\tfx_started\tb.c;0 b\t1\n", 2, F::Target("b.c;0 b".into())),
            ("1\t0\ta\tfx_started\tb.c\tn/a\n", 2, F::Value),
        ] {
            assert_eq!(parse(rows), Err(TableError { line, fault }), "{rows}");
        }
        for text in ["", "\0\u{1}", "PK\u{3}\u{4}", "onset\tduration\n"] {
            let error = Table::parse(text).expect_err("no table");
            assert_eq!(error, TableError { line: 1, fault: F::Header }, "{text:?}");
        }
        let shape = format!("{}\tshape\n1\t0\ta\tfx_started\tb.c\t1\tspline\n", HEADER.trim_end());
        let error = Table::parse(&shape).expect_err("no shape").to_string();
        assert!(error.contains("line 2") && error.contains("spline"), "{error}");
    }

    #[test]
    fn a_line_of_another_kind_may_say_what_it_likes() {
        let table = parse("n/a\tn/a\tn/a\tgap\tsomething\tn/a\n").expect("a table");
        assert_eq!(table, Table::default());
    }
}
