//! What a plan document says about orders: calendars, volumes, kinds and tags, attributes, answers.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use strum::{FromRepr, IntoStaticStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Ref, RefOr,
        schema::{ObjectBuilder, Schema},
    },
};

use super::{
    dates::{DateText, print_grace, read_grace},
    decimal::Decimal,
    faults::Faults,
    named::{Named, Word},
};
use crate::{
    core::plan::{
        calendar::{Calendar, Every, Grace, Late, Weekday},
        commerce::{AMOUNT, Commerce, LIVE_LEVELS, Rounding, Volume, VolumeForm, VolumeOf},
    },
    time_text,
};

/// How volumes are rounded.
pub(super) type RoundingName = Word<Rounding>;
type WeekdayName = Word<Weekday>;
type LateName = Word<Late>;

/// The fields of a plan document that say something about orders.
#[derive(Default)]
pub(super) struct OrderFields {
    pub rounding: Option<RoundingName>,
    pub live_levels: Option<u8>,
    pub calendar: Named<CalendarDocument>,
    pub volume: VolumesDocument,
    pub orders: Option<OrdersDocument>,
    pub attributes: Option<AttributesDocument>,
    pub answers: Option<AnswersDocument>,
}

/// A division of time into periods, which orders are booked into.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanCalendar)]
pub(super) struct CalendarDocument {
    /// The length of its periods.
    #[schema(inline)]
    every: EveryName,
    /// Of `week`: the day with which each begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline, default = "monday")]
    begins: Option<WeekdayName>,
    /// Of `year`: the month with which each begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline, default = "january")]
    from_month: Option<MonthName>,
    /// Of `days`: so many each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 400)]
    days: Option<u16>,
    /// Of `days`: a date with which a period begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-01-05")]
    from: Option<DateText>,
    /// Of `periods`: so many of the other calendar's make up one, by turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 12, example = json!([4, 4, 5]))]
    periods: Option<Vec<u16>>,
    /// Of `periods`: the other calendar, which stands before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "week")]
    of: Option<String>,
    /// A name of the IANA time zone database. That of the other calendar for `periods`, and may be left out
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "America/Denver")]
    timezone: Option<String>,
    /// How long after its end a period still takes orders of its time: days, hours, or both.
    #[serde(default = "no_grace")]
    #[schema(max_length = 64, default = "0 days", example = "3 days")]
    grace: String,
    /// What becomes of an order whose period takes no more: booked into the oldest one that does, or refused.
    #[serde(default = "booked")]
    #[schema(inline, default = "book")]
    late: LateName,
    /// A date in the first period. Without one it is the period in which the calendar begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date, example = "2026-07-01")]
    first: Option<DateText>,
    /// `four-eyes`: who approves a run is not who made it.
    #[serde(default)]
    #[schema(inline, default = "one")]
    approval: ApprovalName,
}

fn no_grace() -> String {
    print_grace(Grace::default())
}

fn booked() -> LateName {
    Word(Late::Book)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
enum EveryName {
    Day,
    Week,
    /// From the 1st, and from the 16th of each month.
    HalfMonth,
    Month,
    Quarter,
    Year,
    Days,
    /// So many periods of another calendar.
    Periods,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema, FromRepr)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
enum MonthName {
    January = 1,
    February,
    March,
    April,
    May,
    June,
    July,
    August,
    September,
    October,
    November,
    December,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum ApprovalName {
    #[default]
    One,
    FourEyes,
}

/// The volumes of orders by name, in their order, and what is said about the amount.
#[derive(Clone, Default, Debug)]
pub(super) struct VolumesDocument {
    amount: Option<AmountDocument>,
    named: Vec<(String, VolumeDocument)>,
}

/// The amount of each line of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanAmount)]
struct AmountDocument {
    /// Whether its sums are kept live, as those of a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live: Option<bool>,
}

/// A number of points with decimals, for each line of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanVolume)]
struct VolumeDocument {
    /// Decimal digits.
    #[schema(maximum = 8, example = 2)]
    exponent: u8,
    /// It is a percentage, with up to two decimals, of another volume: rounded once, for each line. Without
    /// it each line names the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 32, example = "80")]
    percent: Option<Decimal>,
    /// Of what: `amount`, or a volume that stands before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "pv")]
    of: Option<String>,
    /// Whether its sums of own orders, group, legs and levels are kept for each member in the open periods.
    /// Where nothing is said of any volume, those of the first are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live: Option<bool>,
}

/// What orders may have.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanOrders)]
pub(super) struct OrdersDocument {
    /// Kinds, of which each order names one. None: orders have no kind.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["retail", "autoship"]))]
    kinds: Vec<String>,
    /// Tags, of which each order may have any.
    #[serde(default)]
    #[schema(max_items = 64)]
    tags: Vec<String>,
}

/// What is known of members besides their places.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanAttributes)]
pub(super) struct AttributesDocument {
    /// Markets of members and orders. None: there is no such attribute.
    #[serde(default)]
    #[schema(max_items = 256, example = json!(["us", "de"]))]
    market: Vec<String>,
    /// Whether several members may have one owner.
    #[serde(default)]
    #[schema(default = false)]
    owner: bool,
    /// Tags that a member may have, each from and until a time.
    #[serde(default)]
    #[schema(max_items = 64, example = json!(["founder"]))]
    tags: Vec<String>,
}

/// Answers to the open questions of the plan: what can be read in two ways.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanAnswers)]
pub(super) struct AnswersDocument {
    /// Whether a refund that comes after its order's period was posted lowers the volumes of the period in
    /// which it comes, so that a member may miss an activity or a rank there. Each plan with calendars
    /// answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    refund_lowers_volume: Option<YesNo>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum YesNo {
    Yes,
    No,
}

impl VolumesDocument {
    pub(super) fn is_empty(&self) -> bool {
        self.amount.is_none() && self.named.is_empty()
    }
}

impl Serialize for VolumesDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(amount) = &self.amount {
            map.serialize_entry(AMOUNT, amount)?;
        }
        for (name, volume) in &self.named {
            map.serialize_entry(name, volume)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for VolumesDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Volumes)
    }
}

struct Volumes;

impl<'de> Visitor<'de> for Volumes {
    type Value = VolumesDocument;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("volumes by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<VolumesDocument, A::Error> {
        let mut volumes = VolumesDocument::default();
        while let Some(name) = entries.next_key::<String>()? {
            if name == AMOUNT {
                volumes.amount = Some(entries.next_value()?);
            } else {
                volumes.named.push((name, entries.next_value()?));
            }
        }
        Ok(volumes)
    }
}

impl PartialSchema for VolumesDocument {
    fn schema() -> RefOr<Schema> {
        let described = |name| Ref::from_schema_name(name);
        ObjectBuilder::new()
            .property(AMOUNT, described("PlanAmount"))
            .additional_properties(Some(described("PlanVolume")))
            .description(Some("Up to 8 volumes by name, in their order, and `amount`"))
            .into()
    }
}

impl ToSchema for VolumesDocument {
    fn name() -> std::borrow::Cow<'static, str> {
        "PlanVolumes".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push(("PlanAmount".into(), AmountDocument::schema()));
        schemas.push(("PlanVolume".into(), VolumeDocument::schema()));
    }
}

/// Calendars by name, for the schema.
pub(super) type CalendarsShown = BTreeMap<String, CalendarDocument>;

// --- from the plan

impl OrderFields {
    /// Returns the fields of the canonical document: all of them where the plan takes orders.
    pub(super) fn new(commerce: &Commerce) -> Self {
        let names = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect::<Vec<String>>();
        let has_attributes =
            commerce.has_owners || !commerce.markets.is_empty() || !commerce.member_tags.is_empty();
        let attributes = (has_attributes || commerce.takes_orders()).then(|| AttributesDocument {
            market: names(&commerce.markets),
            owner: commerce.has_owners,
            tags: names(&commerce.member_tags),
        });
        if !commerce.takes_orders() {
            return Self { attributes, ..Self::default() };
        }
        let calendar = |calendar: &Calendar| {
            (calendar.name.to_string(), CalendarDocument::new(calendar, &commerce.calendars))
        };
        let volume =
            |volume: &Volume| (volume.name.to_string(), VolumeDocument::new(volume, &commerce.volumes));
        let answer = |answer| if answer { YesNo::Yes } else { YesNo::No };
        Self {
            rounding: Some(Word(commerce.rounding)),
            live_levels: Some(commerce.live_levels),
            calendar: Named(commerce.calendars.iter().map(calendar).collect()),
            volume: VolumesDocument {
                amount: Some(AmountDocument { live: Some(commerce.amount_live) }),
                named: commerce.volumes.iter().map(volume).collect(),
            },
            orders: Some(OrdersDocument {
                kinds: names(&commerce.order_kinds),
                tags: names(&commerce.order_tags),
            }),
            attributes,
            answers: Some(AnswersDocument {
                refund_lowers_volume: commerce.refund_lowers_volume.map(answer),
            }),
        }
    }
}

impl CalendarDocument {
    fn new(calendar: &Calendar, all: &[Calendar]) -> Self {
        let plain = Self {
            every: EveryName::Day,
            begins: None,
            from_month: None,
            days: None,
            from: None,
            periods: None,
            of: None,
            timezone: Some(calendar.timezone.to_string()),
            grace: print_grace(calendar.grace),
            late: Word(calendar.late),
            first: calendar.first.map(DateText::of),
            approval: if calendar.four_eyes { ApprovalName::FourEyes } else { ApprovalName::One },
        };
        let every = match &calendar.every {
            Every::Day => return plain,
            Every::Week { begins } => {
                return Self { every: EveryName::Week, begins: Some(Word(*begins)), ..plain };
            }
            Every::Year { from_month } => {
                return Self {
                    every: EveryName::Year,
                    from_month: MonthName::from_repr(*from_month),
                    ..plain
                };
            }
            Every::Days { count, anchor } => {
                let (days, from) = (Some(*count), Some(DateText::of(*anchor)));
                return Self { every: EveryName::Days, days, from, ..plain };
            }
            Every::Periods { of, pattern } => {
                let of = all.get(usize::from(*of)).map(|other| other.name.to_string());
                return Self { every: EveryName::Periods, periods: Some(pattern.clone()), of, ..plain };
            }
            Every::HalfMonth => EveryName::HalfMonth,
            Every::Month => EveryName::Month,
            Every::Quarter => EveryName::Quarter,
        };
        Self { every, ..plain }
    }
}

impl VolumeDocument {
    fn new(volume: &Volume, all: &[Volume]) -> Self {
        let (percent, of) = match volume.form {
            VolumeForm::Given => (None, None),
            VolumeForm::Percent { of, rate } => {
                let of = match of {
                    VolumeOf::Amount => AMOUNT.to_owned(),
                    VolumeOf::Volume(of) => {
                        all.get(usize::from(of)).map_or_else(String::new, |other| other.name.to_string())
                    }
                };
                (Some(Decimal::of_rate(rate)), Some(of))
            }
        };
        Self { exponent: volume.exponent, percent, of, live: Some(volume.live) }
    }
}

// --- to the plan

impl OrderFields {
    /// Returns what the fields say. What cannot be read is reported and replaced.
    pub(super) fn commerce(&self, faults: &mut Faults) -> Commerce {
        let boxed =
            |names: &[String]| names.iter().map(|name| name.as_str().into()).collect::<Vec<Box<str>>>();
        let attributes = self.attributes.as_ref();
        let members = Commerce {
            markets: attributes.map(|has| boxed(&has.market)).unwrap_or_default(),
            has_owners: attributes.is_some_and(|has| has.owner),
            member_tags: attributes.map(|has| boxed(&has.tags)).unwrap_or_default(),
            ..Commerce::default()
        };
        let is_unread = |field: &str| faults.touch(field);
        if self.calendar.is_empty() && is_unread("calendar") {
            // Without calendars all that follows would be wrong too.
            return members;
        }
        let least_levels = if self.calendar.is_empty() { 0 } else { LIVE_LEVELS };
        let live_levels = self.live_levels.filter(|_| !is_unread("live_levels")).unwrap_or(least_levels);
        // One that could not be read is not missing.
        let answer = self.answers.as_ref().and_then(|answers| answers.refund_lowers_volume);
        let mut calendars: Vec<Calendar> = Vec::new();
        for (name, calendar) in &self.calendar.0 {
            calendars.push(calendar.calendar(name, &self.calendar.0, &calendars, faults));
        }
        let (amount_live, volumes) = self.volume.volumes(!self.calendar.is_empty(), faults);
        Commerce {
            calendars,
            volumes,
            amount_live,
            live_levels,
            order_kinds: self.orders.as_ref().map(|orders| boxed(&orders.kinds)).unwrap_or_default(),
            order_tags: self.orders.as_ref().map(|orders| boxed(&orders.tags)).unwrap_or_default(),
            rounding: self.rounding.map(|rounding| rounding.0).unwrap_or_default(),
            refund_lowers_volume: answer.map(|answer| answer == YesNo::Yes),
            ..members
        }
    }
}

impl CalendarDocument {
    /// Returns the calendar. `all` are those of the document, `earlier` those before this one.
    fn calendar(
        &self,
        name: &str,
        all: &[(String, CalendarDocument)],
        earlier: &[Calendar],
        faults: &mut Faults,
    ) -> Calendar {
        let field = |key: &str| format!("calendar.{name}.{key}");
        let every = self.every(&field, all, faults);
        let grace = read_grace(&self.grace).unwrap_or_else(|reason| {
            faults.add_fresh(&field("grace"), reason);
            Grace::default()
        });
        let first = self.first.as_ref().and_then(|first| {
            let date = first.date().map_err(|reason| faults.add_fresh(&field("first"), reason));
            date.ok()
        });
        Calendar {
            name: name.into(),
            timezone: self.zone(&field, &every, earlier, faults),
            every,
            grace,
            late: self.late.0,
            first,
            four_eyes: self.approval == ApprovalName::FourEyes,
        }
    }

    fn every(
        &self,
        field: &impl Fn(&str) -> String,
        all: &[(String, CalendarDocument)],
        faults: &mut Faults,
    ) -> Every {
        if faults.touch(&field("every")) {
            return Every::Month;
        }
        let parts = [
            ("begins", EveryName::Week, self.begins.is_some()),
            ("from_month", EveryName::Year, self.from_month.is_some()),
            ("days", EveryName::Days, self.days.is_some()),
            ("from", EveryName::Days, self.from.is_some()),
            ("periods", EveryName::Periods, self.periods.is_some()),
            ("of", EveryName::Periods, self.of.is_some()),
        ];
        for (key, every, is_there) in parts {
            if is_there && every != self.every {
                let every: &str = every.into();
                faults.add_fresh(&field(key), format!("goes with `every = \"{every}\"` alone"));
            }
        }
        let mut missing =
            |key: &str, what: &str| faults.add_fresh(&field(key), format!("is missing: {what}"));
        match self.every {
            EveryName::Day => Every::Day,
            EveryName::Week => Every::Week { begins: self.begins.map_or(Weekday::Monday, |day| day.0) },
            EveryName::HalfMonth => Every::HalfMonth,
            EveryName::Month => Every::Month,
            EveryName::Quarter => Every::Quarter,
            EveryName::Year => {
                Every::Year { from_month: self.from_month.unwrap_or(MonthName::January) as u8 }
            }
            EveryName::Days => {
                if self.days.is_none() {
                    missing("days", "how many make up a period");
                }
                let Some(from) = &self.from else {
                    missing("from", "a date with which a period begins");
                    return Every::Month;
                };
                match from.date() {
                    Ok(anchor) => self.days.map_or(Every::Month, |count| Every::Days { count, anchor }),
                    Err(reason) => {
                        faults.add_fresh(&field("from"), reason);
                        Every::Month
                    }
                }
            }
            EveryName::Periods => {
                if self.periods.is_none() {
                    missing(
                        "periods",
                        "how many of the other calendar make up one, as [13], or [4, 4, 5] by turns",
                    );
                }
                let Some(of) = &self.of else {
                    missing("of", "the calendar whose periods they are");
                    return Every::Month;
                };
                let Some(position) = all.iter().position(|(name, _)| name == of) else {
                    faults.add_fresh(&field("of"), format!("the plan has no calendar `{of}`"));
                    return Every::Month;
                };
                let of = u8::try_from(position).unwrap_or(u8::MAX);
                self.periods.clone().map_or(Every::Month, |pattern| Every::Periods { of, pattern })
            }
        }
    }

    /// Returns the name of the time zone as the database has it.
    fn zone(
        &self,
        field: &impl Fn(&str) -> String,
        every: &Every,
        earlier: &[Calendar],
        faults: &mut Faults,
    ) -> Box<str> {
        const HARMLESS: &str = "UTC";
        let other = match every {
            Every::Periods { of, .. } => earlier.get(usize::from(*of)),
            _ => None,
        };
        if let Some(other) = other
            && (self.timezone.is_none() || faults.touch(&format!("calendar.{}.timezone", other.name)))
        {
            return other.timezone.clone();
        }
        match &self.timezone {
            Some(name) => match time_text::zone_name(name) {
                Some(name) => name.into(),
                None => {
                    let reason =
                        format!("`{name}` is not a time zone of the IANA database, such as America/Denver");
                    faults.add_fresh(&field("timezone"), reason);
                    HARMLESS.into()
                }
            },
            None => {
                if self.every != EveryName::Periods {
                    faults.add_fresh(&field("timezone"), "is missing: a name such as America/Denver".into());
                }
                HARMLESS.into()
            }
        }
    }
}

impl VolumesDocument {
    /// Returns whether the amount is live, and the volumes.
    fn volumes(&self, takes_orders: bool, faults: &mut Faults) -> (bool, Vec<Volume>) {
        let amount = self.amount.as_ref().and_then(|amount| amount.live);
        let is_marked = amount.is_some() || self.named.iter().any(|(_, volume)| volume.live.is_some());
        let mut volumes = Vec::with_capacity(self.named.len());
        for (position, (name, volume)) in self.named.iter().enumerate() {
            let form = volume.form(&format!("volume.{name}"), &self.named, faults);
            // Where nothing is marked, the first value is live.
            let live = volume.live.unwrap_or(!is_marked && position == 0);
            volumes.push(Volume { name: name.as_str().into(), exponent: volume.exponent, form, live });
        }
        (amount.unwrap_or(takes_orders && !is_marked && volumes.is_empty()), volumes)
    }
}

impl VolumeDocument {
    fn form(&self, table: &str, all: &[(String, VolumeDocument)], faults: &mut Faults) -> VolumeForm {
        let (percent, of) = match (&self.percent, &self.of) {
            (Some(percent), Some(of)) => (percent, of),
            (None, None) => return VolumeForm::Given,
            (Some(_), None) => {
                faults.add_fresh(
                    &format!("{table}.of"),
                    "is missing: a percentage is of `amount` or of a volume".into(),
                );
                return VolumeForm::Given;
            }
            (None, Some(_)) => {
                faults.add_fresh(
                    &format!("{table}.percent"),
                    "is missing: `of` goes with a percentage alone".into(),
                );
                return VolumeForm::Given;
            }
        };
        let rate = percent.rate().map_err(|reason| faults.add_fresh(&format!("{table}.percent"), reason));
        let position = all.iter().position(|(name, _)| name == of);
        let of = match (of.as_str(), position) {
            (AMOUNT, _) => Some(VolumeOf::Amount),
            (_, Some(position)) => Some(VolumeOf::Volume(u8::try_from(position).unwrap_or(u8::MAX))),
            (of, None) => {
                faults.add_fresh(&format!("{table}.of"), format!("the plan has no volume `{of}`"));
                None
            }
        };
        match (rate, of) {
            (Ok(rate), Some(of)) => VolumeForm::Percent { of, rate },
            _ => VolumeForm::Given,
        }
    }
}
