//! The numbers of the metrics, read from their text.

use std::collections::{BTreeMap, HashMap};

/// What all metrics begin with.
const PREFIX: &str = "archway_";

/// All numbers of one moment, the buckets of histograms left out.
#[derive(Debug, Default)]
pub(crate) struct Counted(HashMap<String, Vec<Row>>);

#[derive(Debug)]
struct Row {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Row {
    fn label(&self, name: &str) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| label == name)?;
        Some(&found.1)
    }
}

impl Counted {
    /// Reads the text of the metrics. A line that is none of a number is left out.
    pub(crate) fn read(text: &str) -> Self {
        let mut numbers: HashMap<String, Vec<Row>> = HashMap::new();
        for line in text.lines() {
            let Some(line) = line.strip_prefix(PREFIX) else {
                continue;
            };
            let end = line.find(['{', ' ']).unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            if name.ends_with("_bucket") {
                continue;
            }
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => labels(rest),
                None => (Vec::new(), rest),
            };
            let value = value.split_whitespace().next().unwrap_or_default();
            if let Ok(value) = value.parse() {
                let row = Row { labels, value };
                numbers.entry(name.to_owned()).or_default().push(row);
            }
        }
        Self(numbers)
    }

    /// The sum of a metric, without `archway_`, over all labels; 0 if there is none.
    pub(crate) fn sum(&self, name: &str) -> u64 {
        self.sum_where(name, &[])
    }

    /// The sum over the rows that have these labels.
    pub(crate) fn sum_where(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let rows = self.0.get(name).into_iter().flatten();
        let fits = |row: &&Row| {
            let mut labels = labels.iter();
            labels.all(|(label, value)| row.label(label) == Some(value))
        };
        whole(rows.filter(fits).map(|row| row.value).sum())
    }

    /// Whether the metric has a row with this label.
    pub(crate) fn has(&self, name: &str, label: &str, value: &str) -> bool {
        let mut rows = self.0.get(name).into_iter().flatten();
        rows.any(|row| row.label(label) == Some(value))
    }

    /// The sums of a metric by the value of one label.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums: BTreeMap<String, f64> = BTreeMap::new();
        for row in self.0.get(name).into_iter().flatten() {
            if let Some(value) = row.label(label) {
                *sums.entry(value.to_owned()).or_default() += row.value;
            }
        }
        sums.into_iter()
            .map(|(value, sum)| (value, whole(sum)))
            .collect()
    }

    /// The sums of a metric by the values of two labels.
    pub(crate) fn by_two(&self, name: &str, labels: [&str; 2]) -> BTreeMap<[String; 2], u64> {
        let mut sums: BTreeMap<[String; 2], f64> = BTreeMap::new();
        for row in self.0.get(name).into_iter().flatten() {
            if let [Some(first), Some(second)] = labels.map(|label| row.label(label)) {
                let values = [first.to_owned(), second.to_owned()];
                *sums.entry(values).or_default() += row.value;
            }
        }
        sums.into_iter()
            .map(|(values, sum)| (values, whole(sum)))
            .collect()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float is bounded by its target"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// The labels up to the closing brace, and what is behind it.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let Some((name, quoted)) = rest.split_once("=\"") else {
            return (labels, "");
        };
        let (value, behind) = unquoted(quoted);
        labels.push((name.to_owned(), value));
        rest = behind;
    }
}

/// The text up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_summed_by_their_labels() {
        let text = "# TYPE archway_sent_bytes counter\n\
                    archway_sent_bytes_total{outcome=\"hit\",x=\"a\\\"},\\\\b\"} 5\n\
                    archway_sent_bytes_total{outcome=\"miss\",x=\"\"} 7 1700000000\n\
                    archway_wait_seconds_bucket{le=\"1\"} 9\n\
                    archway_wait_seconds_count 2\n\
                    process_cpu_seconds 1\n# EOF\n";
        let counted = Counted::read(text);
        assert_eq!(counted.sum("sent_bytes_total"), 12);
        assert_eq!(
            counted.sum_where("sent_bytes_total", &[("outcome", "miss")]),
            7
        );
        assert_eq!(counted.by("sent_bytes_total", "x")["a\"},\\b"], 5);
        assert_eq!(counted.sum("wait_seconds_count"), 2);
        assert_eq!(counted.sum("wait_seconds_bucket"), 0);
        assert_eq!(counted.sum("nothing"), 0);
        let pairs = counted.by_two("sent_bytes_total", ["x", "outcome"]);
        assert_eq!(pairs[&[String::new(), "miss".to_owned()]], 7);
    }

    #[test]
    fn a_text_that_breaks_off_is_no_way_to_a_panic() {
        for text in [
            "archway_a{",
            "archway_a{b=\"",
            "archway_a{b=\"\\",
            "archway_",
        ] {
            assert_eq!(Counted::read(text).sum("a"), 0);
        }
    }
}
