//! Every state of a bonus with every state of its reversal, as imported, and every change of either since:
//! what is allowed, and that together they come to nothing whatever is held, released and paid.

use upline::core::{
    Actor, audit,
    command::{
        ChangeEntry, Command, EntryChange, ImportEntry, Origin, Outcome, PlacementRequest, Register,
        Rejection, SponsorRef, Stamped,
    },
    types::{Code, EntryStatus, MemberId, MemberIx, Money, Reason, Role, Timestamp},
};

use crate::networks::{naive::Naive, network::Real, picture::Network, script};

const AMOUNT: i64 = 1_000;
const RECEIVER: MemberId = MemberId([1; 16]);
const SOURCE: MemberId = MemberId([2; 16]);
/// The bonus, and what takes it back.
const REVERSED: u64 = 0;
const REVERSAL: u64 = 1;

/// The core and the naive model.
struct Both {
    real: Real,
    naive: Naive,
}

impl Both {
    /// A network with a receiver and a source.
    fn new() -> Self {
        let plan = script::plan(&["width unlimited unilevel"]).expect("a valid plan");
        let mut both = Self { real: Real::new(plan.clone()), naive: Naive::new(plan) };
        for (member, sponsor, code) in
            [(RECEIVER, SponsorRef::None, "receiver"), (SOURCE, SponsorRef::Member(RECEIVER), "source")]
        {
            both.apply(Command::Register(Register {
                member,
                sponsor,
                placement: PlacementRequest::PlanDefault,
                code: Some(Code::parse(code).expect("a valid code")),
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            }));
        }
        both
    }

    fn apply(&mut self, command: Command) -> Outcome {
        let stamped = Stamped {
            lsn: self.real.state.lsn() + 1,
            time: Timestamp(1),
            key: None,
            actor: Some(Actor::unknown()),
            format: Stamped::FORMAT,
            command,
        };
        let applied = self.real.apply(&stamped);
        assert_eq!(applied, self.naive.apply(&stamped), "{stamped:?}");
        assert_eq!(self.real.picture(), self.naive.picture(), "after {stamped:?}");
        assert_eq!(audit(&self.real.state, 3), Vec::<String>::new(), "after {stamped:?}");
        self.check_sums();
        applied.outcome
    }

    /// Balance, report and totals agree.
    fn check_sums(&self) {
        let state = &self.real.state;
        if state.is_empty() {
            return;
        }
        let balance = state.balance(MemberIx(0));
        let mut sums = state.received_sums(MemberIx(0), Timestamp(0), Timestamp(i64::MAX));
        state.received_sums_step(&mut sums, 1_000);
        let totals = EntryStatus::ALL.map(|status| state.entries_in(status));
        assert_eq!(sums.by_status, totals, "there is no other receiver");
        let amount = |status: EntryStatus| totals[status as usize].amount;
        assert_eq!(
            (balance.pending, balance.held, balance.paid),
            (amount(EntryStatus::Pending), amount(EntryStatus::Held), amount(EntryStatus::Paid))
        );
    }

    fn import(&mut self, amount: i64, status: EntryStatus, reverses: Option<u64>) -> Outcome {
        self.apply(Command::ImportEntry(ImportEntry {
            receiver: RECEIVER,
            source: SOURCE,
            kind: "purchase".into(),
            level: 1,
            amount: Money(amount),
            status,
            time: Timestamp(0),
            row_id: None,
            reference: None,
            reverses,
        }))
    }

    /// What the receiver was paid once all that is held was released and all that is pending paid.
    fn paid_in_the_end(&mut self) -> i128 {
        for entry in 0..self.real.state.entries() {
            self.apply(change(entry, EntryChange::Release));
        }
        self.apply(Command::PayAll);
        let balance = self.real.state.balance(MemberIx(0));
        assert_eq!((balance.pending, balance.held), (0, 0), "nothing is owed any more");
        balance.paid
    }
}

fn change(entry: u64, change: EntryChange) -> Command {
    Command::ChangeEntry(ChangeEntry { entry, change, reason: Reason::parse("a test").expect("a line") })
}

/// Every command that may change one of the two.
fn changes() -> Vec<Command> {
    let of_each = |entry| {
        let changed =
            [EntryChange::Hold, EntryChange::Release, EntryChange::Void].map(|to| change(entry, to));
        let others = [Command::PayEntry { entry }, Command::ReverseEntry { entry }];
        changed.into_iter().chain(others)
    };
    [REVERSED, REVERSAL].into_iter().flat_map(of_each).chain([Command::PayAll]).collect()
}

#[test]
fn a_bonus_and_its_reversal_come_to_nothing_in_every_state() {
    let refused = Outcome::Rejected(Rejection::EntryChangeNotAllowed);
    for of_reversed in EntryStatus::ALL {
        for of_reversal in EntryStatus::ALL {
            let pair = || {
                let mut both = Both::new();
                both.import(AMOUNT, of_reversed, None);
                let outcome = both.import(-AMOUNT, of_reversal, Some(REVERSED));
                (both, outcome)
            };
            let (mut both, outcome) = pair();
            let is_void = [of_reversed, of_reversal].map(|status| status == EntryStatus::Void);
            let is_apart = (of_reversed, of_reversal) == (EntryStatus::Pending, EntryStatus::Held);
            if is_void[0] != is_void[1] || is_apart {
                assert_eq!(outcome, refused, "{of_reversed:?}, {of_reversal:?}");
                assert_eq!(both.real.state.reversal_of(REVERSED), None);
                let owed = if of_reversed == EntryStatus::Void { 0 } else { i128::from(AMOUNT) };
                assert_eq!(both.paid_in_the_end(), owed, "{of_reversed:?}, {of_reversal:?}");
                continue;
            }
            assert_eq!(outcome, Outcome::EntryImported { entry: REVERSAL });
            assert_eq!(both.paid_in_the_end(), 0, "{of_reversed:?}, {of_reversal:?}");
            for first in changes() {
                for second in changes() {
                    let (mut both, _) = pair();
                    both.apply(first.clone());
                    both.apply(second.clone());
                    assert_eq!(
                        both.paid_in_the_end(),
                        0,
                        "{of_reversed:?}, {of_reversal:?}, {first:?}, {second:?}"
                    );
                }
            }
        }
    }
}

/// The same pairs, reversed by a command.
#[test]
fn what_is_reversed_comes_to_nothing_in_every_state() {
    for status in EntryStatus::ALL {
        for then in changes() {
            let mut both = Both::new();
            both.import(AMOUNT, status, None);
            let outcome = both.apply(Command::ReverseEntry { entry: REVERSED });
            if status == EntryStatus::Void {
                assert_eq!(outcome, Outcome::Rejected(Rejection::EntryChangeNotAllowed));
            } else {
                let held = status == EntryStatus::Held;
                assert_eq!(outcome, Outcome::Reversed { entry: REVERSED, reversal: REVERSAL, held });
            }
            both.apply(then.clone());
            assert_eq!(both.paid_in_the_end(), 0, "{status:?}, {then:?}");
        }
    }
}
