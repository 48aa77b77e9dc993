//! Decides which unsynced sectors survive.

use super::fault::Survival;

/// A small random generator: good enough to choose sectors, and the same on every platform.
pub(super) struct Chance {
    survival: Survival,
    state: u64,
    /// Of 8, how many survive.
    odds: u64,
}

impl Chance {
    pub fn new(survival: Survival) -> Self {
        let state = if let Survival::Chance(seed) = survival { seed } else { 0 };
        let mut chance = Self { survival, state, odds: 4 };
        // Not always even odds: a single missing sector, or a single surviving one, would be too rare.
        chance.odds = [1, 4, 4, 7][chance.below(4)];
        chance
    }

    pub fn keeps(&mut self) -> bool {
        match self.survival {
            Survival::Synced => false,
            Survival::Everything => true,
            Survival::Chance(_) => self.next() % 8 < self.odds,
        }
    }

    /// `0..end`; 0 when that is empty.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64).max(1)).expect("below an usize")
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
