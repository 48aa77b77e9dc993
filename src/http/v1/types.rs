//! Types that several routes of `/v1` share, as they are on the wire.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

pub use crate::plan_document::TreeName;
use crate::{
    engine::{EntryStatus, MemberId, MemberIx, Money, Plan, State, Timestamp},
    time_text::{self, TimeFault},
};

/// `tree` of a query that has nothing else.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TreeQuery {
    /// Which genealogy.
    #[serde(default)]
    #[param(inline, default = "placement")]
    pub tree: TreeName,
}

/// Member status, as in the network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// Keeps slot and counts, cannot sponsor, earns nothing; may become active again.
    Inactive,
    /// As inactive, for good.
    Terminated,
}

impl From<crate::engine::Status> for Status {
    fn from(status: crate::engine::Status) -> Self {
        match status {
            crate::engine::Status::Active => Status::Active,
            crate::engine::Status::Inactive => Status::Inactive,
            crate::engine::Status::Terminated => Status::Terminated,
        }
    }
}

impl From<Status> for crate::engine::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Active => crate::engine::Status::Active,
            Status::Inactive => crate::engine::Status::Inactive,
            Status::Terminated => crate::engine::Status::Terminated,
        }
    }
}

/// Role inside the network: admins are counted and paid beyond the level cap. Not an access right.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    #[default]
    Member,
    Admin,
}

impl From<crate::engine::Role> for Role {
    fn from(role: crate::engine::Role) -> Self {
        match role {
            crate::engine::Role::Member => Role::Member,
            crate::engine::Role::Admin => Role::Admin,
        }
    }
}

impl From<Role> for crate::engine::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => crate::engine::Role::Member,
            Role::Admin => crate::engine::Role::Admin,
        }
    }
}

/// An amount of money: an integer of minor units (cents, for an exponent of 2). Never a floating-point
/// number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ToSchema)]
#[schema(example = json!({ "minor": 1050, "currency": "USD", "exponent": 2 }))]
pub struct Amount {
    /// Minor units.
    #[schema(minimum = -10_000_000_000_000_i64, maximum = 10_000_000_000_000_i64)]
    pub minor: i64,
    /// ISO 4217, or XXX for none: the plan's currency.
    #[schema(value_type = String, min_length = 3, max_length = 3)]
    pub currency: CurrencyCode,
    /// Decimal digits of the minor unit.
    #[schema(maximum = 8)]
    pub exponent: u8,
}

/// Three capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CurrencyCode([u8; 3]);

impl CurrencyCode {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Self {
        Self(plan.currency.code)
    }
}

impl Serialize for CurrencyCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .serialize_str(std::str::from_utf8(&self.0).expect("plans have capital letters as currency"))
    }
}

impl Amount {
    /// The amount in the currency of a plan.
    pub fn new(money: Money, plan: &Plan) -> Self {
        Self { minor: money.0, currency: CurrencyCode::of(plan), exponent: plan.currency.exponent }
    }
}

/// A point in time: RFC 3339, UTC, microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        time_text::with(self.0, |text| serializer.serialize_str(text))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Time {
    type Err = TimeFault;

    fn from_str(text: &str) -> Result<Self, TimeFault> {
        time_text::exact(text).map(Self)
    }
}

impl utoipa::PartialSchema for Time {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        let description = Some(
            "RFC 3339 of the years 1970 to 9999; in place of an offset, or with it, the name of a zone as \
             RFC 9557 writes it. Answers are in UTC with microseconds",
        );
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).description(description).into()
    }
}

impl ToSchema for Time {}

/// A member's external UUID.
pub fn user_id(state: &State, member: MemberIx) -> Uuid {
    Uuid::from_bytes(state.id(member).0)
}

pub fn member_id(id: Uuid) -> MemberId {
    MemberId(id.into_bytes())
}

/// Status of a bonus.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BonusStatus {
    /// Owed: the next payout takes it.
    Pending,
    Paid,
    /// Owed, but no payout takes it until it is released.
    Held,
    /// Never to be paid.
    Void,
}

impl From<EntryStatus> for BonusStatus {
    fn from(status: EntryStatus) -> Self {
        match status {
            EntryStatus::Pending => BonusStatus::Pending,
            EntryStatus::Paid => BonusStatus::Paid,
            EntryStatus::Held => BonusStatus::Held,
            EntryStatus::Void => BonusStatus::Void,
        }
    }
}

impl From<BonusStatus> for EntryStatus {
    fn from(status: BonusStatus) -> Self {
        match status {
            BonusStatus::Pending => EntryStatus::Pending,
            BonusStatus::Paid => EntryStatus::Paid,
            BonusStatus::Held => EntryStatus::Held,
            BonusStatus::Void => EntryStatus::Void,
        }
    }
}

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Bonus {
    pub id: Uuid,
    /// Who gets it.
    pub receiver: Uuid,
    /// Whose signup or trigger it comes from; null where the caller may not see it (entries imported
    /// from elsewhere may name anybody).
    pub source: Option<Uuid>,
    /// The trigger's name, `registration`, or `rank:` and a number.
    #[schema(max_length = 64, example = "referral")]
    pub kind: String,
    /// Levels between source and receiver; 0 for the reward of a rank.
    pub level: u32,
    /// Negative for a reversal.
    pub amount: Amount,
    pub status: BonusStatus,
    pub time: Time,
    /// LSN of the command that made it.
    pub lsn: u64,
    /// Version of the plan that it was paid by.
    pub plan_version: u32,
    /// The external system's name for its origin, e.g. an order; a reversal has that of the bonus that
    /// it takes back. Null also where `source` is null.
    #[schema(max_length = 64, example = "order 4711")]
    pub reference: Option<String>,
    /// The bonus that this one takes back: it has the opposite amount.
    pub reverses: Option<Uuid>,
    /// The bonus that takes this one back.
    pub reversed_by: Option<Uuid>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_with_microseconds() {
        // text, microseconds as written back
        let table = [
            ("2026-11-20T01:02:03Z", "\"2026-11-20T01:02:03.000000Z\""),
            ("2026-11-20T01:02:03.1234567+01:00", "\"2026-11-20T00:02:03.123456Z\""),
            ("1970-01-01T00:00:00Z", "\"1970-01-01T00:00:00.000000Z\""),
        ];
        for (text, written) in table {
            let time: Time = text.parse().unwrap();
            assert_eq!(serde_json::to_string(&time).unwrap(), written, "{text}");
        }
        for bad in ["", "2026-11-20", "1969-12-31T23:59:59Z", "yesterday", "2026-13-20T01:02:03Z"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }
}
