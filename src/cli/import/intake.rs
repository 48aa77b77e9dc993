//! Applies member rows to a network in file order. A row whose sponsor or parent is not settled yet waits for
//! it; rows that become ready go first, lowest line first.
//!
//! A member is *settled* when its row was imported, or was found to match the network. Rows wait for rows of
//! the file, not for members: so the order depends on the file alone, and repeating an import that died
//! midway takes the same order and ends in the same network.
//!
//! Of several rows of one member the first valid one counts, and the others are refused regardless of its
//! result: which one it is depends on the file alone, too. A row's changes to an existing member are applied
//! when the row is settled, so that later rows see the same state when the import is repeated.
//!
//! Memory: waiting and refused rows are held, at most the file, plus some 20 bytes per row.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap, HashSet},
    hint::black_box,
};

use super::{
    member_row::MemberRow,
    refusal::{Refusal, Refused},
    update::Updates,
    waiting::{Ready, Waiting, Wanted},
};
use crate::{
    cli::{
        names::{Ambiguous, Found, Ids, Name, Spelled},
        network::Network,
    },
    core::{
        Member, RowKind,
        command::{Carried, Command, Origin, PlacementRequest, Register, SponsorRef},
        types::{Code, MemberId, MemberIx, Role, Status},
    },
    time_text,
};

pub(super) struct Intake<'n> {
    network: &'n mut Network,
    /// Members that existed before the import.
    base: u32,
    /// Line of each imported member, from index `base` on.
    lines: Vec<u64>,
    /// Progress of each member's rows: by the key of its name, and by the id derived from it.
    rows: HashMap<MemberId, Progress>,
    /// Members with more than one row, keyed the same way.
    several: HashMap<MemberId, Several>,
    /// Existing members that are not active, as their rows also say.
    inactive: HashSet<MemberIx>,
    waiting: Waiting,
    stage: Stage,
    refused: Vec<Refused>,
    updates: Updates,
    already_there: u64,
    updated: u64,
    differing: Vec<(u64, String, String)>,
    waited: u64,
    respelled: u64,
    names_not_kept: u64,
    kept_once: u64,
}

/// The phase of the import.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Stage {
    Reading,
    /// The file was read to its end: text that is no name may match a similar code.
    Over,
    /// Waiting rows no longer block others if the network has their member.
    LettingGo,
}

/// Progress of the rows of one member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Progress {
    /// The row that counts is not settled yet, or not read.
    Open,
    Settled,
    /// The row that counts was refused, or none is valid.
    Refused,
}

/// The rows of a member that has more than one.
#[derive(Default)]
struct Several {
    /// Rows that may still follow.
    left: u32,
    /// The line of the row that counts.
    first: Option<u64>,
}

/// The result of a file's rows.
pub(super) struct Taken {
    /// Lowest line first.
    pub refused: Vec<Refused>,
    /// Imported members.
    pub members: u64,
    /// Rows that match what the network held before.
    pub already_there: u64,
    /// The matching rows whose status or role was set.
    pub updated: u64,
    /// Of those, rows whose time, code, status or role differs: line, member, and the difference. The network
    /// keeps its values.
    pub differing: Vec<(u64, String, String)>,
    /// Rows that preceded their sponsor or parent, which then followed.
    pub waited: u64,
    /// Cells that spell a member's name in a different case than its first occurrence.
    pub respelled: u64,
    /// Names that could not be kept as codes: invalid as a code, taken, or similar to another code.
    pub names_not_kept: u64,
    /// Triggers marked as paid once.
    pub kept_once: u64,
}

enum Step {
    /// The member, and whether the row created it.
    Settled(MemberIx, bool),
    Wait(Wanted),
}

/// An existing member that a row is about, and the member above it.
#[derive(Clone, Copy)]
struct Held {
    member: MemberIx,
    above: Option<MemberIx>,
}

/// Why a cell cannot be resolved now.
enum NotNow {
    Wait(Wanted),
    Refuse(Refusal),
}

impl<'n> Intake<'n> {
    /// With `update`, status and role of existing members are set to what their rows say.
    pub fn new(network: &'n mut Network, update: bool) -> Self {
        let base = network.state.len();
        Self {
            network,
            base,
            lines: Vec::new(),
            rows: HashMap::new(),
            several: HashMap::new(),
            inactive: HashSet::new(),
            waiting: Waiting::default(),
            stage: Stage::Reading,
            refused: Vec::new(),
            updates: Updates::new(update),
            already_there: 0,
            updated: 0,
            differing: Vec::new(),
            waited: 0,
            respelled: 0,
            names_not_kept: 0,
            kept_once: 0,
        }
    }

    /// Begins with the rows. The members of a new network are counted when all are there; those of an
    /// existing one, whose commands are logged, at once.
    pub fn begin(&mut self) {
        if self.network.record.is_none() {
            self.network.state.begin_bulk();
        }
    }

    /// Prefetches what the next rows will look up. Changes nothing.
    pub fn prefetch<'a>(&self, rows: impl Iterator<Item = &'a MemberRow> + Clone) {
        let names = rows.flat_map(|row| [Some(&row.member), row.sponsor.as_ref(), row.parent.as_ref()]);
        let keys = names.flatten().map(|name| &name.key);
        black_box(keys.clone().filter(|key| self.rows.get(*key) == Some(&Progress::Open)).count());
        self.network.state.prefetch_named(&self.network.directory, keys);
    }

    /// Declares a member that has a row in the file, before the first row is offered.
    pub fn declare(&mut self, member: &Ids) {
        let ids = [Some(member.key), (member.id != member.key).then_some(member.id)];
        for id in ids.into_iter().flatten() {
            if self.rows.insert(id, Progress::Open).is_some() {
                let several = self.several.entry(id).or_insert(Several { left: 1, first: None });
                several.left = several.left.saturating_add(1);
            }
        }
    }

    /// Processes the next row of the file, and the rows that waited for it.
    pub fn offer(&mut self, row: MemberRow) {
        if let Some(line) =
            self.counts(&row.member).or_else(|| self.waiting.lines.get(&row.member.key).copied())
        {
            return self.push_refused(row.line, Some(&row.member), Refusal::DuplicateLine(line));
        }
        for id in [row.member.key, row.member.id] {
            if let Some(several) = self.several.get_mut(&id) {
                several.first = Some(row.line);
            }
        }
        let mut ready = Ready::new();
        let waiting = self.waiting.rows.len();
        self.step(row, &mut ready);
        self.waited += u64::from(waiting < self.waiting.rows.len());
        self.run(ready);
    }

    /// Records an unreadable row.
    pub fn refuse(&mut self, line: u64, member: Option<&Name>, reason: Refusal) {
        let mut ready = Ready::new();
        match member {
            Some(name) if self.counts(name).is_some() || self.may_follow(name) => {
                self.push_refused(line, member, reason);
                self.network.names.refused.entry(name.key).or_insert(line);
            }
            _ => self.refuse_row(line, member, reason, &mut ready),
        }
        self.run(ready);
    }

    /// Returns the line of the member's row that counts, if it has several and that one was read.
    fn counts(&self, name: &Name) -> Option<u64> {
        [name.key, name.id].iter().find_map(|id| self.several.get(id)?.first)
    }

    /// Skips an unreadable row; returns whether another row of its member follows.
    fn may_follow(&mut self, name: &Name) -> bool {
        let mut may_follow = false;
        let ids = [Some(name.key), (name.id != name.key).then_some(name.id)];
        for id in ids.into_iter().flatten() {
            if let Some(several) = self.several.get_mut(&id) {
                several.left = several.left.saturating_sub(1);
                may_follow |= several.left != 0;
            }
        }
        may_follow
    }

    fn run(&mut self, mut ready: Ready) {
        while let Some(Reverse(line)) = ready.pop() {
            if let Some(row) = self.waiting.rows.remove(&line) {
                self.waiting.lines.remove(&row.member.key);
                self.waiting.lines.remove(&row.member.id);
                self.step(row, &mut ready);
            }
        }
    }

    fn step(&mut self, row: MemberRow, ready: &mut Ready) {
        match self.try_row(&row) {
            Ok(Step::Settled(member, is_new)) => {
                self.already_there += u64::from(!is_new);
                self.settle(&row, member, ready);
            }
            Ok(Step::Wait(wanted)) => self.waiting.add(row, &wanted),
            Err(reason) => self.refuse_row(row.line, Some(&row.member), reason, ready),
        }
    }

    fn settle(&mut self, row: &MemberRow, member: MemberIx, ready: &mut Ready) {
        let (state, name) = (&self.network.state, &row.member);
        let id = state.id(member);
        self.rows.insert(name.key, Progress::Settled);
        if name.key != id || name.key != name.id {
            self.rows.insert(name.id, Progress::Settled);
            self.rows.insert(id, Progress::Settled);
        }
        if name.key != id || name.key != name.id {
            self.network.names.spelled.insert(name.key, Spelled { member: id, first: name.id });
        }
        if !self.network.names.refused.is_empty() {
            self.network.names.refused.remove(&name.key);
        }
        // If only the network says so, it was decided since, and that counts.
        let is_inactive = row.status.is_some_and(|status| status != Status::Active);
        if member.0 < self.base && is_inactive && state.member(member).status != Status::Active {
            self.inactive.insert(member);
        }
        self.waiting.release([name.key, name.id, id], ready);
        if !self.waiting.for_code.is_empty() {
            let code = state.code(member).alike();
            ready.extend(self.waiting.for_code.remove(&code).unwrap_or_default().into_iter().map(Reverse));
        }
    }

    /// Rows that wait for a member whose row was refused proceed if the network has that member.
    fn refuse_row(&mut self, line: u64, member: Option<&Name>, reason: Refusal, ready: &mut Ready) {
        self.push_refused(line, member, reason);
        let Some(name) = member else { return };
        if self.rows.get(&name.key) == Some(&Progress::Settled) {
            return;
        }
        self.rows.insert(name.key, Progress::Refused);
        self.rows.insert(name.id, Progress::Refused);
        self.network.names.refused.entry(name.key).or_insert(line);
        if let Some(known) = self.named(name) {
            let id = self.network.state.id(known.member);
            self.rows.insert(id, Progress::Refused);
            self.waiting.release([name.key, name.id, id], ready);
        }
    }

    fn push_refused(&mut self, line: u64, member: Option<&Name>, reason: Refusal) {
        self.refused.push(Refused { line, member: member.map(Name::shown).unwrap_or_default(), reason });
    }

    fn try_row(&mut self, row: &MemberRow) -> Result<Step, Refusal> {
        let there = self.member_of(&row.member);
        if let Some(new) = there.and_then(|there| there.member.0.checked_sub(self.base)) {
            return Err(Refusal::DuplicateLine(self.lines[new as usize]));
        }
        let sponsor = self.seek_sponsor(row, there);
        let parent = match &sponsor {
            // Most members are right below their sponsors.
            Ok(found) if there.is_none() && !row.sponsor_is_default && row.parent == row.sponsor => {
                Ok(*found)
            }
            _ => self.seek(row.parent.as_ref(), self.held(there, |held| held.parent)),
        };
        let (sponsor, parent) = match (sponsor, parent) {
            (Err(NotNow::Refuse(reason)), _) | (Ok(_), Err(NotNow::Refuse(reason))) => return Err(reason),
            (Err(NotNow::Wait(wanted)), _) | (Ok(_), Err(NotNow::Wait(wanted))) => {
                return Ok(Step::Wait(wanted));
            }
            (Ok(sponsor), Ok(parent)) => (sponsor, parent),
        };
        // A code in the row's own column was chosen: it is not how the name was kept.
        let own = there.filter(|there| {
            row.code.as_ref().is_none_or(|code| *code != self.network.state.code(there.member))
        });
        let respelled =
            [own, sponsor, parent].into_iter().flatten().filter(|found| found.respelled).count() as u64;
        let (sponsor, parent) = (sponsor.map(|found| found.member), parent.map(|found| found.member));
        row.paid_once.judge(&self.network.state)?;
        let is_known = |name: &Name| self.rows.contains_key(&name.key) || self.member_of(name).is_some();
        row.attributes.judge(&self.network.state, is_known)?;
        let settled = match there {
            Some(Found { member, .. }) => self.compare(member, sponsor, parent, row)?,
            None => self.register(sponsor, parent, row)?,
        };
        if let Step::Settled(member, _) = settled {
            self.kept_once += row.paid_once.keep(self.network, member)?;
            self.updates.set_attributes(self.network, member, row)?;
        }
        self.respelled += respelled;
        Ok(settled)
    }

    /// Registers a new member.
    fn register(
        &mut self,
        sponsor: Option<MemberIx>,
        parent: Option<MemberIx>,
        row: &MemberRow,
    ) -> Result<Step, Refusal> {
        let state = &self.network.state;
        let placement =
            parent.map_or(PlacementRequest::PlanDefault, |parent| self.seat(row, sponsor, parent));
        let sponsor_too = sponsor.is_some_and(|sponsor| {
            state.member(sponsor).status != Status::Active
                && (self.base <= sponsor.0 || self.inactive.contains(&sponsor))
        });
        if row.member.key == MemberId([0; 16]) {
            return Err(Refusal::NilId);
        }
        let register = Register {
            member: row.member.key,
            sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(state.id(sponsor))),
            placement,
            code: row.code.clone().or_else(|| self.code_from_name(&row.member)),
            role: row.role.unwrap_or(Role::Member),
            joined_at: row.joined_at,
            origin: Origin::Import(Carried {
                status: row.status.unwrap_or(Status::Active),
                sponsor_too,
                ..row.carried
            }),
        };
        let has_own_code = register.code.is_some() || row.member.text.is_none();
        // The row's member was just looked for, and its sponsor and parent were found.
        let above =
            [sponsor, parent].map(|above| above.map(|above| (self.network.state.id(above), Some(above))));
        let own = (row.member.key, None);
        let known = [own, above[0].unwrap_or(own), above[1].unwrap_or(own)];
        self.network.apply_known(Command::Register(register), &known).map_err(Refusal::Rule)?;
        self.names_not_kept += u64::from(!has_own_code);
        self.lines.push(row.line);
        Ok(Step::Settled(MemberIx(self.network.state.len() - 1), true))
    }

    /// Compares a row with an existing member.
    fn compare(
        &mut self,
        there: MemberIx,
        sponsor: Option<MemberIx>,
        parent: Option<MemberIx>,
        row: &MemberRow,
    ) -> Result<Step, Refusal> {
        let held = self.network.state.member(there);
        let same_parent = row.parent.is_none() || parent == held.parent;
        if sponsor != held.sponsor || !same_parent || row.slot.is_some_and(|slot| slot != held.slot) {
            return Err(Refusal::DuplicateMember);
        }
        let changes = self.updates.note(&self.network.state, there, row)?;
        let is_updated = !changes.is_empty();
        for change in changes {
            self.network.apply(change).map_err(Refusal::Rule)?;
        }
        self.updated += u64::from(is_updated);
        self.differing.extend(self.difference(there, row).map(|text| (row.line, row.member.shown(), text)));
        Ok(Step::Settled(there, false))
    }

    /// Finds a member by id or by name.
    fn named(&self, name: &Name) -> Option<Found> {
        let Network { state, directory, names, .. } = &*self.network;
        let member = names.named(name, state, directory)?;
        // A name of the file that is not among the spelled ones came first in lower case.
        let in_lower_case = || (self.rows.get(&name.key) == Some(&Progress::Settled)).then_some(name.key);
        let first = names.spelled.get(&name.key).map(|file| file.first).or_else(in_lower_case);
        Some(Found { member, respelled: name.respells(state, member, first) })
    }

    /// Returns the existing member that a row is about: by id, by name, or by the code of a member that
    /// existed before and has no row of its own. A code that this file assigned does not make a row with that
    /// name one about the code's owner.
    fn member_of(&self, name: &Name) -> Option<Found> {
        let Network { state, directory, .. } = &*self.network;
        self.named(name).or_else(|| {
            let owner = (self.base != 0).then(|| name.by_exact_code(state, directory))??;
            let is_meant = owner.0 < self.base && !self.rows.contains_key(&state.id(owner));
            is_meant.then_some(Found { member: owner, respelled: false })
        })
    }

    /// Returns an existing member with its sponsor or parent.
    fn held(&self, there: Option<Found>, above: impl Fn(&Member) -> Option<MemberIx>) -> Option<Held> {
        let member = there?.member;
        Some(Held { member, above: above(&self.network.state.member(member)) })
    }

    /// Resolves a sponsor or parent cell; `None` for an empty cell. In the row of an existing member, a code
    /// means its owner when that member joined: codes assigned later do not change that, or an interrupted
    /// import could not be repeated.
    fn seek(&self, name: Option<&Name>, held: Option<Held>) -> Result<Option<Found>, NotNow> {
        let Some(name) = name else { return Ok(None) };
        let Network { state, directory, .. } = &*self.network;
        let wait = || Err(NotNow::Wait(Wanted::Name(name.clone())));
        let progress = self.rows.get(&name.key);
        if progress == Some(&Progress::Open) && self.stage < Stage::LettingGo {
            return wait();
        }
        if let Some(found) = self.named(name) {
            let is_settled = progress == Some(&Progress::Settled) && state.id(found.member) == name.key;
            return if is_settled { Ok(Some(found)) } else { self.when_settled(found) };
        }
        // A name in the file is never a code, even if its row was refused.
        if progress.is_some() {
            return wait();
        }
        let was_there = |member: &MemberIx| held.is_none_or(|held| *member < held.member);
        if let Some(member) = name.by_exact_code(state, directory).filter(was_there) {
            return self.when_settled(Found { member, respelled: false });
        }
        if self.stage < Stage::Over {
            return wait();
        }
        let is_like = |above: &MemberIx| name.codes().any(|code| code.alike() == state.code(*above).alike());
        if let Some(member) = held.and_then(|held| held.above).filter(is_like) {
            return self.when_settled(Found { member, respelled: false });
        }
        match name.by_code(state, directory) {
            Ok(Some(member)) => self.when_settled(Found { member, respelled: false }),
            Ok(None) => wait(),
            Err(Ambiguous) => Err(NotNow::Refuse(Refusal::AmbiguousCode(name.shown()))),
        }
    }

    /// Resolves the sponsor of a row. The default sponsor is not its own sponsor.
    fn seek_sponsor(&self, row: &MemberRow, there: Option<Found>) -> Result<Option<Found>, NotNow> {
        let sought = self.seek(row.sponsor.as_ref(), self.held(there, |held| held.sponsor));
        let Some(sponsor) = row.sponsor.as_ref().filter(|_| row.sponsor_is_default) else { return sought };
        let own = there.map(|there| there.member);
        let is_own = match &sought {
            Ok(found) => own.is_some() && own == found.map(|found| found.member),
            Err(NotNow::Wait(Wanted::Row(id))) => own.is_some_and(|own| self.network.state.id(own) == *id),
            // Not resolved yet. A name in the file is not a code.
            Err(NotNow::Wait(Wanted::Name(_))) if !self.rows.contains_key(&sponsor.key) => {
                let code = row.code.clone().or_else(|| row.member.code());
                let is_like = |code: &Code| sponsor.codes().any(|named| named.alike() == code.alike());
                let is_same = |code: &Code| sponsor.codes().any(|named| named.folded() == code.folded());
                code.is_some_and(|code| is_same(&code) || (Stage::Over <= self.stage && is_like(&code)))
            }
            Err(_) => false,
        };
        if is_own { Ok(None) } else { sought }
    }

    fn when_settled(&self, found: Found) -> Result<Option<Found>, NotNow> {
        let id = self.network.state.id(found.member);
        let is_open = self.rows.get(&id) == Some(&Progress::Open);
        if is_open && self.stage < Stage::LettingGo {
            Err(NotNow::Wait(Wanted::Row(id)))
        } else {
            Ok(Some(found))
        }
    }

    /// Describes how a row differs from the network on an existing member, to complete a sentence.
    fn difference(&self, there: MemberIx, row: &MemberRow) -> Option<String> {
        let state = &self.network.state;
        let (joined_at, code) = (state.member(there).joined_at, state.code(there));
        let time = row.joined_at.filter(|time| *time != joined_at);
        let time = time
            .map(|time| format!("joined at {}, not {}", time_text::print(joined_at), time_text::print(time)));
        let named = row.code.as_ref().filter(|named| **named != code);
        let code = named.map(|named| format!("its code is {}, not {}", code.as_str(), named.as_str()));
        let held = state.carried_row_id(RowKind::Member, u64::from(there.0));
        let id = row
            .carried
            .row_id
            .filter(|named| held != Some(*named))
            .map(|_| "its row id is another".to_string());
        let (rank, turn) = (state.rank(there).lifetime, state.turn(there));
        let named = row.carried.lifetime_rank;
        let rank = (rank < named).then(|| format!("its highest rank ever is {rank}, not {named}"));
        let named = row.carried.turn;
        let turn = (named != 0 && turn != named).then(|| format!("its turn is {turn}, not {named}"));
        let updates = self.updates.difference(state, there, row);
        let differences: Vec<String> =
            [time, code, id, rank, turn].into_iter().chain(updates).flatten().collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }

    /// Returns the placement request for the place that a row names. Without a slot it is the lowest free
    /// one. Where parents are always the sponsors, no place can be named, but the one that the rule would
    /// give anyway is requested through it.
    fn seat(&self, row: &MemberRow, sponsor: Option<MemberIx>, parent: MemberIx) -> PlacementRequest {
        let state = &self.network.state;
        let slot = row.slot.unwrap_or_else(|| state.lowest_free_slot(parent));
        let placement = &state.plan().placement;
        let by_rule = |sponsor| state.preview(sponsor, placement.default_rule) == Ok((parent, slot));
        if placement.trees_coincide() && sponsor.is_some_and(by_rule) {
            return PlacementRequest::PlanDefault;
        }
        PlacementRequest::Slot { parent: state.member(parent).id, slot }
    }

    /// Returns the referral code for a name if it can be one, and no code is equal or similar to it.
    fn code_from_name(&self, name: &Name) -> Option<Code> {
        let Network { state, directory, .. } = &*self.network;
        name.code().filter(|code| state.may_choose(directory, code))
    }

    /// Ends the file: text that is no name may match a similar code; rows that still wait are refused.
    pub fn finish(mut self) -> Taken {
        for stage in [Stage::Over, Stage::LettingGo] {
            self.stage = stage;
            let ready = self.waiting.rows.keys().copied().map(Reverse).collect();
            self.run(ready);
        }
        self.network.state.end_bulk();
        let unanswered = self.explain_waiting();
        self.waited -= unanswered.len() as u64;
        for (line, reason) in unanswered {
            let row = self.waiting.rows.remove(&line).expect("the row waits");
            self.network.names.refused.entry(row.member.key).or_insert(line);
            self.push_refused(line, Some(&row.member), reason);
        }
        self.updates.set_owners(self.network, &mut self.refused, &mut self.differing);
        self.refused.sort_by_key(|refused| refused.line);
        Taken {
            refused: self.refused,
            members: self.lines.len() as u64,
            already_there: self.already_there,
            updated: self.updated,
            differing: self.differing,
            waited: self.waited,
            respelled: self.respelled,
            names_not_kept: self.names_not_kept,
            kept_once: self.kept_once,
        }
    }

    /// Explains why each row still waits: it is on a cycle, or its chain ends at an unknown or refused
    /// member.
    fn explain_waiting(&self) -> BTreeMap<u64, Refusal> {
        let mut codes: HashMap<String, u64> = HashMap::new();
        for row in self.waiting.rows.values() {
            if let Some(code) = row.code.clone().or_else(|| row.member.code()) {
                codes.entry(code.folded()).or_insert(row.line);
            }
        }
        let by_code = |name: &Name| name.codes().find_map(|code| codes.get(&code.folded()));
        let line_of = |wanted: &Wanted| match wanted {
            Wanted::Row(id) => self.waiting.lines.get(id).copied(),
            Wanted::Name(name) if self.rows.contains_key(&name.key) => {
                self.waiting.lines.get(&name.key).copied()
            }
            Wanted::Name(name) => by_code(name).copied(),
        };
        let mut reasons = BTreeMap::new();
        for start in self.waiting.rows.keys() {
            let mut path = Vec::new();
            let mut positions = HashMap::new();
            let mut at = Some(*start);
            while let Some(line) =
                at.filter(|line| !reasons.contains_key(line) && !positions.contains_key(line))
            {
                positions.insert(line, path.len());
                path.push(line);
                at = line_of(&self.missing(line).2);
            }
            // If the path closed on itself, everything from there on is the cycle.
            let cycle = at.and_then(|line| positions.get(&line).copied()).unwrap_or(path.len());
            for (position, line) in path.into_iter().enumerate() {
                let reason = if cycle <= position {
                    Refusal::Cycle
                } else {
                    self.explain(line, line_of(&self.missing(line).2))
                };
                reasons.insert(line, reason);
            }
        }
        reasons
    }

    /// Returns what a waiting row waits for: whether that is its sponsor, the name in that cell, and the
    /// target.
    fn missing(&self, line: u64) -> (bool, &Name, Wanted) {
        let row = &self.waiting.rows[&line];
        let there = self.member_of(&row.member);
        let wanted = |sought| match sought {
            Err(NotNow::Wait(wanted)) => Some(wanted),
            Ok(_) | Err(NotNow::Refuse(_)) => None,
        };
        let sponsor = wanted(self.seek_sponsor(row, there));
        let parent = wanted(self.seek(row.parent.as_ref(), self.held(there, |held| held.parent)));
        match (sponsor, parent) {
            (Some(wanted), _) => (true, row.sponsor.as_ref().expect("it was looked for"), wanted),
            (_, Some(wanted)) => (false, row.parent.as_ref().expect("it was looked for"), wanted),
            _ => unreachable!("a row whose sponsor and parent are known was set free"),
        }
    }

    fn explain(&self, line: u64, waits_for: Option<u64>) -> Refusal {
        let (is_sponsor, name, _) = self.missing(line);
        let refused = waits_for.or_else(|| self.network.names.refused.get(&name.key).copied());
        let name = name.shown();
        match (refused, is_sponsor) {
            (Some(line), true) => Refusal::SponsorRefused { name, line },
            (Some(line), false) => Refusal::ParentRefused { name, line },
            (None, true) => Refusal::UnknownSponsor(name),
            (None, false) => Refusal::UnknownParent(name),
        }
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
