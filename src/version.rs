//! The identity of this build.

/// The release version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Version and, if known, the commit, for people: `0.1.0 (3cfc229f0a1b)`.
pub const SHOWN: &str = env!("BUILT_VERSION");

/// Returns the commit that was built, if known: release builds of a checkout know it, others if
/// `UPLINE_COMMIT` was set at build time.
pub fn commit() -> Option<&'static str> {
    Some(env!("BUILT_COMMIT")).filter(|commit| !commit.is_empty())
}

#[cfg(test)]
mod tests {
    /// Cargo passes variables set by a build script on to the program it runs, and a variable that looks like
    /// a setting but is none causes a warning.
    #[test]
    fn what_the_build_names_does_not_look_like_a_setting() {
        let names = ["COMMIT", "VERSION"].map(|name| format!("UPLINE_BUILD_{name}"));
        assert!(names.iter().all(|name| std::env::var_os(name).is_none()), "{names:?}");
    }
}
