//! Converts a state to and from the rows of an image.
//!
//! An image holds what cannot be computed. Each part takes its rows itself (the network in
//! `network/restore.rs`), in order of indexes, and computes the rest. The digest stored alongside the image
//! verifies the result.

use std::{collections::VecDeque, hint::black_box, ops::Range};

use crate::core::{
    ledger::{
        breakage::{Breakage, Unpaid},
        entries::{ENTRIES_MAX, Entry},
        kinds::Kinds,
        rows::{EntryRow, KeptTrigger, TriggerRow},
    },
    network::{
        prefetch::TOGETHER,
        restore::Pending,
        rows::{CodeRow, MemberRow},
    },
    requests::unchanged::UNCHANGED_MAX,
    state::{
        bonus::KIND_SIGNUP,
        parts::State,
        plans::PlanVersions,
        sections::{self, ImageHeader, ImageRows, RowCounts, Section, sections},
        view::KeptPages,
    },
    store::{
        pace::Pace,
        region::Region,
        rows::{Keeps, Rows, SoFar, require},
    },
    words::{
        directory::Directory,
        types::{MEMBERS_MAX, MemberIx, index},
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
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($columns:tt)* }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        impl State {
            /// The number of rows of a section.
            pub(in crate::core) fn rows_of(&self, section: Section) -> usize {
                match section {
                    $(Section::$section => <sections::$row as SectionRow>::count(self),)+
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
            impl SectionRow for sections::$row {
                fn count(state: &State) -> usize {
                    Keeps::<Self>::list(&state.$part).count()
                }

                fn of(state: &State, at: usize) -> Self {
                    Keeps::<Self>::list(&state.$part).row_at(at)
                }

                fn restore<D: Directory + Send>(
                    rows: Vec<Self>,
                    restore: &mut Restore,
                    _directory: &mut D,
                ) -> Result<(), String> {
                    let so_far = restore.so_far();
                    let list = Keeps::<Self>::list_mut(&mut restore.state.$part);
                    rows.into_iter().paced().try_for_each(|row| list.restore(row, &so_far))
                }
            }
        )?)+
    };
}
sections!(rows_of_sections);

impl SectionRow for MemberRow {
    fn count(state: &State) -> usize {
        state.network.members().len()
    }

    fn of(state: &State, at: usize) -> Self {
        state.network.row(index(at))
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        directory: &mut D,
    ) -> Result<(), String> {
        let total = restore.header.rows[Section::Members];
        let State { network, plans, .. } = &mut restore.state;
        let plan = &plans.plan().placement;
        network.restore_members(plan, &rows, total, &mut restore.pending)?;
        if !rows.is_empty() && restore.rows[Section::Members] == total {
            network.finish_members(plan, directory, std::mem::take(&mut restore.pending))?;
        }
        Ok(())
    }
}

impl SectionRow for CodeRow {
    fn count(state: &State) -> usize {
        state.network.codes().len()
    }

    fn of(state: &State, at: usize) -> Self {
        let (member, code) = state.network.codes().stored(at);
        CodeRow { member: member.0, code: code.as_str().into() }
    }

    fn restore<D: Directory + Send>(
        rows: Vec<Self>,
        restore: &mut Restore,
        directory: &mut D,
    ) -> Result<(), String> {
        rows.iter().paced().try_for_each(|row| restore.state.network.restore_code(directory, row))
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
        if !rows.is_empty() {
            let mut kept = Region::with_room(rows.len());
            kept.extend(rows.into_iter().map(KeptTrigger::from).paced());
            restore.triggers.push_back(kept);
        }
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
        rows.chunks(TOGETHER).paced_by(1).try_for_each(|rows| {
            restore.prefetch_accounts(rows);
            rows.iter().try_for_each(|row| restore.push_entry(row))
        })
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
            code_key: self.network.code_key(),
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
    /// Triggers whose entries are still to come, in pieces that go as they are taken.
    triggers: VecDeque<Region<KeptTrigger>>,
    /// The next one in the first piece.
    next_trigger: usize,
    rows: RowCounts,
    pending: Pending,
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
            triggers: VecDeque::new(),
            next_trigger: 0,
            rows: RowCounts::default(),
            pending: Pending::default(),
        })
    }

    /// Adds the next rows. With the last members, data that follows from them is counted, in passes over all
    /// of them, the trees in parallel.
    ///
    /// # Errors
    /// What is wrong with them: too many, out of order, an index out of range; when a member is not below a
    /// root, or not in its sponsor's placement subtree; when two members have one id or are in one slot.
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
            orders: u32::try_from(self.state.orders.len()).expect("limited by ORDERS_MAX"),
            periods: self.state.orders.periods().counts(),
        }
    }

    /// See [`State::share`].
    pub fn share(&mut self, other: &State) -> KeptPages {
        self.state.share(other)
    }

    /// Returns the complete state.
    ///
    /// # Errors
    /// When rows are missing.
    pub fn finish(self) -> Result<State, String> {
        let Self { mut state, header, triggers, next_trigger: _, rows, pending: _ } = self;
        let expected = header.rows;
        require(rows == expected, || format!("rows by section {rows:?}, expected {expected:?}"))?;
        require(triggers.is_empty(), || "a trigger without entries".into())?;
        state.ledger.order();
        state.check_reversals()?;
        state.complete_orders()?;
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

    /// Reads the accounts of the receivers of some entries, each of which is elsewhere, together.
    fn prefetch_accounts(&self, rows: &[EntryRow]) {
        let members = self.state.network.members();
        let receivers =
            || rows.iter().map(|row| MemberIx(row.receiver)).filter(|member| member.at() < members.len());
        let accounts = || receivers().filter_map(|receiver| members.account(receiver));
        black_box(accounts().fold(0, |seen, account| seen ^ account));
        black_box(accounts().fold(0, |seen, account| seen ^ self.state.ledger.accounts().prefetch(account)));
    }

    fn push_entry(&mut self, row: &EntryRow) -> Result<(), String> {
        let index = self.state.entries();
        let wrong = |what: &str| format!("ledger entry {index}: {what}");
        require(row.receiver < self.state.len(), || wrong("no such receiver"))?;
        let next = self.triggers.front().map(|rows| rows.row(self.next_trigger));
        if let Some(trigger) = next.filter(|trigger| u64::from(trigger.first_entry) == index) {
            let trigger = TriggerRow::from(*trigger);
            require(trigger.source < self.state.len(), || wrong("no such source"))?;
            let kind_known =
                usize::from(trigger.kind) < self.header.kinds.len() || KIND_SIGNUP <= trigger.kind;
            require(kind_known, || wrong("no such kind"))?;
            self.state.ledger.begin(trigger);
            self.next_trigger += 1;
            if self.triggers.front().is_some_and(|rows| self.next_trigger == rows.len()) {
                self.triggers.pop_front();
                self.next_trigger = 0;
            }
        }
        require(self.state.ledger.entries().triggers() != 0, || wrong("no trigger"))?;
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
