//! Memory held by the parts of a state.
//!
//! Whatever is frozen tells its bytes as well: `freeze_fields!` and `freeze_parts!` add up the fields of a
//! part, so a list that is added to one counts, or does not compile.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use crate::core::words::types::{MemberIx, Timestamp};

/// Memory that a value holds besides its own size, in bytes.
pub(crate) trait Held {
    /// Whether a value may hold anything. Lists of values that do not are not walked.
    const HOLDS: bool = true;

    /// What hash tables and trees hold is an estimate. O(1) for lists of members and entries.
    fn bytes(&self) -> usize;
}

/// Values of a list from which the bytes of all of them are estimated: the state's lock is held meanwhile.
const SAMPLED_MAX: usize = 4_096;

/// Bytes that `len` values hold.
fn of_all<'v, T: Held + 'v>(values: impl Iterator<Item = &'v T>, len: usize) -> usize {
    if !T::HOLDS || len == 0 {
        return 0;
    }
    let sampled = len.min(SAMPLED_MAX);
    values.take(sampled).map(Held::bytes).sum::<usize>() / sampled * len
}

/// Implements [`Held`] for types that hold nothing.
macro_rules! holds_nothing {
    ($($type:ty),+ $(,)?) => {
        $(
            impl $crate::core::store::held::Held for $type {
                const HOLDS: bool = false;

                fn bytes(&self) -> usize {
                    0
                }
            }
        )+
    };
}
pub(in crate::core) use holds_nothing;

holds_nothing!(bool, u8, u16, u32, u64, usize, i64, i128, MemberIx, Timestamp);

/// A byte for each place of a hash table tells whether it is taken.
impl<K, V> Held for HashMap<K, V> {
    fn bytes(&self) -> usize {
        self.capacity() * (size_of::<(K, V)>() + 1)
    }
}

impl<K> Held for HashSet<K> {
    fn bytes(&self) -> usize {
        self.capacity() * (size_of::<K>() + 1)
    }
}

/// Nodes are at least half full; two thirds are usual.
impl<K, V: Held> Held for BTreeMap<K, V> {
    fn bytes(&self) -> usize {
        self.len() * size_of::<(K, V)>() * 3 / 2 + of_all(self.values(), self.len())
    }
}

impl<T: Held> Held for Vec<T> {
    fn bytes(&self) -> usize {
        self.capacity() * size_of::<T>() + of_all(self.iter(), self.len())
    }
}

impl<T: Held, const N: usize> Held for [T; N] {
    fn bytes(&self) -> usize {
        self.iter().map(Held::bytes).sum()
    }
}

impl<T: Held> Held for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Held::bytes)
    }
}

impl<T: Held> Held for Arc<T> {
    fn bytes(&self) -> usize {
        size_of::<T>() + (**self).bytes()
    }
}

impl Held for Box<str> {
    fn bytes(&self) -> usize {
        self.len()
    }
}
