//! The figures of a run.

use std::{collections::BTreeMap, fmt};

use upline::core::command::CommandKind;

/// Kinds of commands.
const KINDS: usize = CommandKind::ALL.len();

/// Each kind of command changes something once in so many seeds at least, and is interrupted by a crash once
/// in so many.
const SEEDS_PER_EFFECT: u64 = 10;
const SEEDS_PER_INTERRUPTION: u64 = 1_000;

/// Sums over seeds. A counted seed lost nothing: a loss ends the seed and the test.
#[derive(Clone, Default, Debug)]
pub struct Tally {
    pub seeds: u64,
    /// Seeds run a second time, with the same trace.
    pub twice: u64,
    /// Commands submitted.
    pub operations: u64,
    pub acknowledged: u64,
    /// Acknowledged groups, after each of which the state was compared.
    pub groups: u64,
    pub kills: u64,
    pub power_losses: u64,
    /// Openings that failed because of another fault.
    pub nested: u64,
    /// Openings refused because of damage.
    pub refusals: u64,
    /// Damaged directories that opened with nothing lost.
    pub harmless: u64,
    /// Groups that were in flight at a crash: found whole, or not at all.
    pub found: u64,
    pub gone: u64,
    pub poisoned: u64,
    pub snapshots: u64,
    pub failed_snapshots: u64,
    /// Groups between the steps that copy the view of a snapshot.
    pub copying: u64,
    /// Groups between the chunks of a snapshot.
    pub between: u64,
    pub fallbacks: u64,
    pub torn: u64,
    pub repeats: u64,
    pub refused_at_admission: u64,
    pub rejected_in_the_log: u64,
    pub past: u64,
    /// Segments started after the first.
    pub rotations: u64,
    /// Lives that hit a full disk: in a snapshot, in creating the next segment, or in the log.
    pub full_disks: u64,
    /// Groups refused only because the next segment could not be created.
    pub no_room: u64,
    /// Groups refused because the clock jumped.
    pub clock_jumped: u64,
    /// By kind: commands that changed something.
    pub effects: [u64; KINDS],
    /// By kind: commands of groups in flight at a crash, whether they were found or gone.
    pub interrupted: [u64; KINDS],
    /// Refunds by how they act in a calendar: when they were given, and after they had waited.
    pub refunds_lowered: u64,
    pub refunds_waiting: u64,
    pub refunds_corrected: u64,
    pub waits_ended: u64,
    /// Orders in the files of seals.
    pub sealed_orders: u64,
    /// Seals whose files could not be written, and whose command came too late.
    pub seals_failed: u64,
    pub seals_stale: u64,
    /// Commands refused because sealed files could not be read.
    pub seals_unreadable: u64,
    pub repeats_of_sealed: u64,
    /// By reason: orders and refunds that a rule refused.
    pub orders_refused: BTreeMap<&'static str, u64>,
    /// Acknowledged orders and refunds that were sent again.
    pub orders_repeated: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        let add = |sums: &mut [u64; KINDS], more: &[u64; KINDS]| {
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        };
        add(&mut self.effects, &other.effects);
        add(&mut self.interrupted, &other.interrupted);
        for (reason, count) in &other.orders_refused {
            *self.orders_refused.entry(reason).or_default() += count;
        }
        let pairs = self.fields().into_iter().zip(other.clone().fields().map(|(_, value)| *value));
        for ((_, sum), value) in pairs {
            *sum += value;
        }
    }

    /// Returns failures due to a full disk. A segment is preallocated before the first command is written to
    /// it, so the log itself rarely fails.
    pub fn failures(&self) -> u64 {
        self.poisoned + self.failed_snapshots + self.no_room
    }

    fn fields(&mut self) -> [(&'static str, &mut u64); 37] {
        [
            ("seeds", &mut self.seeds),
            ("twice", &mut self.twice),
            ("operations", &mut self.operations),
            ("acknowledged", &mut self.acknowledged),
            ("groups", &mut self.groups),
            ("kills", &mut self.kills),
            ("power_losses", &mut self.power_losses),
            ("nested", &mut self.nested),
            ("refusals", &mut self.refusals),
            ("harmless", &mut self.harmless),
            ("found", &mut self.found),
            ("gone", &mut self.gone),
            ("poisoned", &mut self.poisoned),
            ("snapshots", &mut self.snapshots),
            ("failed_snapshots", &mut self.failed_snapshots),
            ("copying", &mut self.copying),
            ("between", &mut self.between),
            ("fallbacks", &mut self.fallbacks),
            ("torn", &mut self.torn),
            ("repeats", &mut self.repeats),
            ("refused_at_admission", &mut self.refused_at_admission),
            ("rejected_in_the_log", &mut self.rejected_in_the_log),
            ("past", &mut self.past),
            ("rotations", &mut self.rotations),
            ("full_disks", &mut self.full_disks),
            ("no_room", &mut self.no_room),
            ("clock_jumped", &mut self.clock_jumped),
            ("refunds_lowered", &mut self.refunds_lowered),
            ("refunds_waiting", &mut self.refunds_waiting),
            ("refunds_corrected", &mut self.refunds_corrected),
            ("waits_ended", &mut self.waits_ended),
            ("orders_repeated", &mut self.orders_repeated),
            ("sealed_orders", &mut self.sealed_orders),
            ("seals_failed", &mut self.seals_failed),
            ("seals_stale", &mut self.seals_stale),
            ("seals_unreadable", &mut self.seals_unreadable),
            ("repeats_of_sealed", &mut self.repeats_of_sealed),
        ]
    }

    /// Formats all figures for humans.
    pub fn reached(&self) -> String {
        let all = self.clone().fields().map(|(name, value)| format!("{name}={value}"));
        let of_kinds = |counts: &[u64; KINDS]| {
            let counts = CommandKind::ALL.into_iter().zip(counts);
            counts.map(|(kind, count)| format!("{}={count}", kind.name())).collect::<Vec<_>>().join(" ")
        };
        format!(
            "simulation reached: {}\nsimulation effects: {}\nsimulation interrupted: {}\n\
             orders and refunds refused: {:?}",
            all.join(" "),
            of_kinds(&self.effects),
            of_kinds(&self.interrupted),
            self.orders_refused
        )
    }

    /// A simulation is only worth what it reaches.
    pub fn assert_everything_was_reached(&self) {
        for (name, value) in self.clone().fields() {
            // Seeds that are not multiples of a hundred are never run twice, and the other figures depend on
            // chance.
            assert!(*value != 0, "{name} was never reached");
        }
        for (at, kind) in CommandKind::ALL.into_iter().enumerate() {
            let (effects, interrupted) = (self.effects[at], self.interrupted[at]);
            let name = kind.name();
            assert!(self.seeds / SEEDS_PER_EFFECT <= effects, "{name} had an effect {effects} times");
            assert!(
                self.seeds / SEEDS_PER_INTERRUPTION <= interrupted,
                "{name} was interrupted {interrupted} times"
            );
        }
    }
}

/// The line parsed by reports.
impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, operations, nested, refusals, acknowledged, .. } = self;
        let crashes = self.kills + self.power_losses;
        write!(
            out,
            "simulation: seeds={seeds} operations={operations} crashes={crashes} nested={nested} \
             refusals={refusals} acknowledged={acknowledged} lost=0"
        )
    }
}
