//! Where things are: months, places in files, names of files.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::core::types::Timestamp;

const DAY_MICROSECONDS: i64 = 24 * 3_600 * 1_000_000;

/// A month of UTC: months since that of the year 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Month(pub u16);

impl Month {
    /// The month of a time. `None` for one that has none in four digits.
    pub fn of(time: Timestamp) -> Option<Self> {
        // The civil calendar by eras of 400 years, which begin with March.
        let days = time.0.div_euclid(DAY_MICROSECONDS) + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let months = (era * 400 + year_of_era) * 12 + from_march + 2;
        (0..12 * 10_000).contains(&months).then(|| u16::try_from(months).ok()).flatten().map(Self)
    }

    /// Reads a name such as `2026-07`.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (year, month) = name.split_once('-')?;
        let is_number =
            |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(year, 4) && is_number(month, 2)).then_some(())?;
        let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
        (1..=12).contains(&month).then(|| u16::try_from(year * 12 + month - 1).ok()).flatten().map(Self)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// Where a sealed order or refund is: its first row in a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Place {
    pub seal: u32,
    /// The month of the order's time; a refund is in that of its order.
    pub month: Month,
    pub row: u32,
}

/// What has an id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum What {
    Order = 0,
    Refund = 1,
}

/// What is known of an id without reading its order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Found {
    pub what: What,
    pub fingerprint: u64,
    pub place: Place,
}

/// The hash that an id is found by.
pub(super) fn hash_of_id(id: &[u8]) -> [u8; 16] {
    blake3::hash(id).as_bytes()[..16].try_into().expect("sixteen of thirty-two")
}

/// Paths of sealed files in a data directory.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    root: PathBuf,
}

/// The two kinds of files that a seal has for a month.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum FileKind {
    Orders,
    Refunds,
}

impl Paths {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn orders(&self) -> PathBuf {
        self.root.join("orders")
    }

    pub fn month(&self, month: Month) -> PathBuf {
        self.orders().join(month.to_string())
    }

    pub fn file(&self, seal: u32, month: Month, kind: FileKind) -> PathBuf {
        self.root.join(relative(seal, month, kind))
    }

    pub fn seals(&self) -> PathBuf {
        self.orders().join("seals")
    }

    pub fn manifest(&self, seal: u32) -> PathBuf {
        self.seals().join(format!("{seal:08}.toml"))
    }

    pub fn sums(&self, seal: u32) -> PathBuf {
        self.seals().join(format!("{seal:08}.sums"))
    }

    pub fn ids(&self) -> PathBuf {
        self.root.join("order-ids")
    }

    pub fn id_file(&self, first: u32, last: u32) -> PathBuf {
        self.ids().join(format!("{first:08}-{last:08}.ids"))
    }

    /// A sorted part of a file of ids that is being made.
    pub fn id_run(&self, seal: u32, run: usize) -> PathBuf {
        self.ids().join(format!("{seal:08}.run-{run}"))
    }
}

/// The path of a file in the data directory.
pub(super) fn relative(seal: u32, month: Month, kind: FileKind) -> String {
    let refunds = if kind == FileKind::Refunds { ".refunds" } else { "" };
    format!("orders/{month}/{seal:08}{refunds}.parquet")
}

/// Reads such a path.
pub(super) fn parse_relative(path: &str) -> Option<(u32, Month, FileKind)> {
    let (month, name) = path.strip_prefix("orders/")?.split_once('/')?;
    let name = name.strip_suffix(".parquet")?;
    let (digits, kind) = match name.strip_suffix(".refunds") {
        Some(digits) => (digits, FileKind::Refunds),
        None => (name, FileKind::Orders),
    };
    let seal = digits.parse().ok()?;
    let month = Month::parse(month)?;
    (relative(seal, month, kind) == path).then_some((seal, month, kind))
}

/// Reads the name of a file of ids: the first and the last seal.
pub(super) fn parse_id_file(name: &str) -> Option<(u32, u32)> {
    let (first, last) = name.strip_suffix(".ids")?.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && format!("{first:08}-{last:08}.ids") == name).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_of_times() {
        let day = |days: i64| Month::of(Timestamp(days * DAY_MICROSECONDS)).map(|month| month.to_string());
        for (days, month) in [
            (0, "1970-01"),
            (-1, "1969-12"),
            (31, "1970-02"),
            (59, "1970-03"),
            (11_016, "2000-02"),
            (11_017, "2000-03"),
            (20_635, "2026-07"),
            (2_932_896, "9999-12"),
        ] {
            if month == "9999-12" {
                // Twelve months times the years of four digits are more than 16 bits hold.
                assert_eq!(day(days), None);
            } else {
                assert_eq!(day(days).as_deref(), Some(month), "{days}");
            }
        }
        let last = Timestamp(31 * DAY_MICROSECONDS - 1);
        assert_eq!(Month::of(last).map(|month| month.to_string()).as_deref(), Some("1970-01"));
        assert_eq!(Month::of(Timestamp(i64::MIN)), None);
        assert_eq!(Month::of(Timestamp(i64::MAX)), None);
    }

    #[test]
    fn names_are_read_again() {
        let month = Month::parse("2026-07").expect("it is one");
        for kind in [FileKind::Orders, FileKind::Refunds] {
            assert_eq!(parse_relative(&relative(3, month, kind)), Some((3, month, kind)));
        }
        for wrong in
            ["orders/2026-7/00000003.parquet", "orders/2026-13/00000003.parquet", "orders/2026-07/3.parquet"]
        {
            assert_eq!(parse_relative(wrong), None, "{wrong}");
        }
        assert_eq!(parse_id_file("00000001-00000004.ids"), Some((1, 4)));
        assert_eq!(parse_id_file("00000004-00000001.ids"), None);
    }
}
