//! Words about the opening state.

use upline::core::{
    command::{AddOpening, OpeningEntry, OpeningKind, OpeningText},
    types::Timestamp,
};

use super::{HOUR, Words, Wrong, id_of};

/// `bring MEMBER KIND NAME|_ [text TEXT] [calendar N] [position N] [since HOUR] [value DECIMAL] [and ...]`: a
/// row, and others after `and`. In texts `_` is a blank; periods of `held` are a number whose bits they are.
pub fn rows(words: &mut Words) -> Result<AddOpening, Wrong> {
    let mut rows = vec![row(words)?];
    while words.take("and") {
        rows.push(row(words)?);
    }
    Ok(AddOpening { rows })
}

fn row(words: &mut Words) -> Result<OpeningEntry, Wrong> {
    let text = |word: &str| OpeningText::parse(&word.replace('_', " ")).ok_or(format!("`{word}` is no text"));
    let member = id_of(words.next("member")?);
    let kind = words.next("kind")?;
    let kind: OpeningKind = kind.parse().map_err(|_| format!("`{kind}` is no kind"))?;
    let name = words.next("name")?;
    let name = if name == "_" { OpeningText::default() } else { text(name)? };
    let mut row = OpeningEntry {
        member,
        kind,
        name,
        text: OpeningText::default(),
        calendar: None,
        position: 0,
        since: None,
        value: 0,
        decimals: 0,
    };
    loop {
        if words.take("text") {
            row.text = text(words.next("text")?)?;
        } else if words.take("calendar") {
            row.calendar = Some(words.number("calendar")?);
        } else if words.take("position") {
            row.position = words.number("position")?;
        } else if words.take("since") {
            row.since = Some(Timestamp(words.number::<i64>("hour")? * HOUR));
        } else if words.take("value") {
            (row.value, row.decimals) = decimal(words.next("value")?)?;
        } else {
            return Ok(row);
        }
    }
}

/// `-12.5` is 125 with one decimal.
fn decimal(word: &str) -> Result<(i64, u8), Wrong> {
    let decimals = word.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let digits: String = word.chars().filter(|letter| *letter != '.').collect();
    let value = digits.parse().map_err(|_| format!("`{word}` is no decimal"))?;
    Ok((value, decimals as u8))
}
