//! Prefix search over members' ids and referral codes.
//!
//! Ids and codes never change once given, so an index of them is append-only: sorted runs of member indexes,
//! 4 bytes for each member and kind of text, with a short unsorted tail that is scanned. The texts themselves
//! are not stored: a comparison looks them up in the state. The index is built on first use (about a second
//! for a million members) and updated by each search; until then it costs nothing, and signups never touch
//! it. The state's lock is held for [`SLICE`] texts at a time.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use super::{shared::Shared, sync::Mutex};
use crate::core::{
    region::Region,
    state::State,
    types::{CODE_BYTES_MAX, MemberIx, alike},
};

/// Members scanned one by one, at most. Codes are computed for that, some 150 ns each: a millisecond for a
/// full tail.
const TAIL_MAX: u32 = 8_192;

/// Texts looked up under one hold of the read lock: some 100 us where each is a cache miss.
const SLICE: usize = 512;

/// How long a search waits for another that builds the index. Longer waits would only pile up threads.
const WAIT: Duration = Duration::from_secs(1);

/// Another search is building the index: retry later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the index of the search is being made")]
pub struct SearchBusy;

/// What a search looks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Prefix {
    /// The first `digits` hexadecimal digits of an id, in the highest bits of `value`.
    Id { value: u128, digits: u32 },
    /// The beginning of a referral code, folded for comparison.
    Code(Box<str>),
    /// The beginning of a referral code with O as 0 and I and L as 1 (`Code::alike`).
    CodeAlike(Box<str>),
}

/// Hexadecimal digits of an id.
const ID_DIGITS: u32 = 32;
/// Where the hyphens of an id's text stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Prefix {
    /// Parses the beginning of an id's text, with hyphens in place or with none at all. `None` for any other
    /// text. The empty text is the beginning of every id.
    pub fn of_id(text: &str) -> Option<Self> {
        let has_hyphens = text.contains('-');
        let (mut value, mut digits) = (0_u128, 0);
        for (at, letter) in text.chars().enumerate() {
            if has_hyphens && HYPHENS.contains(&at) {
                if letter != '-' {
                    return None;
                }
                continue;
            }
            if digits == ID_DIGITS {
                return None;
            }
            value = value << 4 | u128::from(letter.to_digit(16)?);
            digits += 1;
        }
        Some(Self::Id { value: if digits == 0 { 0 } else { value << (4 * (ID_DIGITS - digits)) }, digits })
    }

    /// Parses the beginning of a code, in any case. `None` for text that no code begins with.
    pub fn of_code(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (text.len() <= CODE_BYTES_MAX && text.bytes().all(allowed))
            .then(|| Self::Code(text.to_ascii_lowercase().into()))
    }

    /// The prefix of codes alike to this one's; `None` if it is no code's.
    #[must_use]
    pub fn alike(&self) -> Option<Self> {
        match self {
            Prefix::Code(text) => Some(Self::CodeAlike(alike(text).into())),
            Prefix::Id { .. } | Prefix::CodeAlike(_) => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Prefix::Id { .. } => Kind::Id,
            Prefix::Code(_) => Kind::Code,
            Prefix::CodeAlike(_) => Kind::CodeAlike,
        }
    }

    /// The least key with this prefix.
    fn least(&self) -> Key {
        match self {
            Prefix::Id { value, .. } => Key { head: *value, rest: Box::default() },
            Prefix::Code(text) | Prefix::CodeAlike(text) => Key::of_text(text.as_bytes()),
        }
    }

    fn begins(&self, key: &Key) -> bool {
        match self {
            Prefix::Id { digits: 0, .. } => true,
            Prefix::Id { value, digits } => (key.head ^ value) >> (4 * (ID_DIGITS - digits)) == 0,
            Prefix::Code(text) | Prefix::CodeAlike(text) => {
                let head = key.head.to_be_bytes();
                let (in_head, in_rest) = text.as_bytes().split_at(text.len().min(head.len()));
                head.starts_with(in_head) && key.rest.starts_with(in_rest)
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Id,
    Code,
    CodeAlike,
}

/// An id or a code, ordered as its text: sixteen bytes as a number, then the rest. Codes have no zero bytes,
/// so the padding of a short one sorts before every letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Key {
    head: u128,
    rest: Box<[u8]>,
}

impl Key {
    fn of(kind: Kind, state: &State, member: MemberIx) -> Self {
        match kind {
            Kind::Id => Self { head: u128::from_be_bytes(state.id(member).0), rest: Box::default() },
            Kind::Code => {
                let mut folded = Vec::with_capacity(CODE_BYTES_MAX);
                state.fold_code(member, &mut folded);
                Self::of_text(&folded)
            }
            Kind::CodeAlike => Self::of_text(state.code(member).alike().as_bytes()),
        }
    }

    fn of_text(text: &[u8]) -> Self {
        let mut head = [0; 16];
        let (in_head, rest) = text.split_at(text.len().min(head.len()));
        head[..in_head.len()].copy_from_slice(in_head);
        Self { head: u128::from_be_bytes(head), rest: rest.into() }
    }
}

/// Members in the order of their keys.
type Run = Arc<Region<u32>>;

/// The index of one kind of text.
struct Runs {
    kind: Kind,
    /// Each is more than twice as long as all after it together, so there are few.
    sorted: Vec<Run>,
    /// Members in the runs: those with an index below this.
    covered: u32,
}

/// The indexes of an engine, empty until the first search.
pub(super) struct SearchIndex {
    ids: Mutex<Runs>,
    codes: Mutex<Runs>,
    /// Made when a search by code finds nothing.
    codes_alike: Mutex<Runs>,
}

impl SearchIndex {
    pub fn new() -> Self {
        let empty = |kind| Mutex::new(Runs { kind, sorted: Vec::new(), covered: 0 });
        Self { ids: empty(Kind::Id), codes: empty(Kind::Code), codes_alike: empty(Kind::CodeAlike) }
    }

    /// See `Engine::search`.
    pub fn find(&self, shared: &Shared, prefix: &Prefix, most: usize) -> Result<Vec<MemberIx>, SearchBusy> {
        let index = match prefix.kind() {
            Kind::Id => &self.ids,
            Kind::Code => &self.codes,
            Kind::CodeAlike => &self.codes_alike,
        };
        let (runs, covered) = {
            let mut index = index.try_lock_for(WAIT).ok_or(SearchBusy)?;
            index.advance(shared);
            (index.sorted.clone(), index.covered)
        };
        let mut found = Vec::new();
        for run in &runs {
            find_in_run(shared, run, prefix, most, &mut found);
        }
        find_in_tail(shared, covered, prefix, &mut found);
        found.sort_unstable();
        found.truncate(most);
        Ok(found.into_iter().map(|(_, member)| MemberIx(member)).collect())
    }

    /// Bytes held, excluding an index being built.
    pub fn bytes(&self) -> usize {
        let covered = |index: &Mutex<Runs>| index.try_lock().map_or(0, |index| index.covered as usize);
        (covered(&self.ids) + covered(&self.codes) + covered(&self.codes_alike)) * size_of::<u32>()
    }
}

impl Runs {
    /// Indexes all members but a short tail.
    fn advance(&mut self, shared: &Shared) {
        let members = shared.read(|state, _| state.len());
        while self.covered + TAIL_MAX <= members {
            let end = self.covered + TAIL_MAX;
            let mut keys: Vec<(Key, u32)> = Vec::with_capacity(TAIL_MAX as usize);
            for from in (self.covered..end).step_by(SLICE) {
                let until = end.min(from + u32::try_from(SLICE).expect("a small number"));
                shared.read(|state, _| {
                    keys.extend(
                        (from..until).map(|member| (Key::of(self.kind, state, MemberIx(member)), member)),
                    );
                });
            }
            keys.sort_unstable();
            let mut run = Region::with_room(keys.len());
            run.extend(keys.into_iter().map(|(_, member)| member));
            self.sorted.push(Arc::new(run));
            self.covered = end;
        }
        self.merge(shared);
    }

    /// Merges the last runs, so that each that stays is more than twice as long as all after it.
    fn merge(&mut self, shared: &Shared) {
        let Some(last) = self.sorted.len().checked_sub(1) else { return };
        let (mut first, mut members) = (last, self.sorted[last].len());
        while 0 < first && self.sorted[first - 1].len() <= 2 * members {
            first -= 1;
            members += self.sorted[first].len();
        }
        if first < last {
            let parts = self.sorted.split_off(first);
            self.sorted.push(merged(shared, self.kind, &parts, members));
        }
    }
}

/// Merges several runs into one. Each text is looked up once.
fn merged(shared: &Shared, kind: Kind, parts: &[Run], members: usize) -> Run {
    let mut result = Region::with_room(members);
    let mut taken = vec![0; parts.len()];
    let mut heads = BinaryHeap::with_capacity(parts.len());
    let first = |part: usize| (part, parts[part][0]);
    let mut wanted: Vec<(usize, u32)> = (0..parts.len()).map(first).collect();
    // The first of each part, then one more whenever one is taken.
    for slice in wanted.chunks(SLICE) {
        shared.read(|state, _| {
            heads.extend(
                slice.iter().map(|(part, member)| Reverse((Key::of(kind, state, MemberIx(*member)), *part))),
            );
        });
    }
    wanted.clear();
    while result.len() < members {
        shared.read(|state, _| {
            for _ in 0..SLICE {
                let Some(Reverse((_, part))) = heads.pop() else { return };
                result.push(parts[part][taken[part]]);
                taken[part] += 1;
                if let Some(member) = parts[part].get(taken[part]) {
                    heads.push(Reverse((Key::of(kind, state, MemberIx(*member)), part)));
                }
            }
        });
    }
    Arc::new(result)
}

/// Appends up to `most` members of a run that match `prefix`. O(log n + most).
fn find_in_run(shared: &Shared, run: &Run, prefix: &Prefix, most: usize, found: &mut Vec<(Key, u32)>) {
    let least = prefix.least();
    let begin = shared.read(|state, _| {
        run.partition_point(|member| Key::of(prefix.kind(), state, MemberIx(*member)) < least)
    });
    let candidates = &run[begin..run.len().min(begin + most)];
    for slice in candidates.chunks(SLICE) {
        let before = found.len();
        shared.read(|state, _| {
            let keys = slice.iter().map(|member| (Key::of(prefix.kind(), state, MemberIx(*member)), *member));
            found.extend(keys.take_while(|(key, _)| prefix.begins(key)));
        });
        if found.len() - before < slice.len() {
            return;
        }
    }
}

/// Appends all matching members after the runs. O(members there), some [`TAIL_MAX`].
fn find_in_tail(shared: &Shared, covered: u32, prefix: &Prefix, found: &mut Vec<(Key, u32)>) {
    let mut from = covered;
    loop {
        let looked_at = shared.read(|state, _| {
            let until = state.len().min(from + u32::try_from(SLICE).expect("a small number"));
            let keys = (from..until).map(|member| (Key::of(prefix.kind(), state, MemberIx(member)), member));
            found.extend(keys.filter(|(key, _)| prefix.begins(key)));
            until
        });
        // If members join faster than they are scanned, the rest is left for the next search.
        if looked_at == from || covered + 2 * TAIL_MAX <= looked_at {
            return;
        }
        from = looked_at;
    }
}

#[cfg(test)]
#[path = "search_test.rs"]
mod tests;
