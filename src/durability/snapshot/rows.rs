//! The frozen form of rows, as the table of sections (`core/store/sections.rs`) has it. Rows are stored as
//! columns: whole columns are copied, where rows would be written field by field.
//!
//! Each version of a section is an archive of a struct with one vector for each column, two for a column of
//! texts. What was released never changes: a new version is a new entry of the table, with an upgrade from
//! the older rows.

use std::ops::Range;

use rkyv::{Archive, Archived, Serialize, api::high, rancor, util::AlignedVec, vec::ArchivedVec};

use super::container::{ChunkHeader, Content};
use crate::{
    core::{
        Pace, RowKind,
        command::Outcome,
        sections::{self, ImageRows, Section, sections},
        types::{EntryStatus, Timestamp},
    },
    durability::codec::{self, OUTCOME_BYTES},
};

/// Archives are written to and read from memory of this alignment.
pub(super) type Bytes = AlignedVec<16>;

/// Rows that have a form on disk.
trait OnDisk: Sized {
    /// Returns the archive of some rows; reuses the memory of `into`.
    fn archive(rows: &[Self], into: Bytes) -> Result<Bytes, String>;

    /// Reads the rows of an archive.
    fn read(count: usize, archive: &Bytes) -> Result<Vec<Self>, String>;
}

macro_rules! on_disk {
    ($row:ident { $($column:ident: $stored:ty),+ $(,)? }) => {
        const _: () = {
            #[derive(Archive, Serialize)]
            struct Columns {
                $($column: <$stored as Stored>::Column,)+
            }

            impl OnDisk for sections::$row {
                fn archive(rows: &[Self], mut into: Bytes) -> Result<Bytes, String> {
                    let columns = Columns {
                        $($column: <$stored as ColumnOf<_>>::column(rows.iter().map(|row| &row.$column))?,)+
                    };
                    into.clear();
                    high::to_bytes_in::<_, rancor::Error>(&columns, into).map_err(|error| error.to_string())
                }

                fn read(count: usize, archive: &Bytes) -> Result<Vec<Self>, String> {
                    let columns = high::access::<Archived<Columns>, rancor::Error>(archive)
                        .map_err(|error| error.to_string())?;
                    $(
                        let mut $column = values::<$stored, Self, _>(&columns.$column, |row| &row.$column)?;
                        if $column.len() != count {
                            return Err("columns of different lengths".into());
                        }
                    )+
                    let mut rows = Vec::with_capacity(count);
                    for _ in (0..count).paced() {
                        rows.push(sections::$row { $($column: next(&mut $column)?,)+ });
                    }
                    Ok(rows)
                }
            }
        };
    };
}

macro_rules! sections_on_disk {
    ($(
        $number:literal $section:ident $name:literal since $since:literal:
        $row:ident $(in $part:ident.$list:ident: $List:ident)? { $($column:ident: $stored:ty),+ $(,)? }
        $(before $version:literal: $older:ident { $($older_column:ident: $older_stored:ty),+ $(,)? })*
    )+) => {
        $(
            on_disk!($row { $($column: $stored),+ });
            $(on_disk!($older { $($older_column: $older_stored),+ });)*
        )+

        /// Returns the archive of some of the rows; reuses the memory of `into`.
        ///
        /// # Errors
        /// If a row has no form on disk.
        pub(super) fn archive(rows: &ImageRows, range: Range<usize>, into: Bytes) -> Result<Bytes, String> {
            match rows {
                $(ImageRows::$section(rows) => OnDisk::archive(&rows[range], into),)+
            }
        }

        /// Reads the rows of a chunk whose checksum was right.
        ///
        /// # Errors
        /// If the archive is not of the section and version of the chunk, or has another number of rows.
        pub(super) fn rows_of(chunk: &ChunkHeader, archive: &Bytes) -> Result<ImageRows, String> {
            let count = chunk.rows as usize;
            match (chunk.content, chunk.version) {
                (Content::Header, _) => Err("a header where rows should be".into()),
                $(
                    $((Content::Rows(Section::$section), $version) => {
                        let older = <sections::$older as OnDisk>::read(count, archive)?;
                        Ok(ImageRows::$section(older.into_iter().map(Into::into).collect()))
                    })*
                    (Content::Rows(Section::$section), _) => {
                        OnDisk::read(count, archive).map(ImageRows::$section)
                    }
                )+
            }
        }
    };
}
sections!(sections_on_disk);

/// A type of column, as the table names it: of a number, of bytes, or of [`Text`].
trait Stored {
    type Column: Archive;
}

/// A column of this type stores values of type `V`.
trait ColumnOf<V>: Stored {
    /// Returns the column of some values.
    fn column<'v>(values: impl Iterator<Item = &'v V>) -> Result<Self::Column, String>
    where
        V: 'v;

    /// Returns the values of a column.
    fn values(
        column: &Archived<Self::Column>,
    ) -> Result<impl ExactSizeIterator<Item = Result<V, String>>, String>;
}

/// Returns the values of a column that is stored in a field of rows; the field determines their type.
fn values<S: ColumnOf<V>, R, V>(
    column: &Archived<S::Column>,
    _field: fn(&R) -> &V,
) -> Result<impl ExactSizeIterator<Item = Result<V, String>>, String> {
    S::values(column)
}

fn next<V>(values: &mut impl Iterator<Item = Result<V, String>>) -> Result<V, String> {
    values.next().ok_or("a column is too short")?
}

macro_rules! columns_of {
    ($($stored:ty),+) => {
        $(
            impl Stored for $stored {
                type Column = Vec<$stored>;
            }
        )+
    };
}
columns_of!(u8, u16, u32, u64, i64, [u8; 16], [u8; 32], [u8; OUTCOME_BYTES]);

/// How values are stored: as what, and the ways there and back.
macro_rules! values_of {
    ($($value:ty as $stored:ty: |$from:ident| $store:expr, |$to:ident| $load:expr;)+) => {
        $(
            impl ColumnOf<$value> for $stored {
                fn column<'v>(values: impl Iterator<Item = &'v $value>) -> Result<Vec<$stored>, String> {
                    Ok(values.map(|$from| $store).collect())
                }

                fn values(
                    column: &ArchivedVec<Archived<$stored>>,
                ) -> Result<impl ExactSizeIterator<Item = Result<$value, String>>, String> {
                    Ok(column.iter().map(|$to| $load))
                }
            }
        )+
    };
}
values_of! {
    u8 as u8: |value| *value, |stored| Ok(*stored);
    u16 as u16: |value| *value, |stored| Ok(stored.to_native());
    u32 as u32: |value| *value, |stored| Ok(stored.to_native());
    u64 as u64: |value| *value, |stored| Ok(stored.to_native());
    i64 as i64: |value| *value, |stored| Ok(stored.to_native());
    Timestamp as i64: |value| value.0, |stored| Ok(Timestamp(stored.to_native()));
    [u8; 16] as [u8; 16]: |value| *value, |stored| Ok(*stored);
    [u8; 32] as [u8; 32]: |value| *value, |stored| Ok(*stored);
    EntryStatus as u8: |value| *value as u8,
        |stored| EntryStatus::from_repr(*stored).ok_or_else(|| "an unknown entry status".into());
    RowKind as u8: |value| *value as u8,
        |stored| RowKind::from_repr(*stored).ok_or_else(|| "an unknown kind of row".into());
    Outcome as [u8; OUTCOME_BYTES]: |value| codec::encode_outcome(*value),
        |stored| codec::decode_outcome(stored).map_err(|error| error.to_string());
}

/// Texts, or other values of different lengths. `L` is the type of their lengths in bytes.
struct Text<L>(std::marker::PhantomData<L>);

/// A value that is stored as bytes, as many as it needs.
trait AsText: Sized {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), String>;
    fn read(bytes: &[u8]) -> Result<Self, String>;
}

impl AsText for Box<str> {
    fn write(&self, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        Ok(std::str::from_utf8(bytes).map_err(|error| error.to_string())?.into())
    }
}

/// The lengths of some texts, and the texts one after the other.
macro_rules! texts_of {
    ($($length:ident $columns:ident)+) => {
        $(
            #[derive(Archive, Serialize)]
            struct $columns {
                length: Vec<$length>,
                text: Vec<u8>,
            }

            impl Stored for Text<$length> {
                type Column = $columns;
            }

            impl<V: AsText> ColumnOf<V> for Text<$length> {
                fn column<'v>(values: impl Iterator<Item = &'v V>) -> Result<$columns, String>
                where
                    V: 'v,
                {
                    let mut columns = $columns { length: Vec::new(), text: Vec::new() };
                    for value in values {
                        let start = columns.text.len();
                        value.write(&mut columns.text)?;
                        let bytes = columns.text.len() - start;
                        let length = $length::try_from(bytes);
                        columns.length.push(length.map_err(|_| format!("a text of {bytes} bytes"))?);
                    }
                    Ok(columns)
                }

                fn values(
                    column: &Archived<$columns>,
                ) -> Result<impl ExactSizeIterator<Item = Result<V, String>>, String> {
                    let mut rest = &*column.text;
                    let mut total = 0_u64;
                    column.length.iter().for_each(|length| total += u64::from($length::from(*length)));
                    if total != rest.len() as u64 {
                        return Err("texts of another length than their column".into());
                    }
                    Ok(column.length.iter().map(move |length| {
                        let (taken, after) = rest
                            .split_at_checked(usize::from($length::from(*length)))
                            .ok_or("a column of texts is too short")?;
                        rest = after;
                        V::read(taken)
                    }))
                }
            }
        )+
    };
}
texts_of!(u8 Texts8 u16 Texts16);

/// Returns the lengths of some texts, as narrow as the format has them.
pub(super) fn lengths<T: TryFrom<usize>>(
    lengths: impl Iterator<Item = usize>,
    what: &str,
) -> Result<Vec<T>, String> {
    lengths.map(|length| T::try_from(length).map_err(|_| format!("{what} of {length} bytes"))).collect()
}

/// Splits the texts concatenated in `text`.
pub(super) fn texts(lengths: impl Iterator<Item = usize>, text: &[u8]) -> Result<Vec<Box<str>>, String> {
    let mut rest = text;
    let mut take = |length: usize| -> Result<Box<str>, String> {
        let (taken, after) = rest.split_at_checked(length).ok_or("a column of texts is too short")?;
        rest = after;
        AsText::read(taken)
    };
    let texts = lengths.map(&mut take).collect::<Result<_, _>>()?;
    if rest.is_empty() { Ok(texts) } else { Err("a column of texts is too long".into()) }
}
