//! Bit flips, through a full opening of real files.

use std::{collections::BTreeMap, path::PathBuf};

use upline::{
    core::audit,
    engine::{DurabilityError, Engine, OpenError, state_digest},
};

use super::directory;
use crate::proof;

/// Returns the used length of a file: flips go there, so that most of them matter.
fn used(content: &[u8]) -> usize {
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[test]
fn a_flipped_bit_is_refused_or_harmless() {
    let (flips, seed) = (proof::number("UPLINE_FLIPS", 250), proof::number("UPLINE_SEED", 1));
    println!("seed {seed}");
    let place = crate::common::scratch();
    let whole = place.path().join("whole");
    directory::make(&whole);
    let content = directory::content(&whole);
    let expected = {
        let engine = Engine::open(directory::options(&whole)).expect("it opens").0;
        engine.read(|state, _| (state.lsn(), state_digest(state)))
    };
    let names: Vec<&PathBuf> =
        content.iter().filter(|(_, bytes)| 0 < used(bytes)).map(|(name, _)| name).collect();
    let mut chance = proof::Chance::new(seed);
    let (mut refused, mut harmless, mut fell_back) = (0_u64, 0_u64, 0_u64);
    for flip in 0..flips {
        let name = *chance.pick(&names);
        let mut flipped: BTreeMap<PathBuf, Vec<u8>> = content.clone();
        let bytes = flipped.get_mut(name).expect("it is there");
        // A little past the end too: those bytes must be zero.
        let end = (used(bytes) + 64).min(bytes.len());
        let (at, bit) = (usize::try_from(chance.below(end as u64)).expect("an index"), chance.below(8));
        bytes[at] ^= 1 << bit;
        let data = place.path().join(format!("flip-{flip}"));
        directory::write(&data, &flipped);
        let about = format!("seed {seed}, flip {flip}: bit {bit} of byte {at} of {}", name.display());
        match Engine::open(directory::options(&data)) {
            Err(
                OpenError::Data(
                    DurabilityError::Damaged(_)
                    | DurabilityError::NewerFormat { .. }
                    | DurabilityError::NotADataDirectory { .. },
                )
                | OpenError::Image { .. }
                | OpenError::Digest { .. }
                | OpenError::OutcomeDiffers { .. }
                | OpenError::Replay { .. },
            ) => {
                refused += 1;
                assert!(directory::content(&data) == flipped, "{about}: refused, and changed");
            }
            Err(other) => panic!("{about}: {other}"),
            Ok((engine, report)) => {
                let found = engine.read(|state, _| (state.lsn(), state_digest(state)));
                assert_eq!(found, expected, "{about}: silently another network");
                assert_eq!(engine.read(|state, _| audit(state, 3)), Vec::<String>::new(), "{about}");
                harmless += 1;
                fell_back += u64::from(!report.fallbacks.is_empty());
            }
        }
        std::fs::remove_dir_all(&data).expect("it was made here");
    }
    proof::summary(&format!(
        "flips: seed={seed} flips={flips} refused={refused} harmless={harmless} \
         fell_back={fell_back} silent=0"
    ));
    assert!(0 < refused && 0 < fell_back, "both kinds of files were hit");
}
