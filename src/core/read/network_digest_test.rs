//! The kept digest against the one from scratch, after each of random commands of every kind, while captures
//! and frozen views of earlier moments are still being hashed. Chunks are small here: two members, sixty-four
//! entries.

use std::collections::BTreeMap;

use rand_pcg::{
    Pcg64Mcg,
    rand_core::{RngCore, SeedableRng},
};

use super::*;
use crate::{
    core::{
        plan::RankRule,
        read::received::network::{id_of, plan},
        requests::command::{
            ChangeEntry, Command, CommandKind, Domain, EntryChange, ImportEntry, Origin, Outcome, PayFilter,
            PeriodRef, PlacementRequest, Register, SponsorRef, Stamped, TriggerBonus,
        },
        state::{
            prepare::{Need, Preparation},
            view::{CopyProgress, FrozenCopy},
        },
        store::{
            column::ViewId,
            view_parts::{Part, Parts},
        },
        words::types::{Code, MemberId, Money, Reason, Reference, Timestamp},
    },
    engine::MemberDirectory,
};

/// Everything that a digest reads.
const PARTS: Parts = Parts::of(&[Part::Members, Part::Placement, Part::Sponsors, Part::Codes, Part::Ledger]);

struct Harness {
    random: Pcg64Mcg,
    state: State,
    directory: MemberDirectory,
    /// Being hashed, with the digest at their moment.
    captures: Vec<(Capture, Digest)>,
    views: Vec<(ViewId, FrozenCopy, Digest)>,
    /// By kind, commands that changed the digest when every sum was current.
    told: BTreeMap<CommandKind, u32>,
}

impl Harness {
    fn new(seed: u64) -> Self {
        Self {
            random: Pcg64Mcg::seed_from_u64(seed),
            state: State::new(plan(), 1),
            directory: MemberDirectory::with_capacity(0, 0),
            captures: Vec::new(),
            views: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::from(self.random.next_u32()) % bound.max(1)
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn member(&mut self) -> MemberId {
        let members = self.state.len();
        id_of(u32::try_from(self.below(members.into())).unwrap())
    }

    fn entry(&mut self) -> u64 {
        let entries = self.state.entries();
        // Old ones too, so that a reversal and what it reverses are in different chunks.
        if self.one_in(2) { self.below(entries) } else { self.below(entries / 4) }
    }

    fn reference(&mut self) -> Option<Reference> {
        let number = self.below(9);
        Reference::parse(&format!("order {number}")).filter(|_| number < 5)
    }

    fn status(&mut self) -> EntryStatus {
        EntryStatus::ALL[usize::try_from(self.below(4)).unwrap()]
    }

    /// A command of this kind, which may be refused. A new kind must be added here.
    fn command(&mut self, kind: CommandKind) -> Command {
        match kind {
            CommandKind::Register => {
                let number = self.state.len();
                let sponsor = match number {
                    0 => SponsorRef::None,
                    _ => SponsorRef::Member(self.member()),
                };
                Command::Register(Register {
                    member: id_of(number),
                    sponsor,
                    placement: PlacementRequest::PlanDefault,
                    code: Code::parse(&format!("code-{number}")).filter(|_| number.is_multiple_of(3)),
                    role: if number % 9 == 4 { Role::Admin } else { Role::Member },
                    joined_at: None,
                    origin: Origin::Signup,
                })
            }
            CommandKind::TriggerBonus => Command::TriggerBonus(TriggerBonus {
                source: self.member(),
                trigger: if self.one_in(2) { "placed".into() } else { "sponsored".into() },
                amount: None,
                once: self.one_in(4),
                reference: self.reference(),
            }),
            CommandKind::PayEntry => Command::PayEntry { entry: self.entry() },
            CommandKind::PayAll => Command::PayAll,
            CommandKind::SetStatus => Command::SetStatus {
                member: self.member(),
                status: if self.one_in(3) { Status::Inactive } else { Status::Active },
            },
            CommandKind::SetRole => Command::SetRole {
                member: self.member(),
                role: if self.one_in(2) { Role::Admin } else { Role::Member },
            },
            CommandKind::PutPlan => {
                let mut plan = (**self.state.plan()).clone();
                if let RankRule::Thresholds { steps, .. } = &mut plan.ranks {
                    steps[0].minimum = 1 + u32::try_from(self.below(4)).unwrap();
                }
                Command::PutPlan(Box::new(plan))
            }
            CommandKind::ImportEntry => Command::ImportEntry(ImportEntry {
                receiver: self.member(),
                source: self.member(),
                level: self.random.next_u32() % 5_000,
                amount: Money(self.random.next_u32().into()),
                kind: "old".into(),
                status: self.status(),
                time: Timestamp(self.below(2_000).cast_signed()),
                row_id: None,
                reference: self.reference(),
                reverses: None,
            }),
            CommandKind::ReverseEntry => Command::ReverseEntry { entry: self.entry() },
            CommandKind::PayMatching => {
                let receiver = if self.one_in(4) { None } else { Some(self.member()) };
                Command::PayMatching(PayFilter { receiver, ..PayFilter::default() })
            }
            CommandKind::ChangeEntry => {
                let change = EntryChange::ALL[usize::try_from(self.below(3)).unwrap()];
                let reason = Reason::parse("checked").expect("it is one");
                Command::ChangeEntry(ChangeEntry { entry: self.entry(), change, reason })
            }
            CommandKind::KeepOnce => Command::KeepOnce { source: self.member(), trigger: "placed".into() },
            CommandKind::PlaceOrder
            | CommandKind::RefundOrder
            | CommandKind::OpenPeriod
            | CommandKind::StepPeriod
            | CommandKind::RecordRun
            | CommandKind::SetAttributes
            | CommandKind::AddOpening
            | CommandKind::CloseOpening
            | CommandKind::SealPeriod
            | CommandKind::RecallOrder
            | CommandKind::ClosePeriod => {
                // Not in the digest, and refused without calendars.
                Command::ClosePeriod(PeriodRef { calendar: 0, period: 0 })
            }
        }
    }

    /// Applies a command, now and then with its result computed ahead.
    fn apply(&mut self, command: Command) -> Outcome {
        let prepared = if self.one_in(2) { self.prepared(&command) } else { None };
        let lsn = self.state.lsn() + 1;
        let time = Timestamp(lsn.cast_signed() * 3);
        let stamped = Stamped { lsn, time, key: None, actor: None, format: Stamped::FORMAT, command };
        let directory = &mut self.directory.write();
        let (applied, replaced) = self.state.apply_prepared(directory, &stamped, prepared);
        drop(replaced);
        applied.outcome
    }

    fn prepared(&mut self, command: &Command) -> Option<Preparation> {
        let directory = &self.directory.write();
        let mut prepared = match self.state.preparation_for(directory, command, 0)? {
            Need::Network => Preparation::on_network(&self.state, directory, command)?,
            Need::Copy(parts) => {
                let view = self.state.freeze(parts).expect("few views");
                let mut copy = FrozenCopy::default();
                while self.state.copy_frozen(view, &mut copy) == CopyProgress::More {}
                drop(self.state.thaw(view));
                Preparation::on_copy(copy.into_state(), command)?
            }
        };
        while !prepared.advance(&self.state, 100) {}
        prepared.complete(&self.state);
        Some(prepared)
    }

    fn keep(&mut self, mut fresh: FreshSums) {
        while !fresh.is_empty() {
            self.state.keep_sums(&mut fresh, 3);
        }
    }

    /// Makes every sum current.
    fn settle(&mut self) {
        let mut capture = self.state.capture_sums(usize::MAX);
        while capture.hash_next(&self.state) {}
        self.keep(capture.into_fresh());
        assert_eq!(self.state.capture_sums(0).stale(), 0);
    }

    /// Begins, continues or ends something that hashes an earlier moment.
    fn hash_meanwhile(&mut self, digest: Digest) {
        match self.below(6) {
            0 if self.captures.len() < 4 => {
                let most = usize::try_from(self.below(200)).unwrap();
                self.captures.push((self.state.capture_sums(most), digest));
            }
            1 if self.views.len() < 3 => {
                let parts = if self.one_in(2) { Parts::ALL } else { PARTS };
                let view = self.state.freeze(parts).expect("few views");
                self.views.push((view, FrozenCopy::default(), digest));
            }
            2 if !self.captures.is_empty() => {
                let at = usize::try_from(self.below(self.captures.len() as u64)).unwrap();
                for _ in 0..self.below(40) {
                    self.captures[at].0.hash_next(&self.state);
                }
                if self.one_in(2) {
                    let (mut capture, expected) = self.captures.swap_remove(at);
                    while capture.hash_next(&self.state) {}
                    let digest = capture.digest();
                    assert!(digest.is_none_or(|digest| digest == expected), "a capture, hashed later");
                    self.keep(capture.into_fresh());
                }
            }
            3 if !self.views.is_empty() => {
                let at = usize::try_from(self.below(self.views.len() as u64)).unwrap();
                let (view, mut copy, expected) = self.views.swap_remove(at);
                let mut progress = CopyProgress::More;
                while progress == CopyProgress::More {
                    progress = self.state.copy_frozen(view, &mut copy);
                }
                drop(self.state.thaw(view));
                if progress == CopyProgress::Complete {
                    let (digest, fresh) = kept_network_digest(&copy.into_state());
                    assert_eq!(digest, expected, "a view, hashed later");
                    self.keep(fresh);
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, kind: CommandKind) {
        let is_settled = self.one_in(2);
        if is_settled {
            self.settle();
        }
        let before = network_digest(&self.state);
        let command = self.command(kind);
        let outcome = self.apply(command);
        let digest = network_digest(&self.state);
        assert_eq!(kept_network_digest(&self.state).0, digest, "after {outcome:?}");
        if is_settled && digest != before {
            *self.told.entry(kind).or_default() += 1;
        }
        self.hash_meanwhile(digest);
    }
}

#[test]
fn what_is_kept_gives_the_digest_from_scratch_whatever_is_applied() {
    let mut told = BTreeMap::<CommandKind, u32>::new();
    for seed in 0..12 {
        println!("seed {seed}");
        let mut harness = Harness::new(seed);
        for _ in 0..60 {
            harness.step(CommandKind::Register);
        }
        for _ in 0..480 {
            let all = CommandKind::ALL;
            let kind = all[usize::try_from(harness.below(all.len() as u64)).unwrap()];
            // Paying all leaves nothing to be changed.
            if kind != CommandKind::PayAll || harness.one_in(16) {
                harness.step(kind);
            }
        }
        harness.told.into_iter().for_each(|(kind, times)| *told.entry(kind).or_default() += times);
    }
    for kind in CommandKind::ALL {
        // It is in no hash that a trigger was paid once, nor are attributes, orders, periods and the opening
        // state.
        let is_told = !matches!(kind, CommandKind::KeepOnce | CommandKind::SetAttributes)
            && !matches!(kind.domain(), Domain::Orders | Domain::Periods);
        let expected = if is_told { 8 } else { 0 };
        let times = told.get(&kind).copied().unwrap_or_default();
        assert!(expected <= times && (expected != 0 || times == 0), "{kind:?}: {times} of {told:?}");
    }
}

#[test]
fn only_what_changed_is_hashed_again() {
    let mut harness = Harness::new(1);
    (0..200).for_each(|_| harness.step(CommandKind::Register));
    harness.settle();
    let total = harness.state.network.members().sums().chunks();
    let status = Command::SetStatus { member: id_of(7), status: Status::Inactive };
    harness.apply(status.clone());
    assert_eq!(harness.state.capture_sums(0).stale(), 1, "of {total}");
    harness.settle();
    harness.apply(status);
    assert_eq!(harness.state.capture_sums(0).stale(), 0, "a no-op");
    let view = harness.state.freeze(PARTS).unwrap();
    harness.apply(Command::SetStatus { member: id_of(7), status: Status::Active });
    let mut copy = FrozenCopy::default();
    while harness.state.copy_frozen(view, &mut copy) == CopyProgress::More {}
    let (_, fresh) = kept_network_digest(&copy.into_state());
    assert!(fresh.is_empty(), "a view takes the sums along");
}

#[test]
fn paying_all_changes_the_hash_of_a_reversal_that_was_paid_before() {
    let mut harness = Harness::new(2);
    (0..60).for_each(|_| harness.step(CommandKind::Register));
    let change = |change| {
        let reason = Reason::parse("checked").expect("it is one");
        Command::ChangeEntry(ChangeEntry { entry: 0, change, reason })
    };
    let Outcome::Reversed { reversal, .. } = harness.apply(Command::ReverseEntry { entry: 0 }) else {
        panic!("it can be reversed")
    };
    assert!(EntrySums::CHUNK_ROWS as u64 <= reversal, "it is in another chunk");
    harness.apply(Command::PayEntry { entry: reversal });
    harness.apply(change(EntryChange::Hold));
    harness.apply(Command::PayAll);
    harness.apply(change(EntryChange::Release));
    harness.settle();
    assert_eq!(harness.apply(Command::PayAll), Outcome::AllPaid { entries: 1 });
    assert_eq!(kept_network_digest(&harness.state).0, network_digest(&harness.state));
}
