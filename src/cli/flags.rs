//! Flags of the settings, built from the one table of settings.

use std::{collections::BTreeMap, marker::PhantomData};

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

use crate::config::{SETTINGS, Setting};

/// Settings of authorization and rate limits have a heading of their own in the help: these, and all between
/// them in the table.
const ACCESS: [&str; 2] = ["auth", "allowed_hosts"];
const ACCESS_HEADING: &str = "Authorization and limits";

/// Which settings a command has flags for.
pub(super) trait Selection {
    fn takes(key: &str) -> bool;
}

/// The data directory: of every command that opens one.
#[derive(Clone, Default, Debug)]
pub(super) struct OfDataDir;

/// The plan: of commands that may create a network.
#[derive(Clone, Default, Debug)]
pub(super) struct OfPlan;

/// Everything else: of the server.
#[derive(Clone, Default, Debug)]
pub(super) struct OfServer;

impl Selection for OfDataDir {
    fn takes(key: &str) -> bool {
        key == "data_dir"
    }
}

impl Selection for OfPlan {
    fn takes(key: &str) -> bool {
        ["plan", "max_children"].contains(&key)
    }
}

impl Selection for OfServer {
    fn takes(key: &str) -> bool {
        !OfDataDir::takes(key) && !OfPlan::takes(key)
    }
}

/// The settings of a selection that were given as flags.
#[derive(Clone, Default, Debug)]
pub(super) struct Flags<S> {
    /// Texts by key.
    pub given: BTreeMap<&'static str, String>,
    selection: PhantomData<S>,
}

impl<S: Selection> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let text = |setting: &Setting| match setting.value {
            Some(_) => matches.get_one(setting.key).cloned(),
            None => matches.get_flag(setting.key).then(|| "true".to_owned()),
        };
        let given = selected::<S>().filter_map(|setting| Some((setting.key, text(setting)?))).collect();
        Ok(Self { given, selection: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given.extend(Self::from_arg_matches(matches)?.given);
        Ok(())
    }
}

impl<S: Selection> clap::Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        command.args(selected::<S>().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn selected<S: Selection>() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| S::takes(setting.key))
}

fn arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key).long(setting.flag()).help(help(setting));
    let arg = match setting.value {
        Some(name) => arg.value_name(name),
        None => arg.action(ArgAction::SetTrue),
    };
    if is_of_access(setting) { arg.help_heading(ACCESS_HEADING) } else { arg }
}

fn help(setting: &Setting) -> String {
    let shown = if setting.shown_default.is_empty() { setting.default } else { setting.shown_default };
    if shown.is_empty() || setting.value.is_none() {
        setting.help.to_owned()
    } else {
        format!("{} [default: {shown}]", setting.help)
    }
}

fn is_of_access(setting: &Setting) -> bool {
    let place = |key: &str| SETTINGS.iter().position(|other| other.key == key);
    let [first, last] = ACCESS.map(place);
    (first..=last).contains(&place(setting.key))
}
