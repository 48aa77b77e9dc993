//! Faults, chosen by the seed.

use std::{collections::BTreeMap, io::ErrorKind, path::PathBuf};

use upline::durability::memory::{Fault, Memory, Survival};

use crate::networks::random::Chance;

/// The fault of the disk in one life of the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    None,
    Fault(Fault),
    /// This many bytes are left.
    Full {
        free: u64,
    },
}

/// How a life of the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It stops by itself.
    Stop,
    /// SIGKILL: written data is in the page cache of a system that keeps running.
    Kill,
    Power(Survival),
}

const ERRORS: [ErrorKind; 3] = [ErrorKind::Other, ErrorKind::StorageFull, ErrorKind::Interrupted];

/// For a serving process: covers its disk calls in some twenty groups and a snapshot.
pub fn while_serving(chance: &mut Chance) -> Trouble {
    let at = 1 + chance.below(60);
    let kind = chance.of_slice(&ERRORS);
    Trouble::Fault(match chance.below(100) {
        0..=29 => return Trouble::None,
        30..=54 => Fault::PowerLoss { at },
        55..=66 => Fault::Fail { at, kind },
        67..=76 => Fault::LostSync { at, seed: chance.next() },
        77..=83 => Fault::Short { at, kind },
        84..=88 => Fault::Stutter,
        89..=92 => Fault::FailLook { at: 1 + chance.below(20), kind },
        _ => {
            // Too little for a snapshot, or for another segment.
            let most = chance.of_slice(&[600, 18_000]);
            return Trouble::Full { free: chance.below(most) };
        }
    })
}

/// For a process that has written the files of a seal, and whose next calls log its command and merge ids, or
/// read sealed orders.
pub fn while_sealing(chance: &mut Chance) -> Option<Trouble> {
    let at = 1 + chance.below(8);
    let kind = chance.of_slice(&ERRORS);
    Some(Trouble::Fault(match chance.below(100) {
        0..=49 => return None,
        50..=69 => Fault::PowerLoss { at },
        70..=84 => Fault::Fail { at, kind },
        _ => Fault::FailLook { at, kind },
    }))
}

/// For an opening process; creating a directory takes more calls than repairing one.
pub fn while_opening(chance: &mut Chance, making: bool) -> Trouble {
    let at = 1 + chance.below(if making { 40 } else { 12 });
    let kind = chance.of_slice(&ERRORS);
    Trouble::Fault(match chance.below(100) {
        0..=54 => return Trouble::None,
        55..=74 => Fault::PowerLoss { at },
        75..=80 => Fault::Fail { at, kind },
        81..=85 => Fault::LostSync { at, seed: chance.next() },
        86..=88 => Fault::Short { at, kind },
        89..=90 => Fault::Stutter,
        91..=95 => Fault::FailLook { at: 1 + chance.below(60), kind },
        _ => return Trouble::Full { free: chance.below(20_000) },
    })
}

pub fn end(chance: &mut Chance) -> End {
    match chance.below(100) {
        0..=29 => End::Stop,
        30..=54 => End::Kill,
        _ => power(chance),
    }
}

/// Returns how a crashing process ends.
pub fn crash(chance: &mut Chance) -> End {
    if chance.percent(35) { End::Kill } else { power(chance) }
}

fn power(chance: &mut Chance) -> End {
    End::Power(match chance.below(100) {
        0..=14 => Survival::Synced,
        15..=24 => Survival::Everything,
        _ => Survival::Chance(chance.next()),
    })
}

/// Applies the fault to the disk.
pub fn set(disk: &Memory, trouble: Trouble) {
    disk.set_fault(if let Trouble::Fault(fault) = trouble { Some(fault) } else { None });
    disk.set_capacity(if let Trouble::Full { free } = trouble { Some(disk.used() + free) } else { None });
}

/// Damage to a closed directory, and its undo.
#[derive(Debug)]
pub struct Damage {
    pub path: PathBuf,
    pub what: What,
    before: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    Flipped { offset: usize, bits: u8 },
    CutTo { bytes: usize },
    Missing,
}

impl Damage {
    /// Damages one of the files.
    pub fn do_it(disk: &Memory, chance: &mut Chance) -> Option<Self> {
        let files: BTreeMap<PathBuf, Vec<u8>> = disk.all();
        let paths: Vec<&PathBuf> =
            files.iter().filter(|(_, content)| !content.is_empty()).map(|(path, _)| path).collect();
        if paths.is_empty() {
            return None;
        }
        let path = chance.of_slice(&paths).clone();
        let before = files[&path].clone();
        // Most of a segment is unused zeros; only written data matters.
        let used = before.iter().rposition(|byte| *byte != 0).map_or(before.len(), |last| last + 1);
        let within = if chance.percent(80) { used } else { before.len() };
        let what = match chance.below(10) {
            0 => What::Missing,
            1 => What::CutTo { bytes: chance.below(within as u64) as usize },
            _ => What::Flipped { offset: chance.below(within as u64) as usize, bits: 1 << chance.below(8) },
        };
        match what {
            What::Flipped { offset, bits } => disk.rot(&path, offset, bits),
            What::CutTo { bytes } => disk.set_content(&path, &before[..bytes]),
            What::Missing => disk.forget(&path),
        }
        Some(Self { path, what, before })
    }

    pub fn undo(&self, disk: &Memory) {
        match self.what {
            // In place, because after a crash the file may have two names.
            What::Flipped { offset, bits } => disk.rot(&self.path, offset, bits),
            What::CutTo { .. } | What::Missing => disk.set_content(&self.path, &self.before),
        }
    }

    /// Returns whether the file is one of those of sealed periods.
    pub fn is_of_seals(&self) -> bool {
        let text = self.path.to_string_lossy();
        ["/orders/", "/order-ids/", "/network/"].iter().any(|folder| text.contains(folder))
    }

    /// Returns whether the file is not needed: it is archived, or a snapshot in addition to another one, from
    /// which the log continues as well; or ids of sealed orders, which are made again from those.
    pub fn is_survivable(&self, files: &BTreeMap<PathBuf, Vec<u8>>) -> bool {
        let is_snapshot = |path: &PathBuf| {
            path.to_string_lossy().contains("/snapshots/")
                && path.extension().is_some_and(|end| end == "snap")
        };
        let is_of_ids = self.path.to_string_lossy().contains("/order-ids/");
        let others = files.keys().filter(|path| is_snapshot(path) && **path != self.path);
        self.path.to_string_lossy().contains("/archive/")
            || is_of_ids
            || is_snapshot(&self.path) && others.count() != 0
    }

    /// Returns whether a directory may open without an error despite lost history: the damage is in the
    /// archive, which opening does not read, or in a snapshot, which may be moved there unread.
    pub fn shows_later(&self) -> bool {
        let text = self.path.to_string_lossy();
        text.contains("/archive/") || text.ends_with(".snap")
    }
}
