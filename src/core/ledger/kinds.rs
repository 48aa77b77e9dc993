//! The names of triggers that a network ever had, numbered in order of first appearance.

use std::collections::HashMap;

use crate::core::{store::held::Held, words::types::KINDS_MAX};

/// Names and an index of them. Some 200 bytes each.
#[derive(Clone, Default, Debug)]
pub(crate) struct Kinds {
    names: Vec<Box<str>>,
    number_of: HashMap<Box<str>, u16>,
}

impl Held for Kinds {
    fn bytes(&self) -> usize {
        let Self { names, number_of } = self;
        // Each name is in both.
        2 * names.bytes() - names.capacity() * size_of::<Box<str>>() + number_of.bytes()
    }
}

impl Kinds {
    /// `None` when there are too many, or one occurs twice.
    pub fn of(names: impl IntoIterator<Item = Box<str>>) -> Option<Self> {
        let mut kinds = Self::default();
        for name in names {
            if !kinds.has_room(1, KINDS_MAX) || kinds.number(&name).is_some() {
                return None;
            }
            kinds.add(&name);
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

    /// Numbers a name that has no number. Requires room.
    pub fn add(&mut self, name: &str) -> u16 {
        debug_assert!(self.number(name).is_none());
        let number = u16::try_from(self.names.len()).expect("limited by KINDS_MAX");
        self.names.push(name.into());
        self.number_of.insert(name.into(), number);
        number
    }

    /// Whether `new` more names fit a limit.
    pub fn has_room(&self, new: usize, most: usize) -> bool {
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
            assert!(kinds.has_room(1, KINDS_MAX), "{number}");
            assert_eq!(usize::from(kinds.add(&name(number))), number);
        }
        assert!(kinds.has_room(0, KINDS_MAX) && !kinds.has_room(1, KINDS_MAX));
        let (old, new) = (name(5), name(KINDS_MAX));
        assert_eq!((kinds.number(&old), kinds.number(&new)), (Some(5), None));
        let all = kinds.names().to_vec();
        assert!(Kinds::of(all.clone()).is_some_and(|kinds| kinds.names() == all));
        assert!(Kinds::of(all.iter().cloned().chain([new.into()])).is_none(), "one too many");
        assert!(Kinds::of([all[0].clone(), all[0].clone()]).is_none(), "one twice");
    }
}
