//! Columns of text.

use std::fmt::Write;

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

#[cfg(test)]
mod tests {
    use super::*;

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
