//! What is shown of a command's fields, by type.

use serde_json::{Value, json};
use uuid::Uuid;

use super::schema::{
    choice, constant, count, described, list, minor, nullable, object, one_of, reference, text, time, uuid,
};
use crate::{
    engine::{
        AttributeChange, Carried, Code, Credit, EntryChange, EntryStatus, LinePart, MemberId, Money,
        OpeningEntry, OpeningKind, OrderId, OrderLine, Origin, PeriodStep, PlacementRequest, Plan, Reason,
        Reference, RefundScope, Role, SponsorRef, Status, Timestamp, WHOLE,
    },
    opening_text,
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
    u8: |value| value, count();
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
    OrderId: |value| value.as_str(), text();
    PeriodStep: |value| value.name(), choice(&PeriodStep::ALL.map(PeriodStep::name));
    [u8; 32]: |value| hex(value), json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    Vec<Credit>: |value| value.iter().map(credit_json).collect::<Vec<_>>(), list(reference("LoggedCredit"));
    Vec<OrderLine>: |value| value.iter().map(line_json).collect::<Vec<_>>(),
        list(reference("LoggedOrderLine"));
    Vec<AttributeChange>: |value| value.iter().map(attribute_json).collect::<Vec<_>>(),
        list(reference("LoggedAttribute"));
    Vec<OpeningEntry>: |value| value.iter().map(opening_json).collect::<Vec<_>>(),
        list(reference("LoggedOpeningRow"));
    // Null for all that is left of the order.
    RefundScope: |value| match value {
        RefundScope::Rest => Value::Null,
        RefundScope::Part(part) => json!([{ "line": null, "part": part_text(*part) }]),
        RefundScope::Lines(lines) => json!(lines.iter().map(refund_line_json).collect::<Vec<_>>()),
    }, nullable(list(reference("LoggedRefundLine")));
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

fn hex(bytes: &[u8; 32]) -> String {
    let [high, low] =
        [&bytes[..16], &bytes[16..]].map(|half| u128::from_be_bytes(half.try_into().expect("16")));
    format!("{high:032x}{low:032x}")
}

/// Returns a part of a whole as an exact decimal: `0.25`.
pub fn part_text(part: u32) -> String {
    if part == WHOLE {
        return "1".into();
    }
    let text = format!("0.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn credit_json(credit: &Credit) -> Value {
    json!({ "user_id": Uuid::from_bytes(credit.member.0), "part": part_text(credit.part) })
}

/// The volumes that the line names, in units of their exponents.
fn line_json(line: &OrderLine) -> Value {
    json!({ "amount_minor": line.amount.0, "volumes_minor": line.volumes })
}

fn refund_line_json(line: &LinePart) -> Value {
    json!({ "line": line.line, "part": line.part.map(part_text) })
}

fn attribute_json(change: &AttributeChange) -> Value {
    match *change {
        AttributeChange::Market(market) => json!({ "attribute": "market", "market": market }),
        AttributeChange::Owner(owner) => {
            json!({ "attribute": "owner", "owner": owner.map(|owner| Uuid::from_bytes(owner.0)) })
        }
        AttributeChange::Tag { tag, from, until, set } => json!({
            "attribute": "tag",
            "tag": tag,
            "set": set,
            "from": from.map(time_text::print),
            "until": until.map(time_text::print),
        }),
    }
}

fn opening_json(row: &OpeningEntry) -> Value {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let shape = row.kind.shape();
    json!({
        "user_id": Uuid::from_bytes(row.member.0),
        "kind": row.kind.name(),
        "name": given(row.name.as_str()),
        "text": given(row.text.as_str()),
        "calendar": row.calendar,
        "position": (*shape.position.end() != 0).then_some(row.position),
        "since": row.since.map(time_text::print),
        "value": opening_text::print_value(shape.value, row.value, row.decimals),
    })
}

/// Returns the schema of a row of the opening state.
fn parts_of_opening() -> Vec<(&'static str, Value)> {
    let row = json!({
        "user_id": uuid(),
        "kind": choice(&OpeningKind::ALL.map(OpeningKind::name)),
        "name": described("Of a metric, ladder, predicate, bonus or status", nullable(text())),
        "text": described("A rank, key or status", nullable(text())),
        "calendar": described("Position in the plan's calendars", nullable(count())),
        "position": described("A period counted back, a leg, or free periods", nullable(count())),
        "since": nullable(time()),
        "value": described("A decimal, or periods counted back such as `1-3 5`", nullable(text())),
    });
    vec![("LoggedOpeningRow", object("What a member brings from before the first period", row))]
}

/// Returns the schemas of what an attribute is set to.
fn parts_of_attributes() -> Vec<(&'static str, Value)> {
    let choices = [("market", "LoggedMarket"), ("owner", "LoggedOwner"), ("tag", "LoggedTag")];
    let market = described("Position in the plan's markets; null for none", nullable(count()));
    let owner = described("Null for the member itself", nullable(uuid()));
    let bound = |about: &str| described(about, nullable(time()));
    let tag = json!({
        "attribute": constant("tag"),
        "tag": described("Position in the plan's tags of members", count()),
        "set": described("False: it was taken away", json!({ "type": "boolean" })),
        "from": bound("Null for no bound"),
        "until": bound("When it no longer holds; null for no bound"),
    });
    vec![
        ("LoggedAttribute", one_of("What an attribute is set to", "attribute", &choices)),
        (
            "LoggedMarket",
            object("A member's market", json!({ "attribute": constant("market"), "market": market })),
        ),
        (
            "LoggedOwner",
            object("To whom a position belongs", json!({ "attribute": constant("owner"), "owner": owner })),
        ),
        ("LoggedTag", object("A tag of a member", tag)),
    ]
}

/// Returns the schemas of the parts of an order or a refund.
fn parts_of_orders() -> Vec<(&'static str, Value)> {
    let part = || described("A part of 1, as a decimal", text());
    let credit =
        object("A member to whom the order is credited", json!({ "user_id": uuid(), "part": part() }));
    let volumes = described(
        "The volumes that lines name, in the plan's order, in units of their exponents",
        list(json!({ "type": "integer" })),
    );
    let line = object("A line of an order", json!({ "amount_minor": minor(), "volumes_minor": volumes }));
    let refunded = object(
        "A part of a line that is refunded",
        json!({
            "line": described("Position of the line; null for all lines", nullable(count())),
            "part": described("Null for what is left of it", nullable(part())),
        }),
    );
    vec![("LoggedCredit", credit), ("LoggedOrderLine", line), ("LoggedRefundLine", refunded)]
}

/// Returns the schemas of the parts of commands.
pub(super) fn parts() -> Vec<(&'static str, Value)> {
    let mut all = parts_of_registrations();
    all.extend(parts_of_orders());
    all.extend(parts_of_attributes());
    all.extend(parts_of_opening());
    all
}

/// Returns the schemas of the parts of a registration.
fn parts_of_registrations() -> Vec<(&'static str, Value)> {
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
