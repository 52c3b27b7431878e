//! How many images are cached per platform, for the metrics.

use std::collections::HashMap;

use cache::{Cache, CacheError};

use super::{attachment::Attachment, completeness::Completeness, image::Image, listing::of_row};

/// Platforms with a label of their own; all further ones are counted as [`OTHER`].
const MAX_LABELS: usize = 16;

/// Images counted: the count stops there.
const MAX_COUNTED: usize = 20_000;

/// Tags read from the index at once.
const ROWS_PER_READ: usize = 2000;

/// The label for platforms beyond [`MAX_LABELS`].
const OTHER: &str = "other";

/// How many images there are for each platform label and completeness.
pub type Totals = HashMap<(String, Completeness), i64>;

/// Counts the images of all cached tags. `goes_on` is asked before each tag; once it returns false,
/// the count is `None`. Blocks for as long as it takes to look up the size of every file.
pub fn totals(cache: &Cache, goes_on: impl Fn() -> bool) -> Result<Option<Totals>, CacheError> {
    let mut count = PlatformCount::default();
    let mut after: Option<String> = None;
    loop {
        let rows = cache.tags(after.as_deref(), ROWS_PER_READ)?;
        for row in &rows {
            if !goes_on() {
                return Ok(None);
            }
            if count.images == MAX_COUNTED {
                return Ok(Some(count.totals));
            }
            if !Attachment::is_name(&row.tag)
                && let Some(image) = of_row(cache, row)?
            {
                count.add(&image);
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS_PER_READ => after = Some(last.key()),
            _ => return Ok(Some(count.totals)),
        }
    }
}

#[derive(Default)]
struct PlatformCount {
    totals: Totals,
    labels: Vec<String>,
    images: usize,
}

impl PlatformCount {
    fn add(&mut self, image: &Image) {
        self.images += 1;
        for part in image.parts.iter().filter(|part| part.is_image()) {
            let Some(platform) = &part.platform else {
                continue;
            };
            let label = self.label(platform.to_string());
            *self.totals.entry((label, part.state)).or_default() += 1;
        }
    }

    /// Its own label for a platform that is among the first to be counted.
    fn label(&mut self, platform: String) -> String {
        if self.labels.contains(&platform) {
            return platform;
        }
        if self.labels.len() == MAX_LABELS {
            return OTHER.to_owned();
        }
        self.labels.push(platform.clone());
        platform
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
