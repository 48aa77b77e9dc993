//! Converts a state to and from the rows of an image.
//!
//! An image holds what cannot be computed. Building a state from it attaches members one by one through the
//! same code that a signup uses, so links, counts and slots come out the same; ranks are taken from the rows
//! (the best ever is history), and the digest stored alongside the image verifies the result. Rows are in
//! order of indexes, which need not be an order of the trees: from the first member on whose parent comes
//! later, members are linked when all are there.

use std::{hint::black_box, ops::Range};

use crate::core::{
    ledger::{
        breakage::{Breakage, Unpaid},
        entries::{ENTRIES_MAX, Entry},
        kinds::Kinds,
        once::Once,
        references::References,
        reversals::Reversals,
        row_ids::CarriedIds,
        rows::{EntryRow, TriggerRow},
    },
    network::{
        members::{FLAG_BITS, Ranks, role_in, status_in},
        rows::{CodeRow, MemberRow},
    },
    requests::{
        keys::Keys,
        unchanged::{UNCHANGED_MAX, UnchangedList},
    },
    state::{
        bonus::KIND_SIGNUP,
        image::{self, ImageHeader, ImageRows, RowCounts, Section, sections},
        parts::State,
        plans::PlanVersions,
        prefetch::TOGETHER,
        view::KeptPages,
    },
    store::{
        column::Column,
        parallel::{both, in_blocks},
        rows::{Keeps, Rows, SoFar, require},
    },
    tree::{genealogy::Genealogy, tour::Spans},
    words::{
        directory::Directory,
        types::{Code, MEMBERS_MAX, MemberId, MemberIx, Role, index},
    },
};

/// Rows of one section: taken out of a state, and put back into one.
pub(in crate::core) trait SectionRow: Sized {
    /// The number of rows of this type.
    fn count(state: &State) -> usize;

    /// The row at a position.
    fn of(state: &State, at: usize) -> Self;

    /// Adds the next rows to a state that has the rows before them.
    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        directory: &mut D,
    ) -> Result<(), String>;
}

macro_rules! rows_of_sections {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident: $Part:ident)? { $($columns:tt)* }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        impl State {
            /// The number of rows of a section.
            pub(in crate::core) fn rows_of(&self, section: Section) -> usize {
                match section {
                    $(Section::$section => <image::$row as SectionRow>::count(self),)+
                }
            }

            /// Some rows of a section.
            fn image_rows_in(&self, section: Section, range: Range<usize>) -> ImageRows {
                match section {
                    $(Section::$section => {
                        ImageRows::$section(range.map(|at| SectionRow::of(self, at)).collect())
                    })+
                }
            }
        }

        impl Restore {
            fn add<D: Directory + Send>(&mut self, directory: &mut D, rows: ImageRows) -> Result<(), String> {
                match rows {
                    $(ImageRows::$section(rows) => SectionRow::restore(rows, self, directory),)+
                }
            }
        }

        $($(
            impl SectionRow for image::$row {
                fn count(state: &State) -> usize {
                    Keeps::<$Part>::list(&state.$part).count()
                }

                fn of(state: &State, at: usize) -> Self {
                    Keeps::<$Part>::list(&state.$part).row_at(at)
                }

                fn restore<D: Directory + Send>(
                    rows: Vec<Self>,
                    restore: &mut Restore,
                    _directory: &mut D,
                ) -> Result<(), String> {
                    let so_far = restore.so_far();
                    let list = Keeps::<$Part>::list_mut(&mut restore.state.$part);
                    rows.into_iter().try_for_each(|row| list.restore(row, &so_far))
                }
            }
        )?)+
    };
}
sections!(rows_of_sections);

impl SectionRow for MemberRow {
    fn count(state: &State) -> usize {
        state.members.len()
    }

    fn of(state: &State, at: usize) -> Self {
        let member = index(at);
        let row = state.member(member);
        let ranks = state.members.ranks(member);
        MemberRow {
            id: row.id.0,
            joined_at: row.joined_at,
            sponsor: MemberIx::to_column(row.sponsor),
            parent: MemberIx::to_column(row.parent),
            slot: row.slot,
            flags: state.members.flags(member),
            paid_as: ranks.paid_as,
            lifetime: ranks.lifetime,
            turn: state.slots.turn(member),
        }
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        directory: &mut D,
    ) -> Result<(), String> {
        restore.push_members(directory, &rows)
    }
}

impl SectionRow for CodeRow {
    fn count(state: &State) -> usize {
        state.codes.len()
    }

    fn of(state: &State, at: usize) -> Self {
        let (member, code) = state.codes.stored(at);
        CodeRow { member: member.0, code: code.as_str().into() }
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        directory: &mut D,
    ) -> Result<(), String> {
        rows.iter().try_for_each(|row| restore.push_code(directory, row))
    }
}

impl SectionRow for TriggerRow {
    fn count(state: &State) -> usize {
        state.ledger.entries().triggers()
    }

    fn of(state: &State, at: usize) -> Self {
        state.ledger.entries().trigger(at)
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        _directory: &mut D,
    ) -> Result<(), String> {
        rows.into_iter().for_each(|row| restore.triggers.push(row));
        Ok(())
    }
}

impl SectionRow for EntryRow {
    fn count(state: &State) -> usize {
        usize::try_from(state.entries()).expect("entries are in memory")
    }

    fn of(state: &State, at: usize) -> Self {
        let entry = state.entry(at as u64);
        EntryRow {
            amount: entry.amount.0,
            receiver: entry.receiver.0,
            level: entry.level,
            status: entry.status,
        }
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        _directory: &mut D,
    ) -> Result<(), String> {
        rows.iter().try_for_each(|row| restore.push_entry(row))
    }
}

impl State {
    /// The scalars of this state as an image header.
    pub fn image_header(&self) -> ImageHeader {
        let unpaid = self.ledger.unpaid();
        ImageHeader {
            lsn: self.scalars.lsn,
            time: self.scalars.time,
            key_lag: self.requests.lag(),
            outcome_hash: self.scalars.outcome_hash,
            code_key: self.scalars.code_key,
            plan: (**self.plan()).clone(),
            plan_version: self.plan_version(),
            plans: self.plan_versions().clone(),
            kinds: self.ledger.kinds().names().to_vec(),
            breakage_levels: unpaid.levels,
            breakage_amount: unpaid.amount,
            itemized_from: unpaid.itemized_from,
            breakage: unpaid.by_reason,
            rows: RowCounts::of(|section| {
                u32::try_from(self.rows_of(section)).expect("sections are limited to 32-bit counts")
            }),
            unchanged_after: self.requests.unchanged().complete_after(),
        }
    }

    /// All rows, section by section, in chunks of at most `rows_max`.
    pub fn image_rows(&self, rows_max: usize) -> impl Iterator<Item = ImageRows> + '_ {
        Section::IN_ORDER.into_iter().flat_map(move |section| {
            let len = self.rows_of(section);
            let chunk = move |start| self.image_rows_in(section, start..len.min(start + rows_max));
            (0..len).step_by(rows_max).map(chunk)
        })
    }
}

/// Builds a state from an image.
pub struct Restore {
    state: State,
    header: ImageHeader,
    triggers: Column<TriggerRow>,
    next_trigger: usize,
    rows: RowCounts,
    /// Turns other than 0: set once all members are placed.
    turns: Vec<(MemberIx, u16)>,
    /// From these members on, the sponsor and the placement tree are linked at the end.
    unlinked: [Option<MemberIx>; 2],
}

impl Restore {
    /// # Errors
    /// When the header holds impossible values.
    pub fn new(header: ImageHeader) -> Result<Self, String> {
        header
            .plan
            .validate()
            .map_err(|errors| format!("plan: {}: {}", errors[0].field, errors[0].reason))?;
        PlanVersions::of_list(header.plans.list().to_vec(), header.lsn)?;
        let last = header.plans.list().last();
        let fits = last.is_some_and(|last| last.version == header.plan_version && *last.plan == header.plan);
        require(fits, || "its plan is not the last of its plan versions".into())?;
        require(header.rows[Section::Members] <= MEMBERS_MAX, || "too many members".into())?;
        require(u64::from(header.rows[Section::Entries]) <= ENTRIES_MAX, || "too many entries".into())?;
        require(header.rows[Section::Triggers] <= header.rows[Section::Entries], || {
            "more triggers than entries".into()
        })?;
        require(header.rows[Section::Unchanged] as usize <= UNCHANGED_MAX, || {
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
        state.set_kinds(kinds).ok_or("a trigger of the plan has no number")?;
        state.requests.set_complete_after(header.unchanged_after);
        state.ledger.defer_order();
        Ok(Self {
            state,
            header,
            triggers: Column::new(),
            next_trigger: 0,
            rows: RowCounts::default(),
            turns: Vec::new(),
            unlinked: [None; 2],
        })
    }

    /// Adds the next rows.
    ///
    /// # Errors
    /// What is wrong with them: too many, out of order, an index out of range.
    pub fn push<D: Directory + Send>(&mut self, directory: &mut D, rows: ImageRows) -> Result<(), String> {
        let expected = self.header.rows;
        let (section, count) = (rows.section(), rows.len());
        let mut earlier = Section::IN_ORDER.into_iter().take_while(|earlier| *earlier < section);
        let complete = earlier.all(|earlier| self.rows[earlier] == expected[earlier]);
        require(complete, || format!("{} before their predecessors are complete", section.name()))?;
        let fits = count <= (expected[section] - self.rows[section]) as usize;
        require(fits, || format!("more {} than the header says", section.name()))?;
        self.rows[section] += u32::try_from(count).expect("fits");
        self.add(directory, rows)
    }

    /// What the rows so far, and the header, say.
    fn so_far(&self) -> SoFar {
        SoFar {
            lsn: self.header.lsn,
            members: self.state.len(),
            triggers: u32::try_from(self.state.ledger.entries().triggers()).expect("no more than entries"),
            entries: self.state.entries(),
            kinds: self.header.kinds.len(),
        }
    }

    /// See [`State::share`].
    pub fn share(&mut self, other: &State) -> KeptPages {
        self.state.share(other)
    }

    /// Returns the complete state: derived data is counted here, in passes over all members, the trees in
    /// parallel.
    ///
    /// # Errors
    /// When rows are missing; when a member is not below a root, or not in its sponsor's placement subtree;
    /// when two members are in one slot.
    pub fn finish(self) -> Result<State, String> {
        let Self { mut state, header, triggers, next_trigger, rows, turns, unlinked } = self;
        let expected = header.rows;
        require(rows == expected, || format!("rows by section {rows:?}, expected {expected:?}"))?;
        require(next_trigger == triggers.len(), || "a trigger without entries".into())?;
        // Linking and counting need memory.
        drop(triggers);
        link_rest(&mut state, unlinked)?;
        let State { scalars, plans, placement, sponsors, slots, .. } = &mut state;
        let [sponsor_watch, placement_watch] = &scalars.watches;
        let counted = sponsors.is_counted() && sponsors.len() != 0;
        let (spans, _) = both(
            || placement.count_anew(placement_watch),
            || counted.then(|| sponsors.count_anew(sponsor_watch)),
        );
        let (placement, sponsors, plan) = (&*placement, &*sponsors, &plans.plan().placement);
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
        state.ledger.order();
        state.check_reversals()?;
        state.scalars.lsn = header.lsn;
        state.scalars.time = header.time;
        state.requests.set_lag(header.key_lag);
        state.scalars.outcome_hash = header.outcome_hash;
        state.plans.set_versions(header.plans);
        state.ledger.set_unpaid(Unpaid {
            levels: header.breakage_levels,
            amount: header.breakage_amount,
            itemized_from: header.itemized_from,
            by_reason: header.breakage,
        });
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
        let total = self.header.rows[Section::Members];
        numbered().try_for_each(|(member, row)| check_row(&self.state, total, member, row))?;
        let [sponsors_unlinked, placement_unlinked] = &mut self.unlinked;
        let State { members, placement, sponsors, plans, .. } = &mut self.state;
        let plan = &plans.plan().placement;
        let (coincide, width) = (plan.trees_coincide(), plan.width);
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
            let mut next = first;
            rows.chunks(TOGETHER).try_for_each(|rows| {
                let members = (next..).map(MemberIx);
                next += u32::try_from(rows.len()).expect("a few");
                if !coincide {
                    black_box(sponsors.prefetch_uncounted(rows.iter().map(|row| row.sponsor)));
                    members
                        .clone()
                        .zip(rows)
                        .for_each(|(member, row)| recruit(sponsors, sponsors_unlinked, member, row));
                }
                black_box(placement.prefetch_uncounted(rows.iter().map(|row| row.parent)));
                members
                    .zip(rows)
                    .try_for_each(|(member, row)| place(placement, placement_unlinked, width, member, row))
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
        let folded = code.folded();
        require(directory.code(&folded).is_none(), || wrong("there twice"))?;
        directory.add_code(&folded, owner);
        self.state.codes.push(self.header.code_key, owner, &code, &folded);
        Ok(())
    }

    fn push_entry(&mut self, row: &EntryRow) -> Result<(), String> {
        let index = self.state.entries();
        let wrong = |what: &str| format!("ledger entry {index}: {what}");
        require(row.receiver < self.state.len(), || wrong("no such receiver"))?;
        let next = (self.next_trigger < self.triggers.len()).then(|| *self.triggers.get(self.next_trigger));
        if let Some(trigger) = next.filter(|trigger| u64::from(trigger.first_entry) == index) {
            require(trigger.source < self.state.len(), || wrong("no such source"))?;
            let kind_known =
                usize::from(trigger.kind) < self.header.kinds.len() || KIND_SIGNUP <= trigger.kind;
            require(kind_known, || wrong("no such kind"))?;
            self.state.ledger.begin(trigger);
            self.next_trigger += 1;
        }
        require(self.next_trigger != 0, || wrong("no trigger"))?;
        self.state.append_entry(*row);
        Ok(())
    }
}

impl State {
    /// Checks that each reversal fits the entry that it reverses.
    fn check_reversals(&self) -> Result<(), String> {
        let same = |entry: &Entry| (entry.receiver, entry.source, entry.level, entry.kind);
        let reversals = self.ledger.reversals();
        (0..reversals.count()).map(|at| reversals.row_at(at)).try_for_each(|row| {
            let (reversal, reversed) = (self.entry(row.entry.into()), self.entry(row.reverses.into()));
            let negates = reversal.amount.0 == reversed.amount.0.wrapping_neg();
            require(same(&reversal) == same(&reversed) && negates, || {
                format!("reversal {}: of another entry", row.entry)
            })
        })
    }
}

/// Checks a member's row on its own; `total` is the number of members that the image has.
fn check_row(state: &State, total: u32, member: MemberIx, row: &MemberRow) -> Result<(), String> {
    let wrong = |what: &str| format!("member {}: {what}", member.0);
    let is_there = |index: u32| MemberIx::from_column(index).is_none_or(|other| other.0 < total);
    require(is_there(row.sponsor), || wrong("no such sponsor"))?;
    require(is_there(row.parent), || wrong("no such parent"))?;
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

/// Attaches a member to the sponsor tree, after earlier recruits. It is left unlinked if its sponsor comes
/// later, or if members before it are unlinked.
fn recruit(tree: &mut Genealogy, unlinked: &mut Option<MemberIx>, member: MemberIx, row: &MemberRow) {
    let sponsor = MemberIx::from_column(row.sponsor);
    if unlinked.is_some() || sponsor.is_some_and(|sponsor| member <= sponsor) {
        unlinked.get_or_insert(member);
        tree.attach_unlinked(sponsor.map(|sponsor| (sponsor, 0)));
    } else {
        tree.attach_uncounted(sponsor.map(|sponsor| (sponsor, tree.link(sponsor).children)));
    }
}

/// Attaches a member to the placement tree, if its slot is free. It is left unlinked if its parent or,
/// without a width, a sibling before it comes later, or if members before it are unlinked.
fn place(
    tree: &mut Genealogy,
    unlinked: &mut Option<MemberIx>,
    width: Option<u16>,
    member: MemberIx,
    row: &MemberRow,
) -> Result<(), String> {
    let spot = MemberIx::from_column(row.parent).map(|parent| (parent, row.slot));
    let comes_later = |(parent, slot): (MemberIx, u32)| {
        member <= parent || width.is_none() && slot != tree.link(parent).children
    };
    if unlinked.is_some() || spot.is_some_and(comes_later) {
        unlinked.get_or_insert(member);
        tree.attach_unlinked(spot);
        return Ok(());
    }
    let is_free = |(parent, slot)| width.is_none() || free_slot(tree, width, parent, slot).is_some();
    require(spot.is_none_or(is_free), || slot_refused(member))?;
    tree.attach_uncounted(spot);
    Ok(())
}

/// A slot, if it is within the width and free. Without a width no slot is beyond the number of members.
fn free_slot(tree: &Genealogy, width: Option<u16>, parent: MemberIx, slot: u32) -> Option<u32> {
    let is_within = width.map_or((slot as usize) < tree.len(), |width| slot < u32::from(width));
    (is_within && !tree.is_taken(parent, slot)).then_some(slot)
}

fn slot_refused(member: MemberIx) -> String {
    format!("member {}: its slot is taken or out of range", member.0)
}

/// Links the members that were left unlinked, from these on in the sponsor and the placement tree.
fn link_rest(state: &mut State, unlinked: [Option<MemberIx>; 2]) -> Result<(), String> {
    let [sponsors_from, placement_from] = unlinked;
    let rootless = |member: MemberIx| format!("member {}: not below any root", member.0);
    if let Some(first) = sponsors_from {
        let next_slot = |tree: &Genealogy, sponsor, _| Some(tree.link(sponsor).children);
        state
            .sponsors
            .link_rest(first, next_slot)
            .and_then(|()| state.sponsors.settle())
            .map_err(rootless)?;
    }
    let Some(first) = placement_from else { return Ok(()) };
    let State { scalars, plans, placement, .. } = state;
    let width = plans.plan().placement.width;
    placement
        .link_rest(first, |tree, parent, slot| free_slot(tree, width, parent, slot))
        .map_err(slot_refused)?;
    if let (None, Some(parent)) = (width, placement.with_gap()) {
        return Err(format!("member {}: a slot between its children is free", parent.0));
    }
    placement.settle().map_err(rootless)?;
    let levels = (0..placement.len()).map(|member| placement.link(index(member)).level);
    scalars.depth = levels.max().unwrap_or(0);
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
