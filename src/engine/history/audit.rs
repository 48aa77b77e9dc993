//! The audit: the log read backwards, in bounded pieces, filtered by actor.

use std::collections::VecDeque;

use super::{effort::Effort, error::HistoryError, explain::scan, feed::Fate};
use crate::{
    core::{Actor, ActorKind, command::Stamped, types::Timestamp},
    durability::Error as DurabilityError,
    engine::{limits::AUDIT_SCAN_COMMANDS, shared::Shared},
};

/// Which commands match; a field that is `None` matches all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AuditFilter {
    /// Kind of the actor.
    pub actor_kind: Option<ActorKind>,
    /// Id of the actor.
    pub actor_id: Option<String>,
    /// Kind of the command, one of [`crate::core::command::CommandKind::printed_names`].
    pub command_kind: Option<&'static str>,
    /// Log time of the command, at least.
    pub from: Option<Timestamp>,
    /// Log time of the command, less than this.
    pub to: Option<Timestamp>,
}

impl AuditFilter {
    fn takes(&self, stamped: &Stamped) -> bool {
        let actor = stamped.actor.as_ref();
        let kind = actor.map_or(ActorKind::Unknown, Actor::kind);
        self.actor_kind.is_none_or(|wanted| wanted == kind)
            && self.actor_id.as_ref().is_none_or(|wanted| actor.is_some_and(|actor| actor.id() == wanted))
            && self.command_kind.is_none_or(|wanted| wanted == stamped.command.kind().printed())
            && self.from.is_none_or(|from| from <= stamped.time)
            && self.to.is_none_or(|to| stamped.time < to)
    }
}

/// One page of the audit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct AuditPage {
    /// Newest first, each with its effect.
    pub commands: Vec<(Stamped, Fate)>,
    /// Where the next page begins: at the newest command below this LSN. `None` at the end.
    pub below: Option<u64>,
}

/// See `Engine::audit`.
pub(in super::super) fn audit(
    shared: &Shared,
    filter: &AuditFilter,
    below: Option<u64>,
    most: usize,
    effort: &mut Effort,
) -> Result<AuditPage, HistoryError> {
    let log = &shared.history.log;
    let oldest = log.oldest_lsn();
    // Commands before the first that can match are not read.
    let first_wanted = match filter.from.and_then(|from| from.0.checked_sub(1)) {
        None => 1,
        Some(before) => match log.lsn_at(Timestamp(before)) {
            Ok(lsn) => lsn + 1,
            Err(DurabilityError::BelowRetained { .. }) => 1,
            Err(error) => return Err(shared.history.unreadable(error.into())),
        },
    };
    let mut last = shared.marks.applied();
    if let Some(below) = below {
        last = last.min(below.saturating_sub(1));
    } else if let Some(to) = filter.to.and_then(|to| to.0.checked_sub(1)) {
        last = match log.lsn_at(Timestamp(to)) {
            Ok(lsn) => last.min(lsn),
            Err(DurabilityError::BelowRetained { .. }) => 0,
            Err(error) => return Err(shared.history.unreadable(error.into())),
        };
        if last < oldest && !log.is_whole() {
            return Err(HistoryError::BelowRetained { oldest });
        }
    }
    if last < first_wanted {
        return Ok(AuditPage::default());
    }
    if last < oldest {
        // The first log of a directory begins with its first command: there was nothing before.
        return if log.is_whole() {
            Ok(AuditPage::default())
        } else {
            Err(HistoryError::BelowRetained { oldest })
        };
    }
    let first = oldest.max(first_wanted).max((last + 1).saturating_sub(AUDIT_SCAN_COMMANDS));
    let mut kept = VecDeque::with_capacity(most.min(1_024));
    let mut is_full = false;
    scan(shared, first, last, effort, |stamped| {
        if filter.takes(stamped) {
            if kept.len() == most {
                is_full = true;
                kept.pop_front();
            }
            kept.push_back(stamped.clone());
        }
        true
    })?;
    let next = if is_full { kept.front().map_or(first, |stamped| stamped.lsn) } else { first };
    let is_end = !is_full && (next <= first_wanted || next == oldest && log.is_whole());
    let commands = shared.read(|state, _| {
        let fated = kept.into_iter().rev().map(|stamped| {
            let fate = Fate::of(state, stamped.lsn);
            (stamped, fate)
        });
        fated.collect()
    });
    Ok(AuditPage { commands, below: (!is_end).then_some(next) })
}
