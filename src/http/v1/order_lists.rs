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
        Code as ReferralCode, Engine, MemberDirectory, MemberIx, OrderId, OrderList, OrderView, PeriodRef,
        Rejection, SealedFilter, State, Timestamp,
    },
    http::{
        auth::{Action, Sight, Target},
        context::Shared,
        limits::SLICE_STEPS,
        reply::Reply,
    },
};

/// What looking at an order that a filter leaves out takes, in steps.
const ORDER_STEPS: usize = 16;
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
        format!("orders/{:?}", (member, customer, group, calendar, period, time(from), time(to), as_of))
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

/// Which orders a list shows.
pub struct OrderFilter {
    pub member: Option<MemberIx>,
    pub customer: Option<OrderId>,
    pub group: Option<OrderId>,
    pub period: Option<PeriodRef>,
    /// Those from this time on.
    pub from: Timestamp,
    /// Those before this time.
    pub until: Timestamp,
}

impl OrderFilter {
    /// The shortest of the lists that have all of these orders; `None` if there are none.
    pub fn list(&self, state: &State) -> Option<OrderList> {
        if let Some(customer) = &self.customer {
            return state.customer(customer).map(|(customer, _)| OrderList::OfCustomer(customer));
        }
        if let Some(group) = &self.group {
            return state.order_group(group).map(OrderList::OfGroup);
        }
        Some(match (self.member, self.period) {
            (Some(member), _) => OrderList::OfMember(member),
            (None, Some(period)) => OrderList::InPeriod(period),
            (None, None) => OrderList::All,
        })
    }

    /// The same filter for sealed orders.
    pub fn of_sealed(&self, state: &State) -> SealedFilter {
        let Self { member, customer, group, period, from, until } = self;
        // Orders of a customer are those of its member: files find these.
        let owner = customer.as_ref().and_then(|customer| state.customer(customer)).map(|(_, owner)| owner);
        let labeled = |period: PeriodRef| {
            let calendar = state.plan().commerce.calendars.get(usize::from(period.calendar))?;
            Some((calendar.name.clone(), state.period(period)?.label.clone()))
        };
        SealedFilter {
            member: member.or(owner).map(|member| state.member(member).id),
            customer: customer.clone(),
            group: group.clone(),
            period: period.and_then(labeled),
            from: (from.0 != i64::MIN).then_some(*from),
            until: (until.0 != i64::MAX).then_some(*until),
        }
    }

    /// Whether an order of that list is shown.
    pub fn shows(&self, order: &OrderView) -> bool {
        let Self { member, customer, group, period, from, until } = self;
        let is = |id: &OrderId, other: &Option<Box<str>>| other.as_deref() == Some(id.as_str());
        (*from..*until).contains(&order.time)
            && member.is_none_or(|member| order.credits.iter().any(|(credited, _)| *credited == member))
            && period.is_none_or(|period| order.periods.contains(&period))
            && customer.as_ref().is_none_or(|id| is(id, &order.customer))
            && group.as_ref().is_none_or(|id| is(id, &order.group))
    }
}

/// A list of orders: first those in the state, then those in files.
struct Orders {
    sight: Sight,
    filter: OrderFilter,
    list: OrderList,
    /// Seals when `part` was determined: each changes the places of lists.
    seals: usize,
    /// The LSN of the last order that was looked at in the state.
    last_lsn: u64,
    part: Part,
}

/// Where a list goes on.
enum Part {
    /// At a place in the state.
    Open(u32),
    /// After the orders of the state that were looked at: its places changed.
    After,
    /// With the sealed orders whose LSN is below this.
    Sealed(Option<u64>),
    /// With the sealed orders that were read, and then so.
    Read(Vec<OrderView>, Option<u64>),
    Nowhere,
}

impl Orders {
    /// Where a list goes on when nothing is left in the state.
    fn after_open(&self) -> Part {
        // Members and customers without orders in the state may have some in files.
        if self.seals == 0 { Part::Nowhere } else { Part::Sealed(None) }
    }

    /// Begins where a cursor says.
    fn resume(&mut self, words: &[u64], state: &State) -> Result<(), Problem> {
        match *words {
            [seals, place, last_lsn] => {
                let place = u32::try_from(place).map_err(|_| cursor_invalid())?;
                self.last_lsn = last_lsn;
                self.part = if seals == self.seals as u64 {
                    state.order_at(self.list, place).ok_or_else(cursor_invalid)?;
                    Part::Open(place)
                } else {
                    Part::After
                };
            }
            [before] => self.part = Part::Sealed(Some(before).filter(|before| *before != u64::MAX)),
            _ => return Err(cursor_invalid()),
        }
        Ok(())
    }

    /// A seal came between two slices: the places of the list changed, its order did not.
    fn follow(&mut self, state: &State) {
        let seals = state.seals().len();
        if std::mem::replace(&mut self.seals, seals) != seals && matches!(self.part, Part::Open(_)) {
            self.part = Part::After;
        }
        if matches!(self.part, Part::After) {
            let first = state.first_order(self.list);
            self.part = first.map_or_else(|| self.after_open(), Part::Open);
        }
    }

    /// Looks at the orders of the state.
    fn open_slice(&mut self, reader: &Reader<'_>, most: usize, out: &mut Vec<Order>) {
        let state = reader.state;
        let mut steps = 0;
        let after = self.last_lsn;
        while out.len() < most
            && steps < SLICE_STEPS
            && let Part::Open(place) = self.part
        {
            let Some((number, next)) = state.order_at(self.list, place) else {
                self.part = self.after_open();
                break;
            };
            self.part = next.map_or_else(|| self.after_open(), Part::Open);
            let order = state.order(number);
            // A line or a refund is as much work as an order without any.
            steps += ORDER_STEPS * (1 + order.lines.len() + order.refunds.len());
            // Those that were looked at before a seal changed the places come again.
            if after <= order.lsn {
                continue;
            }
            self.last_lsn = order.lsn;
            if self.filter.shows(&order) {
                out.push(Order::new(state, self.sight, &order));
            }
        }
        reader.note(steps);
    }
}

impl Listing for Orders {
    type Item = Order;
    const WALKS: bool = true;

    fn prepare(&mut self, engine: &Engine, rows: usize) -> Result<(), Problem> {
        if let Part::Sealed(before) = self.part {
            let filter = engine.read(|state, _| self.filter.of_sealed(state));
            let (orders, next) = engine.sealed_orders(&filter, before, rows)?;
            self.part = Part::Read(orders, next);
        }
        Ok(())
    }

    fn slice(&mut self, reader: &Reader<'_>, rows: usize, out: &mut Vec<Order>) -> bool {
        self.follow(reader.state);
        self.open_slice(reader, out.len() + rows, out);
        if let Part::Read(orders, next) = &mut self.part {
            let orders = std::mem::take(orders);
            // They cost a read of files each.
            reader.note(SEALED_STEPS * orders.len());
            out.extend(orders.iter().map(|order| Order::new(reader.state, self.sight, order)));
            self.part = next.map_or(Part::Nowhere, |next| Part::Sealed(Some(next)));
        }
        !matches!(self.part, Part::Nowhere)
    }

    fn position(&self) -> Vec<u64> {
        match self.part {
            Part::Open(place) => vec![self.seals as u64, place.into(), self.last_lsn],
            // No number of seals: it is found by LSN.
            Part::After => vec![u64::MAX, 0, self.last_lsn],
            Part::Sealed(before) => vec![before.unwrap_or(u64::MAX)],
            Part::Read(..) | Part::Nowhere => Vec::new(),
        }
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
/// Newest first, in the order in which they were placed, those that are sealed last; those that are placed
/// after the first page was read are in no later page of the same list. If a period is sealed between two
/// pages, its orders may come twice, and none is left out. Of customer, group, member and period there is an
/// index, and the first of these that is named is used; other filters look through all that it leaves, so
/// that a page may be short, or empty with a cursor. A member asks with `member`: for itself, or for a member
/// of its downline.
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
        let (seals, last_lsn) = (state.seals().len(), u64::MAX);
        let Some(list) = filter.list(state) else {
            return Ok(Orders { sight, filter, list: OrderList::All, seals, last_lsn, part: Part::Nowhere });
        };
        let mut orders = Orders { sight, filter, list, seals, last_lsn, part: Part::Nowhere };
        match after.as_deref() {
            None => orders.part = state.first_order(list).map_or_else(|| orders.after_open(), Part::Open),
            Some(words) => orders.resume(words, state)?,
        }
        Ok(orders)
    };
    let Some(as_of) = query.as_of else {
        return page::list(&shared, &caller, &headers, query.limit, &cursors, begin).await;
    };
    // A principal that may not see the present may not see the past.
    engine.read(|state, directory| query.filter(&caller, state, directory).map(drop))?;
    let past = as_of::past(&shared, &caller, as_of).await?;
    page::past(&shared, &caller, &past, query.limit, &cursors, begin).await
}
