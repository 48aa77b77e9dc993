//! The engine's own threads under a scheduler that chooses after each step which of them runs next. See
//! `engine/sync.rs`.
//!
//! The production code runs: `Inner::start` starts writer, snapshotter and ticker as it does to serve, on the
//! rig's recording journal, or on a real log on an in-memory disk. A model adds clients, runs everything to
//! its end in some thousands of orders, and checks what each of them must see in every one. A thread that
//! waits forever is reported as a deadlock: no wait here has a time limit.
//!
//! Half of the orders are random at each step, half have few and early thread switches (probabilistic
//! concurrency testing), which finds bugs that need a long run of one thread within another's. Orders are
//! sequentially consistent: that a mark is not seen before what it marks rests on `Release` and `Acquire`,
//! which no model here can break.
//!
//! `UPLINE_SHUTTLE_ITERATIONS` (of each model) and `UPLINE_SEED` set the number and the seed; a failure
//! prints the order, for `shuttle::replay`.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Mutex as StdMutex,
};

use shuttle::{
    Config, Runner,
    future::block_on,
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

use super::{
    rig::{Rig, ScriptInner, in_memory},
    seals::{FIRST, Shop, order, refund},
    *,
};

const ITERATIONS: u64 = 200;
/// Thread switches that a bug may need: three find most.
const DEPTH: usize = 3;
/// The engine's functions, unoptimized, need more than a coroutine's default.
const STACK_BYTES: usize = 1 << 20;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs a model in many orders, and prints how many.
fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let (seed, iterations) = (
        from_environment("UPLINE_SEED", 1),
        from_environment("UPLINE_SHUTTLE_ITERATIONS", ITERATIONS).max(2),
    );
    let half = usize::try_from(iterations / 2).expect("a small number");
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    let model = Arc::new(model);
    let again = Arc::clone(&model);
    let run = AssertUnwindSafe(|| {
        Runner::new(RandomScheduler::new_from_seed(seed, half), config.clone()).run(move || model());
        Runner::new(PctScheduler::new_from_seed(seed, DEPTH, half), config.clone()).run(move || again());
    });
    if let Err(panic) = catch_unwind(run) {
        println!("model_{name}: failed with UPLINE_SEED={seed} UPLINE_SHUTTLE_ITERATIONS={iterations}");
        resume_unwind(panic);
    }
    println!("model_{name}: iterations={} seed={seed} failures=0", 2 * half);
}

/// A rig whose network has its first member, number 0.
fn begun(change: impl FnOnce(&mut EngineOptions)) -> Rig {
    let rig = rig(|options, _, _| change(options));
    assert_eq!(rig.engine.submit_blocking(signup(0, None), None).unwrap().applied.lsn, 1);
    rig
}

/// Signs up members below the first one, from a separate thread, and checks each answer.
fn signs_up(
    rig: &Rig,
    numbers: std::ops::Range<u64>,
) -> thread::JoinHandle<Vec<Result<Answer, SubmitError>>> {
    let (engine, script) = (rig.engine.clone(), Arc::clone(&rig.script));
    thread::spawn(move || {
        let sign_up = |number| {
            let result = engine.submit_blocking(signup(number, Some(0)), None);
            if let Ok(answer) = result {
                assert!(
                    answer.applied.lsn <= script.get(ScriptInner::durable_lsn),
                    "answered, and not durable"
                );
                assert!(
                    answer.applied.lsn <= engine.inner.shared.marks.applied(),
                    "answered, and not applied"
                );
                let seen = engine.read(|state, directory| state.find(directory, &member(number)).is_some());
                assert!(seen, "a client reads its own writes");
            }
            result
        };
        numbers.map(sign_up).collect()
    })
}

/// Digests of the states that result from the journal's groups, by LSN.
fn digests(rig: &Rig) -> BTreeMap<u64, Digest> {
    let mut replay = State::new(plan(), 5);
    let mut directory = MemberDirectory::with_capacity(0, 0);
    let mut digests = BTreeMap::from([(0, state_digest(&replay))]);
    for stamped in
        rig.script.get(|script| script.groups.iter().flat_map(|(group, _)| group.clone()).collect::<Vec<_>>())
    {
        replay.apply(&mut directory, &stamped);
        digests.insert(replay.lsn(), state_digest(&replay));
    }
    digests
}

#[test]
fn no_reader_ever_sees_the_chain_broken() {
    explore("chain", || {
        let rig = begun(|_| {});
        let mut clients = vec![signs_up(&rig, 1..3), signs_up(&rig, 3..5)];
        let looks = |rig: &Rig| {
            let (engine, script) = (rig.engine.clone(), Arc::clone(&rig.script));
            thread::spawn(move || {
                let marks = &engine.inner.shared.marks;
                for _ in 0..4 {
                    marks.get().validate();
                    let seen = engine.read(|state, _| {
                        assert_eq!(marks.applied(), state.lsn(), "a reader of the state sees its mark");
                        state.lsn()
                    });
                    assert!(seen <= script.get(ScriptInner::durable_lsn), "shown, and not durable");
                    assert!(seen <= marks.get().durable, "shown, and not marked as durable");
                }
            })
        };
        let readers = [looks(&rig), looks(&rig)];
        assert!(rig.engine.snapshot_now_blocking().unwrap().lsn <= rig.engine.status().lsn.snapshot);
        clients
            .drain(..)
            .for_each(|client| client.join().unwrap().into_iter().for_each(|result| _ = result.unwrap()));
        readers.into_iter().for_each(|reader| reader.join().unwrap());
        assert_eq!(rig.engine.status().members, 5);
    });
}

#[test]
fn a_frozen_view_is_of_one_moment_whatever_is_written_meanwhile() {
    explore("view", || {
        let rig = begun(|_| {});
        let clients = [signs_up(&rig, 1..3), signs_up(&rig, 3..4)];
        let views = |rig: &Rig| {
            let engine = rig.engine.clone();
            thread::spawn(move || {
                (0..2)
                    .map(|_| engine.frozen_view())
                    .map(|view| (view.lsn(), state_digest(&view)))
                    .collect::<Vec<_>>()
            })
        };
        let viewers = [views(&rig), views(&rig)];
        clients
            .into_iter()
            .for_each(|client| client.join().unwrap().into_iter().for_each(|result| _ = result.unwrap()));
        let digests = digests(&rig);
        for (lsn, digest) in viewers.into_iter().flat_map(|viewer| viewer.join().unwrap()) {
            assert_eq!(digest, digests[&lsn], "the view of LSN {lsn}");
        }
    });
}

#[test]
fn views_of_different_parts_are_made_at_once_and_survive_a_plan_that_takes_their_columns() {
    explore("views", || {
        let rig = begun(|_| {});
        let clients = [signs_up(&rig, 1..3)];
        let changes = {
            let engine = rig.engine.clone();
            let counting = Plan { count_sponsor_tree: true, ..plan() };
            thread::spawn(move || engine.submit_blocking(Command::PutPlan(Box::new(counting)), None).unwrap())
        };
        let views = |parts: Parts| {
            let engine = rig.engine.clone();
            thread::spawn(move || {
                let before = engine.inner.shared.marks.applied();
                let view = engine.frozen_view_of(parts);
                assert!(before <= view.lsn(), "a view of LSN {} after {before}", view.lsn());
                (view.lsn(), view.len(), (parts == Parts::ALL).then(|| state_digest(&view)))
            })
        };
        let viewers = [Parts::ALL, Parts::RANKED, Parts::of(&[Part::Members, Part::Placement])].map(views);
        assert!(rig.engine.snapshot_now_blocking().unwrap().lsn <= rig.engine.status().lsn.snapshot);
        for client in clients {
            client.join().unwrap().into_iter().for_each(|result| _ = result.unwrap());
        }
        let last_change = changes.join().unwrap().applied.lsn;
        let digests = digests(&rig);
        for viewer in viewers {
            let (lsn, members, digest) = viewer.join().unwrap();
            assert_eq!(u64::from(members), lsn - u64::from(last_change <= lsn), "the view of LSN {lsn}");
            assert!(digest.is_none_or(|digest| digest == digests[&lsn]), "the view of LSN {lsn}");
        }
        assert_eq!(rig.engine.inner.shared.views.making(), 0);
        assert_eq!(rig.engine.read(|state, _| state.views()), 0, "the writer pays for no view any more");
    });
}

#[test]
fn whoever_asks_for_a_snapshot_gets_one_that_began_later() {
    explore("desk", || {
        let rig = begun(|options| options.snapshots.on_shutdown = true);
        let client = signs_up(&rig, 1..3);
        let asks = |rig: &Rig| {
            let engine = rig.engine.clone();
            thread::spawn(move || {
                let before = engine.inner.shared.marks.applied();
                match engine.snapshot_now_blocking() {
                    Ok(info) => {
                        assert!(before <= info.lsn, "asked for at LSN {before}, and it is of {}", info.lsn);
                    }
                    Err(error) => assert!(
                        error == SnapshotError::Stopping && engine.inner.shared.is_stopping(),
                        "{error}"
                    ),
                }
            })
        };
        let clients = [asks(&rig), asks(&rig)];
        let report = rig.engine.shutdown();
        let last = report.snapshot.expect("the policy wants one").expect("nothing is wrong with it");
        assert!(last.lsn <= report.lsn);
        assert_eq!(rig.engine.status().lsn.snapshot, last.lsn);
        clients.into_iter().for_each(|client| client.join().unwrap());
        client.join().unwrap();
    });
}

#[test]
fn a_snapshot_holds_what_its_client_wrote_before_it_asked() {
    explore("fresh", || {
        let rig = begun(|_| {});
        let asks = |number| {
            let engine = rig.engine.clone();
            thread::spawn(move || {
                let written = engine.submit_blocking(signup(number, Some(0)), None).unwrap().applied.lsn;
                let info = engine.snapshot_now_blocking().unwrap();
                assert!(written <= info.lsn, "asked for after LSN {written}, and it is of {}", info.lsn);
            })
        };
        // Nothing stops the engine meanwhile: they are answered because they asked.
        [asks(1), asks(2)].into_iter().for_each(|client| client.join().unwrap());
    });
}

#[test]
fn after_the_log_failed_nobody_waits_and_nothing_is_taken() {
    explore("poison", || {
        let rig = begun(|_| {});
        let clients = [signs_up(&rig, 1..3), signs_up(&rig, 3..5)];
        let engine = rig.engine.clone();
        rig.script.set(|script| script.fail_sync = true);
        // Requested midway.
        let snapshot = engine.snapshot_now_blocking();
        assert!(matches!(snapshot, Ok(_) | Err(SnapshotError::ReadOnly)), "{snapshot:?}");
        let results: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let durable = rig.script.get(ScriptInner::durable_lsn);
        for results in &results {
            let failed = results.iter().position(Result::is_err).unwrap_or(results.len());
            assert!(
                results[failed..].iter().all(Result::is_err),
                "read-only once is read-only for good: {results:?}"
            );
        }
        let acknowledged = results.iter().flatten().flatten().count() as u64;
        assert_eq!(
            engine.read(|state, _| (state.lsn(), u64::from(state.len()))),
            (durable, acknowledged + 1)
        );
        let syncs = rig.script.get(|script| script.syncs);
        if acknowledged < 4 {
            assert!(!engine.ready() && engine.status().poisoned.is_some());
            assert_eq!(engine.submit_blocking(signup(9, Some(0)), None), Err(SubmitError::ReadOnly));
        }
        assert_eq!(rig.script.get(|script| script.syncs), syncs, "nothing is tried after the first failure");
        assert!(rig.script.get(|script| script.failures) <= 1, "nothing is tried after the first failure");
    });
}

#[test]
fn whoever_is_told_that_the_outcome_is_unknown_finds_the_engine_read_only() {
    explore("unknown", || {
        let rig = begun(|_| {});
        rig.script.set(|script| script.fail_sync = true);
        let told = |number| {
            let engine = rig.engine.clone();
            thread::spawn(move || {
                let error = engine.submit_blocking(signup(number, Some(0)), None).unwrap_err();
                assert!(matches!(error, SubmitError::OutcomeUnknown | SubmitError::ReadOnly), "{error}");
                assert!(!engine.ready(), "told before the flag was set");
            })
        };
        [told(1), told(2)].into_iter().for_each(|client| client.join().unwrap());
    });
}

#[test]
fn a_stop_answers_everybody_and_loses_nothing() {
    explore("stop", || {
        let rig = begun(|_| {});
        let clients = [signs_up(&rig, 1..3), signs_up(&rig, 3..5)];
        let follower = {
            let mut feed = rig.engine.feed(2).unwrap();
            thread::spawn(move || block_on(feed.has_next()))
        };
        let report = rig.engine.shutdown();
        let results: Vec<_> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        for result in &results {
            match result {
                Ok(answer) => assert!(
                    answer.applied.lsn <= report.lsn,
                    "answered after the writer had ended: {answer:?}"
                ),
                Err(error) => assert_eq!(*error, SubmitError::Stopping),
            }
        }
        assert_eq!(report.lsn, 1 + results.iter().filter(|result| result.is_ok()).count() as u64);
        assert!(!follower.join().unwrap() || 2 <= report.lsn, "told of what is not there");
        assert_eq!(rig.engine.submit_blocking(signup(9, Some(0)), None), Err(SubmitError::Stopping));
        // A second shutdown returns the first one's report.
        assert_eq!(rig.engine.shutdown(), report);
    });
}

#[test]
fn writes_in_order_stay_in_order_beside_others() {
    explore("in_order", || {
        let rig = begun(|options| options.queue_max = 2);
        let other = signs_up(&rig, 11..13);
        let engine = rig.engine.clone();
        let mut pending: Vec<_> = (1..4)
            .map(|number| {
                // Each depends on the one before it, which is in flight.
                let command = signup(number, Some(number - 1));
                assert!(engine.judge(&command, None, |_| true).unwrap().is_none());
                block_on(engine.queue(command, None)).unwrap()
            })
            .collect();
        let answers: Vec<Answer> =
            pending.iter_mut().map(|pending| block_on(pending.answer()).unwrap()).collect();
        assert!(
            answers.iter().all(|answer| matches!(answer.applied.outcome, Outcome::Registered { .. })),
            "{answers:?}"
        );
        assert!(answers.is_sorted_by(|one, next| one.applied.lsn < next.applied.lsn), "{answers:?}");
        for result in other.join().unwrap() {
            assert!(matches!(result, Ok(_) | Err(SubmitError::Overloaded)), "{result:?}");
        }
    });
}

#[test]
fn an_id_that_was_brought_along_is_there_with_its_row() {
    const ID: [u8; 16] = [7; 16];
    explore("row_ids", || {
        let rig = begun(|_| {});
        let engine = rig.engine.clone();
        let reader = thread::spawn(move || {
            for _ in 0..3 {
                let Some(index) = engine.read(|state, directory| state.find(directory, &member(1))) else {
                    continue;
                };
                assert_eq!(
                    engine.row_id(RowKind::Member, u64::from(index.0)),
                    ID,
                    "the row is seen, and not its id"
                );
                assert_eq!(engine.row_of(ID), Some((RowKind::Member, u64::from(index.0))));
            }
        });
        let Command::Register(mut register) = signup(1, Some(0)) else { unreachable!("it is one") };
        register.origin = Origin::Import(Carried { row_id: Some(ID), ..Carried::default() });
        let outcome = rig.engine.submit_blocking(Command::Register(register), None).unwrap().applied.outcome;
        assert_eq!(outcome, Outcome::Registered { member: MemberIx(1) });
        reader.join().unwrap();
    });
}

/// A refund that was admitted while the state had its order may come to its turn behind the seal.
#[test]
fn an_order_that_is_being_sealed_is_refunded_and_stays_what_it_is() {
    explore("seal", || {
        let shop = Shop::posted();
        let of_client = |command: Command| {
            let engine = shop.engine.clone();
            thread::spawn(move || engine.submit_blocking(command, None).unwrap().applied.outcome)
        };
        let refunded = of_client(refund("r2", "B", RefundScope::Rest));
        let repeated = of_client(Command::PlaceOrder(Box::new(order("A", 1, 1_000))));
        let other = of_client(Command::PlaceOrder(Box::new(order("A", 1, 999))));
        let sealed = shop.seals(FIRST);
        assert!(matches!(sealed, Outcome::PeriodSealed { seal: 0, changed: true, .. }), "{sealed:?}");
        let refunded = refunded.join().unwrap();
        assert!(matches!(refunded, Outcome::OrderRefunded { changed: true, .. }), "{refunded:?}");
        let repeated = repeated.join().unwrap();
        assert!(matches!(repeated, Outcome::OrderPlaced { changed: false, .. }), "{repeated:?}");
        assert_eq!(other.join().unwrap(), Outcome::Rejected(Rejection::OrderIdTaken));
        let [a, b] = ["A", "B"].map(|name| shop.view(name).unwrap());
        assert_eq!((a.refunds.len(), b.refunds.len(), b.is_refunded()), (0, 2, true));
    });
}

#[test]
fn a_state_of_the_past_is_that_of_its_lsn_whoever_else_asks() {
    explore("history", || {
        let (engine, _) = Engine::open(in_memory(plan())).unwrap();
        let known = Arc::new(StdMutex::new(BTreeMap::new()));
        let note = |engine: &Engine| {
            let (lsn, digest) = engine.read(|state, _| (state.lsn(), state_digest(state)));
            known.lock().unwrap().insert(lsn, digest);
        };
        for number in 0..3 {
            engine.submit_blocking(signup(number, (number != 0).then_some(0)), None).unwrap();
            note(&engine);
        }
        let asks = |lsns: [u64; 2]| {
            let (engine, known) = (engine.clone(), Arc::clone(&known));
            thread::spawn(move || {
                for lsn in lsns {
                    let past = engine.state_at(lsn).unwrap();
                    assert_eq!((past.lsn(), state_digest(&past)), (lsn, known.lock().unwrap()[&lsn]));
                    engine.inner.shared.history.release_idle();
                }
            })
        };
        let readers = [asks([1, 3]), asks([2, 1])];
        engine.submit_blocking(signup(3, Some(0)), None).unwrap();
        engine.snapshot_now_blocking().unwrap();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
