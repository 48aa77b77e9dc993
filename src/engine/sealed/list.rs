//! Lists of orders, sealed or not, in the order in which they were placed.

use std::collections::VecDeque;

use super::orders::{SealedFilter, SealedOrders, SealedRow};
use crate::{
    core::{
        OrderList, OrderView, OrderWalk, Peeked,
        command::{OrderId, PeriodRef},
        state::{Directory, State},
        types::{MemberIx, Timestamp},
    },
    engine::{SubmitError, handle::Engine},
};

/// Sealed orders that are put together under one hold of the lock.
const SHOWN_TOGETHER: usize = 64;
/// Sealed orders that are read at a time where a list goes on and on, and how often it doubles to get there.
const READ_TOGETHER: usize = 1_024;
const READS_DOUBLED: u32 = 10;
/// What looking at an order of the state takes, in steps.
const ORDER_STEPS: usize = 16;

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
    /// All orders.
    pub const ALL: Self = Self {
        member: None,
        customer: None,
        group: None,
        period: None,
        from: Timestamp(i64::MIN),
        until: Timestamp(i64::MAX),
    };

    /// The shortest of the lists that have all of these orders; `None` if there are none.
    fn list(&self, state: &State) -> Option<OrderList> {
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
    fn of_sealed(&self, state: &State) -> SealedFilter {
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
    fn shows(&self, order: &OrderView) -> bool {
        let Self { member, customer, group, period, from, until } = self;
        let is = |id: &OrderId, other: &Option<Box<str>>| other.as_deref() == Some(id.as_str());
        (*from..*until).contains(&order.time)
            && member.is_none_or(|member| order.credits.iter().any(|(credited, _)| *credited == member))
            && period.is_none_or(|period| order.periods.contains(&period))
            && customer.as_ref().is_none_or(|id| is(id, &order.customer))
            && group.as_ref().is_none_or(|id| is(id, &order.group))
    }
}

/// A list of orders, newest first by the commands that placed them, those of the state and those in files.
///
/// Each order has its place by a command, which neither a seal nor a recall changes. So a list that goes on
/// before a command has each order once, whatever became of the others meanwhile, and a cursor is that
/// command. Of one order both the state and the files may have something: then it is as the state has it.
pub struct OrderPages {
    filter: OrderFilter,
    of_sealed: SealedFilter,
    /// `None` for a list that has no orders.
    walk: Option<OrderWalk>,
    /// Seals of the state that was read last. Each changes the places of the walk, and what is in files.
    seals: u32,
    /// The sealed orders from `complete_from` on, that the list has not come to yet.
    sealed: VecDeque<OrderView>,
    /// The command from which on `sealed` has all that there are.
    complete_from: u64,
    /// Whether nothing can be said before files are read.
    needs_files: bool,
    /// Times that files were read.
    reads: u32,
}

/// What a list came to.
pub enum NextOrder {
    /// An order of the state.
    Open(OrderView),
    /// One in files.
    Sealed(OrderView),
    /// What comes next is in files: [`OrderPages::prepare`].
    NeedsFiles,
    End,
    /// The steps were used up.
    Tired,
}

/// Where a list is, as words of a cursor.
pub type ListPosition = [u64; 3];

/// Where a list is in a state.
pub struct Bookmark(Option<OrderWalk>);

impl OrderPages {
    /// A list from its beginning.
    pub fn new(state: &State, filter: OrderFilter) -> Self {
        let walk = filter.list(state).map(|list| OrderWalk::new(state, list, u64::MAX));
        Self {
            of_sealed: filter.of_sealed(state),
            filter,
            walk,
            seals: seals_of(state),
            sealed: VecDeque::new(),
            complete_from: unread_from(state),
            needs_files: false,
            reads: 0,
        }
    }

    /// A list that goes on where another one was; `None` where that cannot have been.
    pub fn resume(state: &State, filter: OrderFilter, position: ListPosition) -> Option<Self> {
        let [seals, next, before] = position;
        let mut pages = Self::new(state, filter);
        if let Some(walk) = &mut pages.walk {
            let list = pages.filter.list(state)?;
            *walk = if seals == u64::from(pages.seals) {
                let next = (next != u64::MAX).then(|| u32::try_from(next)).transpose().ok()?;
                OrderWalk::resume(state, list, (next, before))?
            } else {
                OrderWalk::new(state, list, before)
            };
        }
        Some(pages)
    }

    /// Where it is.
    pub fn position(&self) -> ListPosition {
        let (next, before) = self.walk.map_or((None, 0), |walk| walk.position());
        [self.seals.into(), next.map_or(u64::MAX, u64::from), before]
    }

    /// Where it is in a state: what [`OrderPages::go_back`] takes as long as that state is read.
    pub fn bookmark(&mut self, state: &State) -> Bookmark {
        self.follow(state);
        Bookmark(self.walk)
    }

    /// Goes back in the list, to read files first. Returns false, and stays, if it read files already: what
    /// it has come to since cannot be had again.
    pub fn go_back(&mut self, Bookmark(walk): Bookmark) -> bool {
        let may = self.reads == 0;
        if may {
            self.walk = walk;
        }
        may
    }

    /// Reads the files that the next orders are in, if [`OrderPages::next`] needs them: at most `rows` orders
    /// at first, and more the longer the list goes on. One read is a page of [`SealedOrders::list`], and
    /// reads no more blocks than that. It blocks, and takes the lock of the state for moments.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn prepare(&mut self, engine: &Engine, rows: usize) -> Result<(), SubmitError> {
        if !self.needs_files {
            return Ok(());
        }
        // Files are shown before a state names them, so these are all that the state had.
        self.read(&engine.sealed_files(), rows, |some| {
            engine.read(|state, directory| some.iter().map(|row| row.view(state, directory)).collect())
        })
    }

    /// As [`OrderPages::prepare`], where no engine serves the state.
    ///
    /// # Errors
    /// `SealsUnreadable`.
    pub fn prepare_offline(
        &mut self,
        sealed: &SealedOrders,
        rows: usize,
        state: &State,
        directory: &impl Directory,
    ) -> Result<(), SubmitError> {
        if !self.needs_files {
            return Ok(());
        }
        self.read(sealed, rows, |some| some.iter().map(|row| row.view(state, directory)).collect())
    }

    fn read(
        &mut self,
        sealed: &SealedOrders,
        rows: usize,
        view: impl Fn(&[SealedRow]) -> Result<Vec<OrderView>, SubmitError>,
    ) -> Result<(), SubmitError> {
        let before = self.walk.map_or(0, |walk| walk.before());
        let rows = rows.max(READ_TOGETHER.min(rows << self.reads.min(READS_DOUBLED)));
        let (found, next) = sealed.list(&self.of_sealed, self.seals, before, rows)?;
        self.sealed.clear();
        for some in found.chunks(SHOWN_TOGETHER) {
            self.sealed.extend(view(some)?);
        }
        self.complete_from = next.unwrap_or(0);
        self.needs_files = false;
        self.reads += 1;
        Ok(())
    }

    /// The next order that is shown. `state` is that of now, or for a list of the past one that stays.
    pub fn next(&mut self, state: &State, steps: &mut usize) -> NextOrder {
        self.follow(state);
        let Some(walk) = &mut self.walk else { return NextOrder::End };
        while *steps != 0 {
            let open = match walk.peek(state, steps) {
                Peeked::Tired => break,
                Peeked::End => None,
                Peeked::Order { lsn, number } => Some((lsn, number)),
            };
            // One that was recalled since the files were written is as the state has it.
            let is_open = |order: &OrderView| open.is_some_and(|(lsn, _)| order.lsn == lsn);
            if self.sealed.front().is_some_and(is_open) {
                self.sealed.pop_front();
            }
            let sealed_lsn = self.sealed.front().map_or(0, |order| order.lsn);
            let open_lsn = open.map_or(0, |(lsn, _)| lsn);
            if open_lsn.max(sealed_lsn) < self.complete_from {
                walk.pass(self.complete_from);
                self.needs_files = true;
                return NextOrder::NeedsFiles;
            }
            if open_lsn < sealed_lsn {
                walk.pass(sealed_lsn);
                return self.sealed.pop_front().map_or(NextOrder::End, NextOrder::Sealed);
            }
            let Some((lsn, number)) = open else { return NextOrder::End };
            walk.pass(lsn);
            let order = state.order(number);
            // A line or a refund is as much work as an order without any.
            *steps = steps.saturating_sub(ORDER_STEPS * (1 + order.lines.len() + order.refunds.len()));
            if self.filter.shows(&order) {
                return NextOrder::Open(order);
            }
        }
        NextOrder::Tired
    }

    /// A seal changes the places of the walk, not its order, and moves orders into files that were not read.
    fn follow(&mut self, state: &State) {
        let seals = seals_of(state);
        if std::mem::replace(&mut self.seals, seals) == seals {
            return;
        }
        if let Some(walk) = &mut self.walk {
            walk.replace(state);
        }
        self.sealed.clear();
        self.complete_from = unread_from(state);
        self.needs_files = false;
    }
}

fn seals_of(state: &State) -> u32 {
    u32::try_from(state.seals().len()).expect("at most one for each period")
}

/// The command from which on no order is in files: all that a seal took were placed before its view.
fn unread_from(state: &State) -> u64 {
    state.seals().last().map_or(0, |seal| seal.as_of + 1)
}
