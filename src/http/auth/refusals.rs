//! Logs refused requests: failed sign-ins (401), forbidden actions (403), and writes that were rejected.
//!
//! One line each, with the address, but rate limited: an attacker must not fill the disk. The number of
//! suppressed lines is logged.

use std::{
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Sustained lines per second; a line has some 200 bytes, so they are 170 MB a day at worst.
const LINES_PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not 0");
/// Burst, in lines.
const LINES_BURST: NonZeroU32 = NonZeroU32::new(100).expect("not 0");
/// Bytes of a path that are logged.
const PATH_BYTES_MAX: usize = 128;

/// One request that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    pub status: u16,
    pub method: &'a str,
    pub path: &'a str,
    pub address: Option<IpAddr>,
    /// The principal, where known.
    pub principal: &'a str,
}

/// See the module documentation.
pub struct Refusals {
    lines: DefaultDirectRateLimiter,
    left_out: AtomicU64,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            lines: RateLimiter::direct(Quota::per_second(LINES_PER_SECOND).allow_burst(LINES_BURST)),
            left_out: AtomicU64::new(0),
        }
    }

    /// Logs a refusal, or counts it when over the limit. Returns whether it was logged.
    pub fn tell(&self, refusal: &Refusal<'_>) -> bool {
        if self.lines.check().is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let Refusal { status, method, path, principal, .. } = *refusal;
        let address = refusal.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        let path = &path[..path.floor_char_boundary(PATH_BYTES_MAX)];
        let what = match status {
            401 => "not let in",
            403 => "not allowed",
            _ => "write refused",
        };
        tracing::info!(status, method, path, %address, principal, "{what}");
        true
    }

    /// Logs how many lines were suppressed since the last report, if any. To be called now and then.
    pub(super) fn tell_left_out(&self) -> u64 {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out != 0 {
            tracing::info!(
                left_out,
                "refused requests beyond {LINES_PER_SECOND} per second are not logged one by one"
            );
        }
        left_out
    }
}

/// Whether an answer is worth a line: requests that were not authenticated or not allowed, and writes that a
/// rule or a check refused.
pub fn is_told(status: u16, is_write: bool) -> bool {
    matches!(status, 401 | 403)
        || is_write && matches!(status, 400 | 404 | 409 | 410 | 412 | 413 | 415 | 422 | 429 | 503)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attacker_gets_a_burst_of_lines_and_then_a_number() {
        let refusals = Refusals::new();
        let path = "/ä".repeat(100);
        let refusal = Refusal { status: 401, method: "GET", path: &path, address: None, principal: "" };
        let told = (0..10_000).filter(|_| refusals.tell(&refusal)).count() as u64;
        assert!((100..=1_000).contains(&told), "{told}");
        assert_eq!(refusals.tell_left_out(), 10_000 - told);
        assert_eq!(refusals.tell_left_out(), 0);
    }

    #[test]
    fn what_is_told_is_what_was_refused() {
        // status, whether it was a write, whether it is told
        let table = [
            (200, true, false),
            (401, false, true),
            (403, false, true),
            (404, false, false),
            (404, true, true),
            (409, true, true),
            (500, true, false),
        ];
        for (status, is_write, expected) in table {
            assert_eq!(is_told(status, is_write), expected, "{status}");
        }
    }
}
