//! An open Parquet file.

use std::{path::Path, sync::Arc};

use parquet::{
    bloom_filter::Sbbf,
    errors::Result,
    file::{
        metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        properties::ReaderProperties,
        serialized_reader::SerializedRowGroupReader,
        statistics::Statistics,
    },
};

use super::file::{Checked, LOST, reading};
use crate::durability::error::Error;

/// Rows that are decoded at a time where all are read.
pub(super) const ALL: usize = 1_024;
/// Rows that are decoded at a time where one order is.
pub(super) const ONE: usize = 8;

/// An open Parquet file, of which the description is decoded.
pub(super) struct RowFile {
    file: Arc<Checked>,
    metadata: ParquetMetaData,
    /// The first row of each row group, and the number of rows.
    starts: Vec<u64>,
}

impl RowFile {
    /// Opens a file; `rows` is what its manifest says.
    ///
    /// # Errors
    /// `Damaged`, `Io`.
    pub fn open(file: Checked, rows: u64) -> crate::durability::error::Result<Self> {
        let path = file.path().to_path_buf();
        let damaged = |reason: &str| Error::damaged(&path, 0, None, reason, LOST);
        let reader = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Required);
        let metadata = reader.parse_and_finish(&file).map_err(reading(&path))?;
        let mut starts = vec![0];
        for group in metadata.row_groups() {
            let rows =
                u64::try_from(group.num_rows()).map_err(|_| damaged("a row group of impossible size"))?;
            starts.push(starts.last().expect("there is one") + rows);
        }
        if starts.last() != Some(&rows) {
            return Err(damaged("it has another number of rows than its manifest says"));
        }
        Ok(Self { file: Arc::new(file), metadata, starts })
    }

    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// What the file says of itself under this key.
    pub fn description(&self, key: &str) -> Option<&str> {
        let pairs = self.metadata.file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// The number of row groups.
    pub fn groups(&self) -> usize {
        self.metadata.num_row_groups()
    }

    /// The first row of a row group.
    pub fn start(&self, group: usize) -> u64 {
        self.starts[group]
    }

    /// The rows of a row group.
    pub fn rows_of(&self, group: usize) -> usize {
        usize::try_from(self.starts[group + 1] - self.starts[group]).unwrap_or(usize::MAX)
    }

    /// The row group of a row, and its position there.
    pub fn locate(&self, row: u64) -> Option<(usize, usize)> {
        let group = self.starts.partition_point(|start| *start <= row).checked_sub(1)?;
        let at = usize::try_from(row - self.starts[group]).ok()?;
        (group < self.groups()).then_some((group, at))
    }

    pub fn group(&self, group: usize) -> Result<SerializedRowGroupReader<'_, Checked>> {
        let properties = Arc::new(ReaderProperties::builder().set_read_bloom_filter(false).build());
        SerializedRowGroupReader::new(
            Arc::clone(&self.file),
            self.metadata.row_group(group),
            self.metadata.page_index_for_row_group(group),
            properties,
        )
    }

    pub fn about(&self, group: usize) -> &RowGroupMetaData {
        self.metadata.row_group(group)
    }

    /// The least and the greatest number in a column of a row group, where the file says them.
    pub fn range(&self, group: usize, column: usize) -> Option<[i64; 2]> {
        match self.about(group).columns().get(column)?.statistics()? {
            Statistics::Int64(statistics) => Some([*statistics.min_opt()?, *statistics.max_opt()?]),
            _ => None,
        }
    }

    /// The least and the greatest text, likewise; cut short, but never inside what is between them.
    pub fn text_range(&self, group: usize, column: usize) -> Option<[&[u8]; 2]> {
        let statistics = self.about(group).columns().get(column)?.statistics()?;
        Some([statistics.min_bytes_opt()?, statistics.max_bytes_opt()?])
    }

    /// Whether a column of a row group may have a value; `true` where nothing is known.
    pub fn may_have(&self, group: usize, column: usize, value: &[u8]) -> Result<bool> {
        let Some(chunk) = self.about(group).columns().get(column) else { return Ok(true) };
        let filter = Sbbf::read_from_column_chunk(chunk, &*self.file)?;
        Ok(filter.is_none_or(|filter| filter.check(value)))
    }
}
