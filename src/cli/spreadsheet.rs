//! Formula evaluation by spreadsheets.

/// Leading characters that make a spreadsheet evaluate a cell.
pub(super) const EVALUATED: [char; 4] = ['=', '+', '-', '@'];
