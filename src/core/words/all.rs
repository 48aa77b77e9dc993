//! The values of an enum as an array.

use strum::VariantArray;

/// Returns the values of an enum, of which there are `N`, in the order of their declaration. `strum` has them
/// as a slice.
pub(in crate::core) const fn all<T: VariantArray + Copy, const N: usize>() -> [T; N] {
    *T::VARIANTS.first_chunk().expect("there are N values")
}
