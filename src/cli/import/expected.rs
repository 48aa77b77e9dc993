//! Totals that the opening state should have, and how those that it has compare.

use std::{ops::ControlFlow, path::Path};

use serde_json::{Value, json};

use super::{
    columns::Column,
    command::{each_batch, file_failure},
    layout::Layout,
    lines::NextRow,
    meter::Meter,
    visible::visible,
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        tables,
    },
    core::{OpeningTotal, command::OpeningKind, plan::Plan},
    opening_text,
};

const COLUMNS: [Column; 7] = [
    ("kind", true),
    ("name", false),
    ("text", false),
    ("calendar", false),
    ("position", false),
    ("rows", false),
    ("sum", false),
];

const DIFFERENCE_COLUMNS: [(&str, &str); 5] = [
    ("of", "of"),
    ("what", "what"),
    ("expected", "expected"),
    ("found", "found"),
    ("difference", "difference"),
];

/// Totals that there should be, of the rows of a kind. What is not said covers all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Expected {
    kind: OpeningKind,
    name: Option<Box<str>>,
    text: Option<Box<str>>,
    calendar: Option<Box<str>>,
    position: Option<u32>,
    rows: Option<u64>,
    sum: Option<i128>,
}

/// How totals compare.
#[derive(Default)]
pub(super) struct Compared {
    /// What is not as expected.
    pub differences: Vec<Value>,
    /// How many totals were expected.
    pub wanted: u64,
    /// How many totals nothing was expected of.
    pub left: u64,
}

impl Compared {
    pub fn agrees(&self) -> bool {
        self.differences.is_empty()
    }
}

impl Expected {
    /// Reads what the cells of a row, or the parts of an argument, say.
    fn new(kind: &str, given: [&str; 4], rows: &str, sum: &str) -> Result<Self, String> {
        let unknown = || {
            let kinds = OpeningKind::ALL.map(OpeningKind::name).join(", ");
            format!("`{}` is none of {kinds}", visible(kind))
        };
        let kind: OpeningKind = kind.parse().map_err(|_| unknown())?;
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        let [name, of_text, calendar, position] = given;
        let position = match position {
            "" => None,
            cell => Some(
                opening_text::parse_position(kind, cell)
                    .ok_or_else(|| format!("`{}` is not a position", visible(cell)))?,
            ),
        };
        let count = |cell: &str| {
            cell.parse::<u64>().map_err(|_| format!("`{}` is not a number of rows", visible(cell)))
        };
        let rows = if rows.is_empty() { None } else { Some(count(rows)?) };
        let sum = match sum {
            "" => None,
            cell => Some(
                opening_text::parse_sum(kind.shape().value, cell)
                    .map_err(|why| format!("the sum `{}` {why}", visible(cell)))?,
            ),
        };
        if rows.is_none() && sum.is_none() {
            return Err("says neither how many rows there should be nor their sum".into());
        }
        Ok(Self {
            kind,
            name: text(name),
            text: text(of_text),
            calendar: text(calendar),
            position,
            rows,
            sum,
        })
    }

    fn covers(&self, total: &OpeningTotal, plan: &Plan) -> bool {
        let calendar = total.calendar.and_then(|at| plan.commerce.calendars.get(usize::from(at)));
        let calendar = calendar.map(|calendar| &calendar.name);
        self.kind == total.kind
            && self.name.as_ref().is_none_or(|name| *name == total.name)
            && self.text.as_ref().is_none_or(|text| *text == total.text)
            && self.calendar.as_ref().is_none_or(|name| Some(name) == calendar)
            && self.position.is_none_or(|position| Some(position) == total.position)
    }

    /// What it is about, in words.
    fn about(&self) -> String {
        let parts = [self.name.as_deref(), self.text.as_deref(), self.calendar.as_deref()];
        let mut words = vec![self.kind.name().to_owned()];
        words.extend(parts.into_iter().flatten().map(str::to_owned));
        words.extend(self.position.map(|position| position.to_string()));
        words.join(" ")
    }
}

/// Parses `KIND[/NAME[/TEXT|POSITION]]=ROWS[:SUM]`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse_argument(text: &str) -> Result<Expected, String> {
    let (what, much) = text.rsplit_once('=').ok_or("must be KIND[/NAME[/TEXT|POSITION]]=ROWS[:SUM]")?;
    let (rows, sum) = much.split_once(':').unwrap_or((much, ""));
    let mut parts = what.splitn(3, '/');
    let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let last = parts.next().unwrap_or_default();
    let has_position =
        kind.parse::<OpeningKind>().is_ok_and(|kind: OpeningKind| kind.shape().position_is_key);
    let (text, position) = if has_position { ("", last) } else { (last, "") };
    Expected::new(kind, [name, text, "", position], rows, sum)
}

/// Reads a file of totals.
///
/// # Errors
/// The file cannot be read, or one of its lines says no total.
pub(super) fn read(path: &Path, plan: &Plan) -> Result<Vec<Expected>, Failure> {
    let meter = Meter::new(path, "totals");
    let mut lines = meter.open(&Layout::new(&COLUMNS)).map_err(file_failure)?;
    let wrong = |line: u64, why: &str| {
        Failure::new(Exit::Failed, format!("{}: line {line}: {why}; nothing was imported", path.display()))
    };
    let (mut all, mut failed) = (Vec::new(), None);
    let of = |row: NextRow<'_>| match row {
        Ok(row) => {
            let given = [1, 2, 3, 4].map(|column| row.cell(column));
            (row.line, Expected::new(row.cell(0), given, row.cell(5), row.cell(6)))
        }
        Err((line, fault)) => (line, Err(fault.to_string())),
    };
    each_batch(
        &mut lines,
        |rows| rows.map(of).collect::<Vec<_>>(),
        |rows| {
            for (line, expected) in rows {
                let known = expected.and_then(|expected| match &expected.calendar {
                    Some(name) if plan.commerce.calendar(name).is_none() => {
                        Err(format!("the plan has no calendar {}", visible(name)))
                    }
                    _ => Ok(expected),
                });
                match known {
                    Ok(expected) => all.push(expected),
                    Err(why) => {
                        failed = Some(wrong(line, &why));
                        return ControlFlow::Break(());
                    }
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    drop(lines);
    meter.finish();
    failed.map_or(Ok(all), Err)
}

/// Compares the totals that there are with those that there should be.
pub(super) fn compare(wanted: &[Expected], totals: &[OpeningTotal], plan: &Plan) -> Compared {
    let mut compared = Compared { wanted: wanted.len() as u64, ..Compared::default() };
    for expected in wanted {
        let covered = || totals.iter().filter(|total| expected.covers(total, plan));
        let (rows, sum): (u64, i128) =
            (covered().map(|total| total.rows).sum(), covered().filter_map(|total| total.sum).sum());
        if let Some(wanted) = expected.rows.filter(|wanted| *wanted != rows) {
            let difference = i128::from(rows) - i128::from(wanted);
            compared.differences.push(json!({
                "of": expected.about(), "what": "rows", "expected": wanted.to_string(),
                "found": rows.to_string(), "difference": difference.to_string(),
            }));
        }
        if let Some(wanted) = expected.sum.filter(|wanted| *wanted != sum) {
            let print = |sum: i128| opening_text::print_sum(expected.kind.shape().value, sum);
            compared.differences.push(json!({
                "of": expected.about(), "what": "sum", "expected": print(wanted), "found": print(sum),
                "difference": print(sum - wanted),
            }));
        }
    }
    let is_left = |total: &&OpeningTotal| !wanted.iter().any(|expected| expected.covers(total, plan));
    compared.left = totals.iter().filter(is_left).count() as u64;
    compared
}

/// The differences as a table.
pub(super) fn table(compared: &Compared) -> String {
    tables::of_objects(&DIFFERENCE_COLUMNS, &compared.differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_names_what_it_is_about() {
        let expected = |text: &str| parse_argument(text).unwrap();
        let carry = expected("carry/binary/left=2:310.5");
        assert_eq!((carry.kind, carry.position, carry.rows), (OpeningKind::Carry, Some(0), Some(2)));
        assert_eq!((carry.about().as_str(), carry.sum), ("carry binary 0", Some(31_050_000_000)));
        let rank = expected("rank/title/Silver=7");
        assert_eq!((rank.text.as_deref(), rank.rows, rank.sum), (Some("Silver"), Some(7), None));
        assert_eq!(expected("balance=:12").rows, None);
        for wrong in ["", "balance", "balance=", "balanse=1", "balance=x", "balance=1:x", "carry/b/up=1"] {
            assert!(parse_argument(wrong).is_err(), "{wrong}");
        }
    }
}
