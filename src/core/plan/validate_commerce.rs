//! Checks of what a plan says about orders: every limit, and every rule between fields.

use std::collections::BTreeSet;

use crate::core::{
    plan::{
        calendar::{
            Calendar, Date, Every, GRACE_HOURS_MAX, PATTERN_MAX, PERIOD_DAYS_MAX, PERIODS_TOGETHER_MAX, YEARS,
        },
        commerce::{
            AMOUNT, CALENDARS_MAX, Commerce, MARKETS_MAX, MEMBER_TAGS_MAX, ORDER_KINDS_MAX, ORDER_TAGS_MAX,
            Rounding, VOLUME_EXPONENT_MAX, VOLUME_RATE_MAX, VOLUMES_MAX, Volume, VolumeForm, VolumeOf,
        },
        rules::{Errors, NAME_BYTES_MAX, is_short_name, short_name_rule},
    },
    words::types::{BasisPoints, LEVELS_MAX},
};

/// The question that a plan with calendars must answer, with its two readings.
const REFUND_QUESTION: &str = "is an open question of this plan: does a refund that comes after its order's \
    period was posted lower the volumes of the period in which it comes? `yes`: it does, so a member may \
    miss an activity or a rank there; `no`: they stay as they are, and only money is corrected";

impl Commerce {
    /// Checks every limit and every rule. `counts_sponsors`: whether levels and downlines of the sponsor tree
    /// are counted.
    pub(super) fn validate(&self, counts_sponsors: bool, errors: &mut Errors) {
        errors.require(self.calendars.len() <= CALENDARS_MAX, "calendar", || {
            format!("at most {CALENDARS_MAX} calendars")
        });
        // Further ones are refused as a whole; comparing all of them would take quadratic time.
        for position in 0..self.calendars.len().min(CALENDARS_MAX) {
            self.validate_calendar(position, errors);
        }
        errors.require(self.volumes.len() <= VOLUMES_MAX, "volume", || {
            format!("at most {VOLUMES_MAX} volumes")
        });
        for position in 0..self.volumes.len().min(VOLUMES_MAX) {
            self.validate_volume(position, errors);
        }
        validate_names("orders.kinds", &self.order_kinds, ORDER_KINDS_MAX, errors);
        validate_names("orders.tags", &self.order_tags, ORDER_TAGS_MAX, errors);
        validate_names("attributes.market", &self.markets, MARKETS_MAX, errors);
        validate_names("attributes.tags", &self.member_tags, MEMBER_TAGS_MAX, errors);
        if self.takes_orders() {
            errors.require((1..=LEVELS_MAX).contains(&usize::from(self.live_levels)), "live_levels", || {
                format!("must be between 1 and {LEVELS_MAX}")
            });
            errors.require(!self.has_live() || counts_sponsors, "count_sponsor_tree", || {
                "live volumes are kept in both trees, and the sponsor tree is not counted: set this to true, \
                 or `live = false` for each volume"
                    .into()
            });
            errors.require(self.refund_lowers_volume.is_some(), "answers.refund_lowers_volume", || {
                REFUND_QUESTION.into()
            });
        } else {
            self.validate_without_calendars(errors);
        }
    }

    /// Without calendars there are no orders, and nothing may be said about them.
    fn validate_without_calendars(&self, errors: &mut Errors) {
        let said = [
            ("volume", !self.volumes.is_empty() || self.amount_live),
            ("live_levels", self.live_levels != 0),
            ("orders", !self.order_kinds.is_empty() || !self.order_tags.is_empty()),
            ("rounding", self.rounding != Rounding::default()),
            ("answers.refund_lowers_volume", self.refund_lowers_volume.is_some()),
        ];
        for (field, is_said) in said {
            errors.require(!is_said, field, || {
                "needs a calendar, into whose periods orders are booked: this plan takes no orders".into()
            });
        }
    }

    fn validate_calendar(&self, position: usize, errors: &mut Errors) {
        let (earlier, Calendar { name, every, timezone, grace, late: _, first, four_eyes: _ }) =
            (&self.calendars[..position], &self.calendars[position]);
        let table = format!("calendar.{name}");
        let field = |name: &str| format!("{table}.{name}");
        errors.require(is_short_name(name), &table, short_name_rule);
        let repeated = earlier.iter().any(|earlier| earlier.name == *name);
        errors.require(!repeated, &table, || format!("`{name}` is there twice"));
        let other = match every {
            Every::Day | Every::Week { .. } | Every::HalfMonth | Every::Month | Every::Quarter => None,
            Every::Year { from_month } => {
                errors
                    .require((1..=12).contains(from_month), &field("from_month"), || "is not a month".into());
                None
            }
            Every::Days { count, anchor } => {
                errors.require((1..=PERIOD_DAYS_MAX).contains(count), &field("days"), || {
                    format!("must be between 1 and {PERIOD_DAYS_MAX}")
                });
                errors.require(anchor.exists(), &field("from"), date_rule);
                None
            }
            Every::Periods { of, pattern } => {
                let other = earlier.get(usize::from(*of));
                errors.require(other.is_some(), &field("of"), || {
                    "must be a calendar that stands before this one".into()
                });
                errors.require((1..=PATTERN_MAX).contains(&pattern.len()), &field("periods"), || {
                    format!("must have 1 to {PATTERN_MAX} numbers, which take turns")
                });
                let good = pattern.iter().all(|count| (1..=PERIODS_TOGETHER_MAX).contains(count));
                errors.require(good, &field("periods"), || {
                    format!("each must be between 1 and {PERIODS_TOGETHER_MAX}")
                });
                other
            }
        };
        errors.require(is_zone_name(timezone), &field("timezone"), || {
            "is not the name of a time zone, such as America/Denver".into()
        });
        if let Some(other) = other {
            errors.require(*timezone == other.timezone, &field("timezone"), || {
                format!("must be that of `{}`, {}: leave it out", other.name, other.timezone)
            });
            errors.require(first.is_none(), &field("first"), || {
                format!("the first period is known: it begins with the first one of `{}`", other.name)
            });
        }
        errors.require(
            grace.days <= PERIOD_DAYS_MAX && grace.hours <= GRACE_HOURS_MAX,
            &field("grace"),
            || format!("at most {PERIOD_DAYS_MAX} days and {GRACE_HOURS_MAX} hours"),
        );
        errors.require(first.is_none_or(Date::exists), &field("first"), date_rule);
    }

    fn validate_volume(&self, position: usize, errors: &mut Errors) {
        let (earlier, Volume { name, exponent, form, live: _ }) =
            (&self.volumes[..position], &self.volumes[position]);
        let table = format!("volume.{name}");
        let field = |name: &str| format!("{table}.{name}");
        errors.require(is_short_name(name) && &**name != AMOUNT, &table, || {
            format!("{}, and not `{AMOUNT}`", short_name_rule())
        });
        let repeated = earlier.iter().any(|earlier| earlier.name == *name);
        errors.require(!repeated, &table, || format!("`{name}` is there twice"));
        errors.require(*exponent <= VOLUME_EXPONENT_MAX, &field("exponent"), || {
            format!("must be at most {VOLUME_EXPONENT_MAX}")
        });
        if let VolumeForm::Percent { of, rate } = form {
            let is_before = match of {
                VolumeOf::Amount => true,
                VolumeOf::Volume(of) => usize::from(*of) < position,
            };
            errors.require(is_before, &field("of"), || {
                format!("must be `{AMOUNT}`, or a volume that stands before this one")
            });
            errors.require((BasisPoints(1)..=VOLUME_RATE_MAX).contains(rate), &field("percent"), || {
                format!("must be above 0 and at most {}", VOLUME_RATE_MAX.0 / 100)
            });
        }
    }
}

/// Checks a list of names that requests use.
fn validate_names(field: &str, names: &[Box<str>], most: usize, errors: &mut Errors) {
    errors.require(names.len() <= most, field, || format!("at most {most} names"));
    let mut seen = BTreeSet::new();
    for (position, name) in names.iter().enumerate().take(most) {
        let place = format!("{field}[{position}]");
        errors.require(is_short_name(name), &place, short_name_rule);
        errors.require(seen.insert(name), &place, || format!("`{name}` is there twice"));
    }
}

/// Whether a text has the form of a name of a time zone. Whether there is such a zone is known to those who
/// compute dates.
fn is_zone_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-/".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}

fn date_rule() -> String {
    format!("is not a day of the years {} to {}", YEARS.start(), YEARS.end())
}
