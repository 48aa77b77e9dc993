//! Rows of a few sums each, side by side: sums that change together are in one line of memory.
//!
//! One field can be emptied in all rows at once, in O(1), to be used for something else. The rows are in
//! blocks, and each block knows how many emptyings it has seen. A field that was emptied since counts as zero
//! when it is read, and becomes zero in the whole block when something is next added there: a few
//! microseconds, once for each block and emptying.

use crate::core::store::{held::Held, sparse::Sparse};

/// Fields of a row, at most: a line of memory.
pub(in crate::core) const FIELDS_MAX: usize = 8;
/// Words of a block: 16 KiB.
const BLOCK_SHIFT: u32 = 11;

/// The fields of a row, the first ones of these.
pub(in crate::core) type Fields = [i64; FIELDS_MAX];

/// Rows by number; zeros where nothing was added.
pub(in crate::core) struct SumRows {
    words: Sparse<i64>,
    /// A row has two to the power of this many fields.
    shift: u32,
    /// Emptyings so far.
    emptyings: u32,
    /// By field, the last of them that emptied it; 0 for none.
    emptied_by: [u32; FIELDS_MAX],
    /// By block, the emptyings that it has seen. Blocks beyond are zeros.
    seen: Vec<u32>,
}

impl Held for SumRows {
    fn bytes(&self) -> usize {
        self.words.bytes() + self.seen.bytes()
    }
}

impl SumRows {
    /// All rows are zeros. `fields` is a power of two up to [`FIELDS_MAX`].
    pub fn new(fields: usize) -> Self {
        debug_assert!(fields.is_power_of_two() && fields <= FIELDS_MAX);
        Self {
            words: Sparse::new(),
            shift: fields.ilog2(),
            emptyings: 0,
            emptied_by: [0; FIELDS_MAX],
            seen: Vec::new(),
        }
    }

    /// Whether nothing was ever added.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// One more than the largest row to which something was added.
    pub fn end(&self) -> usize {
        self.words.end() >> self.shift
    }

    /// Fields of a row.
    pub fn fields(&self) -> usize {
        1 << self.shift
    }

    /// A field of a row.
    #[inline]
    pub fn get(&self, row: usize, field: usize) -> i64 {
        let first = row << self.shift;
        match self.seen.get(first >> BLOCK_SHIFT) {
            Some(seen) if self.emptied_by[field] <= *seen => self.words.get(first + field),
            _ => 0,
        }
    }

    /// All fields of a row.
    #[inline]
    pub fn row(&self, row: usize) -> Fields {
        let first = row << self.shift;
        let mut fields = [0; FIELDS_MAX];
        let Some(seen) = self.seen.get(first >> BLOCK_SHIFT) else { return fields };
        let Some(words) = self.words.slice(first, self.fields()) else { return fields };
        for ((field, word), emptied_by) in fields.iter_mut().zip(words).zip(self.emptied_by) {
            *field = if emptied_by <= *seen { *word } else { 0 };
        }
        fields
    }

    /// Adds to the fields of a row. No sum may exceed 64 bits: that is not checked.
    #[inline]
    pub fn add(&mut self, row: usize, more: &Fields) {
        let first = row << self.shift;
        let block = first >> BLOCK_SHIFT;
        if self.seen.get(block) != Some(&self.emptyings) {
            self.see(block);
        }
        match self.shift {
            0 => add_to::<1>(self.words.slice_mut(first, 1), more),
            1 => add_to::<2>(self.words.slice_mut(first, 2), more),
            2 => add_to::<4>(self.words.slice_mut(first, 4), more),
            _ => add_to::<FIELDS_MAX>(self.words.slice_mut(first, FIELDS_MAX), more),
        }
    }

    /// Sets a field to zero in all rows. O(1).
    pub fn empty(&mut self, field: usize) {
        self.emptyings += 1;
        self.emptied_by[field] = self.emptyings;
    }

    /// Prefetches a row. The result is meaningless, see `network::prefetch`.
    #[inline]
    pub fn prefetch(&self, row: usize) -> i64 {
        self.words.get(row << self.shift)
    }

    /// Lets a block see all emptyings.
    #[cold]
    fn see(&mut self, block: usize) {
        if self.seen.len() <= block {
            self.seen.resize(block + 1, self.emptyings);
            return;
        }
        let seen = std::mem::replace(&mut self.seen[block], self.emptyings);
        let emptied = self.emptied_by.map(|by| seen < by);
        let first = block << BLOCK_SHIFT;
        let end = self.words.end().min((block + 1) << BLOCK_SHIFT);
        if end <= first {
            return;
        }
        for row in self.words.slice_mut(first, end - first).chunks_exact_mut(1 << self.shift) {
            for (field, _) in row.iter_mut().zip(emptied).filter(|(_, emptied)| *emptied) {
                *field = 0;
            }
        }
    }
}

/// Adds to the fields of a row, all at once: their number is known when this is compiled.
#[inline]
fn add_to<const N: usize>(row: &mut [i64], more: &Fields) {
    let row = row.first_chunk_mut::<N>().expect("as many as asked for");
    row.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.wrapping_add(*more));
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Add(usize, usize, i64),
        Empty(usize),
    }

    /// Rows of a few blocks, some of them far away.
    fn step() -> impl Strategy<Value = Step> {
        let row = prop_oneof![0..40_usize, 2_000..2_020_usize, 900_000..900_010_usize];
        prop_oneof![
            8 => (row, 0..FIELDS_MAX, -9..9_i64).prop_map(|(row, field, more)| Step::Add(row, field, more)),
            1 => (0..FIELDS_MAX).prop_map(Step::Empty),
        ]
    }

    proptest! {
        #[test]
        fn rows_are_what_was_added_since_their_fields_were_emptied(
            shift in 0..=3_u32,
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let fields = 1 << shift;
            let mut rows = SumRows::new(fields);
            let mut model: HashMap<(usize, usize), i64> = HashMap::new();
            for step in steps {
                match step {
                    Step::Add(row, field, more) => {
                        let field = field % fields;
                        let mut added = [0; FIELDS_MAX];
                        added[field] = more;
                        rows.add(row, &added);
                        *model.entry((row, field)).or_default() += more;
                        prop_assert!(row < rows.end());
                    }
                    Step::Empty(field) => {
                        rows.empty(field % fields);
                        model.retain(|(_, known), _| *known != field % fields);
                    }
                }
                for row in (0..42).chain(1_998..2_022).chain(899_999..900_011) {
                    let expected: Fields =
                        std::array::from_fn(|field| model.get(&(row, field)).copied().unwrap_or(0));
                    prop_assert_eq!(rows.row(row), expected);
                    for (field, sum) in expected.iter().enumerate().take(fields) {
                        prop_assert_eq!(rows.get(row, field), *sum);
                    }
                }
            }
        }
    }

    #[test]
    fn emptying_takes_no_memory_and_no_time_and_reading_takes_none() {
        let mut rows = SumRows::new(4);
        rows.add(1_000_000, &[1, 2, 3, 4, 0, 0, 0, 0]);
        let bytes = rows.bytes();
        (0..1_000).for_each(|_| rows.empty(1));
        assert_eq!(rows.row(1_000_000), [1, 0, 3, 4, 0, 0, 0, 0]);
        assert_eq!(
            (rows.row(3_000_000), rows.get(3_000_000, 2), rows.end()),
            ([0; FIELDS_MAX], 0, 1_000_001)
        );
        assert_eq!(rows.bytes(), bytes);
    }
}
