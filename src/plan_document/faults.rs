//! What is wrong with a plan document.

/// Maximum faults of one document: more than a person mends at once.
const FAULTS_MAX: usize = 25;

/// Maximum bytes of the faults of one document, as JSON has them: an answer with them stays below 4 KiB,
/// whatever was sent. The first fault is kept whatever its length; answers cut it.
const BYTES_MAX: usize = 3_300;

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
pub(super) struct Faults {
    found: Vec<Fault>,
    /// Bytes that `found` takes in an answer.
    bytes: usize,
    /// Whether a fault did not fit. No later one is kept then: those kept are the first ones.
    is_full: bool,
}

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
        let bytes = FRAME_BYTES + json_bytes(&fault.field) + json_bytes(&fault.reason);
        let has_room = self.found.len() < FAULTS_MAX && self.bytes + bytes <= BYTES_MAX;
        self.is_full |= !has_room && !self.found.is_empty();
        if !self.is_full {
            self.bytes += bytes;
            self.found.push(fault);
        }
    }

    /// Returns whether `field` was found wrong: itself, a part of it, or what it is a part of.
    pub(super) fn touch(&self, field: &str) -> bool {
        self.found.iter().any(|fault| contains(&fault.field, field) || contains(field, &fault.field))
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.found
    }
}

/// Bytes that one fault takes in an answer without its texts.
const FRAME_BYTES: usize = 40;

/// Upper bound of the bytes that `text` takes in JSON.
fn json_bytes(text: &str) -> usize {
    let bytes = |c: char| match c {
        '"' | '\\' => 2,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().map(bytes).sum()
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

    #[test]
    fn long_faults_are_bounded_in_bytes_and_the_first_is_kept() {
        for (reason, kept) in [("r".repeat(1_000), 3), ("\u{1}".repeat(500), 1), ("r".repeat(50_000), 1)] {
            let mut faults = Faults::default();
            (0..100).for_each(|_| faults.add("x", reason.as_str()));
            faults.add("x", "a short one, that comes after one that did not fit");
            assert_eq!(faults.into_vec().len(), kept);
        }
    }
}
