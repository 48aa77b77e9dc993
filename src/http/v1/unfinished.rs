//! Pages that took more work than one request may do: kept until their cursor comes back.
//!
//! A cursor names such work by a ticket, along with the position where it began. If the work was dropped, for
//! lack of room or by a restart, it is redone from there: nothing is lost but time.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::http::limits::{UNFINISHED_PAGES_MAX, UNFINISHED_PAGES_OF_ONE_MAX};

/// Unfinished work, newest last.
pub struct Unfinished<T>(Mutex<Kept<T>>);

struct Kept<T> {
    next: u64,
    works: VecDeque<Work<T>>,
}

struct Work<T> {
    ticket: u64,
    /// Its principal and query: no other gets it.
    owner: Box<str>,
    rest: T,
}

impl<T> Default for Unfinished<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { next: 1, works: VecDeque::new() }))
    }
}

impl<T> Unfinished<T> {
    /// Stores work; returns the ticket for it. Older work of the same owner, or of anybody, may be dropped
    /// for it.
    pub fn keep(&self, owner: &str, work: T) -> u64 {
        let mut kept = self.0.lock();
        let ticket = kept.next;
        kept.next += 1;
        if UNFINISHED_PAGES_OF_ONE_MAX <= kept.works.iter().filter(|work| *work.owner == *owner).count()
            && let Some(oldest) = kept.works.iter().position(|work| *work.owner == *owner)
        {
            kept.works.remove(oldest);
        }
        if UNFINISHED_PAGES_MAX <= kept.works.len() {
            kept.works.pop_front();
        }
        kept.works.push_back(Work { ticket, owner: owner.into(), rest: work });
        ticket
    }

    /// Returns work to its owner, once.
    pub fn take(&self, ticket: u64, owner: &str) -> Option<T> {
        let mut kept = self.0.lock();
        let place = kept.works.iter().position(|work| work.ticket == ticket && *work.owner == *owner)?;
        kept.works.remove(place).map(|work| work.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_back_to_its_owner_once_and_never_piles_up() {
        let unfinished = Unfinished::default();
        let first = unfinished.keep("a", 1);
        assert_eq!(unfinished.take(first, "b"), None, "somebody else's");
        assert_eq!((unfinished.take(first, "a"), unfinished.take(first, "a")), (Some(1), None));
        let tickets: Vec<u64> = (0..10).map(|number| unfinished.keep("a", number)).collect();
        let kept: Vec<bool> = tickets.iter().map(|ticket| unfinished.take(*ticket, "a").is_some()).collect();
        assert_eq!(
            kept.iter().rposition(|kept| !kept),
            Some(10 - UNFINISHED_PAGES_OF_ONE_MAX - 1),
            "the last ones of one owner"
        );
        for number in 0..10 * UNFINISHED_PAGES_MAX {
            unfinished.keep(&number.to_string(), number);
        }
        assert_eq!(unfinished.0.lock().works.len(), UNFINISHED_PAGES_MAX);
    }
}
