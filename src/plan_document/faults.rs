//! What is wrong with a plan document.

/// Maximum faults of one document: more than a person mends at once, and so few that an answer with them
/// stays below 4 KiB, whatever was sent.
const FAULTS_MAX: usize = 25;

/// One fault.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Path of the field, e.g. `trigger[0].id`; empty for the document as a whole.
    pub field: String,
    pub reason: String,
    /// Whether the field is one that plans do not have.
    pub is_unknown: bool,
}

/// The faults found so far, in the order of the document.
#[derive(Default, Debug)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, reason: impl Into<String>) {
        self.push(Fault { field: field.into(), reason: reason.into(), is_unknown: false });
    }

    /// Adds a fault of a value, unless its field was found wrong already.
    pub(super) fn add_fresh(&mut self, field: &str, reason: String) {
        if !self.touch(field) {
            self.add(field, reason);
        }
    }

    pub(super) fn add_unknown(&mut self, field: &str, reason: String) {
        self.push(Fault { field: field.into(), reason, is_unknown: true });
    }

    fn push(&mut self, fault: Fault) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(fault);
        }
    }

    /// Returns whether `field` was found wrong: itself, a part of it, or what it is a part of.
    pub(super) fn touch(&self, field: &str) -> bool {
        self.0.iter().any(|fault| contains(&fault.field, field) || contains(field, &fault.field))
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

/// Returns whether `part` is `whole` or a field inside it.
fn contains(whole: &str, part: &str) -> bool {
    let rest = part.strip_prefix(whole);
    rest.is_some_and(|rest| whole.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_touches_its_field_its_parts_and_what_it_is_in() {
        let mut faults = Faults::default();
        faults.add("placement.allow[1]", "is wrong");
        for (field, touched) in [
            ("placement", true),
            ("placement.allow", true),
            ("placement.allow[1]", true),
            ("placement.allow[1].x", true),
            ("placement.allow[10]", false),
            ("placement.all", false),
            ("placement.rule", false),
            ("name", false),
        ] {
            assert_eq!(faults.touch(field), touched, "{field}");
        }
    }

    #[test]
    fn faults_are_bounded() {
        let mut faults = Faults::default();
        (0..1_000).for_each(|_| faults.add("x", "is wrong"));
        assert_eq!(faults.into_vec().len(), FAULTS_MAX);
    }
}
