//! Converts a state to and from the rows of an image.
//!
//! An image holds what cannot be computed. Building a state from it attaches members one by one through the
//! same code that a signup uses, so links, counts and slots come out the same; ranks are taken from the rows
//! (the best ever is history), and the digest stored alongside the image verifies the result.

use std::{hint::black_box, sync::Arc};

use crate::core::{
    ledger::{
        breakage::Breakage,
        entries::ENTRIES_MAX,
        kinds::Kinds,
        once::OnceRow,
        row_ids::RowIdRow,
        rows::{EntryRow, ReferenceRow, ReversalRow, TriggerRow},
    },
    network::{
        members::{FLAG_BITS, ONCE_BITS, Ranks, role_in, status_in},
        rows::{CodeRow, MemberRow},
    },
    requests::{
        rows::{KeyRow, UnchangedRow},
        unchanged::{UNCHANGED_MAX, Unchanged},
    },
    state::{
        image::{ImageHeader, ImageRows, SECTIONS},
        parts::State,
        prefetch::TOGETHER,
    },
    store::{
        column::Column,
        parallel::{both, in_blocks},
    },
    tree::{genealogy::Genealogy, tour::Spans},
    words::{
        directory::Directory,
        row_kind::RowKind,
        types::{Code, MEMBERS_MAX, MemberId, MemberIx, Reference, Role, Timestamp, index},
    },
};

impl State {
    /// The scalars of this state as an image header.
    pub fn image_header(&self) -> ImageHeader {
        let narrow = |rows: usize| u32::try_from(rows).expect("sections are limited to 32-bit counts");
        ImageHeader {
            lsn: self.scalars.lsn,
            time: self.scalars.time,
            key_lag: self.scalars.key_lag,
            outcome_hash: self.scalars.outcome_hash,
            code_key: self.scalars.code_key,
            plan: (*self.scalars.plan).clone(),
            plan_version: self.scalars.plan_version,
            kinds: self.scalars.kinds.names().to_vec(),
            breakage_levels: self.scalars.breakage_levels,
            breakage_amount: self.scalars.breakage_amount,
            itemized_from: self.scalars.itemized_from,
            breakage: self.scalars.breakage,
            members: self.len(),
            codes: narrow(self.codes.len()),
            triggers: narrow(self.ledger.triggers()),
            entries: u32::try_from(self.ledger.len()).expect("limited by ENTRIES_MAX"),
            keys: narrow(self.keys.len()),
            unchanged: narrow(self.unchanged.len()),
            row_ids: narrow(self.row_ids.len()),
            references: narrow(self.references.len()),
            reversals: narrow(self.reversals.len()),
            once: narrow(self.once.len()),
            unchanged_after: self.unchanged.complete_after(),
        }
    }

    /// All rows, section by section, in chunks of at most `rows_max`.
    pub fn image_rows(&self, rows_max: usize) -> impl Iterator<Item = ImageRows> + '_ {
        let chunk = move |len: usize, rows: fn(&State, std::ops::Range<usize>) -> ImageRows| {
            (0..len).step_by(rows_max).map(move |start| rows(self, start..len.min(start + rows_max)))
        };
        let entries = usize::try_from(self.ledger.len()).expect("entries are in memory");
        chunk(self.members.len(), |state, range| {
            ImageRows::Members(range.map(|at| state.member_row(at)).collect())
        })
        .chain(chunk(self.codes.len(), |state, range| {
            ImageRows::Codes(range.map(|at| state.code_row(at)).collect())
        }))
        .chain(chunk(self.ledger.triggers(), |state, range| {
            ImageRows::Triggers(range.map(|at| state.ledger.trigger(at)).collect())
        }))
        .chain(chunk(entries, |state, range| {
            ImageRows::Entries(range.map(|at| state.entry_row(at)).collect())
        }))
        .chain(chunk(self.keys.len(), |state, range| {
            ImageRows::Keys(state.keys.iter().skip(range.start).take(range.len()).copied().collect())
        }))
        .chain(chunk(self.unchanged.len(), |state, range| {
            ImageRows::Unchanged(range.map(|at| state.unchanged.row(at)).collect())
        }))
        .chain(chunk(self.row_ids.len(), |state, range| {
            ImageRows::RowIds(range.map(|at| state.row_ids.row(at)).collect())
        }))
        .chain(chunk(self.references.len(), |state, range| {
            ImageRows::References(range.map(|at| state.reference_row(at)).collect())
        }))
        .chain(chunk(self.reversals.len(), |state, range| {
            ImageRows::Reversals(range.map(|at| state.reversals.row(at)).collect())
        }))
        .chain(chunk(self.once.len(), |state, range| {
            ImageRows::Once(range.map(|at| state.once.row(at)).collect())
        }))
    }

    fn member_row(&self, at: usize) -> MemberRow {
        let member = index(at);
        let row = self.member(member);
        let ranks = self.members.ranks(member);
        MemberRow {
            id: row.id.0,
            joined_at: row.joined_at,
            sponsor: MemberIx::to_column(row.sponsor),
            parent: MemberIx::to_column(row.parent),
            slot: row.slot,
            flags: self.members.flags(member),
            paid_as: ranks.paid_as,
            lifetime: ranks.lifetime,
            turn: self.slots.turn(member),
        }
    }

    fn code_row(&self, at: usize) -> CodeRow {
        let (member, code) = self.codes.stored(at);
        CodeRow { member: member.0, code: code.as_str().into() }
    }

    fn reference_row(&self, at: usize) -> ReferenceRow {
        let (trigger, reference) = self.references.row(at);
        ReferenceRow { trigger, text: reference.as_str().into() }
    }

    fn entry_row(&self, at: usize) -> EntryRow {
        let entry = self.ledger.entry(at as u64);
        EntryRow {
            amount: entry.amount.0,
            receiver: entry.receiver.0,
            level: entry.level,
            status: entry.status,
        }
    }
}

/// Builds a state from an image.
pub struct Restore {
    state: State,
    header: ImageHeader,
    triggers: Column<TriggerRow>,
    next_trigger: usize,
    rows: [u32; SECTIONS],
    /// Turns other than 0: set once all members are placed.
    turns: Vec<(MemberIx, u16)>,
}

impl Restore {
    /// # Errors
    /// When the header holds impossible values.
    pub fn new(header: ImageHeader) -> Result<Self, String> {
        header
            .plan
            .validate()
            .map_err(|errors| format!("plan: {}: {}", errors[0].field, errors[0].reason))?;
        require(header.members <= MEMBERS_MAX, || "too many members".into())?;
        require(u64::from(header.entries) <= ENTRIES_MAX, || "too many entries".into())?;
        require(header.triggers <= header.entries, || "more triggers than entries".into())?;
        require(header.unchanged as usize <= UNCHANGED_MAX, || {
            "too many commands that changed nothing".into()
        })?;
        require(header.unchanged_after <= header.lsn, || {
            "its list of commands that changed nothing begins later".into()
        })?;
        require(0 <= header.key_lag, || {
            "more log time counts toward the expiry of keys than went by".into()
        })?;
        let kinds = Kinds::of(header.kinds.iter().cloned()).ok_or("too many entry kinds, or one twice")?;
        let itemized = header.itemized_from;
        require(itemized.is_none_or(|lsn| (1..=header.lsn).contains(&lsn)), || {
            "its breakage is itemized from a command on that it does not hold".into()
        })?;
        require(itemized.is_some() || header.breakage == Breakage::default(), || {
            "it has breakage by reason from before that was kept".into()
        })?;
        let mut state = State::new(header.plan.clone(), header.code_key);
        let known = |name: &str| kinds.number(name).is_some();
        require(header.plan.bonuses.iter().all(|rule| known(&rule.trigger)), || {
            "a trigger of the plan has no number".into()
        })?;
        state.scalars.kinds = Arc::new(kinds);
        state.unchanged.set_complete_after(header.unchanged_after);
        state.ledger.defer_order();
        state.references.defer_order();
        Ok(Self {
            state,
            header,
            triggers: Column::new(),
            next_trigger: 0,
            rows: [0; SECTIONS],
            turns: Vec::new(),
        })
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// What is wrong with them: too many, out of order, an index out of range.
    pub fn push<D: Directory + Send>(&mut self, directory: &mut D, rows: ImageRows) -> Result<(), String> {
        let expected = self.header.counts();
        let (section, count) = (rows.section(), rows.len());
        let complete = (0..section).all(|earlier| self.rows[earlier] == expected[earlier]);
        require(complete, || format!("section {section} before its predecessors are complete"))?;
        let fits = count <= (expected[section] - self.rows[section]) as usize;
        require(fits, || format!("section {section} has more rows than the header says"))?;
        self.rows[section] += u32::try_from(count).expect("fits");
        match rows {
            ImageRows::Members(rows) => self.push_members(directory, &rows),
            ImageRows::Codes(rows) => rows.iter().try_for_each(|row| self.push_code(directory, row)),
            ImageRows::Triggers(rows) => {
                rows.into_iter().for_each(|row| self.triggers.push(row));
                Ok(())
            }
            ImageRows::Entries(rows) => rows.iter().try_for_each(|row| self.push_entry(row)),
            ImageRows::Keys(rows) => rows.iter().try_for_each(|row| self.push_key(row)),
            ImageRows::Unchanged(rows) => rows.iter().try_for_each(|row| self.push_unchanged(*row)),
            ImageRows::RowIds(rows) => rows.iter().try_for_each(|row| self.push_row_id(*row)),
            ImageRows::References(rows) => rows.iter().try_for_each(|row| self.push_reference(row)),
            ImageRows::Reversals(rows) => rows.iter().try_for_each(|row| self.push_reversal(*row)),
            ImageRows::Once(rows) => rows.iter().try_for_each(|row| self.push_once(*row)),
        }
    }

    /// Returns the complete state: derived data is counted here, in passes over all members, the trees in
    /// parallel.
    ///
    /// # Errors
    /// When rows are missing; when a member is not in its sponsor's placement subtree.
    pub fn finish(self) -> Result<State, String> {
        let Self { mut state, header, triggers, next_trigger, rows, turns } = self;
        let expected = header.counts();
        require(rows == expected, || format!("rows by section {rows:?}, expected {expected:?}"))?;
        require(next_trigger == triggers.len(), || "a trigger without entries".into())?;
        let State { scalars, placement, sponsors, slots, .. } = &mut state;
        let [sponsor_watch, placement_watch] = &scalars.watches;
        let counted = sponsors.is_counted() && sponsors.len() != 0;
        let (spans, _) = both(
            || placement.count_anew(placement_watch),
            || counted.then(|| sponsors.count_anew(sponsor_watch)),
        );
        let (placement, sponsors, plan) = (&*placement, &*sponsors, &scalars.plan.placement);
        let (misplaced, ()) =
            both(|| misplaced(placement, sponsors, &spans), || slots.attached_all(placement, plan));
        require(misplaced.is_none(), || {
            format!("member {}: not in its sponsor's placement subtree", misplaced.unwrap_or_default())
        })?;
        for (member, turn) in turns {
            require(slots.set_turn(plan, member, turn), || {
                format!("member {}: a turn that the plan does not have", member.0)
            })?;
        }
        state.recount_admins();
        state.ledger.order_late();
        let State { ledger, references, .. } = &mut state;
        references.order(|trigger| ledger.trigger_key(trigger).0);
        state.scalars.lsn = header.lsn;
        state.scalars.time = header.time;
        state.scalars.key_lag = header.key_lag;
        state.scalars.outcome_hash = header.outcome_hash;
        state.scalars.plan_version = header.plan_version;
        state.scalars.breakage_levels = header.breakage_levels;
        state.scalars.breakage_amount = header.breakage_amount;
        state.scalars.itemized_from = header.itemized_from;
        state.scalars.breakage = header.breakage;
        Ok(state)
    }

    /// Checks each row on its own, then enters all of them into independent parts in parallel. Nothing is
    /// counted yet.
    fn push_members<D: Directory + Send>(
        &mut self,
        directory: &mut D,
        rows: &[MemberRow],
    ) -> Result<(), String> {
        let first = self.state.len();
        let numbered = || (first..).map(MemberIx).zip(rows);
        numbered().try_for_each(|(member, row)| check_row(&self.state, member, row))?;
        let State { members, placement, sponsors, scalars, .. } = &mut self.state;
        let scalars = &mut **scalars;
        let coincide = scalars.plan.placement.trees_coincide();
        let width = scalars.plan.placement.width;
        for row in rows {
            members.push(
                MemberId(row.id),
                row.joined_at,
                row.flags,
                Ranks { paid_as: row.paid_as, lifetime: row.lifetime },
            );
        }
        let in_directory = || {
            let id_of = |member| *members.id(member);
            let mut twice = numbered()
                .filter(|(member, row)| !directory.add_new_member(&MemberId(row.id), *member, id_of));
            twice
                .next()
                .map_or(Ok(()), |(member, _)| Err(format!("member {}: its id is there twice", member.0)))
        };
        let in_trees = || {
            let mut members = (first..).map(MemberIx);
            rows.chunks(TOGETHER).try_for_each(|rows| {
                if !coincide {
                    black_box(sponsors.prefetch_uncounted(rows.iter().map(|row| row.sponsor)));
                    rows.iter().for_each(|row| recruit(sponsors, row));
                }
                black_box(placement.prefetch_uncounted(rows.iter().map(|row| row.parent)));
                rows.iter()
                    .zip(&mut members)
                    .try_for_each(|(row, member)| place(placement, width, member, row))
            })
        };
        let (added, placed) = both(in_directory, in_trees);
        added.and(placed)?;
        for (member, row) in numbered() {
            self.state.count_rank(row.paid_as, 1);
            if row.turn != 0 {
                self.turns.push((member, row.turn));
            }
            if role_in(row.flags) == Some(Role::Admin) {
                self.state.admins.insert(member, [Vec::new(), Vec::new()]);
            }
        }
        self.state.scalars.depth = numbered()
            .map(|(member, _)| self.state.placement.link(member).level)
            .fold(self.state.scalars.depth, u32::max);
        Ok(())
    }

    fn push_code<D: Directory>(&mut self, directory: &mut D, row: &CodeRow) -> Result<(), String> {
        let owner = MemberIx(row.member);
        let wrong = |what: &str| format!("code of member {}: {what}", owner.0);
        require(row.member < self.state.len(), || wrong("no such member"))?;
        require(self.state.codes.last_owner().is_none_or(|last| last < owner), || wrong("out of order"))?;
        let code = Code::parse(&row.code).ok_or_else(|| wrong("not a code"))?;
        require(directory.code(&code.folded()).is_none(), || wrong("there twice"))?;
        directory.add_code(&code.folded(), owner);
        self.state.codes.push(self.header.code_key, owner, &code);
        Ok(())
    }

    fn push_entry(&mut self, row: &EntryRow) -> Result<(), String> {
        let index = self.state.ledger.len();
        let wrong = |what: &str| format!("ledger entry {index}: {what}");
        require(row.receiver < self.state.len(), || wrong("no such receiver"))?;
        let next = (self.next_trigger < self.triggers.len()).then(|| *self.triggers.get(self.next_trigger));
        if let Some(trigger) = next.filter(|trigger| u64::from(trigger.first_entry) == index) {
            require(trigger.source < self.state.len(), || wrong("no such source"))?;
            let kind_known = usize::from(trigger.kind) < self.header.kinds.len()
                || crate::core::state::bonus::KIND_SIGNUP <= trigger.kind;
            require(kind_known, || wrong("no such kind"))?;
            self.state.ledger.begin(trigger);
            self.next_trigger += 1;
        }
        require(self.next_trigger != 0, || wrong("no trigger"))?;
        self.state.append_entry(*row);
        Ok(())
    }

    fn push_key(&mut self, row: &KeyRow) -> Result<(), String> {
        require(self.state.keys.get(&row.key.key, row.time).is_none(), || {
            "an idempotency key is there twice".into()
        })?;
        require(self.state.keys.len() < crate::core::requests::keys::KEYS_MAX, || {
            "too many idempotency keys".into()
        })?;
        let newest = self.state.keys.newest().unwrap_or(Timestamp(i64::MIN));
        require(newest <= row.time, || "idempotency keys out of order".into())?;
        self.state.keys.push(*row);
        Ok(())
    }

    fn push_unchanged(&mut self, row: UnchangedRow) -> Result<(), String> {
        let list = &mut self.state.unchanged;
        let wrong = |what: &str| format!("command {} that changed nothing: {what}", row.lsn);
        let before =
            list.len().checked_sub(1).map_or(self.header.unchanged_after, |newest| list.row(newest).lsn);
        require(before < row.lsn && row.lsn <= self.header.lsn, || wrong("out of order"))?;
        require(Unchanged::from_code(row.reason).is_some(), || wrong("no such reason"))?;
        list.push(row);
        Ok(())
    }

    fn push_row_id(&mut self, row: RowIdRow) -> Result<(), String> {
        let state = &mut self.state;
        let wrong = |what: &str| format!("row id of {:?} {}: {what}", row.kind, row.index);
        let rows = match row.kind {
            RowKind::Member => u64::from(state.len()),
            RowKind::Entry => state.entries(),
        };
        require(u64::from(row.index) < rows, || wrong("no such row"))?;
        require(state.row_ids.row_of(&row.id).is_none(), || wrong("another row has it"))?;
        require(state.row_ids.id_of(row.kind, row.index.into()).is_none(), || wrong("it has one already"))?;
        state.row_ids.push(row);
        Ok(())
    }

    fn push_reference(&mut self, row: &ReferenceRow) -> Result<(), String> {
        let state = &mut self.state;
        let wrong = |what: &str| format!("reference of trigger {}: {what}", row.trigger);
        require((row.trigger as usize) < state.ledger.triggers(), || wrong("no such trigger"))?;
        let newest = state.references.len().checked_sub(1).map(|newest| state.references.row(newest).0);
        require(newest.is_none_or(|newest| newest < row.trigger), || wrong("out of order"))?;
        let reference = Reference::parse(&row.text).ok_or_else(|| wrong("not a reference"))?;
        state.references.push(row.trigger, &reference, |_| Timestamp(0));
        Ok(())
    }

    fn push_reversal(&mut self, row: ReversalRow) -> Result<(), String> {
        let state = &mut self.state;
        let wrong = |what: &str| format!("reversal {}: {what}", row.entry);
        require(row.reverses < row.entry && u64::from(row.entry) < state.entries(), || {
            wrong("no such entries")
        })?;
        let newest = state.reversals.len().checked_sub(1).map(|newest| state.reversals.row(newest).entry);
        require(newest.is_none_or(|newest| newest < row.entry), || wrong("out of order"))?;
        let (reversal, reversed) = (state.entry(row.entry.into()), state.entry(row.reverses.into()));
        let same = |entry: &crate::core::ledger::entries::Entry| {
            (entry.receiver, entry.source, entry.level, entry.kind)
        };
        require(
            same(&reversal) == same(&reversed) && reversal.amount.0 == reversed.amount.0.wrapping_neg(),
            || wrong("of another entry"),
        )?;
        require(state.reversals.reversal_of(row.reverses.into()).is_none(), || {
            wrong("of one that is reversed already")
        })?;
        require(state.reversals.reverses(row.reverses.into()).is_none(), || wrong("of a reversal"))?;
        state.reversals.push(row);
        Ok(())
    }

    fn push_once(&mut self, row: OnceRow) -> Result<(), String> {
        let state = &mut self.state;
        let wrong = |what: &str| format!("a trigger that member {} had once: {what}", row.member);
        require(row.member < state.len(), || wrong("no such member"))?;
        let is_known = ONCE_BITS <= row.kind && usize::from(row.kind) < self.header.kinds.len();
        require(is_known, || wrong("no such name"))?;
        require(!state.once.contains(MemberIx(row.member), row.kind), || wrong("there twice"))?;
        state.once.push(row);
        Ok(())
    }
}

/// Checks a member's row on its own.
fn check_row(state: &State, member: MemberIx, row: &MemberRow) -> Result<(), String> {
    let wrong = |what: &str| format!("member {}: {what}", member.0);
    let is_earlier = |index: u32| MemberIx::from_column(index).is_none_or(|other| other < member);
    require(is_earlier(row.sponsor), || wrong("its sponsor comes later"))?;
    require(is_earlier(row.parent), || wrong("its parent comes later"))?;
    let (sponsor, parent) = (MemberIx::from_column(row.sponsor), MemberIx::from_column(row.parent));
    require(sponsor.is_some() == parent.is_some(), || wrong("sponsor without parent, or the reverse"))?;
    require(!state.plan().placement.trees_coincide() || sponsor == parent, || {
        wrong("sponsor and parent differ")
    })?;
    require(parent.is_some() || row.slot == 0, || wrong("a root in a slot"))?;
    let known = row.flags & !FLAG_BITS == 0 && status_in(row.flags).is_some() && role_in(row.flags).is_some();
    require(known, || wrong("unknown flags"))?;
    require(row.paid_as <= row.lifetime, || wrong("its best rank is below its rank"))?;
    require(state.slots.has_turn(&state.plan().placement, row.turn), || {
        wrong("a turn that the plan does not have")
    })
}

/// Attaches a member to the sponsor tree, after earlier recruits.
fn recruit(tree: &mut Genealogy, row: &MemberRow) {
    let sponsor = MemberIx::from_column(row.sponsor);
    tree.attach_uncounted(sponsor.map(|sponsor| (sponsor, tree.link(sponsor).children)));
}

/// Attaches a member to the placement tree, if its slot is free.
fn place(tree: &mut Genealogy, width: Option<u16>, member: MemberIx, row: &MemberRow) -> Result<(), String> {
    let parent = MemberIx::from_column(row.parent);
    let is_free = |parent: MemberIx| match width {
        Some(width) => row.slot < u32::from(width) && !tree.is_taken(parent, row.slot),
        None => row.slot == tree.link(parent).children,
    };
    require(parent.is_none_or(is_free), || {
        format!("member {}: its slot is taken or out of range", member.0)
    })?;
    tree.attach_uncounted(parent.map(|parent| (parent, row.slot)));
    Ok(())
}

/// The first member that is not in its sponsor's placement subtree.
fn misplaced(placement: &Genealogy, sponsors: &Genealogy, spans: &Spans) -> Option<usize> {
    let is_misplaced = |member: &usize| {
        let (sponsor, parent) = (sponsors.link(index(*member)).parent, placement.link(index(*member)).parent);
        sponsor != parent && !spans.is_ancestor(MemberIx(sponsor), MemberIx(parent))
    };
    in_blocks(sponsors.len(), |mut range| range.find(is_misplaced)).into_iter().flatten().next()
}

fn require(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}
