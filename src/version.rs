//! What this build is.

/// Version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Version and, where it is known, the commit, for people: `0.1.0 (3cfc229f0a1b)`.
pub const SHOWN: &str = env!("UPLINE_BUILD_VERSION");

/// The commit that was built, where it is known: release builds of a checkout know it, others where `UPLINE_COMMIT` was set at build time.
pub fn commit() -> Option<&'static str> {
    Some(env!("UPLINE_BUILD_COMMIT")).filter(|commit| !commit.is_empty())
}
