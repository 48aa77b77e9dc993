//! The real core and the naive model side by side: both apply every step, and everything visible of them is
//! compared.

use std::cmp::Reverse;

use upline::core::{
    Actor, Digest, EntryFilter, OrderList, OrderWalk, Peeked, audit,
    command::{Applied, Command, OrderId, Outcome, PayFilter, PeriodRef, Register, Rejection, Stamped},
    kept_network_digest, network_digest,
    plan::{PlacementRule, Plan, commerce::CALENDARS_MAX},
    recomputed_ranks,
    state::{CopyProgress, FrozenCopy, Parts, Verdict, ViewId},
    state_digest,
    types::{Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Role, Timestamp, Tree},
};

use crate::networks::{
    naive::Naive,
    network::Real,
    picture::{EntryPicture, Network, OrderPicture, Picture, TREES},
    random::{Chance, Step},
};

/// How often the slower comparisons are made: once in this many steps.
#[derive(Clone, Copy)]
pub struct Pace {
    pub walks: u64,
    pub reopen: u64,
    pub freeze: u64,
}

impl Pace {
    pub const NORMAL: Pace = Pace { walks: 12, reopen: 30, freeze: 20 };
    /// Everything after each step, to find the failing step.
    pub const THOROUGH: Pace = Pace { walks: 1, reopen: 1, freeze: 2 };
}

pub struct Pair {
    real: Real,
    naive: Naive,
    /// Restored from an image of `real` midway; applies everything that `real` does from then on.
    twin: Option<Real>,
    /// Views of different moments.
    frozen: Vec<Frozen>,
    /// Commands and their outcomes; repeats count as refused.
    log: Vec<(Stamped, Outcome)>,
    plan: Plan,
    /// Commands after which the log is of format 3.
    upgraded_at: usize,
    /// Commands after which it is of format 4.
    itemized_at: usize,
    /// From this step on commands are of format 5.
    paired_at: usize,
    /// Decides when the slower comparisons are made.
    chance: Chance,
    pace: Pace,
}

/// Views frozen at once, at most.
const VIEWS_MAX: usize = 4;

struct Frozen {
    view: ViewId,
    parts: Parts,
    copy: FrozenCopy,
    digest: Digest,
    picture: Picture,
}

impl Pair {
    pub fn new(plan: Plan, seed: u64, pace: Pace) -> Self {
        let mut chance = Chance::of(seed);
        let upgraded_at =
            if chance.percent(60) { 0 } else { usize::try_from(chance.below(60)).expect("few") };
        let itemized_at = if chance.percent(60) { upgraded_at } else { upgraded_at + 30 };
        let paired_at = if chance.percent(60) { itemized_at } else { itemized_at + 60 };
        Self {
            upgraded_at,
            itemized_at,
            paired_at,
            real: Real::new(plan.clone()),
            naive: Naive::new(plan.clone()),
            twin: None,
            frozen: Vec::new(),
            log: Vec::new(),
            plan,
            chance,
            pace,
        }
    }

    /// Applies one step to both. Panics where they differ.
    pub fn step(&mut self, step: &Step) -> Outcome {
        let time = Timestamp(self.real.state.time().0 + step.pause);
        // A log that starts in an old format continues in the newest.
        let actor = (self.upgraded_at <= self.log.len()).then(Actor::unknown);
        let format = match self.log.len() {
            len if len < self.itemized_at => 3,
            len if len < self.paired_at => 4,
            _ => Stamped::FORMAT,
        };
        let stamped = Stamped {
            lsn: self.real.state.lsn() + 1,
            time,
            key: step.key,
            format: if actor.is_some() { format } else { 1 },
            actor,
            command: step.command(|id| self.code_of(id)),
        };
        let verdict = self.real.state.check(&self.real.directory, stamped.key, &stamped.command);
        let expected = self.naive.apply(&stamped);
        let applied = self.real.apply(&stamped);
        assert_eq!(applied, expected, "outcome of the core, and of the model");
        // New commands are judged by current rules.
        if (step.pause == 0 || stamped.key.is_none()) && stamped.format == Stamped::FORMAT {
            check_verdict(verdict, &stamped, applied, step.pause != 0);
        }
        self.learn_code(&stamped, applied);
        let picture = self.naive.picture();
        if let Some(difference) = self.real.picture().difference(&picture) {
            panic!("the core's {difference}\n(which is the model's)");
        }
        self.real.check_graphs(&picture);
        self.check_kept_digest();
        if let Some(twin) = &mut self.twin {
            assert_eq!(twin.apply(&stamped), applied, "outcome of the restored twin");
        }
        let done = if applied.lsn == stamped.lsn {
            applied.outcome
        } else {
            Outcome::Rejected(Rejection::KeyReused)
        };
        self.log.push((stamped, done));
        if !self.begins_view(&picture) {
            self.go_on_copying(&picture);
        }
        if self.chance.below(self.pace.walks) == 0 {
            self.check_walks(&picture);
        }
        if self.chance.below(self.pace.reopen) == 0 {
            self.check_whole(&picture);
        }
        applied.outcome
    }

    /// Makes the final comparisons.
    pub fn finish(mut self) {
        let picture = self.naive.picture();
        self.check_walks(&picture);
        self.check_whole(&picture);
        while !self.frozen.is_empty() {
            self.go_on_copying(&picture);
        }
        let mut again = Real::new(self.plan.clone());
        for (stamped, _) in &self.log {
            again.apply(stamped);
        }
        assert_eq!(
            again.state.outcome_hash(),
            self.real.state.outcome_hash(),
            "outcome hash of the same log"
        );
        assert_eq!(state_digest(&again.state), state_digest(&self.real.state), "state of the same log");
        self.check_without_the_refused();
    }

    /// The digest from the sums that are kept. Sometimes those of what changed are kept too.
    fn check_kept_digest(&mut self) {
        let state = &mut self.real.state;
        let (kept, _) = kept_network_digest(state);
        assert_eq!(kept, network_digest(state), "network digest from kept sums");
        if self.chance.percent(60) {
            let mut capture = state.capture_sums(usize::MAX);
            while capture.hash_next(state) {}
            assert_eq!(capture.digest(), Some(kept), "network digest of a capture");
            state.keep_sums(&mut capture.into_fresh(), usize::MAX);
        }
    }

    /// Checks another log that leads to the same network: without the commands that changed nothing. A
    /// reference to an LSN is mapped to the LSN of the same command there.
    fn check_without_the_refused(&self) {
        let mut other = Real::new(self.plan.clone());
        let mut kept = Vec::new();
        for (stamped, outcome) in &self.log {
            if matches!(outcome, Outcome::Rejected(_)) {
                continue;
            }
            let mut command = stamped.command.clone();
            if let Command::PayMatching(PayFilter { up_to_lsn: Some(up_to), .. }) = &mut command {
                *up_to = kept.partition_point(|lsn| *lsn <= *up_to) as u64;
            }
            if let Command::RecordRun(run) = &mut command {
                run.up_to_lsn = kept.partition_point(|lsn| *lsn <= run.up_to_lsn) as u64;
            }
            let among = |lsn: &mut u64| *lsn = kept.partition_point(|kept| *kept <= *lsn) as u64;
            match &mut command {
                Command::SealPeriod(seal) => among(&mut seal.as_of),
                Command::RecallOrder(order) => {
                    among(&mut order.lsn);
                    order.refunds.iter_mut().for_each(|refund| among(&mut refund.lsn));
                }
                _ => {}
            }
            kept.push(stamped.lsn);
            other.apply(&Stamped { lsn: other.state.lsn() + 1, key: None, command, ..stamped.clone() });
        }
        assert_eq!(
            network_digest(&other.state),
            network_digest(&self.real.state),
            "network of a log without refused commands"
        );
    }

    fn code_of(&self, id: &MemberId) -> Option<Code> {
        self.real.state.find(&self.real.directory, id).map(|member| self.real.state.code(member))
    }

    fn learn_code(&mut self, stamped: &Stamped, applied: Applied) {
        if let (Command::Register(Register { code: None, .. }), Outcome::Registered { member }) =
            (&stamped.command, applied.outcome)
        {
            self.naive.learn_code(member.at(), &self.real.state.code(member));
        }
    }

    /// Occasionally freezes a view.
    fn begins_view(&mut self, picture: &Picture) -> bool {
        let begins = self.frozen.len() < VIEWS_MAX && self.chance.below(self.pace.freeze) == 0;
        if begins {
            let parts = if self.chance.percent(70) { Parts::ALL } else { Parts::RANKED };
            let view = self.real.state.freeze(parts).expect("few views");
            let digest = state_digest(&self.real.state);
            self.frozen.push(Frozen {
                view,
                parts,
                copy: FrozenCopy::default(),
                digest,
                picture: picture.clone(),
            });
        }
        begins
    }

    /// Copies the views in parts while the network continues; each must then match the state at its freeze.
    fn go_on_copying(&mut self, picture: &Picture) {
        if self.frozen.is_empty() || self.chance.percent(40) {
            return;
        }
        let at = usize::try_from(self.chance.below(self.frozen.len() as u64)).expect("few views");
        let frozen = &mut self.frozen[at];
        let progress = self.real.state.copy_frozen(frozen.view, &mut frozen.copy);
        if progress == CopyProgress::More {
            // The original must not be needed any more.
            return drop(self.real.state.release(frozen.view));
        }
        let frozen = self.frozen.swap_remove(at);
        drop(self.real.state.thaw(frozen.view));
        if progress == CopyProgress::Lost {
            let sealed =
                |picture: &Picture| picture.periods.iter().filter(|period| period.state == "Sealed").count();
            let of = |picture: &Picture| (picture.plan_version, sealed(picture));
            assert_ne!(of(&frozen.picture), of(picture), "a view is lost by plan changes and seals alone");
            return;
        }
        let state = frozen.copy.into_state();
        if frozen.parts != Parts::ALL {
            let ranks: Vec<u16> = frozen.picture.members.iter().map(|member| member.paid_as).collect();
            assert_eq!(recomputed_ranks(&state), ranks, "ranks of a view of what they follow from");
            return;
        }
        assert_eq!(state_digest(&state), frozen.digest, "digest of the frozen view");
        let view = Real { state, directory: self.real.directory.clone() };
        if let Some(difference) = view.picture().difference(&frozen.picture.of_a_copy()) {
            panic!("the frozen view's {difference}");
        }
        assert_eq!(audit(&view.state, 10), Vec::<String>::new(), "audit of the frozen view");
    }

    /// Checks audit, petgraph, and a restored twin that is equal and stays equal.
    fn check_whole(&mut self, picture: &Picture) {
        let state = &self.real.state;
        assert_eq!(audit(state, 10), Vec::<String>::new(), "audit");
        let ranks: Vec<u16> = picture.members.iter().map(|member| member.paid_as).collect();
        assert_eq!(recomputed_ranks(state), ranks, "ranks recomputed");
        let digest = state_digest(state);
        if let Some(twin) = self.twin.take() {
            assert_eq!(state_digest(&twin.state), digest, "digest of the twin that went on");
            assert_eq!(
                twin.state.outcome_hash(),
                state.outcome_hash(),
                "outcome hash of the twin that went on"
            );
        }
        let twin = self.real.reopened(self.chance.between(1, 50) as usize);
        if let Some(difference) = twin.picture().difference(picture) {
            panic!("the restored {difference}");
        }
        assert_eq!(state_digest(&twin.state), digest, "digest of the restored state");
        assert_eq!(
            network_digest(&twin.state),
            network_digest(state),
            "network digest of the restored state"
        );
        assert_eq!(twin.state.outcome_hash(), state.outcome_hash(), "outcome hash of the restored state");
        self.twin = Some(twin);
    }

    fn check_walks(&mut self, picture: &Picture) {
        for tree in TREES {
            self.check_tree(picture, tree);
        }
        self.check_entries(picture);
        self.check_codes(picture);
        self.check_orders(picture);
        self.check_previews(picture);
    }

    fn check_tree(&mut self, picture: &Picture, tree: Tree) {
        let state = &self.real.state;
        let members = picture.members.len() as u32;
        let before = self.chance.below(u64::from(members) + 1) as u32;
        let mut beyond = vec![Vec::new(); picture.members.len()];
        for index in (0..members).map(MemberIx) {
            let upline: Vec<MemberIx> =
                std::iter::successors(picture.above(tree, index), |here| picture.above(tree, *here))
                    .collect();
            assert_eq!(state.upline(tree, index).collect::<Vec<_>>(), upline, "{tree:?} upline of {index:?}");
            for (deeper, above) in upline.iter().skip(LEVELS_MAX).enumerate() {
                let counts: &mut Vec<u32> = &mut beyond[above.at()];
                counts.resize(counts.len().max(deeper + 1), 0);
                counts[deeper] += 1;
            }
            let other = MemberIx(self.chance.below(u64::from(members)) as u32);
            let distance = upline.iter().position(|above| *above == other).map(|before| before as u32 + 1);
            assert_eq!(
                state.distance(tree, other, index).filter(|distance| *distance != 0),
                distance,
                "{tree:?} from {other:?} to {index:?}"
            );
            assert_eq!(
                state.children(tree, index).collect::<Vec<_>>(),
                children(picture, tree, index),
                "{tree:?} children of {index:?}"
            );
            for before in [before, members] {
                let steps = |after: &MemberIx| state.preorder_next(tree, index, *after, before);
                let walk: Vec<MemberIx> = std::iter::successors(steps(&index), steps).collect();
                assert_eq!(
                    walk,
                    preorder(picture, tree, index, before),
                    "{tree:?} preorder of {index:?} before {before}"
                );
            }
        }
        let counted = picture.plan.counts(tree);
        for (at, member) in picture.members.iter().enumerate().filter(|_| counted) {
            let deep = state.deep_levels_of(tree, MemberIx(at as u32)).map(without_trailing_zeros);
            let expected = (member.role == Role::Admin).then_some(beyond[at].as_slice());
            assert_eq!(deep, expected, "{tree:?} levels beyond {LEVELS_MAX} of {at}");
        }
    }

    fn check_entries(&self, picture: &Picture) {
        let entries = &picture.entries;
        for receiver in (0..picture.members.len() as u32).map(MemberIx) {
            let filter = EntryFilter { receiver: Some(receiver), ..EntryFilter::default() };
            self.check_listed(entries, &filter);
            let mut expected: Vec<usize> =
                (0..entries.len()).filter(|entry| entries[*entry].receiver == receiver).collect();
            expected.sort_by_key(|entry| Reverse((entries[*entry].time, *entry)));
            let received = self.real.state.received_entries(receiver).map(|entry| entry as usize);
            assert_eq!(received.collect::<Vec<_>>(), expected, "entries of {receiver:?}");
        }
        for status in EntryStatus::ALL.map(Some).into_iter().chain([None]) {
            self.check_listed(entries, &EntryFilter { statuses: status.into(), ..EntryFilter::default() });
        }
    }

    /// A list, read in pages, is all entries that match the filter, sorted.
    fn check_listed(&self, entries: &[EntryPicture], filter: &EntryFilter) {
        let state = &self.real.state;
        let mut expected: Vec<usize> =
            (0..entries.len()).filter(|entry| filter.takes(&state.entry(*entry as u64))).collect();
        expected.sort_by_key(|entry| {
            let EntryPicture { time, lsn, level, .. } = entries[*entry];
            (Reverse((time, lsn)), level, *entry)
        });
        let (mut walk, mut listed) = (state.listed(filter.clone()), Vec::new());
        while !walk.is_over() {
            let mut steps = 3;
            listed.extend(state.listed_step(&mut walk, &mut steps).map(|entry| entry as usize));
            walk = state.listed_from(filter.clone(), walk.position()).expect("a position of this walk");
        }
        assert_eq!(listed, expected, "the list by {filter:?}");
    }

    /// Lists of orders, newest first.
    fn check_orders(&self, picture: &Picture) {
        let state = &self.real.state;
        assert_eq!(self.real.files(), self.naive.files(), "what a seal would move into files");
        let check = |list: OrderList, is_in: &dyn Fn(&OrderPicture) -> bool| {
            let expected = picture.orders.iter().enumerate().rev().filter(|(_, order)| is_in(order));
            let expected: Vec<u32> = expected.map(|(number, _)| number as u32).collect();
            let (mut listed, mut place) = (Vec::new(), state.first_order(list));
            while let Some(here) = place {
                let (order, next) = state.order_at(list, here).expect("a place of the list");
                listed.push(order);
                place = next;
            }
            assert_eq!(listed, expected, "{list:?}");
            // Those that came back stand where they were placed.
            let mut by_command = expected;
            by_command.sort_by_key(|number| Reverse(state.order_lsn(*number)));
            let (mut walk, mut walked, mut steps) = (OrderWalk::new(state, list, u64::MAX), Vec::new(), 0);
            loop {
                match walk.peek(state, &mut steps) {
                    Peeked::Order { lsn, number } => {
                        walk.pass(lsn);
                        walked.push(number);
                    }
                    Peeked::Tired => {
                        steps = 2;
                        walk = OrderWalk::resume(state, list, walk.position()).expect("a place of the list");
                    }
                    Peeked::End => break,
                }
            }
            assert_eq!(walked, by_command, "{list:?} by command");
        };
        check(OrderList::All, &|_| true);
        for member in (0..picture.members.len() as u32).map(MemberIx) {
            let is_credited = |order: &OrderPicture| order.credits.iter().any(|(other, _)| *other == member);
            check(OrderList::OfMember(member), &is_credited);
        }
        // Also those whose orders are all sealed.
        let id = |text: &str| OrderId::parse(text).expect("an id");
        for (customer, owner) in self.naive.customers() {
            let (number, found) = state.customer(&id(customer)).expect("it had an order");
            assert_eq!(found, *owner, "owner of {customer}");
            check(OrderList::OfCustomer(number), &|other| other.customer.as_ref() == Some(customer));
        }
        for group in self.naive.groups() {
            let number = state.order_group(&id(group)).expect("it had an order");
            check(OrderList::OfGroup(number), &|other| other.group.as_ref() == Some(group));
        }
        let mut counts = [0_u32; CALENDARS_MAX];
        for calendar in picture.periods.iter().map(|period| period.calendar) {
            let period = counts[usize::from(calendar)];
            counts[usize::from(calendar)] += 1;
            let booked = |other: &OrderPicture| other.periods.contains(&(calendar, period));
            check(OrderList::InPeriod(PeriodRef { calendar, period }), &booked);
        }
    }

    fn check_codes(&self, picture: &Picture) {
        for (index, member) in picture.members.iter().enumerate() {
            for code in [member.code.to_ascii_lowercase(), member.code.to_ascii_uppercase()] {
                let code = Code::parse(&code).expect("codes have one alphabet");
                let found = self.real.state.member_by_code(&self.real.directory, &code);
                assert_eq!(found, Some(MemberIx(index as u32)), "{code:?}");
            }
        }
    }

    fn check_previews(&mut self, picture: &Picture) {
        for _ in 0..picture.members.len().min(4) {
            let sponsor = MemberIx(self.chance.below(picture.members.len() as u64) as u32);
            for rule in PlacementRule::ALL {
                assert_eq!(
                    self.real.state.preview(sponsor, rule),
                    self.naive.preview(sponsor, rule),
                    "{rule:?} under {sponsor:?}"
                );
            }
        }
    }
}

/// The verdict of `check` before the command must match its outcome. Where time passed in between, an order
/// may be late by then; nothing that is admitted later may be refused.
fn check_verdict(verdict: Verdict, stamped: &Stamped, applied: Applied, has_time_passed: bool) {
    let is_by_time = |rejection| match rejection {
        Rejection::BeforeOpening | Rejection::PeriodNotOver => true,
        Rejection::OrderLate | Rejection::PeriodNotOpen => has_time_passed,
        _ => false,
    };
    match (verdict, applied.outcome) {
        (Verdict::Repeat(earlier), _) => {
            assert_eq!(earlier, applied, "check answered with an earlier outcome");
        }
        (Verdict::Reject(expected), Outcome::Rejected(rejection)) => {
            let other_time = is_by_time(expected) && is_by_time(rejection);
            assert!(expected == rejection || other_time, "check named {expected:?}, not {rejection:?}");
        }
        (Verdict::Reject(expected), outcome) => {
            panic!("check wanted to reject with {expected:?} what became {outcome:?}")
        }
        (Verdict::Admit, Outcome::Rejected(rejection)) if is_by_time(rejection) => {}
        // What would leave is only counted when the command is applied.
        (Verdict::Admit, Outcome::Rejected(Rejection::SealStale)) => {}
        (Verdict::Admit, Outcome::Rejected(rejection)) => {
            panic!("check admitted what was rejected with {rejection:?}")
        }
        (Verdict::Admit, _) => assert_eq!(applied.lsn, stamped.lsn, "check admitted a repeat"),
    }
}

fn without_trailing_zeros(counts: &[u32]) -> &[u32] {
    &counts[..counts.iter().rposition(|count| *count != 0).map_or(0, |last| last + 1)]
}

/// In slot order in the placement tree, in join order in the sponsor tree.
fn children(picture: &Picture, tree: Tree, parent: MemberIx) -> Vec<MemberIx> {
    let all = (0..picture.members.len() as u32).map(MemberIx);
    let mut children: Vec<MemberIx> =
        all.filter(|child| picture.above(tree, *child) == Some(parent)).collect();
    if tree == Tree::Placement {
        children.sort_by_key(|child| picture.members[child.at()].slot);
    }
    children
}

/// Returns the downline of `top` in preorder, without members that joined at `before` or later.
fn preorder(picture: &Picture, tree: Tree, top: MemberIx, before: u32) -> Vec<MemberIx> {
    let below = |member| children(picture, tree, member).into_iter().rev().filter(|child| child.0 < before);
    let mut walk = Vec::new();
    let mut to_do: Vec<MemberIx> = below(top).collect();
    while let Some(member) = to_do.pop() {
        walk.push(member);
        to_do.extend(below(member));
    }
    walk
}
