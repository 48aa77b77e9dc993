//! Calendars of a plan: how time is divided into periods.
//!
//! The core never computes a date: start and end of a period are instants that the command which opens it
//! carries. Those who send it compute them from this (`calendars.rs`).

use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray, VariantNames};

/// The most days of a period that is a number of days, and of a grace.
pub const PERIOD_DAYS_MAX: u16 = 400;
/// The most hours of a grace, which may be given in hours alone.
pub const GRACE_HOURS_MAX: u16 = 24 * PERIOD_DAYS_MAX;
/// The first and the last year of a date.
pub const YEARS: std::ops::RangeInclusive<u16> = 1970..=9998;
/// The most periods of another calendar that make up one.
pub const PERIODS_TOGETHER_MAX: u16 = 60;
/// Lengths in a pattern of periods, as 4, 4, 5.
pub const PATTERN_MAX: usize = 12;

/// A division of time into periods, each half open: it has its start and not its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// `[a-z0-9_-]{1,64}`, unique in the plan.
    pub name: Box<str>,
    pub every: Every,
    /// A name of the IANA time zone database, for `Periods` that of the other calendar. A change of it acts
    /// from the next period on.
    pub timezone: Box<str>,
    /// How long after its end a period still takes orders of its time.
    pub grace: Grace,
    pub late: Late,
    /// A local date in the first period. `None`: the first period is the one in which the calendar begins. A
    /// calendar of `Periods` has none: it begins with the other calendar.
    pub first: Option<Date>,
    /// Whether who approves a run must be somebody else than who made it.
    pub four_eyes: bool,
}

/// The length of periods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Every {
    Day,
    Week {
        /// The day with which each begins.
        begins: Weekday,
    },
    /// From the 1st, and from the 16th of each month.
    HalfMonth,
    Month,
    /// Three months from January, April, July, October.
    Quarter,
    Year {
        /// The month with which each begins: 1 for calendar years, others for fiscal years.
        from_month: u8,
    },
    /// So many days each, counted from a date that begins one.
    Days {
        count: u16,
        anchor: Date,
    },
    /// So many periods of another calendar, by turns: `[13]`, or `[4, 4, 5]`. The first begins with that
    /// calendar's first period.
    Periods {
        /// The position of the other calendar, which stands before this one.
        of: u8,
        pattern: Vec<u16>,
    },
}

/// A day of the week. Codes are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Weekday {
    Monday = 0,
    Tuesday = 1,
    Wednesday = 2,
    Thursday = 3,
    Friday = 4,
    Saturday = 5,
    Sunday = 6,
}

/// A local date.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Date {
    /// 1970 to 9998.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31, a day of that month.
    pub day: u8,
}

impl Date {
    /// Whether there is such a day, in one of [`YEARS`].
    pub fn exists(self) -> bool {
        let Self { year, month, day } = self;
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap => 29,
            2 => 28,
            1..=12 => 31,
            _ => 0,
        };
        YEARS.contains(&year) && (1..=days).contains(&day)
    }
}

/// A time after the end of a period: days of the calendar's zone, then hours.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Grace {
    pub days: u16,
    pub hours: u16,
}

/// What becomes of an order whose period takes no more orders. Codes are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Late {
    /// It is booked into the oldest period that takes orders.
    Book = 0,
    /// It is refused.
    Refuse = 1,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_exist_or_not() {
        let table = [
            ((2026, 1, 31), true),
            ((2026, 4, 31), false),
            ((2026, 2, 29), false),
            ((2028, 2, 29), true),
            ((2000, 2, 29), true),
            ((2100, 2, 29), false),
            ((2026, 0, 1), false),
            ((2026, 13, 1), false),
            ((2026, 1, 0), false),
            ((1969, 12, 31), false),
            ((9999, 1, 1), false),
        ];
        for ((year, month, day), exists) in table {
            assert_eq!(Date { year, month, day }.exists(), exists, "{year}-{month}-{day}");
        }
    }
}
