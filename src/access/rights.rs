//! Roles and scopes: closed lists with names.

use std::fmt;

use strum::{EnumString, IntoStaticStr, VariantArray};

/// The kind of a principal. Unrelated to a member's role in the network.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
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
    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One permission of a service. The names are in key files and tokens: never rename them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[derive(EnumString, IntoStaticStr, VariantArray, strum::VariantNames)]
pub enum Scope {
    #[strum(serialize = "members:read")]
    MembersRead,
    #[strum(serialize = "members:register")]
    MembersRegister,
    #[strum(serialize = "members:manage")]
    MembersManage,
    #[strum(serialize = "bonuses:read")]
    BonusesRead,
    #[strum(serialize = "bonuses:trigger")]
    BonusesTrigger,
    #[strum(serialize = "bonuses:pay")]
    BonusesPay,
    #[strum(serialize = "network:read")]
    NetworkRead,
    #[strum(serialize = "plan:read")]
    PlanRead,
    #[strum(serialize = "plan:change")]
    PlanChange,
    #[strum(serialize = "events:read")]
    EventsRead,
    #[strum(serialize = "operations:read")]
    OperationsRead,
    #[strum(serialize = "operate")]
    Operate,
    #[strum(serialize = "metrics")]
    Metrics,
    #[strum(serialize = "orders:write")]
    OrdersWrite,
    #[strum(serialize = "finance")]
    Finance,
    /// Reads members, bonuses, orders, periods and the plan, and does nothing: for those who answer members.
    #[strum(serialize = "support")]
    Support,
}

impl Scope {
    /// The printed name.
    pub fn name(self) -> &'static str {
        self.into()
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

    /// Whether it has one of these.
    pub const fn has_one_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the order of [`Scope`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::VARIANTS.iter().copied().filter(move |scope| self.has(*scope))
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

const _: () = assert!(Scope::VARIANTS.len() <= u32::BITS as usize, "the set has a bit for each");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_sets_hold_what_they_were_given() {
        for role in Role::VARIANTS {
            assert_eq!(role.name().parse::<Role>(), Ok(*role));
        }
        for scope in Scope::VARIANTS.iter().copied() {
            assert_eq!(scope.name().parse::<Scope>(), Ok(scope));
            let only: Scopes = [scope].into_iter().collect();
            assert_eq!(only.iter().collect::<Vec<_>>(), [scope]);
        }
        assert!("Admin".parse::<Role>().is_err() && "".parse::<Scope>().is_err());
        assert!(
            Scopes::NONE.is_empty()
                && !Scopes::GATEWAY.has(Scope::PlanChange)
                && Scopes::GATEWAY.has(Scope::BonusesPay)
                && Scopes::GATEWAY.has_one_of(Scopes::NONE.with(Scope::PlanRead).with(Scope::Operate))
                && !Scopes::GATEWAY.has_one_of(Scopes::NONE.with(Scope::Operate))
        );
    }
}
