//! Members as columns.

use std::{borrow::Cow, io::Write, sync::Arc};

use parquet::{
    basic::{Compression, Encoding, Repetition, Type as Physical, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type, Int64Type},
    errors::Result,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

use super::{
    super::{
        columns::Columns,
        cursor::{Numbers, SmallNumbers, Texts, Uuids, wrong},
        rows::{ALL, RowFile},
        schema::{PAGE_ROWS, ZSTD_LEVEL, list, number, text, time, uuid},
    },
    member::{BoundaryMember, BoundaryTag},
};
use crate::core::types::Timestamp;

/// Members of a row group.
pub(super) const GROUP_MEMBERS: usize = 1 << 16;

/// The columns of a file of members.
pub(super) fn schema() -> Result<TypePtr> {
    let (required, optional) = (Repetition::REQUIRED, Repetition::OPTIONAL);
    let tag = vec![text("tag", required)?, time("since", optional)?, time("until", optional)?];
    let tag = Type::group_type_builder("element").with_repetition(required).with_fields(tag).build()?;
    let fields = vec![
        number("number", required, Physical::INT32)?,
        uuid("member")?,
        time("joined_at", required)?,
        text("code", optional)?,
        number("sponsor", optional, Physical::INT32)?,
        number("parent", optional, Physical::INT32)?,
        number("slot", required, Physical::INT32)?,
        text("status", required)?,
        text("role", required)?,
        number("rank", optional, Physical::INT32)?,
        text("market", optional)?,
        number("owner", optional, Physical::INT32)?,
        list("tags", Arc::new(tag))?,
    ];
    Ok(Arc::new(Type::group_type_builder("members").with_fields(fields).build()?))
}

/// How it is written.
pub(super) fn properties() -> WriterProperties {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).expect("it is one of 1 to 22");
    let path = |name: &str| ColumnPath::new(vec![name.into()]);
    let mut properties = WriterProperties::builder()
        .set_created_by("upline".into())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_dictionary_enabled(path("member"), false)
        .set_column_dictionary_enabled(path("code"), false);
    for name in ["number", "joined_at", "sponsor", "parent", "slot"] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties.build()
}

/// Writes a row group of members with their numbers.
pub(super) fn write_members<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    members: &[(u32, BoundaryMember<'_>)],
) -> Result<()> {
    let mut group = file.next_row_group()?;
    let mut columns = Columns::new(&mut group, GROUP_MEMBERS);
    let each = || members.iter().map(|(_, member)| member);
    columns.all::<Int32Type>(members.iter().map(|(number, _)| number.cast_signed()))?;
    columns.all::<FixedLenByteArrayType>(each().map(|member| ByteArray::from(member.id.to_vec()).into()))?;
    columns.all::<Int64Type>(each().map(|member| member.joined_at.0))?;
    columns.some::<ByteArrayType>(each().map(|member| member.code.as_deref().map(ByteArray::from)))?;
    columns.some::<Int32Type>(each().map(|member| member.sponsor.map(u32::cast_signed)))?;
    columns.some::<Int32Type>(each().map(|member| member.parent.map(u32::cast_signed)))?;
    columns.all::<Int32Type>(each().map(|member| member.slot.cast_signed()))?;
    columns.all::<ByteArrayType>(each().map(|member| ByteArray::from(&*member.status)))?;
    columns.all::<ByteArrayType>(each().map(|member| ByteArray::from(&*member.role)))?;
    columns.some::<Int32Type>(each().map(|member| member.rank.map(i32::from)))?;
    columns.some::<ByteArrayType>(each().map(|member| member.market.as_deref().map(ByteArray::from)))?;
    columns.some::<Int32Type>(each().map(|member| member.owner.map(u32::cast_signed)))?;
    columns.lists::<ByteArrayType, _>(
        each().map(|member| member.tags.iter().map(|tag| ByteArray::from(&*tag.tag))),
    )?;
    let of_time = |time: Option<Timestamp>| time.map(|time| time.0);
    columns.sparse_lists::<Int64Type, _>(
        each().map(|member| member.tags.iter().map(move |tag| of_time(tag.since))),
    )?;
    columns.sparse_lists::<Int64Type, _>(
        each().map(|member| member.tags.iter().map(move |tag| of_time(tag.until))),
    )?;
    group.close()?;
    Ok(())
}

/// The members of a file, in the order of their numbers.
pub(super) struct Members {
    rows: Arc<RowFile>,
    group: usize,
    reader: Option<MemberRows>,
}

/// The members of a row group.
struct MemberRows {
    numbers: SmallNumbers,
    ids: Uuids,
    joined: Numbers,
    codes: Texts,
    /// Sponsor, parent, slot, rank, owner.
    small: [SmallNumbers; 5],
    /// Status, role, market.
    names: [Texts; 3],
    tags: Texts,
    bounds: [Numbers; 2],
    left: usize,
}

impl Members {
    pub fn new(rows: Arc<RowFile>) -> Self {
        Self { rows, group: 0, reader: None }
    }

    /// The next member, with its number.
    pub fn next(&mut self) -> Result<Option<(u32, BoundaryMember<'static>)>> {
        loop {
            if let Some(reader) = self.reader.as_mut().filter(|reader| reader.left != 0) {
                return reader.next().map(Some);
            }
            if self.group == self.rows.groups() {
                return Ok(None);
            }
            self.reader = Some(MemberRows::open(&self.rows, self.group)?);
            self.group += 1;
        }
    }
}

impl MemberRows {
    fn open(rows: &RowFile, group: usize) -> Result<Self> {
        let reader = &rows.group(group)?;
        let small = |column| SmallNumbers::open(reader, column, ALL);
        let text = |column| Texts::open(reader, column, ALL);
        Ok(Self {
            numbers: small(0)?,
            ids: Uuids::open(reader, 1, ALL)?,
            joined: Numbers::open(reader, 2, ALL)?,
            codes: text(3)?,
            small: [small(4)?, small(5)?, small(6)?, small(9)?, small(11)?],
            names: [text(7)?, text(8)?, text(10)?],
            tags: text(12)?,
            bounds: [Numbers::open(reader, 13, ALL)?, Numbers::open(reader, 14, ALL)?],
            left: rows.rows_of(group),
        })
    }

    fn next(&mut self) -> Result<(u32, BoundaryMember<'static>)> {
        self.left -= 1;
        let number = self.numbers.require()?.cast_unsigned();
        let [sponsor, parent, slot, rank, owner] = &mut self.small;
        let [status, role, market] = &mut self.names;
        let small =
            |column: &mut SmallNumbers| -> Result<Option<u32>> { Ok(column.next()?.map(i32::cast_unsigned)) };
        let own =
            |text: ByteArray| -> Result<Cow<'static, str>> { Ok(Cow::Owned(text.as_utf8()?.to_owned())) };
        let rank = small(rank)?.map(|rank| u16::try_from(rank).map_err(|_| wrong("an impossible rank")));
        let [since, until] = &mut self.bounds;
        let (tags, since, until) =
            (self.tags.next_list()?, since.next_sparse_list()?, until.next_sparse_list()?);
        if tags.len() != since.len() || tags.len() != until.len() {
            return Err(wrong("tags without their times"));
        }
        let tags = tags.into_iter().zip(since.into_iter().zip(until)).map(|(tag, (since, until))| {
            Ok(BoundaryTag { tag: own(tag)?, since: since.map(Timestamp), until: until.map(Timestamp) })
        });
        let tags = tags.collect::<Result<_>>()?;
        let member = BoundaryMember {
            id: id_of(&self.ids.require()?)?,
            joined_at: Timestamp(self.joined.require()?),
            code: self.codes.next()?.map(own).transpose()?,
            sponsor: small(sponsor)?,
            parent: small(parent)?,
            slot: slot.require()?.cast_unsigned(),
            status: own(status.require()?)?,
            role: own(role.require()?)?,
            rank: rank.transpose()?,
            market: market.next()?.map(own).transpose()?,
            owner: small(owner)?,
            tags,
        };
        Ok((number, member))
    }
}

fn id_of(bytes: &FixedLenByteArray) -> Result<[u8; 16]> {
    bytes.data().try_into().map_err(|_| wrong("a UUID of another length"))
}
