//! Bodies, lines and files about orders, taken by a small network.

use crate::{
    cli,
    core::{
        Actor, audit,
        command::{
            Applied, Command, OpenPeriod, OrderId, Origin, Outcome, PlacementRequest, Register, SponsorRef,
            Stamped,
        },
        plan::Plan,
        state::{State, Verdict},
        types::{Code, MemberId, Role, Timestamp},
    },
    durability::{decode_group, encode_group},
    engine::{MemberDirectory, UnsharedDirectory},
    http, plan_file,
};

const PLAN: &str = r#"
name = "orders"
currency = { code = "USD", exponent = 2 }
placement = { width = 2, rule = "breadth-first" }
count_sponsor_tree = true
rounding = "half-even"

[calendar.month]
every = "month"
timezone = "UTC"
grace = "3 days"
first = "2026-10-01"

[calendar.week]
every = "week"
timezone = "UTC"
late = "refuse"
first = "2026-10-05"

[volume.pv]
exponent = 2

[volume.cv]
exponent = 0
percent = 12.5
of = "pv"

[volume.points]
exponent = 4
live = true

[orders]
kinds = ["retail", "signup"]
tags = ["autoship", "party"]

[attributes]
market = ["us", "de"]
owner = true
tags = ["founder", "fee-paid"]

[answers]
refund_lowers_volume = "yes"

[ladder.live]
rule = "thresholds"
basis = "direct"

[[ladder.live.rank]]
name = "Builder"
minimum = 3
"#;

/// 2026-11-15.
const NOW: Timestamp = Timestamp(1_794_700_800_000_000);
const DAY: i64 = 24 * 3_600 * 1_000_000;
/// Lines of an input that are tried.
const LINES_MAX: usize = 64;

/// Takes bodies about orders, one a line: orders, refunds of the newest one, attributes.
///
/// # Panics
/// If a command that is asked for is not read from a log as it was written, if admission and the rules
/// disagree about it, if it acts twice, or if what follows from the orders is not what a recount says.
pub fn order_body(bytes: &[u8]) -> bool {
    let (mut state, directory) = network();
    let mut directory = UnsharedDirectory::from(directory);
    let mut is_taken = false;
    for line in bytes.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let Some(command) = http::fuzzing::order_command(line, &state, &directory, NOW) else { continue };
        is_taken = true;
        as_written(&command);
        let verdict = state.check(&directory, None, &command);
        let applied = apply(&mut state, &mut directory, command.clone());
        match (verdict, applied.outcome) {
            (Verdict::Reject(admission), Outcome::Rejected(rule)) => {
                assert_eq!(admission, rule, "{command:?}");
            }
            (Verdict::Admit, outcome) => {
                let is_refused = matches!(outcome, Outcome::Rejected(_));
                // An order without a time may be refused for the time at which it is applied.
                assert!(!is_refused || is_without_time(&command), "{command:?}: {outcome:?}");
                if !is_refused {
                    let again = apply(&mut state, &mut directory, command.clone()).outcome;
                    assert!(again.is_no_op(), "{command:?}: {outcome:?} and then {again:?}");
                }
            }
            (verdict, outcome) => panic!("{command:?}: {verdict:?}, and then {outcome:?}"),
        }
    }
    let findings = audit(&state, 3);
    assert!(findings.is_empty(), "{findings:?}");
    for number in 0..state.orders_len() {
        let order = state.order(number);
        let (left, placed) = (order.left(), order.totals());
        assert!(left.iter().zip(&placed).all(|(left, placed)| (0..=*placed).contains(left)), "{order:?}");
    }
    is_taken
}

/// Takes the files of an import of orders.
pub fn order_rows(bytes: &[u8]) -> bool {
    let (state, directory) = network();
    cli::order_rows(state, directory, NOW, bytes)
}

fn is_without_time(command: &Command) -> bool {
    matches!(command, Command::PlaceOrder(order) if order.time.is_none())
}

/// Checks that a log has a command as it is.
fn as_written(command: &Command) {
    let group = [stamped(1, command.clone())];
    let (mut body, mut again) = (Vec::new(), Vec::new());
    encode_group(&group, &mut body).expect("what a route accepts has a form on disk");
    decode_group(&body, 1, 1, &mut again).expect("what was written is read");
    assert_eq!(again, group);
}

fn stamped(lsn: u64, command: Command) -> Stamped {
    Stamped { lsn, time: NOW, key: None, actor: Some(Actor::unknown()), format: Stamped::FORMAT, command }
}

fn apply(state: &mut State, directory: &mut UnsharedDirectory, command: Command) -> Applied {
    let stamped = stamped(state.lsn() + 1, command);
    state.apply(directory, &stamped)
}

/// Members 1 to 4 with the codes M1 to M4, each below the one before, and periods from six weeks ago on.
fn network() -> (State, MemberDirectory) {
    thread_local! {
        static PARSED: Plan = plan_file::parse(PLAN).expect("it is a plan");
    }
    let directory = MemberDirectory::with_capacity(0, 0);
    let mut state = State::new(PARSED.with(Plan::clone), 7);
    {
        let mut commands = Vec::new();
        for number in 1..=4_u8 {
            let id = |number: u8| MemberId([number; 16]);
            commands.push(Command::Register(Register {
                member: id(number),
                sponsor: if number == 1 { SponsorRef::None } else { SponsorRef::Member(id(number - 1)) },
                placement: PlacementRequest::PlanDefault,
                code: Code::parse(&format!("M{number}")),
                role: Role::Member,
                joined_at: Some(Timestamp(NOW.0 - 60 * DAY)),
                origin: Origin::Signup,
            }));
        }
        for (calendar, length) in [(0, 30), (1, 7)] {
            for number in 0..=42 / length {
                let start = NOW.0 + (length * number - 42) * DAY;
                commands.push(Command::OpenPeriod(OpenPeriod {
                    calendar,
                    label: OrderId::parse(&format!("p{number}")).expect("an id"),
                    start: Timestamp(start),
                    end: Timestamp(start + length * DAY),
                    grace_until: Timestamp(start + (length + 2) * DAY),
                }));
            }
        }
        for command in commands {
            let stamped = stamped(state.lsn() + 1, command);
            let outcome = state.apply(&mut directory.write(), &stamped).outcome;
            assert!(!matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
        }
    }
    (state, directory)
}
