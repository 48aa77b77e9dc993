//! Binary search among rows that are in no slice.

use std::ops::Range;

/// Returns the first index of a range for which `is_before` does not hold, or the end of the range, as
/// `partition_point` of a slice does. `is_before` must hold for a prefix of the range. O(log n).
pub(in crate::core) fn partition_point(range: Range<usize>, is_before: impl Fn(usize) -> bool) -> usize {
    let Range { start: mut low, end: mut high } = range;
    while low < high {
        let middle = usize::midpoint(low, high);
        if is_before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_what_the_one_of_slices_finds() {
        for len in 0..40_usize {
            let rows: Vec<usize> = (0..len).map(|row| row / 3 * 2).collect();
            for wanted in 0..40 {
                let expected = rows.partition_point(|row| *row < wanted);
                assert_eq!(partition_point(0..len, |at| rows[at] < wanted), expected, "{wanted} of {len}");
                assert_eq!(
                    partition_point(len / 2..len, |at| rows[at] < wanted),
                    expected.max(len / 2),
                    "{wanted} of {len}"
                );
            }
        }
    }
}
