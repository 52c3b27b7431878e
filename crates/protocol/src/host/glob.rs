//! The one wildcard matcher: `*` matches any run of bytes, even an empty one, `?` matches one byte,
//! and every other byte matches itself.
//!
//! It needs no memory and at worst `pattern * text` steps, so a hostile pattern cannot stall it.

/// Whether `pattern` matches the whole of `text`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at_pattern, mut at_text) = (0, 0);
    // The state to resume from on a mismatch: behind the last `*`, which takes one byte more.
    let mut retry = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                retry = Some((at_pattern, at_text));
                continue;
            }
            Some(&byte) if byte == b'?' || byte == text[at_text] => {
                at_pattern += 1;
                at_text += 1;
                continue;
            }
            _ => {}
        }
        let Some((after_star, taken)) = retry else {
            return false;
        };
        at_pattern = after_star;
        at_text = taken + 1;
        retry = Some((after_star, taken + 1));
    }
    pattern[at_pattern..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_is_any_run_and_a_question_mark_one_byte() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "v1", true),
            ("?", "", false),
            ("v*.*.*", "v1.22.333", true),
            ("v*.*.*", "v1.22", false),
            ("v?.0", "v1.0", true),
            ("v?.0", "v10.0", false),
            ("*-rc*", "1.0-rc-rc2", true),
            ("a*b*c", "abcbd", false),
            ("a**b", "ab", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} on {text}"
            );
        }
    }
}
