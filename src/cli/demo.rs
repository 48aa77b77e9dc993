//! `upline demo`: a made-up network of realistic shape, with a referral bonus per member as the original's seeder makes, and its server.

use std::{path::PathBuf, time::Instant};

use serde_json::json;

use super::{
    exit::{Exit, Failure},
    interrupt::Interrupt,
    log_options, plan_choice, screen, serve,
    target::Target,
};
use crate::{
    core::{
        command::{Command, Origin, PlacementRequest, Register, SponsorRef, TriggerBonus},
        network_digest,
        types::Role,
    },
    shapes::{self, Shape},
};

/// The trigger that the original's seeder pulls for each member, where the plan has it.
const TRIGGER: &str = "referral";

/// Members between two looks at progress and interruption.
const LOOK_EVERY_MEMBERS: u32 = 1_024;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Members to make up
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    members: u32,
    /// Shape of the sponsor tree
    #[arg(long, value_enum, default_value = "real")]
    shape: Shape,
    /// The same seed gives the same network
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Make the network and stop
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
    let interrupt = Interrupt::listen()?;
    // Without a directory of its own a demo leaves nothing behind, and never touches the default one.
    let scratch = if args.serve.data_dir.data_dir.is_none() { Some(Scratch::new()) } else { None };
    let mut serve_args = args.serve.clone();
    if let Some(scratch) = &scratch {
        serve_args.data_dir.data_dir = Some(scratch.0.display().to_string());
    }
    let mut config = serve_args.config()?;
    let mut target = Target::create(config.data_dir.clone(), log_options(&config), plan_choice(&config)?.plan)?;
    fill(args, &mut target, &interrupt)?;
    target.commit()?;
    let state = &target.network.state;
    let object = json!({
        "command": "demo",
        "members": state.len(),
        "bonuses": state.entries(),
        "depth": state.depth(),
        "shape": args.shape.name(),
        "seed": args.seed,
        "network_digest": network_digest(state).to_string(),
        "seconds": started.elapsed().as_secs_f64(),
    });
    screen::say_result(args.json, &object, || {
        format!(
            "made {} members ({}, seed {}), {} bonuses, depth {} in {:.1} s",
            screen::grouped(state.len().into()),
            args.shape.name(),
            args.seed,
            screen::grouped(state.entries()),
            state.depth(),
            started.elapsed().as_secs_f64()
        )
    })?;
    if args.no_serve {
        return Ok(());
    }
    drop(target);
    // The directory has the plan that was asked for: nothing is left to compare.
    (config.plan, config.max_children) = (None, None);
    if config.addr.port() != 0 {
        let first = shapes::member_id(args.seed, 0);
        screen::tell(&format!("try: curl -s http://{}/user/downline/{first}/count", config.addr));
    }
    serve::serve(&config, interrupt)
}

fn fill(args: &Args, target: &mut Target, interrupt: &Interrupt) -> Result<(), Failure> {
    let network = &mut target.network;
    let pays = network.state.plan().bonus(TRIGGER).is_some_and(|rule| {
        // Pay that needs an amount needs somebody who bought something.
        matches!(rule.pay, crate::core::plan::LevelPay::Fixed(_))
    });
    let bar = screen::progress("members", Some(args.members.into()), false);
    let refused = |rejection: crate::core::command::Rejection| {
        Failure::new(Exit::Failed, format!("the plan does not take the network: {}", rejection.name()))
    };
    for (number, sponsor) in (0..args.members).zip(shapes::sponsors(args.shape, args.members, args.seed)) {
        let member = shapes::member_id(args.seed, number);
        let register = Register {
            member,
            sponsor: sponsor.map_or(SponsorRef::None, |sponsor| SponsorRef::Member(shapes::member_id(args.seed, sponsor))),
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        };
        network.apply(Command::Register(register)).map_err(refused)?;
        if pays {
            let trigger = TriggerBonus { source: member, trigger: TRIGGER.into(), amount: None, once: true };
            network.apply(Command::TriggerBonus(trigger)).map_err(refused)?;
        }
        if number.is_multiple_of(LOOK_EVERY_MEMBERS) {
            bar.set_position(number.into());
            if interrupt.asked() {
                return Err(Failure::interrupted("no network was made"));
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// A directory that goes away with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("upline-demo-{}", uuid::Uuid::new_v4().simple())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Also when it was never made.
        _ = std::fs::remove_dir_all(&self.0);
    }
}
