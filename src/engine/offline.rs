//! Work that grows with the network, on a frozen view alongside the writer: digests, recounts, plan trials.
//!
//! All of it blocks for seconds at ten million members and takes the memory of what can change in the parts
//! of the state that it reads: run it on a thread that may block.

use std::time::{Duration, Instant};

use super::{
    Digest, DurabilityError, MemberId, MemberIx, Part, Parts, Plan, Rejection, SnapshotInfo, State, Verdict,
    handle::Engine, state_digest,
};
use crate::{
    core::{command::Command, kept_network_digest, on_threads, recomputed_ranks, recomputed_ranks_under},
    durability::SnapshotStore,
};

/// Differences that are named; all are counted.
pub const DIFFERENCES_NAMED_MAX: usize = 100;

/// Both digests of the state at one LSN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Digests {
    pub lsn: u64,
    pub members: u32,
    pub entries: u64,
    pub state: Digest,
    pub network: Digest,
    /// Time to make the view and compute.
    pub took: Duration,
}

/// The full recomputation of ranks, compared with the maintained ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RankComparison {
    pub lsn: u64,
    pub members: u32,
    /// Members whose maintained rank is not the recomputed one. Anything but 0 is our bug.
    pub differences: u64,
    /// The first of them: member, maintained, recomputed.
    pub first: Vec<(MemberId, u16, u16)>,
    /// Time to make the view.
    pub froze_in: Duration,
    /// Time to recompute and compare.
    pub computed_in: Duration,
}

/// What a plan would do to the network as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanTrial {
    pub lsn: u64,
    /// The version it was compared with.
    pub version: u32,
    /// Why it would be refused.
    pub refusal: Option<Rejection>,
    /// Members by rank now, and under the plan; of the same length.
    pub before: Vec<u64>,
    pub after: Vec<u64>,
    /// Members whose rank would rise, and whose would fall.
    pub promoted: u64,
    pub demoted: u64,
    pub took: Duration,
}

/// A snapshot in the directory.
#[derive(Clone, PartialEq, Debug)]
pub struct KeptSnapshot {
    pub lsn: u64,
    pub bytes: u64,
    /// Further information; complete only for the newest one opened or made.
    pub info: Option<SnapshotInfo>,
}

impl Engine {
    /// The kept snapshots, newest first. Blocks on the file system.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn kept_snapshots(&self) -> Result<Vec<KeptSnapshot>, DurabilityError> {
        let newest = self.inner.desk.status().newest;
        let sizes = self.inner.store.as_ref().map_or(Ok(Vec::new()), SnapshotStore::sizes)?;
        let kept =
            |(lsn, bytes)| KeptSnapshot { lsn, bytes, info: (lsn == newest.lsn).then(|| newest.clone()) };
        Ok(sizes.into_iter().rev().map(kept).collect())
    }

    /// The digests of everything as it is now. O(members + entries); blocks.
    pub fn digests(&self) -> Digests {
        let began = Instant::now();
        let view = self.frozen_view();
        let (state, (network, fresh)) =
            on_threads(threads(), || (state_digest(&view), kept_network_digest(&view)));
        self.inner.shared.keep_sums(fresh);
        Digests {
            lsn: view.lsn(),
            members: view.len(),
            entries: view.entries(),
            state,
            network,
            took: began.elapsed(),
        }
    }

    /// Computes every rank from scratch and compares. O(members); blocks.
    pub fn compare_ranks(&self) -> RankComparison {
        let began = Instant::now();
        let view = self.frozen_view_of(Parts::RANKED);
        let froze_in = began.elapsed();
        let began = Instant::now();
        let computed = on_threads(threads(), || recomputed_ranks(&view));
        let (mut differences, mut first) = (0, Vec::new());
        for (member, computed) in members(&view).zip(computed.iter().copied()) {
            let kept = view.rank(member).paid_as;
            if kept != computed {
                differences += 1;
                if first.len() < DIFFERENCES_NAMED_MAX {
                    first.push((view.member(member).id, kept, computed));
                }
            }
        }
        RankComparison {
            lsn: view.lsn(),
            members: view.len(),
            differences,
            first,
            froze_in,
            computed_in: began.elapsed(),
        }
    }

    /// The effect of activating a valid plan. Changes nothing. O(members); blocks.
    pub fn try_plan(&self, plan: &Plan) -> PlanTrial {
        let began = Instant::now();
        let command = Command::PutPlan(Box::new(plan.clone()));
        let view = self.frozen_view_of(Parts::RANKED.with(Part::Ledger));
        let refusal = match view.check(&self.inner.shared.directory, None, &command) {
            Verdict::Reject(reason) => Some(reason),
            Verdict::Admit | Verdict::Repeat(_) => None,
        };
        let mut trial = PlanTrial {
            lsn: view.lsn(),
            version: view.plan_version(),
            refusal,
            before: Vec::new(),
            after: Vec::new(),
            promoted: 0,
            demoted: 0,
            took: Duration::ZERO,
        };
        let would_be = on_threads(threads(), || recomputed_ranks_under(&view, &plan.ranks));
        for (member, rank) in members(&view).zip(would_be.iter().copied()) {
            let present = view.rank(member).paid_as;
            count(&mut trial.before, present);
            count(&mut trial.after, rank);
            trial.promoted += u64::from(present < rank);
            trial.demoted += u64::from(rank < present);
        }
        let ranks = trial.before.len().max(trial.after.len());
        trial.before.resize(ranks, 0);
        trial.after.resize(ranks, 0);
        trial.took = began.elapsed();
        trial
    }
}

fn members(view: &State) -> impl Iterator<Item = MemberIx> {
    (0..view.len()).map(MemberIx)
}

fn count(counts: &mut Vec<u64>, rank: u16) {
    let at = usize::from(rank);
    if counts.len() <= at {
        counts.resize(at + 1, 0);
    }
    counts[at] += 1;
}

/// All cores but one, which is the writer's.
pub(super) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}
