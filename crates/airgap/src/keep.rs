//! `bundle keep`: which bundles have had their day.

use std::collections::BTreeMap;

use cache::{BundleRow, Stage};
use manifest_model::Digest;

/// The bundles that go when each series keeps its `last` ones. What has no series stays, and what is
/// still on its way.
pub fn surplus<'a>(bundles: impl Iterator<Item = &'a BundleRow>, last: usize) -> Vec<Digest> {
    let mut series: BTreeMap<&str, Vec<(u64, Digest)>> = BTreeMap::new();
    for row in bundles.filter(|row| row.stage == Stage::Imported) {
        if let Some((name, sequence)) = &row.series {
            series.entry(name).or_default().push((*sequence, row.id));
        }
    }
    let mut surplus = Vec::new();
    for mut bundles in series.into_values() {
        bundles.sort_unstable_by(|a, b| b.cmp(a));
        surplus.extend(bundles.into_iter().skip(last).map(|(_, id)| id));
    }
    surplus
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn row(series: Option<(&str, u64)>, stage: Stage) -> BundleRow {
        let text = format!("{series:?} {stage:?}");
        BundleRow {
            id: Digest::of(Algorithm::Sha256, text.as_bytes()),
            stage,
            since: 0,
            series: series.map(|(name, sequence)| (name.to_owned(), sequence)),
            signer: None,
            allowed: Vec::new(),
            images: 0,
            names: Vec::new(),
        }
    }

    #[test]
    fn each_series_keeps_its_last_ones_and_what_has_none_stays() {
        let old = row(Some(("site", 9)), Stage::Imported);
        let rows = [
            row(None, Stage::Imported),
            row(Some(("site", 11)), Stage::Imported),
            old.clone(),
            row(Some(("site", 10)), Stage::Imported),
            row(Some(("site", 1)), Stage::Arriving),
            row(Some(("other", 1)), Stage::Imported),
        ];
        assert_eq!(surplus(rows.iter(), 2), [old.id]);
        assert_eq!(surplus(rows.iter(), 3), []);
    }
}
