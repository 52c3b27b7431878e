//! A configuration that could not be parsed, with its values drawn over.
//!
//! Nobody knows yet which of them are secrets: a password may stand under a key that is misspelt, without its quotes, or
//! behind a bracket that is missing. So this reads TOML as loosely as a person would, and shows keys, structure, numbers and
//! booleans; what it cannot place is a value.

use std::ops::Range;

/// The text with asterisks for every value that is a text, byte by byte, so that all places stay where they are.
pub(super) fn values(text: &str) -> String {
    let mut masked = text.to_owned();
    for span in Reader::of(text) {
        mask(&mut masked, &span);
    }
    masked
}

/// Draws over the span, byte by byte, so that all places after it stay where they are.
pub(super) fn mask(text: &mut String, span: &Range<usize>) {
    let start = text.floor_char_boundary(span.start);
    let end = text.ceil_char_boundary(span.end.max(start));
    let masked: String = text[start..end]
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { '*' })
        .collect();
    text.replace_range(start..end, &masked);
}

/// What is expected next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Key,
    /// A key has been read: only a dot leads to more of it.
    AfterKey,
    Value,
}

/// Walks through the text; its items are the values that are texts.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    place: Place,
    /// The brackets and braces of values that are open.
    open: Vec<u8>,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Self {
        Reader {
            text,
            at: 0,
            place: Place::Key,
            open: Vec::new(),
        }
    }

    /// Goes over one mark or text, and says where the text was if it may be a secret.
    fn step(&mut self, byte: u8) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        match byte {
            b'#' => {
                let rest = &self.text[self.at..];
                self.at += rest.find('\n').unwrap_or(rest.len());
            }
            b'\n' if self.open.is_empty() => self.place = Place::Key,
            b'=' | b':' => self.place = Place::Value,
            b'.' if self.place == Place::AfterKey => self.place = Place::Key,
            b'[' if self.place == Place::Key => {}
            b'[' => self.open.push(byte),
            b'{' => {
                self.open.push(byte);
                self.place = Place::Key;
            }
            b']' | b'}' => {
                self.open.pop();
                self.place = Place::Value;
            }
            b',' if self.open.last() == Some(&b'{') => self.place = Place::Key,
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {}
            _ => {
                self.at = start + self.word(start);
                return self.read(start..self.at);
            }
        }
        None
    }

    /// A text is a key or a value.
    fn read(&mut self, span: Range<usize>) -> Option<Range<usize>> {
        if self.place == Place::Key {
            self.place = Place::AfterKey;
            return None;
        }
        self.place = Place::Value;
        let word = &self.text[span.clone()];
        let is_number = word.starts_with(|first: char| first.is_ascii_digit())
            && word
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"_.".contains(&byte));
        (!is_number && !matches!(word, "true" | "false")).then_some(span)
    }

    /// The length of the text that begins at `start`: to its closing quotes or the end of the line, or as long as it goes on
    /// without a mark.
    fn word(&self, start: usize) -> usize {
        let rest = &self.text[start..];
        for (quotes, end) in [
            ("\"\"\"", "\"\"\""),
            ("'''", "'''"),
            ("\"", "\""),
            ("'", "'"),
        ] {
            let Some(inside) = rest.strip_prefix(quotes) else {
                continue;
            };
            let limit = match quotes.len() {
                1 => inside.find('\n').unwrap_or(inside.len()),
                _ => inside.len(),
            };
            return quotes.len() + closing(&inside[..limit], end);
        }
        let ends = |char| match char {
            '.' => self.place != Place::Value,
            _ => " \t\r\n=:[]{},#\"'".contains(char),
        };
        // The first character is part of it, whatever it is: so each step leads on.
        let mut later = rest.char_indices().skip(1);
        later
            .find(|(_, char)| ends(*char))
            .map_or(rest.len(), |(at, _)| at)
    }
}

/// The length up to and with the closing quotes; all of it where there are none. In double quotes a backslash takes the next
/// character with it.
fn closing(inside: &str, quotes: &str) -> usize {
    let mut at = 0;
    while let Some(char) = inside[at..].chars().next() {
        if inside[at..].starts_with(quotes) {
            return at + quotes.len();
        }
        at += char.len_utf8();
        if char == '\\' && quotes.starts_with('"') {
            at += inside[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    at
}

impl Iterator for Reader<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            if let Some(span) = self.step(*byte) {
                return Some(span);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_structure_numbers_and_booleans_stay() {
        let text = "[upstream.\"docker.io\"] # \"x\"\n\
                    'a key'.b = { \"c d\" = [1, true, { e = 2 }], f = 3.5 }\n\
                    [[listener]]\ng = [\n  4, # no\n]\nh = 5";
        assert_eq!(values(text), text);
    }

    #[test]
    fn texts_that_are_values_go_however_they_are_quoted() {
        for (text, expected) in [
            ("a = \"s\"", "a = ***"),
            ("a = { b = \"s\", c = 's' }", "a = { b = ***, c = *** }"),
            (
                "a = [\n\"s\",\n['s'], 5]\nb = 1",
                "a = [\n***,\n[***], 5]\nb = 1",
            ),
            ("a = \"\"\"s\n\"s\"\"\"\nb = 1", "a = ****\n*****\nb = 1"),
            ("a = \"\\\"s\" # c", "a = ***** # c"),
            ("a = s", "a = *"),
            ("a = \"s", "a = **"),
            ("a: \"s\"", "a: ***"),
            ("a \"s\"", "a ***"),
            ("a = \"b, c = \"s\" }", "a = **********"),
        ] {
            let masked = values(text);
            assert!(masked.starts_with(expected), "{text:?} {masked:?}");
            assert!(!masked.contains('s'), "{text:?} {masked:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_and_its_lines(text in any::<String>()) {
            let masked = values(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn a_quoted_value_is_never_shown(
            head in "[a-z.]{0,5}", secret in "S{6}[A-Z]{0,9}", tail in "[\\]}, ]{0,4}",
        ) {
            for quote in ["\"", "'", "\"\"\"", "'''"] {
                let text = format!("{head}k = {{ x = {quote}{secret}{quote}{tail}\nnext = 1");
                prop_assert!(!values(&text).contains("SSSSSS"));
            }
        }
    }
}
