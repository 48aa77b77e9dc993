//! The engine on whole logs: the files of a directory, and a cluster's (`replica.rs`). What holds for one
//! holds for the other.

use std::{path::PathBuf, thread::JoinHandle};

use super::{
    replica::{Cluster, Node, first_chain},
    rig::{fresh_options, log_options, member, signup, submit_aside, wait_until},
    *,
};
use crate::durability::{Retention, memory::Memory, storage::Storage};

/// A log, and what an engine needs beside it, across restarts.
trait Place {
    /// Opens the engine as it was left.
    fn start(&self) -> Engine;
}

/// A data directory in memory.
struct Files(Arc<dyn Storage>);

impl Place for Files {
    fn start(&self) -> Engine {
        let mut options = fresh_options(PathBuf::from("/d"));
        options.storage = Arc::clone(&self.0);
        // Nothing is kept that no snapshot needs, as in the cluster.
        options.log = LogOptions { retention: Retention::Bytes(0), ..log_options() };
        Engine::open(options).unwrap().0
    }
}

/// A node of a cluster, whose follower confirms at once unless told otherwise.
struct Replicated {
    cluster: Arc<Cluster>,
    node: Node,
    follower: Option<JoinHandle<()>>,
}

impl Replicated {
    fn new() -> Self {
        let (cluster, follower) = Cluster::new(first_chain());
        Self { node: Node::new(&cluster), cluster, follower: Some(follower) }
    }
}

impl Place for Replicated {
    fn start(&self) -> Engine {
        self.node.open().unwrap()
    }
}

impl Drop for Replicated {
    fn drop(&mut self) {
        self.cluster.end();
        self.follower.take().unwrap().join().unwrap();
    }
}

fn on_each_log(test: impl Fn(&dyn Place)) {
    test(&Files(Memory::new().shared()));
    test(&Replicated::new());
}

fn sign_up(engine: &Engine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let sponsor = number.checked_sub(1).map(|last| last / 2);
        let answer = engine.submit_blocking(signup(number, sponsor), None).unwrap();
        assert!(matches!(answer.applied.outcome, Outcome::Registered { .. }), "{number}: {answer:?}");
    }
}

fn digest(engine: &Engine) -> (u64, Digest) {
    engine.read(|state, _| (state.lsn(), state_digest(state)))
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    on_each_log(|place| {
        let engine = place.start();
        sign_up(&engine, 0..50);
        let before = digest(&engine);
        engine.shutdown();
        drop(engine);
        let engine = place.start();
        assert_eq!(digest(&engine), before);
        assert_eq!(engine.status().lsn, Watermarks { snapshot: 0, applied: 50, durable: 50, admitted: 50 });
        sign_up(&engine, 50..60);
        assert_eq!(engine.read(|state, _| state.len()), 60);
    });
}

#[test]
fn a_restart_begins_with_the_newest_snapshot() {
    on_each_log(|place| {
        let engine = place.start();
        sign_up(&engine, 0..30);
        assert_eq!(engine.snapshot_now_blocking().unwrap().lsn, 30);
        sign_up(&engine, 30..40);
        let before = digest(&engine);
        engine.shutdown();
        drop(engine);
        let engine = place.start();
        assert_eq!(engine.status().lsn, Watermarks { snapshot: 30, applied: 40, durable: 40, admitted: 40 });
        assert_eq!(digest(&engine), before);
        assert_eq!(engine.kept_snapshots().unwrap().len(), 2);
    });
}

#[test]
fn the_feed_has_every_command_once_and_in_order() {
    on_each_log(|place| {
        let engine = place.start();
        sign_up(&engine, 0..20);
        engine.shutdown();
        drop(engine);
        let engine = place.start();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut feed = engine.feed(1).unwrap();
        let mut seen = 0;
        for last in [20, 25, 60] {
            sign_up(&engine, engine.status().lsn.applied..last);
            while seen < last {
                let batch = runtime.block_on(feed.next_batch()).unwrap().unwrap();
                for event in batch {
                    seen += 1;
                    assert_eq!((event.stamped.lsn, event.fate), (seen, Fate::Changed));
                    let index = u32::try_from(seen - 1).unwrap();
                    assert_eq!(event.member.unwrap().0.id, member(u64::from(index)));
                }
            }
        }
        engine.shutdown();
        assert_eq!(runtime.block_on(feed.next_batch()).unwrap(), None, "the engine has stopped");
    });
}

#[test]
fn the_past_is_rebuilt_as_far_as_it_is_retained() {
    on_each_log(|place| {
        let engine = place.start();
        let mut digests = vec![];
        for round in 0..4 {
            for hundred in 0..3 {
                let from = round * 300 + hundred * 100;
                sign_up(&engine, from..from + 100);
                digests.push(digest(&engine));
            }
            for (lsn, digest) in digests.iter().rev().take(3) {
                assert_eq!(state_digest(&engine.state_at(*lsn).unwrap()), *digest, "at LSN {lsn}");
            }
            let moment = engine.state_at(digests[digests.len() - 2].0).unwrap();
            assert_eq!(engine.lsn_at(moment.time()).unwrap(), moment.lsn());
            drop(moment);
            assert_eq!(engine.snapshot_now_blocking().unwrap().lsn, (round + 1) * 300);
        }
        // The older kept snapshot is the floor.
        wait_until("the log is retired", || 600 < engine.oldest_log_lsn());
        let oldest = engine.oldest_log_lsn();
        assert!(oldest <= 901, "{oldest}");
        let below = Err(HistoryError::BelowRetained { oldest });
        assert_eq!(engine.feed(oldest - 1).map(drop), below);
        assert!(engine.feed(oldest).is_ok());
        assert!(matches!(engine.state_at(300), Err(HistoryError::BelowRetained { .. })));
        let (lsn, last) = digests[digests.len() - 2];
        assert_eq!(state_digest(&engine.state_at(lsn).unwrap()), last);
        let before = digest(&engine);
        engine.shutdown();
        drop(engine);
        assert_eq!(digest(&place.start()), before);
    });
}

#[test]
fn nothing_is_shown_or_answered_before_the_other_node_has_confirmed_it() {
    let place = Replicated::new();
    let engine = place.start();
    sign_up(&engine, 0..1);
    place.cluster.hold(true);
    let waiting = submit_aside(&engine, signup(1, Some(0)));
    wait_until("it is appended", || place.cluster.lsns() == (2, 1));
    assert_eq!(engine.read(|state, _| state.len()), 1);
    assert_eq!(engine.status().lsn, Watermarks { snapshot: 0, applied: 1, durable: 1, admitted: 2 });
    assert!(!waiting.is_finished());
    place.cluster.hold(false);
    assert_eq!(waiting.join().unwrap().unwrap().applied.lsn, 2);
    assert_eq!(engine.read(|state, _| state.len()), 2);
}

#[test]
fn a_log_that_lost_what_it_says_is_durable_is_refused() {
    let place = Replicated::new();
    sign_up(&place.start(), 0..3);
    place.cluster.lose();
    let refused = place.node.open().err().unwrap();
    assert!(matches!(refused, OpenError::Short { durable: 3, reached: 2 }), "{refused}");
}

#[test]
fn another_node_takes_over_with_all_that_was_answered_and_nothing_else() {
    let place = Replicated::new();
    let old = place.start();
    sign_up(&old, 0..40);
    old.snapshot_now_blocking().unwrap();
    let before = digest(&old);
    place.cluster.hold(true);
    let unconfirmed = submit_aside(&old, signup(40, Some(0)));
    wait_until("it is appended", || place.cluster.lsns() == (41, 40));
    // It has snapshots of its own: none but the first.
    let other = Node::new(&place.cluster);
    let new = other.open().unwrap();
    assert_eq!(unconfirmed.join().unwrap(), Err(SubmitError::OutcomeUnknown));
    place.cluster.hold(false);
    assert_eq!(digest(&new), before, "without the write that nobody was answered");
    assert_eq!(old.submit_blocking(signup(41, Some(0)), None), Err(SubmitError::ReadOnly));
    assert!(old.status().poisoned.unwrap().contains("term 2 has begun"));
    assert_eq!(digest(&old), before, "the old leader still reads");
    sign_up(&new, 40..50);
    // And back: the first node goes on from its own snapshot.
    let after = digest(&new);
    drop((old, new));
    assert_eq!(digest(&place.start()), after);
}
