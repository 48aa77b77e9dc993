//! Failures of `/v1`: problem+json (RFC 9457) with a stable code, from one closed table.
//!
//! Clients branch on `code`; `title` and `detail` are for people and may be reworded at any time.

use std::{borrow::Cow, collections::BTreeMap};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};
use utoipa::openapi::{
    RefOr,
    content::Content,
    example::ExampleBuilder,
    header::HeaderBuilder,
    response::{Response, ResponseBuilder},
    schema::{ObjectBuilder, Ref, Schema, Type},
};

use crate::{
    engine::{Rejection, SubmitError},
    http::{
        limits::{RETRY_AFTER_RESTART_SECONDS, RETRY_SOON_SECONDS},
        reply::{self, Reply},
    },
};

/// Media type of every failure on `/v1`.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// Why there is no result. Each has one status, one code and one title; `docs/api.md` lists them, and a test
/// compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    BodyMalformed,
    CursorInvalid,
    AsOfInvalid,
    Unauthenticated,
    Forbidden,
    RouteUnknown,
    MethodNotAllowed,
    BodyTooSlow,
    HistoryNotRetained,
    PlanVersionDiffers,
    BodyTooLarge,
    MediaTypeUnsupported,
    FieldUnknown,
    FieldInvalid,
    ParameterUnknown,
    ParameterInvalid,
    RateLimited,
    Internal,
    SnapshotFailed,
    Starting,
    Overloaded,
    Stopping,
    ReadOnly,
    OutcomeUnknown,
    AnswerTooSlow,
    NoRoom,
    ClockJumped,
    SubjectNotMember,
    OriginForeign,
    HostUnknown,
    HostInvalid,
    BodyEncoded,
    TimeInFuture,
    SealsUnreadable,
    PeriodSealed,
    /// A rule rejected it. The code is the rejection's own name.
    Rejected(Rejection),
}

impl Code {
    /// All codes other than rejections.
    pub const OURS: [Code; 35] = [
        Code::BodyMalformed,
        Code::CursorInvalid,
        Code::AsOfInvalid,
        Code::Unauthenticated,
        Code::Forbidden,
        Code::RouteUnknown,
        Code::MethodNotAllowed,
        Code::BodyTooSlow,
        Code::HistoryNotRetained,
        Code::PlanVersionDiffers,
        Code::BodyTooLarge,
        Code::MediaTypeUnsupported,
        Code::FieldUnknown,
        Code::FieldInvalid,
        Code::ParameterUnknown,
        Code::ParameterInvalid,
        Code::RateLimited,
        Code::Internal,
        Code::SnapshotFailed,
        Code::Starting,
        Code::Overloaded,
        Code::Stopping,
        Code::ReadOnly,
        Code::OutcomeUnknown,
        Code::AnswerTooSlow,
        Code::NoRoom,
        Code::ClockJumped,
        Code::SubjectNotMember,
        Code::OriginForeign,
        Code::HostUnknown,
        Code::HostInvalid,
        Code::BodyEncoded,
        Code::TimeInFuture,
        Code::SealsUnreadable,
        Code::PeriodSealed,
    ];

    /// All codes, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Code> {
        Self::OURS.into_iter().chain(Rejection::ALL.into_iter().map(Code::Rejected))
    }

    /// Stable name, status and title. One row per code.
    fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Code::BodyMalformed => {
                ("body_malformed", 400, "The body is not what its media type says, or it broke off")
            }
            Code::CursorInvalid => ("cursor_invalid", 400, "The cursor is not one of this list"),
            Code::AsOfInvalid => ("as_of_invalid", 400, "There is no such moment in this network's past"),
            Code::Unauthenticated => ("unauthenticated", 401, "Credentials are missing or not valid"),
            Code::Forbidden => ("forbidden", 403, "These credentials do not allow this"),
            Code::RouteUnknown => ("route_unknown", 404, "There is no such route"),
            Code::MethodNotAllowed => ("method_not_allowed", 405, "The route does not have this method"),
            Code::BodyTooSlow => ("body_too_slow", 408, "The body took too long"),
            Code::HistoryNotRetained => ("history_not_retained", 410, "The log does not reach back that far"),
            Code::PlanVersionDiffers => {
                ("plan_version_differs", 412, "Another version of the plan is in force")
            }
            Code::BodyTooLarge => ("body_too_large", 413, "The body is too large"),
            Code::MediaTypeUnsupported => {
                ("media_type_unsupported", 415, "The body has another media type than this route takes")
            }
            Code::FieldUnknown => {
                ("field_unknown", 422, "The body has a field that this route does not know")
            }
            Code::FieldInvalid => ("field_invalid", 422, "A field of the body is missing or wrong"),
            Code::ParameterUnknown => {
                ("parameter_unknown", 422, "The query has a parameter that this route does not know")
            }
            Code::ParameterInvalid => {
                ("parameter_invalid", 422, "A parameter of path, query or header is missing or wrong")
            }
            Code::RateLimited => ("rate_limited", 429, "Too many requests"),
            Code::Internal => ("internal", 500, "The server failed"),
            Code::SnapshotFailed => {
                ("snapshot_failed", 500, "The snapshot could not be written; signups go on")
            }
            Code::Starting => ("starting", 503, "The network is being loaded"),
            Code::Overloaded => ("overloaded", 503, "Too much work is waiting; nothing was done"),
            Code::Stopping => ("stopping", 503, "The server is stopping; nothing was done"),
            Code::ReadOnly => ("read_only", 503, "An earlier write to the log failed; nothing was done"),
            Code::OutcomeUnknown => {
                ("outcome_unknown", 503, "The write is done or not; repeat it with the same key")
            }
            Code::AnswerTooSlow => ("answer_too_slow", 503, "The answer took too long"),
            Code::NoRoom => (
                "no_room",
                503,
                "The log has no room at present, on its disk or for want of descriptors; nothing was done",
            ),
            Code::ClockJumped => ("clock_jumped", 503, "The server's clock jumped; nothing was done"),
            Code::SubjectNotMember => {
                ("subject_not_member", 401, "The token is a member's and names no member")
            }
            Code::OriginForeign => {
                ("origin_foreign", 403, "A web page of another origin may change nothing here")
            }
            Code::HostUnknown => ("host_unknown", 421, "This host is no name of the server"),
            Code::HostInvalid => {
                ("host_invalid", 400, "The Host header is missing, there twice, or not a host")
            }
            Code::BodyEncoded => {
                ("body_encoded", 415, "The body is compressed or encoded otherwise; only plain ones are read")
            }
            Code::TimeInFuture => {
                ("time_in_future", 422, "The time is more than 5 minutes ahead of the server's clock")
            }
            Code::SealsUnreadable => (
                "seals_unreadable",
                500,
                "The files of sealed orders cannot be read or written; nothing was done, other writes go on",
            ),
            Code::PeriodSealed => (
                "period_sealed",
                409,
                "Orders of the period are in files: add them up there, or ask with as_of",
            ),
            Code::Rejected(rejection) => {
                let (status, title) = rejection_row(rejection);
                (rejection.name(), status, title)
            }
        }
    }

    /// The name clients branch on; never changes.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).expect("a table of valid statuses")
    }

    pub fn title(self) -> &'static str {
        self.row().2
    }

    /// Seconds for `Retry-After`, where retrying helps.
    fn retry_after(self) -> Option<u32> {
        match self {
            Code::RateLimited
            | Code::Starting
            | Code::Overloaded
            | Code::Stopping
            | Code::AnswerTooSlow
            | Code::NoRoom => Some(RETRY_SOON_SECONDS),
            Code::ReadOnly | Code::OutcomeUnknown | Code::ClockJumped => Some(RETRY_AFTER_RESTART_SECONDS),
            _ => None,
        }
    }
}

/// Status and title of each rule: missing is 404, impossible at present is 409, always invalid is 422, full
/// is 507.
fn rejection_row(rejection: Rejection) -> (u16, &'static str) {
    match rejection {
        Rejection::MemberExists => (409, "This member was registered before with other arguments"),
        Rejection::SponsorUnknown => (404, "The sponsor is not a member"),
        Rejection::SponsorNotActive => (409, "The sponsor is not active"),
        Rejection::ParentUnknown => (404, "The parent is not a member"),
        Rejection::ParentOutsideSponsorSubtree => (409, "The parent is not the sponsor or below it"),
        Rejection::SlotTaken => (409, "The slot is taken"),
        Rejection::SlotOutOfRange => (409, "There is no such slot"),
        Rejection::RuleNotAllowed => (409, "The plan does not allow this placement rule"),
        Rejection::StrategicNotAllowed => (409, "The plan does not allow naming a slot"),
        Rejection::CodeTaken => (409, "The referral code is taken"),
        Rejection::NetworkFull => (507, "The network is full"),
        Rejection::MemberUnknown => (404, "There is no such member"),
        Rejection::AdminsFull => (409, "There are as many admins as a network can have"),
        Rejection::StatusChangeNotAllowed => (409, "This status cannot follow the present one"),
        Rejection::TriggerUnknown => (409, "The plan has no bonus of this kind"),
        Rejection::AmountMissing => (409, "The plan takes this bonus from an amount, and none was given"),
        Rejection::AmountOutOfRange => (409, "The amount is negative or too large"),
        Rejection::TriggeredBefore => (409, "This bonus was paid before"),
        Rejection::EntryUnknown => (404, "There is no such bonus"),
        Rejection::LedgerFull => (507, "The ledger is full"),
        Rejection::KeyReused => (422, "The Idempotency-Key was used for another request"),
        Rejection::PlanPlacementFixed => (409, "Width and placement rules are fixed once a member exists"),
        Rejection::PlanCurrencyFixed => (409, "The currency is fixed once a bonus exists"),
        Rejection::PlanRanksRemoved => (409, "A plan change cannot take ranks away or change their kind"),
        Rejection::PlanNamesRemoved => {
            (409, "A plan change cannot remove, rename or move what orders, periods and attributes refer to")
        }
        Rejection::PlanKindsFull => (409, "There are as many kinds of bonuses as a network can have"),
        Rejection::PlanUnchanged => (409, "This plan is in force already"),
        Rejection::RootWithPlacement => (409, "A root has no place to choose"),
        Rejection::RowIdTaken => (409, "Another row has this id"),
        Rejection::RankUnknown => (409, "The plan has no such rank"),
        Rejection::TurnUnknown => (409, "The plan has no such turn"),
        Rejection::CodeAmbiguous => (409, "Several referral codes are like this one"),
        Rejection::CodeReadsAsId => (422, "A referral code cannot read as a UUID"),
        Rejection::ReversedBefore => (409, "This bonus was reversed before"),
        Rejection::EntryIsReversal => (409, "A reversal cannot be reversed"),
        Rejection::EntryChangeNotAllowed => (409, "The state of this bonus does not allow it"),
        Rejection::ReversalUnmatched => (409, "The amount is negative and takes no bonus back"),
        Rejection::OrdersNotTaken => (409, "The plan has no calendars, so there are no orders"),
        Rejection::OrderIdTaken => (409, "Another order or refund has this id"),
        Rejection::OrderMalformed => {
            (422, "Parts that do not add up to 1, no line, or an amount or volume out of range")
        }
        Rejection::OrderKindUnknown => (422, "The plan has no such kind of orders, or the order names none"),
        Rejection::OrderTagUnknown => (422, "The plan has no such tag of orders"),
        Rejection::MarketUnknown => (422, "The plan has no such market"),
        Rejection::CustomerOfAnother => (409, "The customer belongs to another member"),
        Rejection::BeforeOpening => (409, "The order is from before the first period"),
        Rejection::OrderLate => (409, "The period of the order takes no more orders"),
        Rejection::PeriodNotOpen => (409, "The period of the order is not open yet"),
        Rejection::VolumesFull => (507, "The sum of a volume over all orders is too large"),
        Rejection::OrdersFull => (507, "There are as many orders as a network can have"),
        Rejection::OrderUnknown => (404, "There is no such order"),
        Rejection::OrderLineUnknown => (422, "The order has no such line"),
        Rejection::RefundTooLarge => (409, "More than is left of the order"),
        Rejection::CalendarUnknown => (404, "The plan has no such calendar"),
        Rejection::PeriodUnknown => (404, "There is no such period"),
        Rejection::PeriodMismatched => (409, "A period begins where the one before ends"),
        Rejection::PeriodNotOver => (409, "The period is not over"),
        Rejection::PeriodOutOfOrder => {
            (409, "Periods are locked, run, posted and sealed one after the other")
        }
        Rejection::PeriodStepNotAllowed => (409, "The state of this period does not allow it"),
        Rejection::ApproverIsRunner => (409, "Somebody else than who made the run must approve it"),
        Rejection::RunMismatched => (409, "The run is of another plan or state"),
        Rejection::AttributeUnknown => (422, "The plan declares no such attribute"),
        Rejection::AttributeMalformed => {
            (422, "Too many attributes, one twice, or a tag that ends before it begins")
        }
        Rejection::OwnerUnknown => (422, "There is no such member to be the owner"),
        Rejection::AttributePeriodLocked => (409, "The time is in no period, or only in locked ones"),
        Rejection::RefundsFull => (507, "The order has as many refunds as an order can have"),
        Rejection::PeriodsFull => (507, "There are as many periods, steps or runs as can be kept"),
        Rejection::SealStale => (409, "The files of the seal are not what would leave the network now"),
        Rejection::RecallMismatched => (409, "The sealed order does not fit the network"),
        Rejection::OpeningClosed => (409, "The opening state is closed"),
        Rejection::OpeningTooLate => (409, "A period was locked, so the opening state is fixed"),
        Rejection::OpeningMalformed => {
            (422, "A row of the opening state lacks something, or has what its kind does not")
        }
        Rejection::OpeningOutOfOrder => (409, "Rows of the opening state ascend, and each is there once"),
        Rejection::OpeningMismatched => (409, "The opening state has other rows than its end says"),
        Rejection::OpeningUnfinished => (409, "The opening state was begun and is not closed"),
        Rejection::OpeningFull => (507, "The opening state has as many rows or sums as can be kept"),
        Rejection::AttributesFull => (507, "There are as many values of attributes as can be kept"),
    }
}

/// Maximum characters of a text in a problem. Texts may echo input, which need not come back whole; none of
/// our own is longer.
const TEXT_CHARS_MAX: usize = 300;

/// The text, truncated with a mark if it is too long.
pub fn cut(text: Cow<'static, str>) -> Cow<'static, str> {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}\u{2026}", &text[..end]).into(),
        None => text,
    }
}

/// A failure with its details. Boxed, so that results stay small on success.
#[derive(Clone, Debug)]
pub struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: Option<Cow<'static, str>>,
    lsn: Option<u64>,
    retry_after: Option<u32>,
    more: Map<String, Value>,
}

impl Problem {
    pub fn new(code: Code) -> Self {
        Self(Box::new(Parts {
            code,
            detail: None,
            lsn: None,
            retry_after: code.retry_after(),
            more: Map::new(),
        }))
    }

    /// Details of this occurrence, for people. No internals. A long one is cut ([`TEXT_CHARS_MAX`]).
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(cut(detail.into()));
        self
    }

    /// The LSN of the state that decided it.
    #[must_use]
    pub fn at(mut self, lsn: u64) -> Self {
        self.0.lsn = Some(lsn);
        self
    }

    /// Another member of the object, for programs: `field`, `oldest_lsn` and the like. A long text is cut
    /// ([`TEXT_CHARS_MAX`]).
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = match value.into() {
            Value::String(text) => cut(text.into()).into(),
            other => other,
        };
        self.0.more.insert(name.to_owned(), value);
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The object as sent.
    pub fn to_json(&self) -> Value {
        let code = self.0.code;
        let mut object = Map::new();
        object.insert("type".into(), type_of(code).into());
        object.insert("title".into(), code.title().into());
        object.insert("status".into(), code.status().as_u16().into());
        object.insert("code".into(), code.name().into());
        if let Some(detail) = &self.0.detail {
            object.insert("detail".into(), detail.clone().into_owned().into());
        }
        if let Some(lsn) = self.0.lsn {
            object.insert("lsn".into(), lsn.into());
        }
        object.extend(self.0.more.clone());
        object.into()
    }
}

/// `type` of a problem: a name, not an address; nothing has to be reachable to understand an answer.
fn type_of(code: Code) -> String {
    format!("urn:upline:problem:{}", code.name())
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self::new(code)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::new(Code::Rejected(rejection))
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        Self::new(match error {
            SubmitError::Overloaded => Code::Overloaded,
            SubmitError::Stopping => Code::Stopping,
            SubmitError::ReadOnly => Code::ReadOnly,
            SubmitError::OutcomeUnknown => Code::OutcomeUnknown,
            SubmitError::TooLarge => Code::BodyTooLarge,
            SubmitError::NoRoom => Code::NoRoom,
            SubmitError::ClockJumped => Code::ClockJumped,
            SubmitError::SealsUnreadable => Code::SealsUnreadable,
        })
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let code = problem.code();
        let mut reply = reply::with_type(code.status(), PROBLEM_JSON, problem.to_json().to_string());
        let headers = reply.headers_mut();
        if let Some(lsn) = problem.0.lsn {
            headers.insert(super::X_LSN, HeaderValue::from(lsn));
        }
        if let Some(seconds) = problem.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == Code::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if code == Code::BodyEncoded {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if matches!(code, Code::BodyTooLarge | Code::BodyTooSlow) {
            // The rest of the body is not read.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        reply
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Reply {
        self.into()
    }
}

/// Answers of an operation, by status.
pub type Responses = BTreeMap<String, RefOr<Response>>;

/// Codes that any operation may answer: the request reader, the gate, the query check and the service run
/// before all of them. A body is read before it is known whether the route takes one.
const EVERYWHERE: [Code; 15] = [
    Code::HostInvalid,
    Code::BodyMalformed,
    Code::Unauthenticated,
    Code::SubjectNotMember,
    Code::Forbidden,
    Code::OriginForeign,
    Code::HostUnknown,
    Code::BodyTooSlow,
    Code::BodyTooLarge,
    Code::FieldUnknown,
    Code::ParameterUnknown,
    Code::RateLimited,
    Code::Internal,
    Code::Starting,
    Code::Overloaded,
];

/// The answers of an operation with these codes, and those of all operations, by status, each with one
/// example per code.
pub fn described(codes: &[Code]) -> Responses {
    grouped(&[codes, &EVERYWHERE].concat())
}

/// Declares the errors of a kind of route, from lists of codes: a type for `#[utoipa::path(responses(...))]`.
macro_rules! problems {
    ($(#[$about:meta])* $visibility:vis $name:ident: $($codes:expr),+ $(,)?) => {
        $(#[$about])*
        $visibility struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> $crate::http::v1::problem::Responses {
                $crate::http::v1::problem::described(&[$(&$codes[..]),+].concat())
            }
        }
    };
}
pub(super) use problems;

fn grouped(codes: &[Code]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in codes {
        let of_status = by_status.entry(code.status().as_u16()).or_default();
        if !of_status.contains(code) {
            of_status.push(*code);
        }
    }
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), described_status(&codes).into()))
        .collect()
}

fn described_status(codes: &[Code]) -> Response {
    let examples = codes.iter().map(|code| {
        let example =
            ExampleBuilder::new().summary(code.title()).value(Some(Problem::new(*code).to_json())).build();
        (code.name().to_owned(), RefOr::T(example))
    });
    let mut content = Content::new(Some(Ref::from_schema_name("Problem")));
    content.examples = examples.collect();
    let names: Vec<String> = codes.iter().map(|code| format!("`{}`", code.name())).collect();
    let mut response = ResponseBuilder::new().description(names.join(", ")).content(PROBLEM_JSON, content);
    if codes.iter().any(|code| code.retry_after().is_some()) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).build();
        let retry = HeaderBuilder::new().schema(Some(seconds)).description(Some("Seconds to wait")).build();
        response = response.header("Retry-After", retry);
    }
    response.build()
}

/// A reference to [`schema`].
pub fn reference() -> RefOr<Schema> {
    Ref::from_schema_name("Problem").into()
}

/// Schema `Problem` of the description.
pub fn schema() -> Value {
    let codes: Vec<&str> = Code::all().map(Code::name).collect();
    json!({
        "type": "object",
        "description": "RFC 9457. Branch on `code`; `title` and `detail` are for people.",
        "properties": {
            "type": { "type": "string", "description": "`urn:upline:problem:` and the code" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "code": { "type": "string", "enum": codes },
            "detail": { "type": "string", "description": "What happened this time" },
            "lsn": { "type": "integer", "minimum": 0, "description": "LSN of the state that was judged by" },
            "field": { "type": "string", "description": "Field or parameter at fault" },
            "errors": {
                "type": "array",
                "description": "All that is wrong, where one field is not all",
                "items": {
                    "type": "object",
                    "properties": { "field": { "type": "string" }, "reason": { "type": "string" } },
                    "required": ["field", "reason"],
                },
            },
            "newest_lsn": {
                "type": "integer", "minimum": 0, "description": "The last LSN that can be asked for",
            },
            "oldest_lsn": {
                "type": "integer", "minimum": 0, "description": "The first LSN that can still be asked for",
            },
        },
        "required": ["type", "title", "status", "code"],
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_has_a_name_of_its_own_and_an_error_status() {
        let names: BTreeSet<&str> = Code::all().map(Code::name).collect();
        assert_eq!(names.len(), Code::OURS.len() + Rejection::ALL.len());
        for code in Code::all() {
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{code:?}");
            assert_eq!(
                code.status() == StatusCode::SERVICE_UNAVAILABLE || code == Code::RateLimited,
                code.retry_after().is_some(),
                "{code:?}"
            );
        }
    }

    #[test]
    fn every_code_is_in_the_documentation() {
        let page = include_str!("../../../docs/api.md");
        for code in Code::all() {
            let row = format!("| `{}` | {} | {} |", code.name(), code.status().as_u16(), code.title());
            assert!(page.contains(&row), "docs/api.md lacks {row}");
        }
    }

    #[test]
    fn a_problem_says_what_it_has_to_say() {
        let problem = Problem::from(Rejection::SlotTaken)
            .detail("slot 1 is taken")
            .at(7)
            .with("field", "placement.slot");
        let reply = Reply::from(problem.clone());
        assert_eq!(reply.status(), 409);
        assert_eq!(reply.headers()["content-type"], PROBLEM_JSON);
        assert_eq!(reply.headers()["x-lsn"], "7");
        assert_eq!(
            problem.to_json(),
            json!({
                "type": "urn:upline:problem:slot_taken", "title": "The slot is taken", "status": 409,
                "code": "slot_taken",
                "detail": "slot 1 is taken", "lsn": 7, "field": "placement.slot",
            })
        );
    }

    #[test]
    fn long_texts_are_cut_between_two_characters() {
        // characters sent, characters kept
        for (sent, kept) in [
            (0, 0),
            (TEXT_CHARS_MAX, TEXT_CHARS_MAX),
            (TEXT_CHARS_MAX + 1, TEXT_CHARS_MAX + 1),
            (50_000, TEXT_CHARS_MAX + 1),
        ] {
            let text = "\u{e9}".repeat(sent);
            let problem = Problem::new(Code::FieldInvalid).detail(text.clone()).with("field", text).to_json();
            for name in ["detail", "field"] {
                let found = problem[name].as_str().unwrap();
                assert_eq!(found.chars().count(), kept, "{name}");
                assert_eq!(found.ends_with('\u{2026}'), TEXT_CHARS_MAX < sent, "{name}");
            }
        }
    }

    #[test]
    fn descriptions_group_codes_by_status() {
        let described =
            grouped(&[Code::FieldInvalid, Code::Overloaded, Code::FieldUnknown, Code::FieldInvalid]);
        assert_eq!(described.keys().collect::<Vec<_>>(), ["422", "503"]);
        let RefOr::T(response) = &described["422"] else { panic!("inline") };
        let RefOr::T(content) = &response.content[PROBLEM_JSON] else { panic!("inline") };
        assert_eq!(content.examples.len(), 2);
    }
}
