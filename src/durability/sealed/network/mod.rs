//! The network at the boundary of a period: who was there, where, and with which attributes.
//!
//! ```text
//! network/<LSN>/members.parquet   a row for each member, by its number; or only those that differ
//! network/<LSN>/members.sums      a checksum for each 16 KiB of it
//! network/<LSN>/manifest.toml     the manifest, published last
//! ```
//!
//! A boundary is full, or a difference: the rows that are new, or not as they are in the last full one. A
//! difference that is not much smaller is written full. The digest is over all rows in either case. As with
//! seals, a boundary counts once a command names the hash of its manifest.

mod boundary;
mod columns;
mod manifest;
mod member;
mod mend;
mod place;

pub(super) use self::mend::{listed, lsn_of};
pub use self::{
    boundary::{Boundary, CompleteBoundary, complete, full, leftovers, read, sweep, verify, write},
    manifest::BoundaryManifest,
    member::{BoundaryMember, BoundaryTag},
    mend::{hash_of_file, manifest_of, remake_sums},
    place::KnownBoundary,
};
