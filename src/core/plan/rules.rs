//! What the checks of a plan share: how a violated rule is told, and what names are.

/// Bytes of a name in a plan.
pub const NAME_BYTES_MAX: usize = 64;

/// A violated plan rule: where (the path of the field, as in the file) and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanError {
    pub field: String,
    pub reason: String,
}

/// The violations found so far.
pub(super) struct Errors(pub Vec<PlanError>);

impl Errors {
    pub fn require(&mut self, holds: bool, field: &str, reason: impl FnOnce() -> String) {
        if !holds {
            self.0.push(PlanError { field: field.into(), reason: reason() });
        }
    }
}

/// Whether a text may be a name that people read.
pub(super) fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Whether a text may be a name that requests use: `[a-z0-9_-]{1,64}`.
pub(super) fn is_short_name(name: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

/// What such a name must be.
pub(super) fn short_name_rule() -> String {
    format!("must be 1 to {NAME_BYTES_MAX} of a-z, 0-9, `_`, `-`")
}
