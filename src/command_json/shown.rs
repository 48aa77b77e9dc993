//! What is shown of a command's fields, by type.

use serde_json::{Value, json};
use uuid::Uuid;

use super::schema::{
    choice, constant, count, described, minor, nullable, object, one_of, reference, text, time, uuid,
};
use crate::{
    engine::{
        Carried, Code, EntryChange, EntryStatus, MemberId, Money, Origin, PlacementRequest, Plan, Reason,
        Reference, Role, SponsorRef, Status, Timestamp,
    },
    plan_document::PlanDocument,
    time_text,
};

/// A value as JSON, and the schema of that.
pub(super) trait Shown {
    /// `bonus_id` derives the row id of a ledger entry from its position.
    fn shown(&self, bonus_id: &dyn Fn(u64) -> Uuid) -> Value;

    fn schema() -> Value;
}

macro_rules! plain {
    ($($type:ty: |$value:ident| $shown:expr, $schema:expr;)+) => {
        $(
            impl Shown for $type {
                fn shown(&self, _bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
                    let $value = self;
                    json!($shown)
                }

                fn schema() -> Value {
                    $schema
                }
            }
        )+
    };
}
plain! {
    bool: |value| value, json!({ "type": "boolean" });
    u16: |value| value, count();
    u32: |value| value, count();
    u64: |value| value, count();
    Money: |value| value.0, minor();
    Timestamp: |value| time_text::print(*value), time();
    MemberId: |value| Uuid::from_bytes(value.0), uuid();
    [u8; 16]: |value| Uuid::from_bytes(*value), uuid();
    Box<str>: |value| value, text();
    Code: |value| value.as_str(), text();
    Reason: |value| value.as_str(), text();
    Reference: |value| value.as_str(), json!({ "type": "string", "minLength": 1, "maxLength": 64 });
    Status: |value| value.name(), choice(&Status::ALL.map(Status::name));
    Role: |value| value.name(), choice(&Role::ALL.map(Role::name));
    EntryStatus: |value| value.name(), choice(&EntryStatus::ALL.map(EntryStatus::name));
    EntryChange: |value| value.name(), choice(&EntryChange::ALL.map(EntryChange::name));
    Plan: |value| PlanDocument::new(value), reference("Plan");
    // Null for a root.
    SponsorRef: |value| match value {
        SponsorRef::None => Value::Null,
        SponsorRef::Member(id) => json!({ "user_id": Uuid::from_bytes(id.0) }),
        SponsorRef::Code(code) => json!({ "code": code.as_str() }),
    }, nullable(reference("LoggedSponsor"));
    PlacementRequest: |value| match value {
        PlacementRequest::PlanDefault => json!({ "by": "plan" }),
        PlacementRequest::Rule(rule) => json!({ "by": "rule", "rule": rule.name() }),
        PlacementRequest::Slot { parent, slot } => {
            json!({ "by": "slot", "parent": Uuid::from_bytes(parent.0), "slot": slot })
        }
    }, reference("LoggedPlacement");
    Origin: |value| match value {
        Origin::Signup => "signup",
        Origin::Import(_) => "import",
    }, choice(&["signup", "import"]);
    Facts: |value| match value.0 {
        Origin::Import(carried) if carried != Carried::default() => carried_json(carried),
        Origin::Import(_) | Origin::Signup => Value::Null,
    }, nullable(reference("CarriedFacts"));
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self, bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
        self.as_ref().map_or(Value::Null, |value| value.shown(bonus_id))
    }

    fn schema() -> Value {
        nullable(T::schema())
    }
}

/// The row id of a ledger entry, by its position.
pub(super) struct BonusId(pub u64);

impl Shown for BonusId {
    fn shown(&self, bonus_id: &dyn Fn(u64) -> Uuid) -> Value {
        json!(bonus_id(self.0))
    }

    fn schema() -> Value {
        uuid()
    }
}

/// What was carried over with an imported member; null where there is nothing.
pub(super) struct Facts(pub Origin);

/// Returns what was carried over for an imported member; 0 means nothing, as in the log.
fn carried_json(carried: Carried) -> Value {
    json!({
        "id": carried.row_id.map(Uuid::from_bytes),
        "lifetime_rank": carried.lifetime_rank,
        "turn": carried.turn,
        "status": carried.status.name(),
        "sponsor_too": carried.sponsor_too,
    })
}

/// Returns the schemas of the parts of a registration.
pub(super) fn parts() -> Vec<(&'static str, Value)> {
    let sponsor = json!({
        "description": "The sponsor as it was named",
        "oneOf": [reference("LoggedSponsorById"), reference("LoggedSponsorByCode")],
    });
    let placements = [
        ("plan", "LoggedPlacementByPlan"),
        ("rule", "LoggedPlacementByRule"),
        ("slot", "LoggedPlacementBySlot"),
    ];
    let by_slot =
        object("A slot that was named", json!({ "by": constant("slot"), "parent": uuid(), "slot": count() }));
    let carried = object(
        "Data carried over with an imported member",
        json!({
            "id": described("Its row's id elsewhere", nullable(uuid())),
            "lifetime_rank": described("Ordinal of the best rank ever; 0 for none", count()),
            "turn": described("Round robin: the slot that the next spill goes to", count()),
            "status": choice(&["active", "inactive", "terminated"]),
            "sponsor_too": {
                "type": "boolean",
                "description": "The sponsor came by the same import, and was not asked whether it is active",
            },
        }),
    );
    vec![
        ("LoggedSponsor", sponsor),
        ("LoggedSponsorById", object("By id", json!({ "user_id": uuid() }))),
        ("LoggedSponsorByCode", object("By referral code", json!({ "code": text() }))),
        ("LoggedPlacement", one_of("The requested place of the member", "by", &placements)),
        ("LoggedPlacementByPlan", object("The plan's default rule", json!({ "by": constant("plan") }))),
        (
            "LoggedPlacementByRule",
            object("A rule that was named", json!({ "by": constant("rule"), "rule": text() })),
        ),
        ("LoggedPlacementBySlot", by_slot),
        ("CarriedFacts", carried),
    ]
}
