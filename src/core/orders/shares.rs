//! What of an order's values is left after refunds, and how it is divided among several members.

use crate::core::requests::command::WHOLE;

/// What is left of a value of which `refunded` parts of [`WHOLE`] were refunded: volumes are refunded rounded
/// down, and the last refund takes the rest.
pub(crate) fn left(value: i64, refunded: u32) -> i64 {
    let refunded = i128::from(value) * i128::from(refunded) / i128::from(WHOLE);
    value - i64::try_from(refunded).expect("a part of a value")
}

/// Divides a value that is not negative in parts of [`WHOLE`]: each gets its part rounded down, and the units
/// that remain go to those with the largest remainders, of equal ones to the first.
pub(crate) fn divide(value: i64, parts: &[u32]) -> Vec<i64> {
    if parts.len() == 1 {
        return vec![value];
    }
    let exact = |part: &u32| i128::from(value) * i128::from(*part);
    let whole = i128::from(WHOLE);
    let mut shares: Vec<i64> =
        parts.iter().map(|part| i64::try_from(exact(part) / whole).expect("a part of a value")).collect();
    let rest = value - shares.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|at| std::cmp::Reverse(exact(&parts[*at]) % whole));
    let units = usize::try_from(rest).expect("less than one for each part");
    by_remainder.into_iter().take(units).for_each(|at| shares[at] += 1);
    shares
}

/// The share of each member in some values.
pub(crate) fn shares_of(values: &[i64], parts: &[u32]) -> Vec<Vec<i64>> {
    let mut shares = vec![Vec::with_capacity(values.len()); parts.len()];
    for value in values {
        for (share, part) in shares.iter_mut().zip(divide(*value, parts)) {
            share.push(part);
        }
    }
    shares
}

/// How values changed: what they are after it, less what they were before.
pub(crate) fn less(before: &[i64], after: &[i64]) -> Vec<i64> {
    after.iter().zip(before).map(|(after, before)| after - before).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_refunded_in_two_halves_loses_nothing() {
        let half = WHOLE / 2;
        let refunds = [5 - left(5, half), left(5, half) - left(5, WHOLE)];
        assert_eq!(refunds, [2, 3]);
    }

    #[test]
    fn equal_remainders_go_to_the_first() {
        let third = WHOLE / 3;
        assert_eq!(divide(100, &[third, third, third + 1]), [33, 33, 34]);
        assert_eq!(divide(5, &[WHOLE / 2, WHOLE / 2]), [3, 2]);
        assert_eq!(divide(1, &[WHOLE / 4, WHOLE / 4 * 3]), [0, 1]);
    }

    proptest! {
        #[test]
        fn shares_add_up(value in 0..i64::MAX / 2, cuts in prop::collection::vec(1..WHOLE, 0..15)) {
            let mut ends: Vec<u32> = cuts.into_iter().chain([WHOLE]).collect();
            ends.sort_unstable();
            ends.dedup();
            let starts = [0].into_iter().chain(ends.iter().copied());
            let parts: Vec<u32> = ends.iter().zip(starts).map(|(end, start)| end - start).collect();
            let shares = divide(value, &parts);
            prop_assert_eq!(shares.iter().sum::<i64>(), value);
            for (share, part) in shares.iter().zip(&parts) {
                let exact = i128::from(value) * i128::from(*part);
                let off = i128::from(*share) * i128::from(WHOLE) - exact;
                prop_assert!(off.abs() < i128::from(WHOLE), "within a unit");
            }
        }
    }
}
