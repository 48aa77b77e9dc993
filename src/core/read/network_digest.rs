//! The network digest: of what a network is, whatever log led to it.
//!
//! It is a sum of row hashes, so a state keeps the sums of chunks of rows (`store/sums.rs`), and only chunks
//! that have changed are hashed again. There are three ways to the same digest:
//!
//! - [`network_digest`] hashes every row, and looks at nothing that is kept.
//! - [`kept_network_digest`] hashes what is stale, in parallel: of a state that stands still, as a frozen
//!   view.
//! - A [`Capture`] hashes what is stale of a network that goes on. It copies, at one moment, what of these
//!   rows may change; the rest of a row stays as it is from the command on that made it, and can be read
//!   later.

use std::ops::Range;

use crate::core::{
    ledger::entries::EntrySums,
    network::members::MemberSums,
    read::digest::{Digest, Fields},
    state::{kept_sums::FreshSums, parts::State},
    store::{
        parallel::{in_blocks, of_each},
        sums::{FreshSum, Lanes, Sums, sum},
    },
    words::types::{EntryStatus, MemberIx, Role, Status, index},
};

/// Covers the network itself, whatever log led to it: ids, codes, edges, slots, join times, statuses, roles,
/// ranks and bonuses, without LSNs and positions. A sum of row hashes, so independent of their order: two
/// machines that hold the same network agree. O(members + entries): nothing that is kept is used.
pub fn network_digest(state: &State) -> Digest {
    let members = in_blocks(state.network.members().len(), |rows| members_sum(state, rows));
    let entries = in_blocks(state.ledger.entries().count(), |rows| entries_sum(state, rows));
    whole(state.len(), state.entries(), &[sum(members.into_iter()), sum(entries.into_iter())])
}

/// As [`network_digest`], from the sums that are kept, and those of what has changed, computed in parallel.
/// Returns these too: the state, or the one that it is a view of, can keep them. O(chunks, and rows of stale
/// ones).
pub fn kept_network_digest(state: &State) -> (Digest, FreshSums) {
    let (members, of_members) =
        kept_sum(state.network.members().sums(), state.network.members().len(), |rows| {
            members_sum(state, rows)
        });
    let (entries, of_entries) =
        kept_sum(state.ledger.entries().sums(), state.ledger.entries().count(), |rows| {
            entries_sum(state, rows)
        });
    let fresh = FreshSums { members: of_members, entries: of_entries };
    (whole(state.len(), state.entries(), &[members, entries]), fresh)
}

/// The sum over all of `len` rows, and those of stale chunks.
fn kept_sum<const SHIFT: u32>(
    kept: &Sums<SHIFT>,
    len: usize,
    of_rows: impl Fn(Range<usize>) -> Lanes + Sync,
) -> (Lanes, Vec<FreshSum>) {
    let Sorted { current, stale } = Sorted::of(kept);
    let fresh = of_each(&stale, |chunk| {
        let sum = of_rows(Sums::<SHIFT>::rows(*chunk, len));
        FreshSum { chunk: *chunk, sum, moment: kept.moment_of(*chunk) }
    });
    (sum([current].into_iter().chain(fresh.iter().map(|fresh| fresh.sum))), fresh)
}

/// Chunks by whether their sum is current.
struct Sorted {
    /// The sum over those that are.
    current: Lanes,
    stale: Vec<usize>,
}

impl Sorted {
    fn of<const SHIFT: u32>(kept: &Sums<SHIFT>) -> Self {
        let mut sorted = Self { current: [0; 4], stale: Vec::new() };
        for chunk in 0..kept.chunks() {
            match kept.current(chunk) {
                Some(of_chunk) => sorted.current = sum([sorted.current, of_chunk].into_iter()),
                None => sorted.stale.push(chunk),
            }
        }
        sorted
    }
}

/// A network digest being computed while the network goes on, or sums for a later one.
pub struct Capture {
    pub lsn: u64,
    pub members: u32,
    pub entries: u64,
    /// Sums over members and entries: of current chunks, and of those hashed so far.
    sums: [Lanes; 2],
    moments: [u64; 2],
    /// Still to be hashed.
    chunks: Vec<Captured>,
    /// Further stale chunks, which were not captured.
    left: usize,
    fresh: FreshSums,
}

/// A chunk, with what may change in its rows.
enum Captured {
    Members { chunk: usize, rows: Vec<Standing> },
    Entries { chunk: usize, states: States },
}

/// What may change of a member.
#[derive(Clone, Copy)]
struct Standing {
    status: Status,
    role: Role,
    paid_as: u16,
}

/// What may change of entries.
struct States {
    first: usize,
    rows: Vec<EntryStatus>,
    /// The states of reversed ones, by their reversals, which are among these.
    reversed: Vec<(u64, EntryStatus)>,
}

impl State {
    /// Begins with up to `most` stale chunks: a few hundred rows to be copied each, and the marks of all
    /// chunks to be looked at, some 0.1 ms a million members.
    pub fn capture_sums(&self, most: usize) -> Capture {
        let (members, entries) = (self.network.members(), self.ledger.entries());
        let moments = [members.sums().begin(), entries.sums().begin()];
        let (of_members, of_entries) = (Sorted::of(members.sums()), Sorted::of(entries.sums()));
        let stale = of_members.stale.len() + of_entries.stale.len();
        let captured = |chunk| Captured::Members {
            chunk,
            rows: MemberSums::rows(chunk, members.len()).map(|row| Standing::of(self, index(row))).collect(),
        };
        let captured_entries = |chunk| Captured::Entries {
            chunk,
            states: States::of(self, EntrySums::rows(chunk, entries.count())),
        };
        let chunks = of_members.stale.into_iter().map(captured);
        let chunks = chunks.chain(of_entries.stale.into_iter().map(captured_entries));
        Capture {
            lsn: self.lsn(),
            members: self.len(),
            entries: self.entries(),
            sums: [of_members.current, of_entries.current],
            moments,
            chunks: chunks.take(most).collect(),
            left: stale.saturating_sub(most),
            fresh: FreshSums::default(),
        }
    }
}

impl Capture {
    /// Stale chunks that are not hashed yet, captured or not.
    pub fn stale(&self) -> usize {
        self.chunks.len() + self.left
    }

    /// Hashes one of the captured chunks, some 0.1 to 0.3 ms of work, with the network as it is now, whatever
    /// was applied meanwhile. Returns whether any is left.
    pub fn hash_next(&mut self, state: &State) -> bool {
        let Some(captured) = self.chunks.pop() else { return false };
        let (part, chunk, sum_of_rows) = match &captured {
            Captured::Members { chunk, rows } => {
                let first = MemberSums::rows(*chunk, usize::MAX).start;
                let mut hash = MemberHash::new(state);
                (0, *chunk, sum((first..).zip(rows).map(|(row, standing)| hash.of(index(row), *standing))))
            }
            Captured::Entries { chunk, states } => {
                let mut hash = Row::new("entry");
                let rows = states.first..states.first + states.rows.len();
                (
                    1,
                    *chunk,
                    sum(rows.map(|row| entry_hash(state, row as u64, |of| states.get(of), &mut hash))),
                )
            }
        };
        self.sums[part] = sum([self.sums[part], sum_of_rows].into_iter());
        let fresh = FreshSum { chunk, sum: sum_of_rows, moment: self.moments[part] };
        [&mut self.fresh.members, &mut self.fresh.entries][part].push(fresh);
        !self.chunks.is_empty()
    }

    /// The digest of the network at the capture's LSN, once all that was stale is hashed.
    pub fn digest(&self) -> Option<Digest> {
        (self.stale() == 0).then(|| whole(self.members, self.entries, &self.sums))
    }

    /// The sums computed, to be kept by the network.
    pub fn into_fresh(self) -> FreshSums {
        self.fresh
    }
}

impl Standing {
    fn of(state: &State, member: MemberIx) -> Self {
        let members = state.network.members();
        Self {
            status: members.status(member),
            role: members.role(member),
            paid_as: members.ranks(member).paid_as,
        }
    }
}

impl States {
    fn of(state: &State, rows: Range<usize>) -> Self {
        let entries = state.ledger.entries();
        let reversals = state.ledger.reversals().among(rows.start as u64..rows.end as u64);
        Self {
            first: rows.start,
            reversed: reversals
                .map(|row| (row.reverses.into(), entries.status_of(row.reverses.into())))
                .collect(),
            rows: rows.map(|row| entries.status_of(row as u64)).collect(),
        }
    }

    /// The state of one of the entries, or of one that one of them reverses.
    fn get(&self, entry: u64) -> EntryStatus {
        let within = usize::try_from(entry).ok().and_then(|entry| entry.checked_sub(self.first));
        let own = within.and_then(|at| self.rows.get(at)).copied();
        let reversed =
            || self.reversed.iter().find(|(reversed, _)| *reversed == entry).map(|(_, state)| *state);
        own.or_else(reversed).expect("an entry of the chunk, or one that such an entry reverses")
    }
}

/// The digest from sums over members and entries.
fn whole(members: u32, entries: u64, sums: &[Lanes; 2]) -> Digest {
    let mut whole = Fields::new("network");
    whole.number(members).number(entries);
    sums.as_flattened().iter().for_each(|lane| _ = whole.number(*lane));
    whole.finish()
}

fn members_sum(state: &State, rows: Range<usize>) -> Lanes {
    let mut hash = MemberHash::new(state);
    sum(rows.map(index).map(|member| hash.of(member, Standing::of(state, member))))
}

fn entries_sum(state: &State, rows: Range<usize>) -> Lanes {
    let (entries, mut hash) = (state.ledger.entries(), Row::new("entry"));
    let status_of = |entry| entries.status_of(entry);
    sum(rows.map(|row| entry_hash(state, row as u64, status_of, &mut hash)))
}

/// Hashes members.
struct MemberHash<'a> {
    state: &'a State,
    row: Row,
    /// Scratch buffer for a member's code.
    code: Vec<u8>,
}

impl<'a> MemberHash<'a> {
    fn new(state: &'a State) -> Self {
        Self { state, row: Row::new("member"), code: Vec::new() }
    }

    /// Besides the standing, a row covers only what never changes once the member is there.
    fn of(&mut self, member: MemberIx, standing: Standing) -> Lanes {
        let Self { state, row: hash, code } = self;
        code.clear();
        state.fold_code(member, code);
        let row = state.member(member);
        let id_of =
            |other: Option<MemberIx>| other.map_or([0; 16], |other| state.network.members().id(other).0);
        let Standing { status, role, paid_as } = standing;
        hash.of(|fields| {
            fields
                .bytes(&row.id.0)
                .number(u8::from(row.sponsor.is_some()))
                .bytes(&id_of(row.sponsor))
                .bytes(&id_of(row.parent));
            fields.number(row.slot).signed(row.joined_at.0).number(status as u8).number(role as u8);
            fields.number(code.len() as u64).bytes(code).number(paid_as);
        })
    }
}

/// Besides the states, an entry's row covers only what never changes once the entry is there.
fn entry_hash(state: &State, index: u64, status_of: impl Fn(u64) -> EntryStatus, hash: &mut Row) -> Lanes {
    let entry = state.entry(index);
    hash.of(|fields| {
        fields
            .bytes(&state.network.members().id(entry.receiver).0)
            .bytes(&state.network.members().id(entry.source).0)
            .number(entry.level);
        fields
            .signed(entry.amount.0)
            .text(&state.kind_name(entry.kind))
            .number(status_of(index) as u8)
            .signed(entry.time.0);
        // Later additions, where present.
        if let Some(reference) = state.reference_of(index) {
            fields.text("reference").text(reference.as_str());
        }
        if let Some(reversed) = state.reverses(index) {
            let time = state.entry(reversed).time;
            fields.text("reverses").signed(time.0).number(status_of(reversed) as u8);
        }
    })
}

/// Hashes rows of one kind one by one in a reused buffer.
struct Row {
    fields: Fields,
    /// Length of the kind's name, with which each row begins.
    domain: usize,
}

impl Row {
    fn new(domain: &str) -> Self {
        let fields = Fields::new(domain);
        let domain = fields.gathered().len();
        Self { fields, domain }
    }

    fn of(&mut self, feed: impl FnOnce(&mut Fields)) -> Lanes {
        self.fields.truncate(self.domain);
        feed(&mut self.fields);
        let bytes = *blake3::hash(self.fields.gathered()).as_bytes();
        std::array::from_fn(|lane| {
            u64::from_le_bytes(bytes[lane * 8..lane * 8 + 8].try_into().expect("eight bytes"))
        })
    }
}

#[cfg(test)]
#[path = "network_digest_test.rs"]
mod tests;
