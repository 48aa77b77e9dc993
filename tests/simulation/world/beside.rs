//! Activity besides writes: marks, snapshots, retrying clients, reads of history.

use std::{collections::VecDeque, path::Path};

use upline::{
    core::{
        command::{Applied, Command, Outcome, Rejection, RequestKey},
        state_digest,
    },
    durability::{Retention, storage::Storage},
    engine::{
        AnsweredBy, Engine, HistoryError, SnapshotError, SnapshotStep, SteppedEngine, SteppedWriter,
        Submitted,
    },
};

use super::{ROOT, Waiting, World, is_poisoned};
use crate::{
    faults::Trouble,
    networks::{
        network::picture_of,
        picture::{Network, Picture},
    },
};

/// Percentage of the steps copying a view, some forty for the networks here, that are preceded by groups.
const COPY_PERCENT: u64 = 4;

impl World {
    pub(super) fn mark(&mut self, writing: &mut SteppedWriter) {
        writing.ask_for_mark();
        self.turn(writing, &mut VecDeque::new());
    }

    /// Fills the log's segment further, so that later faults often coincide with rotation.
    pub(super) fn fill_segment(&mut self, writing: &mut SteppedWriter) {
        for _ in 0..self.chance.below(20) {
            let mut queued = VecDeque::new();
            self.submit(writing, Command::PayAll, None, &mut queued);
            self.turn(writing, &mut queued);
            self.mark(writing);
        }
    }

    pub(super) fn snapshot(&mut self, engine: &mut SteppedEngine) {
        let was_ready = !is_poisoned(engine.engine());
        let gives_up = self.chance.percent(5);
        let mut queued = VecDeque::new();
        // A snapshot that gives up does so while the view is copied as often as while it is written.
        let (goes_on_copying, goes_on_writing) = if gives_up { (98, 50) } else { (100, 100) };
        self.remember_digest(engine.engine());
        let result = engine.snapshot(&mut |writing, step| {
            let is_copying = step == SnapshotStep::Copy;
            if self.chance.percent(if is_copying { COPY_PERCENT } else { 40 }) {
                let (groups, lsn) = (self.tally.groups, writing.engine().read(|state, _| state.lsn()));
                self.submit_some(writing, &mut queued);
                self.turn(writing, &mut queued);
                let groups = self.tally.groups - groups;
                if is_copying {
                    self.tally.copying += groups;
                    // A plan change may drop the view, which is then restarted here.
                    self.remember_digest(writing.engine());
                    self.check_view(writing.engine(), lsn);
                } else {
                    self.tally.between += groups;
                }
            }
            self.chance.percent(if is_copying { goes_on_copying } else { goes_on_writing })
        });
        self.say(|| format!("snapshot: {:?}", result.as_ref().map(|info| (info.lsn, info.bytes))));
        match result {
            Ok(info) => {
                self.tally.snapshots += 1;
                let before = *self.digests.entry(info.lsn).or_insert(info.state_digest);
                assert_eq!(
                    before, info.state_digest,
                    "digest of LSN {} before, and in its snapshot",
                    info.lsn
                );
            }
            Err(SnapshotError::ReadOnly) => assert!(!was_ready),
            Err(SnapshotError::Stopping) => assert!(gives_up),
            Err(SnapshotError::Failed(why)) => {
                assert_ne!(why, "panic", "see above");
                assert_ne!(self.trouble, Trouble::None, "failed, and nothing was wrong: {why}");
                self.tally.failed_snapshots += 1;
            }
            Err(SnapshotError::Overloaded) => panic!("nobody else waits for one"),
        }
        // The log that its predecessors needed is retired.
        self.turn(engine.writing(), &mut queued);
        self.compare(engine.engine());
    }

    /// A view of a later moment than `after`, made while that of a snapshot is being copied.
    fn check_view(&self, engine: &Engine, after: u64) {
        if engine.read(|state, _| state.lsn()) == after {
            // It would be shared, and this thread would wait for itself.
            return;
        }
        let view = engine.frozen_view();
        assert_eq!(state_digest(&view), self.digests[&view.lsn()], "a view beside that of a snapshot");
    }

    /// D5: retries get the same response, and orders and refunds are known by their ids for ever.
    pub(super) fn tell_again(&mut self, writing: &mut SteppedWriter, most: usize) {
        let mut queued = VecDeque::new();
        let all = self.acknowledged.len();
        for turn in 0..all.min(most) {
            let at = if all <= most { turn } else { self.chance.below(all as u64) as usize };
            let (command, key, applied) = self.acknowledged[at].clone();
            let known = key.and_then(|key| self.naive.repeat_of(key));
            let is_order =
                matches!(applied.outcome, Outcome::OrderPlaced { .. } | Outcome::OrderRefunded { .. });
            if known.is_none() && is_order {
                self.order_again(writing, command, key);
                continue;
            }
            let joined =
                matches!((&command, applied.outcome), (Command::Register(_), Outcome::Registered { .. }));
            if !joined && known.is_none() {
                continue;
            }
            if known == Some(Ok(applied)) || known.is_none() {
                self.submit_once_more(writing, command, key, known.map(|_| applied), &mut queued);
            }
        }
        self.turn(writing, &mut queued);
    }

    /// Sends an order or a refund again that was acknowledged, whose key, if any, is forgotten.
    fn order_again(&mut self, writing: &mut SteppedWriter, command: Command, key: Option<RequestKey>) {
        let (effects, mut queued) = (self.tally.effects, VecDeque::new());
        self.submit(writing, command, key, &mut queued);
        self.turn(writing, &mut queued);
        assert_eq!(self.tally.effects, effects, "D5: an order or a refund counted twice");
        self.tally.orders_repeated += 1;
    }

    pub(super) fn submit_once_more(
        &mut self,
        writing: &SteppedWriter,
        command: Command,
        key: Option<RequestKey>,
        expected: Option<Applied>,
        queued: &mut VecDeque<Waiting>,
    ) {
        if is_poisoned(writing.engine()) {
            return self.submit(writing, command, key, queued);
        }
        let Submitted::Answered(Ok(answer)) = writing.submit(command.clone(), key, |_| false) else {
            panic!("D5: {command:?} with {key:?} was acknowledged, and is unknown")
        };
        match expected {
            Some(applied) => {
                assert_eq!((answer.applied, answer.by), (applied, AnsweredBy::Repeat), "D5: {command:?}");
            }
            None => assert_eq!(
                answer.applied.outcome,
                Outcome::Rejected(Rejection::MemberExists),
                "D5: {command:?}"
            ),
        }
        self.check_at_once(&command, key, answer);
    }

    /// D4: nothing is accepted any more, and everything that was acknowledged is still visible.
    pub(super) fn check_poisoned(&mut self, engine: &mut SteppedEngine) {
        let mut queued = VecDeque::new();
        self.submit_some(engine.writing(), &mut queued);
        assert!(queued.is_empty());
        assert_eq!(engine.snapshot(&mut |_, _| true), Err(SnapshotError::ReadOnly));
        assert!(engine.engine().status().poisoned.is_some());
        self.compare(engine.engine());
    }

    /// Returns its number; numbering starts at 1.
    pub(super) fn newest_segment(&self) -> u64 {
        let names = self.disk.list(&Path::new(ROOT).join("log")).expect("the directory is there");
        names
            .iter()
            .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
            .max()
            .expect("a segment is there")
    }

    pub(super) fn remember_digest(&mut self, engine: &Engine) {
        let (lsn, digest) = engine.read(|state, _| (state.lsn(), state_digest(state)));
        let before = *self.digests.entry(lsn).or_insert(digest);
        assert_eq!(before, digest, "one LSN, one digest");
    }

    /// D6: a past state is unchanged.
    pub(super) fn check_past(&mut self, engine: &Engine) {
        let known: Vec<u64> =
            self.digests.keys().copied().filter(|lsn| *lsn <= self.naive.position().0).collect();
        if known.is_empty() {
            return;
        }
        let lsn = self.chance.of_slice(&known);
        let past = engine.state_at(lsn).map(|state| state_digest(&state));
        self.say(|| format!("state at LSN {lsn}: {past:?}"));
        match past {
            Ok(digest) => {
                assert_eq!(digest, self.digests[&lsn], "digest of LSN {lsn}, then and now");
                self.tally.past += 1;
            }
            Err(_) if self.past_damaged => {}
            Err(HistoryError::BelowRetained { .. }) => {
                assert_ne!(self.retention, Retention::Keep, "everything is kept");
            }
            Err(error) => assert_ne!(self.trouble, Trouble::None, "LSN {lsn}: {error}"),
        }
    }

    pub(super) fn compare(&self, engine: &Engine) {
        let seen: Picture = engine.read(|state, _| picture_of(state));
        if let Some(difference) = seen.difference(&self.naive.picture()) {
            panic!("the engine's {difference}\n(which is the model's)");
        }
    }
}
