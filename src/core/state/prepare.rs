//! Preparations: work for a command whose effect grows with the network, done before the command is applied.
//!
//! A plan change may re-rate all members or count a whole tree, and a new admin's downline has to be counted.
//! Neither may stall signups and readers, so it is done ahead: a [`Preparation`] starts from the network at
//! some moment and catches up with later changes in short steps ([`Preparation::advance`]);
//! [`State::apply_prepared`] then swaps columns instead of computing them.
//!
//! A preparation is only a cache. It is used only when it is at exactly the LSN before the command, where it
//! equals what computing would give; without it, in a replay for example, the command computes. Digests and
//! images do not include it.
//!
//! For a plan there is a *shadow*: a copy of the frozen view under the new plan, which then adds each later
//! member as the network did: at the same place, with the same counting, but rated by the new plan. Nothing
//! else that happens to a network changes counts; besides counts only roles affect ranks, and these are
//! compared.

use crate::core::{
    network::{
        members::Ranks,
        rank::{self},
    },
    plan::Plan,
    requests::command::Command,
    state::{
        parts::{State, View},
        signup::add_at,
        view::{CopyProgress, FrozenCopy},
    },
    store::column::{Freeze, Kept},
    tree::preorder::Preorder,
    words::{
        directory::Directory,
        types::{ADMIN_LEVELS_MAX, KINDS_MAX, LEVELS_MAX, MemberIx, Role, Tree},
    },
};

/// The preparation that a command is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// A shadow under another plan: [`Preparation::of_plan`].
    Plan,
    /// The deep levels of this member: [`Preparation::of_admin`].
    Admin(MemberIx),
}

/// Precomputed work for a command. See the module documentation.
pub struct Preparation {
    work: Work,
    /// The LSN at which it is complete.
    ready_at: Option<u64>,
}

enum Work {
    Shadow(Box<State>),
    Admin(Box<DeepLevels>),
}

/// The head-counts of a future admin beyond `LEVELS_MAX`, while being counted.
struct DeepLevels {
    member: MemberIx,
    /// Counted trees, each with the walk through the members present when counting began.
    walks: Vec<(Tree, Preorder)>,
    deep: [Vec<u32>; 2],
    /// Members below this index are covered by the walks or were added since.
    seen: u32,
}

/// The preparation passed to a command, and the memory it leaves to be dropped.
#[derive(Default)]
pub(in crate::core) struct Aside {
    pub prepared: Option<Preparation>,
    /// Replaced columns: drop them outside the lock, since freeing so much memory takes time.
    pub replaced: Kept,
}

impl Preparation {
    /// Applies `plan` to a copy of the network that [`State::copy_frozen_for_plan`] made. `None` if the plan
    /// would be refused, or might be later: an empty network accepts a plan whose placement it refuses once a
    /// member exists. O(members * log members) at most, in parallel.
    pub fn of_plan(mut copy: State, plan: &Plan) -> Option<Self> {
        if copy.is_empty() {
            return None;
        }
        copy.put_plan(plan, KINDS_MAX, &mut Aside::default()).ok()?;
        Some(Self { work: Work::Shadow(Box::new(copy)), ready_at: None })
    }

    /// Starts counting the deep levels of `member`.
    pub fn of_admin(state: &State, member: MemberIx) -> Self {
        Self { work: Work::Admin(Box::new(DeepLevels::new(state, member))), ready_at: None }
    }

    /// Catches up with the network by at most this many small steps. Returns whether nothing was left to do:
    /// then [`Preparation::complete`] may follow while the network stands still. O(steps), and O(downline)
    /// for each member that became an admin meanwhile.
    pub fn advance(&mut self, state: &State, steps: usize) -> bool {
        match &mut self.work {
            Work::Shadow(shadow) => shadow.follow(state, steps),
            Work::Admin(levels) => levels.advance(state, steps),
        }
    }

    /// The final step: copies the best-ever ranks, which are history and cannot be computed, from the
    /// network. From then on the preparation is valid for the next command only. A no-op if it has not caught
    /// up. O(members), a few milliseconds per million.
    pub fn complete(&mut self, state: &State) {
        if !self.advance(state, 0) {
            return;
        }
        match &mut self.work {
            // Another plan came between: this preparation is stale.
            Work::Shadow(shadow) if shadow.scalars.plan_version != state.scalars.plan_version + 1 => return,
            Work::Shadow(shadow) => shadow.members.take_lifetimes(&state.members),
            Work::Admin(_) => {}
        }
        self.ready_at = Some(state.scalars.lsn);
    }

    /// Whether `command` would use it as the next command.
    pub fn is_good_for<D: Directory>(&self, state: &State, directory: &D, command: &Command) -> bool {
        let is_of = match command {
            Command::PutPlan(plan) => self.is_of_plan(plan),
            Command::SetRole { member, role: Role::Admin } => {
                state.find(directory, member).is_some_and(|member| self.is_of_admin(member))
            }
            _ => false,
        };
        is_of && self.ready_at == Some(state.scalars.lsn)
    }

    fn is_of_plan(&self, plan: &Plan) -> bool {
        matches!(&self.work, Work::Shadow(shadow) if *shadow.scalars.plan == *plan)
    }

    fn is_of_admin(&self, member: MemberIx) -> bool {
        matches!(&self.work, Work::Admin(levels) if levels.member == member)
    }
}

impl State {
    /// The preparation that `command` is worth: if it would touch `from` members or more.
    pub fn preparation_for<D: Directory>(&self, directory: &D, command: &Command, from: u32) -> Option<Need> {
        match command {
            Command::PutPlan(plan) if from <= self.len() && self.touches_members(plan) => Some(Need::Plan),
            Command::SetRole { member, role: Role::Admin } => {
                let member = self.find(directory, member)?;
                let is_new = self.members.role(member) != Role::Admin;
                let large = |tree| self.tree(tree).downline(member).is_some_and(|downline| from <= downline);
                (is_new && self.counted_trees().any(large)).then_some(Need::Admin(member))
            }
            _ => None,
        }
    }

    /// As `State::copy_frozen`, for what [`Preparation::of_plan`] needs: without ledger, codes and keys.
    pub fn copy_frozen_for_plan(&self, copy: &mut FrozenCopy) -> CopyProgress {
        if self.view != View::Frozen {
            return CopyProgress::Lost;
        }
        let copy =
            copy.0.get_or_insert_with(|| Self::empty((*self.scalars.plan).clone(), self.scalars.code_key));
        let complete = self.scalars.copy_step(&mut copy.scalars)
            && self.members.copy_step(&mut copy.members)
            && self.placement.copy_step(&mut copy.placement)
            && self.sponsors.copy_step(&mut copy.sponsors)
            && self.slots.copy_step(&mut copy.slots)
            && self.admins.copy_step(&mut copy.admins);
        if complete { CopyProgress::Complete } else { CopyProgress::More }
    }

    /// Swaps in the prepared columns, if they were prepared for this plan and the state before it. O(1), plus
    /// the pages of a frozen view.
    pub(in crate::core) fn adopt_prepared_plan(&mut self, plan: &Plan, aside: &mut Aside) -> bool {
        let before = self.scalars.lsn - 1;
        let prepared =
            aside.prepared.take_if(|prepared| prepared.ready_at == Some(before) && prepared.is_of_plan(plan));
        let Some(Work::Shadow(mut shadow)) = prepared.map(|prepared| prepared.work) else { return false };
        debug_assert_eq!(shadow.len(), self.len());
        self.lose_view(&mut aside.replaced);
        std::mem::swap(&mut self.placement, &mut shadow.placement);
        std::mem::swap(&mut self.sponsors, &mut shadow.sponsors);
        self.members.swap_ranks(&mut shadow.members);
        std::mem::swap(&mut *self.admins, &mut *shadow.admins);
        std::mem::swap(&mut self.scalars.rank_distribution, &mut shadow.scalars.rank_distribution);
        aside.replaced.push(shadow);
        true
    }

    /// The deep levels of a new admin, if they were prepared for the state before this command.
    pub(in crate::core) fn take_prepared_levels(
        &self,
        member: MemberIx,
        aside: &mut Aside,
    ) -> Option<[Vec<u32>; 2]> {
        let before = self.scalars.lsn - 1;
        let prepared = aside
            .prepared
            .take_if(|prepared| prepared.ready_at == Some(before) && prepared.is_of_admin(member));
        match prepared?.work {
            Work::Admin(levels) => Some(levels.deep),
            Work::Shadow(_) => None,
        }
    }

    /// Adds to a shadow the members that joined `network` since, at most `steps`, then its admins. Returns
    /// whether the two now agree.
    fn follow(&mut self, network: &State, steps: usize) -> bool {
        for _ in 0..steps {
            if self.len() == network.len() {
                break;
            }
            self.take_in(network, MemberIx(self.len()));
        }
        if self.len() != network.len() {
            return false;
        }
        let differing = |one: &State, other: &State| -> Vec<MemberIx> {
            one.admins.keys().copied().filter(|admin| !other.admins.contains_key(admin)).collect()
        };
        for (members, role) in
            [(differing(self, network), Role::Member), (differing(network, self), Role::Admin)]
        {
            members.into_iter().for_each(|member| self.change_role(member, role, &mut Aside::default()));
        }
        true
    }

    /// Like a registration that pays nothing, at the member's place in the network.
    fn take_in(&mut self, network: &State, member: MemberIx) {
        let first = rank::first_rank(&self.scalars.plan.ranks);
        let members = &network.members;
        self.enter(
            members.flags(member),
            *members.id(member),
            members.joined_at(member),
            Ranks { paid_as: first, lifetime: first },
        );
        let place = network.placement.link(member);
        let spot = MemberIx::from_column(place.parent).map(|parent| (parent, place.slot));
        let sponsor = MemberIx::from_column(network.tree(Tree::Sponsor).link(member).parent);
        let mut reached = self.attach(member, sponsor, spot);
        if members.role(member) == Role::Admin {
            self.admins.insert(member, [Vec::new(), Vec::new()]);
        }
        self.count_for_admins(member, &mut reached);
        for receiver in reached {
            self.rerate(receiver);
        }
    }
}

impl DeepLevels {
    fn new(state: &State, member: MemberIx) -> Self {
        let seen = state.len();
        let walks = state
            .counted_trees()
            .map(|tree| (tree, state.tree(tree).preorder(member, member, seen)))
            .collect();
        Self { member, walks, deep: [Vec::new(), Vec::new()], seen }
    }

    fn advance(&mut self, state: &State, mut steps: usize) -> bool {
        if !self.walks.iter().map(|(tree, _)| *tree).eq(state.counted_trees()) {
            // A plan change started or stopped counting a tree.
            *self = Self::new(state, self.member);
        }
        let Self { member, walks, deep, seen } = self;
        for (tree, walk) in walks.iter_mut() {
            let genealogy = state.tree(*tree);
            let top = genealogy.link(*member).level;
            while let Some(below) = genealogy.preorder_next(walk, &mut steps) {
                add_deep(&mut deep[*tree as usize], genealogy.link(below).level - top);
            }
            if !walk.is_over() {
                return false;
            }
        }
        while 0 < steps && *seen < state.len() {
            for (tree, _) in walks.iter() {
                let genealogy = state.tree(*tree);
                let depth =
                    genealogy.link(MemberIx(*seen)).level.saturating_sub(genealogy.link(*member).level);
                if is_deep(depth) && genealogy.is_ancestor(*member, MemberIx(*seen)) {
                    add_deep(&mut deep[*tree as usize], depth);
                }
            }
            *seen += 1;
            steps -= 1;
        }
        *seen == state.len()
    }
}

fn is_deep(depth: u32) -> bool {
    (LEVELS_MAX + 1..=ADMIN_LEVELS_MAX).contains(&(depth as usize))
}

fn add_deep(deep: &mut Vec<u32>, depth: u32) {
    if is_deep(depth) {
        add_at(deep, depth as usize - LEVELS_MAX - 1);
    }
}
