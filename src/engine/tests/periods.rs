//! Periods that open and close by time: an engine with its threads, under clocks that a test sets.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use super::{
    rig::{Rig, rig_on},
    *,
};
use crate::{
    calendars,
    core::plan::{
        calendar::{Calendar, Date, Every, Grace, Late, Weekday},
        commerce::Commerce,
    },
    time_text,
};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// Clocks that a test sets, across restarts.
#[derive(Clone)]
struct Clocks {
    wall: Arc<AtomicI64>,
    boot: Arc<AtomicI64>,
}

impl Clocks {
    fn at(text: &str) -> Self {
        let wall = Arc::new(AtomicI64::new(time_text::exact(text).unwrap().0));
        Self { wall, boot: Arc::new(AtomicI64::new(0)) }
    }

    /// Time passes on both clocks until the wall clock shows this.
    fn pass_until(&self, text: &str) {
        let to = time_text::exact(text).unwrap().0;
        // The boot clock first: at no moment does the wall clock look as if it had jumped ahead.
        self.boot.fetch_add(to - self.wall.load(Ordering::SeqCst), Ordering::SeqCst);
        self.wall.store(to, Ordering::SeqCst);
    }
}

fn missing(
    calendars: &[Calendar],
    opened: &[Vec<OpenPeriod>],
    calendar: u8,
    times: [Timestamp; 2],
    most: usize,
) -> Result<Vec<OpenPeriod>, Box<dyn Error + Send + Sync>> {
    Ok(calendars::missing(calendars, opened, calendar, times, most)?)
}

fn calendar(name: &str, every: Every) -> Calendar {
    Calendar {
        name: name.into(),
        every,
        timezone: "America/New_York".into(),
        grace: Grace { days: 3, hours: 0 },
        late: Late::Book,
        first: None,
        four_eyes: false,
    }
}

fn plan_with(calendars: Vec<Calendar>) -> Plan {
    let commerce = Commerce {
        calendars,
        amount_live: true,
        live_levels: 2,
        refund_lowers_volume: Some(false),
        ..Commerce::default()
    };
    Plan { commerce, ..without_calendars() }
}

fn without_calendars() -> Plan {
    // Live volumes are kept in both trees.
    Plan { count_sponsor_tree: true, ..plan() }
}

fn months() -> Calendar {
    calendar("month", Every::Month)
}

fn weeks() -> Calendar {
    calendar("week", Every::Week { begins: Weekday::Monday })
}

fn start(plan: Plan, clocks: &Clocks) -> Rig {
    start_on(State::new(plan, 5), clocks)
}

fn start_on(state: State, clocks: &Clocks) -> Rig {
    rig_on(state, |options, _, _| {
        let Clocks { wall, boot } = clocks.clone();
        options.clock = Arc::new(move || Timestamp(wall.load(Ordering::SeqCst)));
        options.boot_clock = Arc::new(move || boot.load(Ordering::SeqCst));
        options.missing_periods = Some(missing);
    })
}

/// Stops an engine; returns its state as the log gives it again.
fn stopped(rig: &Rig, mut state: State) -> State {
    rig.engine.shutdown();
    let groups = rig.script.get(|script| script.groups.clone());
    let directory = MemberDirectory::with_capacity(0, 0);
    for stamped in groups.iter().flat_map(|(group, _)| group) {
        state.apply(&mut directory.write(), stamped);
    }
    state
}

/// The periods of a calendar: label and state.
fn periods(engine: &Engine, calendar: u8) -> Vec<(String, PeriodState)> {
    engine.read(|state, _| {
        (0..state.periods_len(calendar))
            .filter_map(|period| state.period(PeriodRef { calendar, period }))
            .map(|row| (row.label.to_string(), row.state()))
            .collect()
    })
}

fn shown(engine: &Engine, calendar: u8) -> String {
    let words =
        periods(engine, calendar).into_iter().map(|(label, state)| format!("{label} {}", state.name()));
    words.collect::<Vec<_>>().join(", ")
}

/// What was logged: the labels of opened periods, and the numbers of closed ones.
fn logged(rig: &Rig) -> Vec<String> {
    rig.script.get(|script| {
        let commands = script.groups.iter().flat_map(|(group, _)| group);
        commands
            .map(|stamped| {
                assert_eq!(stamped.actor.as_ref().map(Actor::kind), Some(ActorKind::System));
                match &stamped.command {
                    Command::OpenPeriod(open) => format!("+{}:{}", open.calendar, open.label.as_str()),
                    Command::ClosePeriod(period) => format!("-{}:{}", period.calendar, period.period),
                    other => panic!("{other:?}"),
                }
            })
            .collect()
    })
}

#[test]
fn periods_are_open_when_the_engine_is() {
    let clocks = Clocks::at("2026-11-15T12:00:00Z");
    let quarters = Every::Periods { of: 0, pattern: vec![13] };
    let rig = start(plan_with(vec![weeks(), months(), calendar("quarter", quarters)]), &clocks);
    assert_eq!(shown(&rig.engine, 0), "2026-W46 open");
    assert_eq!(shown(&rig.engine, 1), "2026-11 open");
    assert_eq!(shown(&rig.engine, 2), "2026-11-09-p13 open");
    assert_eq!(rig.script.get(|script| script.groups.len()), 1, "in one group");
    // Without calendars, and without the function, nothing is written.
    assert_eq!(logged(&start(plan(), &clocks)), [""; 0]);
    let rig = rig_on(State::new(plan_with(vec![weeks()]), 5), |_, _, _| {});
    assert_eq!(logged(&rig), [""; 0]);
}

#[test]
fn the_next_period_opens_five_minutes_before_the_last_one_ends() {
    let clocks = Clocks::at("2026-11-30T12:00:00Z");
    let rig = start(plan_with(vec![months()]), &clocks);
    // Midnight in New York is at 5:00. A tick before the five minutes it is not time yet.
    clocks.pass_until("2026-12-01T04:54:59Z");
    std::thread::sleep(limits::TICK * 2);
    assert_eq!(shown(&rig.engine, 0), "2026-11 open");
    clocks.pass_until("2026-12-01T04:55:00Z");
    wait_until("the next one opens", || shown(&rig.engine, 0) == "2026-11 open, 2026-12 open");
    clocks.pass_until("2026-12-01T04:59:59.999999Z");
    std::thread::sleep(limits::TICK * 2);
    assert_eq!(shown(&rig.engine, 0), "2026-11 open, 2026-12 open");
    clocks.pass_until("2026-12-01T05:00:00Z");
    wait_until("the last one closes", || shown(&rig.engine, 0) == "2026-11 closing, 2026-12 open");
    std::thread::sleep(limits::TICK * 2);
    assert_eq!(logged(&rig), ["+0:2026-11", "+0:2026-12", "-0:0"], "nothing twice");
}

#[test]
fn a_restart_opens_and_closes_what_was_missed_in_its_order() {
    let clocks = Clocks::at("2026-11-15T12:00:00Z");
    let plan = plan_with(vec![months(), weeks()]);
    let rig = start(plan.clone(), &clocks);
    let state = stopped(&rig, State::new(plan, 5));
    clocks.pass_until("2027-02-15T12:00:00Z");
    let rig = start_on(state, &clocks);
    assert_eq!(shown(&rig.engine, 0), "2026-11 closing, 2026-12 closing, 2027-01 closing, 2027-02 open");
    let weeks = periods(&rig.engine, 1);
    assert_eq!(weeks.len(), 15);
    assert!(weeks[..14].iter().all(|(_, state)| *state == PeriodState::Closing));
    assert_eq!(weeks[14], ("2027-W07".to_owned(), PeriodState::Open));
    let logged = logged(&rig);
    assert_eq!(logged[..5], ["+1:2026-W47", "-1:0", "+1:2026-W48", "-1:1", "+1:2026-W49"]);
    let of_months: Vec<_> = logged.iter().filter(|entry| entry[1..].starts_with("0:")).collect();
    assert_eq!(of_months, ["+0:2026-12", "-0:0", "+0:2027-01", "-0:1", "+0:2027-02", "-0:2"]);
    let mut once = logged.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), logged.len(), "nothing twice");
    // Those whose grace of three days has passed.
    let due = rig.engine.periods_to_lock(2);
    let due: Vec<_> = due.iter().map(|due| format!("{} {}", due.calendar, due.label)).collect();
    assert_eq!(due, ["month 2026-11", "month 2026-12", "week 2026-W46", "week 2026-W47"]);
    rig.engine.refresh_metrics();
    let text = rig.engine.metrics().render();
    for line in [
        "upline_periods{calendar=\"0\",state=\"closing\"} 3",
        "upline_periods{calendar=\"0\",state=\"open\"} 1",
        "upline_periods{calendar=\"1\",state=\"closing\"} 14",
        "upline_orders 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
    // The oldest week ended on 2026-11-16 at 5:00.
    let age = text.lines().find_map(|line| line.strip_prefix("upline_period_unlocked_age_seconds "));
    assert_eq!(age, Some(&*(91 * 86_400 + 7 * 3_600).to_string()));
}

#[test]
fn a_clock_that_jumped_opens_nothing() {
    let clocks = Clocks::at("2026-11-15T12:00:00Z");
    let rig = start(plan_with(vec![months()]), &clocks);
    clocks.wall.fetch_add(30 * DAY, Ordering::SeqCst);
    std::thread::sleep(limits::TICK * 3);
    assert_eq!(shown(&rig.engine, 0), "2026-11 open");
    rig.engine.accept_clock();
    wait_until("it is accepted", || shown(&rig.engine, 0) == "2026-11 closing, 2026-12 open");
}

#[test]
fn an_activated_plan_has_its_periods_with_its_answer() {
    let clocks = Clocks::at("2026-11-15T12:00:00Z");
    let rig = start(without_calendars(), &clocks);
    let put = Command::PutPlan(Box::new(plan_with(vec![months()])));
    rig.engine.submit_blocking(put, None).unwrap();
    assert_eq!(shown(&rig.engine, 0), "2026-11 open");
    let put = Command::PutPlan(Box::new(plan_with(vec![months(), weeks()])));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(rig.engine.submit(put, None)).unwrap();
    assert_eq!(shown(&rig.engine, 1), "2026-W46 open");
}

#[test]
fn too_many_missing_periods_are_not_opened_and_hold_up_no_other_calendar() {
    let clocks = Clocks::at("2026-11-15T12:00:00Z");
    let mut days = calendar("day", Every::Day);
    days.first = Some(Date { year: 1990, month: 1, day: 1 });
    let mut later = calendar("later", Every::Month);
    later.first = Some(Date { year: 2026, month: 12, day: 24 });
    let mut long = weeks();
    long.first = Some(Date { year: 2010, month: 1, day: 1 });
    let rig = start(plan_with(vec![days, months(), later, long]), &clocks);
    assert_eq!(shown(&rig.engine, 0), "");
    assert_eq!(shown(&rig.engine, 1), "2026-11 open");
    assert_eq!(shown(&rig.engine, 2), "", "it begins in the future");
    assert_eq!(periods(&rig.engine, 3).len(), 881, "in several groups");
    // Another first date is a way out, as long as none is open.
    let rescued = plan_with(vec![calendar("day", Every::Day), months()]);
    let state = State::new(rescued, 5);
    assert_eq!(shown(&start_on(state, &clocks).engine, 0), "2026-11-15 open");
}
