//! Tables of the report, their charts, and the bounds they are judged by.

use std::fmt;

use crate::chart::Bars;

/// A table in Markdown with a heading and a word on how to read it.
pub(crate) struct Table {
    title: String,
    note: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    bars: Vec<Bars>,
    /// Where the chart lies, seen from the report.
    chart: Option<String>,
}

impl Table {
    pub(crate) fn new<const N: usize>(title: &str, note: &str, head: [&str; N]) -> Self {
        Self {
            title: title.to_owned(),
            note: note.to_owned(),
            head: head.map(str::to_owned).into(),
            rows: Vec::new(),
            bars: Vec::new(),
            chart: None,
        }
    }

    /// One cell per column of the head.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(self.head.len(), N, "{}", self.title);
        self.rows.push(cells.into());
    }

    /// A group of bars for the chart above the table: what they are of, and each one's name and
    /// length.
    pub(crate) fn bars(&mut self, of: String, values: &[(&'static str, f64)]) {
        let values = values.to_vec();
        self.bars.push(Bars { of, values });
    }

    /// Its title, and its chart if it has one.
    pub(crate) fn charted(&self) -> Option<(&str, &[Bars])> {
        (!self.bars.is_empty()).then_some((self.title.as_str(), self.bars.as_slice()))
    }

    /// Shows the chart that lies there, seen from the report.
    pub(crate) fn show_chart(&mut self, path: String) {
        self.chart = Some(path);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = vec!["---".to_owned(); self.head.len()];
        writeln!(f, "### {}\n\n{}\n", self.title, self.note)?;
        if let Some(chart) = &self.chart {
            writeln!(f, "![{}]({chart})\n", self.title)?;
        }
        for line in [&self.head, &rule].into_iter().chain(&self.rows) {
            writeln!(f, "| {} |", line.join(" | "))?;
        }
        Ok(())
    }
}

/// What a figure has to reach.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    /// The figure, the bound, and whether it holds.
    pub(crate) fn judge(self, value: f64) -> String {
        let (sign, bound, met) = match self {
            Self::AtLeast(bound) => ('≥', bound, value >= bound),
            Self::AtMost(bound) => ('≤', bound, value <= bound),
        };
        let decimals = if bound >= 5.0 { 1 } else { 2 };
        let verdict = if met { "met" } else { "**missed**" };
        format!("{value:.decimals$}; {sign} {bound}: {verdict}")
    }
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_met_when_it_is_just_reached() {
        assert_eq!(Goal::AtLeast(0.9).judge(0.9), "0.90; ≥ 0.9: met");
        assert_eq!(Goal::AtMost(15.0).judge(15.04), "15.0; ≤ 15: **missed**");
    }

    #[test]
    fn a_figure_that_is_missing_meets_nothing() {
        assert!(Goal::AtLeast(0.0).judge(f64::NAN).contains("missed"));
        assert!(Goal::AtMost(1.0).judge(f64::NAN).contains("missed"));
    }
}
