//! Sealed orders: what left the state when its periods were posted, as files for ever.
//!
//! A seal is a set of Parquet files that DuckDB and pandas read as they are, with a manifest that vouches for
//! them (`docs/sealed.md`). This layer knows the form of orders, not their rules: what may be sealed, and
//! when, is decided above.
//!
//! ```text
//! orders/2026-07/00000003.parquet          a row for each line of the orders of seal 3 from that month
//! orders/2026-07/00000003.refunds.parquet  a row for each line of their refunds
//! orders/seals/00000003.toml               the manifest: length, hash and digest of each file
//! orders/seals/00000003.sums               a checksum for each 16 KiB of them
//! order-ids/00000001-00000003.ids          where the orders and refunds of seals 1 to 3 are, by id
//! ```
//!
//! [`Writer`] writes a seal: files first, then the manifest, each under a temporary name until it is durable.
//! A seal counts once a command names the hash of its manifest; [`sweep`] removes what no command named.
//! [`Store`] reads the seals that the state knows. Every byte is checked before it is decoded.
//!
//! Rows stay in the order in which they were given, nearly that of their LSNs, which compresses best and lets
//! lists by time pass over most of a file. For lists by member, customer and group each row group has
//! filters. An order that is refunded after it was sealed is sealed again, with its refunds, by a later seal;
//! its column `supersedes` says which seal has the older row.

mod columns;
mod complete;
mod cursor;
mod file;
mod group;
mod ids;
mod inspect;
mod list;
mod manifest;
mod mend;
pub mod network;
mod order;
mod place;
mod read;
mod rows;
mod schema;
mod store;
mod sweep;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use self::{
    complete::CompleteSeal,
    inspect::{BoundarySeen, FileSeen, IdsSeen, Named, SealSeen, SealedItem, inspect},
    list::{Filter, LIST_MAX, Listed},
    manifest::{Manifest, ManifestFile, Sums},
    mend::{Keep, SealedPart, hash_of_file, id_files, is_there, manifest_of, newest_seals_of, remake_sums},
    order::{Credit, RefundBooking, RefundedLine, SealedOrder, SealedRefund, WHOLE},
    place::{Found, Month, Place, What},
    schema::{Layout, Schema, Volume},
    store::{ID_FILES_MAX, Known, Store},
    sweep::{leftovers, sweep},
    verify::{Verified, rebuild_ids, verify},
    writer::{Basis, Writer},
};
