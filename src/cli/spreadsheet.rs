//! What spreadsheets do to files that pass through them.

/// Characters that make a spreadsheet evaluate a cell which begins with one.
pub(super) const EVALUATED: [char; 4] = ['=', '+', '-', '@'];
