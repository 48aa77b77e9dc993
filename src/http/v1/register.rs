//! `POST /v1/members`: one registration. The batch shares its input and answers.

use std::sync::Arc;

use axum::{
    extract::State as Extract,
    http::{HeaderValue, StatusCode, header},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    answer,
    caller::Caller,
    extract::{IdempotencyKey, Json},
    members::{self, Counts, Member},
    problem::{Code, Problem, problems},
    types::{Role, Status, Time, member_id},
};
use crate::{
    engine::{
        AnsweredBy, Applied, Code as ReferralCode, Command, MemberDirectory, MemberIx, Origin, Outcome,
        PlacementRequest, Register, Rejection, SponsorRef, State, Tree,
    },
    http::{
        auth::Action,
        context::Shared,
        reply::{self, Reply},
    },
    plan_document::RuleName,
};

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(register))
}

// Order and names of the fields are part of the fingerprint of idempotency keys, which is on disk.
/// A signup.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c",
    "sponsor": { "code": "ANNA-7" },
    "placement": { "rule": "breadth-first" },
    "code": "BERT_1",
}))]
pub struct Registration {
    /// The member's id in the authentication service; not the nil UUID.
    pub user_id: Uuid,
    /// Who recruited the member; absent or null for a new root.
    #[serde(default)]
    #[schema(value_type = Option<SponsorName>)]
    pub sponsor: Option<Sponsor>,
    /// Where the member is to sit; absent or null for the plan's default rule. A root has no choice.
    #[serde(default)]
    #[schema(value_type = Option<PlacementName>)]
    pub placement: Option<Placement>,
    /// The member's own referral code; one is generated when absent or null. Unique without regard to case
    /// and to letters that are taken for digits (O and 0; I, L and 1), and no UUID.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    pub code: Option<String>,
    #[serde(default)]
    #[schema(inline, default = "member")]
    pub role: Role,
    /// When the member joined, if that is not now. From 1970 to 9999.
    #[serde(default)]
    pub joined_at: Option<Time>,
}

/// As read: which of the two forms it is, is checked by [`Registration::register`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sponsor {
    #[serde(default)]
    user_id: Option<Uuid>,
    #[serde(default)]
    code: Option<String>,
}

/// As [`Sponsor`].
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    #[serde(default)]
    rule: Option<RuleName>,
    #[serde(default)]
    parent: Option<Uuid>,
    #[serde(default)]
    slot: Option<u32>,
}

/// How a sponsor is named: by id or by referral code, not both.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the description of `Sponsor`")]
pub enum SponsorName {
    ById(SponsorById),
    ByCode(SponsorByCode),
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SponsorById {
    user_id: Uuid,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SponsorByCode {
    /// Referral code; case does not matter. A code that nobody has is read with O as 0 and I and L as 1, if
    /// that leads to one member.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
    code: String,
}

/// How a place is named: by a rule that the plan allows, or exactly, where the plan allows that.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "the description of `Placement`")]
pub enum PlacementName {
    ByRule(PlacementByRule),
    Exactly(PlacementExactly),
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacementByRule {
    rule: RuleName,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlacementExactly {
    /// The sponsor, or a member in the sponsor's placement subtree.
    parent: Uuid,
    /// From 0; below the plan's width.
    slot: u32,
}

impl Registration {
    /// The command that it asks for.
    ///
    /// # Errors
    /// `field_invalid`, naming the field.
    pub fn register(&self) -> Result<Register, Problem> {
        if self.user_id.is_nil() {
            return Err(field_invalid("user_id", "the nil UUID stands for no member"));
        }
        Ok(Register {
            member: member_id(self.user_id),
            sponsor: self.sponsor_ref()?,
            placement: self.placement_request()?,
            code: self.code.as_deref().map(|code| referral_code("code", code)).transpose()?,
            role: self.role.into(),
            joined_at: self.joined_at.map(|time| time.0),
            origin: Origin::Signup,
        })
    }

    fn sponsor_ref(&self) -> Result<SponsorRef, Problem> {
        let Some(sponsor) = &self.sponsor else { return Ok(SponsorRef::None) };
        match (&sponsor.user_id, &sponsor.code) {
            (Some(id), None) => Ok(SponsorRef::Member(member_id(*id))),
            (None, Some(code)) => Ok(SponsorRef::Code(referral_code("sponsor.code", code)?)),
            _ => Err(field_invalid("sponsor", "a sponsor is named by user_id or by code, one of them")),
        }
    }

    fn placement_request(&self) -> Result<PlacementRequest, Problem> {
        let Some(placement) = &self.placement else { return Ok(PlacementRequest::PlanDefault) };
        match (placement.rule, placement.parent, placement.slot) {
            (Some(rule), None, None) => Ok(PlacementRequest::Rule(rule.0)),
            (None, Some(parent), Some(slot)) => {
                Ok(PlacementRequest::Slot { parent: member_id(parent), slot })
            }
            _ => Err(field_invalid("placement", "a place is named by rule, or by parent and slot")),
        }
    }
}

fn referral_code(field: &'static str, text: &str) -> Result<ReferralCode, Problem> {
    ReferralCode::parse(text)
        .ok_or_else(|| field_invalid(field, "codes are 1 to 64 of A-Z, a-z, 0-9, _ and -"))
}

/// A field whose value is invalid whatever the state of the network.
pub fn field_invalid(field: &'static str, detail: &'static str) -> Problem {
    Problem::new(Code::FieldInvalid).with("field", field).detail(detail)
}

/// Whether a registration was done now or before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Done {
    Now,
    Before,
}

impl Done {
    pub fn status(self) -> StatusCode {
        match self {
            Done::Now => StatusCode::CREATED,
            Done::Before => StatusCode::OK,
        }
    }
}

/// The result of a registration. A member that was registered before with the same arguments is a success: of
/// two equal requests that race, both get the one member.
///
/// # Errors
/// The rejection, with the field that it is about.
pub fn settle(
    register: &Register,
    applied: Applied,
    by: AnsweredBy,
    state: &State,
    directory: &MemberDirectory,
) -> Result<(MemberIx, Done), Problem> {
    match applied.outcome {
        Outcome::Registered { member } => {
            Ok((member, if by == AnsweredBy::Repeat { Done::Before } else { Done::Now }))
        }
        Outcome::Rejected(Rejection::MemberExists) => match state.repeated(directory, register) {
            Some(member) => Ok((member, Done::Before)),
            None => Err(rejected(Rejection::MemberExists, applied.lsn)),
        },
        Outcome::Rejected(rejection) => Err(rejected(rejection, applied.lsn)),
        _ => Err(Code::Internal.into()),
    }
}

/// A rejection with the field of [`Registration`] that it is about.
fn rejected(rejection: Rejection, lsn: u64) -> Problem {
    let problem = Problem::from(rejection).at(lsn);
    let field = match rejection {
        Rejection::MemberExists => "user_id",
        Rejection::SponsorUnknown | Rejection::SponsorNotActive => "sponsor",
        Rejection::ParentUnknown | Rejection::ParentOutsideSponsorSubtree => "placement.parent",
        Rejection::SlotTaken | Rejection::SlotOutOfRange => "placement.slot",
        Rejection::RuleNotAllowed => "placement.rule",
        Rejection::StrategicNotAllowed | Rejection::RootWithPlacement => "placement",
        Rejection::CodeTaken | Rejection::CodeReadsAsId => "code",
        Rejection::CodeAmbiguous => "sponsor.code",
        Rejection::AdminsFull => "role",
        Rejection::KeyReused => "Idempotency-Key",
        _ => return problem,
    };
    problem.with("field", field)
}

/// The member as it was just after registration: the first answer, which repeats return again, whatever has
/// changed since.
pub fn first_view(caller: &Caller, state: &State, directory: &MemberDirectory, member: MemberIx) -> Member {
    let counts = |tree| Counts { direct: 0, downline: state.downline(tree, member).map(|_| 0) };
    Member {
        status: Status::Active,
        role: state.role_at_registration(member).into(),
        rank: state.rank_at_registration(),
        placement: counts(Tree::Placement),
        sponsored: counts(Tree::Sponsor),
        ..members::view(caller, state, directory, member)
    }
}

/// Errors of a registration: [`settle`]'s rejections and those of every write.
const PROBLEMS: [Code; 25] = [
    Code::BodyMalformed,
    Code::Rejected(Rejection::SponsorUnknown),
    Code::Rejected(Rejection::ParentUnknown),
    Code::BodyTooSlow,
    Code::Rejected(Rejection::MemberExists),
    Code::Rejected(Rejection::SponsorNotActive),
    Code::Rejected(Rejection::ParentOutsideSponsorSubtree),
    Code::Rejected(Rejection::SlotTaken),
    Code::Rejected(Rejection::SlotOutOfRange),
    Code::Rejected(Rejection::RuleNotAllowed),
    Code::Rejected(Rejection::StrategicNotAllowed),
    Code::Rejected(Rejection::CodeTaken),
    Code::Rejected(Rejection::AdminsFull),
    Code::Rejected(Rejection::RootWithPlacement),
    Code::BodyTooLarge,
    Code::MediaTypeUnsupported,
    Code::BodyEncoded,
    Code::FieldUnknown,
    Code::FieldInvalid,
    Code::ParameterInvalid,
    Code::Rejected(Rejection::KeyReused),
    Code::Rejected(Rejection::NetworkFull),
    Code::Rejected(Rejection::LedgerFull),
    Code::Rejected(Rejection::CodeAmbiguous),
    Code::Rejected(Rejection::CodeReadsAsId),
];

/// Errors of every write without an outcome.
pub const NOT_WRITTEN: [Code; 6] =
    [Code::Overloaded, Code::Stopping, Code::ReadOnly, Code::OutcomeUnknown, Code::NoRoom, Code::ClockJumped];

problems!(Problems: PROBLEMS, NOT_WRITTEN);

const SCOPE: &str = "POST /v1/members";

/// Register a member
///
/// 201 with the member and its `Location`. A repeat with the same arguments is 200 with the same body, for
/// ever: after a restart, and whatever became of the member since; its `x-lsn` is that of the state it was
/// found in. The same arguments are: the same sponsor, however named; the same role, join time and placement
/// (naming the plan's default rule is as naming none); the same code, if one is named. Other arguments are
/// 409 `member_exists`. An `Idempotency-Key` is kept with the registration that it came with; what writes
/// nothing (200, or a refusal) keeps none. Of two equal requests at once both get the one member.
#[utoipa::path(
    post,
    path = "/v1/members",
    tag = "members",
    request_body = Registration,
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "Kept for 72 hours; the same key with another body is 422", min_length = 1,
        max_length = 255
    )),
    responses(
        (
            status = 201, body = Member, description = "Registered",
            headers(("Location" = String, description = "The member"), ("x-lsn" = u64))
        ),
        (
            status = 200, body = Member, description = "Registered before with the same arguments",
            headers(("Location" = String, description = "The member"), ("x-lsn" = u64))
        ),
        Problems,
    ),
)]
async fn register(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    key: IdempotencyKey,
    Json(body): Json<Registration>,
) -> Result<Reply, Problem> {
    caller.may(Action::RegisterMember)?;
    let engine = shared.v1_engine()?;
    let register = body.register()?;
    let key = key.for_request(&caller.0.client, SCOPE, &body);
    let done = engine.submit(Command::Register(register.clone()), caller.sends(key)).await?;
    engine.read(|state, directory| {
        let (member, when) = settle(&register, done.applied, done.by, state, directory)?;
        // A rejection that turned out to be a repeat was judged at an earlier LSN; the member exists at this
        // one.
        let lsn = if matches!(done.applied.outcome, Outcome::Registered { .. }) {
            done.applied.lsn
        } else {
            state.lsn()
        };
        let reply = answer(when.status(), lsn, &first_view(&caller, state, directory, member));
        let location =
            HeaderValue::try_from(format!("/v1/members/{}", body.user_id)).expect("ids are plain ASCII");
        Ok(reply::with_header(reply, header::LOCATION, location))
    })
}
