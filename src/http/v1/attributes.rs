//! `/v1/members/{id}/attributes`: market, owner and tags of a member.

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::{extract::State as Extract, http::StatusCode};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        RefOr,
        schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    as_of::{self, AsOf},
    caller::Caller,
    extract::{IdempotencyKey, Json, Path, Query},
    lists::PastMemberProblems,
    problem::{Code, Problem, problems},
    register::NOT_WRITTEN,
    types::{Time, member_id, user_id},
};
use crate::{
    engine::{
        Applied, AttributeChange, Command, MemberAttributes, MemberIx, MemberTag, Outcome, Rejection,
        SetAttributes, State, Timestamp, commerce::MEMBER_TAGS_MAX,
    },
    http::{
        auth::{Action, Sight},
        context::Shared,
        reply::Reply,
    },
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(attributes, set))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// Attributes to set; what is absent stays as it is.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "market": "us", "tags": { "founder": {}, "fee_paid": { "until": "2027-01-01T00:00:00Z" }, "trial": null },
}))]
#[allow(clippy::option_option, reason = "absent leaves alone, null takes away")]
pub(super) struct AttributesGiven {
    /// One of the plan's markets; null for none.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, example = "us")]
    market: Option<Option<String>>,
    /// The user_id of the member to whom the position belongs; null for the member itself.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    owner: Option<Option<Uuid>>,
    /// Tags of the plan by name; null takes one away.
    #[serde(default)]
    tags: TagsGiven,
    /// Since when they hold, for a correction: in a period that is not locked. Absent or null: now.
    #[serde(default)]
    effective: Option<Time>,
}

/// A line of a batch: a member, and attributes to set; what is absent stays as it is.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c", "market": "us",
    "tags": { "founder": {}, "fee_paid": { "until": "2027-01-01T00:00:00Z" }, "trial": null },
}))]
#[allow(clippy::option_option, reason = "absent leaves alone, null takes away")]
pub(super) struct AttributesOfMember {
    user_id: Uuid,
    /// One of the plan's markets; null for none.
    #[serde(default, deserialize_with = "present")]
    #[schema(min_length = 1, max_length = 64, example = "us")]
    market: Option<Option<String>>,
    /// The user_id of the member to whom the position belongs; null for the member itself.
    #[serde(default, deserialize_with = "present")]
    owner: Option<Option<Uuid>>,
    /// Tags of the plan by name; null takes one away.
    #[serde(default)]
    tags: TagsGiven,
    /// Since when they hold, for a correction: in a period that is not locked. Absent or null: now.
    #[serde(default)]
    effective: Option<Time>,
}

impl AttributesOfMember {
    /// The command that it asks for under the plan in force.
    ///
    /// # Errors
    /// As for a single request.
    pub(super) fn command(self, state: &State) -> Result<SetAttributes, Problem> {
        let Self { user_id, market, owner, tags, effective } = self;
        AttributesGiven { market, owner, tags, effective }.command(user_id, state)
    }
}

/// A tag that is given.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "from": "2026-01-01T00:00:00Z" }))]
struct TagGiven {
    /// From when it holds; absent or null for no bound.
    #[serde(default)]
    from: Option<Time>,
    /// The first instant at which it no longer holds; absent or null for no bound.
    #[serde(default)]
    until: Option<Time>,
}

/// A field that is there, whatever it is.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Tags by name, each name once.
#[derive(Clone, Default, Debug, Serialize)]
struct TagsGiven(BTreeMap<String, Option<TagGiven>>);

impl<'de> Deserialize<'de> for TagsGiven {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sent;

        impl<'de> Visitor<'de> for Sent {
            type Value = TagsGiven;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of tags")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TagsGiven, A::Error> {
                let mut tags = BTreeMap::new();
                while let Some((name, tag)) = map.next_entry::<String, Option<TagGiven>>()? {
                    if MEMBER_TAGS_MAX <= tags.len() {
                        return Err(A::Error::custom("too many tags"));
                    }
                    if tags.contains_key(&name) {
                        return Err(A::Error::custom(format!("`{name}` is there twice")));
                    }
                    tags.insert(name, tag);
                }
                Ok(TagsGiven(tags))
            }
        }

        deserializer.deserialize_map(Sent)
    }
}

impl PartialSchema for TagsGiven {
    fn schema() -> RefOr<Schema> {
        let tag = OneOfBuilder::new()
            .item(TagGiven::schema())
            .item(ObjectBuilder::new().schema_type(Type::Null).build());
        let tags = AdditionalProperties::RefOr(RefOr::T(Schema::OneOf(tag.build())));
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(tags))
            .examples([serde_json::json!({ "founder": {}, "trial": null })])
            .into()
    }
}

impl ToSchema for TagsGiven {}

impl AttributesGiven {
    /// The command that it asks for under the plan in force.
    ///
    /// # Errors
    /// A name that the plan does not have, and a tag that never holds, naming the field.
    pub(super) fn command(&self, member: Uuid, state: &State) -> Result<SetAttributes, Problem> {
        let commerce = &state.plan().commerce;
        let refused = |rejection: Rejection, field: String| {
            Problem::from(rejection).at(state.lsn()).with("field", field)
        };
        let mut changes = Vec::new();
        if let Some(market) = &self.market {
            if commerce.markets.is_empty() {
                return Err(refused(Rejection::AttributeUnknown, "market".into()));
            }
            let unknown = || refused(Rejection::MarketUnknown, "market".into());
            let market = market.as_deref().map(|name| position(&commerce.markets, name).ok_or_else(unknown));
            changes.push(AttributeChange::Market(market.transpose()?));
        }
        if let Some(owner) = self.owner {
            if !commerce.has_owners {
                return Err(refused(Rejection::AttributeUnknown, "owner".into()));
            }
            changes.push(AttributeChange::Owner(owner.map(member_id)));
        }
        for (name, given) in &self.tags.0 {
            let field = || format!("tags.{name}");
            let tag = position(&commerce.member_tags, name)
                .ok_or_else(|| refused(Rejection::AttributeUnknown, field()))?;
            let [from, until] =
                given.map_or([None; 2], |tag| [tag.from, tag.until].map(|time| time.map(|time| time.0)));
            if from.zip(until).is_some_and(|(from, until)| until <= from) {
                return Err(refused(Rejection::AttributeMalformed, field()));
            }
            changes.push(AttributeChange::Tag { tag, from, until, set: given.is_some() });
        }
        let effective = self.effective.map(|time| time.0);
        Ok(SetAttributes { member: member_id(member), changes, effective })
    }
}

/// The position of a name in a list of the plan.
fn position(names: &[Box<str>], name: &str) -> Option<u16> {
    names.iter().position(|known| **known == *name).and_then(|at| u16::try_from(at).ok())
}

/// The attributes of a member.
#[derive(Serialize, ToSchema)]
pub(super) struct Attributes {
    user_id: Uuid,
    /// One of the plan's markets; null for none.
    #[schema(example = "us")]
    market: Option<Box<str>>,
    /// The member to whom the position belongs: itself, if nothing else was said. Null where the caller may
    /// not see it.
    owner: Option<Uuid>,
    /// The tags that were given and not taken away, in the order of the plan.
    tags: Vec<Tag>,
}

/// A tag of a member.
#[derive(Serialize, ToSchema)]
struct Tag {
    #[schema(example = "founder")]
    name: Box<str>,
    /// From when it holds; null for no bound.
    from: Option<Time>,
    /// The first instant at which it no longer holds; null for no bound.
    until: Option<Time>,
    /// Whether it holds at the instant that was asked about.
    holds: bool,
}

impl Attributes {
    pub(super) fn new(state: &State, sight: Sight, member: MemberIx, at: Option<Timestamp>) -> Self {
        let commerce = &state.plan().commerce;
        let name = |names: &[Box<str>], at: u16| names[usize::from(at)].clone();
        let MemberAttributes { market, owner, tags } = state.attributes(member, at);
        let instant = at.unwrap_or(state.time());
        let tag = |tag: MemberTag| Tag {
            name: name(&commerce.member_tags, tag.tag),
            from: tag.from.map(Time),
            until: tag.until.map(Time),
            holds: tag.holds(instant),
        };
        Self {
            user_id: user_id(state, member),
            market: market.map(|market| name(&commerce.markets, market)),
            owner: sight.sees(state, owner).then(|| user_id(state, owner)),
            tags: tags.into_iter().map(tag).collect(),
        }
    }
}

/// What was set.
#[derive(Serialize, ToSchema)]
struct AttributesSet {
    /// False when all of it was so before; the same for a repeat.
    changed: bool,
    /// As they stand.
    attributes: Attributes,
}

/// The moment that is read, and the instant that is asked about.
#[derive(Clone, Copy, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AttributesQuery {
    /// Read the past: an LSN, or a time that is over. As far back as the log is kept.
    #[param(value_type = Option<String>, max_length = 96)]
    as_of: Option<AsOf>,
    /// What holds at this instant, as far as it is known: with the corrections that came later. Now, if it is
    /// absent.
    #[param(value_type = Option<String>, max_length = 96)]
    at: Option<Time>,
}

problems!(
    SetProblems: [
        Code::BodyMalformed,
        Code::Rejected(Rejection::MemberUnknown),
        Code::BodyTooSlow,
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::FieldUnknown,
        Code::FieldInvalid,
        Code::ParameterInvalid,
        Code::Rejected(Rejection::AttributeUnknown),
        Code::Rejected(Rejection::AttributeMalformed),
        Code::Rejected(Rejection::MarketUnknown),
        Code::Rejected(Rejection::OwnerUnknown),
        Code::Rejected(Rejection::AttributePeriodLocked),
        Code::Rejected(Rejection::AttributesFull),
        Code::Rejected(Rejection::KeyReused),
    ], NOT_WRITTEN
);

/// A member's attributes
///
/// Market, owner and tags, as the plan declares them. Of several values of an attribute that with the latest
/// time holds, and of those with the same time the one that was set last.
#[utoipa::path(
    get, path = "/v1/members/{id}/attributes", tag = "members",
    params(("id" = Uuid, Path, description = "The member's user_id"), AttributesQuery),
    responses(
        (
            status = 200, description = "Its attributes", body = Attributes,
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        PastMemberProblems
    )
)]
async fn attributes(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<AttributesQuery>,
) -> Result<Reply, Problem> {
    let at = query.at.map(|at| at.0);
    as_of::read(&shared, &caller, query.as_of, |state, directory| {
        let member = caller.member(Action::ReadMember, id, state, directory)?;
        let attributes = Attributes::new(state, caller.0.sight(state, directory), member, at);
        Ok(answer(StatusCode::OK, state.lsn(), &attributes))
    })
    .await
}

/// Set a member's attributes
///
/// Those that are named; all of them, or none if one is refused. They hold from now on, or, for a correction,
/// since a time in a period that is not locked: 409 `attribute_period_locked` where there is none. The same
/// again changes nothing.
#[utoipa::path(
    put, path = "/v1/members/{id}/attributes", tag = "members",
    request_body = AttributesGiven,
    params(
        ("id" = Uuid, Path, description = "The member's user_id"),
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Kept for 72 hours; the same key with another request is 422", min_length = 1,
            max_length = 255
        ),
    ),
    responses(
        (status = 200, body = AttributesSet, description = "Set, or so already", headers(("x-lsn" = u64))),
        SetProblems
    )
)]
async fn set(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    key: IdempotencyKey,
    Json(body): Json<AttributesGiven>,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let key = key.for_request(&caller.0.client, "PUT /v1/members/{id}/attributes", &(id, &body));
    let change = engine.read(|state, directory| {
        caller.member(Action::ManageMember, id, state, directory)?;
        body.command(id, state)
    })?;
    let applied = engine.submit(Command::SetAttributes(Box::new(change)), caller.sends(key)).await?.applied;
    let (member, changed) = settle(applied)?;
    engine.read(|state, directory| {
        let attributes = Attributes::new(state, caller.0.sight(state, directory), member, None);
        Ok(answer(StatusCode::OK, applied.lsn, &AttributesSet { changed, attributes }))
    })
}

/// The member of an outcome, and whether anything changed.
///
/// # Errors
/// The rejection, with the field that it is about.
pub(super) fn settle(applied: Applied) -> Result<(MemberIx, bool), Problem> {
    match applied.outcome {
        Outcome::AttributesSet { member, changed } => Ok((member, changed)),
        Outcome::Rejected(rejection) => Err(rejected(rejection, applied.lsn)),
        _ => Err(Code::Internal.into()),
    }
}

/// A rejection with the field of the body that it is about.
fn rejected(rejection: Rejection, lsn: u64) -> Problem {
    let problem = Problem::from(rejection).at(lsn);
    match rejection {
        Rejection::MarketUnknown => problem.with("field", "market"),
        Rejection::OwnerUnknown => problem.with("field", "owner"),
        Rejection::AttributePeriodLocked => problem.with("field", "effective"),
        Rejection::KeyReused => problem.with("field", "Idempotency-Key"),
        _ => problem,
    }
}
