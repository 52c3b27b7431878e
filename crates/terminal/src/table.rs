//! Tables for people, and the text of sizes and times in their cells.
//!
//! Columns are two spaces apart and there are no rules, so `grep`, `sort` and `awk` work on them.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    io::{self, IsTerminal as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use manifest_model::Digest;
use terminal_size::{Width, terminal_size};

/// Between two columns.
const GAP: usize = 2;

/// A column is not made narrower than this to fit a screen.
const NARROWEST: usize = 12;

/// What stands for text that is left out.
const DOTS: &str = "...";

/// The alignment of a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Text.
    Left,
    /// Numbers and sizes.
    Right,
}

/// Rows under titles. `Display` makes each column as wide as its widest cell.
pub struct Table<const N: usize> {
    titles: [(&'static str, Side); N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows, each title with its column's alignment.
    pub fn new(titles: [(&'static str, Side); N]) -> Self {
        Self {
            titles,
            rows: Vec::new(),
        }
    }

    /// A table whose columns are all aligned to the left.
    pub fn left(titles: [&'static str; N]) -> Self {
        Self::new(titles.map(|title| (title, Side::Left)))
    }

    /// Adds a row; control characters in it are escaped.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(printable));
    }

    /// Whether the table has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table in Markdown: not aligned, and with `|` escaped in cells.
    pub fn markdown(&self) -> String {
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

    /// The table for standard output: on a terminal no row is wider than that, since a row that
    /// breaks cannot be read. Elsewhere nothing is cut, for programs that read it.
    pub fn on_screen(&self) -> String {
        let width = io::stdout().is_terminal().then(terminal_size).flatten();
        match width {
            Some((Width(columns), _)) => self.within(columns.into()),
            None => self.to_string(),
        }
    }

    /// The table in rows of at most `columns` characters, if its columns can be that narrow. Of
    /// the widest cells the middle is left out: names differ at their ends.
    pub fn within(&self, columns: usize) -> String {
        let mut widths = self.widths();
        let least = self.titles.map(|(title, _)| title.len().max(NARROWEST));
        while widths.iter().sum::<usize>() + GAP * (N - 1) > columns {
            let wide = (0..N).filter(|at| widths[*at] > least[*at]);
            let Some(widest) = wide.max_by_key(|at| widths[*at]) else {
                break;
            };
            widths[widest] -= 1;
        }
        self.drawn(widths)
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = self.titles.map(|(title, _)| title.len());
        for (width, cell) in self.rows.iter().flat_map(|row| std::iter::zip(0.., row)) {
            widths[width] = widths[width].max(cell.chars().count());
        }
        widths
    }

    fn drawn(&self, widths: [usize; N]) -> String {
        let titles = self.titles.map(|(title, _)| title.to_owned());
        let mut page = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate() {
                let width = widths[at];
                let cell = without_middle(cell, width);
                let _ = match self.titles[at].1 {
                    Side::Left => write!(line, "{cell:<width$}  "),
                    Side::Right => write!(line, "{cell:>width$}  "),
                };
            }
            page.push_str(line.trim_end());
            page.push('\n');
        }
        page
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.drawn(self.widths()))
    }
}

/// The text in at most `width` characters, with dots for its middle where it is longer.
pub fn without_middle(text: &str, width: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    let Some(kept) = width.checked_sub(DOTS.len()).filter(|_| length > width) else {
        return text.into();
    };
    let start: String = text.chars().take(kept / 2).collect();
    let end: String = text.chars().skip(length - (kept - kept / 2)).collect();
    format!("{start}{DOTS}{end}").into()
}

/// Escapes control characters: cells hold text from manifests, which must not control a terminal.
pub fn printable(text: String) -> String {
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
pub fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// How long ago a time was, for people: its two largest units.
pub fn ago(time: SystemTime) -> String {
    let age = SystemTime::now().duration_since(time).unwrap_or_default();
    let age = humantime::format_duration(Duration::from_secs(age.as_secs())).to_string();
    let units: Vec<_> = age.split(' ').take(2).collect();
    format!("{} ago", units.join(" "))
}

/// Whole seconds since 1970; zero for an earlier time.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// The last second of the year 9999, the latest that RFC 3339 can write.
pub const MAX_UNIX_SECONDS: u64 = 253_402_300_799;

/// A time for people, from seconds since 1970, in UTC.
pub fn time(seconds: u64) -> String {
    let since = Duration::from_secs(seconds.min(MAX_UNIX_SECONDS));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

/// The start of a digest, enough for people. JSON has all of it.
pub fn short(digest: &Digest) -> String {
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
    fn a_row_fits_the_screen_and_keeps_both_ends_of_a_name() {
        let mut table = Table::left(["IMAGE", "STATE", "DIGEST"]);
        let name = format!("registry.test/team/{}:v1", "app/".repeat(30));
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        table.row([name, "cached".into(), digest]);
        let page = table.within(80);
        let rows: Vec<_> = page.lines().collect();
        assert!(rows.iter().all(|row| row.chars().count() <= 80), "{page}");
        assert!(
            rows[1].starts_with("registry.test/") && rows[1].ends_with("cdef"),
            "{page}"
        );
        assert!(rows[1].contains("/app/:v1  cached  sha256:"), "{page}");
        assert!(table.to_string().lines().any(|row| row.len() > 200));
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
