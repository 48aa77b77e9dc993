//! Times as text: the only place where they are parsed and printed.
//!
//! Two readers share one set of rules. [`exact`] is what the API accepts: a date, a time and what makes them
//! one instant, i.e. an offset from UTC, a zone name in brackets (RFC 9557,
//! `2025-03-01T10:00:00[America/New_York]`), or both. [`lenient`] also accepts what files and command lines
//! may hold: a date alone is its midnight, a time without offset and zone is in UTC, and a few notations of
//! other programs. [`TimeForm`] reads any other form that a file uses.
//!
//! - Zones are those of the IANA database, which is built in: the same text is the same instant on every
//!   machine. Unknown zones are refused, and so are the two names that say that a zone is not known:
//!   `Etc/Unknown` and `Factory`.
//! - A local time that its zone skipped or had twice is refused unless an offset disambiguates it. An offset
//!   that the zone does not have at that time is refused.
//! - Times are of the years 1970 to 9999, to the microsecond; finer digits are truncated, and a leap second
//!   (`:60`) is the second before it.
//! - Instants are computed from the civil time and its offset: the time-zone library's own instants end 26
//!   hours before the year 9999 does.

use std::{ops::Range, sync::LazyLock};

use jiff::{
    SignedDuration, Timestamp as Instant,
    civil::{Date, DateTime, Time, date},
    fmt::{
        strtime::{self, BrokenDownTime},
        temporal::{Pieces, PiecesOffset},
    },
    tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase},
};

use crate::core::types::Timestamp;

/// The latest time accepted: the end of the year 9999, in microseconds since 1970. The earliest is 0.
pub const TIME_MAX: i64 = 253_402_300_799_999_999;

/// The longest text of a time, in bytes: fits nine digits of a second, an offset and the longest zone name.
pub const TEXT_BYTES_MAX: usize = 96;

/// The form of printed times: zeros stand for digits.
const PRINTED: &[u8; 27] = b"0000-00-00T00:00:00.000000Z";
/// Its bytes up to the seconds.
const SECONDS_BYTES: usize = 19;

/// The start of microseconds, in UTC.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// No offset from UTC is as long as a day, in seconds (RFC 3339, `time-hour`).
const OFFSET_SECONDS_END: i32 = 24 * 60 * 60;

/// The longest time form, in bytes.
const FORM_BYTES_MAX: usize = 128;

/// The name in the database for a machine whose zone was never set: UTC with the abbreviation `-00`.
const UNSET_ZONE: &str = "Factory";

/// The built-in time zone database.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Why a text is not a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", self.reason())]
pub enum TimeFault {
    NotATime,
    NoOffset,
    DayOrMonthFirst,
    Abbreviated,
    UnknownZone,
    Skipped,
    Twice,
    OtherOffset,
    LongOffset,
    OtherForm,
    OutOfRange,
}

impl TimeFault {
    /// Returns the reason for people, continuing "`text` is".
    pub fn reason(self) -> &'static str {
        match self {
            TimeFault::NotATime => "not a time such as 2025-03-01T10:00:00Z",
            TimeFault::NoOffset => "a time without an offset from UTC or a zone: write 2025-03-01T10:00:00Z",
            TimeFault::DayOrMonthFirst => "a date that can begin with its day or its month: write 2025-03-01",
            TimeFault::Abbreviated => {
                "a time whose zone is abbreviated, which can mean several: write an offset, \
                 or a name as in [America/New_York]"
            }
            TimeFault::UnknownZone => "a time in a zone that is not known",
            TimeFault::Skipped => {
                "a time that its zone skipped when clocks went forward: write its offset from UTC too"
            }
            TimeFault::Twice => {
                "a time that its zone had twice when clocks went back: write its offset from UTC too"
            }
            TimeFault::OtherOffset => "a time with an offset that its zone did not have then",
            TimeFault::LongOffset => "a time whose offset from UTC is a day or more",
            TimeFault::OtherForm => "not a time of the form that was given",
            TimeFault::OutOfRange => "a time outside of the years 1970 to 9999",
        }
    }
}

/// Parses a time that is unambiguous by itself.
///
/// # Errors
/// See [`TimeFault`].
pub fn exact(text: &str) -> Result<Timestamp, TimeFault> {
    moment(text, None)
}

/// Parses a time as [`exact`] does; also dates, local times (taken as UTC), ` UTC`, `GMT` or a blank before
/// an offset, one-digit hours and `2025/3/1`.
///
/// # Errors
/// See [`TimeFault`].
pub fn lenient(text: &str) -> Result<Timestamp, TimeFault> {
    let read = moment(text, Some(TimeZone::UTC));
    if read != Err(TimeFault::NotATime) || TEXT_BYTES_MAX < text.len() {
        return read;
    }
    moment(&tidied(text), Some(TimeZone::UTC)).map_err(|fault| better(fault, text))
}

/// Prints ISO 8601 in UTC with six digits of microseconds: [`exact`] can read it back.
pub fn print(time: Timestamp) -> String {
    let mut text = String::with_capacity(PRINTED.len());
    push(time, &mut text);
    text
}

/// Appends a time as [`print`] prints it.
pub fn push(time: Timestamp, out: &mut String) {
    with(time, |text| out.push_str(text));
}

/// Calls `take` with a time as [`print`] prints it. Digit by digit and without memory of its own: files and
/// streams have millions of times.
pub fn with<R>(time: Timestamp, take: impl FnOnce(&str) -> R) -> R {
    let civil = match civil(time) {
        Some(civil) if 0 <= civil.year() => civil,
        // No input leads here: files, clients and clocks are bounded by the calendar.
        Some(civil) => return take(&format!("{civil:.6}Z")),
        None => return take(&format!("{}us", time.0)),
    };
    let mut text = *PRINTED;
    let numbers = [
        (0..4, i32::from(civil.year())),
        (5..7, i32::from(civil.month())),
        (8..10, i32::from(civil.day())),
        (11..13, i32::from(civil.hour())),
        (14..16, i32::from(civil.minute())),
        (17..19, i32::from(civil.second())),
        (20..26, civil.subsec_nanosecond() / 1_000),
    ];
    for (place, number) in numbers {
        let mut rest = number.unsigned_abs();
        for digit in text[place].iter_mut().rev() {
            *digit += u8::try_from(rest % 10).expect("a digit");
            rest /= 10;
        }
    }
    take(std::str::from_utf8(&text).expect("digits"))
}

/// Reads the form that [`print`] writes, and the same without fractions of a second. `None` for any other
/// text, and where reading takes more than digits: leap seconds and times out of range.
fn printed(text: &str) -> Option<Timestamp> {
    let text = text.as_bytes();
    let is_whole = text.len() == SECONDS_BYTES + 1;
    let has_form = |(byte, form): (&u8, &u8)| byte == form || *form == b'0' && byte.is_ascii_digit();
    if !is_whole && text.len() != PRINTED.len()
        || text.last() != Some(&b'Z')
        || !text[..text.len() - 1].iter().zip(PRINTED).all(has_form)
    {
        return None;
    }
    let number = |place: Range<usize>| {
        text[place].iter().fold(0_i32, |number, digit| number * 10 + i32::from(*digit - b'0'))
    };
    let two = |from: usize| i8::try_from(number(from..from + 2)).ok();
    let date = Date::new(i16::try_from(number(0..4)).ok()?, two(5)?, two(8)?).ok()?;
    let micros = if is_whole { 0 } else { number(20..26) };
    let time = Time::new(two(11)?, two(14)?, two(17)?, micros * 1_000).ok()?;
    in_range(i64::try_from(date.to_datetime(time).duration_since(EPOCH).as_micros()).ok()?).ok()
}

/// Returns the date and time in UTC; `None` beyond the calendar.
pub fn civil(time: Timestamp) -> Option<DateTime> {
    EPOCH.checked_add(SignedDuration::from_micros(time.0)).ok()
}

/// The form in which a file writes its times, in the conversion specifiers of strftime.
#[derive(Clone, Debug)]
pub struct TimeForm(Box<str>);

impl TimeForm {
    /// Accepts a form in which a date can be written and read back.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn new(form: &str) -> Result<Self, String> {
        let sample: Instant =
            "2001-02-03T04:05:06Z".parse().map_err(|error| format!("no sample: {error}"))?;
        if FORM_BYTES_MAX < form.len() {
            return Err(format!("it is longer than {FORM_BYTES_MAX} bytes"));
        }
        let printed =
            strtime::format(form, &sample.to_zoned(TimeZone::UTC)).map_err(|error| error.to_string())?;
        let made = Self(form.into());
        let broken = BrokenDownTime::parse(form, &printed)
            .map_err(|error| format!("times cannot be read by it: {error}"))?;
        let date = broken
            .to_timestamp()
            .map(|instant| TimeZone::UTC.to_datetime(instant).date())
            .or_else(|_| broken.to_date());
        match date {
            Ok(date) if date == TimeZone::UTC.to_datetime(sample).date() => Ok(made),
            _ => Err(format!("it does not say year, month and day: it writes 2001-02-03 as `{printed}`")),
        }
    }

    /// Parses a time. Without an offset (`%z`) or a zone (`%Q`) it is in UTC, without an hour it is midnight.
    ///
    /// # Errors
    /// See [`TimeFault`].
    pub fn read(&self, text: &str) -> Result<Timestamp, TimeFault> {
        // The library cannot parse seconds since 1970 in the hours for which it has no instants.
        if &*self.0 == "%s"
            && let Ok(seconds) = text.parse::<i64>()
        {
            return in_range(seconds.saturating_mul(1_000_000));
        }
        let broken = BrokenDownTime::parse(&*self.0, text).map_err(|_| TimeFault::OtherForm)?;
        let zone = broken.iana_time_zone().map(|name| known(ZONES.get(name))).transpose()?;
        if let Some(instant) = broken.timestamp() {
            return in_range(instant.as_microsecond());
        }
        let local = broken.to_datetime().map_err(|_| TimeFault::OtherForm)?;
        resolve(local, broken.offset(), zone, Some(TimeZone::UTC))
    }
}

/// Parses a text in the grammar of RFC 9557. `otherwise` is the zone of local times without offset and zone,
/// if those are allowed.
fn moment(text: &str, otherwise: Option<TimeZone>) -> Result<Timestamp, TimeFault> {
    if TEXT_BYTES_MAX < text.len() {
        return Err(TimeFault::NotATime);
    }
    if let Some(time) = printed(text) {
        return Ok(time);
    }
    let pieces = Pieces::parse(text).map_err(|_| TimeFault::NotATime)?;
    if pieces.time().is_none() && otherwise.is_none() {
        return Err(TimeFault::NotATime);
    }
    let annotation = pieces.time_zone_annotation();
    let zone = annotation.map(|annotation| known(annotation.to_time_zone_with(&ZONES))).transpose()?;
    let local = pieces.date().to_datetime(pieces.time().unwrap_or_default());
    match pieces.offset() {
        None => resolve(local, None, zone, otherwise),
        Some(PiecesOffset::Numeric(offset)) if !offset.is_negative() || !offset.offset().is_zero() => {
            resolve(local, Some(offset.offset()), zone, None)
        }
        // `Z` and `-00:00` say that the instant is known and the local offset is not, so they agree with
        // every zone.
        Some(_) => resolve(local, Some(Offset::UTC), None, None),
    }
}

/// Returns a time zone of the built-in database by its name.
pub fn zone(name: &str) -> Option<TimeZone> {
    known(ZONES.get(name)).ok()
}

/// Returns the name of a time zone as the built-in database has it; `None` for one that is not in it.
pub fn zone_name(name: &str) -> Option<String> {
    zone(name)?.iana_name().map(str::to_owned)
}

/// Returns a zone that was looked up, unless it stands for one that is not known.
fn known(zone: Result<TimeZone, jiff::Error>) -> Result<TimeZone, TimeFault> {
    let is_known = |zone: &TimeZone| !zone.is_unknown() && zone.iana_name() != Some(UNSET_ZONE);
    zone.ok().filter(is_known).ok_or(TimeFault::UnknownZone)
}

/// Returns the instant of a local time. `otherwise` is its zone if neither an offset nor a zone is given.
fn resolve(
    local: DateTime,
    offset: Option<Offset>,
    zone: Option<TimeZone>,
    otherwise: Option<TimeZone>,
) -> Result<Timestamp, TimeFault> {
    let Some(offset) = offset else {
        return match zone.or(otherwise).ok_or(TimeFault::NoOffset)?.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Gap { .. } => Err(TimeFault::Skipped),
            AmbiguousOffset::Fold { .. } => Err(TimeFault::Twice),
            AmbiguousOffset::Unambiguous { offset } => at(local, offset),
        };
    };
    // Offsets are written to the minute, but one zone's had seconds until 1972. The times without an instant
    // in the library are within a day of the end of the year 9999, and have the offset of its last instant.
    let instant = offset.to_timestamp(local).unwrap_or(Instant::MAX);
    let differs = |zone: &TimeZone| 60 <= (zone.to_offset(instant).seconds() - offset.seconds()).abs();
    if zone.as_ref().is_some_and(differs) { Err(TimeFault::OtherOffset) } else { at(local, offset) }
}

/// Returns the instant of a local time with its offset.
fn at(local: DateTime, offset: Offset) -> Result<Timestamp, TimeFault> {
    if OFFSET_SECONDS_END <= offset.seconds().abs() {
        return Err(TimeFault::LongOffset);
    }
    let since_epoch = local.duration_since(EPOCH) - SignedDuration::from_secs(offset.seconds().into());
    // Rounded toward the past, so that the last moment of 1969 does not become the first of 1970.
    let micros = since_epoch.as_nanos().div_euclid(1_000);
    in_range(i64::try_from(micros).map_err(|_| TimeFault::OutOfRange)?)
}

fn in_range(microseconds: i64) -> Result<Timestamp, TimeFault> {
    if (0..=TIME_MAX).contains(&microseconds) {
        Ok(Timestamp(microseconds))
    } else {
        Err(TimeFault::OutOfRange)
    }
}

/// Rewrites notations of other programs as ISO 8601.
fn tidied(text: &str) -> String {
    let split = text.find([' ', 'T', 't']).unwrap_or(text.len());
    let (date, rest) = (text[..split].trim(), text[split..].trim_start_matches([' ', 'T', 't']));
    let mut parts = date.split('/');
    let date = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(year), Some(month), Some(day), None) if year.len() == 4 => {
            format!("{year}-{month:0>2}-{day:0>2}")
        }
        _ => date.to_string(),
    };
    let (local, zulu) = match rest
        .strip_suffix("UTC")
        .or_else(|| rest.strip_suffix("GMT"))
        .or_else(|| rest.strip_suffix('Z'))
    {
        Some(local) => (local.trim_end(), "Z"),
        None => (rest, ""),
    };
    if local.is_empty() {
        return date;
    }
    let (time, offset) = local.split_at(local.find([' ', '+', '-', '[']).unwrap_or(local.len()));
    let hour_digit = if time.as_bytes().get(1) == Some(&b':') { "0" } else { "" };
    let offset = offset.trim_start();
    // `+0000 UTC` gives its offset twice.
    let zulu = if offset.starts_with(['+', '-']) { "" } else { zulu };
    format!("{date}T{hour_digit}{time}{offset}{zulu}")
}

/// Returns a more precise fault, where one can be determined.
fn better(fault: TimeFault, text: &str) -> TimeFault {
    if fault != TimeFault::NotATime {
        return fault;
    }
    let date = text.split([' ', 'T']).next().unwrap_or_default();
    let parts: Vec<&str> = date.split(['/', '.', '-']).collect();
    let are_digits =
        parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let has_short_number_first = parts.len() == 3 && parts[0].len() <= 2 && are_digits;
    let last = text.rsplit(' ').next().unwrap_or_default();
    let is_abbreviation = (2..=5).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_uppercase());
    match (has_short_number_first, is_abbreviation && !matches!(last, "AM" | "PM")) {
        (true, _) => TimeFault::DayOrMonthFirst,
        (_, true) if text.starts_with(|first: char| first.is_ascii_digit()) => TimeFault::Abbreviated,
        _ => TimeFault::NotATime,
    }
}

#[cfg(test)]
#[path = "time_text_test.rs"]
mod tests;
