//! Who may do what: one function, one table, deny by default.
//!
//! # What a member sees
//!
//! Itself, and everybody below it in the placement tree. A member's parent is its sponsor or below its
//! sponsor, so the sponsor downline lies inside the placement downline: a member sees everybody below it in
//! either tree. One query of the counted placement tree decides it ([`State::is_in_team`]), in the same steps
//! for every pair of members and for a member that does not exist: neither the answer nor the work behind it
//! reveals what is hidden. Visibility is closed downward: everybody below a visible member, in either tree,
//! is visible. A list of a downline therefore needs one query, for its top. What leads *up* is not closed:
//! uplines, sponsors and parents must be filtered with [`Sight::sees`], row by row, and `entries` decides
//! what is shown of the members a bonus names.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use strum::{FromRepr, VariantArray};

use super::{costs::Payer, identity};
use crate::{
    access::{Role, Scope, Scopes},
    engine::{Actor, ActorKind, Code, Directory, MemberId, MemberIx, RequestKey, Sent, State},
};

/// The principal that asks. In the extensions of every request that reaches a route.
#[derive(Clone, Debug)]
pub struct Principal {
    pub role: Role,
    /// The member that asks, for the role `member`.
    pub subject: Option<MemberId>,
    /// Its name: for logs and limits, never for decisions. Unique to each principal (see [`identity`]).
    pub name: Arc<str>,
    /// Whose idempotency keys it sends: its name, but service keys of one name and role are one client, so
    /// that a request repeated under a new key is recognized.
    pub client: Arc<str>,
    /// What a service may do; unused by other roles.
    pub scopes: Scopes,
    /// What it was recognized by.
    pub credential: Credential,
    /// The sender as logged.
    actor: Actor,
    /// The client address, as far as the gate knows it.
    address: Option<IpAddr>,
    /// Who pays for its work.
    pub payer: Payer,
    /// The only actions that the route's handler may ask for, by the route table; `None` where the edge asks.
    asked: Option<&'static [Action]>,
    /// The table's last verdict on this request. An answer without a verdict is a hole, which the service
    /// closes.
    verdict: Arc<AtomicU8>,
}

/// What a principal was recognized by, as far as it can end while its request is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credential {
    /// Nothing: none was required.
    None,
    /// The service key with this id.
    Key(Arc<str>),
    /// A token that is good before this time, in seconds since 1970.
    Token { until: i64 },
}

impl Principal {
    pub fn new(role: Role, subject: Option<MemberId>, name: impl Into<Arc<str>>, scopes: Scopes) -> Self {
        let name = name.into();
        let kind = match role {
            Role::Member => ActorKind::Member,
            Role::Service => ActorKind::Service,
            Role::Auditor => ActorKind::Auditor,
            Role::Admin => ActorKind::Admin,
        };
        let (actor, payer) = (Actor::shared(kind, &name), Payer::default());
        let verdict = Arc::new(AtomicU8::new(Verdict::NotAsked as u8));
        let client = Arc::clone(&name);
        Self {
            role,
            subject,
            name,
            client,
            scopes,
            credential: Credential::None,
            actor,
            address: None,
            payer,
            asked: None,
            verdict,
        }
    }

    /// The same, with another [`Principal::client`].
    #[must_use]
    pub fn as_client(self, client: Arc<str>) -> Self {
        Self { client, ..self }
    }

    /// The same, recognized by this.
    #[must_use]
    pub fn by(self, credential: Credential) -> Self {
        Self { credential, ..self }
    }

    /// Everybody, where authorization is off.
    pub fn anonymous() -> Self {
        Self {
            actor: Actor::new(ActorKind::Anonymous, ""),
            ..Self::new(Role::Admin, None, identity::ANONYMOUS, Scopes::NONE)
        }
    }

    /// The same principal, sending from this address. In the log, the address stands for a sender without
    /// credentials.
    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        let actor = match self.actor.kind() {
            ActorKind::Anonymous => Actor::new(ActorKind::Anonymous, &address.to_string()),
            _ => self.actor,
        };
        Self { actor, address: Some(address), ..self }
    }

    /// The sender of this request's commands, as logged.
    pub fn actor(&self) -> Actor {
        self.actor.clone()
    }

    /// The client address.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What accompanies a command of this request.
    pub fn sends(&self, key: Option<RequestKey>) -> Sent {
        Sent { actor: self.actor(), key }
    }

    /// Whether this is the anonymous principal, where authorization is off.
    pub fn is_anonymous(&self) -> bool {
        self.actor.kind() == ActorKind::Anonymous
    }

    /// A client without credentials, on a route that is open to all: it may do nothing else.
    pub fn nobody() -> Self {
        Self::new(Role::Service, None, identity::NOBODY, Scopes::NONE)
    }

    /// The same principal, with a payer for its work.
    #[must_use]
    pub fn paid_by(mut self, payer: Payer) -> Self {
        self.payer = payer;
        self
    }

    /// The same principal, on a route whose handler asks for these actions and no others.
    #[must_use]
    pub fn asked_for(self, asked: Option<&'static [Action]>) -> Self {
        Self { asked, ..self }
    }

    /// The table's last verdict on this request.
    pub fn verdict(&self) -> Verdict {
        Verdict::from_repr(self.verdict.load(Ordering::Relaxed)).expect("only verdicts are stored")
    }

    /// For answers that everybody may read: there is nothing to ask.
    pub fn answers_everybody(&self) {
        self.note(Verdict::Allowed);
    }

    fn note(&self, verdict: Verdict) {
        self.verdict.store(verdict as u8, Ordering::Relaxed);
    }

    /// The principal's view of a network. O(1).
    pub fn sight<D: Directory>(&self, state: &State, directory: &D) -> Sight {
        match self.role {
            Role::Service | Role::Auditor | Role::Admin => Sight::All,
            Role::Member => self
                .subject
                .and_then(|subject| state.find(directory, &subject))
                .map_or(Sight::Nothing, Sight::Downline),
        }
    }
}

/// The outcome of authorization for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, FromRepr)]
#[repr(u8)]
pub enum Verdict {
    NotAsked = 0,
    Allowed = 1,
    Unseen = 2,
    Forbidden = 3,
}

impl Verdict {
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
    /// The team of this member: itself and everybody below it, in either tree.
    Downline(MemberIx),
    Nothing,
}

impl Sight {
    /// Whether a member is visible. O(log n) at any depth and under every plan; the same steps for every
    /// member.
    pub fn sees(self, state: &State, member: MemberIx) -> bool {
        match self {
            Sight::All => true,
            Sight::Nothing => false,
            Sight::Downline(top) => state.is_in_team(top, member),
        }
    }
}

/// Actions that can be asked for. Closed: a new one must have its row in [`Action::rule`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, VariantArray)]
pub enum Action {
    /// Record, uplines, downlines, levels, rank, tree, placement preview of one member.
    ReadMember,
    /// Bonuses, reports and explanations of one member or of one bonus.
    ReadBonuses,
    /// Data about all members at once: lists of the whole network, search, rank distribution.
    ReadNetwork,
    RegisterMember,
    /// Status, role and attributes of a member.
    ManageMember,
    TriggerBonus,
    /// Mark bonuses paid.
    PayBonus,
    ReadPlan,
    /// Also the dry run of a plan.
    ChangePlan,
    /// Figures of the process and digests of the network.
    ReadOperations,
    /// Snapshots, recomputation, accepting a clock that jumped, test data.
    Operate,
    ReadEvents,
    ReadMetrics,
    /// Who sent which command.
    ReadAudit,
    /// Place and refund orders.
    WriteOrders,
    /// Calendars, periods, their totals and runs.
    ReadPeriods,
    RunPeriod,
    /// Lock, unlock, approve and post a period.
    StepPeriod,
}

/// One row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    /// A member may, for targets that it sees.
    pub member: bool,
    /// A service with one of these scopes may.
    pub scopes: Scopes,
    /// An auditor may.
    pub auditor: bool,
}

impl Action {
    /// The table. Admins may do everything, so they have no column.
    pub fn rule(self) -> Rule {
        const fn rule(member: bool, scopes: &[Scope], auditor: bool) -> Rule {
            let (mut all, mut at) = (Scopes::NONE, 0);
            while at < scopes.len() {
                all = all.with(scopes[at]);
                at += 1;
            }
            Rule { member, scopes: all, auditor }
        }
        match self {
            Action::ReadMember => rule(true, &[Scope::MembersRead, Scope::Support], true),
            Action::ReadBonuses => rule(true, &[Scope::BonusesRead, Scope::Support], true),
            Action::ReadNetwork => rule(false, &[Scope::NetworkRead, Scope::Support], true),
            Action::RegisterMember => rule(false, &[Scope::MembersRegister], false),
            Action::ManageMember => rule(false, &[Scope::MembersManage], false),
            Action::TriggerBonus => rule(false, &[Scope::BonusesTrigger], false),
            Action::PayBonus => rule(false, &[Scope::BonusesPay], false),
            Action::ReadPlan => rule(false, &[Scope::PlanRead, Scope::Support], true),
            Action::ChangePlan => rule(false, &[Scope::PlanChange], false),
            Action::ReadOperations => rule(false, &[Scope::OperationsRead], true),
            Action::Operate => rule(false, &[Scope::Operate], false),
            Action::ReadEvents => rule(false, &[Scope::EventsRead], true),
            Action::ReadMetrics => rule(false, &[Scope::Metrics], true),
            Action::ReadAudit => rule(false, &[], true),
            Action::WriteOrders => rule(false, &[Scope::OrdersWrite], false),
            Action::ReadPeriods => rule(false, &[Scope::Finance, Scope::Support], true),
            Action::RunPeriod => rule(false, &[Scope::Finance], false),
            Action::StepPeriod => rule(false, &[], false),
        }
    }
}

/// The object of an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The whole network, or nothing in it.
    Network,
    Member(MemberIx),
    /// A bonus entry: it belongs to its receiver.
    Entry(u64),
    /// An order, by number: it belongs to each member that it is credited to.
    Order(u32),
    /// The named target does not exist. It is checked all the same: to a member it looks like a hidden
    /// target. The check asks about a stand-in member (none in an empty network), so that the answer takes as
    /// long.
    Unknown {
        stand_in: Option<MemberIx>,
    },
}

impl Target {
    /// The member with an id.
    pub fn member<D: Directory>(state: &State, directory: &D, id: &MemberId) -> Self {
        state
            .find_or_stand_in(directory, id)
            .map_or_else(|stand_in| Target::Unknown { stand_in }, Target::Member)
    }

    /// The member with a referral code, if there is one.
    pub fn by_code(state: &State, found: Option<MemberIx>, code: &Code) -> Self {
        let number = || u128::from(xxhash_rust::xxh3::xxh3_64(code.folded().as_bytes()));
        let unknown = || Target::Unknown { stand_in: state.stand_in(number()) };
        found.map_or_else(unknown, Target::Member)
    }

    /// The entry whose id `uuid` was parsed as: an index, which may be out of range, or nothing.
    pub fn entry(state: &State, uuid: [u8; 16], index: Option<u64>) -> Self {
        if let Some(index) = index.filter(|index| *index < state.entries()) {
            return Target::Entry(index);
        }
        let number = u128::from_le_bytes(uuid);
        let entry = number
            .checked_rem(u128::from(state.entries()))
            .map(|index| u64::try_from(index).expect("below the number of entries"));
        Target::Unknown {
            stand_in: entry.map_or_else(|| state.stand_in(number), |entry| Some(state.entry(entry).receiver)),
        }
    }

    /// An order that does not exist, with this id.
    pub fn order_unknown(state: &State, id: &str) -> Self {
        let number = u128::from(xxhash_rust::xxh3::xxh3_64(id.as_bytes()));
        Target::Unknown { stand_in: state.stand_in(number) }
    }

    /// The member that was found.
    pub fn found_member(self) -> Option<MemberIx> {
        match self {
            Target::Member(member) => Some(member),
            Target::Network | Target::Entry(_) | Target::Order(_) | Target::Unknown { .. } => None,
        }
    }
}

/// Why an action is denied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// 404, as if the target did not exist.
    #[error("the target does not exist, or is not visible to this principal")]
    Unseen,
    /// 403.
    #[error("this principal may not do this")]
    Forbidden,
}

/// The one decision. `Ok` for [`Target::Unknown`] means that the principal may know that nothing exists
/// there.
///
/// O(1) but for members, O(log n), in the same steps whether the target is visible, hidden or missing.
///
/// # Errors
/// See [`Denied`].
pub fn authorize<D: Directory>(
    principal: &Principal,
    action: Action,
    target: Target,
    state: &State,
    directory: &D,
) -> Result<(), Denied> {
    let decision = may(principal, action).and_then(|()| match principal.role {
        Role::Member => sees(principal, target, state, directory),
        Role::Service | Role::Auditor | Role::Admin => Ok(()),
    });
    principal.note(Verdict::of(decision));
    decision
}

/// Whether a principal may do this at all, whatever the target: for routes that need no state. Uses the same
/// table as [`authorize`].
///
/// # Errors
/// `Forbidden`.
pub fn permit(principal: &Principal, action: Action) -> Result<(), Denied> {
    let decision = may(principal, action);
    principal.note(Verdict::of(decision));
    decision
}

/// Whether a principal may do none of these actions, whatever the target: it is refused before its input is
/// checked.
pub fn may_none(principal: &Principal, actions: &[Action]) -> bool {
    let may_none = actions.iter().all(|action| may(principal, *action).is_err());
    if may_none {
        principal.note(Verdict::Forbidden);
    }
    may_none
}

fn may(principal: &Principal, action: Action) -> Result<(), Denied> {
    if principal.asked.is_some_and(|asked| !asked.contains(&action)) {
        tracing::error!(?action, "a route asks for an action that its row in the table does not name");
        return Err(Denied::Forbidden);
    }
    let rule = action.rule();
    let may = match principal.role {
        Role::Member => rule.member && principal.subject.is_some(),
        Role::Service => principal.scopes.has_one_of(rule.scopes),
        Role::Auditor => rule.auditor,
        Role::Admin => true,
    };
    if may { Ok(()) } else { Err(Denied::Forbidden) }
}

fn sees<D: Directory>(
    principal: &Principal,
    target: Target,
    state: &State,
    directory: &D,
) -> Result<(), Denied> {
    let sight = principal.sight(state, directory);
    let (member, is_there) = match target {
        Target::Order(order) => {
            let mut credited = state.credited(order);
            let is_seen = credited.any(|member| sight.sees(state, member));
            return if is_seen { Ok(()) } else { Err(Denied::Unseen) };
        }
        Target::Member(member) => (Some(member), true),
        Target::Entry(entry) => ((entry < state.entries()).then(|| state.entry(entry).receiver), true),
        Target::Unknown { stand_in } => (stand_in, false),
        // No rule for members covers more than one member.
        Target::Network => return Err(Denied::Forbidden),
    };
    // Asked before checking whether the target exists at all: a stand-in costs what a member costs.
    let is_seen = member.is_some_and(|member| sight.sees(state, member));
    if is_seen & is_there { Ok(()) } else { Err(Denied::Unseen) }
}

#[cfg(test)]
#[path = "policy_test.rs"]
mod tests;
