//! Samples of one quantity over the runs.

/// In the order in which they were taken, so that the same run of two contenders can be compared.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Not a number when there are none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            odd if odd % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// This in proportion to `other`, run by run.
    pub(crate) fn over(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(own, other)| own / other).collect())
    }

    /// Median with the smallest and the largest, to this many decimals.
    pub(crate) fn show(&self, decimals: usize) -> String {
        let sorted = self.sorted();
        let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
            return "-".to_owned();
        };
        let median = self.median();
        if sorted.len() == 1 {
            format!("{median:.decimals$}")
        } else {
            format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// The value below which `percent` of them lie; nothing of nothing.
pub(crate) fn percentile<T: Ord + Copy>(values: &mut [T], percent: usize) -> Option<T> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get(last * percent / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_ones() {
        assert!((Samples::from_iter([9.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((Samples::from_iter([9.0, 1.0, 2.0, 4.0]).median() - 3.0).abs() < 1e-9);
        assert!(Samples::default().median().is_nan());
    }

    #[test]
    fn ratios_are_taken_run_by_run() {
        let own = Samples::from_iter([2.0, 30.0]);
        let other = Samples::from_iter([1.0, 10.0]);
        assert_eq!(own.over(&other).show(1), "2.5 (2.0–3.0)");
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<u32> = (0..=100).rev().collect();
        assert_eq!(percentile(&mut values, 99), Some(99));
        assert_eq!(percentile(&mut values, 50), Some(50));
        assert_eq!(percentile::<u32>(&mut [], 50), None);
    }
}
