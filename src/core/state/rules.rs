//! The rules of commands: one [`Rules`] for each, in the file of its subject.

use crate::core::{
    requests::command::{CodeRules, Command, EntryRules, Outcome, Rejection, Stamped, commands},
    state::{parts::State, prepare::Aside},
    words::{directory::Directory, types::KINDS_MAX},
};

/// The rules of one command. `judge` reads only: a rejection changes nothing but the LSN. It returns what it
/// found: members, rules, entries, places. `act` acts on that, and looks up nothing again. Admission judges a
/// command before it is logged ([`State::check`]), so each rule is implemented once.
///
/// It is implemented for the markers of [`kinds`]; [`commands!`](commands) says what else a command needs.
pub(in crate::core) trait Rules {
    /// What the command contains, as its entry in the table has it: nothing, one value, or a tuple of fields.
    type Content<'a>: Copy;
    /// What judging found.
    type Found;

    fn judge<D: Directory>(
        state: &State,
        directory: &D,
        content: Self::Content<'_>,
        format: &FormatRules,
    ) -> Result<Self::Found, Rejection>;

    fn act<D: Directory>(
        state: &mut State,
        directory: &mut D,
        content: Self::Content<'_>,
        found: Self::Found,
        aside: &mut Aside,
    ) -> Outcome;
}

/// The rules that depend on the format of a command: a log is replayed under those of the release that wrote
/// it.
pub(in crate::core) struct FormatRules {
    pub codes: CodeRules,
    /// How entries change.
    pub entries: EntryRules,
    /// The most trigger names that the network may have after the command.
    pub kinds_max: usize,
}

impl FormatRules {
    /// Those of commands that are logged today.
    pub const TODAY: Self =
        Self { codes: CodeRules::Alike, entries: EntryRules::InPairs, kinds_max: KINDS_MAX };

    pub fn of(stamped: &Stamped) -> Self {
        Self { codes: stamped.code_rules(), entries: stamped.entry_rules(), kinds_max: stamped.kinds_max() }
    }
}

macro_rules! rules_of_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        /// A type for each kind of command, to have its [`Rules`].
        pub(in crate::core) mod kinds {
            $($(#[$about])* pub enum $kind {})+
        }

        impl State {
            /// Judges as admission does, under the rules of today.
            pub(super) fn judge<D: Directory>(
                &self,
                directory: &D,
                command: &Command,
            ) -> Result<(), Rejection> {
                let format = &FormatRules::TODAY;
                match command {
                    $(Command::$kind $(($content))? $({ $($field),+ })? => {
                        let content = ($($content)? $($($field),+)?);
                        kinds::$kind::judge(self, directory, content, format).map(drop)
                    })+
                }
            }

            /// Judges a command under the rules of its format, then acts on what was found.
            pub(super) fn judge_and_act<D: Directory>(
                &mut self,
                directory: &mut D,
                stamped: &Stamped,
                aside: &mut Aside,
            ) -> Result<Outcome, Rejection> {
                let format = &FormatRules::of(stamped);
                match &stamped.command {
                    $(Command::$kind $(($content))? $({ $($field),+ })? => {
                        let content = ($($content)? $($($field),+)?);
                        let found = kinds::$kind::judge(self, directory, content, format)?;
                        Ok(kinds::$kind::act(self, directory, content, found, aside))
                    })+
                }
            }
        }
    };
}
commands!(rules_of_commands);
