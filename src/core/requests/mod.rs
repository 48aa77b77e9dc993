//! Commands, their outcomes, and the record of past ones, which is one part of the state: [`part::Requests`].

pub(in crate::core) mod attributes;
pub(in crate::core) mod bonuses;
pub mod command;
pub(in crate::core) mod keys;
pub(in crate::core) mod lists;
pub(in crate::core) mod members;
pub(in crate::core) mod opening;
pub(in crate::core) mod orders;
pub(in crate::core) mod outcome;
pub(in crate::core) mod part;
pub(in crate::core) mod rules;
pub(in crate::core) mod seals;
pub(in crate::core) mod unchanged;
