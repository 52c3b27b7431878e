//! Where a TOML text is broken, in one line.

/// The line of an error, and its message without the drawing of the source.
pub(super) fn of(text: &str, error: &toml_edit::TomlError) -> (usize, String) {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.split('\n').count());
    (line, error.message().trim().replace('\n', "; "))
}
