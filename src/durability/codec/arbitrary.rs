//! Random commands of every kind, for tests.

use proptest::{collection::vec, option, prelude::*, sample::select, strategy::Union};

use super::record::format_of;
use crate::core::{
    Actor, ActorKind,
    command::{
        AddOpening, AttributeChange, Carried, ChangeEntry, CloseOpening, Command, Credit, EntryChange,
        ImportEntry, LinePart, OpenPeriod, OpeningEntry, OpeningKind, OpeningText, OrderId, OrderLine,
        Origin, Outcome, PayFilter, PeriodRef, PeriodStep, PlaceOrder, PlacementRequest, RecallBooking,
        RecallLine, RecallOrder, RecallRefund, RecordRun, RefundOrder, RefundScope, Register, Rejection,
        RequestKey, SealPeriod, SetAttributes, SponsorRef, Stamped, StepPeriod, TriggerBonus, WideMoney,
        commands,
    },
    plan::{
        BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RANKS_MAX, RATE_MAX, RankBasis,
        RankRule, RankStep, THRESHOLD_MAX, arbitrary_test::commerce,
    },
    types::{
        BasisPoints, Code, EntryStatus, LEVELS_MAX, MemberId, MemberIx, Money, Reason, Reference, Role,
        Status, Timestamp, Tree,
    },
};

pub(crate) fn stamped(lsn: u64) -> impl Strategy<Value = Stamped> {
    let key = option::of(
        (any::<[u8; 16]>(), any::<u64>()).prop_map(|(key, fingerprint)| RequestKey { key, fingerprint }),
    );
    let stamp = (any::<i64>(), key, option::of(actor()), 3..=Stamped::FORMAT, command());
    stamp.prop_map(move |(time, key, actor, format, mut command)| {
        let time = Timestamp(time);
        if let (None, Command::Register(Register { origin: Origin::Import(carried), .. })) =
            (&actor, &mut command)
        {
            // Before format 3 nothing else was carried over.
            *carried = Carried {
                row_id: carried.row_id,
                lifetime_rank: carried.lifetime_rank,
                turn: carried.turn,
                ..Carried::default()
            };
        }
        let needed = format_of(&command);
        let actor = actor.or_else(|| (3 <= needed).then(|| Actor::new(ActorKind::Service, "orders")));
        let format = match actor {
            None => 1,
            Some(_) => needed.max(format),
        };
        Stamped { lsn, time, key, actor, format, command }
    })
}

pub(crate) fn actor() -> impl Strategy<Value = Actor> {
    (select(&ActorKind::ALL[..]), "\\PC{0,40}").prop_map(|(kind, id)| Actor::new(kind, &id))
}

fn member() -> impl Strategy<Value = MemberId> {
    any::<[u8; 16]>().prop_map(MemberId)
}

fn code() -> impl Strategy<Value = Code> {
    "[A-Za-z0-9_-]{1,64}".prop_map(|text| Code::parse(&text).expect("the pattern is that of codes"))
}

fn rule() -> impl Strategy<Value = PlacementRule> {
    select(&PlacementRule::ALL[..])
}

fn role() -> impl Strategy<Value = Role> {
    select(&Role::ALL[..])
}

fn tree() -> impl Strategy<Value = Tree> {
    prop_oneof![Just(Tree::Sponsor), Just(Tree::Placement)]
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

/// A field of a command or an outcome.
trait Random: Sized + std::fmt::Debug {
    fn random() -> impl Strategy<Value = Self> + 'static;
}

macro_rules! random {
    ($($type:ty: $strategy:expr;)+) => {
        $(
            impl Random for $type {
                fn random() -> impl Strategy<Value = Self> + 'static {
                    $strategy
                }
            }
        )+
    };
}
random! {
    bool: any::<bool>();
    u32: any::<u32>();
    u64: any::<u64>();
    MemberId: member();
    MemberIx: any::<u32>().prop_map(MemberIx);
    Status: select(&Status::ALL[..]);
    Role: role();
    Box<str>: "\\PC{0,40}".prop_map(Into::into);
    Reason: reason();
    EntryChange: select(&EntryChange::ALL[..]);
    Box<Plan>: plan().prop_map(Box::new);
    Register: register();
    ImportEntry: entry();
    PayFilter: filter();
    TriggerBonus: trigger();
    ChangeEntry: (any::<u64>(), EntryChange::random(), reason())
        .prop_map(|(entry, change, reason)| ChangeEntry { entry, change, reason });
    WideMoney: any::<(i32, u64)>().prop_map(|(high, low)| WideMoney::of_parts(high, low));
    Rejection: select(&Rejection::ALL[..]);
    Box<PlaceOrder>: order().prop_map(Box::new);
    Box<RefundOrder>: refund().prop_map(Box::new);
    OpenPeriod: (any::<u8>(), order_id(), time(), time(), time()).prop_map(
        |(calendar, label, start, end, grace_until)| OpenPeriod { calendar, label, start, end, grace_until },
    );
    PeriodRef: period();
    Box<StepPeriod>: (period(), select(&PeriodStep::ALL[..]), option::of(reason()), actor())
        .prop_map(|(period, step, reason, by)| Box::new(StepPeriod { period, step, reason, by }));
    Box<SetAttributes>: (member(), vec(attribute(), 0..65), option::of(time())).prop_map(
        |(member, changes, effective)| Box::new(SetAttributes { member, changes, effective }),
    );
    Box<AddOpening>: vec(opening_entry(), 0..20).prop_map(|rows| Box::new(AddOpening { rows }));
    Box<CloseOpening>: (any::<(u64, [u8; 32])>(), actor())
        .prop_map(|((rows, digest), by)| Box::new(CloseOpening { rows, digest, by }));
    Box<RecordRun>: (period(), any::<(u32, u64, u64, [u8; 32])>(), actor()).prop_map(
        |(period, (plan_version, up_to_lsn, lines, digest), by)| {
            Box::new(RecordRun { period, plan_version, up_to_lsn, lines, digest, by })
        },
    );
    Box<SealPeriod>: (period(), seal_numbers(), option::of(reason()), actor()).prop_map(
        |(period, (counts, [as_of, boundary], hashes), reason, by)| {
            let [seal, orders_known, refunds_known, orders, refunds] = counts;
            let [manifest, network] = hashes;
            Box::new(SealPeriod {
                period,
                seal,
                as_of,
                orders_known,
                refunds_known,
                orders,
                refunds,
                manifest,
                boundary,
                network,
                reason,
                by,
            })
        },
    );
    Box<RecallOrder>: recalled().prop_map(Box::new);
}

macro_rules! random_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        fn command() -> impl Strategy<Value = Command> {
            Union::new([$({
                let contents = (Just(()), $(<$type>::random(),)? $($(<$field_type>::random(),)+)?);
                let command = contents.prop_map(|((), $($content,)? $($($field,)+)?)| {
                    Command::$kind $(($content))? $({ $($field),+ })?
                });
                command.boxed()
            }),+])
        }

        pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
            Union::new([
                Rejection::random().prop_map(Outcome::Rejected).boxed(),
                $($(
                    ($(<$part_type>::random(),)+)
                        .prop_map(|($($part,)+)| Outcome::$outcome { $($part),+ })
                        .boxed(),
                )?)+
            ])
        }
    };
}
commands!(random_commands);

fn trigger() -> impl Strategy<Value = TriggerBonus> {
    (member(), "\\PC{0,40}", option::of(any::<i64>()), any::<bool>(), option::of(reference())).prop_map(
        |(source, trigger, amount, once, reference)| TriggerBonus {
            source,
            trigger: trigger.into(),
            amount: amount.map(Money),
            once,
            reference,
        },
    )
}

fn order_id() -> impl Strategy<Value = OrderId> {
    "[A-Za-z0-9._:-]{1,64}".prop_map(|text| OrderId::parse(&text).expect("the pattern is that of ids"))
}

fn period() -> impl Strategy<Value = PeriodRef> {
    any::<(u8, u32)>().prop_map(|(calendar, period)| PeriodRef { calendar, period })
}

fn attribute() -> impl Strategy<Value = AttributeChange> {
    let tag = (any::<u16>(), option::of(time()), option::of(time()), any::<bool>());
    prop_oneof![
        option::of(any::<u16>()).prop_map(AttributeChange::Market),
        option::of(member()).prop_map(AttributeChange::Owner),
        tag.prop_map(|(tag, from, until, set)| AttributeChange::Tag { tag, from, until, set }),
    ]
}

fn opening_entry() -> impl Strategy<Value = OpeningEntry> {
    let text = || {
        "[!-~\u{e4}\u{2116}]{0,32}"
            .prop_map(|text| OpeningText::parse(&text).expect("the pattern is that of texts"))
    };
    let texts = (text(), text());
    let numbers = any::<(Option<u8>, u32, i64, u8)>();
    (member(), select(&OpeningKind::ALL[..]), texts, option::of(time()), numbers).prop_map(
        |(member, kind, (name, text), since, (calendar, position, value, decimals))| OpeningEntry {
            member,
            kind,
            name,
            text,
            calendar,
            position,
            since,
            value,
            decimals,
        },
    )
}

fn order() -> impl Strategy<Value = PlaceOrder> {
    let credit = (member(), any::<u32>()).prop_map(|(member, part)| Credit { member, part });
    let line = (any::<i64>(), vec(any::<i64>(), 0..9))
        .prop_map(|(amount, volumes)| OrderLine { amount: Money(amount), volumes });
    let names = (option::of(any::<u16>()), any::<u64>(), option::of(order_id()), option::of(any::<u16>()));
    let parts = (vec(credit, 0..17), option::of(order_id()), option::of(time()), names, vec(line, 0..65));
    (order_id(), parts).prop_map(|(id, (credits, customer, time, (kind, tags, group, market), lines))| {
        PlaceOrder { id, credits, customer, time, kind, tags, group, market, lines }
    })
}

fn refund() -> impl Strategy<Value = RefundOrder> {
    let line = (any::<u8>(), option::of(any::<u32>())).prop_map(|(line, part)| LinePart { line, part });
    let scope = prop_oneof![
        Just(RefundScope::Rest),
        any::<u32>().prop_map(RefundScope::Part),
        vec(line, 0..65).prop_map(RefundScope::Lines),
    ];
    (order_id(), order_id(), option::of(time()), scope).prop_map(|(id, order, time, scope)| RefundOrder {
        id,
        order,
        time,
        scope,
    })
}

fn reference() -> impl Strategy<Value = Reference> {
    "[!-~\u{e4}\u{2116}]{1,64}"
        .prop_map(|text| Reference::parse(&text).expect("the pattern is that of references"))
}

fn seal_numbers() -> impl Strategy<Value = ([u32; 5], [u64; 2], [[u8; 32]; 2])> {
    any::<([u32; 5], [u64; 2], [[u8; 32]; 2])>()
}

fn recalled() -> impl Strategy<Value = RecallOrder> {
    let line = any::<(u8, u32, u32)>().prop_map(|(line, from, to)| RecallLine { line, from, to });
    let booking = any::<(u32, u8)>().prop_map(|(period, state)| RecallBooking { period, state });
    let refund = (order_id(), any::<(u64, i64, u64)>(), vec(line, 0..9), vec(booking, 0..9)).prop_map(
        |(id, (lsn, time, fingerprint), lines, bookings)| RecallRefund {
            id,
            lsn,
            time: Timestamp(time),
            fingerprint,
            lines,
            bookings,
        },
    );
    let credit = (member(), any::<u32>()).prop_map(|(member, part)| Credit { member, part });
    let values = vec(vec(any::<i64>(), 0..10), 0..65);
    let names = (option::of(any::<u16>()), option::of(any::<u16>()), option::of(order_id()));
    let parts = (vec(credit, 0..17), values, vec(any::<u32>(), 0..9), vec(refund, 0..20));
    (order_id(), any::<(u64, i64, u64, u64)>(), names, option::of(order_id()), parts).prop_map(
        |(id, (lsn, time, fingerprint, tags), (kind, market, customer), group, parts)| {
            let (credits, lines, periods, refunds) = parts;
            let time = Timestamp(time);
            RecallOrder {
                id,
                lsn,
                time,
                fingerprint,
                tags,
                kind,
                market,
                customer,
                group,
                credits,
                lines,
                periods,
                refunds,
            }
        },
    )
}

fn reason() -> impl Strategy<Value = Reason> {
    "[!-~\u{e4}\u{2116}]{1,200}"
        .prop_map(|text| Reason::parse(&text).expect("the pattern is that of reasons"))
}

fn filter() -> impl Strategy<Value = PayFilter> {
    let kind = option::of("\\PC{0,40}".prop_map(Into::into));
    (option::of(any::<u64>()), kind, option::of(member()), option::of(time()), option::of(time())).prop_map(
        |(up_to_lsn, kind, receiver, from, until)| PayFilter { up_to_lsn, kind, receiver, from, until },
    )
}

fn register() -> impl Strategy<Value = Register> {
    let sponsor = prop_oneof![
        Just(SponsorRef::None),
        member().prop_map(SponsorRef::Member),
        code().prop_map(SponsorRef::Code)
    ];
    let placement = prop_oneof![
        Just(PlacementRequest::PlanDefault),
        rule().prop_map(PlacementRequest::Rule),
        (member(), any::<u32>()).prop_map(|(parent, slot)| PlacementRequest::Slot { parent, slot }),
    ];
    let status = select(&Status::ALL[..]);
    let carried = (option::of(any::<[u8; 16]>()), any::<u16>(), any::<u16>(), status, any::<bool>());
    let carried = carried.prop_map(|(row_id, lifetime_rank, turn, status, sponsor_too)| Carried {
        row_id,
        lifetime_rank,
        turn,
        status,
        sponsor_too,
    });
    let imported = prop_oneof![Just(Carried::default()), carried].prop_map(Origin::Import);
    let origin = prop_oneof![Just(Origin::Signup), imported];
    (member(), sponsor, placement, option::of(code()), role(), option::of(time()), origin).prop_map(
        |(member, sponsor, placement, code, role, joined_at, origin)| Register {
            member,
            sponsor,
            placement,
            code,
            role,
            joined_at,
            origin,
        },
    )
}

fn entry() -> impl Strategy<Value = ImportEntry> {
    let status = select(&EntryStatus::ALL[..]);
    let links = (option::of(any::<[u8; 16]>()), option::of(reference()), option::of(any::<u64>()));
    (member(), member(), "\\PC{0,40}", any::<u32>(), any::<i64>(), status, time(), links).prop_map(
        |(receiver, source, kind, level, amount, status, time, (row_id, reference, reverses))| ImportEntry {
            receiver,
            source,
            kind: kind.into(),
            level,
            amount: Money(amount),
            status,
            time,
            row_id,
            reference,
            reverses,
        },
    )
}

fn name() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9 äß]{1,32}".prop_map(Into::into)
}

/// Generates valid plans.
pub(crate) fn plan() -> impl Strategy<Value = Plan> {
    let bonuses = vec((tree(), pay(), any::<bool>(), any::<bool>()), 0..12);
    let plans = (name(), "[A-Z]{3}", 0..=8_u8, placement(), bonuses, ranks(), commerce()).prop_map(
        |(name, currency, exponent, placement, bonuses, ranks, commerce)| {
            let bonuses = bonuses.into_iter().enumerate().map(
                |(position, (tree, pay, on_registration, admins_beyond))| {
                    let on_registration = on_registration && matches!(pay, LevelPay::Fixed(_));
                    BonusRule {
                        trigger: format!("trigger-{position}").into(),
                        tree,
                        pay,
                        on_registration,
                        admins_beyond,
                    }
                },
            );
            let bonuses = bonuses.collect();
            let code = currency.as_bytes().try_into().expect("three letters");
            let level_cap = u8::try_from(LEVELS_MAX).expect("15");
            Plan {
                name,
                currency: Currency { code, exponent },
                placement,
                count_sponsor_tree: true,
                level_cap,
                bonuses,
                commerce,
                ranks,
            }
        },
    );
    // Nearly all are valid; the rules of plans belong to the core, and need not all be known here.
    plans.prop_filter("a valid plan", |plan| plan.validate().is_ok())
}

fn placement() -> impl Strategy<Value = Placement> {
    let unlimited = any::<bool>().prop_map(|strategic| Placement {
        width: None,
        default_rule: PlacementRule::Unilevel,
        other_rules: Vec::new(),
        strategic,
    });
    let binary: Vec<PlacementRule> =
        PlacementRule::ALL.into_iter().filter(|rule| *rule != PlacementRule::Unilevel).collect();
    let default_rule = select(binary.clone());
    let limited = (default_rule, proptest::sample::subsequence(binary, 0..10), any::<bool>()).prop_map(
        |(default_rule, other, strategic)| {
            let other_rules = other.into_iter().filter(|rule| *rule != default_rule).collect();
            Placement { width: Some(2), default_rule, other_rules, strategic }
        },
    );
    prop_oneof![unlimited, limited]
}

fn pay() -> impl Strategy<Value = LevelPay> {
    prop_oneof![
        vec((0..=Money::MAX.0).prop_map(Money), 1..=LEVELS_MAX).prop_map(LevelPay::Fixed),
        vec((0..=RATE_MAX.0).prop_map(BasisPoints), 1..=LEVELS_MAX).prop_map(LevelPay::Share),
    ]
}

fn ranks() -> impl Strategy<Value = RankRule> {
    let step = (name(), option::of((0..=Money::MAX.0).prop_map(Money)));
    let minima = proptest::collection::btree_set(1..=THRESHOLD_MAX, 0..RANKS_MAX);
    let basis = prop_oneof![Just(RankBasis::Direct), Just(RankBasis::Downline)];
    (tree(), basis, any::<bool>(), vec(step, RANKS_MAX), minima).prop_map(
        move |(tree, basis, fill, names, minima)| {
            let steps = names.into_iter().zip(minima).map(|((name, reward), minimum)| RankStep {
                name,
                minimum,
                reward,
            });
            let mut steps: Vec<RankStep> = steps.collect();
            if fill {
                steps.truncate(LEVELS_MAX);
                // Everybody holds the first rank, so it pays nothing.
                steps.iter_mut().take(1).for_each(|step| step.reward = None);
                RankRule::LevelFill { tree, steps }
            } else {
                RankRule::Thresholds { tree, basis, steps }
            }
        },
    )
}
