//! `upline import`: members, and the bonuses they were paid, from files.
//!
//! # The files
//!
//! CSV with a header line, or NDJSON as `export` writes it; plain or gzip; UTF-8, or UTF-16 with a byte order
//! mark. The delimiter is detected ([`layout`]), quoted cells may hold line breaks ([`records`]), rows whose
//! cells are all empty are skipped and counted.
//!
//! Members: at least the columns `member,sponsor,joined_at`, in any order; also
//! `parent,slot,code,status,role`, and state from the previous system: `id` (of the member's row, a UUID),
//! `lifetime_rank` (the number of the highest rank ever), `turn` (round robin) and `paid_once` (names of
//! triggers, separated by blanks, that were paid once and must not be again); and attributes that the plan
//! declares: `market`, `owner` and `tags` ([`attributes`]). `level`, `direct`,
//! `downline` and `rank`, which `export` writes too, follow from the rest and are not read; unknown columns
//! are reported and not read. Other names for the columns, and other cell formats, can be given
//! ([`options`]).
//!
//! - A member is a UUID in any of its forms. Any other name becomes the version-5 UUID of that name in lower
//!   case in a fixed namespace (see `names.rs` for the naming rule), and is kept as the referral code if it
//!   can be one and no member has it or a similar one (O and 0; I, L and 1). Names that differ only in case
//!   are the same name, in this file and in all later ones.
//! - A name that is the code of a member that was in the network before, and has no row of its own in the
//!   file, means that member: the row is about it.
//! - An `id`, in the bonus file too, is that of the row in the service the network comes from, where other
//!   systems know it. It is kept. It must not be the id of another row, nor one that this network generates
//!   itself.
//! - A sponsor or parent is named the same way, or by referral code. A name in the file is never taken for a
//!   code. An empty sponsor makes a root.
//! - An empty `joined_at` is the time of the import. 1970-01-01 is an ordinary date; [`crate::time_text`]
//!   defines valid times.
//! - A row may precede the row of its sponsor or parent: it waits. Once that one is imported, the waiting
//!   rows that are ready go before the next line of the file, lowest line first, and each may release others.
//!   A text that only resembles a code is resolved at the end of the file. Otherwise rows are placed in file
//!   order, by the plan's default rule unless they name a parent (and slot; without one it is the lowest free
//!   one).
//!
//! # Nothing half-done
//!
//! Everything is applied to the network in memory first. For a new directory the result is then written as
//! its first snapshot, which is published atomically. For an existing directory the accepted rows are
//! appended to the log in groups; a crash midway leaves the first of them, and importing the same files again
//! adds the rest, in the same order and with the same result (except join times that the file does not give),
//! since unchanged existing rows are not errors, and rows wait for rows whether or not their members exist.
//! With `--strict` a crash leaves none of them: they take effect all or none.
//!
//! A member is imported with its status and role. It may have recruited before it became inactive, so
//! recruits are accepted under members that are inactive by their own rows; those that became so only in the
//! network since get no new recruits. Bonuses have no names by which they could be recognized, so they are
//! only accepted where the ledger is empty or holds just what the file begins with.

mod attributes;
mod bonus_row;
mod cells;
mod columns;
mod command;
mod expected;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod intake;
mod json_rows;
mod layout;
mod lines;
mod match_reversal;
mod member_row;
mod meter;
mod once;
pub(super) mod opening;
mod options;
pub(super) mod orders;
mod reading;
mod records;
mod refusal;
mod source;
mod update;
mod visible;
mod waiting;

pub(super) use self::command::{Args, run};
