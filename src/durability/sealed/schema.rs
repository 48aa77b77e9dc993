//! The columns of the files of orders and refunds.

use std::{ops::Range, sync::Arc};

use parquet::{
    basic::{
        Compression, ConvertedType, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
    },
    file::{
        metadata::KeyValue,
        properties::{BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

use crate::durability::error::{Error, Result};

/// Lines of a row group: what is sorted together, and in memory at once.
pub(super) const GROUP_ROWS: usize = 1 << 17;
/// Lines of a page: what is read to find one order, in each column.
pub(super) const PAGE_ROWS: usize = 1 << 13;
/// The same in columns of which a page takes long to decode.
const LARGE_PAGE_ROWS: usize = 1 << 11;
/// Lines that are written at a time: they must divide pages, and stay near the processor.
pub(super) const BATCH_ROWS: usize = LARGE_PAGE_ROWS;
/// A column whose different values take more is written without a dictionary: reading one order reads it.
const DICTIONARY_BYTES_MAX: usize = 64 * 1_024;
/// Digits of a value.
const VALUE_DIGITS: i32 = 18;
/// Digits of a part: 1.000000000.
const PART_DIGITS: i32 = 10;
const PART_EXPONENT: i32 = 9;
pub(super) const ZSTD_LEVEL: i32 = 1;
/// Row groups that are searched for a member in vain, as a part of all.
const MISTAKEN: f64 = 0.01;
/// Key of the file's own description, which a reader takes the names of volumes and calendars from.
pub(super) const SCHEMA_KEY: &str = "upline.schema";
const VOLUMES_MAX: usize = 64;
const CALENDARS_MAX: usize = 64;

/// How values become bytes. A file says of each of its columns how that was encoded, so whatever reads one
/// reads all of these. Which one a seal has matters to a repair alone: it must come to the bytes that the log
/// knows the hash of. So none of these ever changes; a better one is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Ids, members and customers as the difference from the one before.
    First,
    /// Members and customers as they are, and ids with their lengths apart: zstd finds what repeats from line
    /// to line. A difference took longer, and zstd hardly shortens its two lengths next to random bytes.
    Second,
}

impl Layout {
    /// All of them, the newest first.
    pub const ALL: [Self; 2] = [Self::Second, Self::First];
    /// What new seals have.
    pub const NEWEST: Self = Self::ALL[0];

    /// Of columns whose texts differ from order to order: a dictionary would be given up after some work.
    fn of_texts(self) -> &'static [(&'static [&'static str], Encoding)] {
        use Encoding::{DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY, PLAIN};
        match self {
            Self::First => &[
                (&["order_id"], DELTA_BYTE_ARRAY),
                (&["refund_id"], DELTA_BYTE_ARRAY),
                (&["customer"], DELTA_BYTE_ARRAY),
                (&["member"], DELTA_BYTE_ARRAY),
            ],
            Self::Second => &[
                (&["order_id"], DELTA_LENGTH_BYTE_ARRAY),
                (&["refund_id"], DELTA_LENGTH_BYTE_ARRAY),
                (&["customer"], PLAIN),
                (&["member"], PLAIN),
                (&["credits", "list", "element", "member"], PLAIN),
            ],
        }
    }
}

/// What the plan at the seal calls things.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schema {
    /// The code of the currency.
    pub currency: String,
    /// Decimals of amounts.
    pub amount_exponent: u8,
    pub volumes: Vec<Volume>,
    /// The names of the calendars.
    pub calendars: Vec<String>,
}

/// A volume of the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Volume {
    pub name: String,
    /// Its decimals.
    pub exponent: u8,
}

/// Positions of the columns of orders that are read again; volumes and periods follow.
pub(super) mod column {
    pub const ORDER_ID: usize = 0;
    pub const SUPERSEDES: usize = 2;
    pub const LSN: usize = 3;
    pub const TIME: usize = 4;
    pub const FINGERPRINT: usize = 5;
    pub const KIND: usize = 6;
    pub const MARKET: usize = 7;
    pub const TAGS: usize = 8;
    pub const GROUP: usize = 9;
    pub const CUSTOMER: usize = 10;
    pub const MEMBER: usize = 11;
    pub const CREDIT_MEMBER: usize = 12;
    pub const CREDIT_PART: usize = 13;
    pub const LINE: usize = 14;
    pub const REFUNDS: usize = 16;
    pub const AMOUNT: usize = 17;
}

/// Positions of the columns of refunds that are read again; a period and a state for each calendar follow.
pub(super) mod refund_column {
    pub const REFUND_ID: usize = 0;
    pub const ORDER_ROW: usize = 3;
    pub const LSN: usize = 5;
    pub const TIME: usize = 6;
    pub const FINGERPRINT: usize = 7;
    pub const LINE: usize = 8;
    pub const FROM: usize = 9;
    pub const TO: usize = 10;
    pub const PERIODS: usize = 11;
}

/// Names of columns that a volume must not take.
const OWN: [&str; 18] = [
    "order_id",
    "seal",
    "supersedes",
    "lsn",
    "time",
    "fingerprint",
    "kind",
    "market",
    "tags",
    "group_id",
    "customer",
    "member",
    "credits",
    "line",
    "refunded",
    "refunds",
    "amount",
    "filename",
];

impl Schema {
    /// Checks that names can be columns.
    ///
    /// # Errors
    /// `BadSeal`.
    pub(super) fn check(&self) -> Result<()> {
        let is_name =
            |name: &str| !name.is_empty() && name.len() <= 64 && !name.chars().any(char::is_control);
        let names = self.volumes.iter().map(|volume| &volume.name).chain(&self.calendars);
        if let Some(name) = names.chain([&self.currency]).find(|name| !is_name(name)) {
            return Err(Error::BadSeal(format!("{name:?} cannot be the name of a column")));
        }
        let fits = self.volumes.len() <= VOLUMES_MAX && self.calendars.len() <= CALENDARS_MAX;
        let exponents = self.volumes.iter().map(|volume| volume.exponent);
        if !fits || exponents.chain([self.amount_exponent]).any(|exponent| VALUE_DIGITS < exponent.into()) {
            return Err(Error::BadSeal("too many volumes, calendars or decimals".into()));
        }
        let mut names: Vec<String> = self.volumes.iter().map(Volume::column).collect();
        names.extend(self.calendars.iter().map(|calendar| format!("period_{calendar}")));
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Error::BadSeal("two volumes or calendars with one name".into()));
        }
        Ok(())
    }

    /// The positions of the columns of volumes.
    pub(super) fn volume_columns(&self) -> Range<usize> {
        column::AMOUNT + 1..self.period(0)
    }

    /// The position of a calendar's column.
    pub(super) fn period(&self, calendar: usize) -> usize {
        column::AMOUNT + 1 + self.volumes.len() + calendar
    }

    /// The columns of a file of orders.
    pub(super) fn orders(&self) -> parquet::errors::Result<TypePtr> {
        let mut fields = vec![
            text("order_id", Repetition::REQUIRED)?,
            number("seal", Repetition::REQUIRED, Physical::INT32)?,
            number("supersedes", Repetition::OPTIONAL, Physical::INT32)?,
            number("lsn", Repetition::REQUIRED, Physical::INT64)?,
            time("time", Repetition::REQUIRED)?,
            number("fingerprint", Repetition::OPTIONAL, Physical::INT64)?,
            text("kind", Repetition::OPTIONAL)?,
            text("market", Repetition::OPTIONAL)?,
            list("tags", text("element", Repetition::REQUIRED)?)?,
            text("group_id", Repetition::OPTIONAL)?,
            text("customer", Repetition::OPTIONAL)?,
            uuid("member")?,
            list("credits", credit()?)?,
            number("line", Repetition::REQUIRED, Physical::INT32)?,
            decimal("refunded", Repetition::REQUIRED, PART_DIGITS, PART_EXPONENT)?,
            number("refunds", Repetition::REQUIRED, Physical::INT32)?,
            decimal("amount", Repetition::REQUIRED, VALUE_DIGITS, self.amount_exponent.into())?,
        ];
        for volume in &self.volumes {
            let exponent = volume.exponent.into();
            fields.push(decimal(&volume.column(), Repetition::OPTIONAL, VALUE_DIGITS, exponent)?);
        }
        for calendar in &self.calendars {
            fields.push(text(&format!("period_{calendar}"), Repetition::OPTIONAL)?);
        }
        Ok(Arc::new(Type::group_type_builder("orders").with_fields(fields).build()?))
    }

    /// The columns of a file of refunds.
    pub(super) fn refunds(&self) -> parquet::errors::Result<TypePtr> {
        let mut fields = vec![
            text("refund_id", Repetition::REQUIRED)?,
            text("order_id", Repetition::REQUIRED)?,
            number("seal", Repetition::REQUIRED, Physical::INT32)?,
            number("order_row", Repetition::REQUIRED, Physical::INT64)?,
            uuid("member")?,
            number("lsn", Repetition::REQUIRED, Physical::INT64)?,
            time("time", Repetition::REQUIRED)?,
            number("fingerprint", Repetition::OPTIONAL, Physical::INT64)?,
            number("line", Repetition::OPTIONAL, Physical::INT32)?,
            decimal("part_from", Repetition::OPTIONAL, PART_DIGITS, PART_EXPONENT)?,
            decimal("part_to", Repetition::OPTIONAL, PART_DIGITS, PART_EXPONENT)?,
        ];
        for calendar in &self.calendars {
            fields.push(text(&format!("period_{calendar}"), Repetition::OPTIONAL)?);
            fields.push(text(&format!("state_{calendar}"), Repetition::OPTIONAL)?);
        }
        Ok(Arc::new(Type::group_type_builder("refunds").with_fields(fields).build()?))
    }

    /// The description that is in each file: a line for the amounts, each volume and each calendar.
    fn describe(&self) -> String {
        let mut text = format!("amount {} {}\n", self.amount_exponent, self.currency);
        for Volume { name, exponent } in &self.volumes {
            text.push_str(&format!("volume {exponent} {name}\n"));
        }
        for calendar in &self.calendars {
            text.push_str(&format!("calendar {calendar}\n"));
        }
        text
    }

    /// Reads such a description. `None` if it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut schema =
            Self { currency: String::new(), amount_exponent: 0, volumes: Vec::new(), calendars: Vec::new() };
        for line in text.lines() {
            let (what, rest) = line.split_once(' ')?;
            let with_exponent =
                || rest.split_once(' ').and_then(|(exponent, name)| Some((exponent.parse().ok()?, name)));
            match what {
                "amount" => {
                    let (exponent, name) = with_exponent()?;
                    (schema.amount_exponent, schema.currency) = (exponent, name.into());
                }
                "volume" => {
                    let (exponent, name) = with_exponent()?;
                    schema.volumes.push(Volume { name: name.into(), exponent });
                }
                "calendar" => schema.calendars.push(rest.into()),
                _ => return None,
            }
        }
        (schema.check().is_ok() && schema.describe() == text).then_some(schema)
    }

    /// How files of orders are written.
    pub(super) fn order_properties(&self, layout: Layout) -> WriterProperties {
        let mut properties = self.properties(layout);
        for path in
            [&["member"] as &[&str], &["credits", "list", "element", "member"], &["customer"], &["group_id"]]
        {
            properties = properties
                .set_column_bloom_filter_max_ndv(path_of(path), GROUP_ROWS as u64 / 2)
                .set_column_bloom_filter_fpp(path_of(path), MISTAKEN);
        }
        for calendar in &self.calendars {
            let path = path_of(&[&format!("period_{calendar}")]);
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
        }
        // Few orders have these: where none of a row group does, the statistics say so, and nothing is read.
        let element = ["list", "element"];
        for path in [&["supersedes"] as &[&str], &["group_id"], &[&["tags"], &element[..]].concat()] {
            properties = properties.set_column_statistics_enabled(path_of(path), EnabledStatistics::Chunk);
        }
        for leaf in ["member", "part"] {
            let path = path_of(&["credits", "list", "element", leaf]);
            properties = properties.set_column_statistics_enabled(path, EnabledStatistics::Chunk);
        }
        properties.build()
    }

    /// How files of refunds are written.
    pub(super) fn refund_properties(&self, layout: Layout) -> WriterProperties {
        self.properties(layout).build()
    }

    /// Files of refunds lack some of these columns, and those of orders others.
    fn properties(&self, layout: Layout) -> WriterPropertiesBuilder {
        let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("it is one of 1 to 22");
        let mut properties = WriterProperties::builder()
            .set_created_by("upline".into())
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(None)
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(BATCH_ROWS)
            .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
            .set_bloom_filter_position(BloomFilterPosition::AfterRowGroup)
            // Finding the least and the greatest text takes longer than writing them.
            .set_statistics_enabled(EnabledStatistics::None)
            .set_key_value_metadata(Some(vec![KeyValue::new(SCHEMA_KEY.into(), self.describe())]));
        for (path, encoding) in layout.of_texts() {
            properties = properties
                .set_column_data_page_row_count_limit(path_of(path), LARGE_PAGE_ROWS)
                .set_column_dictionary_enabled(path_of(path), false)
                .set_column_encoding(path_of(path), *encoding);
        }
        for name in ["lsn", "time", "order_row"] {
            properties = properties
                .set_column_statistics_enabled(path_of(&[name]), EnabledStatistics::Chunk)
                .set_column_dictionary_enabled(path_of(&[name]), false)
                .set_column_encoding(path_of(&[name]), Encoding::DELTA_BINARY_PACKED);
        }
        properties.set_column_dictionary_enabled(path_of(&["fingerprint"]), false)
    }
}

fn path_of(parts: &[&str]) -> ColumnPath {
    ColumnPath::new(parts.iter().map(|part| (*part).to_owned()).collect())
}

impl Volume {
    /// The name of its column: its own, unless another column has it, or could have it.
    pub(super) fn column(&self) -> String {
        let is_taken = OWN.contains(&&*self.name)
            || ["period_", "volume_"].iter().any(|start| self.name.starts_with(start));
        if is_taken { format!("volume_{}", self.name) } else { self.name.clone() }
    }
}

fn primitive(
    name: &str,
    repetition: Repetition,
    physical: Physical,
    logical: Option<LogicalType>,
) -> parquet::errors::Result<TypePtr> {
    let length = if physical == Physical::FIXED_LEN_BYTE_ARRAY { 16 } else { -1 };
    let builder =
        Type::primitive_type_builder(name, physical).with_repetition(repetition).with_length(length);
    Ok(Arc::new(builder.with_logical_type(logical).build()?))
}

pub(super) fn text(name: &str, repetition: Repetition) -> parquet::errors::Result<TypePtr> {
    primitive(name, repetition, Physical::BYTE_ARRAY, Some(LogicalType::String))
}

pub(super) fn number(
    name: &str,
    repetition: Repetition,
    physical: Physical,
) -> parquet::errors::Result<TypePtr> {
    primitive(name, repetition, physical, None)
}

pub(super) fn time(name: &str, repetition: Repetition) -> parquet::errors::Result<TypePtr> {
    let logical = LogicalType::timestamp(true, TimeUnit::MICROS);
    primitive(name, repetition, Physical::INT64, Some(logical))
}

pub(super) fn uuid(name: &str) -> parquet::errors::Result<TypePtr> {
    primitive(name, Repetition::REQUIRED, Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid))
}

/// A number of 64 bits with decimals, or without.
fn decimal(
    name: &str,
    repetition: Repetition,
    digits: i32,
    exponent: i32,
) -> parquet::errors::Result<TypePtr> {
    if exponent == 0 {
        return number(name, repetition, Physical::INT64);
    }
    let builder = Type::primitive_type_builder(name, Physical::INT64).with_repetition(repetition);
    let builder = builder.with_logical_type(Some(LogicalType::decimal(exponent, digits)));
    Ok(Arc::new(builder.with_precision(digits).with_scale(exponent).build()?))
}

fn credit() -> parquet::errors::Result<TypePtr> {
    let fields = vec![uuid("member")?, decimal("part", Repetition::REQUIRED, PART_DIGITS, PART_EXPONENT)?];
    let group = Type::group_type_builder("element").with_repetition(Repetition::REQUIRED);
    Ok(Arc::new(group.with_fields(fields).build()?))
}

/// A list that may be missing.
pub(super) fn list(name: &str, element: TypePtr) -> parquet::errors::Result<TypePtr> {
    let repeated =
        Type::group_type_builder("list").with_repetition(Repetition::REPEATED).with_fields(vec![element]);
    let group = Type::group_type_builder(name).with_repetition(Repetition::OPTIONAL);
    let group = group.with_logical_type(Some(LogicalType::List)).with_converted_type(ConvertedType::LIST);
    Ok(Arc::new(group.with_fields(vec![Arc::new(repeated.build()?)]).build()?))
}
