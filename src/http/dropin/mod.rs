//! The drop-in API: the routes of the service that this one replaces, answered identically to the byte,
//! except for defects that were deliberately fixed (unknown sources, counts, races, deep trees).
//!
//! A request goes through `answer`: path decoded and matched, content parsed (`body`), then a read or a
//! write. Failures become answers in `errors` alone.

mod body;
pub(super) mod describe;
mod errors;
pub(super) mod examples;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod lists;
pub(super) mod python;
mod query;
mod reads;
mod render;
mod rights;
mod router;
mod uuid;
mod weekly;
mod writes;

pub use self::router::answer;
