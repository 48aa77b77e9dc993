//! `upline demo`: generates a realistic network, with a referral bonus per member like the original's seeder,
//! and with orders of four periods that have ended and of the current one, and serves it.

use std::time::Instant;

use serde_json::json;

use self::history::{History, Made};
use super::{
    announce,
    exit::{Exit, Failure},
    interrupt::Interrupt,
    log_options, plan_choice_or,
    scratch::Scratch,
    screen, serve,
    target::Target,
};
use crate::{
    core::{network_digest, plan::Plan},
    engine::system_clock,
    plan_file,
    shapes::{self, Shape},
};

mod history;

/// The trigger that the original's seeder fires for each member, where the plan has it.
const TRIGGER: &str = "referral";

/// The message for a demo interrupted before its network existed.
const NO_NETWORK: &str = "no network was made";

/// Maximum members of a demo: ten times the largest supported network. A larger number is a typo, and would
/// only be noticed when memory runs out.
const MEMBERS_MAX: u32 = 100_000_000;

/// Maximum orders of a demo, for the same reason.
const ORDERS_MAX: u32 = 100_000_000;

/// Orders for each member, and of a whole demo, unless it is told how many: a demo starts within seconds.
const ORDERS_EACH: u32 = 4;
const ORDERS_UNASKED_MAX: u32 = 20_000;

/// Memory per demo member including its share of the ledger, used to refuse at once a demo that cannot fit:
/// measured with a million `real` members (some 600 bytes), rounded up.
const MEMBER_BYTES: u64 = 800;

/// Memory per demo order including its customer and its share of the volumes, likewise.
const ORDER_BYTES: u64 = 500;

#[derive(clap::Args, Debug)]
#[command(mut_arg(
    "data_dir",
    |arg| arg.help(
        "Data directory, which must be new or empty [default: a temporary one, removed when the demo ends]"
    )
))]
pub(super) struct Args {
    /// Members to make up, at most 100 million
    #[arg(
        long, value_name = "N", default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(0..=i64::from(MEMBERS_MAX))
    )]
    members: u32,
    /// Shape of the sponsor tree
    #[arg(long, value_enum, default_value = "real")]
    shape: Shape,
    /// The same seed gives the same network
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Orders to make up, at most 100 million; with 0 and without --plan the network has the default plan,
    /// which takes none [default: 4 for each member, at most 20,000]
    #[arg(
        long, value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=i64::from(ORDERS_MAX))
    )]
    orders: Option<u32>,
    /// Make the network in --data-dir and stop
    #[arg(long)]
    no_serve: bool,
    /// One JSON object on the last line of standard output (with --no-serve)
    #[arg(long, requires = "no_serve")]
    json: bool,
    #[command(flatten)]
    serve: serve::Args,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    if args.no_serve && !args.serve.data_dir.is_given() {
        let message = "--no-serve makes a network and stops, so it needs --data-dir: without one the network \
                       would be thrown away at once";
        return Err(Failure::new(Exit::Usage, message));
    }
    let interrupt = Interrupt::listen()?;
    let mut serve_args = args.serve.clone();
    // Without an explicit directory a demo leaves nothing behind, and never touches the default one.
    let is_temporary = !serve_args.data_dir.is_given();
    if is_temporary {
        serve_args.data_dir.set(&std::env::temp_dir());
    }
    // Checked before anything is created that would be left behind.
    let (mut config, plan) = interrupt.interruptible(NO_NETWORK, || {
        let config = serve_args.config()?;
        let default = if args.orders == Some(0) { plan_file::default_plan } else { plan_file::demo_plan };
        let plan = plan_choice_or(&config, default)?.plan;
        Ok((config, plan))
    })?;
    let orders = args.orders_of(&plan)?;
    check_memory(args.members, orders, available_memory())?;
    let scratch = is_temporary.then(|| Scratch::new(None, "upline-demo-", "--data-dir")).transpose()?;
    if let Some(scratch) = &scratch {
        config.data_dir = scratch.data_dir();
    }
    // A large network takes minutes, which would be wasted.
    if !args.no_serve {
        serve::preflight(&config, &interrupt)?;
    }
    let mut target = Target::create(config.data_dir.clone(), log_options(&config), plan)?;
    let made = fill(args, orders, &mut target, &interrupt)?;
    let written = target.commit(false)?;
    if scratch.is_none() {
        announce::network(target.path());
    }
    let state = &target.network.state;
    let object = json!({
        "command": "demo",
        "members": state.len(),
        "bonuses": state.entries(),
        "orders": made.orders,
        "refunds": made.refunds,
        "depth": state.depth(),
        "shape": args.shape.name(),
        "seed": args.seed,
        "network_digest": written.unwrap_or_else(|| network_digest(state)).to_string(),
        "seconds": started.elapsed().as_secs_f64(),
    });
    screen::say_result(args.json, &object, || {
        let sold = if made.orders == 0 {
            String::new()
        } else {
            let (orders, refunds) = (made.orders.into(), made.refunds.into());
            format!("{}, {}, ", screen::counted(orders, "order"), screen::counted(refunds, "refund"))
        };
        format!(
            "made {} ({}, seed {}), {}, {sold}depth {} in {:.1} s",
            screen::counted(state.len().into(), "member"),
            args.shape.name(),
            args.seed,
            screen::counted(state.entries(), "bonus"),
            state.depth(),
            started.elapsed().as_secs_f64()
        )
    })?;
    if args.no_serve {
        return Ok(());
    }
    let calendar = state.plan().commerce.calendars.first().map(|calendar| calendar.name.clone());
    drop(target);
    // The directory has the requested plan: nothing is left to compare.
    (config.plan, config.max_children) = (None, None);
    if config.addr.port() != 0 {
        let first = shapes::member_id(args.seed, 0);
        screen::tell(&format!("try: curl -s http://{}/user/downline/{first}/count", config.addr));
        if let Some(calendar) = calendar.filter(|_| made.orders != 0) {
            for path in ["orders/demo-0".to_owned(), format!("calendars/{calendar}/periods")] {
                screen::tell(&format!("try: curl -s http://{}/v1/{path}", config.addr));
            }
        }
    }
    serve::serve(&config, interrupt)
}

impl Args {
    /// The number of orders for a plan.
    fn orders_of(&self, plan: &Plan) -> Result<u32, Failure> {
        if plan.commerce.takes_orders() && self.members != 0 {
            let unasked = self.members.saturating_mul(ORDERS_EACH).min(ORDERS_UNASKED_MAX);
            return Ok(self.orders.unwrap_or(unasked));
        }
        let why = if self.members == 0 { "there are no members" } else { "the plan takes no orders" };
        match self.orders {
            None | Some(0) => Ok(0),
            Some(_) => Err(Failure::new(Exit::Usage, format!("--orders: {why}"))),
        }
    }
}

/// Refuses a network that does not fit into memory, where its size is known.
fn check_memory(members: u32, orders: u32, available: Option<u64>) -> Result<(), Failure> {
    let needed = u64::from(members) * MEMBER_BYTES + u64::from(orders) * ORDER_BYTES;
    match available {
        Some(available) if available < needed => {
            let mib = |bytes: u64| screen::grouped(bytes >> 20);
            let message = format!(
                "{} and {} take some {} MiB of memory, and {} MiB are available",
                screen::counted(members.into(), "member"),
                screen::counted(orders.into(), "order"),
                mib(needed),
                mib(available)
            );
            Err(Failure::new(Exit::Failed, message))
        }
        _ => Ok(()),
    }
}

/// Returns the bytes available without swapping, where the system reports it.
fn available_memory() -> Option<u64> {
    let figures = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = figures.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

fn fill(args: &Args, orders: u32, target: &mut Target, interrupt: &Interrupt) -> Result<Made, Failure> {
    let network = &mut target.network;
    let pays = network.state.plan().bonus(TRIGGER).is_some_and(|rule| {
        // Pay that depends on an amount needs a purchase.
        matches!(rule.pay, crate::core::plan::LevelPay::Fixed(_))
    });
    let stop = || if interrupt.asked() { Err(Failure::interrupted(NO_NETWORK)) } else { Ok(()) };
    let now = system_clock()();
    let history = if orders == 0 { None } else { History::of(network.state.plan(), now)? };
    let joining = history.as_ref().map_or(now..now, History::joining);
    let bar = screen::progress("members", Some(args.members.into()), false);
    let trigger = pays.then_some(TRIGGER);
    network.grow(args.shape, args.members, args.seed, trigger, &joining, &mut |number| {
        bar.set_position(number.into());
        stop()
    })?;
    bar.finish_and_clear();
    let Some(history) = history else { return Ok(Made::default()) };
    let bar = screen::progress("orders", Some(orders.into()), false);
    let made = history::make(network, &history, [args.members, orders], args.seed, &mut |number| {
        bar.set_position(number.into());
        stop()
    })?;
    bar.finish_and_clear();
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_cannot_fit_is_refused() {
        let refused = |members, available| check_memory(members, 0, available).is_err();
        assert!(!refused(1_000, Some(1 << 30)));
        assert!(refused(MEMBERS_MAX, Some(1 << 30)));
        assert!(check_memory(0, ORDERS_MAX, Some(1 << 30)).is_err());
        assert!(!refused(MEMBERS_MAX, None), "where nothing is known nothing is refused");
    }
}
