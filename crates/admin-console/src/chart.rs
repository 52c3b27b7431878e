//! Lines over time. A line says how something went; its numbers are in the table behind it.

use std::fmt::Write as _;

use admin_api::Time;

use crate::block::{Cell, Chart, Column, Row, Table};

const WIDTH: usize = 600;
const HEIGHT: usize = 100;

/// Rows of the table behind a line: some five an hour of a day tell as much as all.
const MAX_ROWS: usize = 120;

/// The texts of a chart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChartText {
    pub(crate) label: &'static str,
    pub(crate) details: &'static str,
    pub(crate) time: &'static str,
    pub(crate) none: &'static str,
}

/// Draws a series of times and values. `summary` says the line in words; `shown` writes a value.
pub(crate) fn chart(
    text: ChartText,
    series: &[(Time, u64)],
    summary: String,
    shown: fn(u64) -> String,
) -> Chart {
    let step = series.len().div_ceil(MAX_ROWS).max(1);
    let rows = series.iter().rev().step_by(step).map(|(time, value)| Row {
        head: Cell::time(time.to_string()),
        cells: vec![Cell::number(shown(*value))],
    });
    Chart {
        label: text.label,
        summary,
        width: WIDTH,
        height: HEIGHT,
        points: points(series),
        details: text.details,
        table: Table {
            caption: text.label.to_owned(),
            none: text.none,
            columns: vec![Column::text(text.time), Column::number(text.label)],
            rows: rows.collect(),
        },
    }
}

/// The points of the line, from the left edge to the right one, the highest at the top.
fn points(series: &[(Time, u64)]) -> String {
    let most = series.iter().map(|(_, value)| *value).max();
    let most = most.unwrap_or_default().max(1);
    let last = series.len().saturating_sub(1).max(1);
    let mut points = String::with_capacity(series.len() * 8);
    for (place, (_, value)) in series.iter().enumerate() {
        let x = place * WIDTH / last;
        let below = u128::from(*value) * HEIGHT as u128 / u128::from(most);
        let y = HEIGHT as u128 - below;
        let space = if place == 0 { "" } else { " " };
        let _ = write!(points, "{space}{x},{y}");
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[u64]) -> Vec<(Time, u64)> {
        values.iter().map(|value| (Time::at(0), *value)).collect()
    }

    #[test]
    fn the_line_spans_the_picture_and_touches_its_top() {
        assert_eq!(points(&series(&[0, 5, 10])), "0,100 300,50 600,0");
        assert_eq!(points(&series(&[0, 0])), "0,100 600,100");
        assert_eq!(points(&series(&[u64::MAX])), "0,0");
        assert_eq!(points(&[]), "");
    }

    #[test]
    fn the_table_of_a_day_is_short() {
        let text = ChartText {
            label: "a",
            details: "b",
            time: "c",
            none: "d",
        };
        let chart = chart(text, &series(&[1; 1440]), String::new(), |value| {
            value.to_string()
        });
        assert_eq!(chart.table.rows.len(), MAX_ROWS);
    }
}
