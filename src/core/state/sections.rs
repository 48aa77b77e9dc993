//! A network as plain rows: what a snapshot or an importer must keep to rebuild the state, and nothing that
//! can be computed. The rows come in sections; [`sections!`](sections) is the table of them
//! (`core/store/sections.rs`).
//!
//! The durability layer gives these rows a versioned form on disk; it knows their fields, not their meaning.

use std::ops::{Index, IndexMut};

use crate::core::{
    ledger::breakage::Breakage, network::codes::CodeKey, plan::Plan, state::plans::PlanVersions,
    words::types::Timestamp,
};

pub use crate::core::{
    ledger::rows::{EntryRow, TriggerRow},
    network::rows::{CodeRow, MemberRow},
    store::sections::sections,
};

macro_rules! sections_of_an_image {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($columns:tt)* }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        $($(pub use $crate::core::$part::$list::$row;)?)+

        /// A section of an image: rows of one type. The number is on disk.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Section {
            $($section = $number,)+
        }

        /// The number of sections.
        pub const SECTIONS: usize = [$($number),+].len();

        impl Section {
            /// All sections, in the order in which they follow each other.
            pub const IN_ORDER: [Self; SECTIONS] = [$(Self::$section),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$section => $name,)+
                }
            }

            /// The first format version that has it.
            pub fn since(self) -> u32 {
                match self {
                    $(Self::$section => $since,)+
                }
            }

            /// The version of its rows on disk.
            pub fn version(self) -> u16 {
                match self {
                    $(Self::$section => 1_u16$(.max($version + 1))*,)+
                }
            }
        }

        /// Rows of one section, in index order. Sections follow each other in the order of the variants; each
        /// may come in many chunks.
        #[derive(Clone, PartialEq, Debug)]
        pub enum ImageRows {
            $($section(Vec<$row>),)+
        }

        impl ImageRows {
            /// The number of rows. O(1).
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$section(rows) => rows.len(),)+
                }
            }

            pub fn section(&self) -> Section {
                match self {
                    $(Self::$section(_) => Section::$section,)+
                }
            }
        }
    };
}
sections!(sections_of_an_image);

impl Section {
    /// The position of the section, from 0.
    pub fn position(self) -> usize {
        let position = Self::IN_ORDER.iter().position(|section| *section == self);
        position.expect("IN_ORDER has every section")
    }

    /// The section with this number on disk.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::IN_ORDER.into_iter().find(|section| *section as u16 == code)
    }
}

impl ImageRows {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The number of rows of each section.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RowCounts([u32; SECTIONS]);

impl RowCounts {
    /// Counts each section with a function.
    pub fn of(count: impl FnMut(Section) -> u32) -> Self {
        Self(Section::IN_ORDER.map(count))
    }

    /// The rows of all sections.
    pub fn total(&self) -> u64 {
        self.0.into_iter().map(u64::from).sum()
    }
}

impl Index<Section> for RowCounts {
    type Output = u32;

    fn index(&self, section: Section) -> &u32 {
        &self.0[section.position()]
    }
}

impl IndexMut<Section> for RowCounts {
    fn index_mut(&mut self, section: Section) -> &mut u32 {
        &mut self.0[section.position()]
    }
}

/// The scalars of a state, and the number of rows of each section.
#[derive(Clone, PartialEq, Debug)]
pub struct ImageHeader {
    /// All commands up to and including this one are in the image.
    pub lsn: u64,
    /// Log time of that command.
    pub time: Timestamp,
    /// Microseconds of log time that did not count toward the expiry of idempotency keys, never negative.
    pub key_lag: i64,
    /// Rolling hash over the outcomes of all commands so far.
    pub outcome_hash: u64,
    /// How generated referral codes are made; decided when the network was created.
    pub code_key: CodeKey,
    pub plan: Plan,
    /// Number of plans activated, the first included.
    pub plan_version: u32,
    /// The known plans with the LSNs from which they hold; the last is `plan`.
    pub plans: PlanVersions,
    /// Names of entry kinds in order of first use; rows refer to positions here.
    pub kinds: Vec<Box<str>>,
    /// Levels not paid because their receiver may not earn, and their total amount.
    pub breakage_levels: u64,
    pub breakage_amount: i64,
    /// Breakage is itemized since this LSN, if it is.
    pub itemized_from: Option<u64>,
    pub breakage: Breakage,
    pub rows: RowCounts,
    /// All commands after this LSN that changed nothing are among the rows.
    pub unchanged_after: u64,
}
