//! Huge pages, as the system offers them and as this process has them.
//!
//! The columns ask for them by themselves (`core::store::region`). What the system makes of it is only known
//! from `/sys` and `/proc`, which are Linux's; elsewhere nothing is known.

use std::fs;

const OFFER: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const IN_USE: &str = "/proc/self/smaps_rollup";

/// Says for people what the system does with a request for huge pages.
pub fn offer() -> String {
    let text = fs::read_to_string(OFFER).unwrap_or_default();
    match chosen(&text) {
        Some("never") => format!("none: {OFFER} says never, and `madvise` would make a large network faster"),
        Some(_) => "asked for, for a network's columns".into(),
        None => "unknown to this system".into(),
    }
}

/// Bytes of this process that are in huge pages. Takes some milliseconds for a gigabyte in small pages.
pub fn bytes_in_use() -> Option<u64> {
    anonymous(&fs::read_to_string(IN_USE).ok()?)
}

/// The choice in brackets among all of them.
fn chosen(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('[')?;
    rest.split_once(']').map(|(choice, _)| choice)
}

fn anonymous(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("AnonHugePages:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_s_texts_are_read() {
        for (text, expected) in [
            ("always [madvise] never\n", Some("madvise")),
            ("[always] madvise never\n", Some("always")),
            ("always madvise [never]", Some("never")),
            ("", None),
            ("always", None),
        ] {
            assert_eq!(chosen(text), expected, "{text:?}");
        }
        let rollup = "5600-7fff ---p 00000000 00:00 0 [rollup]\nRss:  6252 kB\nAnonHugePages:      4096 kB\n";
        assert_eq!(anonymous(rollup), Some(4 * 1_024 * 1_024));
        assert_eq!((anonymous("Rss: 6 kB"), anonymous("AnonHugePages: much")), (None, None));
    }
}
