//! Takes member rows into a network in the order of the file. A row whose sponsor or parent is not there yet waits for it; rows that
//! are set free by another go first, lowest line first. So the result depends on the file alone.
//!
//! Memory: waiting rows and refused ones are held, at most the file.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use super::{
    member_row::{MemberRow, Name, print_time},
    refusal::{Refusal, Refused},
    update::Updates,
};
use crate::{
    cli::network::Network,
    core::{
        RowKind,
        command::{Command, Origin, PlacementRequest, Register, SponsorRef},
        types::{Code, MemberId, MemberIx, Role, Status, Tree},
    },
};

pub(super) struct Intake<'n> {
    network: &'n mut Network,
    /// Members that were there before.
    base: u32,
    /// Line of each member taken in, from index `base` on.
    lines: Vec<u64>,
    waiting: Waiting,
    /// Members of refused rows, to say why others could not follow them.
    refused_ids: HashMap<MemberId, u64>,
    refused: Vec<Refused>,
    /// Statuses are set at the end: an inactive sponsor's recruits come from when it was active.
    statuses: Vec<(u64, Name, Status)>,
    updates: Updates,
    already_there: u64,
    differing: Vec<(u64, String, String)>,
    waited: u64,
    names_not_kept: u64,
}

/// Rows that wait, by line, and what for.
#[derive(Default)]
struct Waiting {
    rows: BTreeMap<u64, MemberRow>,
    lines: HashMap<MemberId, u64>,
    for_id: HashMap<MemberId, Vec<u64>>,
    /// By folded code, for names that may turn out to be codes.
    for_code: HashMap<String, Vec<u64>>,
}

/// What came of a file's rows.
pub(super) struct Taken {
    /// Lowest line first.
    pub refused: Vec<Refused>,
    /// Members taken in.
    pub members: u64,
    /// Rows that say what the network held before.
    pub already_there: u64,
    /// Of those, the ones whose status or role was set.
    pub updated: u64,
    /// Of those, the ones whose time, code, status or role is another: line, member, and what differs. The
    /// network keeps what it has.
    pub differing: Vec<(u64, String, String)>,
    /// Rows that came before their sponsor or parent, which then came.
    pub waited: u64,
    /// Names that could not be kept as codes: not of a code's alphabet, or taken.
    pub names_not_kept: u64,
}

enum Step {
    Done,
    AlreadyThere,
    /// Until this name is known.
    Wait(Name),
}

impl<'n> Intake<'n> {
    /// With `update`, status and role of members that are there are set to what their rows say.
    pub fn new(network: &'n mut Network, update: bool) -> Self {
        let base = network.state.len();
        Self {
            network,
            base,
            lines: Vec::new(),
            waiting: Waiting::default(),
            refused_ids: HashMap::new(),
            refused: Vec::new(),
            statuses: Vec::new(),
            updates: Updates::new(update),
            already_there: 0,
            differing: Vec::new(),
            waited: 0,
            names_not_kept: 0,
        }
    }

    /// Takes the next row of the file, and the rows that waited for it.
    pub fn offer(&mut self, row: MemberRow) {
        if let Some(line) = self.waiting.lines.get(&row.member.id) {
            let reason = Refusal::DuplicateLine(*line);
            return self.refuse(row.line, Some(&row.member), reason);
        }
        let mut ready = BinaryHeap::new();
        let waiting = self.waiting.rows.len();
        self.step(row, &mut ready);
        self.waited += u64::from(waiting < self.waiting.rows.len());
        while let Some(Reverse(line)) = ready.pop() {
            if let Some(row) = self.waiting.rows.remove(&line) {
                self.waiting.lines.remove(&row.member.id);
                self.step(row, &mut ready);
            }
        }
    }

    fn step(&mut self, row: MemberRow, ready: &mut BinaryHeap<Reverse<u64>>) {
        match self.try_row(&row) {
            Ok(Step::Done) => self.waiting.release(&row, ready),
            Ok(Step::AlreadyThere) => self.already_there += 1,
            Ok(Step::Wait(name)) => {
                self.waiting.add(row, &name);
            }
            Err(reason) => self.refuse(row.line, Some(&row.member), reason),
        }
    }

    /// Notes a refused row; also one that could not be read.
    pub fn refuse(&mut self, line: u64, member: Option<&Name>, reason: Refusal) {
        if let Some(member) = member {
            self.refused_ids.entry(member.id).or_insert(line);
        }
        self.refused.push(Refused { line, member: member.map(Name::shown).unwrap_or_default(), reason });
    }

    fn try_row(&mut self, row: &MemberRow) -> Result<Step, Refusal> {
        if let Some(there) = self.network.state.find(&self.network.directory, &row.member.id) {
            return match there.0.checked_sub(self.base) {
                Some(new) => Err(Refusal::DuplicateLine(self.lines[new as usize])),
                None if self.is_same(there, row) => {
                    self.updates.note(&self.network.state, there, row)?;
                    self.differing.extend(self.difference(there, row).map(|text| (row.line, row.member.shown(), text)));
                    Ok(Step::AlreadyThere)
                }
                None => Err(Refusal::DuplicateMember),
            };
        }
        let (sponsor, parent) = match (self.find(row.sponsor.as_ref()), self.find(row.parent.as_ref())) {
            (Err(name), _) | (Ok(_), Err(name)) => return Ok(Step::Wait(name.clone())),
            (Ok(sponsor), Ok(parent)) => (sponsor, parent),
        };
        let placement = parent.map_or(PlacementRequest::PlanDefault, |parent| self.seat(row, sponsor, parent));
        let id_of = |member: MemberIx| self.network.state.member(member).id;
        let register = Register {
            member: row.member.id,
            sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(id_of(sponsor))),
            placement,
            code: row.code.clone().or_else(|| self.code_from_name(&row.member)),
            role: row.role.unwrap_or(Role::Member),
            joined_at: row.joined_at,
            origin: Origin::Import(row.carried),
        };
        self.network.apply(Command::Register(register)).map_err(Refusal::Rule)?;
        self.lines.push(row.line);
        if let Some(status) = row.status.filter(|status| *status != Status::Active) {
            self.statuses.push((row.line, row.member.clone(), status));
        }
        Ok(Step::Done)
    }

    /// A member by its name: the id or, failing that, the referral code. The name itself when nobody has it.
    fn find<'a>(&self, name: Option<&'a Name>) -> Result<Option<MemberIx>, &'a Name> {
        let Some(name) = name else { return Ok(None) };
        name.find(&self.network.state, &self.network.directory).map(Some).ok_or(name)
    }

    /// Whether a row says what the network holds already.
    fn is_same(&self, there: MemberIx, row: &MemberRow) -> bool {
        let held = self.network.state.member(there);
        let same_sponsor = self.find(row.sponsor.as_ref()) == Ok(held.sponsor);
        let same_parent = row.parent.is_none() || self.find(row.parent.as_ref()) == Ok(held.parent);
        same_sponsor && same_parent && row.slot.is_none_or(|slot| slot == held.slot)
    }

    /// What a row says otherwise than the network about a member that is there, in its place.
    fn difference(&self, there: MemberIx, row: &MemberRow) -> Option<String> {
        let state = &self.network.state;
        let (joined_at, code) = (state.member(there).joined_at, state.code(there));
        let time = row.joined_at.filter(|time| *time != joined_at);
        let time = time.map(|time| format!("joined at {}, not {}", print_time(joined_at), print_time(time)));
        let named = row.code.as_ref().filter(|named| **named != code);
        let code = named.map(|named| format!("its code is {}, not {}", code.as_str(), named.as_str()));
        let held = state.carried_row_id(RowKind::Member, u64::from(there.0));
        let id = row.carried.row_id.filter(|named| held != Some(*named)).map(|_| "its row id is another".to_string());
        let (rank, turn) = (state.rank(there).lifetime, state.turn(there));
        let named = row.carried.lifetime_rank;
        let rank = (rank < named).then(|| format!("its highest rank ever is {rank}, not {named}"));
        let named = row.carried.turn;
        let turn = (named != 0 && turn != named).then(|| format!("its turn is {turn}, not {named}"));
        let updates = self.updates.difference(state, there, row);
        let differences: Vec<String> = [time, code, id, rank, turn].into_iter().chain(updates).flatten().collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }

    /// How to ask for the place that a row names. Without a slot it is the lowest free one. Where parents are always the sponsors, no
    /// place can be named, but the one that the rule would give anyway is asked for by it.
    fn seat(&self, row: &MemberRow, sponsor: Option<MemberIx>, parent: MemberIx) -> PlacementRequest {
        let state = &self.network.state;
        let slot = row.slot.unwrap_or_else(|| {
            let mut free = 0;
            for child in state.children(Tree::Placement, parent) {
                if state.member(child).slot != free {
                    break;
                }
                free += 1;
            }
            free
        });
        let placement = &state.plan().placement;
        let by_rule = |sponsor| state.preview(sponsor, placement.default_rule) == Ok((parent, slot));
        if placement.trees_coincide() && sponsor.is_some_and(by_rule) {
            return PlacementRequest::PlanDefault;
        }
        PlacementRequest::Slot { parent: state.member(parent).id, slot }
    }

    /// A name is kept as the referral code if it can be one and is free.
    fn code_from_name(&mut self, name: &Name) -> Option<Code> {
        name.text.as_ref()?;
        let Network { state, directory, .. } = &*self.network;
        let code = name.code().filter(|code| state.member_by_code(directory, code).is_none());
        self.names_not_kept += u64::from(code.is_none());
        code
    }

    /// Ends the file: rows that still wait are refused, statuses are set.
    pub fn finish(mut self) -> Taken {
        let unanswered = self.explain_waiting();
        self.waited -= unanswered.len() as u64;
        for (line, reason) in unanswered {
            let row = self.waiting.rows.remove(&line).expect("the row waits");
            self.refuse(line, Some(&row.member), reason);
        }
        for (line, member, status) in std::mem::take(&mut self.statuses) {
            let command = Command::SetStatus { member: member.id, status };
            if let Err(rejection) = self.network.apply(command) {
                self.refuse(line, Some(&member), Refusal::Rule(rejection));
            }
        }
        let mut updated = HashSet::new();
        for change in std::mem::take(&mut self.updates).into_changes() {
            match self.network.apply(change.command) {
                Ok(_) => _ = updated.insert(change.line),
                Err(rejection) => self.refuse(change.line, Some(&change.member), Refusal::Rule(rejection)),
            }
        }
        self.refused.sort_by_key(|refused| refused.line);
        Taken {
            refused: self.refused,
            members: self.lines.len() as u64,
            already_there: self.already_there,
            updated: updated.len() as u64,
            differing: self.differing,
            waited: self.waited,
            names_not_kept: self.names_not_kept,
        }
    }

    /// Why each row still waits: it is on a cycle, or at the end of what it waits for stands somebody unknown or refused.
    fn explain_waiting(&self) -> BTreeMap<u64, Refusal> {
        let mut codes: HashMap<String, u64> = HashMap::new();
        for row in self.waiting.rows.values() {
            if let Some(code) = row.code.clone().or_else(|| row.member.code()) {
                codes.entry(code.folded()).or_insert(row.line);
            }
        }
        let line_of = |name: &Name| {
            let by_code = || name.code().and_then(|code| codes.get(&code.folded()));
            self.waiting.lines.get(&name.id).or_else(by_code).copied()
        };
        let mut reasons = BTreeMap::new();
        for start in self.waiting.rows.keys() {
            let mut path = Vec::new();
            let mut positions = HashMap::new();
            let mut at = Some(*start);
            while let Some(line) = at.filter(|line| !reasons.contains_key(line) && !positions.contains_key(line)) {
                positions.insert(line, path.len());
                path.push(line);
                at = line_of(self.missing(line).1);
            }
            // Where the path bit itself, everything from there on is the cycle.
            let cycle = at.and_then(|line| positions.get(&line).copied()).unwrap_or(path.len());
            for (position, line) in path.into_iter().enumerate() {
                let reason = if cycle <= position { Refusal::Cycle } else { self.explain(line, line_of(self.missing(line).1)) };
                reasons.insert(line, reason);
            }
        }
        reasons
    }

    /// What a waiting row waits for: whether that is its sponsor, and the name.
    fn missing(&self, line: u64) -> (bool, &Name) {
        let row = &self.waiting.rows[&line];
        match (self.find(row.sponsor.as_ref()), self.find(row.parent.as_ref())) {
            (Err(name), _) => (true, name),
            (_, Err(name)) => (false, name),
            _ => unreachable!("a row whose sponsor and parent are known was set free"),
        }
    }

    fn explain(&self, line: u64, waits_for: Option<u64>) -> Refusal {
        let (is_sponsor, name) = self.missing(line);
        let refused = waits_for.or_else(|| self.refused_ids.get(&name.id).copied());
        let name = name.shown();
        match (refused, is_sponsor) {
            (Some(line), true) => Refusal::SponsorRefused { name, line },
            (Some(line), false) => Refusal::ParentRefused { name, line },
            (None, true) => Refusal::UnknownSponsor(name),
            (None, false) => Refusal::UnknownParent(name),
        }
    }
}

impl Waiting {
    fn add(&mut self, row: MemberRow, missing: &Name) {
        self.for_id.entry(missing.id).or_default().push(row.line);
        if let Some(code) = missing.code() {
            self.for_code.entry(code.folded()).or_default().push(row.line);
        }
        self.lines.insert(row.member.id, row.line);
        self.rows.insert(row.line, row);
    }

    /// Sets the rows free that waited for this one's member. A line may be named twice, or no longer wait.
    fn release(&mut self, row: &MemberRow, ready: &mut BinaryHeap<Reverse<u64>>) {
        let mut free = self.for_id.remove(&row.member.id).unwrap_or_default();
        if !self.for_code.is_empty()
            && let Some(code) = row.code.clone().or_else(|| row.member.code())
        {
            free.extend(self.for_code.remove(&code.folded()).unwrap_or_default());
        }
        ready.extend(free.into_iter().map(Reverse));
    }
}

#[cfg(test)]
#[path = "intake_test.rs"]
mod tests;
