//! The names of triggers that a network ever had, numbered in order of first appearance.

use std::collections::HashMap;

use crate::core::words::types::KINDS_MAX;

/// Names and an index of them. Some 200 bytes each.
#[derive(Clone, Default, Debug)]
pub(crate) struct Kinds {
    names: Vec<Box<str>>,
    number_of: HashMap<Box<str>, u16>,
}

impl Kinds {
    /// `None` when there are too many, or one occurs twice.
    pub fn of(names: impl IntoIterator<Item = Box<str>>) -> Option<Self> {
        let mut kinds = Self::default();
        for name in names {
            let known = kinds.len();
            if known == KINDS_MAX || usize::from(kinds.intern(&name)) != known {
                return None;
            }
        }
        Some(kinds)
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// All names, by number.
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The number of a name, if it has one. O(1).
    pub fn number(&self, name: &str) -> Option<u16> {
        self.number_of.get(name).copied()
    }

    /// The number of a name, assigned now if it has none. Requires room.
    pub fn intern(&mut self, name: &str) -> u16 {
        if let Some(number) = self.number(name) {
            return number;
        }
        let number = u16::try_from(self.names.len()).expect("limited by KINDS_MAX");
        self.names.push(name.into());
        self.number_of.insert(name.into(), number);
        number
    }

    /// Whether the new ones among `names` fit a limit. None of them occurs twice.
    pub fn has_room<'a>(&self, names: impl Iterator<Item = &'a str>, most: usize) -> bool {
        let new = names.filter(|name| self.number(name).is_none()).count();
        self.len() + new <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_numbers_up_to_the_limit() {
        let name = |number: usize| format!("kind-{number}");
        let mut kinds = Kinds::default();
        for number in 0..KINDS_MAX {
            assert!(kinds.has_room([name(number).as_str()].into_iter(), KINDS_MAX), "{number}");
            assert_eq!(usize::from(kinds.intern(&name(number))), number);
        }
        assert_eq!((usize::from(kinds.intern(&name(17))), kinds.len()), (17, KINDS_MAX));
        let (old, new) = (name(5), name(KINDS_MAX));
        assert!(kinds.has_room([old.as_str()].into_iter(), KINDS_MAX));
        assert!(!kinds.has_room([new.as_str()].into_iter(), KINDS_MAX));
        assert_eq!((kinds.number(&old), kinds.number(&new)), (Some(5), None));
        let all = kinds.names().to_vec();
        assert!(Kinds::of(all.clone()).is_some_and(|kinds| kinds.names() == all));
        assert!(Kinds::of(all.iter().cloned().chain([new.into()])).is_none(), "one too many");
        assert!(Kinds::of([all[0].clone(), all[0].clone()]).is_none(), "one twice");
    }
}
