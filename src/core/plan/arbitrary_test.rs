//! Random sayings of plans about orders, valid in a plan that counts the sponsor tree.

use proptest::{
    collection::{btree_set, vec},
    option,
    prelude::*,
    sample::select,
};
use strum::VariantArray;

use crate::core::{
    plan::{
        calendar::{
            Calendar, Date, Every, GRACE_HOURS_MAX, Grace, Late, PATTERN_MAX, PERIOD_DAYS_MAX,
            PERIODS_TOGETHER_MAX, Weekday, YEARS,
        },
        commerce::{
            AMOUNT, CALENDARS_MAX, Commerce, Rounding, VOLUME_EXPONENT_MAX, VOLUME_RATE_MAX, VOLUMES_MAX,
            Volume, VolumeForm, VolumeOf,
        },
        rules::Errors,
    },
    words::types::{BasisPoints, LEVELS_MAX},
};

/// Half of them say nothing.
pub(crate) fn commerce() -> impl Strategy<Value = Commerce> {
    let attributes = (names(5), any::<bool>(), names(5)).prop_map(|(markets, has_owners, member_tags)| {
        Commerce { markets, has_owners, member_tags, ..Commerce::default() }
    });
    let levels = 1..=u8::try_from(LEVELS_MAX).expect("15");
    let orders = (calendars(), volumes(), levels, names(5), names(5), attributes.clone());
    let answers = (any::<bool>(), any::<bool>(), select(Rounding::VARIANTS));
    let whole = (orders, answers).prop_map(
        |((calendars, volumes, live_levels, order_kinds, order_tags, attributes), answers)| {
            let (amount_live, refund_lowers_volume, rounding) = answers;
            Commerce {
                calendars,
                volumes,
                amount_live,
                live_levels,
                order_kinds,
                order_tags,
                rounding,
                refund_lowers_volume: Some(refund_lowers_volume),
                ..attributes
            }
        },
    );
    prop_oneof![2 => Just(Commerce::default()), 1 => attributes, 3 => whole]
}

fn names(most: usize) -> impl Strategy<Value = Vec<Box<str>>> + Clone {
    let names = btree_set("[a-z0-9_-]{1,12}", 0..=most);
    names.prop_map(|names| names.into_iter().map(Into::into).collect::<Vec<Box<str>>>()).prop_shuffle()
}

fn date() -> impl Strategy<Value = Date> {
    (YEARS, 1..=12_u8, 1..=28_u8).prop_map(|(year, month, day)| Date { year, month, day })
}

/// How long periods are; of another calendar, of one before it.
fn every() -> impl Strategy<Value = Every> {
    let pattern = vec(1..=PERIODS_TOGETHER_MAX, 1..=PATTERN_MAX);
    prop_oneof![
        Just(Every::Day),
        select(Weekday::VARIANTS).prop_map(|begins| Every::Week { begins }),
        Just(Every::HalfMonth),
        Just(Every::Month),
        Just(Every::Quarter),
        (1..=12_u8).prop_map(|from_month| Every::Year { from_month }),
        (1..=PERIOD_DAYS_MAX, date()).prop_map(|(count, anchor)| Every::Days { count, anchor }),
        (any::<u8>(), pattern).prop_map(|(of, pattern)| Every::Periods { of, pattern }),
    ]
}

fn calendars() -> impl Strategy<Value = Vec<Calendar>> {
    let zone = select(&["UTC", "America/Denver", "Asia/Kolkata", "Etc/GMT+5"][..]);
    let grace = (0..=PERIOD_DAYS_MAX, 0..=GRACE_HOURS_MAX).prop_map(|(days, hours)| Grace { days, hours });
    let rest = (every(), zone, grace, select(Late::VARIANTS), option::of(date()), any::<bool>());
    let named = names(CALENDARS_MAX).prop_filter("a calendar", |names| !names.is_empty());
    (named, vec(rest, CALENDARS_MAX)).prop_map(|(names, rest)| {
        let mut calendars: Vec<Calendar> = Vec::new();
        for (name, (every, zone, grace, late, first, four_eyes)) in names.into_iter().zip(rest) {
            let plain = Calendar { name, every, timezone: zone.into(), grace, late, first, four_eyes };
            let position = u8::try_from(calendars.len()).expect("8 at most");
            calendars.push(match (&plain.every, position) {
                (Every::Periods { .. }, 0) => Calendar { every: Every::Month, ..plain },
                (Every::Periods { of, pattern }, _) => {
                    let of = of % position;
                    let every = Every::Periods { of, pattern: pattern.clone() };
                    let timezone = calendars[usize::from(of)].timezone.clone();
                    Calendar { every, timezone, first: None, ..plain }
                }
                _ => plain,
            });
        }
        calendars
    })
}

fn volumes() -> impl Strategy<Value = Vec<Volume>> {
    let percent = option::of((any::<u8>(), 1..=VOLUME_RATE_MAX.0));
    let rest = (0..=VOLUME_EXPONENT_MAX, percent, any::<bool>());
    let named = names(VOLUMES_MAX).prop_filter("a name", |names| names.iter().all(|name| &**name != AMOUNT));
    (named, vec(rest, VOLUMES_MAX)).prop_map(|(names, rest)| {
        let mut volumes = Vec::new();
        for (name, (exponent, percent, live)) in names.into_iter().zip(rest) {
            let position = u8::try_from(volumes.len()).expect("8 at most");
            let of = |of: u8| match of % (position + 1) {
                0 => VolumeOf::Amount,
                of => VolumeOf::Volume(of - 1),
            };
            let form = percent.map_or(VolumeForm::Given, |(other, rate)| VolumeForm::Percent {
                of: of(other),
                rate: BasisPoints(rate),
            });
            volumes.push(Volume { name, exponent, form, live });
        }
        volumes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn they_are_valid_and_continue_themselves(commerce in commerce()) {
        let mut errors = Errors(Vec::new());
        commerce.validate(true, &mut errors);
        prop_assert_eq!(errors.0, []);
        prop_assert_eq!(commerce.continues(&commerce), Ok(()));
        prop_assert_eq!(commerce.continues(&Commerce::default()), Ok(()));
    }
}
