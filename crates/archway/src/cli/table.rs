//! Tables for people, and the text of sizes and times in their cells.
//!
//! Columns are two spaces apart and there are no rules, so `grep`, `sort` and `awk` work on them.

use std::{
    fmt::{self, Write as _},
    time::{Duration, UNIX_EPOCH},
};

use manifest_model::Digest;

/// The alignment of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows under titles. `Display` makes each column as wide as its widest cell.
pub(super) struct Table<const N: usize> {
    titles: [(&'static str, Side); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(titles: [(&'static str, Side); N]) -> Self {
        Self {
            titles,
            rows: Vec::new(),
        }
    }

    /// A table whose columns are all aligned to the left.
    pub(super) fn left(titles: [&'static str; N]) -> Self {
        Self::new(titles.map(|title| (title, Side::Left)))
    }

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(printable));
    }

    /// Whether the table has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown: not aligned, and with `|` escaped in cells.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String; N]| {
            let cells = cells.each_ref().map(|cell| cell.replace('|', "\\|"));
            format!("| {} |\n", cells.join(" | "))
        };
        let mut page = line(&self.titles.map(|(title, _)| title.to_owned()));
        page.push_str(&line(&["---"; N].map(str::to_owned)));
        for row in &self.rows {
            page.push_str(&line(row));
        }
        page
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut widths = self.titles.map(|(title, _)| title.len());
        for (width, cell) in self.rows.iter().flat_map(|row| std::iter::zip(0.., row)) {
            widths[width] = widths[width].max(cell.chars().count());
        }
        let titles = self.titles.map(|(title, _)| title.to_owned());
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate() {
                let width = widths[at];
                match self.titles[at].1 {
                    Side::Left => write!(line, "{cell:<width$}  ")?,
                    Side::Right => write!(line, "{cell:>width$}  ")?,
                }
            }
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Escapes control characters: cells hold text from manifests, which must not control a terminal.
pub(super) fn printable(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut spelled = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            spelled.extend(char.escape_default());
        } else {
            spelled.push(char);
        }
    }
    spelled
}

/// A size for people: three digits and a binary unit.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// The last second of the year 9999, the latest that RFC 3339 can write.
pub(super) const MAX_UNIX_SECONDS: u64 = 253_402_300_799;

/// A time for people, from seconds since 1970, in UTC.
pub(super) fn time(seconds: u64) -> String {
    let since = Duration::from_secs(seconds.min(MAX_UNIX_SECONDS));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// The start of a digest, enough for people. JSON has all of it.
pub(super) fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    text.chars().take("sha256:".len() + 12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_utc_and_none_is_too_late_to_be_written() {
        assert_eq!(time(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn a_cell_does_not_steer_the_terminal() {
        let mut table = Table::left(["PLATFORM"]);
        table.row(["linux/\u{1b}[2Jamd64\n\u{9b}1m\u{e9}".into()]);
        assert_eq!(
            table.to_string(),
            "PLATFORM\nlinux/\\u{1b}[2Jamd64\\n\\u{9b}1m\u{e9}\n"
        );
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let mut table = Table::new([("NAME", Side::Left), ("SIZE", Side::Right)]);
        table.row(["a".into(), "1 GiB".into()]);
        table.row(["longer".into(), "2 B".into()]);
        assert_eq!(
            table.to_string(),
            "NAME     SIZE\na       1 GiB\nlonger    2 B\n"
        );
    }

    #[test]
    fn markdown_has_a_line_below_the_titles() {
        let mut table = Table::left(["P", "N"]);
        table.row(["linux/amd64".into(), "1".into()]);
        assert_eq!(
            table.markdown(),
            "| P | N |\n| --- | --- |\n| linux/amd64 | 1 |\n"
        );
    }

    #[test]
    fn a_bar_ends_no_cell_of_markdown() {
        let mut table = Table::left(["P"]);
        table.row(["linux/amd64|x".into()]);
        assert!(table.markdown().ends_with("| linux/amd64\\|x |\n"));
    }
}
