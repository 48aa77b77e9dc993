//! One row of a bonus file, as `export --bonuses` writes it.

use std::collections::HashMap;

use uuid::{Uuid, fmt::Hyphenated};

use super::{
    lines::Row,
    match_reversal::{Match, Unreversed, Wanted},
    member_row::{optional, parse_row_id},
    reading::Reading,
    refusal::Refusal,
};
use crate::{
    amount,
    cli::{
        names::Name,
        network::{KnownMember, Network},
    },
    core::{
        Entry, RowKind,
        command::{EntryRules, ImportEntry},
        state::State,
        types::{EntryStatus, MemberId, MemberIx, Money, Reference},
    },
};

/// What precedes a row. When an import is repeated, the ledger holds more than that.
pub(super) struct Before {
    /// Entries of the ledger before the row's.
    pub end: u64,
    /// Entries that existed when the import began.
    held: u64,
    /// Entries, and their lines, by the numbers that the file gives them.
    numbers: HashMap<u64, (u64, u64)>,
    unreversed: Unreversed,
}

impl Before {
    /// The state before the first row, with a ledger of `held` entries.
    pub fn new(held: u64) -> Self {
        Self { end: 0, held, numbers: HashMap::new(), unreversed: Unreversed::default() }
    }

    /// Returns whether the ledger has an entry at the row's position.
    pub fn is_held(&self) -> bool {
        self.end < self.held
    }

    /// Returns the number of a row with its line.
    ///
    /// # Errors
    /// An earlier row has the same: what reverses it could mean either.
    fn number(&self, row: &BonusRow) -> Result<Option<Number>, Refusal> {
        let number = row.number.clone()?;
        match number.and_then(|number| self.numbers.get(&number)) {
            Some((_, line)) => Err(Refusal::DuplicateNumber(*line)),
            None => Ok(number.map(|number| Number { number, line: row.line })),
        }
    }

    /// Records that the row's entry exists. `number` is that of the row.
    pub fn pass(&mut self, state: &State, number: Option<Number>) {
        self.numbers.extend(number.map(|Number { number, line }| (number, (self.end, line))));
        self.unreversed.pass(state, self.end);
        self.end += 1;
    }

    /// Returns the entry if it precedes the row.
    fn earlier(&self, entry: Option<u64>) -> Option<u64> {
        entry.filter(|entry| *entry < self.end)
    }
}

/// The number that the file gives a row, and its line.
#[derive(Clone, Copy)]
pub(super) struct Number {
    number: u64,
    line: u64,
}

/// A row whose cells were parsed, each with its own fault: which of several is the row's depends on the
/// network.
pub(super) struct BonusRow {
    pub line: u64,
    number: Result<Option<u64>, Refusal>,
    receiver: Result<Name, Refusal>,
    source: Result<Name, Refusal>,
    /// Everything else but `reverses`. The members are not known yet.
    entry: Result<ImportEntry, Refusal>,
    reverses: Box<str>,
    /// The cell of the receiver, unless it is the printed form of its id.
    receiver_text: Option<Box<str>>,
}

impl BonusRow {
    /// Parses a row, for a currency with `exponent` decimals.
    pub fn parse(row: &Row<'_>, reading: &Reading, exponent: u8) -> Self {
        let [receiver, source, level, amount, kind, status, created_at, id, reference, number, reverses] =
            std::array::from_fn(|column| row.cell(column));
        let name = |text: &str| Name::parse(text).map_err(|_| Refusal::UnknownMember(text.into()));
        let entry = || {
            let no_member = MemberId([0; 16]);
            Ok(ImportEntry {
                receiver: no_member,
                source: no_member,
                kind: kind.into(),
                level: level.parse().map_err(|_| Refusal::BadLevel)?,
                amount: amount::parse(amount, exponent).map_err(Refusal::BadAmount)?,
                status: status.parse().map_err(|_| Refusal::BadStatus)?,
                time: reading.time(created_at)?,
                row_id: optional(id, parse_row_id, Refusal::BadRowId)?,
                reference: optional(reference, Reference::parse, Refusal::BadReference)?,
                reverses: None,
            })
        };
        let named = name(receiver);
        let is_printed = |name: &Name| {
            let id = Uuid::from_bytes(name.id.0).hyphenated();
            name.text.is_none() && id.encode_lower(&mut [0; Hyphenated::LENGTH]) == receiver
        };
        let is_printed = named.as_ref().is_ok_and(is_printed);
        Self {
            line: row.line,
            number: optional(number, |text| text.parse().ok(), Refusal::BadReversed("number")),
            receiver: named,
            source: name(source),
            entry: entry(),
            reverses: reverses.into(),
            receiver_text: (!is_printed).then(|| receiver.into()),
        }
    }

    /// The ids that the names of receiver and source are; the nil id for what is no name.
    pub fn ids(&self) -> [MemberId; 2] {
        [&self.receiver, &self.source].map(|name| name.as_ref().map_or(MemberId([0; 16]), |name| name.id))
    }

    /// The cell of the receiver.
    pub fn receiver_text(&self) -> String {
        match (&self.receiver_text, &self.receiver) {
            (None, Ok(name)) => name.shown(),
            (text, _) => text.as_deref().unwrap_or_default().to_string(),
        }
    }

    /// Resolves the row against the network and the rows before, once. `found` are the members with its ids.
    ///
    /// # Errors
    /// The first fault in the order of the cells, that of the number first.
    pub fn resolve(
        &mut self,
        network: &Network,
        before: &mut Before,
        found: [Option<MemberIx>; 2],
    ) -> Result<Resolved, Refusal> {
        let number = before.number(self)?;
        let receiver = member(network, &self.receiver, found[0])?;
        let source = member(network, &self.source, found[1])?;
        let ids = [receiver, source].map(|member| network.state.id(member));
        let parsed = std::mem::replace(&mut self.entry, Err(Refusal::NoMember))?;
        let mut entry = ImportEntry { receiver: ids[0], source: ids[1], ..parsed };
        entry.reverses = optional(
            &self.reverses,
            |text| reversed(text, network, before),
            Refusal::BadReversed("reverses"),
        )?;
        find_reversed(network, before, &mut entry)?;
        Ok(Resolved { number, entry, members: [(ids[0], Some(receiver)), (ids[1], Some(source))] })
    }
}

/// A row whose members and reversed bonus were found.
pub(super) struct Resolved {
    pub number: Option<Number>,
    pub entry: ImportEntry,
    pub members: [KnownMember; 2],
}

/// Returns the entry that a row reverses, by the number of an earlier row or by row id.
fn reversed(text: &str, network: &Network, before: &Before) -> Option<u64> {
    if let Ok(number) = text.parse() {
        return before.numbers.get(&number).map(|(entry, _)| *entry);
    }
    let (kind, entry) = network.state.row_that_carried(&parse_row_id(text)?)?;
    before.earlier((kind == RowKind::Entry).then_some(entry))
}

/// Finds the entry that a negative row reverses without naming it: the only one of its receiver, source,
/// level and kind with the opposite amount and no reversal yet, void exactly if the row is.
///
/// # Errors
/// There is none, or more than one.
fn find_reversed(network: &Network, before: &mut Before, entry: &mut ImportEntry) -> Result<(), Refusal> {
    if entry.reverses.is_some() || 0 <= entry.amount.0 {
        return Ok(());
    }
    let state = &network.state;
    let found = |id: &MemberId| state.find(&network.directory, id);
    let (Some(receiver), Some(source)) = (found(&entry.receiver), found(&entry.source)) else {
        return Ok(());
    };
    let wanted = Wanted {
        receiver,
        source,
        level: entry.level,
        kind: state.kind_named(&entry.kind),
        amount: Money(entry.amount.0.saturating_neg()),
        is_void: entry.status == EntryStatus::Void,
    };
    let reason = match before.unreversed.find(state, before.end, &wanted) {
        Match::One(reversed) => {
            entry.reverses = Some(reversed);
            return Ok(());
        }
        Match::None => {
            "is negative, and no bonus of the receiver, source, level and kind has the opposite amount and \
             is not taken back yet"
        }
        Match::OnlyVoid => {
            "is negative and not void, and only void bonuses of the receiver, source, level and kind have \
             the opposite amount and are not taken back yet"
        }
        Match::NoneVoid => {
            "is negative and void, and no void bonus of the receiver, source, level and kind has the \
             opposite amount and is not taken back yet"
        }
        Match::Several => {
            "is negative, and more than one bonus may be meant: `reverses` names the `number` or `id` of the \
             one that it takes back"
        }
    };
    Err(Refusal::ReversalUnmatched(reason))
}

fn member(
    network: &Network,
    name: &Result<Name, Refusal>,
    found: Option<MemberIx>,
) -> Result<MemberIx, Refusal> {
    let name = name.as_ref().map_err(Refusal::clone)?;
    // An id, and a name in exactly the spelling of its id, takes precedence.
    if let Some(found) = found {
        return Ok(found);
    }
    let Network { state, directory, names, .. } = network;
    let found = names.named(name, state, directory);
    let member = match (found, names.refused.get(&name.key)) {
        (Some(member), _) => Some(member),
        (None, Some(line)) => return Err(Refusal::MemberRefused { name: name.shown(), line: *line }),
        (None, None) => name.by_code(state, directory).map_err(|_| Refusal::AmbiguousCode(name.shown()))?,
    };
    member.ok_or_else(|| Refusal::UnknownMember(name.shown()))
}

/// Returns why a row that the ledger does not have at its position was refused by the first import: judged
/// only by what precedes it. `None` if it would have been accepted.
pub(super) fn refused_before(network: &Network, before: &Before, entry: &ImportEntry) -> Option<Refusal> {
    let state = &network.state;
    let mut entry = entry.clone();
    let carried_later = |id: &[u8; 16]| {
        let row = state.row_that_carried(id);
        row.is_some_and(|(kind, index)| kind == RowKind::Entry && before.end <= index)
    };
    entry.row_id = entry.row_id.filter(|id| !carried_later(id));
    let mut fits = Ok(());
    if let Some(named) = entry.reverses
        && state.reversal_of(named).is_some_and(|by| before.end <= by)
    {
        // A later row reversed it. It remains to check whether this one could have.
        fits = state.judge_reversal_of(&state.entry(named), &entry, EntryRules::InPairs);
        (entry.amount, entry.reverses) = (Money(entry.amount.0.saturating_abs()), None);
    }
    network.judge_entry(&entry).and(fits).err().map(Refusal::Rule)
}

/// Returns whether a ledger entry matches a row.
pub(super) fn is_same(network: &Network, entry: &Entry, named: &ImportEntry) -> bool {
    let state = &network.state;
    let held = ImportEntry {
        receiver: state.member(entry.receiver).id,
        source: state.member(entry.source).id,
        kind: state.kind_name(entry.kind).into(),
        level: entry.level,
        amount: entry.amount,
        status: entry.status,
        time: entry.time,
        // A file without these columns says nothing about row ids, references and reversals.
        row_id: named.row_id.and(state.carried_row_id(RowKind::Entry, entry.index)),
        reference: named.reference.as_ref().and_then(|_| state.reference_of(entry.index)),
        reverses: named.reverses.and_then(|_| state.reverses(entry.index)),
    };
    held == *named
}
