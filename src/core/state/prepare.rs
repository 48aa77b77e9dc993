//! Preparations: results that are computed ahead of their command.
//!
//! A plan change may re-rate all members or count a whole tree, a new admin's downline has to be counted, and
//! a seal leaves most orders out. None of them may stall signups and readers, so it is done ahead: a
//! [`Preparation`] starts from a frozen view or from the network itself and catches up with later changes in
//! short steps ([`Preparation::advance`]); [`State::apply_prepared`] then takes its result instead of
//! computing it.
//!
//! A preparation is only a cache. Its result is identified by a digest of the command and of all that the
//! computation read ([`ResultId`]). It is used only where the command that is applied would have the result
//! with the same digest; otherwise, in a replay for example, the command computes. Digests of a state and
//! images do not include it.
//!
//! # Adding a kind
//!
//! [`Kind::of`] names the commands whose results can be computed ahead, [`Work`] has the computations, and
//! [`Ahead`] is what each of these must do. All matches over the latter two are exhaustive.

use crate::core::{
    orders::sealing::Remaining,
    plan::Plan,
    requests::command::{Command, SealPeriod},
    state::{
        ahead::{Ahead, ResultId},
        parts::State,
        prepare_admin::{self, DeepLevels},
        prepare_plan::{self, Shadow},
        prepare_seal::{self, Unsealed},
    },
    store::{freeing::Freeing, view_parts::Parts},
    words::{
        directory::Directory,
        types::{MemberId, MemberIx, Role},
    },
};

/// How the preparation that a command is worth begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// On a copy of these parts of a frozen view: [`Preparation::on_copy`].
    Copy(Parts),
    /// On the network itself, in short steps: [`Preparation::on_network`].
    Network,
}

/// A result computed ahead for a command. See the module documentation.
pub struct Preparation {
    work: Work,
    /// What its result is the result of, once complete.
    complete: Option<ResultId>,
}

/// A computation.
pub(in crate::core) enum Work {
    Plan(Box<Shadow>),
    Admin(Box<DeepLevels>),
    Seal(Box<Unsealed>),
}

/// What is passed to a command besides itself, and the memory that it leaves to be dropped.
pub(in crate::core) struct Aside {
    /// The result of this command, computed ahead.
    pub prepared: Option<Work>,
    /// Replaced columns: drop them outside the lock, since freeing so much memory takes time.
    pub replaced: Freeing,
}

impl Default for Aside {
    fn default() -> Self {
        Self { prepared: None, replaced: Freeing::new() }
    }
}

/// A command whose result can be computed ahead.
enum Kind<'a> {
    Plan(&'a Plan),
    Admin(&'a MemberId),
    Seal(&'a SealPeriod),
}

impl<'a> Kind<'a> {
    fn of(command: &'a Command) -> Option<Self> {
        match command {
            Command::PutPlan(plan) => Some(Self::Plan(plan)),
            Command::SetRole { member, role: Role::Admin } => Some(Self::Admin(member)),
            Command::SealPeriod(seal) => Some(Self::Seal(seal)),
            _ => None,
        }
    }
}

impl Work {
    fn ahead(&self) -> &dyn Ahead {
        match self {
            Work::Plan(shadow) => &**shadow,
            Work::Admin(levels) => &**levels,
            Work::Seal(unsealed) => &**unsealed,
        }
    }

    fn ahead_mut(&mut self) -> &mut dyn Ahead {
        match self {
            Work::Plan(shadow) => &mut **shadow,
            Work::Admin(levels) => &mut **levels,
            Work::Seal(unsealed) => &mut **unsealed,
        }
    }
}

impl Preparation {
    /// Whether the result of `command` can be computed ahead, so that it may be long to compute. O(1).
    pub fn is_possible(command: &Command) -> bool {
        Kind::of(command).is_some()
    }

    /// Begins on a copy of the parts that [`Need::Copy`] named. `None` if the command needs none, would be
    /// refused, or might be later. For a plan O(members * log members) at most, in parallel; for a seal
    /// O(orders).
    pub fn on_copy(copy: State, command: &Command) -> Option<Self> {
        let work = match Kind::of(command)? {
            Kind::Plan(plan) => Work::Plan(Box::new(Shadow::new(copy, plan)?)),
            Kind::Seal(seal) => Work::Seal(Box::new(Unsealed::new(&copy, seal)?)),
            Kind::Admin(_) => return None,
        };
        Some(Self { work, complete: None })
    }

    /// Begins on the network itself. `None` if the command needs a copy, or its member does not exist. O(1).
    pub fn on_network<D: Directory>(state: &State, directory: &D, command: &Command) -> Option<Self> {
        let work = match Kind::of(command)? {
            Kind::Admin(member) => {
                Work::Admin(Box::new(DeepLevels::new(state, state.find(directory, member)?)))
            }
            Kind::Plan(_) | Kind::Seal(_) => return None,
        };
        Some(Self { work, complete: None })
    }

    /// Catches up with the network by at most this many small steps. Returns whether nothing was left to do:
    /// then [`Preparation::complete`] may follow while the network stands still. O(steps), and O(downline)
    /// for each member that became an admin meanwhile.
    pub fn advance(&mut self, state: &State, steps: usize) -> bool {
        self.work.ahead_mut().advance(state, steps)
    }

    /// The final step. From then on the preparation is valid while nothing changes that it read. A no-op if
    /// it has not caught up. O(members) for a plan, a few milliseconds per million.
    pub fn complete(&mut self, state: &State) {
        if self.advance(state, 0) && self.work.ahead_mut().complete(state) {
            self.complete = Some(self.work.ahead().id(state));
        }
    }

    /// Whether `command` would use it as the next command. O(1).
    pub fn is_good_for<D: Directory>(&self, state: &State, directory: &D, command: &Command) -> bool {
        self.complete.is_some() && self.complete == state.result_of(directory, command)
    }

    pub(in crate::core) fn into_work(self) -> Work {
        self.work
    }
}

impl State {
    /// The preparation that `command` is worth: if it would touch `from` members, or
    /// look at as many orders, or more.
    pub fn preparation_for<D: Directory>(&self, directory: &D, command: &Command, from: u32) -> Option<Need> {
        match Kind::of(command)? {
            Kind::Plan(plan) => {
                let is_worth_it = from <= self.len() && self.touches_members(plan);
                is_worth_it.then_some(Need::Copy(Shadow::READS))
            }
            Kind::Admin(member) => {
                let member = self.find(directory, member)?;
                let is_new = self.network.members().role(member) != Role::Admin;
                let large = |tree| self.tree(tree).downline(member).is_some_and(|downline| from <= downline);
                (is_new && self.network.counted_trees().any(large)).then_some(Need::Network)
            }
            Kind::Seal(_) => (from <= self.orders_len()).then_some(Need::Copy(Unsealed::READS)),
        }
    }

    /// The result that `command` would have as the next command, if it can be computed ahead.
    fn result_of<D: Directory>(&self, directory: &D, command: &Command) -> Option<ResultId> {
        match Kind::of(command)? {
            Kind::Plan(plan) => Some(prepare_plan::result(self, plan)),
            Kind::Admin(member) => Some(prepare_admin::result(self, self.find(directory, member)?)),
            Kind::Seal(seal) => Some(prepare_seal::result(self, seal)),
        }
    }

    /// Swaps in the prepared columns, if there are any. O(1), plus the pages of frozen views.
    pub(in crate::core) fn adopt_prepared_plan(&mut self, aside: &mut Aside) -> bool {
        let Some(Work::Plan(shadow)) = aside.prepared.take_if(|work| matches!(work, Work::Plan(_))) else {
            return false;
        };
        shadow.swap_into(self, &mut aside.replaced);
        true
    }

    /// The lists without the orders of a seal, if they were prepared.
    pub(in crate::core) fn take_prepared_seal(aside: &mut Aside) -> Option<Box<Remaining>> {
        match aside.prepared.take_if(|work| matches!(work, Work::Seal(_)))? {
            Work::Seal(unsealed) => Some(unsealed.into_remaining()),
            Work::Plan(_) | Work::Admin(_) => None,
        }
    }

    /// The deep levels of a new admin, if they were prepared.
    pub(in crate::core) fn take_prepared_levels(
        member: MemberIx,
        aside: &mut Aside,
    ) -> Option<[Vec<u32>; 2]> {
        let is_of = |work: &mut Work| matches!(work, Work::Admin(levels) if levels.is_of(member));
        match aside.prepared.take_if(is_of)? {
            Work::Admin(levels) => Some(levels.into_deep()),
            Work::Plan(_) | Work::Seal(_) => None,
        }
    }
}
