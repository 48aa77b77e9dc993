//! Rules about a command by itself, whatever the network.

use super::command::{Rejection, TriggerBonus};
use crate::core::words::row_ids::RowIds;

/// Triggers that happen once per member: a member is referred once, and buys often.
const PAID_ONCE: &str = "referral";

impl TriggerBonus {
    /// Whether a repeat of this trigger is refused unless the client says otherwise: the value of `once`
    /// where it names none.
    pub fn is_once_by_default(trigger: &str) -> bool {
        trigger == PAID_ONCE
    }
}

/// Judges the id that an imported row carries: one that this instance computes for a row of its own, now or
/// later, cannot be imported.
///
/// # Errors
/// `RowIdTaken`.
pub fn judge_carried_id(row_ids: &RowIds, id: Option<[u8; 16]>) -> Result<(), Rejection> {
    if id.is_some_and(|id| row_ids.decode(id).is_some()) { Err(Rejection::RowIdTaken) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RowKind;

    #[test]
    fn a_referral_pays_once_and_everything_else_again() {
        for (trigger, is_once) in [("referral", true), ("Referral", false), ("purchase", false), ("", false)]
        {
            assert_eq!(TriggerBonus::is_once_by_default(trigger), is_once, "{trigger}");
        }
    }

    #[test]
    fn ids_of_our_own_rows_are_not_imported() {
        let (ours, others) = (RowIds::new(1), RowIds::new(2));
        for kind in RowKind::ALL {
            let id = ours.encode(kind, 7);
            assert_eq!(judge_carried_id(&ours, Some(id)), Err(Rejection::RowIdTaken));
            assert_eq!(judge_carried_id(&others, Some(id)), Ok(()));
        }
        assert_eq!(judge_carried_id(&ours, None), Ok(()));
    }
}
