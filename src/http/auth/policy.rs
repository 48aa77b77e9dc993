//! Who may do what: one function, one table, deny by default.
//!
//! # What a member sees
//!
//! Itself, and whoever is below it in the sponsor tree or in the placement tree. A member's parent is its sponsor or below its sponsor, so
//! the sponsor downline lies inside the placement downline; both are asked all the same, so that nothing rests on that. What is seen is closed: whoever
//! is below a member that is seen, in either tree, is seen. A list of a downline therefore needs one question, for its top, and one
//! member is not there in one tree and missing in the other. What leads *up* is not closed: uplines, sponsors and parents must be cut
//! with [`Sight::sees`], row by row.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use super::costs::Payer;
use crate::{
    access::{Role, Scope, Scopes},
    engine::{Directory, MemberId, MemberIx, State, Tree},
};

/// Who asks. In the extensions of every request that reaches a route.
#[derive(Clone, Debug)]
pub struct Principal {
    pub role: Role,
    /// The member that asks, for the role `member`.
    pub subject: Option<MemberId>,
    /// Id of the key, subject of the token, `anonymous` or `nobody`: for logs and rate limits, never for decisions.
    pub name: Arc<str>,
    /// What a service may do; the other roles do not look at it.
    pub scopes: Scopes,
    /// Who pays for its work.
    pub payer: Payer,
    /// What the table last said about this request. An answer without its word is a hole, which the service closes.
    verdict: Arc<AtomicU8>,
}

impl Principal {
    pub fn new(role: Role, subject: Option<MemberId>, name: impl Into<Arc<str>>, scopes: Scopes) -> Self {
        Self {
            role,
            subject,
            name: name.into(),
            scopes,
            payer: Payer::default(),
            verdict: Arc::new(AtomicU8::new(Verdict::NotAsked as u8)),
        }
    }

    /// Everybody, where authorization is off.
    pub fn anonymous() -> Self {
        Self::new(Role::Admin, None, "anonymous", Scopes::NONE)
    }

    /// Who has not said who it is, on a route that is open to all: may do nothing else.
    pub fn nobody() -> Self {
        Self::new(Role::Service, None, "nobody", Scopes::NONE)
    }

    /// The same, with somebody who pays for its work.
    #[must_use]
    pub fn paid_by(mut self, payer: Payer) -> Self {
        self.payer = payer;
        self
    }

    /// What the table last said about this request.
    pub fn verdict(&self) -> Verdict {
        let code = self.verdict.load(Ordering::Relaxed);
        Verdict::ALL.into_iter().find(|verdict| *verdict as u8 == code).expect("only verdicts are stored")
    }

    /// For answers that are everybody's: there is nothing to ask.
    pub fn answers_everybody(&self) {
        self.note(Verdict::Allowed);
    }

    fn note(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Relaxed);
    }

    /// What this principal sees of a network. O(1).
    pub fn sight<D: Directory>(&self, state: &State, directory: &D) -> Sight {
        match self.role {
            Role::Service | Role::Auditor | Role::Admin => Sight::All,
            Role::Member => self.subject.and_then(|subject| state.find(directory, &subject)).map_or(Sight::Nothing, Sight::Downline),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Verdict {
    NotAsked = 0,
    Allowed = 1,
    Unseen = 2,
    Forbidden = 3,
}

impl Verdict {
    const ALL: [Verdict; 4] = [Verdict::NotAsked, Verdict::Allowed, Verdict::Unseen, Verdict::Forbidden];

    fn of(decision: Result<(), Denied>) -> Self {
        match decision {
            Ok(()) => Verdict::Allowed,
            Err(Denied::Unseen) => Verdict::Unseen,
            Err(Denied::Forbidden) => Verdict::Forbidden,
        }
    }
}

/// What a principal sees: found once per request, asked once per row where rows lead out of a downline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sight {
    All,
    /// This member and whoever is below it, in either tree.
    Downline(MemberIx),
    Nothing,
}

impl Sight {
    /// Whether a member is seen. O(log n) at any depth.
    pub fn sees(self, state: &State, member: MemberIx) -> bool {
        match self {
            Sight::All => true,
            Sight::Nothing => false,
            Sight::Downline(top) => {
                let below = |tree| state.distance(tree, top, member).is_some();
                top == member || below(Tree::Placement) || below(Tree::Sponsor)
            }
        }
    }
}

/// What can be asked for. Closed: a new one must find its row in [`Action::rule`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Record, uplines, downlines, levels, rank, tree, placement preview of one member.
    ReadMember,
    /// Bonuses, reports and explanations of one member or of one bonus.
    ReadBonuses,
    /// What is about all members at once: lists of the whole network, search, rank distribution.
    ReadNetwork,
    RegisterMember,
    /// Status and role of a member.
    ManageMember,
    TriggerBonus,
    /// Mark bonuses paid.
    PayBonus,
    ReadPlan,
    /// Also the dry run of a plan.
    ChangePlan,
    /// Figures of the process and digests of the network.
    ReadOperations,
    /// Snapshots, recomputation, test data.
    Operate,
    ReadEvents,
    ReadMetrics,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// A member may, for targets that it sees.
    pub member: bool,
    /// A service may, with this scope.
    pub scope: Scope,
    /// An auditor may.
    pub auditor: bool,
}

impl Action {
    pub const ALL: [Action; 13] = [
        Action::ReadMember,
        Action::ReadBonuses,
        Action::ReadNetwork,
        Action::RegisterMember,
        Action::ManageMember,
        Action::TriggerBonus,
        Action::PayBonus,
        Action::ReadPlan,
        Action::ChangePlan,
        Action::ReadOperations,
        Action::Operate,
        Action::ReadEvents,
        Action::ReadMetrics,
    ];

    /// The table. Admins may do everything, so they have no column.
    pub fn rule(self) -> Rule {
        let rule = |member, scope, auditor| Rule { member, scope, auditor };
        match self {
            Action::ReadMember => rule(true, Scope::MembersRead, true),
            Action::ReadBonuses => rule(true, Scope::BonusesRead, true),
            Action::ReadNetwork => rule(false, Scope::NetworkRead, true),
            Action::RegisterMember => rule(false, Scope::MembersRegister, false),
            Action::ManageMember => rule(false, Scope::MembersManage, false),
            Action::TriggerBonus => rule(false, Scope::BonusesTrigger, false),
            Action::PayBonus => rule(false, Scope::BonusesPay, false),
            Action::ReadPlan => rule(false, Scope::PlanRead, true),
            Action::ChangePlan => rule(false, Scope::PlanChange, false),
            Action::ReadOperations => rule(false, Scope::OperationsRead, true),
            Action::Operate => rule(false, Scope::Operate, false),
            Action::ReadEvents => rule(false, Scope::EventsRead, true),
            Action::ReadMetrics => rule(false, Scope::Metrics, true),
        }
    }
}

/// What an action is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// All of the network, or nothing in it.
    Network,
    Member(MemberIx),
    /// A bonus entry: it is its receiver's.
    Entry(u64),
    /// What was named is not there. Ask all the same: to a member it looks like what is hidden from it.
    Unknown,
}

impl Target {
    /// A member that was looked up.
    pub fn found(member: Option<MemberIx>) -> Self {
        member.map_or(Target::Unknown, Target::Member)
    }
}

/// Why not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// 404, as if the target did not exist.
    #[error("there is no such thing, as far as this principal can see")]
    Unseen,
    /// 403.
    #[error("this principal may not do this")]
    Forbidden,
}

/// The one decision. `Ok` for [`Target::Unknown`] means that the principal may know that there is nothing.
///
/// O(1) but for members, O(log n).
///
/// # Errors
/// See [`Denied`].
pub fn authorize<D: Directory>(principal: &Principal, action: Action, target: Target, state: &State, directory: &D) -> Result<(), Denied> {
    let decision = may(principal, action).and_then(|()| match principal.role {
        Role::Member => sees(principal, target, state, directory),
        Role::Service | Role::Auditor | Role::Admin => Ok(()),
    });
    principal.note(Verdict::of(decision));
    decision
}

/// Whether a principal may do this at all, whatever the target: for routes that need no state. [`authorize`] asks the same table.
///
/// # Errors
/// `Forbidden`.
pub fn permit(principal: &Principal, action: Action) -> Result<(), Denied> {
    let decision = may(principal, action);
    principal.note(Verdict::of(decision));
    decision
}

fn may(principal: &Principal, action: Action) -> Result<(), Denied> {
    let rule = action.rule();
    let may = match principal.role {
        Role::Member => rule.member && principal.subject.is_some(),
        Role::Service => principal.scopes.has(rule.scope),
        Role::Auditor => rule.auditor,
        Role::Admin => true,
    };
    if may { Ok(()) } else { Err(Denied::Forbidden) }
}

fn sees<D: Directory>(principal: &Principal, target: Target, state: &State, directory: &D) -> Result<(), Denied> {
    let member = match target {
        Target::Member(member) => Some(member),
        Target::Entry(entry) => (entry < state.entries()).then(|| state.entry(entry).receiver),
        Target::Unknown => None,
        // No rule of a member is about more than one member.
        Target::Network => return Err(Denied::Forbidden),
    };
    let sight = principal.sight(state, directory);
    member.filter(|member| sight.sees(state, *member)).map(|_| ()).ok_or(Denied::Unseen)
}

#[cfg(test)]
#[path = "policy_test.rs"]
mod tests;
