//! The parts of a state that the reader of a frozen view names, and how what consists of several is frozen.

/// A part of a state that the reader of a frozen view can ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Ids, join times, flags, ranks, numbers of accounts.
    Members,
    /// The placement tree; also the sponsor tree where the plan makes both the same.
    Placement,
    Sponsors,
    /// What placement rules keep to find free slots.
    Slots,
    Codes,
    /// Entries, the accounts of those who received them, references, reversals, row ids, trigger names,
    /// breakage.
    Ledger,
    /// Idempotency keys, and the commands that changed nothing.
    Requests,
    /// Orders, refunds, customers, periods, runs.
    Orders,
    /// The deep counts of admins.
    Admins,
    /// What the trees count: tours and level counts. Without it a tree is copied as an uncounted one.
    Counts,
}

impl Part {
    pub(in crate::core) const ALL: [Part; 10] = [
        Part::Members,
        Part::Placement,
        Part::Sponsors,
        Part::Slots,
        Part::Codes,
        Part::Ledger,
        Part::Requests,
        Part::Orders,
        Part::Admins,
        Part::Counts,
    ];
}

/// A set of parts. What exists once per network (LSN, time, plan) is in every view.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parts(u32);

impl Parts {
    /// Everything: the copy equals the state.
    pub const ALL: Self = Self(u32::MAX);
    /// What ranks follow from.
    pub const RANKED: Self =
        Self::of(&[Part::Members, Part::Placement, Part::Sponsors, Part::Counts, Part::Admins]);

    /// The set of these parts.
    pub const fn of(parts: &[Part]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < parts.len() {
            set |= 1 << parts[at] as u32;
            at += 1;
        }
        Self(set)
    }

    /// These parts and one more.
    #[must_use]
    pub const fn with(self, part: Part) -> Self {
        Self(self.0 | 1 << part as u32)
    }

    /// These parts and those of another set.
    pub(in crate::core) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `part` is in the set.
    pub const fn has(self, part: Part) -> bool {
        self.0 >> part as u32 & 1 != 0
    }

    /// Whether all of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(in crate::core) const fn shares_some_of(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// Bytes of a state by part.
#[derive(Default)]
pub(in crate::core) struct PartBytes {
    parts: [usize; Part::ALL.len()],
    /// What every view has.
    pub always: usize,
}

impl PartBytes {
    pub fn add(&mut self, part: Part, bytes: usize) {
        self.parts[part as usize] += bytes;
    }

    /// The bytes of a part. Those of [`Part::Counts`] are among the trees'.
    pub fn of(&self, part: Part) -> usize {
        self.parts[part as usize]
    }

    #[cfg(test)]
    pub fn total(&self) -> usize {
        self.parts.iter().sum::<usize>() + self.always
    }
}

/// Implements freezing for a struct whose fields are parts, of which a view may have some only, and adds up
/// their bytes. The fields after `always` are in every view, those after `within` consist of parts
/// themselves, and those after `never` are not frozen. A field that is missing fails to compile.
macro_rules! freeze_parts {
    ($type:ty {
        always { $($always:ident),* $(,)? }
        parts { $($part:ident: $field:ident),+ $(,)? }
        $(within { $($within:ident),+ $(,)? })?
        $(never { $($never:ident),+ $(,)? })?
    }) => {
        impl $type {
            /// The parts that are fields of its own.
            pub(in crate::core) const PARTS: $crate::core::store::view_parts::Parts =
                $crate::core::store::view_parts::Parts::of(&[
                    $($crate::core::store::view_parts::Part::$part),+
                ]);

            /// See [`Freeze::freeze`](crate::core::store::column::Freeze::freeze).
            pub(in crate::core) fn freeze_parts(
                &mut self,
                view: $crate::core::store::column::ViewId,
                parts: $crate::core::store::view_parts::Parts,
            ) {
                use $crate::core::store::{column::Freeze, view_parts::Part};
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.freeze(view);)*
                $(if parts.has(Part::$part) {
                    $field.freeze(view);
                })+
                $($($within.freeze_parts(view, parts);)+)?
            }

            /// See [`Freeze::copy_step`](crate::core::store::column::Freeze::copy_step).
            pub(in crate::core) fn copy_parts(
                &self,
                view: $crate::core::store::column::ViewId,
                parts: $crate::core::store::view_parts::Parts,
                copy: &mut Self,
            ) -> bool {
                use $crate::core::store::{column::Freeze, view_parts::Part};
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.copy_step(view, &mut copy.$always) &&)*
                $($($within.copy_parts(view, parts, &mut copy.$within) &&)+)?
                $((!parts.has(Part::$part) || $field.copy_step(view, &mut copy.$field)) &&)+ true
            }

            /// Adds the bytes that each part holds.
            pub(in crate::core) fn add_bytes(&self, bytes: &mut $crate::core::store::view_parts::PartBytes) {
                use $crate::core::store::{held::Held, view_parts::Part};
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $(bytes.always += Held::bytes($always);)*
                $(bytes.add(Part::$part, Held::bytes($field));)+
                $($($within.add_bytes(bytes);)+)?
            }

            /// See [`Freeze::skip`](crate::core::store::column::Freeze::skip).
            pub(in crate::core) fn skip_parts(&self, view: $crate::core::store::column::ViewId) {
                use $crate::core::store::column::Freeze;
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.skip(view);)*
                $($field.skip(view);)+
                $($($within.skip_parts(view);)+)?
            }

            /// See [`Freeze::release`](crate::core::store::column::Freeze::release).
            pub(in crate::core) fn release_parts(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                use $crate::core::store::column::Freeze;
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.release(view, freeing);)*
                $($field.release(view, freeing);)+
                $($($within.release_parts(view, freeing);)+)?
            }

            /// See [`Freeze::share`](crate::core::store::column::Freeze::share).
            pub(in crate::core) fn share_parts(
                &mut self,
                other: &Self,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                use $crate::core::store::column::Freeze;
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.share(&other.$always, freeing);)*
                $($field.share(&other.$field, freeing);)+
                $($($within.share_parts(&other.$within, freeing);)+)?
            }

            /// See [`Freeze::thaw`](crate::core::store::column::Freeze::thaw).
            pub(in crate::core) fn thaw_parts(
                &mut self,
                view: $crate::core::store::column::ViewId,
                freeing: &mut $crate::core::store::freeing::Freeing,
            ) {
                use $crate::core::store::column::Freeze;
                let Self { $($always,)* $($field,)+ $($($within,)+)? $($($never: _,)+)? } = self;
                $($always.thaw(view, freeing);)*
                $($field.thaw(view, freeing);)+
                $($($within.thaw_parts(view, freeing);)+)?
            }
        }
    };
}
pub(crate) use freeze_parts;
