//! The network digest: of what a network is, whatever log led to it.

use crate::core::{
    read::digest::{Digest, Fields},
    state::parts::State,
    store::{pace::Pace, parallel::in_blocks},
    words::types::{MemberIx, index},
};

/// Covers the network itself, whatever log led to it: ids, codes, edges, slots, join times, statuses, roles,
/// ranks and bonuses, without LSNs and positions. A sum of row hashes, so independent of their order: two
/// machines that hold the same network agree.
pub fn network_digest(state: &State) -> Digest {
    let members = in_blocks(state.network.members().len(), |range| {
        let (mut row, mut code) = (Row::new("member"), Vec::new());
        sum(range.paced().map(|member| member_hash(state, index(member), &mut row, &mut code)))
    });
    let entries = usize::try_from(state.entries()).expect("entries are in memory");
    let bonuses = in_blocks(entries, |range| {
        let mut row = Row::new("entry");
        sum(range.paced().map(|entry| entry_hash(state, entry as u64, &mut row)))
    });
    let mut whole = Fields::new("network");
    whole.number(state.len()).number(state.entries());
    for part in [sum(members.into_iter()), sum(bonuses.into_iter())] {
        part.iter().for_each(|lane| _ = whole.number(*lane));
    }
    whole.finish()
}

/// `code` is a scratch buffer for the member's code.
fn member_hash(state: &State, member: MemberIx, hash: &mut Row, code: &mut Vec<u8>) -> [u64; 4] {
    code.clear();
    state.fold_code(member, code);
    let row = state.member(member);
    let id_of = |other: Option<MemberIx>| other.map_or([0; 16], |other| state.network.members().id(other).0);
    hash.of(|fields| {
        fields
            .bytes(&row.id.0)
            .number(u8::from(row.sponsor.is_some()))
            .bytes(&id_of(row.sponsor))
            .bytes(&id_of(row.parent));
        fields.number(row.slot).signed(row.joined_at.0).number(row.status as u8).number(row.role as u8);
        fields.number(code.len() as u64).bytes(code).number(state.network.members().ranks(member).paid_as);
    })
}

fn entry_hash(state: &State, index: u64, hash: &mut Row) -> [u64; 4] {
    let entry = state.entry(index);
    hash.of(|fields| {
        fields
            .bytes(&state.network.members().id(entry.receiver).0)
            .bytes(&state.network.members().id(entry.source).0)
            .number(entry.level);
        fields
            .signed(entry.amount.0)
            .text(&state.kind_name(entry.kind))
            .number(entry.status as u8)
            .signed(entry.time.0);
        // Later additions, where present.
        if let Some(reference) = state.reference_of(index) {
            fields.text("reference").text(reference.as_str());
        }
        if let Some(reversed) = state.reverses(index).map(|reversed| state.entry(reversed)) {
            fields.text("reverses").signed(reversed.time.0).number(reversed.status as u8);
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

    fn of(&mut self, feed: impl FnOnce(&mut Fields)) -> [u64; 4] {
        self.fields.truncate(self.domain);
        feed(&mut self.fields);
        let bytes = *blake3::hash(self.fields.gathered()).as_bytes();
        std::array::from_fn(|lane| {
            u64::from_le_bytes(bytes[lane * 8..lane * 8 + 8].try_into().expect("eight bytes"))
        })
    }
}

/// Sum modulo 2^64 in each of four lanes.
fn sum(rows: impl Iterator<Item = [u64; 4]>) -> [u64; 4] {
    rows.fold([0; 4], |total, row| std::array::from_fn(|lane| total[lane].wrapping_add(row[lane])))
}
