//! The ids of sealed orders and refunds: which are taken, by what, and where it is.
//!
//! A file holds the ids of consecutive seals, sorted by their hash. There are a few such files; of an id that
//! several have the newest counts. They follow from the files of orders, and are built again from those if
//! they are lost.
//!
//! | part | content |
//! | --- | --- |
//! | first block | magic `uplinIDS`, format (4), first and last seal (4 each) |
//! | blocks of entries | up to 113 entries of 36 bytes; at 4,068 their number (2) |
//! | fences | of each block the first 8 bytes of its first hash, up to a whole block |
//! | last block | magic, entries, blocks (8 each), BLAKE3 of the fences, and of all before this block |
//!
//! A block is 4,096 bytes and ends with the CRC-32C of the others; the fences have none. Numbers are
//! little-endian.

mod block;
mod build;
mod entry;
mod file;

pub(super) use self::{
    build::{IdSorter, each_newest, merge},
    entry::Entry,
    file::IdFile,
};
