//! Numbers of images per platform, for the metrics.

use std::collections::HashMap;

use cache::{Cache, CacheError};

use super::{Attached, Completeness, Image, listing::of_row};

/// Platforms counted by their names; what comes after them is `other`.
const MOST_PLATFORMS: usize = 16;

/// Images counted at most.
const MOST_IMAGES: usize = 20_000;

/// Tags read from the index at once.
const PAGE: usize = 2000;

/// The platform of those without room of their own.
const OTHER: &str = "other";

/// How many images there are for each platform, and how whole they are.
pub type Totals = HashMap<(String, Completeness), i64>;

/// Counts the images of all cached tags; `None` if it was kept from going on. `goes_on` is asked before each. Blocks, for as long
/// as it takes to look at each file's size.
pub fn totals(cache: &Cache, goes_on: impl Fn() -> bool) -> Result<Option<Totals>, CacheError> {
    let mut count = Count::default();
    let mut after: Option<String> = None;
    loop {
        let rows = cache.tags(after.as_deref(), PAGE)?;
        for row in &rows {
            if !goes_on() {
                return Ok(None);
            }
            if count.images == MOST_IMAGES {
                return Ok(Some(count.totals));
            }
            if !Attached::is_name(&row.tag)
                && let Some(image) = of_row(cache, row)?
            {
                count.add(&image);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(last.key()),
            _ => return Ok(Some(count.totals)),
        }
    }
}

#[derive(Default)]
struct Count {
    totals: Totals,
    platforms: Vec<String>,
    images: usize,
}

impl Count {
    fn add(&mut self, image: &Image) {
        self.images += 1;
        let images = image.parts.iter().filter(|part| part.attests.is_none());
        for part in images {
            let Some(platform) = &part.platform else {
                continue;
            };
            if !self.platforms.contains(platform) && self.platforms.len() < MOST_PLATFORMS {
                self.platforms.push(platform.clone());
            }
            let is_known = self.platforms.contains(platform);
            let label = if is_known { platform } else { OTHER };
            *self
                .totals
                .entry((label.to_owned(), part.state))
                .or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::{Algorithm, Digest};

    use super::{
        super::support::{cache, index, store},
        *,
    };

    #[tokio::test]
    async fn a_count_that_is_stopped_counts_for_nothing() {
        let (cache, _folder) = cache();
        let image = Digest::of(Algorithm::Sha256, b"an image that is not stored");
        let index = index("app", &[(image, "amd64")]);
        store(&cache, &index, Some("v1")).await;
        assert_eq!(totals(&cache, || false).unwrap(), None);
        let counted = totals(&cache, || true).unwrap().unwrap();
        let expected = [(("linux/amd64".to_owned(), Completeness::Absent), 1)];
        assert_eq!(counted, expected.into());
    }
}
