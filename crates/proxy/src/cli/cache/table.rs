//! Columns for people: two spaces apart, no lines, so that `grep`, `sort` and `awk` take them, too.

use std::fmt::{self, Write as _};

/// Which side a column's cells stand on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows under titles. Every row has as many cells as there are titles.
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

    pub(super) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
