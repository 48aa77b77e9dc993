//! Roles and scopes: closed lists with names.

use std::fmt;

/// The kind of a principal. Unrelated to a member's role in the network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Reads itself and its own downline. Only tokens carry it.
    Member,
    /// A program: may do what its scopes allow.
    Service,
    /// Reads everything.
    Auditor,
    /// May do everything.
    Admin,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Member, Role::Service, Role::Auditor, Role::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Service => "service",
            Role::Auditor => "auditor",
            Role::Admin => "admin",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// One permission of a service. The names are in key files and tokens: never rename them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Scope {
    MembersRead,
    MembersRegister,
    MembersManage,
    BonusesRead,
    BonusesTrigger,
    BonusesPay,
    NetworkRead,
    PlanRead,
    PlanChange,
    EventsRead,
    OperationsRead,
    Operate,
    Metrics,
}

impl Scope {
    pub const ALL: [Scope; 13] = [
        Scope::MembersRead,
        Scope::MembersRegister,
        Scope::MembersManage,
        Scope::BonusesRead,
        Scope::BonusesTrigger,
        Scope::BonusesPay,
        Scope::NetworkRead,
        Scope::PlanRead,
        Scope::PlanChange,
        Scope::EventsRead,
        Scope::OperationsRead,
        Scope::Operate,
        Scope::Metrics,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Scope::MembersRead => "members:read",
            Scope::MembersRegister => "members:register",
            Scope::MembersManage => "members:manage",
            Scope::BonusesRead => "bonuses:read",
            Scope::BonusesTrigger => "bonuses:trigger",
            Scope::BonusesPay => "bonuses:pay",
            Scope::NetworkRead => "network:read",
            Scope::PlanRead => "plan:read",
            Scope::PlanChange => "plan:change",
            Scope::EventsRead => "events:read",
            Scope::OperationsRead => "operations:read",
            Scope::Operate => "operate",
            Scope::Metrics => "metrics",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    pub const NONE: Scopes = Scopes(0);

    /// What the original's gateway calls, and the default for a service key: members and bonuses, but not the
    /// status of members, the plan or the process.
    pub const GATEWAY: Scopes = Scopes::NONE
        .with(Scope::MembersRead)
        .with(Scope::MembersRegister)
        .with(Scope::BonusesRead)
        .with(Scope::BonusesTrigger)
        .with(Scope::BonusesPay)
        .with(Scope::NetworkRead)
        .with(Scope::PlanRead);

    /// Returns the set with one more scope.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | 1 << scope as u8)
    }

    pub const fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.iter().map(Scope::name)).finish()
    }
}

const _: () = assert!(Scope::ALL.len() <= u32::BITS as usize, "the set has a bit for each");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_sets_hold_what_they_were_given() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.name()), Some(role));
        }
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.name()), Some(scope));
            let only: Scopes = [scope].into_iter().collect();
            assert_eq!(only.iter().collect::<Vec<_>>(), [scope]);
        }
        assert_eq!((Role::from_name("Admin"), Scope::from_name("")), (None, None));
        assert!(
            Scopes::NONE.is_empty()
                && !Scopes::GATEWAY.has(Scope::PlanChange)
                && Scopes::GATEWAY.has(Scope::BonusesPay)
        );
    }
}
