//! What commands about members contain.

use crate::core::{
    plan::PlacementRule,
    words::types::{Code, MemberId, Role, Status, Timestamp},
};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    pub member: MemberId,
    pub sponsor: SponsorRef,
    pub placement: PlacementRequest,
    /// The member's own referral code; one is generated when absent.
    pub code: Option<Code>,
    pub role: Role,
    /// When the member joined, if not now.
    pub joined_at: Option<Timestamp>,
    pub origin: Origin,
}

/// The rules for codes in a registration. A log is replayed under those of the release that wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CodeRules {
    /// Before format 3 a sponsor's code had to match exactly except for case, and a chosen code was free if
    /// no member had exactly that one.
    Exact,
    /// Codes are looked up as people write them ([`crate::core::state::parts::State::look_up_code`]), and a
    /// chosen code must not be similar to another (an imported one only not equal), nor read as a UUID.
    Alike,
}

/// How the sponsor was named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SponsorRef {
    /// A new root.
    None,
    Member(MemberId),
    Code(Code),
}

/// The requested position of the new member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlacementRequest {
    /// By the plan's default rule, starting at the sponsor.
    PlanDefault,
    /// By another rule that the plan allows.
    Rule(PlacementRule),
    /// "Strategic": exactly there, or not at all. The parent must be the sponsor or in the sponsor's
    /// placement subtree.
    Slot { parent: MemberId, slot: u32 },
}

/// Whether the signup happens now or was imported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// 0: pays registration bonuses and rank rewards.
    Signup,
    /// 1: pays nothing; earlier payments are imported as `ImportEntry`.
    Import(Carried),
}

/// History carried over with an imported member, which cannot be computed.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Its row id in the old system, by which other systems know it.
    pub row_id: Option<[u8; 16]>,
    /// The highest rank it ever had, by ordinal; 0 if its position here already implies it.
    pub lifetime_rank: u16,
    /// Round robin: the slot its next spill goes to.
    pub turn: u16,
    /// Its status in the old system.
    pub status: Status,
    /// Its sponsor was imported too, with its present status: it recruited while it was active, so its status
    /// is not checked.
    pub sponsor_too: bool,
}

impl Origin {
    /// The carried history.
    pub fn carried(&self) -> Carried {
        match self {
            Origin::Import(carried) => *carried,
            Origin::Signup => Carried::default(),
        }
    }
}
