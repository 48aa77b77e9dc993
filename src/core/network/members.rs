//! Per-member data outside the trees.

use std::ops::Range;

use bytemuck::{Pod, Zeroable};

use crate::core::{
    ledger::once::ONCE_BITS,
    requests::command::{PlacementRequest, Register},
    store::{
        column::{Column, freeze_fields},
        settled::Settled,
        sums::{FreshSum, Sums},
    },
    words::types::{MemberId, MemberIx, NONE, Role, Status, Timestamp},
};

/// Bits of `flags`, as they are on disk (`snapshots/README.md`).
const STATUS_BITS: u32 = 0b11;
const ROLE_SHIFT: u32 = 2;
const ROLE_BITS: u32 = 0b11 << ROLE_SHIFT;
/// The requested placement: 0 the plan's default, 1..=15 the code of a rule, 16 parent and slot named.
const REQUEST_SHIFT: u32 = 4;
const REQUEST_STRATEGIC: u32 = 16;
/// The join time was given, not taken from the log.
const JOINED_AT_GIVEN: u32 = 1 << 9;
/// The role differs from the one at registration, with which a repeated registration is compared.
const ROLE_CHANGED: u32 = 1 << 10;
/// One bit for each of the first trigger kinds: paid with `once`.
const ONCE_SHIFT: u32 = 16;
/// All bits in use.
pub(crate) const FLAG_BITS: u32 = STATUS_BITS
    | ROLE_BITS
    | 0b1_1111 << REQUEST_SHIFT
    | JOINED_AT_GIVEN
    | ROLE_CHANGED
    | 0xffff << ONCE_SHIFT;

/// The requested placement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Requested {
    PlanDefault,
    /// By the rule with this code.
    Rule(u32),
    /// Parent and slot were named.
    Slot,
}

/// Rank columns of a member.
#[derive(Clone, Copy, Pod, Zeroable, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Ranks {
    pub paid_as: u16,
    pub lifetime: u16,
}

/// Members of a chunk whose hashes are summed together, as a power of two. Every other signup changes the
/// rank of an ancestor, anywhere: a smaller chunk leaves less to be hashed again, and a larger one fewer sums
/// to be kept and looked at.
const CHUNK_SHIFT: u32 = if cfg!(test) { 1 } else { 6 };

pub(crate) type MemberSums = Sums<CHUNK_SHIFT>;

pub(crate) struct Members {
    ids: Settled<MemberId>,
    joined_at: Settled<Timestamp>,
    flags: Column<u32>,
    ranks: Column<Ranks>,
    /// Number of the account in the ledger.
    account: Column<u32>,
    /// Of the hashes in the network digest. Status, role and rank are what may change in these, so the
    /// functions that set one mark it.
    sums: MemberSums,
}

freeze_fields!(Members { ids, joined_at, flags, ranks, account, sums });

/// The flags of a new member.
pub(crate) fn flags_of(register: &Register) -> u32 {
    let request = match register.placement {
        PlacementRequest::PlanDefault => 0,
        PlacementRequest::Rule(rule) => rule as u32,
        PlacementRequest::Slot { .. } => REQUEST_STRATEGIC,
    };
    let given = if register.joined_at.is_some() { JOINED_AT_GIVEN } else { 0 };
    register.origin.carried().status as u32
        | (register.role as u32) << ROLE_SHIFT
        | request << REQUEST_SHIFT
        | given
}

impl Members {
    pub fn new() -> Self {
        Self {
            ids: Settled::new(),
            joined_at: Settled::new(),
            flags: Column::new(),
            ranks: Column::new(),
            account: Column::new(),
            sums: Sums::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn push(&mut self, id: MemberId, joined_at: Timestamp, flags: u32, ranks: Ranks) {
        self.sums.mark(self.ids.len());
        self.ids.push(id);
        self.joined_at.push(joined_at);
        self.flags.push(flags);
        self.ranks.push(ranks);
        self.account.push(NONE);
    }

    /// The ids of some members, in their order, in pieces.
    pub fn each_ids(&self, range: Range<usize>, each: impl FnMut(&[MemberId])) {
        self.ids.each_range(range, each);
    }

    pub fn id(&self, member: MemberIx) -> &MemberId {
        self.ids.get(member.at())
    }

    /// Whether this member exists and has this id.
    pub fn is(&self, member: MemberIx, id: &MemberId) -> bool {
        member.at() < self.len() && self.id(member) == id
    }

    pub fn joined_at(&self, member: MemberIx) -> Timestamp {
        *self.joined_at.get(member.at())
    }

    pub fn flags(&self, member: MemberIx) -> u32 {
        *self.flags.get(member.at())
    }

    /// Prefetches what a signup needs of its sponsor. The result is meaningless, see `network::prefetch`.
    pub fn prefetch(&self, member: MemberIx) -> u32 {
        self.flags(member) ^ u32::from(self.id(member).0[0])
    }

    /// Prefetches what an order needs of a member. The result is meaningless, see `network::prefetch`.
    pub fn prefetch_joined(&self, member: MemberIx) -> u32 {
        let Timestamp(time) = self.joined_at(member);
        u32::from(time & 1 == 0) ^ u32::from(self.id(member).0[0])
    }

    /// Prefetches all member data here but the ledger's. The result is meaningless.
    pub fn prefetch_all(&self, member: MemberIx) -> u32 {
        let Timestamp(time) = self.joined_at(member);
        self.prefetch(member) ^ u32::from(self.ranks(member).paid_as) ^ u32::from(time & 1 == 0)
    }

    pub fn status(&self, member: MemberIx) -> Status {
        status_in(self.flags(member)).expect("flags are checked where they enter")
    }

    pub fn role(&self, member: MemberIx) -> Role {
        role_in(self.flags(member)).expect("flags are checked where they enter")
    }

    /// Whether the role differs from the one at registration.
    pub fn role_has_changed(&self, member: MemberIx) -> bool {
        self.flags(member) & ROLE_CHANGED != 0
    }

    /// Whether the registration named the join time.
    pub fn joined_at_given(&self, member: MemberIx) -> bool {
        self.flags(member) & JOINED_AT_GIVEN != 0
    }

    pub fn requested(&self, member: MemberIx) -> Requested {
        match self.flags(member) >> REQUEST_SHIFT & 0b1_1111 {
            0 => Requested::PlanDefault,
            REQUEST_STRATEGIC => Requested::Slot,
            code => Requested::Rule(code),
        }
    }

    pub fn ranks(&self, member: MemberIx) -> Ranks {
        *self.ranks.get(member.at())
    }

    /// The number of its account; `None` if it never received an entry.
    pub fn account(&self, member: MemberIx) -> Option<u32> {
        let account = *self.account.get(member.at());
        (account != NONE).then_some(account)
    }

    pub fn paid_once(&self, member: MemberIx, kind: u16) -> bool {
        debug_assert!(kind < ONCE_BITS);
        self.flags(member) >> ONCE_SHIFT & 1 << kind != 0
    }

    pub fn set_status(&mut self, member: MemberIx, status: Status) {
        self.sums.mark(member.at());
        let flags = self.flags.get_mut(member.at());
        *flags = *flags & !STATUS_BITS | status as u32;
    }

    /// Sets a role that differs from the present one.
    pub fn set_role(&mut self, member: MemberIx, role: Role) {
        debug_assert!(self.role(member) != role);
        self.sums.mark(member.at());
        let flags = self.flags.get_mut(member.at());
        *flags = (*flags & !ROLE_BITS | (role as u32) << ROLE_SHIFT) ^ ROLE_CHANGED;
    }

    /// In no digest of the network.
    pub fn set_paid_once(&mut self, member: MemberIx, kind: u16) {
        debug_assert!(kind < ONCE_BITS);
        *self.flags.get_mut(member.at()) |= 1 << kind << ONCE_SHIFT;
    }

    pub fn set_ranks(&mut self, member: MemberIx, ranks: Ranks) {
        self.sums.mark(member.at());
        *self.ranks.get_mut(member.at()) = ranks;
    }

    /// Raises the lifetime ranks to those of `other`, and to the present ranks. Both have the same members.
    /// The former are in no digest of the network.
    pub fn take_lifetimes(&mut self, other: &Members) {
        for (member, earlier) in other.ranks.iter().enumerate() {
            let ranks = self.ranks.get_mut(member);
            ranks.lifetime = earlier.lifetime.max(ranks.paid_as);
        }
    }

    /// Swaps the columns of ranks. Requires that there is no frozen view. O(chunks of members).
    pub fn swap_ranks(&mut self, other: &mut Members) {
        std::mem::swap(&mut self.ranks, &mut other.ranks);
        self.sums.mark_all();
        other.sums.mark_all();
    }

    pub fn sums(&self) -> &MemberSums {
        &self.sums
    }

    /// Keeps a sum of hashes.
    pub fn keep_sum(&mut self, fresh: &FreshSum) {
        self.sums.keep(fresh);
    }

    pub fn set_account(&mut self, member: MemberIx, account: u32) {
        *self.account.get_mut(member.at()) = account;
    }
}

/// Decodes the status in external flags; `None` for an invalid one.
pub(crate) fn status_in(flags: u32) -> Option<Status> {
    Status::from_repr(u8::try_from(flags & STATUS_BITS).expect("two bits"))
}

const _: () = assert!(Role::ALL.len() == 2, "one bit tells the role at registration from the present one");

/// Decodes the role in external flags; `None` for an invalid one.
pub(crate) fn role_in(flags: u32) -> Option<Role> {
    Role::from_repr(u8::try_from((flags & ROLE_BITS) >> ROLE_SHIFT).expect("two bits"))
}
