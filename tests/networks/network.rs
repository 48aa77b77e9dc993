//! The real core behind the same interface as the naive model.

use std::collections::BTreeMap;

use petgraph::algo::{dominators, toposort};
use upline::core::{
    Breakage, BreakageReason, Entry, EntryKind, LineView, LiveSums, MemberAttributes, MemberTag, OrderView,
    PeriodTotals, RefundState, RefundView, Restore, RowKind, ShareFate, Sum, Unchanged, Walk, audit,
    command::{
        Applied, CloseOpening, Command, OpeningEntry, OpeningText, OrderId, Origin, Outcome, PeriodRef,
        Rejection, Stamped,
    },
    plan::{
        PlacementRule, Plan,
        commerce::{CALENDARS_MAX, VOLUMES_MAX},
    },
    state::{Directory, State},
    types::{EntryStatus, MemberId, MemberIx, Money, Timestamp, Tree, alike},
};

use super::picture::{
    AttributesPicture, EntryPicture, Files, LivePicture, MemberPicture, Network, OpeningPicture,
    OrderPicture, PeriodPicture, Picture, RefundPicture, TREES, Volumes,
};

/// The key for generated referral codes in tests.
pub const CODE_KEY: u64 = 0x5EED_00F0_C0DE;

/// The simplest directory there is.
#[derive(Clone, Default)]
pub struct MapDirectory {
    members: BTreeMap<MemberId, MemberIx>,
    codes: BTreeMap<String, MemberIx>,
    alike: BTreeMap<String, Vec<MemberIx>>,
}

impl Directory for MapDirectory {
    fn member(&self, id: &MemberId, is: impl Fn(MemberIx) -> bool) -> Option<MemberIx> {
        self.members.get(id).copied().filter(|member| is(*member))
    }

    fn add_member(&mut self, id: &MemberId, member: MemberIx, _: impl Fn(MemberIx) -> MemberId) {
        self.members.insert(*id, member);
    }

    fn code(&self, folded: &str) -> Option<MemberIx> {
        self.codes.get(folded).copied()
    }

    fn add_code(&mut self, folded: &str, member: MemberIx) {
        self.codes.insert(folded.to_owned(), member);
        let alike = alike(folded);
        if alike != folded {
            self.alike.entry(alike).or_default().push(member);
        }
    }

    fn codes_alike(&self, alike: &str, each: &mut dyn FnMut(MemberIx)) {
        self.alike.get(alike).into_iter().flatten().for_each(|member| each(*member));
    }
}

/// The real core with its directory.
pub struct Real {
    pub state: State,
    pub directory: MapDirectory,
}

impl Real {
    pub fn new(plan: Plan) -> Self {
        Self { state: State::new(plan, CODE_KEY), directory: MapDirectory::default() }
    }

    /// Returns a second network, restored from the image of this one in chunks of `rows_max`.
    pub fn reopened(&self, rows_max: usize) -> Self {
        let mut directory = MapDirectory::default();
        let mut restore = Restore::new(self.state.image_header()).expect("our own header is good");
        for rows in self.state.image_rows(rows_max) {
            restore.push(&mut directory, rows).expect("our own rows are good");
        }
        Self { state: restore.finish().expect("our own image is complete"), directory }
    }
}

impl Network for Real {
    fn apply(&mut self, stamped: &Stamped) -> Applied {
        let breakage = (self.state.breakage(), *self.state.breakage_by_reason());
        let applied = self.state.apply(&mut self.directory, stamped);
        let unchanged = match applied.outcome {
            _ if applied.lsn != stamped.lsn => Some(Unchanged::Repeat),
            Outcome::Rejected(rejection) => Some(Unchanged::Rejected(rejection)),
            Outcome::EntryPaid { changed: false, .. }
            | Outcome::EntryChanged { changed: false, .. }
            | Outcome::OnceKept { changed: false, .. }
            | Outcome::StatusSet { changed: false, .. }
            | Outcome::RoleSet { changed: false, .. }
            | Outcome::AllPaid { entries: 0 }
            | Outcome::MatchingPaid { entries: 0, .. } => Some(Unchanged::Already),
            // Kinds that came later.
            outcome if outcome.is_no_op() => Some(Unchanged::Already),
            outcome => {
                let row = match outcome {
                    Outcome::Registered { member } => Some((RowKind::Member, u64::from(member.0))),
                    Outcome::EntryImported { entry } => Some((RowKind::Entry, entry)),
                    _ => None,
                };
                if let (Some(row), Some(id)) = (row, stamped.command.carried_row_id()) {
                    assert_eq!(
                        (self.state.carried_row_id(row.0, row.1), self.state.row_that_carried(&id)),
                        (Some(id), Some(row))
                    );
                }
                None
            }
        };
        assert_eq!(self.state.changed_nothing(stamped.lsn), unchanged);
        self.check_explanation(stamped, &applied, breakage);
        applied
    }

    fn preview(&self, sponsor: MemberIx, rule: PlacementRule) -> Result<(MemberIx, u32), Rejection> {
        self.state.preview(sponsor, rule)
    }

    fn files(&self) -> Files {
        let state = &self.state;
        let refunds = (0..state.orders_len()).map(|number| state.order(number).refunds.len() as u32);
        Files {
            seal: state.seals().len() as u32,
            as_of: state.lsn(),
            orders_known: state.orders_len(),
            refunds_known: refunds.sum(),
            orders: state.sealable().map(|number| state.order_in_files(number)).collect(),
        }
    }

    fn check(&self) {
        assert_eq!(audit(&self.state, 10), Vec::<String>::new(), "audit");
        self.check_graphs(&self.picture());
    }

    fn picture(&self) -> Picture {
        picture_of(&self.state)
    }
}

impl Real {
    /// The explanation of a paying command matches its payments: the same lines in the same order, and the
    /// same breakage.
    fn check_explanation(
        &self,
        stamped: &Stamped,
        applied: &Applied,
        (breakage_before, itemized_before): ((u64, Money), Breakage),
    ) {
        let state = &self.state;
        let entries: Vec<Entry> = state.entries_of(stamped.lsn).map(|index| state.entry(index)).collect();
        assert!(entries.iter().all(|entry| entry.lsn == stamped.lsn));
        let line = |entry: &Entry| (entry.receiver, entry.level, entry.amount);
        let paid = |walk: &Walk| -> Vec<_> {
            let paid = walk.shares.iter().filter(|share| share.fate == ShareFate::Paid);
            paid.map(|share| (share.receiver, share.level, share.amount)).collect()
        };
        let withheld = |walk: &Walk| {
            let withheld = walk.shares.iter().filter(|share| matches!(share.fate, ShareFate::Withheld(_)));
            withheld.fold((0, 0), |(levels, amount), share| (levels + 1, amount + share.amount.0))
        };
        let breakage = state.breakage();
        let breakage = (breakage.0 - breakage_before.0, breakage.1.0 - breakage_before.1.0);
        match (&stamped.command, applied.outcome) {
            _ if applied.lsn != stamped.lsn => assert_eq!(entries, []),
            (Command::TriggerBonus(trigger), Outcome::BonusPaid { .. }) => {
                let source = state.find(&self.directory, &trigger.source).expect("it was paid");
                let walk =
                    state.explain_trigger(source, &trigger.trigger, trigger.amount).expect("it was paid");
                assert_eq!(paid(&walk), entries.iter().map(line).collect::<Vec<_>>());
                assert_eq!(withheld(&walk), breakage);
                let itemized = state.breakage_by_reason();
                for reason in BreakageReason::ALL {
                    let (before, after) = (itemized_before.of(reason), itemized.of(reason));
                    let told = walk.breakage.of(reason);
                    let told = if state.itemized_from().is_some() { told } else { Sum::default() };
                    let grown = (after.entries - before.entries, after.amount - before.amount);
                    assert_eq!((told.entries, told.amount), grown, "{reason:?}");
                }
                assert!(
                    entries.iter().all(
                        |entry| EntryKind::of(entry.kind) == EntryKind::Trigger && entry.source == source
                    )
                );
            }
            (Command::Register(register), Outcome::Registered { member }) => {
                let (signup, ranks): (Vec<Entry>, Vec<Entry>) = entries
                    .into_iter()
                    .partition(|entry| EntryKind::of(entry.kind) == EntryKind::Registration);
                if register.origin != Origin::Signup {
                    assert_eq!((signup, ranks), (vec![], vec![]));
                    return;
                }
                let walk = state.explain_registration(member);
                assert_eq!(paid(&walk), signup.iter().map(line).collect::<Vec<_>>());
                let (levels, amount) = withheld(&walk);
                // Rewards of inactive members are breakage too.
                assert!(levels <= breakage.0 && amount <= breakage.1);
                for entry in ranks {
                    let EntryKind::Rank(rank) = EntryKind::of(entry.kind) else { panic!("{entry:?}") };
                    let reached = state.explain_rank(entry.receiver, rank, member).expect("it was reached");
                    assert_eq!((reached.rank, reached.reward), (rank, Some(entry.amount)));
                    assert!(
                        !reached.needs.is_empty()
                            && reached.needs.iter().all(|need| need.minimum <= need.count),
                        "{reached:?}"
                    );
                    assert!(reached.distance.is_some() || !state.plan().counts(reached.tree), "{reached:?}");
                }
            }
            (_, Outcome::Reversed { entry, reversal, held }) => {
                assert_eq!(entries.iter().map(|found| found.index).collect::<Vec<_>>(), [reversal]);
                assert_eq!(
                    (state.reverses(reversal), state.reversal_of(entry)),
                    (Some(entry), Some(reversal))
                );
                assert_eq!(state.entry(reversal).status == EntryStatus::Held, held);
            }
            (_, Outcome::EntryImported { entry }) => {
                assert_eq!(entries.iter().map(|found| found.index).collect::<Vec<_>>(), [entry]);
            }
            _ => assert_eq!(entries, []),
        }
    }

    /// Both trees as petgraph sees them: no cycles, and each member's immediate dominator is its parent.
    pub fn check_graphs(&self, picture: &Picture) {
        for tree in TREES {
            self.check_graph(picture, tree);
        }
    }

    fn check_graph(&self, picture: &Picture, tree: Tree) {
        let graph = self.state.graph(tree);
        let order = toposort(graph, None).expect("a tree has no cycles");
        assert_eq!(order.len(), picture.members.len());
        let all = (0..picture.members.len() as u32).map(MemberIx);
        let mut reached = 0;
        for root in all.clone().filter(|member| picture.above(tree, *member).is_none()) {
            let dominators = dominators::simple_fast(graph, root);
            for member in all.clone().filter(|member| dominators.strict_dominators(*member).is_some()) {
                assert_eq!(
                    dominators.immediate_dominator(member),
                    picture.above(tree, member),
                    "{tree:?} dominator of {member:?}"
                );
                reached += 1;
            }
        }
        assert_eq!(reached, picture.members.len(), "each member is reached from one root");
    }
}

/// Returns everything visible of a state.
pub fn picture_of(state: &State) -> Picture {
    let mut rank_distribution = state.rank_distribution().to_vec();
    while rank_distribution.last() == Some(&0) {
        rank_distribution.pop();
    }
    Picture {
        lsn: state.lsn(),
        time: state.time(),
        plan: Plan::clone(state.plan()),
        plan_version: state.plan_version(),
        plan_versions: (state.plan_versions().list().iter())
            .map(|known| (known.version, known.lsn, known.time, Plan::clone(&known.plan)))
            .collect(),
        depth: state.depth(),
        rank_distribution,
        breakage: state.breakage(),
        itemized_from: state.itemized_from(),
        breakage_by_reason: state
            .breakage_by_reason()
            .items()
            .map(|(reason, sum)| (reason.name(), (sum.entries, sum.amount)))
            .collect(),
        pending: state.pending(),
        members: (0..state.len()).map(|index| member_picture(state, MemberIx(index))).collect(),
        entries: (0..state.entries()).map(|index| entry_picture(state, index)).collect(),
        paid_once: state.all_paid_once().map(|(member, name)| (member, name.to_owned())).collect(),
        customers: customers(state),
        periods: periods(state).map(|period| period_picture(state, period)).collect(),
        orders: (0..state.orders_len()).map(|number| order_picture(state, number)).collect(),
        live: live_pictures(state),
        opening: opening_picture(state),
    }
}

fn opening_picture(state: &State) -> OpeningPicture {
    let rows: Vec<_> = (0..state.opening_len()).map(|at| state.opening_row(at)).collect();
    let by_member: Vec<_> = (0..state.len()).flat_map(|member| state.opening_of(MemberIx(member))).collect();
    assert_eq!(rows, by_member);
    let at = |row| state.opening_position(row).expect("it is there") as usize;
    assert!(rows.iter().enumerate().all(|(place, row)| at(row) == place));
    let text = |text: &str| OpeningText::parse(text).expect("a text");
    let entry = |row: &upline::core::OpeningRow| OpeningEntry {
        member: state.id(MemberIx(row.member)),
        kind: row.kind(),
        name: text(&row.name),
        text: text(&row.text),
        calendar: row.calendar(),
        position: row.position,
        since: row.since(),
        value: row.value,
        decimals: row.decimals,
    };
    let totals = state.opening_totals().into_iter().map(|total| {
        let (name, text) = (total.name.to_string(), total.text.to_string());
        ((total.kind, name, text, total.calendar, total.position), (total.rows, total.sum))
    });
    OpeningPicture {
        rows: rows.iter().map(|row| (MemberIx(row.member), entry(row))).collect(),
        totals: totals.collect(),
        digest: state.opening_digest(),
        closed: state.opening_close().map(|closed| {
            let (rows, digest, by) = (closed.rows, closed.digest, closed.actor());
            (closed.lsn, CloseOpening { rows, digest, by })
        }),
    }
}

fn customers(state: &State) -> BTreeMap<String, MemberIx> {
    let orders = (0..state.orders_len()).map(|number| state.order(number));
    let names = orders.filter_map(|order| order.customer);
    let owner = |name: &str| {
        let id = OrderId::parse(name).expect("an id");
        state.customer(&id).expect("a customer of an order").1
    };
    names.map(|name| (name.to_string(), owner(&name))).collect()
}

/// All periods, by calendar.
fn periods(state: &State) -> impl Iterator<Item = PeriodRef> + '_ {
    let of_calendar =
        |calendar| (0..state.periods_len(calendar)).map(move |period| PeriodRef { calendar, period });
    (0..CALENDARS_MAX as u8).flat_map(of_calendar)
}

fn period_picture(state: &State, of: PeriodRef) -> PeriodPicture {
    let row = state.period(of).expect("it is counted");
    assert_eq!(state.period_labeled(of.calendar, &row.label), Some(of));
    let PeriodTotals { orders, refunds, sums } = state.period_totals(of);
    let values = 1 + state.plan().commerce.volumes.len();
    assert!(sums[values..].iter().all(|sum| *sum == 0));
    PeriodPicture {
        calendar: of.calendar,
        label: row.label.to_string(),
        start: row.start,
        end: row.end,
        grace_until: row.grace_until,
        state: format!("{:?}", row.state()),
        orders,
        refunds,
        sums: sums[..values].to_vec(),
        runs: state.period_runs(of).count() as u32,
    }
}

fn order_picture(state: &State, number: u32) -> OrderPicture {
    let order = state.order(number);
    assert_eq!(state.order_number(&OrderId::parse(&order.id).expect("an id")), Some(number));
    let OrderView { id, lsn, time, credits, customer, kind, market, tags, group, lines, .. } = order;
    let text = |id: Option<Box<str>>| id.map(String::from);
    OrderPicture {
        id: id.into(),
        lsn,
        time,
        credits,
        customer: text(customer),
        kind,
        market,
        tags,
        group: text(group),
        lines: lines.into_iter().map(|LineView { values, refunded }| (values, refunded)).collect(),
        periods: order.periods.iter().map(|period| (period.calendar, period.period)).collect(),
        refunds: order.refunds.into_iter().map(refund_picture).collect(),
    }
}

fn refund_picture(refund: RefundView) -> RefundPicture {
    let act = |(period, state): (PeriodRef, RefundState)| match state {
        RefundState::Lowered => ("lowers", period.period),
        RefundState::Waiting => ("waits", period.period),
        RefundState::Correction | RefundState::LowersLater => ("corrects", period.period),
    };
    let RefundView { id, lsn, time, lines, states } = refund;
    RefundPicture { id: id.into(), lsn, time, lines, acts: states.into_iter().map(act).collect() }
}

/// Those of the newest two periods of each calendar; all others have none.
fn live_pictures(state: &State) -> Vec<LivePicture> {
    let mut pictures = Vec::new();
    for period in periods(state) {
        for value in 0..=VOLUMES_MAX as u8 {
            let of = |member| state.live_sums(period, value, member);
            let volumes = |LiveSums { own, along }| Volumes {
                own,
                groups: along.map(|along| along.map(|along| along.group)),
                levels: along.map(|along| along.map(|along| along.levels)),
            };
            let members: Option<Vec<Volumes>> =
                (0..state.len()).map(|member| of(MemberIx(member)).map(volumes)).collect();
            // Without members there is nobody to ask for.
            if let Some(members) = members.filter(|members| !members.is_empty()) {
                let PeriodRef { calendar, period } = period;
                pictures.push(LivePicture { calendar, period, value, members });
            }
        }
    }
    pictures
}

fn member_picture(state: &State, index: MemberIx) -> MemberPicture {
    let member = state.member(index);
    let rank = state.rank(index);
    assert_eq!(member.index, index);
    MemberPicture {
        id: member.id,
        sponsor: member.sponsor,
        parent: member.parent,
        slot: member.slot,
        level: member.level,
        sponsor_level: member.sponsor_level,
        joined_at: member.joined_at,
        status: member.status,
        role: member.role,
        code: state.code(index).as_str().to_owned(),
        direct: TREES.map(|tree| state.direct(tree, index)),
        downline: TREES.map(|tree| state.downline(tree, index)),
        levels: TREES.map(|tree| state.levels(tree, index)),
        paid_as: rank.paid_as,
        lifetime: rank.lifetime,
        next: rank.next,
        balance: {
            let balance = state.balance(index);
            [balance.pending, balance.held, balance.paid]
        },
        attributes: attribute_pictures(state, index),
    }
}

/// Those of a member at the log time, and where the newest two periods of each calendar end.
fn attribute_pictures(state: &State, member: MemberIx) -> Vec<(Timestamp, AttributesPicture)> {
    if !state.has_attributes() {
        return Vec::new();
    }
    let newest = (0..CALENDARS_MAX as u8).flat_map(|calendar| {
        let periods = (0..state.periods_len(calendar)).rev().take(2);
        periods.map(move |period| PeriodRef { calendar, period })
    });
    let ends = newest.map(|period| state.period(period).expect("it is counted").end);
    let picture = |at: Option<Timestamp>| {
        let MemberAttributes { market, owner, tags } = state.attributes(member, at);
        assert!(tags.is_sorted_by(|one, next| one.tag < next.tag));
        let tags = tags.into_iter().map(|MemberTag { tag, from, until }| (tag, (from, until))).collect();
        (at.unwrap_or(state.time()), AttributesPicture { market, owner, tags })
    };
    std::iter::once(None).chain(ends.map(Some)).map(picture).collect()
}

fn entry_picture(state: &State, index: u64) -> EntryPicture {
    let entry = state.entry(index);
    assert_eq!(entry.index, index);
    EntryPicture {
        lsn: entry.lsn,
        time: entry.time,
        receiver: entry.receiver,
        source: entry.source,
        level: entry.level,
        amount: entry.amount,
        kind: state.kind_name(entry.kind).into_owned(),
        status: entry.status,
        plan_version: entry.plan_version,
        reference: state.reference_of(index),
        reverses: state.reverses(index),
        released: state.released(index),
    }
}
