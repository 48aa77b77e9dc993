//! `upline import`: members, and the bonuses they were paid, from files.
//!
//! # The files
//!
//! CSV with a header line, or NDJSON as `export` writes it; plain or gzip; UTF-8, or UTF-16 with a byte order
//! mark. What separates cells is found out ([`layout`]), quoted cells may hold line breaks ([`records`]),
//! rows whose cells are all empty are passed over and counted.
//!
//! Members: at least the columns `member,sponsor,joined_at`, in any order; also
//! `parent,slot,code,status,role`, and of what the network was elsewhere `id` (of the member's row, a UUID),
//! `lifetime_rank` (the number of the highest rank ever) and `turn` (round robin). `level`, `direct`,
//! `downline` and `rank`, which `export` writes too, follow from the rest and are not read; columns of other
//! names are named in a note and not read. Other names for the columns, and other ways to write cells, can be
//! given ([`options`]).
//!
//! - A member is a UUID in any of its forms. Any other name becomes the version-5 UUID of that name in a
//!   fixed namespace (`names.rs`, which has the rule by which members are named), and is kept as the referral
//!   code if it can be one, nobody has it, and nobody has one that is like it (O and 0; I, L and 1). Names
//!   that differ only in case are the same name.
//! - A name that is the code of a member that was in the network before, and has no row of its own in the
//!   file, means that member: the row is one about it.
//! - An `id`, in the bonus file too, is that of the row in the service the network comes from, where other
//!   systems know it. It is kept. It must be no other row's, and none that this network makes itself.
//! - A sponsor or parent is named the same way, or by referral code. What is a name in the file is never
//!   taken for a code. An empty sponsor makes a root.
//! - An empty `joined_at` is the time of the import. 1970-01-01 is a date like another; [`crate::time_text`]
//!   has what is a time.
//! - A row may come before the row of its sponsor or parent: it waits. Once that one is there, the waiting
//!   rows that have everything go before the next line of the file, each time the one of the lowest line, and
//!   each may free others. A code that nobody has, but which is like one, is taken when the file is at its
//!   end. Otherwise rows are placed in the order of the file, by the plan's default rule unless they name a
//!   parent (and slot; without one it is the lowest free one).
//!
//! # Nothing half-done
//!
//! Everything is tried on the network in memory first. Into a new directory the result is then written as its
//! first snapshot, which is published in one step. Into an existing directory what was accepted is appended
//! to the log in groups; a crash in the middle of that leaves the first of them, and importing the same files
//! again adds the rest, in the same order and with the same result (but for join times that the file does not
//! give), since rows that are there already, unchanged, are no errors, and rows wait for rows whether or not
//! their members are there. With `--strict` a crash leaves none of them: they stand only when all of them do.
//!
//! A member comes with its status and role. It may have recruited before it became inactive, so recruits are
//! taken in under members that are inactive by their own rows; those that only became so in the network since
//! have no new recruits. Bonuses have no names by which they could be recognised, so they go only where the
//! ledger is empty or holds just what the file begins with.

mod bonus_row;
mod cells;
mod command;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod intake;
mod json_rows;
mod layout;
mod lines;
mod member_row;
mod meter;
mod options;
mod reading;
mod records;
mod refusal;
mod source;
mod update;
mod visible;

pub(super) use self::command::{Args, run};
