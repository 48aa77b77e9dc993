//! History on real files: past states, the feed, explanations.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tempfile::tempdir;
use upline::engine::{
    AuditFilter, Cause, Command, Digest, Engine, EngineOptions, Event, Feed, HistoryError, LogOptions,
    MemberIx, PaidBy, Retention, ShareFate, Status, Timestamp, state_digest,
};

use super::common::{digest, grow, member, open, options, signup, submit, trigger};

const START: i64 = 1_700_000_000_000_000;

/// A clock that advances by a second per reading, much faster than the machine's own.
fn ticking(options: &mut EngineOptions) {
    let now = AtomicI64::new(START);
    options.clock = Arc::new(move || Timestamp(now.fetch_add(1_000_000, Ordering::Relaxed)));
    options.clock_jump_max = None;
}

/// Grows a network with periodic snapshots; returns its digest after each LSN.
fn grown(engine: &Engine, members: u64, snapshot_every: u64) -> Vec<Digest> {
    let mut digests = vec![digest(engine)];
    for number in 0..members {
        grow(engine, number, number + 1);
        record(engine, &mut digests);
        let command = match number % 4 {
            0 => trigger(number),
            1 => Command::SetStatus {
                member: member(number / 3),
                status: if number % 8 == 1 { Status::Inactive } else { Status::Active },
            },
            2 => Command::PayEntry { entry: 0 },
            _ => Command::PayAll,
        };
        // An inactive member cannot recruit: the next one would be refused.
        if !matches!(&command, Command::SetStatus { member: id, .. } if *id == member(number.div_ceil(2) / 2))
        {
            submit(engine, command);
            record(engine, &mut digests);
            reactivate(engine, number + 1, &mut digests);
        }
        if number % snapshot_every == snapshot_every - 1 {
            engine.snapshot_now_blocking().unwrap();
        }
    }
    digests
}

/// Makes the sponsor of member `number` active, if it is not.
fn reactivate(engine: &Engine, number: u64, digests: &mut Vec<Digest>) {
    let sponsor = member((number - 1) / 2);
    let status = engine
        .read(|state, directory| state.find(directory, &sponsor).map(|index| state.member(index).status));
    if status == Some(Status::Inactive) {
        submit(engine, Command::SetStatus { member: sponsor, status: Status::Active });
        record(engine, digests);
    }
}

/// Refusals before the log have no LSN.
fn record(engine: &Engine, digests: &mut Vec<Digest>) {
    if engine.read(|state, _| state.lsn()) == digests.len() as u64 {
        digests.push(digest(engine));
    }
}

fn digest_at(engine: &Engine, lsn: u64) -> Digest {
    let state = engine.state_at(lsn).unwrap_or_else(|error| panic!("LSN {lsn}: {error}"));
    assert_eq!(state.lsn(), lsn);
    state_digest(&state)
}

#[test]
fn every_state_comes_back_as_it_was() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    let digests = grown(&engine, 300, 40);
    let last = digests.len() as u64 - 1;
    assert_eq!(engine.read(|state, _| state.lsn()), last);
    // Forward, where each continues from the previous one; and back and forth, where each is rebuilt.
    let forth: Vec<u64> = (0..=last).step_by(7).collect();
    let jumps = (0..40).map(|step: u64| step * 7_919 % (last + 1));
    for lsn in forth.into_iter().chain(jumps) {
        assert_eq!(digest_at(&engine, lsn), digests[usize::try_from(lsn).unwrap()], "LSN {lsn}");
    }
    assert_eq!(engine.state_at(last + 1).err(), Some(HistoryError::Ahead { applied: last }));
    // Later members are unknown in the past, by id and by code.
    let past = engine.state_at(20).unwrap();
    engine.read(|state, directory| {
        let newest = state.code(MemberIx(state.len() - 1));
        assert!(past.len() < state.len());
        for number in 0..state.len() {
            let found = past.find(directory, &member(u64::from(number)));
            assert_eq!(found.is_some(), number < past.len(), "{number}");
        }
        assert_eq!(past.member_by_code(directory, &newest), None);
    });
    drop(engine);
    // The same after a restart.
    let engine = open(directory.path());
    for lsn in [0, 1, last / 2, last] {
        assert_eq!(digest_at(&engine, lsn), digests[usize::try_from(lsn).unwrap()], "LSN {lsn}");
    }
    assert_eq!((engine.oldest_state_lsn(), engine.oldest_log_lsn()), (Ok(0), 1));
}

#[test]
fn a_moment_names_the_last_lsn_before_it() {
    let directory = tempdir().unwrap();
    let mut options = options(directory.path());
    ticking(&mut options);
    let engine = Engine::open(options).unwrap().0;
    let mut times = Vec::new();
    for number in 0..200 {
        grow(&engine, number, number + 1);
        times.push(engine.read(|state, _| state.time()));
    }
    for (time, lsn) in times.iter().zip(1_u64..) {
        assert_eq!(engine.lsn_at(*time), Ok(lsn));
        assert_eq!(engine.lsn_at(Timestamp(time.0 - 1)), Ok(lsn - 1));
        assert_eq!(engine.lsn_at(Timestamp(time.0 + 1)), Ok(lsn));
    }
    assert!(matches!(engine.lsn_at(Timestamp(i64::MAX)), Err(HistoryError::InFuture { .. })));
    assert!(matches!(engine.lsn_at(Timestamp(-1)), Err(HistoryError::BelowRetained { oldest: 0 })));
}

#[test]
fn what_is_not_retained_is_told_with_the_oldest_that_is() {
    let directory = tempdir().unwrap();
    let mut options = options(directory.path());
    options.log = LogOptions {
        segment_bytes: 16 * 1_024,
        retention: Retention::Bytes(32 * 1_024),
        ..LogOptions::default()
    };
    let engine = Engine::open(options).unwrap().0;
    let mut entry_lsn = 0;
    for number in 0..900 {
        grow(&engine, number, number + 1);
        if number == 5 {
            entry_lsn = submit(&engine, trigger(5)).applied.lsn;
        }
        if number % 100 == 99 {
            engine.snapshot_now_blocking().unwrap();
        }
    }
    // The writer retires segments before it applies this.
    grow(&engine, 900, 901);
    let (oldest, log) = (engine.oldest_state_lsn().unwrap(), engine.oldest_log_lsn());
    assert!(entry_lsn < log && log <= oldest + 1, "{log} {oldest}");
    assert_eq!(engine.state_at(oldest).unwrap().lsn(), oldest);
    assert_eq!(engine.state_at(oldest - 1).err(), Some(HistoryError::BelowRetained { oldest }));
    assert_eq!(engine.explain(0).err(), Some(HistoryError::BelowRetained { oldest }));
    assert_eq!(engine.feed(log - 1).err(), Some(HistoryError::BelowRetained { oldest: log }));
    assert!(engine.feed(log).is_ok());
    // The audit reaches back to the oldest command, then reports so; a window before it is refused at once.
    let (mut below, mut listed, mut pages) = (None, Vec::new(), 0);
    let ended = loop {
        let page = match engine.audit(&AuditFilter::default(), below, 100) {
            Ok(page) => page,
            Err(error) => break error,
        };
        pages += 1;
        listed.extend(page.commands.iter().map(|(stamped, _)| stamped.lsn));
        below = Some(page.below.expect("the first command is not retained"));
    };
    assert_eq!(ended, HistoryError::BelowRetained { oldest: log });
    let newest = engine.read(|state, _| state.lsn());
    assert!((log..=newest).rev().eq(listed) && 1 < pages);
    let before = AuditFilter { to: Some(Timestamp(1)), ..AuditFilter::default() };
    assert_eq!(engine.audit(&before, None, 100).err(), Some(HistoryError::BelowRetained { oldest: log }));
}

#[test]
fn one_state_of_the_past_is_held_at_a_time() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 50);
    let held = engine.state_at(10).unwrap();
    assert!(Arc::ptr_eq(&held, &engine.state_at(10).unwrap()), "the same one is shared");
    assert_eq!(engine.state_at(11).err(), Some(HistoryError::Busy));
    let later = {
        let engine = engine.clone();
        std::thread::spawn(move || engine.state_at(11).map(|state| state.lsn()))
    };
    std::thread::sleep(Duration::from_millis(50));
    drop(held);
    assert_eq!(later.join().unwrap(), Ok(11), "the waiting one comes next");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Reads events up to this LSN.
async fn until(feed: &mut Feed, last: u64) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| event.stamped.lsn < last) {
        events.extend(feed.next_batch().await.unwrap().expect("the engine runs"));
    }
    events
}

#[test]
fn the_feed_gives_every_command_once_and_then_waits_for_more() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 3_000);
    engine.snapshot_now_blocking().unwrap();
    grow(&engine, 3_000, 3_100);
    let runtime = runtime();
    let mut feed = engine.feed(1).unwrap();
    let events = runtime.block_on(until(&mut feed, 3_100));
    assert!(events.iter().map(|event| event.stamped.lsn).eq(1..=3_100));
    for (event, number) in events.iter().zip(0_u64..) {
        assert_eq!(event.stamped.command, signup(number, number.checked_sub(1).map(|last| last / 2)));
        let (placed, code) = event.member.as_ref().expect("a signup");
        assert_eq!(placed.id, member(number));
        engine.read(|state, _| {
            assert_eq!((state.member(placed.index), state.code(placed.index)), (*placed, code.clone()));
        });
    }
    // Nothing new: it waits, and canceling the wait loses nothing.
    let waiting =
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(50), feed.next_batch()).await });
    assert!(waiting.is_err());
    let writer = {
        let engine = engine.clone();
        std::thread::spawn(move || {
            grow(&engine, 3_100, 3_400);
            submit(&engine, trigger(3_000)).applied.lsn
        })
    };
    let mut events = runtime.block_on(until(&mut feed, 3_401));
    assert_eq!(writer.join().unwrap(), 3_401);
    assert!(events.iter().map(|event| event.stamped.lsn).eq(3_101..=3_401));
    let paid = events.pop().unwrap();
    assert_eq!((paid.entries.end - paid.entries.start, paid.member), (4, None));
    // From the middle to the current end.
    let mut middle = engine.feed(1_234).unwrap();
    assert_eq!(middle.next_lsn(), 1_234);
    assert!(
        runtime.block_on(until(&mut middle, 3_401)).iter().map(|event| event.stamped.lsn).eq(1_234..=3_401)
    );
    assert!(engine.feed(3_402).is_ok());
    assert_eq!(engine.feed(3_403).err(), Some(HistoryError::Ahead { applied: 3_401 }));
    // It ends with the engine.
    let ending = runtime.spawn(async move { middle.next_batch().await });
    std::thread::sleep(Duration::from_millis(20));
    engine.shutdown();
    assert_eq!(runtime.block_on(ending).unwrap(), Ok(None));
}

#[test]
fn many_feeds_see_the_same_while_commands_come_in() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    grow(&engine, 0, 1);
    let runtime = runtime();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mut feed = engine.feed(1).unwrap();
            runtime.spawn(async move { until(&mut feed, 1_000).await })
        })
        .collect();
    grow(&engine, 1, 1_000);
    for reader in readers {
        let events = runtime.block_on(reader).unwrap();
        assert!(events.iter().map(|event| event.stamped.lsn).eq(1..=1_000));
    }
}

#[test]
fn each_kind_of_entry_is_explained_down_to_its_rule() {
    let directory = tempdir().unwrap();
    let engine = open(directory.path());
    // 0 <- 1, 2, 3; the third recruit of 0 makes it Bronze, which pays a reward.
    for number in 0..4 {
        submit(&engine, signup(number, number.checked_sub(1).map(|_| 0)));
    }
    submit(&engine, signup(4, Some(1)));
    submit(&engine, signup(5, Some(4)));
    let bonus = submit(&engine, trigger(5)).applied.lsn;
    submit(&engine, Command::SetStatus { member: member(4), status: Status::Inactive });
    let second = submit(&engine, trigger(5)).applied.lsn;
    engine.snapshot_now_blocking().unwrap();
    let paid = submit(&engine, Command::PayEntry { entry: 1 }).applied.lsn;
    let all = submit(&engine, Command::PayAll).applied.lsn;
    // Later commands do not change the explanation.
    submit(&engine, Command::SetStatus { member: member(1), status: Status::Inactive });

    let reward = engine.explain(0).unwrap().unwrap();
    let Cause::Rank { reached, command, plan } = &reward.cause else { panic!("{reward:?}") };
    assert_eq!(
        (reward.kind.as_str(), reward.entry.receiver, reward.entry.source),
        ("rank:1", MemberIx(0), MemberIx(3))
    );
    assert_eq!(
        (reached.name.as_deref(), reached.needs[0].minimum, reached.needs[0].count),
        (Some("Bronze"), 3, 3)
    );
    assert_eq!((command.lsn, &command.command, &plan.name[..]), (4, &signup(3, Some(0)), "matrix"));
    assert_eq!((reward.source_signup, reward.receiver_signup), (Some(4), Some(1)));
    assert!(matches!(reward.paid, Some(PaidBy::Command { lsn, is_pay_all: true, .. }) if lsn == all));

    // 5 sits under 4, under 1, under 0.
    let first = engine.explain(1).unwrap().unwrap();
    let Cause::Trigger { walk, rule, plan, command } = &first.cause else { panic!("{first:?}") };
    let told: Vec<_> =
        walk.shares.iter().map(|share| (share.receiver.0, share.level, share.amount.0, share.fate)).collect();
    let all_paid =
        [(4, 1, 1_000, ShareFate::Paid), (1, 2, 500, ShareFate::Paid), (0, 3, 200, ShareFate::Paid)];
    assert_eq!((told.as_slice(), walk.beyond, command.lsn), (&all_paid[..], 0, bonus));
    assert_eq!(&*plan.bonuses[*rule].trigger, "referral");
    assert!(matches!(first.paid, Some(PaidBy::Command { lsn, is_pay_all: false, .. }) if lsn == paid));

    let withheld = engine.explain(4).unwrap().unwrap();
    let Cause::Trigger { walk, command, .. } = &withheld.cause else { panic!("{withheld:?}") };
    let told: Vec<_> =
        walk.shares.iter().map(|share| (share.receiver.0, share.level, share.amount.0, share.fate)).collect();
    let one_withheld = [
        (4, 1, 1_000, ShareFate::Withheld(Status::Inactive)),
        (1, 2, 500, ShareFate::Paid),
        (0, 3, 200, ShareFate::Paid),
    ];
    assert_eq!((told.as_slice(), command.lsn), (&one_withheld[..], second));
    assert_eq!(engine.explain(99), Ok(None));
}
