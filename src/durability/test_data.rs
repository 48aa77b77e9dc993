//! Commands, plans and images that the tests of this layer share. They need not make sense together: this
//! layer knows no rules.

use crate::core::{
    Breakage, BreakageReason, RowKind, Sum,
    command::{Applied, Command, Outcome, Register, Rejection, RequestKey, SponsorRef, Stamped},
    command::{Origin, PlacementRequest},
    image::{
        CodeRow, EntryRow, ImageHeader, ImageRows, KeyRow, MemberRow, OnceRow, ReferenceRow, ReversalRow,
        RowIdRow, TriggerRow, UnchangedRow,
    },
    plan::{BonusRule, Currency, LevelPay, Placement, PlacementRule, Plan, RankBasis, RankRule, RankStep},
    types::{EntryStatus, MemberId, MemberIx, Money, Role, Timestamp, Tree},
};

pub(crate) fn plan() -> Plan {
    Plan {
        name: "matrix".into(),
        currency: Currency { code: *b"USD", exponent: 2 },
        placement: Placement {
            width: Some(3),
            default_rule: PlacementRule::BreadthFirst,
            other_rules: vec![PlacementRule::Balanced, PlacementRule::PowerLeg],
            strategic: true,
        },
        count_sponsor_tree: true,
        level_cap: 15,
        bonuses: vec![BonusRule {
            trigger: "referral".into(),
            tree: Tree::Placement,
            pay: LevelPay::Fixed(vec![Money(1_000), Money(500), Money(200), Money(100)]),
            on_registration: false,
            admins_beyond: false,
        }],
        ranks: RankRule::Thresholds {
            tree: Tree::Sponsor,
            basis: RankBasis::Direct,
            steps: vec![
                RankStep { name: "Bronze".into(), minimum: 3, reward: None },
                RankStep { name: "Silver".into(), minimum: 10, reward: Some(Money(5_000)) },
            ],
        },
    }
}

/// Returns a signup whose content follows from its LSN.
pub(crate) fn signup(lsn: u64) -> Stamped {
    let mut id = [0x40; 16];
    id[..8].copy_from_slice(&lsn.to_be_bytes());
    Stamped {
        lsn,
        time: Timestamp(1_700_000_000_000_000 + lsn.cast_signed() * 1_000),
        key: lsn.is_multiple_of(3).then_some(RequestKey { key: [7; 16], fingerprint: lsn }),
        actor: None,
        format: 1,
        command: Command::Register(Register {
            member: MemberId(id),
            sponsor: SponsorRef::None,
            placement: PlacementRequest::PlanDefault,
            code: None,
            role: Role::Member,
            joined_at: None,
            origin: Origin::Signup,
        }),
    }
}

/// Returns signups with these LSNs.
pub(crate) fn group(first: u64, count: u64) -> Vec<Stamped> {
    (first..first + count).map(signup).collect()
}

/// Returns the assumed outcome hash before a group.
pub(crate) fn outcome_hash(lsn: u64) -> u64 {
    lsn.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Returns an image at an LSN with this many rows in its sections.
pub(crate) fn image(lsn: u64, members: u32) -> (ImageHeader, Vec<ImageRows>) {
    let header = ImageHeader {
        lsn,
        time: Timestamp(1_700_000_000_000_000 + lsn.cast_signed() * 1_000),
        key_lag: 6,
        outcome_hash: outcome_hash(lsn + 1),
        code_key: 77.into(),
        plan: plan(),
        plan_version: 1,
        kinds: vec!["referral".into(), "rank:1".into()],
        breakage_levels: 3,
        breakage_amount: -4,
        members,
        codes: members / 2,
        triggers: members / 3,
        entries: members,
        keys: members.min(7),
        unchanged: members / 4,
        row_ids: members / 5,
        references: members / 6,
        reversals: members / 7,
        once: members / 8,
        itemized_from: (lsn != 0).then_some(1),
        breakage: Breakage::of_parts([Sum { entries: 3, amount: -(1 << 70) }; BreakageReason::ALL.len()]),
        unchanged_after: lsn / 2,
    };
    let time = |at: u32| Timestamp(i64::from(at) * 13);
    let mut rows = Vec::new();
    let member = |at: u32| MemberRow {
        id: u128::from(at).to_le_bytes(),
        joined_at: time(at),
        sponsor: at.wrapping_sub(1),
        parent: at.wrapping_sub(2),
        slot: at % 3,
        flags: at % 4,
        paid_as: 1,
        lifetime: 2,
        turn: 3,
    };
    let trigger = |at: u32| TriggerRow {
        lsn: u64::from(at),
        time: time(at),
        amount: i64::from(at) - 5,
        source: at,
        first_entry: at,
        plan_version: 1,
        kind: 1,
    };
    let status = |at: u32| if at.is_multiple_of(2) { EntryStatus::Paid } else { EntryStatus::Pending };
    let outcome = |at: u32| {
        if at == 0 {
            Outcome::Rejected(Rejection::SlotTaken)
        } else {
            Outcome::Registered { member: MemberIx(at) }
        }
    };
    let key = |at: u32| KeyRow {
        key: RequestKey { key: [9; 16], fingerprint: u64::from(at) },
        time: time(at),
        applied: Applied { outcome: outcome(at), lsn: u64::from(at) },
    };
    rows.push(ImageRows::Members((0..members).map(member).collect()));
    rows.push(ImageRows::Codes(
        (0..header.codes).map(|at| CodeRow { member: at, code: format!("Code-{at}").into() }).collect(),
    ));
    rows.push(ImageRows::Triggers((0..header.triggers).map(trigger).collect()));
    rows.push(ImageRows::Entries(
        (0..members)
            .map(|at| EntryRow {
                amount: i64::from(at) * 3,
                receiver: at,
                level: at % 15,
                status: status(at),
            })
            .collect(),
    ));
    rows.push(ImageRows::Keys((0..header.keys).map(key).collect()));
    let unchanged =
        |at: u32| UnchangedRow { lsn: u64::from(at) * 2, reason: [0, 1, u16::MAX][at as usize % 3] };
    let row_id =
        |at: u32| RowIdRow { id: [at.to_le_bytes()[0]; 16], kind: RowKind::ALL[at as usize % 2], index: at };
    rows.push(ImageRows::Unchanged((0..header.unchanged).map(unchanged).collect()));
    rows.push(ImageRows::RowIds((0..header.row_ids).map(row_id).collect()));
    let reference = |at: u32| ReferenceRow { trigger: at, text: format!("order {at}").into() };
    rows.push(ImageRows::References((0..header.references).map(reference).collect()));
    rows.push(ImageRows::Reversals(
        (0..header.reversals).map(|at| ReversalRow { entry: at + 1, reverses: at }).collect(),
    ));
    let once = |at: u32| OnceRow { member: at, kind: 16 };
    rows.push(ImageRows::Once((0..header.once).map(once).collect()));
    rows.retain(|rows| !rows.is_empty());
    (header, rows)
}
