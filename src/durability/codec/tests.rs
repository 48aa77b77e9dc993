use proptest::{collection::vec, prelude::*};

use super::{arbitrary, error::PLAN_BYTES_MAX, *};
use crate::core::{
    Actor, ActorKind,
    command::{Command, RequestKey, Stamped, TriggerBonus},
    plan::{
        LevelPay, RankRule, RankStep,
        calendar::{Calendar, Date, Every, Grace, Late, PATTERN_MAX},
        commerce::{
            CALENDARS_MAX, Commerce, MARKETS_MAX, MEMBER_TAGS_MAX, ORDER_KINDS_MAX, ORDER_TAGS_MAX,
            VOLUMES_MAX, Volume, VolumeForm, VolumeOf,
        },
    },
    types::{BasisPoints, LEVELS_MAX, MemberId, Money, Status, Timestamp},
};

fn encode(group: &[Stamped]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_group(group, &mut out).unwrap();
    out
}

fn decode(bytes: &[u8], first: u64, count: u32) -> Result<Vec<Stamped>, DecodeError> {
    let mut out = Vec::new();
    decode_group(bytes, first, count, &mut out)?;
    Ok(out)
}

fn a_group() -> impl Strategy<Value = Vec<Stamped>> {
    vec(arbitrary::stamped(0), 0..6).prop_map(|mut group| {
        group.iter_mut().zip(9..).for_each(|(stamped, lsn)| stamped.lsn = lsn);
        group
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_encoded_is_decoded(group in a_group()) {
        let bytes = encode(&group);
        let count = u32::try_from(group.len()).unwrap();
        prop_assert!(bytes.len() <= group.len() * RECORD_BYTES_MAX);
        for stamped in &group {
            let actor = stamped.actor.as_ref().map_or(0, |actor| 3 + actor.id().len());
            prop_assert!(record_bytes(stamped).unwrap() <= record_bytes_bound(&stamped.command) + actor);
        }
        prop_assert_eq!(
            bytes.len(), group.iter().map(|stamped| record_bytes(stamped).unwrap()).sum::<usize>()
        );
        prop_assert_eq!(decode(&bytes, 9, count).unwrap(), group);
        prop_assert!(decode(&bytes, 9, count + 1).is_err());
        if count != 0 {
            prop_assert!(decode(&bytes, 9, count - 1).is_err());
        }
    }

    #[test]
    fn every_truncation_is_an_error(stamped in arbitrary::stamped(1)) {
        let bytes = encode(&[stamped]);
        for length in 0..bytes.len() {
            prop_assert!(decode(&bytes[..length], 1, 1).is_err(), "{} of {} bytes", length, bytes.len());
        }
    }

    /// Everything that decodes has exactly one form, so changed bytes either do not decode or mean something
    /// else.
    #[test]
    fn changed_bytes_never_panic_and_never_mean_the_same(
        stamped in arbitrary::stamped(1), changes in vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4)
    ) {
        let mut bytes = encode(std::slice::from_ref(&stamped));
        for (index, change) in changes {
            let at = index.index(bytes.len());
            bytes[at] ^= change;
        }
        if let Ok(decoded) = decode(&bytes, 1, 1) {
            prop_assert_eq!(encode(&decoded), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in vec(any::<u8>(), 0..400), count in 0..4_u32, kind in 0..25_u8, version in 1..9_u8
    ) {
        let _ = decode(&bytes, u64::MAX, count);
        // With a plausible header, decoding gets further.
        let mut record = vec![kind, 0, version, 0];
        record.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        record.extend_from_slice(&bytes);
        if let Ok(decoded) = decode(&record, 1, 1) {
            prop_assert_eq!(encode(&decoded), record);
        }
    }

    #[test]
    fn outcomes_come_back(
        outcome in arbitrary::outcome(), other in any::<[u8; OUTCOME_BYTES]>(), at in 0..OUTCOME_BYTES,
        change in 1..=255_u8
    ) {
        let mut bytes = encode_outcome(outcome);
        prop_assert_eq!(decode_outcome(&bytes), Ok(outcome));
        bytes[at] ^= change;
        if let Ok(decoded) = decode_outcome(&bytes) {
            prop_assert!(decoded != outcome);
        }
        if let Ok(decoded) = decode_outcome(&other) {
            prop_assert_eq!(encode_outcome(decoded), other);
        }
    }
}

/// The example of `snapshots/README.md`, byte for byte.
#[test]
fn a_record_has_the_documented_bytes() {
    let stamped = Stamped {
        lsn: 1,
        time: Timestamp(1_700_000_000_000_000),
        key: None,
        actor: Some(Actor::new(ActorKind::Service, "ulk_1")),
        format: Stamped::FORMAT,
        command: Command::SetStatus { member: MemberId(*b"0123456789abcdef"), status: Status::Terminated },
    };
    let time = &[0x00, 0x40, 0x1e, 0x18, 0x24, 0x0a, 0x06, 0x00][..];
    let expected =
        [&[5, 0, 7, 0, 34, 0, 0, 0][..], time, &[0], b"\x02\x05\x00ulk_1", b"0123456789abcdef", &[2]];
    assert_eq!(encode(std::slice::from_ref(&stamped)), expected.concat());
    // As in formats 3 to 6.
    for format in [3, 4, 5, 6] {
        let head = [5, 0, format, 0, 34, 0, 0, 0];
        let expected = [&head[..], time, &[0], b"\x02\x05\x00ulk_1", b"0123456789abcdef", &[2]];
        assert_eq!(encode(&[Stamped { format: format.into(), ..stamped.clone() }]), expected.concat());
    }
    // As in formats 1 and 2.
    let expected = [&[5, 0, 1, 0, 26, 0, 0, 0][..], time, &[0], b"0123456789abcdef", &[2]];
    assert_eq!(encode(&[Stamped { actor: None, ..stamped }]), expected.concat());
}

/// The offset that a refusal to start reports.
#[test]
fn an_error_names_the_byte_that_is_wrong() {
    let command =
        || Command::SetStatus { member: MemberId(*b"0123456789abcdef"), status: Status::Terminated };
    let group: Vec<Stamped> = (1..=3)
        .map(|lsn| Stamped { lsn, time: Timestamp(1), key: None, actor: None, format: 1, command: command() })
        .collect();
    let bytes = encode(&group);
    let record = bytes.len() / 3;
    for number in 0..3 {
        // The status, which is the last byte.
        let at = record * (number + 1) - 1;
        let mut wrong = bytes.clone();
        wrong[at] = 9;
        assert_eq!(decode(&wrong, 1, 3).unwrap_err().offset, at, "record {number}");
    }
    assert_eq!(
        decode(&bytes[..record + 10], 1, 3).unwrap_err().offset,
        record + 8,
        "behind the head of the second, whose body is cut off"
    );
}

/// As much as can be said about orders, with names that are alike.
fn greatest_commerce(long: &str) -> Commerce {
    let date = Date { year: 2026, month: 1, day: 1 };
    let calendar = Calendar {
        name: long.into(),
        every: Every::Periods { of: 0, pattern: vec![1; PATTERN_MAX] },
        timezone: long.into(),
        grace: Grace::default(),
        late: Late::Book,
        first: Some(date),
        four_eyes: true,
    };
    let form = VolumeForm::Percent { of: VolumeOf::Volume(0), rate: BasisPoints(1) };
    let volume = Volume { name: long.into(), exponent: 2, form, live: true };
    Commerce {
        calendars: vec![calendar; CALENDARS_MAX],
        volumes: vec![volume; VOLUMES_MAX],
        order_kinds: vec![long.into(); ORDER_KINDS_MAX],
        order_tags: vec![long.into(); ORDER_TAGS_MAX],
        markets: vec![long.into(); MARKETS_MAX],
        member_tags: vec![long.into(); MEMBER_TAGS_MAX],
        ..Commerce::default()
    }
}

#[test]
fn the_greatest_record_is_within_its_bound() {
    let mut plan = crate::durability::test_data::plan();
    let long: Box<str> = "x".repeat(crate::core::plan::NAME_BYTES_MAX).into();
    plan.name = long.clone();
    plan.ranks = RankRule::LevelFill { tree: crate::core::types::Tree::Sponsor, steps: Vec::new() };
    if let RankRule::LevelFill { steps, .. } = &mut plan.ranks {
        *steps = vec![
            RankStep { name: long.clone(), minimum: 1, reward: Some(Money(1)) };
            crate::core::plan::RANKS_MAX
        ];
    }
    plan.bonuses[0].trigger = long.clone();
    plan.bonuses[0].pay = LevelPay::Fixed(vec![Money(1); LEVELS_MAX]);
    plan.bonuses = vec![plan.bonuses[0].clone(); crate::core::plan::TRIGGERS_MAX];
    let stamped = |command| Stamped {
        lsn: 1,
        time: Timestamp(0),
        key: Some(RequestKey { key: [1; 16], fingerprint: 1 }),
        actor: None,
        format: 1,
        command,
    };
    let bytes = record_bytes(&stamped(Command::PutPlan(Box::new(plan.clone())))).unwrap();
    assert!((6_000..=PLAN_BYTES_MAX).contains(&bytes), "{bytes}");
    // With orders.
    plan.commerce = greatest_commerce(&long);
    let command = Command::PutPlan(Box::new(plan));
    let whole =
        Stamped { actor: Some(Actor::new(ActorKind::Service, "x")), format: 6, ..stamped(command.clone()) };
    let bytes = record_bytes(&whole).unwrap();
    assert!((36_000..=RECORD_BYTES_MAX).contains(&bytes), "{bytes}");
    assert!((bytes..=RECORD_BYTES_MAX).contains(&record_bytes_bound(&command)), "{bytes}");
    assert_eq!(record_bytes(&Stamped { format: 5, ..whole }), Err(EncodeError::NotBefore(6)));
    let trigger = |length: usize| {
        let trigger = "x".repeat(length).into();
        stamped(Command::TriggerBonus(TriggerBonus {
            source: MemberId([0; 16]),
            trigger,
            amount: None,
            once: false,
            reference: None,
        }))
    };
    assert!(record_bytes(&trigger(TEXT_BYTES_MAX)).unwrap() <= RECORD_BYTES_MAX);
    assert_eq!(record_bytes(&trigger(TEXT_BYTES_MAX + 1)), Err(EncodeError::TextTooLong(TEXT_BYTES_MAX + 1)));
}

#[test]
fn a_plan_that_breaks_a_rule_is_not_decoded() {
    let mut plan = crate::durability::test_data::plan();
    plan.level_cap = 99;
    let mut bytes = Vec::new();
    encode_plan(&plan, PlanForm::Whole, &mut bytes).unwrap();
    let error = decode_plan(&mut Reader::new(&bytes), PlanForm::Whole).unwrap_err();
    assert_eq!(error.reason, "a plan that breaks a rule of plans");
}
