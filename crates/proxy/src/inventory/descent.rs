//! The way down through an index and those it nests, to the parts of an image. What is listed again is not read again.

use std::collections::HashSet;

use cache::{Cache, CacheError};
use manifest_model::{Descriptor, Digest, MAX_INDEX_DEPTH, Manifest};

use super::image::{Completeness, Part, part_of, platform_of_entry, stored};

/// Entries looked at in one index with all it nests, be they images or indexes: more is no image anybody runs.
const MOST_ENTRIES: usize = 512;

/// The images below `index` and their attestations, in its order. Blocks.
pub(super) fn parts_of_index(cache: &Cache, index: &Manifest) -> Result<Vec<Part>, CacheError> {
    let mut descent = Descent {
        cache,
        entries_left: MOST_ENTRIES,
        opened: HashSet::new(),
        parts: Vec::new(),
    };
    descent.open(index, MAX_INDEX_DEPTH)?;
    Ok(descent.parts)
}

struct Descent<'a> {
    cache: &'a Cache,
    entries_left: usize,
    opened: HashSet<Digest>,
    parts: Vec<Part>,
}

impl Descent<'_> {
    fn open(&mut self, index: &Manifest, depth: usize) -> Result<(), CacheError> {
        self.opened.insert(index.digest());
        for entry in index.entries() {
            let Some(left) = self.entries_left.checked_sub(1) else {
                break;
            };
            self.entries_left = left;
            if self.opened.contains(&entry.digest) {
                continue;
            }
            if let Some(again) = self.listed_again(entry) {
                self.parts.push(again);
                continue;
            }
            match stored(self.cache, &entry.digest)? {
                Some(nested) if nested.is_index() && depth > 0 => self.open(&nested, depth - 1)?,
                Some(manifest) => {
                    let part = part_of(self.cache, &manifest, Some(entry))?;
                    self.parts.push(part);
                }
                None => self.parts.push(absent(entry)),
            }
        }
        Ok(())
    }

    /// The part for an image that was looked at before: an index may list one for several platforms.
    fn listed_again(&self, entry: &Descriptor) -> Option<Part> {
        let digest = entry.digest.to_string();
        let known = self.parts.iter().find(|part| part.digest == digest)?;
        Some(Part {
            platform: platform_of_entry(entry).or_else(|| known.platform.clone()),
            attests: entry.attested().map(str::to_owned),
            ..known.clone()
        })
    }
}

fn absent(entry: &Descriptor) -> Part {
    Part {
        platform: platform_of_entry(entry),
        digest: entry.digest.to_string(),
        attests: entry.attested().map(str::to_owned),
        state: Completeness::Absent,
        stored: 0,
        size: None,
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::{
        super::support::{cache, index, store},
        *,
    };

    fn image() -> Digest {
        Digest::of(Algorithm::Sha256, b"an image that is not stored")
    }

    #[tokio::test]
    async fn an_index_that_is_listed_again_is_not_opened_again() {
        let (cache, _folder) = cache();
        let twice = |digest| [(digest, "amd64"), (digest, "arm64")];
        let mut listed = store(&cache, &index("", &[(image(), "amd64")]), None).await;
        for _ in 1..MAX_INDEX_DEPTH {
            listed = store(&cache, &index("", &twice(listed)), None).await;
        }
        let parts = parts_of_index(&cache, &index("", &twice(listed))).unwrap();
        assert_eq!(parts.len(), 1, "{parts:?}");
    }

    #[tokio::test]
    async fn indexes_without_an_image_are_entries_too() {
        let (cache, _folder) = cache();
        let mut entries = Vec::new();
        for number in 0..MOST_ENTRIES {
            let empty = index(&number.to_string(), &[]);
            entries.push((store(&cache, &empty, None).await, "amd64"));
        }
        entries.push((image(), "amd64"));
        let parts = |entries| parts_of_index(&cache, &index("root", entries)).unwrap();
        assert_eq!(parts(&entries), []);
        assert_eq!(parts(&entries[1..]).len(), 1);
    }

    #[test]
    fn an_image_listed_for_two_platforms_is_a_part_for_each() {
        let (cache, _folder) = cache();
        let root = index("root", &[(image(), "amd64"), (image(), "arm64")]);
        let parts = parts_of_index(&cache, &root).unwrap();
        let platforms: Vec<_> = parts.iter().map(|part| part.platform.as_deref()).collect();
        assert_eq!(platforms, [Some("linux/amd64"), Some("linux/arm64")]);
    }
}
