//! Lists of orders: `GET /v1/orders`.

use std::sync::Arc;

use axum::{extract::State as Extract, http::HeaderMap};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    as_of::{self, AsOf},
    calendars,
    caller::Caller,
    extract::Query,
    lists::{COMMON, cursor_invalid, opened},
    order_view::Order,
    page::{self, Cursors, Listing, Page, Reader, list_query},
    problem::{Code, Problem, problems},
    types::{Time, member_id},
};
use crate::{
    engine::{
        Code as ReferralCode, Engine, MemberDirectory, MemberIx, NextOrder, OrderFilter, OrderId, OrderPages,
        Rejection, State, Timestamp,
    },
    http::{
        auth::{Action, Sight, Target},
        context::Shared,
        limits::SLICE_STEPS,
        reply::Reply,
    },
};

/// What reading a sealed order takes, in steps.
const SEALED_STEPS: usize = 256;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(orders))
}

list_query! {
    struct OrdersQuery {
        /// Only those that are credited to this member, by user_id or by referral code. Others than members
        /// ask for all orders without it.
        #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$", example = "ANNA-7")]
        member: Option<String>,
        /// Only those that this customer bought.
        #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "C-88")]
        customer: Option<String>,
        /// Only those of this group.
        #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "party-12")]
        group: Option<String>,
        /// With `period`: only those that this calendar booked in that period.
        #[param(min_length = 1, max_length = 64, example = "month")]
        calendar: Option<String>,
        /// The label of a period of `calendar`.
        #[param(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._:-]{1,64}$", example = "2026-11")]
        period: Option<String>,
        /// Only those of this time or later.
        from: Option<Time>,
        /// Only those of before this time.
        to: Option<Time>,
        /// Read the past: an LSN, or a time that is over. As far back as the log is kept; always in pages.
        #[param(value_type = Option<String>, max_length = 96)]
        as_of: Option<AsOf>,
    }
}

impl OrdersQuery {
    /// Everything that identifies the list.
    fn name(&self) -> String {
        let Self { member, customer, group, calendar, period, from, to, as_of, limit: _, cursor: _ } = self;
        let time = |time: &Option<Time>| time.map(|time| time.0.0);
        format!(
            "orders/by-command/{:?}",
            (member, customer, group, calendar, period, time(from), time(to), as_of)
        )
    }

    /// What the list shows in a network, after its sender was asked whether it may.
    fn filter(
        &self,
        caller: &Caller,
        state: &State,
        directory: &MemberDirectory,
    ) -> Result<OrderFilter, Problem> {
        let member = match &self.member {
            None => {
                caller.network(Action::ReadNetwork, state, directory)?;
                None
            }
            Some(name) => Some(member_named(caller, name, state, directory)?),
        };
        let id = |text: &Option<String>, field| text.as_ref().map(|text| id(text, field)).transpose();
        let customer = id(&self.customer, "customer")?;
        let group = id(&self.group, "group")?;
        let period = match (&self.calendar, &self.period) {
            (Some(calendar), Some(label)) => Some(calendars::find(state, calendar, label)?),
            (None, None) => None,
            _ => {
                let detail = "calendar and period go together";
                return Err(Problem::new(Code::ParameterInvalid).with("field", "period").detail(detail));
            }
        };
        Ok(OrderFilter {
            member,
            customer,
            group,
            period,
            from: self.from.map_or(Timestamp(i64::MIN), |from| from.0),
            until: self.to.map_or(Timestamp(i64::MAX), |to| to.0),
        })
    }
}

/// A member that is named by id or by code, if the caller may see it.
fn member_named(
    caller: &Caller,
    name: &str,
    state: &State,
    directory: &MemberDirectory,
) -> Result<MemberIx, Problem> {
    let about = |problem: Problem| problem.with("field", "member");
    if let Ok(id) = Uuid::parse_str(name) {
        let target = Target::member(state, directory, &member_id(id));
        return caller.found(Action::ReadMember, target, state, directory).map_err(about);
    }
    let code = ReferralCode::parse(name)
        .ok_or_else(|| about(Code::ParameterInvalid.into()).detail("neither a UUID nor a referral code"))?;
    // A code that several are like is to be told to those alone who see all members.
    let owner = state.look_up_code(directory, &code).or_else(|rejection| {
        let may_know = caller.network(Action::ReadNetwork, state, directory);
        may_know.map_or(Ok(None), |()| Err(about(rejection.into()).at(state.lsn())))
    })?;
    let target = Target::by_code(state, owner, &code);
    caller.found(Action::ReadMember, target, state, directory).map_err(about)
}

fn id(text: &str, field: &'static str) -> Result<OrderId, Problem> {
    OrderId::parse(text).ok_or_else(|| {
        let detail = "ids are 1 to 64 of A-Z, a-z, 0-9, ., _, : and -";
        Problem::new(Code::ParameterInvalid).with("field", field).detail(detail)
    })
}

/// A list of orders.
struct Orders {
    sight: Sight,
    pages: OrderPages,
}

impl Listing for Orders {
    type Item = Order<'static>;
    const WALKS: bool = true;

    fn prepare(&mut self, engine: &Engine, rows: usize) -> Result<(), Problem> {
        Ok(self.pages.prepare(engine, rows)?)
    }

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Order<'static>>) -> bool {
        let (state, begun) = (reader.state, out.len());
        let bookmark = self.pages.bookmark(state);
        let (mut steps, mut sealed) = (SLICE_STEPS, 0);
        let more = loop {
            if out.len() == begun + rows {
                break true;
            }
            let order = match self.pages.next(state, &mut steps) {
                NextOrder::Open(order) => order,
                NextOrder::Sealed(order) => {
                    sealed += 1;
                    order
                }
                NextOrder::NeedsFiles => {
                    // A page is of one state: where it begins in memory and ends in files, it begins again
                    // when these were read.
                    if self.pages.go_back(bookmark) {
                        out.truncate(begun);
                    }
                    break true;
                }
                NextOrder::Tired => break true,
                NextOrder::End => break false,
            };
            out.push(Order::new(state, self.sight, &order).into_owned());
        };
        // A sealed order costs a read of files.
        reader.note(SLICE_STEPS - steps + SEALED_STEPS * sealed);
        more
    }

    fn position(&self) -> Vec<u64> {
        self.pages.position().to_vec()
    }
}

problems!(
    ListProblems: COMMON,
    [
        Code::CursorInvalid,
        Code::Rejected(Rejection::MemberUnknown),
        Code::Rejected(Rejection::CodeAmbiguous),
        Code::Rejected(Rejection::CalendarUnknown),
        Code::Rejected(Rejection::PeriodUnknown),
    ], as_of::PROBLEMS
);

/// Orders
///
/// Newest first, in the order in which they were placed, sealed or not; each is there once, whatever is
/// placed, sealed and refunded between two pages, and those that are placed after the first page was read are
/// in no later page of the same list. Of customer, group, member and period there is an index, and the first
/// of these that is named is used; other filters look through all that it leaves, and a page reads only so
/// many files, so that it may be short, or empty with a cursor. A member asks with `member`: for itself, or
/// for a member of its downline.
#[utoipa::path(
    get, path = "/v1/orders", tag = "orders",
    params(OrdersQuery),
    responses(
        (
            status = 200, description = "A page, or all as NDJSON",
            content((Page<Order> = "application/json"), (Order = "application/x-ndjson")),
            headers(("x-lsn" = u64, description = "LSN of the state that was read"))
        ),
        ListProblems
    )
)]
async fn orders(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    Query(query): Query<OrdersQuery>,
    headers: HeaderMap,
) -> Result<Reply, Problem> {
    let engine = shared.v1_engine()?;
    let cursors = Cursors::new(engine, &query.name());
    let after = opened(&cursors, query.cursor.as_deref())?;
    let begin = |state: &State, directory: &MemberDirectory| {
        let filter = query.filter(&caller, state, directory)?;
        let sight = caller.0.sight(state, directory);
        let pages = match after.as_deref() {
            None => OrderPages::new(state, filter),
            Some(words) => {
                let position = words.try_into().map_err(|_| cursor_invalid())?;
                OrderPages::resume(state, filter, position).ok_or_else(cursor_invalid)?
            }
        };
        Ok(Orders { sight, pages })
    };
    let Some(as_of) = query.as_of else {
        return page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await;
    };
    // A principal that may not see the present may not see the past.
    engine.read(|state, directory| query.filter(&caller, state, directory).map(drop))?;
    let past = as_of::past(&shared, &caller, as_of).await?;
    page::past(&shared, &caller, &past, query.limit, &cursors, begin).await
}
