//! Numbers of images per platform, for the metrics.

use std::collections::HashMap;

use cache::{Cache, CacheError};

use super::{Completeness, Request};

/// Platforms counted by their names; what comes after them is `other`.
const MOST_PLATFORMS: usize = 16;

/// Images counted at most.
const MOST_IMAGES: usize = 20_000;

/// The platform of those without room of their own.
const OTHER: &str = "other";

/// How many images there are for each platform, and how whole they are.
pub type Totals = HashMap<(String, Completeness), i64>;

/// Counts the images of all cached tags. Blocks, for as long as it takes to look at each file's size.
pub fn totals(cache: &Cache) -> Result<Totals, CacheError> {
    let mut totals = Totals::new();
    let mut platforms: Vec<String> = Vec::new();
    let mut request = Request::default();
    let mut images = 0;
    while images < MOST_IMAGES {
        let page = request.list(cache)?;
        images += page.images.len();
        for part in page.images.iter().flat_map(|image| &image.parts) {
            let Some(platform) = part.platform.as_ref().filter(|_| part.attests.is_none()) else {
                continue;
            };
            if !platforms.contains(platform) && platforms.len() < MOST_PLATFORMS {
                platforms.push(platform.clone());
            }
            let is_known = platforms.contains(platform);
            let label = if is_known { platform } else { OTHER };
            *totals.entry((label.to_owned(), part.state)).or_default() += 1;
        }
        match page.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    Ok(totals)
}
