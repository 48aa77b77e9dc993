//! What this build is.

/// Version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Version and, where it is known, the commit, for people: `0.1.0 (3cfc229f0a1b)`.
pub const SHOWN: &str = env!("BUILT_VERSION");

/// The commit that was built, where it is known: release builds of a checkout know it, others where
/// `UPLINE_COMMIT` was set at build time.
pub fn commit() -> Option<&'static str> {
    Some(env!("BUILT_COMMIT")).filter(|commit| !commit.is_empty())
}

#[cfg(test)]
mod tests {
    /// Cargo hands what a build script names to the program that it runs, and what begins like a setting and
    /// is none is complained about.
    #[test]
    fn what_the_build_names_does_not_look_like_a_setting() {
        let names = ["COMMIT", "VERSION"].map(|name| format!("UPLINE_BUILD_{name}"));
        assert!(names.iter().all(|name| std::env::var_os(name).is_none()), "{names:?}");
    }
}
