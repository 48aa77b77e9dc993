//! Commands as the table has them: how often each occurs, and its fields.

use upline::core::{
    command::{
        AddOpening, ChangeEntry, CloseOpening, Command, CommandKind, EntryChange, ImportEntry, OpenPeriod,
        PayFilter, PeriodRef, PlaceOrder, RecallOrder, RecordRun, RefundOrder, Register, SealPeriod,
        SetAttributes, StepPeriod, TriggerBonus, commands,
    },
    plan::Plan,
    types::{MemberId, Reason, Role, Status},
};

use super::{StepMaker, changed_plan};

/// How often a kind of command occurs, in relation to the others.
pub(super) fn weight(kind: CommandKind, takes_orders: bool, seals: bool) -> u64 {
    match kind {
        CommandKind::SealPeriod | CommandKind::RecallOrder if !seals => 0,
        CommandKind::RecallOrder => 8,
        CommandKind::PlaceOrder if takes_orders => 50,
        CommandKind::RefundOrder if takes_orders => 40,
        CommandKind::OpenPeriod if takes_orders => 4,
        CommandKind::ClosePeriod | CommandKind::RecordRun if takes_orders => 3,
        CommandKind::StepPeriod if takes_orders => 10,
        CommandKind::SetAttributes if takes_orders => 8,
        CommandKind::SealPeriod | CommandKind::AddOpening => 5,
        kind if 6 <= kind.since() => 1,
        CommandKind::Register => 52,
        CommandKind::TriggerBonus => 19,
        CommandKind::PayEntry | CommandKind::SetRole | CommandKind::ReverseEntry => 5,
        CommandKind::SetStatus | CommandKind::PutPlan | CommandKind::ImportEntry => 4,
        CommandKind::ChangeEntry => 6,
        CommandKind::PayAll => 1,
        _ => 2,
    }
}

/// A field of a command, as it may be in the network so far.
trait Drawn {
    fn drawn(maker: &mut StepMaker) -> Self;
}

macro_rules! drawn {
    ($($type:ty: |$maker:ident| $value:expr;)+) => {
        $(
            impl Drawn for $type {
                fn drawn($maker: &mut StepMaker) -> Self {
                    $value
                }
            }
        )+
    };
}
drawn! {
    bool: |maker| maker.chance.percent(50);
    // The position of a ledger entry.
    u64: |maker| maker.entry();
    MemberId: |maker| maker.somebody();
    Status: |maker| maker.chance.of_slice(&[
        Status::Active,
        Status::Active,
        Status::Active,
        Status::Inactive,
        Status::Inactive,
        Status::Terminated,
    ]);
    Role: |maker| maker.chance.of_slice(&Role::ALL);
    EntryChange: |maker| maker.chance.of_slice(&EntryChange::ALL);
    Box<str>: |maker| maker.trigger_name();
    Reason: |_maker| Reason::parse("as it fell").expect("a reason");
    Box<Plan>: |maker| Box::new(changed_plan(&mut maker.chance, &maker.plan));
    Register: |maker| maker.register();
    TriggerBonus: |maker| maker.trigger();
    ImportEntry: |maker| maker.import_entry();
    PayFilter: |maker| maker.pay_filter();
    Box<PlaceOrder>: |maker| Box::new(maker.order());
    Box<RefundOrder>: |maker| Box::new(maker.refund());
    OpenPeriod: |maker| maker.next_period();
    PeriodRef: |maker| maker.period();
    Box<StepPeriod>: |maker| Box::new(maker.step_of_period());
    Box<RecordRun>: |maker| Box::new(maker.run());
    Box<SetAttributes>: |maker| Box::new(maker.attributes());
    Box<AddOpening>: |maker| Box::new(maker.add_opening());
    Box<CloseOpening>: |maker| Box::new(maker.close_opening());
    Box<SealPeriod>: |maker| Box::new(maker.seal());
    Box<RecallOrder>: |maker| Box::new(maker.recall());
    ChangeEntry: |maker| ChangeEntry {
        entry: Drawn::drawn(maker),
        change: Drawn::drawn(maker),
        reason: Drawn::drawn(maker),
    };
}

macro_rules! drawn_commands {
    ($(
        $(#[$about:meta])*
        $number:literal $kind:ident $(($content:ident: $type:ty))? $({ $($field:ident: $field_type:ty),+ })?
        of $domain:ident, $name:literal as $printed:literal since $since:literal
        $($(#[$given:meta])* gives $outcome:ident { $($part:ident: $part_type:ty),+ } $(if $sign:ident)?)?;
    )+) => {
        impl StepMaker {
            pub(super) fn drawn(&mut self, kind: CommandKind) -> Command {
                match kind {
                    $(CommandKind::$kind => {
                        $(let $content: $type = Drawn::drawn(self);)?
                        $($(let $field: $field_type = Drawn::drawn(self);)+)?
                        Command::$kind $(($content))? $({ $($field),+ })?
                    })+
                }
            }
        }
    };
}
commands!(drawn_commands);
