//! The drop-in's answers when there is no result: one place for rules, engine and content.

use axum::http::StatusCode;

use super::body::Refusal;
use crate::{
    engine::{Rejection, SubmitError},
    http::{
        limits::{RETRY_AFTER_RESTART_SECONDS, RETRY_SOON_SECONDS},
        reply::{self, Refused, Reply},
        route_table::Operation,
    },
};

pub fn not_found() -> Reply {
    reply::detail(StatusCode::NOT_FOUND, "Not Found")
}

/// The answer to unreadable content.
pub fn refused(refusal: Refusal) -> Refused {
    match refusal {
        Refusal::Unparsable => reply::detail(StatusCode::BAD_REQUEST, "There was an error parsing the body"),
        Refusal::Invalid(items) => reply::json(StatusCode::UNPROCESSABLE_ENTITY, items.into_json()),
    }
    .into()
}

/// A rule rejected it. The first rows are the original's own; it has no words for the others, which its plans
/// cannot run into.
pub fn rejected(operation: Operation, rejection: Rejection) -> Refused {
    let (status, detail) = status_and_detail(operation, rejection);
    reply::detail(status, detail).into()
}

pub(super) fn status_and_detail(operation: Operation, rejection: Rejection) -> (StatusCode, &'static str) {
    match rejection {
        Rejection::MemberExists if operation == Operation::RootUser => {
            (StatusCode::BAD_REQUEST, "Root user already exists in MLM tree")
        }
        Rejection::MemberExists => (StatusCode::BAD_REQUEST, "User already exists in MLM tree"),
        Rejection::SponsorUnknown => (StatusCode::NOT_FOUND, "Root user not found"),
        Rejection::MemberUnknown => (StatusCode::NOT_FOUND, "Source user not found"),
        Rejection::EntryUnknown => (StatusCode::NOT_FOUND, "Bonus not found"),
        Rejection::ParentUnknown => (StatusCode::NOT_FOUND, "Parent user not found"),
        Rejection::KeyReused => {
            (StatusCode::UNPROCESSABLE_ENTITY, "Idempotency-Key was used for another request before")
        }
        Rejection::SponsorNotActive => (StatusCode::CONFLICT, "Root user is not active"),
        Rejection::ParentOutsideSponsorSubtree => {
            (StatusCode::CONFLICT, "Parent user is not below the sponsor")
        }
        Rejection::SlotTaken => (StatusCode::CONFLICT, "The slot is taken"),
        Rejection::SlotOutOfRange => (StatusCode::CONFLICT, "There is no such slot"),
        Rejection::RuleNotAllowed => (StatusCode::CONFLICT, "The plan does not allow this placement rule"),
        Rejection::StrategicNotAllowed => (StatusCode::CONFLICT, "The plan does not allow choosing a slot"),
        Rejection::RootWithPlacement => (StatusCode::CONFLICT, "A root has no place to choose"),
        Rejection::RowIdTaken => (StatusCode::CONFLICT, "Another row has this id"),
        Rejection::RankUnknown => (StatusCode::CONFLICT, "The plan has no such rank"),
        Rejection::TurnUnknown => (StatusCode::CONFLICT, "The plan has no such turn"),
        Rejection::CodeTaken => (StatusCode::CONFLICT, "The referral code is taken"),
        Rejection::CodeAmbiguous => (StatusCode::CONFLICT, "Several referral codes are like this one"),
        Rejection::CodeReadsAsId => {
            (StatusCode::UNPROCESSABLE_ENTITY, "A referral code cannot read as a UUID")
        }
        Rejection::ReversedBefore => (StatusCode::CONFLICT, "This bonus was reversed before"),
        Rejection::EntryIsReversal => (StatusCode::CONFLICT, "A reversal cannot be reversed"),
        Rejection::EntryChangeNotAllowed => (StatusCode::CONFLICT, "This bonus is held or void"),
        Rejection::ReversalUnmatched => {
            (StatusCode::CONFLICT, "The amount is negative and takes no bonus back")
        }
        Rejection::AdminsFull => (StatusCode::CONFLICT, "There are as many admins as a network can have"),
        Rejection::StatusChangeNotAllowed => {
            (StatusCode::CONFLICT, "This status cannot follow the present one")
        }
        Rejection::TriggerUnknown => (StatusCode::CONFLICT, "The plan has no bonus for this trigger"),
        Rejection::AmountMissing => (
            StatusCode::CONFLICT,
            "The plan takes this bonus from an amount, which this route does not carry",
        ),
        Rejection::AmountOutOfRange => (StatusCode::CONFLICT, "The amount is too large"),
        Rejection::TriggeredBefore => (StatusCode::CONFLICT, "This bonus was paid before"),
        Rejection::PlanPlacementFixed
        | Rejection::PlanCurrencyFixed
        | Rejection::PlanRanksRemoved
        | Rejection::PlanNamesRemoved
        | Rejection::PlanKindsFull
        | Rejection::PlanUnchanged => (StatusCode::CONFLICT, "The plan cannot be changed in this way"),
        // No route here places an order, sets an attribute, or brings an opening state.
        Rejection::OrdersNotTaken
        | Rejection::OrderIdTaken
        | Rejection::OrderMalformed
        | Rejection::OrderKindUnknown
        | Rejection::OrderTagUnknown
        | Rejection::MarketUnknown
        | Rejection::CustomerOfAnother
        | Rejection::BeforeOpening
        | Rejection::OrderLate
        | Rejection::PeriodNotOpen
        | Rejection::VolumesFull
        | Rejection::OrdersFull
        | Rejection::RefundsFull
        | Rejection::PeriodsFull
        | Rejection::SealStale
        | Rejection::RecallMismatched
        | Rejection::OrderUnknown
        | Rejection::OrderLineUnknown
        | Rejection::RefundTooLarge
        | Rejection::CalendarUnknown
        | Rejection::PeriodUnknown
        | Rejection::PeriodMismatched
        | Rejection::PeriodNotOver
        | Rejection::PeriodOutOfOrder
        | Rejection::PeriodStepNotAllowed
        | Rejection::ApproverIsRunner
        | Rejection::RunMismatched
        | Rejection::AttributeUnknown
        | Rejection::AttributeMalformed
        | Rejection::OwnerUnknown
        | Rejection::AttributePeriodLocked
        | Rejection::OpeningClosed
        | Rejection::OpeningTooLate
        | Rejection::OpeningMalformed
        | Rejection::OpeningOutOfOrder
        | Rejection::OpeningMismatched
        | Rejection::OpeningUnfinished
        | Rejection::OpeningFull
        | Rejection::AttributesFull => (StatusCode::CONFLICT, "The plan does not allow it"),
        Rejection::NetworkFull => (StatusCode::INSUFFICIENT_STORAGE, "The network is full"),
        Rejection::LedgerFull => (StatusCode::INSUFFICIENT_STORAGE, "The ledger is full"),
    }
}

/// The answer when there is no outcome.
pub fn not_submitted(error: SubmitError) -> Refused {
    match error {
        SubmitError::Overloaded => reply::unavailable(
            "Overloaded: too many writes are waiting, nothing was done",
            RETRY_SOON_SECONDS,
        ),
        SubmitError::Stopping => reply::unavailable("Stopping: nothing was done", RETRY_SOON_SECONDS),
        SubmitError::ReadOnly => reply::unavailable(
            "Read-only: an earlier write to the log failed, nothing was done",
            RETRY_AFTER_RESTART_SECONDS,
        ),
        SubmitError::OutcomeUnknown => reply::unavailable(
            "outcome: unknown. The log failed while it held this write; after a restart it is there or not",
            RETRY_AFTER_RESTART_SECONDS,
        ),
        SubmitError::NoRoom => {
            reply::unavailable("The log has no room at present, nothing was done", RETRY_SOON_SECONDS)
        }
        // No route here places an order.
        SubmitError::SealsUnreadable => reply::unavailable(
            "The files of sealed orders cannot be read, nothing was done",
            RETRY_AFTER_RESTART_SECONDS,
        ),
        SubmitError::ClockJumped => reply::unavailable(
            "The clock of the server jumped, nothing was done",
            RETRY_AFTER_RESTART_SECONDS,
        ),
        SubmitError::TooLarge => {
            reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "The request is larger than the log can take")
        }
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::reply::Reply;

    #[test]
    fn the_original_s_own_errors_keep_their_words() {
        // operation, rejection, status, detail
        let table = [
            (Operation::Register, Rejection::MemberExists, 400, "User already exists in MLM tree"),
            (Operation::RootUser, Rejection::MemberExists, 400, "Root user already exists in MLM tree"),
            (Operation::Register, Rejection::SponsorUnknown, 404, "Root user not found"),
            (Operation::Trigger, Rejection::MemberUnknown, 404, "Source user not found"),
            (Operation::MarkPaid, Rejection::EntryUnknown, 404, "Bonus not found"),
        ];
        for (operation, rejection, status, detail) in table {
            let (got_status, got_detail) = status_and_detail(operation, rejection);
            assert_eq!((got_status.as_u16(), got_detail), (status, detail), "{operation:?} {rejection:?}");
        }
    }

    #[test]
    fn no_rule_is_answered_as_a_failure_of_ours() {
        for rejection in Rejection::ALL {
            let (status, _) = status_and_detail(Operation::Register, rejection);
            let is_full = matches!(rejection, Rejection::NetworkFull | Rejection::LedgerFull);
            assert_eq!(status.is_client_error(), !is_full, "{rejection:?}");
        }
    }

    #[test]
    fn a_write_without_outcome_says_when_to_come_back() {
        let all = [
            SubmitError::Overloaded,
            SubmitError::ReadOnly,
            SubmitError::OutcomeUnknown,
            SubmitError::Stopping,
            SubmitError::NoRoom,
            SubmitError::ClockJumped,
        ];
        for error in all {
            let reply = Reply::from(not_submitted(error));
            assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert!(reply.headers().contains_key("retry-after"), "{error}");
        }
    }
}
