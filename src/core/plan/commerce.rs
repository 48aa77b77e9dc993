//! What a plan says about orders: calendars, volumes, kinds and tags of orders, attributes of members.
//!
//! A network refers to all of these by their position in the plan: orders, bookings and attributes are stored
//! with numbers. So while it has any of them, a new plan may add names at the end of a list, and neither
//! removes, renames nor moves one (`Commerce::continues`).

use strum::{EnumString, FromRepr, IntoStaticStr, VariantArray, VariantNames};

use crate::core::{plan::calendar::Calendar, words::types::BasisPoints};

/// Calendars of a plan. Each order is booked in all of them.
pub const CALENDARS_MAX: usize = 8;
/// Volumes of a plan in addition to the amount.
pub const VOLUMES_MAX: usize = 8;
/// Kinds of orders.
pub const ORDER_KINDS_MAX: usize = 64;
/// Tags of orders: each order has a bit for each.
pub const ORDER_TAGS_MAX: usize = 64;
/// Tags of members.
pub const MEMBER_TAGS_MAX: usize = 64;
/// Markets.
pub const MARKETS_MAX: usize = 256;
/// Decimal digits of a volume.
pub const VOLUME_EXPONENT_MAX: u8 = 8;
/// The largest percentage of a volume that is one: ten times what it is of.
pub const VOLUME_RATE_MAX: BasisPoints = BasisPoints(100_000);
/// The name of the amount of a line where volumes are named.
pub const AMOUNT: &str = "amount";
/// Levels whose volumes are kept live, unless the plan says otherwise.
pub const LIVE_LEVELS: u8 = 7;

/// What a plan says about orders. Empty in a plan without calendars and volumes: such a network takes no
/// orders.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Commerce {
    pub calendars: Vec<Calendar>,
    pub volumes: Vec<Volume>,
    /// Whether the sums of the amount are kept live, as those of [`Volume::live`].
    pub amount_live: bool,
    /// Levels whose volumes are kept live: `1..=LEVELS_MAX`; 0 where there are no calendars.
    pub live_levels: u8,
    /// Kinds of orders: `[a-z0-9_-]{1,64}`. An order names one if there are any.
    pub order_kinds: Vec<Box<str>>,
    /// Tags that an order may have.
    pub order_tags: Vec<Box<str>>,
    /// Values of the attribute `market` of members and orders. Empty: it is not declared.
    pub markets: Vec<Box<str>>,
    /// Whether members have the attribute `owner`.
    pub has_owners: bool,
    /// Tags that a member may have, each from and until a time.
    pub member_tags: Vec<Box<str>>,
    /// How volumes that are a percentage are rounded.
    pub rounding: Rounding,
    /// The answer to the question whether a refund after posting lowers the volume of the open period. Each
    /// plan with calendars has one.
    pub refund_lowers_volume: Option<bool>,
}

/// A volume of orders: a number of points with decimals, for each line of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    /// `[a-z0-9_-]{1,64}`, not `amount`.
    pub name: Box<str>,
    /// Decimal digits. An amount of 1 is stored as 10^exponent.
    pub exponent: u8,
    pub form: VolumeForm,
    /// Sums of it are kept live: own, group, legs and levels of each member.
    pub live: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VolumeForm {
    /// Each line names it; 0 if not.
    Given,
    /// A percentage of the amount, or of a volume that stands before it, rounded once for each line.
    Percent { of: VolumeOf, rate: BasisPoints },
}

/// What the volumes of a line are counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VolumeOf {
    Amount,
    /// The position of a volume.
    Volume(u8),
}

/// How a value between two units is rounded. Codes are on disk.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
#[derive(EnumString, FromRepr, IntoStaticStr, VariantArray, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Rounding {
    /// To the nearest; a half away from zero.
    #[default]
    HalfAway = 0,
    /// To the nearest; a half to the even neighbor.
    HalfEven = 1,
    /// Toward zero.
    Truncate = 2,
}

impl Rounding {
    /// `numerator / denominator`, rounded. `denominator` is positive.
    pub fn divide(self, numerator: i128, denominator: i128) -> i128 {
        let (whole, rest) = (numerator / denominator, numerator % denominator);
        let away = whole + if numerator < 0 { -1 } else { 1 };
        match (self, (rest.abs() * 2).cmp(&denominator)) {
            (Self::Truncate, _) | (_, std::cmp::Ordering::Less) => whole,
            (Self::HalfEven, std::cmp::Ordering::Equal) if whole % 2 == 0 => whole,
            _ => away,
        }
    }
}

impl Commerce {
    /// Whether the plan takes orders.
    pub fn takes_orders(&self) -> bool {
        !self.calendars.is_empty()
    }

    /// Whether the sums of any value are kept live.
    pub fn has_live(&self) -> bool {
        self.amount_live || self.volumes.iter().any(|volume| volume.live)
    }

    /// The position of a calendar.
    pub fn calendar(&self, name: &str) -> Option<usize> {
        self.calendars.iter().position(|calendar| &*calendar.name == name)
    }

    /// The position of a volume.
    pub fn volume(&self, name: &str) -> Option<usize> {
        self.volumes.iter().position(|volume| &*volume.name == name)
    }

    /// Checks that everything that orders, periods and attributes of `present` refer to by its position is
    /// still there and means the same: lists have only grown, volumes have their exponent and form, calendars
    /// their name, and owners are still declared.
    ///
    /// # Errors
    /// The field that does not continue, as in a plan file.
    pub fn continues(&self, present: &Self) -> Result<(), &'static str> {
        fn grew<T>(now: &[T], before: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
            before.len() <= now.len() && now.iter().zip(before).all(|(now, before)| same(now, before))
        }
        let lists = [
            ("orders.kinds", &self.order_kinds, &present.order_kinds),
            ("orders.tags", &self.order_tags, &present.order_tags),
            ("attributes.market", &self.markets, &present.markets),
            ("attributes.tags", &self.member_tags, &present.member_tags),
        ];
        let same_form = |now: &Volume, before: &Volume| {
            (&now.name, now.exponent, now.form) == (&before.name, before.exponent, before.form)
        };
        if !grew(&self.calendars, &present.calendars, |now, before| now.name == before.name) {
            return Err("calendar");
        }
        if !grew(&self.volumes, &present.volumes, same_form) {
            return Err("volume");
        }
        if let Some((field, ..)) =
            lists.into_iter().find(|(_, now, before)| !grew(now, before, |now, before| now == before))
        {
            return Err(field);
        }
        if present.has_owners && !self.has_owners { Err("attributes.owner") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::plan::calendar::{Every, Grace, Late};

    fn commerce() -> Commerce {
        let calendar = |name: &str, every| Calendar {
            name: name.into(),
            every,
            timezone: "UTC".into(),
            grace: Grace::default(),
            late: Late::Book,
            first: None,
            four_eyes: false,
        };
        let volume = |name: &str, form| Volume { name: name.into(), exponent: 2, form, live: false };
        let rate = BasisPoints(7_500);
        Commerce {
            calendars: vec![calendar("month", Every::Month), calendar("day", Every::Day)],
            volumes: vec![
                volume("pv", VolumeForm::Given),
                volume("cv", VolumeForm::Percent { of: VolumeOf::Volume(0), rate }),
            ],
            live_levels: LIVE_LEVELS,
            order_kinds: vec!["retail".into(), "wholesale".into()],
            order_tags: vec!["online".into()],
            markets: vec!["us".into()],
            has_owners: true,
            member_tags: vec!["founder".into()],
            refund_lowers_volume: Some(true),
            ..Commerce::default()
        }
    }

    type Change = fn(&mut Commerce);

    #[test]
    fn a_plan_continues_if_all_that_is_referred_to_stays_where_it_is() {
        let present = commerce();
        // change, the field that does not continue
        let table: [(&str, Change, Option<&str>); 17] = [
            ("nothing", |_| {}, None),
            (
                "a calendar more",
                |plan| plan.calendars.push(Calendar { name: "x".into(), ..plan.calendars[0].clone() }),
                None,
            ),
            ("another length", |plan| plan.calendars[0].every = Every::Quarter, None),
            ("another grace", |plan| plan.calendars[1].grace = Grace { days: 3, hours: 0 }, None),
            ("another answer", |plan| plan.refund_lowers_volume = Some(false), None),
            ("another live volume", |plan| plan.volumes[1].live = true, None),
            ("a kind more", |plan| plan.order_kinds.push("gift".into()), None),
            ("calendars exchanged", |plan| plan.calendars.swap(0, 1), Some("calendar")),
            ("no calendars", |plan| plan.calendars.clear(), Some("calendar")),
            ("a volume less", |plan| _ = plan.volumes.pop(), Some("volume")),
            ("another exponent", |plan| plan.volumes[0].exponent = 3, Some("volume")),
            ("another form", |plan| plan.volumes[1].form = VolumeForm::Given, Some("volume")),
            ("a kind in front", |plan| plan.order_kinds.insert(0, "gift".into()), Some("orders.kinds")),
            ("a tag renamed", |plan| plan.order_tags[0] = "web".into(), Some("orders.tags")),
            ("no markets", |plan| plan.markets.clear(), Some("attributes.market")),
            ("no tags", |plan| plan.member_tags.clear(), Some("attributes.tags")),
            ("no owners", |plan| plan.has_owners = false, Some("attributes.owner")),
        ];
        for (about, change, field) in table {
            let mut plan = commerce();
            change(&mut plan);
            assert_eq!(plan.continues(&present).err(), field, "{about}");
        }
        assert_eq!(present.continues(&Commerce::default()), Ok(()), "everything may be added to nothing");
    }

    #[test]
    fn halves_go_where_the_rounding_says() {
        let table = [
            (Rounding::HalfAway, [3, -3, 2, -2, 1, 0]),
            (Rounding::HalfEven, [2, -2, 2, -2, 1, 0]),
            (Rounding::Truncate, [2, -2, 1, -1, 1, 0]),
        ];
        for (rounding, expected) in table {
            let found = [5, -5, 3, -3, 2, 0].map(|halves| rounding.divide(halves, 2));
            assert_eq!(found, expected.map(i128::from), "{rounding:?}");
        }
    }
}
