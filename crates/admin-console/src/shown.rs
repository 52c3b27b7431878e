//! What a page may show of a text that a stranger chose.
//!
//! Templates escape markup. This spells out what would hide or reorder text: control characters, and
//! the invisible ones that turn the direction of writing. It stands where a page is written, behind
//! the templates, which have none of them: so no value can be forgotten.

use std::fmt;

/// Writes into a text what it is given, with invisible characters spelled out.
#[derive(Debug, Default)]
pub(crate) struct Shown(pub(crate) String);

impl fmt::Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(place) = rest.find(is_hidden) {
            self.0.push_str(&rest[..place]);
            let mut chars = rest[place..].chars();
            if let Some(char) = chars.next() {
                self.0.extend(char.escape_default());
            }
            rest = chars.as_str();
        }
        self.0.push_str(rest);
        Ok(())
    }
}

fn is_hidden(char: char) -> bool {
    match char {
        '\n' => false,
        // Zero widths, marks and overrides of direction, tags, and the byte order mark.
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => true,
        char => char.is_control(),
    }
}

/// A text in one line: line breaks are spelled out too.
pub(crate) fn in_one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn what_hides_or_reorders_text_is_spelled_out_and_the_rest_stays() {
        for (text, shown) in [
            ("plain, 中文, ünï\n", "plain, 中文, ünï\n"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\0\r\t\u{7f}\u{85}", "\\u{0}\\r\\t\\u{7f}\\u{85}"),
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("\u{2066}\u{200b}\u{feff}", "\\u{2066}\\u{200b}\\u{feff}"),
        ] {
            let mut written = Shown::default();
            written.write_str(text).unwrap();
            assert_eq!(written.0, shown);
        }
    }
}
