//! Raises the limit of file descriptors before anything needs them.
//!
//! The budget is one table in `http::limits`. The log never competes for its own: connections get what
//! remains after every other share.

use super::exit::{Exit, Failure};
use crate::http::limits::{FILES_KEPT_BACK, FILES_MIN};

/// Raises the soft limit to the hard one, and refuses to serve below the minimum.
///
/// # Errors
/// When even the hard limit is too low.
pub(super) fn ensure() -> Result<(), Failure> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(allowed) => judge(allowed),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            Ok(())
        }
    }
}

fn judge(allowed: u64) -> Result<(), Failure> {
    if FILES_MIN as u64 <= allowed {
        return Ok(());
    }
    let message = format!(
        "the limit of open files is {allowed}, and {FILES_MIN} are needed: {FILES_KEPT_BACK} for the log, \
         snapshots and readers, the rest for connections. Raise it (`ulimit -n`, or LimitNOFILE= \
         of the systemd unit)"
    );
    Err(Failure::new(Exit::Config, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_are_refused_with_the_number_that_is_needed() {
        assert!(judge(FILES_MIN as u64).is_ok());
        let refused = judge(FILES_MIN as u64 - 1).unwrap_err();
        assert!(
            refused.message.contains(&FILES_MIN.to_string()) && refused.message.contains("LimitNOFILE"),
            "{}",
            refused.message
        );
    }
}
