//! The digest of everything in a state, and how fields are fed to any digest.

use std::fmt;

use crate::core::{
    network::codes::CodeForm,
    plan::{
        BonusRule, LevelPay, Plan, RankRule,
        calendar::{Calendar, Date, Every},
        commerce::{Commerce, Volume, VolumeForm, VolumeOf},
    },
    requests::command::Outcome,
    state::{
        parts::State,
        restore::SectionRow,
        sections::{self, Section, sections},
    },
    store::{pace::Pace, parallel::in_blocks},
    words::{
        row_kind::RowKind,
        types::{EntryStatus, Timestamp, Tree, index},
    },
};

/// A BLAKE3 hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Covers everything that a query could show, including LSN and order: the same log gives the same digest on
/// every machine. O(members + entries). (A state restored from a snapshot of format 1 does not know which
/// earlier commands changed nothing, and one of a format before 4 not which plans were in force earlier; the
/// digest reflects that too.)
pub fn state_digest(state: &State) -> Digest {
    let mut whole = fields_of_format_1(state);
    // Later additions are hashed only where they hold something that could not be expressed before.
    if state.network.code_key().form != CodeForm::Any {
        whole.text("code form").number(state.network.code_key().form as u8);
    }
    let unchanged = state.requests.unchanged();
    if unchanged.len() != 0 || unchanged.complete_after() != 0 {
        whole.text("unchanged").number(unchanged.complete_after()).number(unchanged.len() as u64);
        feed_rows(state, Section::Unchanged, &mut whole);
    }
    if state.requests.lag() != 0 {
        whole.text("key lag").signed(state.requests.lag());
    }
    for section in Section::IN_ORDER.into_iter().filter(|section| Section::Unchanged < *section) {
        let rows = state.rows_of(section);
        if rows != 0 {
            whole.text(&section.name().replace('_', " ")).number(rows as u64);
            match section {
                // In the order in which they were first digested, which is not that of the columns.
                Section::RowIds => (0..rows).paced().for_each(|at| {
                    let row = state.ledger.row_ids().row(at);
                    whole.bytes(&row.id).number(row.kind as u8).number(row.index);
                }),
                section => feed_rows(state, section, &mut whole),
            }
        }
    }
    if let Some(lsn) = state.itemized_from() {
        whole.text("breakage").number(lsn).number(state.breakage_by_reason().items().count() as u64);
        for (reason, sum) in state.breakage_by_reason().items() {
            whole.number(reason as u8).number(sum.entries).bytes(&sum.amount.to_le_bytes());
        }
    }
    let plans = state.plan_versions().list();
    if 1 < plans.len() {
        whole.text("plan versions").number(plans.len() as u64);
        for version in plans {
            whole.number(version.version).number(version.lsn).signed(version.time.0);
            whole.number(u8::from(version.is_exact)).plan(&version.plan);
        }
    }
    whole.finish()
}

macro_rules! digests_of_sections {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($column:ident: $stored:ty),+ $(,)? }
        $(before $version:literal: $older:ident { $($older_columns:tt)* })*
    )+) => {
        /// Feeds the rows of a section, each with its fields in the order of the columns.
        fn feed_rows(state: &State, section: Section, fields: &mut Fields) {
            match section {
                $(Section::$section => (0..state.rows_of(section)).paced().for_each(|at| {
                    let row = <sections::$row as SectionRow>::of(state, at);
                    $(row.$column.feed(fields);)+
                }),)+
            }
        }
    };
}
sections!(digests_of_sections);

/// A field of a row, as a digest covers it.
trait Fed {
    fn feed(&self, fields: &mut Fields);
}

macro_rules! fed {
    ($($type:ty: |$value:ident, $fields:ident| $feed:expr;)+) => {
        $(
            impl Fed for $type {
                fn feed(&self, $fields: &mut Fields) {
                    let $value = self;
                    _ = $feed;
                }
            }
        )+
    };
}
fed! {
    u8: |value, fields| fields.number(*value);
    u16: |value, fields| fields.number(*value);
    u32: |value, fields| fields.number(*value);
    u64: |value, fields| fields.number(*value);
    i64: |value, fields| fields.signed(*value);
    [u8; 16]: |value, fields| fields.bytes(value);
    [u8; 32]: |value, fields| fields.bytes(value);
    Box<str>: |value, fields| fields.text(value);
    Timestamp: |value, fields| fields.signed(value.0);
    EntryStatus: |value, fields| fields.number(*value as u8);
    RowKind: |value, fields| fields.number(*value as u8);
    Outcome: |value, fields| value.words().iter().for_each(|word| _ = fields.number(*word));
}

/// The state digest as in format 1: without the commands that changed nothing and without imported row ids.
/// Snapshots of that format carry it.
pub fn state_digest_of_format_1(state: &State) -> Digest {
    fields_of_format_1(state).finish()
}

fn fields_of_format_1(state: &State) -> Fields {
    let mut whole = Fields::new("state");
    whole
        .number(state.lsn())
        .signed(state.time().0)
        .number(state.outcome_hash())
        .number(state.network.code_key().key);
    whole.plan(state.plan()).number(state.plan_version()).number(state.depth());
    whole.list(state.ledger.kinds().names(), |fields, kind| _ = fields.text(kind));
    let (levels, amount) = state.breakage();
    whole.number(levels).signed(amount.0).number(u8::from(state.entry_times_ascend()));
    // The distribution may or may not have entries for unused ranks.
    let distribution = state.rank_distribution().iter().enumerate().filter(|(_, members)| **members != 0);
    distribution.for_each(|(rank, members)| _ = whole.number(rank as u64).number(*members));
    for (admin, deep) in state.network.admins() {
        whole.number(admin.0);
        deep.iter().for_each(|counts| whole.list(counts, |fields, count| _ = fields.number(*count)));
    }
    feed_rows(state, Section::Codes, &mut whole);
    feed_rows(state, Section::Keys, &mut whole);
    for block in in_blocks(state.network.members().len(), |range| members_digest(state, range)) {
        whole.bytes(&block);
    }
    let entries = usize::try_from(state.entries()).expect("entries are in memory");
    for block in in_blocks(entries, |range| entries_digest(state, range)) {
        whole.bytes(&block);
    }
    for block in in_blocks(state.ledger.entries().triggers(), |range| triggers_digest(state, range)) {
        whole.bytes(&block);
    }
    whole
}

fn members_digest(state: &State, range: std::ops::Range<usize>) -> [u8; 32] {
    let mut block = Fields::new("members");
    for member in range.map(index).paced() {
        block
            .bytes(&state.network.members().id(member).0)
            .signed(state.network.members().joined_at(member).0)
            .number(state.network.members().flags(member));
        let ranks = state.network.members().ranks(member);
        block.number(ranks.paid_as).number(ranks.lifetime).number(state.network.slots().turn(member));
        for tree in [Tree::Sponsor, Tree::Placement] {
            let genealogy = state.tree(tree);
            let link = genealogy.link(member);
            block.numbers([link.parent, link.slot, link.level, link.children]);
            if let Some(levels) = genealogy.levels(member) {
                block.numbers(levels).number(genealogy.near_downline(member).unwrap_or(0));
            }
        }
    }
    block.finish().0
}

fn entries_digest(state: &State, range: std::ops::Range<usize>) -> [u8; 32] {
    let mut block = Fields::new("entries");
    for index in range.paced() {
        let entry = state.entry(index as u64);
        block
            .number(entry.lsn)
            .signed(entry.time.0)
            .number(entry.receiver.0)
            .number(entry.source.0)
            .number(entry.level);
        block.signed(entry.amount.0).number(entry.kind).number(entry.status as u8).number(entry.plan_version);
    }
    block.finish().0
}

fn triggers_digest(state: &State, range: std::ops::Range<usize>) -> [u8; 32] {
    let mut block = Fields::new("triggers");
    for index in range.paced() {
        let trigger = state.ledger.entries().trigger(index);
        block.signed(trigger.amount).number(trigger.first_entry);
    }
    block.finish().0
}

/// A date as a number, in the order of dates.
fn number_of(date: Date) -> i64 {
    (i64::from(date.year) << 16) | (i64::from(date.month) << 8) | i64::from(date.day)
}

/// Fields fed to a hash, encoded so that no two different sequences collide.
///
/// They are buffered and hashed when the buffer is full: BLAKE3 hashes many of its 1 KiB chunks in parallel
/// if given them at once, aligned to a multiple of their number.
pub(super) struct Fields {
    hash: blake3::Hasher,
    gathered: Box<[u8]>,
    /// Bytes buffered.
    len: usize,
}

/// Size of the buffer, a power of two: enough for the widest vectors, small enough to stay in the cache.
const GATHERED_BYTES: usize = 32 * 1_024;

impl Fields {
    pub(super) fn new(domain: &str) -> Self {
        let mut fields = Self {
            hash: blake3::Hasher::new(),
            gathered: vec![0; GATHERED_BYTES].into_boxed_slice(),
            len: 0,
        };
        fields.text(domain);
        fields
    }

    pub(super) fn number(&mut self, value: impl Into<u64>) -> &mut Self {
        self.bytes(&value.into().to_le_bytes())
    }

    /// As [`Fields::number`] for each.
    fn numbers<const N: usize>(&mut self, values: [u32; N]) -> &mut Self {
        self.bytes(values.map(|value| u64::from(value).to_le_bytes()).as_flattened())
    }

    pub(super) fn signed(&mut self, value: i64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    #[inline]
    pub(super) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        match self.gathered.get_mut(self.len..self.len + value.len()) {
            Some(room) => room.copy_from_slice(value),
            None => return self.bytes_beyond(value),
        }
        self.len += value.len();
        self
    }

    /// Handles bytes that do not fit: fills the buffer and hashes it as a whole.
    #[cold]
    fn bytes_beyond(&mut self, mut value: &[u8]) -> &mut Self {
        while GATHERED_BYTES < self.len + value.len() {
            let (now, later) = value.split_at(GATHERED_BYTES - self.len);
            self.gathered[self.len..].copy_from_slice(now);
            self.hash.update(&self.gathered);
            (self.len, value) = (0, later);
        }
        self.bytes(value)
    }

    /// The bytes buffered: all of them, as long as they fit.
    pub(super) fn gathered(&self) -> &[u8] {
        &self.gathered[..self.len]
    }

    /// Takes back what was fed beyond this many bytes, which are still buffered.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = len;
    }

    pub(super) fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as u64).bytes(value.as_bytes())
    }

    fn list<T>(&mut self, items: &[T], mut feed: impl FnMut(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| feed(self, item));
    }

    fn optional(&mut self, value: Option<i64>) {
        self.number(u8::from(value.is_some())).signed(value.unwrap_or_default());
    }

    /// Field by field: a digest is on disk, and must not change with a field's name or a struct's debug
    /// format. A field added later is hashed only where it holds something that could not be expressed
    /// before.
    fn plan(&mut self, plan: &Plan) -> &mut Self {
        let Plan { name, currency, placement, count_sponsor_tree, level_cap, bonuses, ranks, commerce } =
            plan;
        self.text(name).bytes(&currency.code).number(currency.exponent);
        self.number(placement.width.unwrap_or(0)).number(placement.default_rule as u8);
        self.list(&placement.other_rules, |fields, rule| _ = fields.number(*rule as u8));
        self.number(u8::from(placement.strategic)).number(u8::from(*count_sponsor_tree)).number(*level_cap);
        self.list(bonuses, |fields, rule| {
            let BonusRule { trigger, tree, pay, on_registration, admins_beyond } = rule;
            fields
                .text(trigger)
                .number(*tree as u8)
                .number(u8::from(*on_registration))
                .number(u8::from(*admins_beyond));
            match pay {
                LevelPay::Fixed(amounts) => {
                    fields.number(0_u8).list(amounts, |fields, amount| _ = fields.signed(amount.0));
                }
                LevelPay::Share(rates) => {
                    fields.number(1_u8).list(rates, |fields, rate| _ = fields.number(rate.0));
                }
            }
        });
        match ranks {
            RankRule::Thresholds { tree, basis, .. } => {
                self.number(0_u8).number(*tree as u8).number(*basis as u8)
            }
            RankRule::LevelFill { tree, .. } => self.number(1_u8).number(*tree as u8),
        };
        self.list(ranks.steps(), |fields, step| {
            fields.text(&step.name).number(step.minimum).optional(step.reward.map(|reward| reward.0));
        });
        if *commerce != Commerce::default() {
            self.text("commerce").commerce(commerce);
        }
        self
    }

    fn commerce(&mut self, commerce: &Commerce) {
        let Commerce {
            calendars,
            volumes,
            amount_live,
            live_levels,
            order_kinds,
            order_tags,
            markets,
            has_owners,
            member_tags,
            rounding,
            refund_lowers_volume,
        } = commerce;
        self.list(calendars, Self::calendar);
        self.list(volumes, |fields, volume| {
            let Volume { name, exponent, form, live } = volume;
            fields.text(name).number(*exponent).number(u8::from(*live));
            match form {
                VolumeForm::Given => fields.number(0_u8),
                VolumeForm::Percent { of: VolumeOf::Amount, rate } => fields.number(1_u8).number(rate.0),
                VolumeForm::Percent { of: VolumeOf::Volume(of), rate } => {
                    fields.number(2_u8).number(*of).number(rate.0)
                }
            };
        });
        self.number(u8::from(*amount_live)).number(*live_levels);
        for names in [order_kinds, order_tags, markets, member_tags] {
            self.list(names, |fields, name| _ = fields.text(name));
        }
        self.number(u8::from(*has_owners)).number(*rounding as u8);
        self.optional(refund_lowers_volume.map(i64::from));
    }

    fn calendar(&mut self, calendar: &Calendar) {
        let Calendar { name, every, timezone, grace, late, first, four_eyes } = calendar;
        self.text(name).text(timezone);
        match every {
            Every::Day => _ = self.number(0_u8),
            Every::Week { begins } => _ = self.number(1_u8).number(*begins as u8),
            Every::HalfMonth => _ = self.number(2_u8),
            Every::Month => _ = self.number(3_u8),
            Every::Quarter => _ = self.number(4_u8),
            Every::Year { from_month } => _ = self.number(5_u8).number(*from_month),
            Every::Days { count, anchor } => _ = self.number(6_u8).number(*count).signed(number_of(*anchor)),
            Every::Periods { of, pattern } => {
                self.number(7_u8).number(*of).list(pattern, |fields, count| _ = fields.number(*count));
            }
        }
        self.number(grace.days).number(grace.hours).number(*late as u8).number(u8::from(*four_eyes));
        self.optional(first.map(number_of));
    }

    pub(super) fn finish(mut self) -> Digest {
        self.hash.update(&self.gathered[..self.len]);
        Digest(*self.hash.finalize().as_bytes())
    }
}
