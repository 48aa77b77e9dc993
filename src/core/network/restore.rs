//! Builds a network from the rows of an image.
//!
//! Members are attached one by one through the same code that a signup uses, so links, counts and slots come
//! out the same; ranks are taken from the rows (the best ever is history). Rows are in order of indexes,
//! which need not be an order of the trees: from the first member on whose parent comes later, members are
//! linked when all are there.

use std::{hint::black_box, sync::Arc};

use crate::core::{
    network::{
        members::{FLAG_BITS, Members, Ranks, role_in, status_in},
        part::{Network, Shape},
        prefetch::TOGETHER,
        rows::{CodeRow, MemberRow},
    },
    plan::Placement,
    store::{
        pace::Pace,
        parallel::{both, in_blocks},
        rows::require,
    },
    tree::{
        counting::Watch,
        genealogy::Genealogy,
        placement::SlotFinder,
        tour::{Spans, Tour},
    },
    words::{
        directory::Directory,
        types::{Code, MemberId, MemberIx, Role, Tree, index},
    },
};

/// Members that are added to the directory without a pause.
const LISTED_TOGETHER: usize = 1_024;

/// What a restore keeps until all members are there.
#[derive(Default)]
pub(crate) struct Pending {
    /// Turns other than 0: set once all members are placed.
    turns: Vec<(MemberIx, u16)>,
    /// From these members on, the sponsor and the placement tree are linked at the end.
    unlinked: [Option<MemberIx>; 2],
}

impl Network {
    /// A member as a row.
    pub fn row(&self, member: MemberIx) -> MemberRow {
        let (placement, sponsor) = (self.placement.link(member), self.tree(Tree::Sponsor).link(member));
        let ranks = self.members.ranks(member);
        MemberRow {
            id: self.members.id(member).0,
            joined_at: self.members.joined_at(member),
            sponsor: sponsor.parent,
            parent: placement.parent,
            slot: placement.slot,
            flags: self.members.flags(member),
            paid_as: ranks.paid_as,
            lifetime: ranks.lifetime,
            turn: self.slots.turn(member),
        }
    }

    /// Checks each row on its own, then enters all of them into independent parts in parallel. Nothing is
    /// counted yet, and the ids are in no directory. `total` is the number of members that the image has.
    pub fn restore_members(
        &mut self,
        plan: &Placement,
        rows: &[MemberRow],
        total: u32,
        pending: &mut Pending,
    ) -> Result<(), String> {
        let first = u32::try_from(self.members.len()).expect("limited by MEMBERS_MAX");
        let numbered = || (first..).map(MemberIx).zip(rows).paced();
        let checked = in_blocks(rows.len(), |range| {
            range.paced().try_for_each(|at| {
                let member = MemberIx(first + index(at).0);
                self.check_row(plan, total, member, &rows[at])
            })
        });
        checked.into_iter().collect::<Result<(), String>>()?;
        let [sponsors_unlinked, placement_unlinked] = &mut pending.unlinked;
        let Self { members, placement, sponsors, shape, .. } = self;
        let (coincide, width) = (shape.trees_coincide, plan.width);
        let as_members = || {
            for MemberRow { id, joined_at, flags, paid_as, lifetime, .. } in rows.iter().copied().paced() {
                members.push(MemberId(id), joined_at, flags, Ranks { paid_as, lifetime });
            }
        };
        let in_groups = || (first..).step_by(TOGETHER).map(MemberIx).zip(rows.chunks(TOGETHER)).paced_by(1);
        let as_recruits = || {
            for (first, rows) in in_groups().filter(|_| !coincide) {
                black_box(sponsors.prefetch_uncounted(rows.iter().map(|row| row.sponsor)));
                let members = (first.0..).map(MemberIx);
                members.zip(rows).for_each(|(member, row)| recruit(sponsors, sponsors_unlinked, member, row));
            }
        };
        let in_places = || {
            in_groups().try_for_each(|(first, rows)| {
                black_box(placement.prefetch_uncounted(rows.iter().map(|row| row.parent)));
                let mut members = (first.0..).map(MemberIx).zip(rows);
                members.try_for_each(|(member, row)| place(placement, placement_unlinked, width, member, row))
            })
        };
        let (placed, ((), ())) = both(in_places, || both(as_recruits, as_members));
        placed?;
        for (member, row) in numbered() {
            self.count_rank(row.paid_as, 1);
            if row.turn != 0 {
                pending.turns.push((member, row.turn));
            }
            if role_in(row.flags) == Some(Role::Admin) {
                self.add_admin(member);
            }
        }
        let levels = numbered().map(|(member, _)| self.placement.link(member).level);
        self.shape.depth = levels.fold(self.shape.depth, u32::max);
        Ok(())
    }

    /// Checks a member's row on its own.
    fn check_row(
        &self,
        plan: &Placement,
        total: u32,
        member: MemberIx,
        row: &MemberRow,
    ) -> Result<(), String> {
        let wrong = |what: &str| format!("member {}: {what}", member.0);
        let is_there = |index: u32| MemberIx::from_column(index).is_none_or(|other| other.0 < total);
        require(is_there(row.sponsor), || wrong("no such sponsor"))?;
        require(is_there(row.parent), || wrong("no such parent"))?;
        let (sponsor, parent) = (MemberIx::from_column(row.sponsor), MemberIx::from_column(row.parent));
        require(sponsor.is_some() == parent.is_some(), || wrong("sponsor without parent, or the reverse"))?;
        require(!plan.trees_coincide() || sponsor == parent, || wrong("sponsor and parent differ"))?;
        require(parent.is_some() || row.slot == 0, || wrong("a root in a slot"))?;
        let known =
            row.flags & !FLAG_BITS == 0 && status_in(row.flags).is_some() && role_in(row.flags).is_some();
        require(known, || wrong("unknown flags"))?;
        require(row.paid_as <= row.lifetime, || wrong("its best rank is below its rank"))?;
        require(self.slots.has_turn(plan, row.turn), || wrong("a turn that the plan does not have"))
    }

    /// Adds the next given code.
    pub fn restore_code<D: Directory>(&mut self, directory: &mut D, row: &CodeRow) -> Result<(), String> {
        let owner = MemberIx(row.member);
        let wrong = |what: &str| format!("code of member {}: {what}", owner.0);
        require(owner.at() < self.members.len(), || wrong("no such member"))?;
        require(self.codes.last_owner().is_none_or(|last| last < owner), || wrong("out of order"))?;
        let code = Code::parse(&row.code).ok_or_else(|| wrong("not a code"))?;
        let folded = code.folded();
        require(directory.code(&folded).is_none(), || wrong("there twice"))?;
        directory.add_code(&folded, owner);
        self.codes.push(self.code_key(), owner, &code, &folded);
        Ok(())
    }

    /// Completes a network whose members are all there: adds their ids to the directory, and meanwhile links
    /// what is still to be linked, and counts, in passes over all members, the trees in parallel.
    pub fn finish_members<D: Directory + Send>(
        &mut self,
        plan: &Placement,
        directory: &mut D,
        pending: Pending,
    ) -> Result<(), String> {
        let Pending { turns, unlinked } = pending;
        let Self { members, shape, placement, sponsors, slots, .. } = self;
        let Shape { depth, watches, .. } = &mut **shape;
        let count = || {
            if let Some(deepest) = link_rest(placement, sponsors, plan.width, unlinked)? {
                *depth = deepest;
            }
            count(placement, sponsors, slots, plan, watches)?;
            turns.into_iter().try_for_each(|(member, turn)| {
                require(slots.set_turn(plan, member, turn), || {
                    format!("member {}: a turn that the plan does not have", member.0)
                })
            })
        };
        let (listed, counted) = both(|| list_ids(members, directory), count);
        listed.and(counted)?;
        self.recount_admins();
        Ok(())
    }
}

/// Adds the ids of all members to a directory that has none of them.
fn list_ids<D: Directory>(members: &Members, directory: &mut D) -> Result<(), String> {
    let id_of = |member| *members.id(member);
    let (mut next, mut listed) = (0, Ok(()));
    members.each_ids(0..members.len(), |ids| {
        for ids in ids.chunks(LISTED_TOGETHER).paced_by(1) {
            if listed.is_ok() {
                listed = directory.add_new_members(index(next), ids, id_of);
            }
            next += ids.len();
        }
    });
    listed.map_err(|member| format!("member {}: its id is there twice", member.0))
}

/// Counts trees whose members are all linked, and finds out what the placement rules need.
fn count(
    placement: &mut Genealogy,
    sponsors: &mut Genealogy,
    slots: &mut SlotFinder,
    plan: &Placement,
    [sponsor_watch, placement_watch]: &[Arc<Watch>; 2],
) -> Result<(), String> {
    let counted = sponsors.is_counted() && sponsors.len() != 0;
    let ((families, spans), _) =
        both(|| placement.count_families(), || counted.then(|| sponsors.count_anew(sponsor_watch)));
    let (linked, sponsors) = (&*placement, &*sponsors);
    let (tour, (misplaced, ())) = both(
        || Tour::whole(&spans),
        || both(|| misplaced(linked, sponsors, &spans), || slots.attached_all(linked, plan)),
    );
    placement.set_counts(families, tour, placement_watch, &spans);
    require(misplaced.is_none(), || {
        format!("member {}: not in its sponsor's placement subtree", misplaced.unwrap_or_default())
    })
}

/// Links the members that were left unlinked, from these on in the sponsor and the placement tree. Returns
/// the deepest level of the placement tree if there were any in it.
fn link_rest(
    placement: &mut Genealogy,
    sponsors: &mut Genealogy,
    width: Option<u16>,
    [sponsors_from, placement_from]: [Option<MemberIx>; 2],
) -> Result<Option<u32>, String> {
    let rootless = |member: MemberIx| format!("member {}: not below any root", member.0);
    if let Some(first) = sponsors_from {
        let next_slot = |tree: &Genealogy, sponsor, _| Some(tree.link(sponsor).children);
        sponsors.link_rest(first, next_slot).and_then(|()| sponsors.settle()).map_err(rootless)?;
    }
    let Some(first) = placement_from else { return Ok(None) };
    placement
        .link_rest(first, |tree, parent, slot| free_slot(tree, width, parent, slot))
        .map_err(slot_refused)?;
    if let (None, Some(parent)) = (width, placement.with_gap()) {
        return Err(format!("member {}: a slot between its children is free", parent.0));
    }
    placement.settle().map_err(rootless)?;
    let levels = (0..placement.len()).map(|member| placement.link(index(member)).level);
    Ok(Some(levels.max().unwrap_or(0)))
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

/// The first member that is not in its sponsor's placement subtree.
fn misplaced(placement: &Genealogy, sponsors: &Genealogy, spans: &Spans) -> Option<usize> {
    let is_misplaced = |member: &usize| {
        let (sponsor, parent) = (sponsors.link(index(*member)).parent, placement.link(index(*member)).parent);
        sponsor != parent && !spans.is_ancestor(MemberIx(sponsor), MemberIx(parent))
    };
    in_blocks(sponsors.len(), |range| range.paced().find(is_misplaced)).into_iter().flatten().next()
}
