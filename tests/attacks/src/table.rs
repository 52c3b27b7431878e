//! The table: what was done, what its bound is, what was seen, and whether the bound holds.

use std::fmt;

/// All rows so far, under the facts of the run.
pub(crate) struct Table {
    facts: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(facts: String) -> Self {
        Self {
            facts,
            rows: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, rows: Vec<Row>) {
        self.rows.extend(rows);
    }

    /// Whether all of it holds, and there is something.
    pub(crate) fn holds(&self) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(Row::holds)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.facts)?;
        writeln!(f, "| attack | seen, and its bound | nginx beside it | |")?;
        writeln!(f, "|---|---|---|---|")?;
        for row in &self.rows {
            let verdict = if row.holds() { "holds" } else { "**fails**" };
            let seen: Vec<_> = row.figures.iter().map(Figure::to_string).collect();
            let (attack, seen) = (&row.attack, seen.join("; "));
            writeln!(f, "| {attack} | {seen} | {} | {verdict} |", row.nginx)?;
        }
        Ok(())
    }
}

/// One attack and how it went.
pub(crate) struct Row {
    attack: String,
    figures: Vec<Figure>,
    nginx: String,
}

/// Something that was seen, and its bound.
struct Figure {
    seen: String,
    bound: String,
    holds: bool,
}

impl Row {
    pub(crate) fn new(attack: impl Into<String>) -> Self {
        Self {
            attack: attack.into(),
            figures: Vec::new(),
            nginx: String::new(),
        }
    }

    /// An attack that could not be carried out.
    pub(crate) fn broken(name: &str) -> Self {
        Self::new(name).saw("it broke, see above", "an end", false)
    }

    /// Adds what was seen with its bound, and whether that holds.
    pub(crate) fn saw(
        mut self,
        seen: impl Into<String>,
        bound: impl Into<String>,
        holds: bool,
    ) -> Self {
        self.figures.push(Figure {
            seen: seen.into(),
            bound: bound.into(),
            holds,
        });
        self
    }

    /// Adds a figure in `unit` that may not be above its bound.
    pub(crate) fn at_most(self, what: &str, figure: f64, bound: f64, unit: &str) -> Self {
        let digits = if bound < 10.0 { 2 } else { 1 };
        let seen = format!("{what} {figure:.digits$} {unit}");
        self.saw(seen, format!("≤ {bound} {unit}"), figure <= bound)
    }

    /// Adds a number of things that may not be above its bound.
    pub(crate) fn count(self, number: usize, what: &str, bound: usize) -> Self {
        let seen = format!("{number} {what}");
        self.saw(seen, format!("≤ {bound}"), number <= bound)
    }

    /// What nginx does under the same.
    pub(crate) fn beside(mut self, nginx: impl Into<String>) -> Self {
        self.nginx = nginx.into();
        self
    }

    fn holds(&self) -> bool {
        self.figures.iter().all(|figure| figure.holds)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.holds() { "holds" } else { "FAILS" };
        write!(f, "  {verdict}: {}", self.attack)?;
        for figure in &self.figures {
            write!(f, "\n    {figure}")?;
        }
        if self.nginx.is_empty() {
            return Ok(());
        }
        write!(f, "\n    nginx: {}", self.nginx)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.holds { "" } else { "**" };
        write!(f, "{mark}{}{mark} ({})", self.seen, self.bound)
    }
}

/// From one reading to a later one, in MB.
pub(crate) fn grown_mb(before: u64, after: u64) -> f64 {
    (after as f64 - before as f64) / 1e6
}

/// The same for each of so many, in KiB.
pub(crate) fn grown_kib_each(before: u64, after: u64, number: usize) -> f64 {
    (after as f64 - before as f64) / 1024.0 / number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_holds_when_it_is_just_reached_and_one_figure_fails_a_row() {
        assert!(Row::new("a").at_most("x", 16.0, 16.0, "KiB").holds());
        let row = Row::new("a").at_most("x", 1.0, 2.0, "s");
        assert!(row.holds());
        assert!(!row.at_most("y", f64::NAN, 2.0, "s").holds());
        assert!(Row::new("a").count(2, "calls", 2).holds());
        assert!(!Row::new("a").count(3, "calls", 2).holds());
    }

    #[test]
    fn a_table_without_rows_proves_nothing() {
        let mut table = Table::new(String::new());
        assert!(!table.holds());
        table.add(vec![Row::new("a").at_most("x", 1.0, 2.0, "s")]);
        assert!(table.holds());
    }
}
