//! Columns of text.

use std::{
    fmt::Write,
    time::{Duration, UNIX_EPOCH},
};

/// Rows below their heads, each column as wide as its widest cell.
pub(super) fn text(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heads = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut page = String::new();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page
}

/// The same as a table of Markdown.
pub(super) fn markdown(heads: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let mut page = line(&heads);
    page.push_str(&line(&vec!["---".to_owned(); heads.len()]));
    for row in rows {
        page.push_str(&line(row));
    }
    page
}

/// Bytes for people: three digits and a unit.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().iec().to_string()
}

/// The last second of a year with four digits.
const LATEST: u64 = 253_402_300_799;

/// Seconds since 1970 for people, in UTC.
pub(super) fn time(seconds: u64) -> String {
    let since = Duration::from_secs(seconds.min(LATEST));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
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
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["linux/amd64", "1"], ["x", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            text(&["PLATFORM", "N"], &rows),
            "PLATFORM     N\nlinux/amd64  1\nx            22\n"
        );
        assert_eq!(
            markdown(&["P", "N"], &rows[..1]),
            "| P | N |\n| --- | --- |\n| linux/amd64 | 1 |\n"
        );
    }
}
