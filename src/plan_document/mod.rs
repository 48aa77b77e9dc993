//! The plan as a document: one set of names and one unit for plan files, `/v1`, the change feed and
//! `upline inspect`.

mod dates;
mod decimal;
mod document;
mod faults;
mod former;
mod named;
mod node;
mod orders;
mod reader;

pub use self::decimal::print_percent;
pub use self::{
    document::{PlanDocument, RuleName, TreeName, TriggerDocument},
    faults::Fault,
    former::{former_key, former_path, renewed},
    node::Node,
    reader::{Format, read},
};
