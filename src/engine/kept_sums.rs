//! The network digest of the engine's network, and the sums that it is made of.
//!
//! The state keeps a sum of row hashes for each chunk of members and of bonuses. What has changed is hashed
//! again when a digest is asked for, and by the snapshotter while nobody writes: after a start nothing is
//! known yet. Each of them copies what may change of some chunks under one short read lock, hashes them under
//! others, and gives the sums back; the writer only marks chunks. Where too much is stale, a frozen view is
//! hashed instead, on all cores but one.

use std::time::{Duration, Instant};

use super::{
    Digest,
    handle::Engine,
    limits::{SUMS_CAPTURED_MAX, SUMS_CAPTURES_MAX, SUMS_KEPT_AT_ONCE, SUMS_REFRESHED_FROM, SUMS_STALE_MAX},
    offline,
    shared::Shared,
};
use crate::core::{
    FreshSums, kept_network_digest, on_threads,
    state::{Part, Parts},
};

/// The network digest at one LSN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkDigest {
    pub lsn: u64,
    pub members: u32,
    pub entries: u64,
    pub digest: Digest,
    /// Time to compute it.
    pub took: Duration,
}

/// What the digest is of.
const PARTS: Parts = Parts::of(&[Part::Members, Part::Placement, Part::Sponsors, Part::Codes, Part::Ledger]);

impl Engine {
    /// The network digest as it is now. O(rows that changed since the last one or the last snapshot, chunks
    /// of all); O(members + entries) where most did. Blocks.
    pub fn network_digest(&self) -> NetworkDigest {
        self.inner.shared.network_digest()
    }
}

impl Shared {
    /// See `Engine::network_digest`.
    pub fn network_digest(&self) -> NetworkDigest {
        self.assert_not_reading();
        let began = Instant::now();
        for _ in 0..SUMS_CAPTURES_MAX {
            let mut capture = self.state.read().capture_sums(SUMS_CAPTURED_MAX);
            tracing::debug!(lsn = capture.lsn, stale = capture.stale(), "chunks to be hashed for a digest");
            if SUMS_STALE_MAX < capture.stale() {
                break;
            }
            loop {
                let state = self.state.read();
                if !capture.hash_next(&state) {
                    break;
                }
            }
            let (lsn, members, entries) = (capture.lsn, capture.members, capture.entries);
            let digest = capture.digest();
            self.keep_sums(capture.into_fresh());
            if let Some(digest) = digest {
                return NetworkDigest { lsn, members, entries, digest, took: began.elapsed() };
            }
        }
        let view = self.frozen_view(PARTS);
        let (digest, fresh) = on_threads(offline::threads(), || kept_network_digest(&view));
        self.keep_sums(fresh);
        NetworkDigest {
            lsn: view.lsn(),
            members: view.len(),
            entries: view.entries(),
            digest,
            took: began.elapsed(),
        }
    }

    /// Keeps sums that were computed from this network or from a view of it.
    pub fn keep_sums(&self, mut fresh: FreshSums) {
        while !fresh.is_empty() {
            self.state.write().keep_sums(&mut fresh, SUMS_KEPT_AT_ONCE);
        }
    }

    /// Hashes what is stale, while `goes_on` says so, which is asked before each chunk. Returns whether next
    /// to nothing is left.
    pub fn refresh_sums(&self, goes_on: &mut dyn FnMut() -> bool) -> bool {
        loop {
            let mut capture = self.state.read().capture_sums(SUMS_CAPTURED_MAX);
            if capture.stale() < SUMS_REFRESHED_FROM {
                return true;
            }
            let gone_on = loop {
                if !goes_on() {
                    break false;
                }
                let state = self.state.read();
                if !capture.hash_next(&state) {
                    break true;
                }
            };
            self.keep_sums(capture.into_fresh());
            if !gone_on {
                return false;
            }
        }
    }
}

#[cfg(test)]
#[path = "kept_sums_test.rs"]
mod tests;
