//! File text in messages, escaped so that lookalike texts can be told apart.

use std::borrow::Cow;

/// Characters that are letters or marks by class but draw nothing: a grapheme joiner, fillers, variation
/// selectors.
const UNSEEN: [std::ops::RangeInclusive<char>; 6] = [
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{e0100}'..='\u{e01ef}',
];

/// Combining accents: with the preceding letter they look like the precomposed letter.
const ACCENTS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// Returns the text with every character that is invisible, looks like a blank, or combines with the one
/// before it written like `\u{200b}`.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn is_hidden(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    // The standard library escapes nonprinting characters, and at the beginning of a text those that combine
    // with the preceding character: so it is placed second.
    let prints = || {
        let mut text = [0; 8];
        text[0] = b'x';
        let length = 1 + character.encode_utf8(&mut text[1..]).len();
        std::str::from_utf8(&text[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(character))
    };
    ACCENTS.contains(&character) || UNSEEN.iter().any(|range| range.contains(&character)) || !prints()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        // text, as shown
        let table = [
            ("alice", "alice"),
            ("O'Brien \\N \"x\"", "O'Brien \\N \"x\""),
            ("Zo\u{eb} \u{1f600} \u{5b57}", "Zo\u{eb} \u{1f600} \u{5b57}"),
            ("\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}", "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}"),
            ("ali\u{200b}ce", "ali\\u{200b}ce"),
            ("\u{feff}alice", "\\u{feff}alice"),
            ("al\u{ad}ice\u{200d}", "al\\u{ad}ice\\u{200d}"),
            ("a\u{a0}b\u{202f}c\u{3000}d\u{2007}e", "a\\u{a0}b\\u{202f}c\\u{3000}d\\u{2007}e"),
            ("Zoe\u{308}", "Zoe\\u{308}"),
            ("a\u{202e}b\u{2066}", "a\\u{202e}b\\u{2066}"),
            ("a\u{fe0f}\u{3164}b\u{115f}", "a\\u{fe0f}\\u{3164}b\\u{115f}"),
            ("a\nb\u{85}", "a\\u{a}b\\u{85}"),
        ];
        for (text, shown) in table {
            assert_eq!(visible(text), shown);
        }
    }
}
