//! Shapes and limits that random steps do not reach: a million levels, a hundred thousand children, counts
//! that must still be exact.

use std::{collections::BTreeSet, thread};

use petgraph::visit::{Bfs, DfsPostOrder};
use upline::core::{
    ADMIN_LEVELS_MAX, KEYS_MAX, audit,
    command::{
        Applied, Command, ImportEntry, Origin, Outcome, PlacementRequest, Register, Rejection, RequestKey,
        SponsorRef, Stamped, TriggerBonus,
    },
    network_digest,
    plan::PlacementRule,
    recomputed_ranks,
    state::{CopyProgress, FrozenCopy, Parts},
    state_digest,
    types::{
        Code, EntryStatus, KINDS_MAX, LEVELS_MAX, MemberId, MemberIx, Money, Role, Status, Timestamp, Tree,
    },
};

use crate::networks::{
    network::Real,
    picture::{Network, TREES},
    script,
};

/// Smaller than the frames of a hundred thousand calls: recursion along a tree overflows it.
const SMALL_STACK: usize = 256 * 1024;

/// A network whose members are identified by number.
struct Numbered {
    real: Real,
}

impl Numbered {
    fn new(plan: &str) -> Self {
        let lines: Vec<&str> = plan.lines().collect();
        Self { real: Real::new(script::plan(&lines).expect("a valid plan")) }
    }

    fn id(number: u32) -> MemberId {
        let mut id = [0xAB; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        MemberId(id)
    }

    fn apply(&mut self, command: Command, key: Option<RequestKey>) -> Applied {
        self.apply_in(1, command, key)
    }

    /// Applies a command as logged in a format.
    fn apply_in(&mut self, format: u32, command: Command, key: Option<RequestKey>) -> Applied {
        let state = &self.real.state;
        let stamped = Stamped { lsn: state.lsn() + 1, time: Timestamp(1), key, actor: None, format, command };
        self.real.apply(&stamped)
    }

    fn signup(&self, sponsor: Option<u32>) -> Register {
        Register {
            member: Self::id(self.real.state.len()),
            sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(Self::id(sponsor))),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        }
    }

    fn register(&mut self, register: Register) -> MemberIx {
        match self.apply(Command::Register(register), None).outcome {
            Outcome::Registered { member } => member,
            other => panic!("{other:?}"),
        }
    }

    fn join(&mut self, sponsor: Option<u32>) -> MemberIx {
        let signup = self.signup(sponsor);
        self.register(signup)
    }

    fn join_by(&mut self, sponsor: u32, rule: PlacementRule) -> MemberIx {
        let signup = Register { placement: PlacementRequest::Rule(rule), ..self.signup(Some(sponsor)) };
        self.register(signup)
    }

    /// Checks all derived values against a recount from parents alone; then audit, image and restored digest.
    fn check(&self) {
        let state = &self.real.state;
        for tree in TREES.into_iter().filter(|tree| state.plan().counts(*tree)) {
            let (downline, levels) = recount(&self.real, tree);
            for member in (0..state.len()).map(MemberIx) {
                assert_eq!(
                    state.downline(tree, member),
                    Some(downline[member.at()]),
                    "{tree:?} downline of {member:?}"
                );
                assert_eq!(
                    state.levels(tree, member),
                    Some(levels[member.at()]),
                    "{tree:?} levels of {member:?}"
                );
                assert_eq!(
                    state.direct(tree, member),
                    levels[member.at()][0],
                    "{tree:?} direct of {member:?}"
                );
            }
        }
        let ranks: Vec<u16> = (0..state.len()).map(|member| state.rank(MemberIx(member)).paid_as).collect();
        assert_eq!(recomputed_ranks(state), ranks);
        assert_eq!(audit(state, 10), Vec::<String>::new());
        let reopened = self.real.reopened(10_000);
        assert_eq!(state_digest(&reopened.state), state_digest(state));
        assert_eq!(network_digest(&reopened.state), network_digest(state));
    }
}

/// Recounts downlines, and level counts up to the cap, from parents alone. Parents have smaller indexes than
/// their children.
fn recount(real: &Real, tree: Tree) -> (Vec<u32>, Vec<[u32; LEVELS_MAX]>) {
    let state = &real.state;
    let above: Vec<Option<MemberIx>> = (0..state.len())
        .map(|member| match tree {
            Tree::Sponsor => state.member(MemberIx(member)).sponsor,
            Tree::Placement => state.member(MemberIx(member)).parent,
        })
        .collect();
    let mut downline = vec![0; above.len()];
    let mut levels = vec![[0; LEVELS_MAX]; above.len()];
    for member in (0..above.len()).rev() {
        if let Some(parent) = above[member] {
            assert!(parent.at() < member);
            downline[parent.at()] += downline[member] + 1;
        }
        let upline = std::iter::successors(above[member], |here| above[here.at()]);
        for (level, ancestor) in upline.take(usize::from(state.plan().level_cap)).enumerate() {
            levels[ancestor.at()][level] += 1;
        }
    }
    (downline, levels)
}

/// A network has 16 trigger names under the rules of format 3, and 4,096 since. What was paid once is
/// known for all of them, in images too.
#[test]
fn a_network_may_have_many_trigger_names() {
    let mut network = Numbered::new("bonus t0 placement fixed 1.00");
    network.join(None);
    network.join(Some(0));
    let import = |kind: String| {
        Command::ImportEntry(ImportEntry {
            receiver: Numbered::id(0),
            source: Numbered::id(1),
            kind: kind.into(),
            level: 1,
            amount: Money(1),
            status: EntryStatus::Paid,
            time: Timestamp(0),
            row_id: None,
            reference: None,
            reverses: None,
        })
    };
    let full = Outcome::Rejected(Rejection::PlanKindsFull);
    for number in 1..16 {
        assert_ne!(network.apply_in(3, import(format!("t{number}")), None).outcome, full);
    }
    let plan = script::plan(&["bonus t0 placement fixed 1.00", "bonus late placement fixed 2.00"]).unwrap();
    let plan = || Command::PutPlan(Box::new(plan.clone()));
    assert_eq!(network.apply_in(3, import("t16".into()), None).outcome, full);
    assert_eq!(network.apply_in(3, plan(), None).outcome, full);
    assert_eq!(network.real.state.itemized_from(), None);
    assert_eq!(network.apply_in(4, plan(), None).outcome, Outcome::PlanActivated { version: 2 });
    assert_eq!(network.real.state.itemized_from(), Some(network.real.state.lsn()));
    for number in 17..KINDS_MAX {
        assert_ne!(network.apply_in(4, import(format!("t{number}")), None).outcome, full);
    }
    assert_eq!(network.apply_in(4, import(format!("t{KINDS_MAX}")), None).outcome, full);
    let once = |network: &mut Numbered, trigger: &str, source: u32| {
        let (source, trigger) = (Numbered::id(source), trigger.into());
        let trigger = TriggerBonus { source, trigger, amount: None, once: true, reference: None };
        network.apply_in(4, Command::TriggerBonus(trigger), None).outcome
    };
    let again = Outcome::Rejected(Rejection::TriggeredBefore);
    for (trigger, source) in [("t0", 0), ("late", 0), ("late", 1)] {
        assert!(matches!(once(&mut network, trigger, source), Outcome::BonusPaid { .. }));
        assert_eq!(once(&mut network, trigger, source), again);
    }
    network.check();
    let mut reopened = Numbered { real: network.real.reopened(7) };
    assert_eq!(once(&mut reopened, "late", 1), again);
    assert!(matches!(once(&mut reopened, "t0", 1), Outcome::BonusPaid { .. }));
}

fn on_small_stack(work: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let handle = thread::Builder::new().stack_size(SMALL_STACK).spawn_scoped(scope, work).unwrap();
        if let Err(panic) = handle.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_chain_of_a_million_needs_no_stack() {
    const LENGTH: u32 = 1_000_000;
    on_small_stack(|| {
        let mut network = Numbered::new(
            "width unlimited unilevel\n\
             ranks thresholds placement downline Bronze=3 Silver=10 Gold=25 Diamond=50",
        );
        let mut frozen = None;
        for number in 0..LENGTH {
            network.join(number.checked_sub(1));
            if number == LENGTH / 2 {
                let view = network.real.state.freeze(Parts::ALL).expect("the only view");
                frozen = Some((view, network.real.state.lsn(), state_digest(&network.real.state)));
            }
        }
        let (view, lsn, digest) = frozen.expect("frozen half way");
        let mut copy = FrozenCopy::default();
        while network.real.state.copy_frozen(view, &mut copy) == CopyProgress::More {}
        drop(network.real.state.thaw(view));
        let half = copy.into_state();
        assert_eq!((half.lsn(), state_digest(&half)), (lsn, digest));

        let state = &network.real.state;
        assert_eq!(state.depth(), LENGTH);
        assert_eq!(state.rank_distribution(), [3, 7, 15, 25, u64::from(LENGTH) - 50]);
        let (top, end) = (MemberIx(0), MemberIx(LENGTH - 1));
        assert_eq!(state.downline(Tree::Placement, top), Some(LENGTH - 1));
        assert_eq!(state.upline(Tree::Placement, end).count() as u32, LENGTH - 1);
        assert_eq!(state.distance(Tree::Placement, top, end), Some(LENGTH - 1));
        let next = |after: &MemberIx| state.preorder_next(Tree::Placement, top, *after, LENGTH);
        assert!(std::iter::successors(next(&top), next).eq((1..LENGTH).map(MemberIx)));
        let preview = state.preview(end, PlacementRule::Unilevel);
        assert_eq!(preview, Ok((end, 0)));
        let graph = state.graph(Tree::Placement);
        let mut walk = DfsPostOrder::new(graph, top);
        assert_eq!(walk.next(graph), Some(end));
        network.check();
    });
}

#[test]
fn a_star_of_a_hundred_thousand() {
    const CHILDREN: u32 = 100_000;
    on_small_stack(|| {
        let mut network =
            Numbered::new("width unlimited unilevel\nranks thresholds sponsor direct Many=100000");
        network.join(None);
        for number in 1..=CHILDREN {
            assert_eq!(network.real.state.rank(MemberIx(0)).paid_as, 0);
            let child = network.join(Some(0));
            assert_eq!(network.real.state.member(child).slot, number - 1);
        }
        let state = &network.real.state;
        assert_eq!(state.rank(MemberIx(0)).paid_as, 1);
        assert!(state.children(Tree::Placement, MemberIx(0)).eq((1..=CHILDREN).map(MemberIx)));
        let next = |after: &MemberIx| state.preorder_next(Tree::Sponsor, MemberIx(0), *after, CHILDREN / 2);
        assert!(std::iter::successors(next(&MemberIx(0)), next).eq((1..CHILDREN / 2).map(MemberIx)));
        let graph = state.graph(Tree::Sponsor);
        let mut walk = Bfs::new(graph, MemberIx(0));
        assert_eq!(std::iter::from_fn(|| walk.next(graph)).count() as u32, CHILDREN + 1);
        network.check();
    });
}

/// In a full tree filled breadth first under one sponsor, member n sits under (n - 1) / width in slot (n - 1)
/// % width.
#[test]
fn wide_and_narrow_forced_matrices_fill_level_by_level() {
    for (width, members) in [(1_000, 60_000), (1_000, 1_500), (3, 120_000), (2, 60_000)] {
        let mut network = Numbered::new(&format!(
            "width {width} breadth-first allow breadth-first-by-slot balanced\ncount-sponsor-tree\n\
             ranks thresholds placement downline Ten=10 Lot=1000"
        ));
        network.join(None);
        for number in 1..members {
            let member = network.join(Some(0));
            let placed = network.real.state.member(member);
            assert_eq!(
                (placed.parent, placed.slot),
                (Some(MemberIx((number - 1) / width)), (number - 1) % width),
                "width {width}, {number}"
            );
        }
        network.check();
    }
}

/// Under power leg the members of the leg fill up one after the other: n sits under the first child of the
/// first child ...
#[test]
fn a_deep_power_leg() {
    const WIDTH: u32 = 3;
    const MEMBERS: u32 = 200_000;
    on_small_stack(|| {
        let mut network = Numbered::new(
            "width 3 power-leg allow balanced round-robin\nranks level-fill placement One=3 Two=3 Three=3",
        );
        network.join(None);
        for number in 1..MEMBERS {
            let member = network.join(Some(0));
            let filled = (number - 1) / WIDTH;
            // The first child of the member filled before: members 1, 4, 7, ...
            let parent = if filled == 0 { 0 } else { (filled - 1) * WIDTH + 1 };
            let placed = network.real.state.member(member);
            assert_eq!((placed.parent, placed.slot), (Some(MemberIx(parent)), (number - 1) % WIDTH));
        }
        assert_eq!(network.real.state.depth(), 1 + (MEMBERS - 1).div_ceil(WIDTH));
        network.check();
    });
}

#[test]
fn deep_outside_legs_of_a_binary_tree() {
    const LEG: u32 = 100_000;
    on_small_stack(|| {
        let mut network = Numbered::new(
            "width 2 weak-leg-outside allow left right left-even strong-leg-outside even-fill\n\
             count-sponsor-tree\nranks thresholds placement downline Ten=10 Lot=1000",
        );
        network.join(None);
        // Weak leg, ties left: odd members go down the left spine, even ones down the right.
        for number in 1..=2 * LEG {
            let member = network.join(Some(0));
            let placed = network.real.state.member(member);
            assert_eq!(
                (placed.parent, placed.slot),
                (Some(MemberIx(number.saturating_sub(2))), (number + 1) % 2)
            );
        }
        let state = &network.real.state;
        assert_eq!(state.depth(), LEG + 1);
        let (left_end, right_end) = (MemberIx(2 * LEG - 1), MemberIx(2 * LEG));
        assert_eq!(state.preview(MemberIx(0), PlacementRule::Left), Ok((left_end, 0)));
        assert_eq!(state.preview(MemberIx(1), PlacementRule::Left), Ok((left_end, 0)));
        assert_eq!(state.preview(MemberIx(1), PlacementRule::Right), Ok((MemberIx(1), 1)));
        assert_eq!(state.preview(MemberIx(2), PlacementRule::Right), Ok((right_end, 1)));
        assert_eq!(state.preview(MemberIx(0), PlacementRule::EvenFill), Ok((MemberIx(1), 1)));
        assert_eq!(state.preview(MemberIx(0), PlacementRule::StrongLegOutside), Ok((left_end, 0)));
        // Sponsors in the middle of a spine.
        for number in 0..1_000 {
            network.join_by(number * 100 + 1, PlacementRule::Left);
            network.join_by(number * 100, PlacementRule::Right);
            network.join_by(number * 50, PlacementRule::EvenFill);
        }
        network.check();
    });
}

/// Beyond the level cap an admin is counted, ranked and paid, down to `ADMIN_LEVELS_MAX` levels.
#[test]
fn admins_reach_down_a_thousand_levels_and_no_further() {
    const LENGTH: u32 = ADMIN_LEVELS_MAX as u32 + 10;
    let mut network = Numbered::new(
        "width unlimited unilevel\nlevel-cap 2\n\
         bonus referral placement fixed 2.00 1.00 on-registration admins-beyond\n\
         ranks level-fill placement One=1 Two=1+5.00",
    );
    let root = Register { role: Role::Admin, ..network.signup(None) };
    network.register(root);
    for number in 1..=LENGTH {
        let before = network.real.state.entries();
        network.join(Some(number - 1));
        let state = &network.real.state;
        let root_paid = (before..state.entries())
            .map(|entry| state.entry(entry))
            .find(|entry| entry.receiver == MemberIx(0) && entry.level != 0);
        let expected = match number {
            1 => Some(Money(200)),
            number if number as usize <= ADMIN_LEVELS_MAX => Some(Money(100)),
            _ => None,
        };
        assert_eq!(root_paid.map(|entry| entry.amount), expected, "distance {number}");
        let rank = state.rank(MemberIx(0));
        assert_eq!(u32::from(rank.paid_as), number.clamp(1, ADMIN_LEVELS_MAX as u32));
        assert_eq!(rank.next.is_some(), (number as usize) < ADMIN_LEVELS_MAX);
    }
    let deep = network.real.state.deep_levels_of(Tree::Placement, MemberIx(0)).expect("an admin");
    assert!(
        deep.iter().all(|count| *count == 1) && deep.len() == ADMIN_LEVELS_MAX - LEVELS_MAX,
        "{} levels",
        deep.len()
    );
    network.check();
}

/// Codes of future members are deterministic; a given code that equals one of them does not lead to two
/// members with one code.
#[test]
fn generated_codes_give_way_to_given_ones() {
    const MEMBERS: u32 = 50;
    let plan = "width unlimited unilevel";
    let mut first = Numbered::new(plan);
    first.join(None);
    let newcomers: Vec<MemberIx> = (1..MEMBERS).map(|_| first.join(Some(0))).collect();
    let to_come: Vec<Code> = newcomers.into_iter().map(|member| first.real.state.code(member)).collect();
    let mut second = Numbered::new(plan);
    second.join(None);
    for (number, code) in to_come.iter().enumerate() {
        // Every third one takes, in the other case, the code that the member after next would get.
        let wanted = to_come.get(number + 2).filter(|_| number % 3 == 0);
        let given = wanted.map(|code| {
            Code::parse(&code.as_str().to_ascii_lowercase()).expect("the alphabet has both cases")
        });
        let signup = Register { code: given.clone(), ..second.signup(Some(0)) };
        let member = second.register(signup);
        match (given, number % 3) {
            (Some(given), _) => assert_eq!(second.real.state.code(member), given),
            (None, 2) => {
                assert_ne!(second.real.state.code(member).folded(), code.folded(), "the code is taken");
            }
            (None, _) => {
                assert_eq!(second.real.state.code(member), *code, "codes do not hang on others' codes");
            }
        }
    }
    let real = &second.real;
    let all: BTreeSet<String> =
        (0..MEMBERS).map(|member| real.state.code(MemberIx(member)).folded()).collect();
    assert_eq!(all.len() as u32, MEMBERS);
    for member in (0..MEMBERS).map(MemberIx) {
        assert_eq!(real.state.member_by_code(&real.directory, &real.state.code(member)), Some(member));
    }
    second.check();
}

/// The oldest key is evicted when there are more than `KEYS_MAX` within their lifetime.
#[test]
fn a_million_keys_are_remembered_and_no_more() {
    let mut network = Numbered::new("width unlimited unilevel");
    network.join(None);
    let command = || Command::SetStatus { member: Numbered::id(0), status: Status::Active };
    let key = |number: u64| {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&number.to_le_bytes());
        Some(RequestKey { key, fingerprint: 1 })
    };
    for number in 0..=KEYS_MAX as u64 {
        network.apply(command(), key(number));
    }
    let lsn = network.real.state.lsn();
    assert_eq!(network.apply(command(), key(1)).lsn, 3, "the second key is still known");
    assert_eq!(network.apply(command(), key(KEYS_MAX as u64)).lsn, lsn, "so is the newest");
    assert_eq!(network.apply(command(), key(0)).lsn, lsn + 3, "the first one is not");
    assert_eq!(network.apply(command(), key(1)).lsn, lsn + 4, "which cost the second one its place");
    let other = key(5).map(|key| RequestKey { fingerprint: 2, ..key });
    assert_eq!(network.apply(command(), other).outcome, Outcome::Rejected(Rejection::KeyReused));
    let reopened = network.real.reopened(1_000_000);
    assert_eq!(state_digest(&reopened.state), state_digest(&network.real.state));
}
