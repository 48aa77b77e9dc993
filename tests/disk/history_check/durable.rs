//! Everything that a reader sees, or a writer is told, survives a power failure at that very moment.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use upline::{
    durability::{
        DataDir,
        memory::{Memory, Survival},
        surrounded::Surrounded,
    },
    engine::{
        Command, Engine, EngineOptions, MemberId, Origin, PlacementRequest, PlanChoice, Register, Role,
        SponsorRef,
    },
    metrics::Metrics,
};

use crate::proof::{self, slow_disk::SlowSync};

/// Long enough for a read while a group is written but not yet synced.
const SYNC: Duration = Duration::from_micros(500);

fn signup(number: u64) -> Command {
    let mut id = [7; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    Command::Register(Register {
        member: MemberId(id),
        sponsor: SponsorRef::None,
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    })
}

#[test]
fn nothing_that_is_not_durable_is_ever_seen() {
    let _turn = crate::common::turn();
    let looks = proof::number("UPLINE_HISTORY_LOOKS", 400);
    let memory = Memory::new();
    let plan = PlanChoice {
        plan: upline::plan_file::default_plan(),
        plan_is_explicit: false,
        width_is_explicit: false,
    };
    let mut options = EngineOptions::new(PathBuf::from("/data"), plan, Metrics::new(&[]));
    options.storage = Arc::new(Surrounded::new(memory.shared(), Arc::new(SlowSync(SYNC))));
    options.log.segment_bytes = 64 << 10;
    let engine = Engine::open(options).expect("a new directory").0;
    let is_over = Arc::new(AtomicBool::new(false));
    let durable = |memory: &Memory| {
        let after = memory.crash(Survival::Synced).shared();
        DataDir::open_read_only(&after, Path::new("/data"))
            .expect("what is left after a loss of power opens")
            .report
            .log_last_lsn
    };
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let (engine, is_over, memory) = (engine.clone(), Arc::clone(&is_over), memory.clone());
            std::thread::spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let lsn = engine
                        .submit_blocking(signup(writer << 32 | number), None)
                        .expect("it is written")
                        .applied
                        .lsn;
                    if number % 16 == 0 {
                        let durable = durable(&memory);
                        assert!(lsn <= durable, "LSN {lsn} was answered, {durable} is durable");
                    }
                }
            })
        })
        .collect();
    let mut chance = proof::Chance::new(proof::number("UPLINE_SEED", 1));
    let mut moved = 0;
    let mut last = 0;
    for _ in 0..looks {
        let lsn = engine.read(|state, _| state.lsn());
        let durable = durable(&memory);
        assert!(lsn <= durable, "LSN {lsn} was seen, {durable} is durable");
        moved += u64::from(last < lsn);
        last = lsn;
        // Out of step with the syncs.
        std::thread::sleep(Duration::from_micros(chance.below(1_500)));
    }
    is_over.store(true, Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("what was answered was durable"));
    proof::summary(&format!("durable: looks={looks} moved={moved} commands={last} lost=0"));
    assert!(looks / 10 < moved, "the network hardly changed between the looks: {moved} of {looks}");
}
