//! Calendars: when periods begin and end.
//!
//! The core stores periods as instants and knows no dates. Here the rules of a plan's calendars become
//! instants, by the built-in time zone database. Pure: the caller gives the time.
//!
//! - A date begins with its first instant, so days have 23, 24 or 25 hours. Where clocks skip midnight that
//!   is the first instant after it; a date that a zone skipped altogether has no instant and no period.
//! - The next period begins where the last one ended, and ends at the first boundary of its calendar after
//!   that. So a changed length or zone acts from the next period on, which may be shorter than others.
//! - Nothing begins before 1970 or ends after the year 9998.
//!
//! Labels are unique in their calendar:
//!
//! | every | label |
//! | --- | --- |
//! | day | `2026-11-30` |
//! | week from Monday | `2026-W49`, by ISO 8601 |
//! | week from another day | `2026-11-29w`, its first date |
//! | half month | `2026-11-H1`, `2026-11-H2` |
//! | month | `2026-11` |
//! | quarter | `2026-Q4` |
//! | year from January | `2026` |
//! | year from another month | `FY2027`, the year in which it ends |
//! | n days | `2026-11-30`, its first date |
//! | n periods | `2026-11-30-p5`: the first date, and how many periods |
//!
//! A period that would repeat a label, after a change of its calendar, has `.2`, `.3`, ... behind it.

use std::{collections::HashSet, ops::Range};

use jiff::{
    SignedDuration, Timestamp as Instant, ToSpan,
    civil::{Date, Time, date},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::{
    core::{
        command::{OpenPeriod, OrderId},
        plan::calendar::{Calendar, Every, Grace, Weekday},
        types::Timestamp,
    },
    time_text,
};

/// Periods that are computed ahead of a calendar to find those of one that is made up of them.
const AHEAD_MAX: usize = 1 << 16;

/// No period ends after this date begins.
const DATE_MAX: Date = date(9999, 1, 1);

/// Why the next period of a calendar cannot be computed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CalendarFault {
    #[error("the time zone `{zone}` is not in the time zone database")]
    UnknownZone { zone: Box<str> },
    #[error("the period would end after the year 9998")]
    OutOfRange,
    #[error("more than {most} periods are missing: `first` is too long ago, or the clock is wrong")]
    TooMany { most: usize },
    #[error("it is made up of the periods of a calendar that does not stand before it")]
    NotBefore,
}

/// Computes the periods of a calendar that begin at or before `until` and are not open yet, oldest first: at
/// most `most`. The first period of all is the one that holds the calendar's first date, or else `now`.
///
/// `opened`: all periods of each calendar, oldest first; fewer lists than calendars are allowed.
///
/// # Errors
/// See [`CalendarFault`].
pub fn missing(
    calendars: &[Calendar],
    opened: &[Vec<OpenPeriod>],
    calendar: u8,
    [now, until]: [Timestamp; 2],
    most: usize,
) -> Result<Vec<OpenPeriod>, CalendarFault> {
    let mut ahead = Ahead::new(calendars, opened, now);
    let mut taken: HashSet<OrderId> =
        opened.get(usize::from(calendar)).into_iter().flatten().map(|period| period.label.clone()).collect();
    let mut found = 0;
    loop {
        let mut next = ahead.next(calendar)?;
        if until < next.start {
            return Ok(ahead.more.swap_remove(usize::from(calendar)));
        }
        if found == most {
            return Err(CalendarFault::TooMany { most });
        }
        found += 1;
        next.label = unused(next.label, &taken);
        taken.insert(next.label.clone());
        ahead.more[usize::from(calendar)].push(next);
    }
}

/// Finds the longer period that a shorter one counts in: the one in whose (start, end] it ends. `longer` are
/// the periods of one calendar, oldest first; `end` is the end of the shorter one.
pub fn holding_end(longer: &[OpenPeriod], end: Timestamp) -> Option<&OpenPeriod> {
    let at = longer.partition_point(|period| period.end < end);
    longer.get(at).filter(|period| period.start < end)
}

/// The periods of a plan's calendars: those that are open, and those that follow.
struct Ahead<'a> {
    calendars: &'a [Calendar],
    opened: &'a [Vec<OpenPeriod>],
    /// By calendar.
    more: Vec<Vec<OpenPeriod>>,
    now: Timestamp,
}

impl<'a> Ahead<'a> {
    fn new(calendars: &'a [Calendar], opened: &'a [Vec<OpenPeriod>], now: Timestamp) -> Self {
        Self { calendars, opened, more: vec![Vec::new(); calendars.len()], now }
    }

    fn opened(&self, calendar: u8) -> &'a [OpenPeriod] {
        self.opened.get(usize::from(calendar)).map_or(&[], Vec::as_slice)
    }

    fn last(&self, calendar: u8) -> Option<&OpenPeriod> {
        self.more[usize::from(calendar)].last().or(self.opened(calendar).last())
    }

    /// The period that follows those of a calendar.
    fn next(&mut self, calendar: u8) -> Result<OpenPeriod, CalendarFault> {
        let rules = self.calendars.get(usize::from(calendar)).ok_or(CalendarFault::NotBefore)?;
        let unknown = || CalendarFault::UnknownZone { zone: rules.timezone.clone() };
        let zone = Zone(time_text::zone(&rules.timezone).ok_or_else(unknown)?);
        let previous = self.last(calendar).map(|last| (last.end, last.grace_until));
        let first = rules.first.map(|first| zone.start_of(civil(first)?)).transpose()?;
        let begins = previous.map(|(end, _)| end).or(first);
        let (natural, label) = match &rules.every {
            Every::Periods { of, pattern } if *of < calendar => self.together(*of, pattern, begins, &zone)?,
            Every::Periods { .. } => return Err(CalendarFault::NotBefore),
            every => dated(every, begins.unwrap_or(self.now), &zone)?,
        };
        let start = previous.map_or(natural.start, |(end, _)| end);
        let least = previous.map_or(natural.end, |(_, grace_until)| grace_until.max(natural.end));
        Ok(OpenPeriod {
            calendar,
            label: OrderId::parse(&label).expect("labels have few characters, all of them allowed"),
            start,
            end: natural.end,
            grace_until: zone.later(natural.end, rules.grace)?.max(least),
        })
    }

    /// Periods of another calendar, taken together by turns of `pattern`: those that are not over at
    /// `begins`, or the first of all.
    fn together(
        &mut self,
        of: u8,
        pattern: &[u16],
        begins: Option<Timestamp>,
        zone: &Zone,
    ) -> Result<(Range<Timestamp>, String), CalendarFault> {
        let index = begins.map_or(Ok(0), |begins| self.not_over(of, begins))?;
        let turn = turn(pattern, index);
        let start = self.period(of, turn.start)?.start;
        let end = self.period(of, turn.end - 1)?.end;
        Ok((start..end, format!("{}-p{}", zone.date(start)?, turn.len())))
    }

    /// The number of the first period of a calendar that is not over at a time.
    fn not_over(&mut self, calendar: u8, at: Timestamp) -> Result<usize, CalendarFault> {
        while self.last(calendar).is_none_or(|last| last.end <= at) {
            self.extend(calendar)?;
        }
        let opened = self.opened(calendar);
        let is_over = |period: &OpenPeriod| period.end <= at;
        Ok(match opened.partition_point(is_over) {
            over if over < opened.len() => over,
            over => over + self.more[usize::from(calendar)].partition_point(is_over),
        })
    }

    /// A period of a calendar, by number.
    fn period(&mut self, calendar: u8, number: usize) -> Result<&OpenPeriod, CalendarFault> {
        let opened = self.opened(calendar);
        if let Some(period) = opened.get(number) {
            return Ok(period);
        }
        let number = number - opened.len();
        while self.more[usize::from(calendar)].len() <= number {
            self.extend(calendar)?;
        }
        Ok(&self.more[usize::from(calendar)][number])
    }

    fn extend(&mut self, calendar: u8) -> Result<(), CalendarFault> {
        if AHEAD_MAX <= self.more[usize::from(calendar)].len() {
            return Err(CalendarFault::TooMany { most: AHEAD_MAX });
        }
        let next = self.next(calendar)?;
        self.more[usize::from(calendar)].push(next);
        Ok(())
    }
}

/// The turn of a pattern that holds a period, as the numbers of its periods.
fn turn(pattern: &[u16], index: usize) -> Range<usize> {
    let lengths = || pattern.iter().map(|length| usize::from(*length).max(1));
    let all: usize = lengths().sum::<usize>().max(1);
    let mut start = index / all * all;
    for length in lengths() {
        if index < start + length {
            return start..start + length;
        }
        start += length;
    }
    index..index + 1
}

/// The period of a calendar of dates that is not over at a time, and its label.
fn dated(every: &Every, at: Timestamp, zone: &Zone) -> Result<(Range<Timestamp>, String), CalendarFault> {
    let mut dates = dates(every, zone.date(at)?)?;
    // Clocks that go back over midnight repeat the end of a date after the next one began.
    while zone.start_of(dates.end)? <= at {
        dates = self::dates(every, dates.end)?;
    }
    Ok((zone.start_of(dates.start)?..zone.start_of(dates.end)?, label(every, &dates)?))
}

/// The dates of the period that holds a date.
fn dates(every: &Every, holding: Date) -> Result<Range<Date>, CalendarFault> {
    let out = |_: jiff::Error| CalendarFault::OutOfRange;
    let days = |days: i32| holding.checked_add(days.days()).map_err(out);
    let first = holding.first_of_month();
    let months = |count: u8| -> Result<Range<Date>, CalendarFault> {
        let start =
            first.checked_sub((i32::from(first.month() - 1) % i32::from(count)).months()).map_err(out)?;
        Ok(start..start.checked_add(i32::from(count).months()).map_err(out)?)
    };
    match every {
        Every::Day => Ok(holding..days(1)?),
        Every::Week { begins } => {
            let since = (i32::from(holding.weekday().to_monday_zero_offset()) - *begins as i32).rem_euclid(7);
            Ok(days(-since)?..days(7 - since)?)
        }
        Every::HalfMonth => {
            let middle = first.checked_add(15.days()).map_err(out)?;
            if holding < middle { Ok(first..middle) } else { Ok(middle..months(1)?.end) }
        }
        Every::Month => months(1),
        Every::Quarter => months(3),
        Every::Year { from_month } => {
            let begins = i16::from(holding.month() < i8::try_from(*from_month).unwrap_or(1));
            let month = i8::try_from(*from_month).unwrap_or(1);
            let start = Date::new(holding.year() - begins, month, 1).map_err(out)?;
            Ok(start..start.checked_add(1.year()).map_err(out)?)
        }
        Every::Days { count, anchor } => {
            let since = (holding - civil(*anchor)?).get_days().rem_euclid(i32::from(*count).max(1));
            Ok(days(-since)?..days(i32::from(*count).max(1) - since)?)
        }
        Every::Periods { .. } => Err(CalendarFault::NotBefore),
    }
}

/// The label of a period of dates.
fn label(every: &Every, dates: &Range<Date>) -> Result<String, CalendarFault> {
    let Range { start, end } = dates;
    let (year, month) = (start.year(), start.month());
    Ok(match every {
        Every::Day | Every::Days { .. } | Every::Periods { .. } => start.to_string(),
        Every::Week { begins: Weekday::Monday } => {
            let week = start.iso_week_date();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Every::Week { .. } => format!("{start}w"),
        Every::HalfMonth => format!("{year:04}-{month:02}-H{}", if start.day() == 1 { 1 } else { 2 }),
        Every::Month => format!("{year:04}-{month:02}"),
        Every::Quarter => format!("{year:04}-Q{}", (month - 1) / 3 + 1),
        Every::Year { from_month: 1 } => format!("{year:04}"),
        Every::Year { .. } => {
            let last = end.yesterday().map_err(|_| CalendarFault::OutOfRange)?;
            format!("FY{:04}", last.year())
        }
    })
}

/// A label, or the same with the first number behind it that no other period has.
fn unused(label: OrderId, taken: &HashSet<OrderId>) -> OrderId {
    let numbered = |number: usize| {
        OrderId::parse(&format!("{}.{number}", label.as_str())).expect("labels and numbers are short")
    };
    if !taken.contains(&label) {
        return label;
    }
    (2..taken.len() + 3)
        .map(numbered)
        .find(|label| !taken.contains(label))
        .expect("there are more numbers than labels")
}

fn civil(day: crate::core::plan::calendar::Date) -> Result<Date, CalendarFault> {
    let number = |number: u8| i8::try_from(number).unwrap_or(0);
    let year = i16::try_from(day.year).unwrap_or(0);
    Date::new(year, number(day.month), number(day.day)).map_err(|_| CalendarFault::OutOfRange)
}

/// A time zone, and dates in it as instants.
struct Zone(TimeZone);

impl Zone {
    /// The local date at a time.
    fn date(&self, at: Timestamp) -> Result<Date, CalendarFault> {
        Ok(self.0.to_datetime(instant(at)?).date())
    }

    /// The first instant with this date or a later one.
    fn start_of(&self, date: Date) -> Result<Timestamp, CalendarFault> {
        if DATE_MAX < date {
            return Err(CalendarFault::OutOfRange);
        }
        let midnight = self.0.to_ambiguous_timestamp(date.to_datetime(Time::midnight()));
        let is_skipped = matches!(midnight.offset(), AmbiguousOffset::Gap { .. });
        let out = |_: jiff::Error| CalendarFault::OutOfRange;
        // The earlier one of two; of a midnight that was skipped, an instant at or after the change of
        // clocks.
        let mut at = midnight.compatible().map_err(out)?;
        if is_skipped {
            let after = at.checked_add(SignedDuration::from_nanos(1)).map_err(out)?;
            at = self.0.preceding(after).next().map_or(at, |change| change.timestamp());
        }
        Ok(Timestamp(at.as_microsecond().max(0)))
    }

    /// A time later by days of this zone, then by hours.
    fn later(&self, at: Timestamp, grace: Grace) -> Result<Timestamp, CalendarFault> {
        let out = |_: jiff::Error| CalendarFault::OutOfRange;
        let local = self.0.to_datetime(instant(at)?);
        let date = local.date().checked_add(i32::from(grace.days).days()).map_err(out)?;
        let begins = self.start_of(local.date())? == at;
        let days = if grace.days == 0 {
            at
        } else if begins {
            self.start_of(date)?
        } else {
            let local = self.0.to_ambiguous_timestamp(date.to_datetime(local.time()));
            Timestamp(local.compatible().map_err(out)?.as_microsecond())
        };
        let hours =
            instant(days)?.checked_add(SignedDuration::from_hours(grace.hours.into())).map_err(out)?;
        Ok(Timestamp(hours.as_microsecond()))
    }
}

fn instant(at: Timestamp) -> Result<Instant, CalendarFault> {
    Instant::from_microsecond(at.0).map_err(|_| CalendarFault::OutOfRange)
}

#[cfg(test)]
#[path = "calendars_test.rs"]
mod tests;
