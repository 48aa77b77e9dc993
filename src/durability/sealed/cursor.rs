//! Reads the columns of a row group value by value.

use parquet::{
    basic::Type as Physical,
    column::reader::ColumnReaderImpl,
    data_type::{ByteArrayType, DataType, FixedLenByteArrayType, Int32Type, Int64Type},
    errors::{ParquetError, Result},
    file::{reader::RowGroupReader, statistics::Statistics},
};

pub(super) type Texts = Cursor<ByteArrayType>;
pub(super) type Numbers = Cursor<Int64Type>;
pub(super) type SmallNumbers = Cursor<Int32Type>;
pub(super) type Uuids = Cursor<FixedLenByteArrayType>;

/// A column of a row group, read on from its first row. It holds a page and a few decoded values.
pub(super) struct Cursor<T: DataType> {
    /// `None` for a column in which nothing has a value.
    reader: Option<ColumnReaderImpl<T>>,
    /// Rows that are not decoded yet.
    left: usize,
    /// Rows that are decoded at a time.
    batch: usize,
    present: i16,
    has_lists: bool,
    values: Vec<T::T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
    next_value: usize,
    next_level: usize,
    /// Decoded rows that are not read yet.
    decoded: usize,
}

impl<T: DataType> Cursor<T> {
    pub fn open(group: &dyn RowGroupReader, column: usize, batch: usize) -> Result<Self> {
        let metadata = group.metadata();
        let chunk = metadata.columns().get(column).ok_or_else(|| wrong("it has too few columns"))?;
        let description = chunk.column_descr_ptr();
        let is_type = description.physical_type() == T::get_physical_type();
        let has_length =
            description.physical_type() != Physical::FIXED_LEN_BYTE_ARRAY || description.type_length() == 16;
        if !is_type || !has_length || 1 < description.max_rep_level() {
            return Err(wrong("a column has another type"));
        }
        let (present, has_lists) = (description.max_def_level(), 0 < description.max_rep_level());
        let left = usize::try_from(metadata.num_rows()).map_err(|_| wrong("an impossible number of rows"))?;
        let values = u64::try_from(chunk.num_values()).ok();
        let is_empty = values.is_some() && chunk.statistics().and_then(Statistics::null_count_opt) == values;
        let reader = if is_empty {
            None
        } else {
            Some(ColumnReaderImpl::new(description, group.get_column_page_reader(column)?))
        };
        Ok(Self {
            reader,
            left,
            batch,
            present,
            has_lists,
            values: Vec::new(),
            definitions: Vec::new(),
            repetitions: Vec::new(),
            next_value: 0,
            next_level: 0,
            decoded: 0,
        })
    }

    fn refill(&mut self) -> Result<()> {
        let rows = self.left.min(self.batch);
        if rows == 0 {
            return Err(wrong("it has too few rows"));
        }
        self.values.clear();
        self.definitions.clear();
        self.repetitions.clear();
        (self.next_value, self.next_level) = (0, 0);
        let definitions = (0 < self.present).then_some(&mut self.definitions);
        let repetitions = self.has_lists.then_some(&mut self.repetitions);
        let Some(reader) = &mut self.reader else { return Err(wrong("a column has no values")) };
        let (read, _, _) = reader.read_records(rows, definitions, repetitions, &mut self.values)?;
        if read != rows {
            return Err(wrong("a column has too few rows"));
        }
        self.left -= rows;
        self.decoded = rows;
        Ok(())
    }

    fn take_value(&mut self) -> Result<T::T> {
        let value = self.values.get_mut(self.next_value).map(std::mem::take);
        self.next_value += 1;
        value.ok_or_else(|| wrong("a column has too few values"))
    }

    fn take_level(&mut self) -> Result<i16> {
        let level = self.definitions.get(self.next_level).copied();
        self.next_level += 1;
        level.ok_or_else(|| wrong("a column has too few levels"))
    }

    /// The next row, of a column that is no list.
    pub fn next(&mut self) -> Result<Option<T::T>> {
        if self.reader.is_none() {
            return self.pass(1).map(|()| None);
        }
        if self.decoded == 0 {
            self.refill()?;
        }
        self.decoded -= 1;
        if 0 < self.present && self.take_level()? != self.present {
            return Ok(None);
        }
        self.take_value().map(Some)
    }

    /// The next row, which must have a value.
    pub fn require(&mut self) -> Result<T::T> {
        self.next()?.ok_or_else(|| wrong("a value is missing"))
    }

    /// The next row of a list; empty for one that is missing.
    pub fn next_list(&mut self) -> Result<Vec<T::T>> {
        let items = self.next_sparse_list()?;
        let count = items.len();
        let items: Vec<T::T> = items.into_iter().flatten().collect();
        if items.len() == count { Ok(items) } else { Err(wrong("a value is missing")) }
    }

    /// The next row of a list whose elements may lack this value.
    pub fn next_sparse_list(&mut self) -> Result<Vec<Option<T::T>>> {
        if self.reader.is_none() {
            return self.pass(1).map(|()| Vec::new());
        }
        if self.decoded == 0 {
            self.refill()?;
        }
        self.decoded -= 1;
        let mut items = Vec::new();
        loop {
            match self.take_level()? {
                level if level == self.present => items.push(Some(self.take_value()?)),
                // The element is there, and this is not: a list and its elements are levels 1 and 2.
                2 => items.push(None),
                _ => {}
            }
            // The next level with a repetition of 0 begins the next row.
            if self.repetitions.get(self.next_level).is_none_or(|level| *level == 0) {
                return Ok(items);
            }
        }
    }

    /// Passes over rows; pages of which it needs nothing are not read.
    pub fn skip(&mut self, rows: usize) -> Result<()> {
        let decoded = rows.min(self.decoded);
        for _ in 0..decoded {
            if self.has_lists {
                self.next_sparse_list()?;
            } else if self.present == 0 {
                self.next_value += 1;
                self.decoded -= 1;
            } else {
                self.next()?;
            }
        }
        let rest = rows - decoded;
        if rest == 0 {
            return Ok(());
        }
        self.pass(rest)
    }

    /// Passes over rows that are not decoded.
    fn pass(&mut self, rows: usize) -> Result<()> {
        let passed = match &mut self.reader {
            _ if self.left < rows => 0,
            Some(reader) => reader.skip_records(rows)?,
            None => rows,
        };
        if passed != rows {
            return Err(wrong("a column has too few rows"));
        }
        self.left -= rows;
        Ok(())
    }
}

/// An error of content, as the library has them.
pub(super) fn wrong(reason: &str) -> ParquetError {
    ParquetError::General(reason.into())
}
