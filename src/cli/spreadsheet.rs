//! Formula evaluation by spreadsheets.

/// Leading characters that make a spreadsheet evaluate a cell.
const EVALUATED: [char; 4] = ['=', '+', '-', '@'];
/// Before a cell it says that the rest is text.
const MARK: char = '\'';

/// The mark that a text needs in a file for spreadsheets. A text that already looks marked gets one more, so
/// that [`unmarked`] returns every text as it was.
pub(super) fn mark_of(text: &str) -> &'static str {
    if text.trim_start_matches(MARK).starts_with(EVALUATED) { "'" } else { "" }
}

/// Returns a cell without its mark.
pub(super) fn unmarked(cell: &str) -> &str {
    cell.strip_prefix(MARK).filter(|text| !mark_of(text).is_empty()).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_text_comes_back(text in "['=+@a-]{0,6}") {
            let cell = format!("{}{text}", mark_of(&text));
            prop_assert!(!cell.starts_with(EVALUATED));
            prop_assert_eq!(unmarked(&cell), text);
        }
    }
}
