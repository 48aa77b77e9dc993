//! Commands of golden directories whose kinds came after those that `format.rs` places one by one: from the
//! table of commands, with contents by type.

use upline::core::{
    command::{
        ChangeEntry, Command, CommandKind, EntryChange, ImportEntry, PayFilter, Register, TriggerBonus,
        commands,
    },
    plan::Plan,
    types::{MemberId, Reason, Role, Status},
};

use super::member;

/// The last kind of command that has LSNs of its own in [`super::command`].
const PLACED: CommandKind = CommandKind::KeepOnce;

/// The kinds after [`PLACED`] take turns, each from its version on.
pub fn command(version: u32, lsn: u64) -> Option<Command> {
    let kinds = CommandKind::ALL.into_iter().filter(|kind| PLACED < *kind && kind.since() <= version);
    let kinds: Vec<CommandKind> = kinds.collect();
    let turn = usize::try_from(lsn / 20).unwrap() % kinds.len().max(1);
    kinds.get(turn).map(|kind| golden_command(*kind, lsn))
}

/// A field of a command, which follows from the LSN.
trait Golden: Sized {
    fn golden(_lsn: u64) -> Self {
        unreachable!("commands with such content have LSNs of their own")
    }
}

macro_rules! golden {
    ($($type:ty: |$lsn:ident| $value:expr;)+) => {
        $(
            impl Golden for $type {
                fn golden($lsn: u64) -> Self {
                    $value
                }
            }
        )+
    };
}
golden! {
    bool: |lsn| lsn.is_multiple_of(40);
    u64: |lsn| lsn / 20 * 3;
    Box<str>: |lsn| format!("golden-{lsn}").into();
    MemberId: |lsn| member(lsn - 18);
    Status: |_lsn| Status::Active;
    Role: |_lsn| Role::Member;
    EntryChange: |lsn| EntryChange::ALL[usize::try_from(lsn / 20).unwrap() % 3];
    Reason: |lsn| Reason::parse(&format!("golden {lsn}")).unwrap();
}
impl Golden for Box<Plan> {}
impl Golden for Register {}
impl Golden for TriggerBonus {}
impl Golden for ImportEntry {}
impl Golden for PayFilter {}
impl Golden for ChangeEntry {}

macro_rules! golden_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        fn golden_command(kind: CommandKind, lsn: u64) -> Command {
            match kind {
                $(CommandKind::$kind => {
                    $(let $content: $type = Golden::golden(lsn);)?
                    $($(let $field: $field_type = Golden::golden(lsn);)+)?
                    Command::$kind $(($content))? $({ $($field),+ })?
                })+
            }
        }
    };
}
commands!(golden_commands);
