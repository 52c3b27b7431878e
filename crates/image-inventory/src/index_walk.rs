//! The walk through an index and its nested indexes to the images they list. A manifest that is
//! listed twice is read once.

use std::collections::HashSet;

use cache::{Cache, CacheError};
use manifest_model::{Digest, MAX_INDEX_DEPTH, Manifest};

use super::{part::ImagePart, stored::stored};

/// Entries read of one index with all its nested ones, images and indexes alike: indexes of real
/// images are far smaller.
const MAX_ENTRIES: usize = 512;

/// The images below `index` and their attestations, in its order. Blocks.
pub(super) fn parts_of_index(
    cache: &Cache,
    index: &Manifest,
) -> Result<Vec<ImagePart>, CacheError> {
    let mut walk = IndexWalk {
        cache,
        entries_left: MAX_ENTRIES,
        opened: HashSet::new(),
        parts: Vec::new(),
    };
    walk.open(index, MAX_INDEX_DEPTH)?;
    Ok(walk.parts)
}

struct IndexWalk<'a> {
    cache: &'a Cache,
    entries_left: usize,
    opened: HashSet<Digest>,
    parts: Vec<ImagePart>,
}

impl IndexWalk<'_> {
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
            // An index may list one image for several platforms.
            let known = self.parts.iter().find(|part| part.digest == entry.digest);
            if let Some(known) = known {
                let again = known.listed_again(entry);
                self.parts.push(again);
                continue;
            }
            match stored(self.cache, &entry.digest)? {
                Some(nested) if nested.is_index() && depth > 0 => self.open(&nested, depth - 1)?,
                Some(manifest) => {
                    let part = ImagePart::of_manifest(self.cache, &manifest, Some(entry))?;
                    self.parts.push(part);
                }
                None => self.parts.push(ImagePart::absent(self.cache, entry)),
            }
        }
        Ok(())
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
        for number in 0..MAX_ENTRIES {
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
        let platforms: Vec<_> = parts
            .iter()
            .filter_map(|part| part.platform.as_ref())
            .collect();
        let platforms: Vec<_> = platforms.iter().map(ToString::to_string).collect();
        assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    }
}
