//! The encoding of digests, links, tags and times as keys and values of the store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use manifest_model::{Algorithm, Digest, Tag};

use crate::RepoKey;

/// A digest as one byte for the algorithm and the raw hash.
pub(super) struct DigestKey {
    bytes: [u8; 65],
    length: usize,
}

impl DigestKey {
    pub(super) fn of(digest: &Digest) -> Self {
        let mut bytes = [0; 65];
        bytes[0] = match digest.algorithm() {
            Algorithm::Sha256 => 1,
            Algorithm::Sha512 => 2,
        };
        let hash = digest.as_bytes();
        bytes[1..=hash.len()].copy_from_slice(hash);
        Self {
            bytes,
            length: 1 + hash.len(),
        }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// `None` for a key that no version of this code has written.
pub(super) fn decode_digest(key: &[u8]) -> Option<Digest> {
    let (algorithm, hash) = key.split_first()?;
    let algorithm = match algorithm {
        1 => Algorithm::Sha256,
        2 => Algorithm::Sha512,
        _ => return None,
    };
    Digest::from_parts(algorithm, hash).ok()
}

/// How long the key of the digest is that `key` begins with.
pub(super) fn digest_length(key: &[u8]) -> Option<usize> {
    let length = match key.first()? {
        1 => 33,
        2 => 65,
        _ => return None,
    };
    (key.len() >= length).then_some(length)
}

/// Two digests, one after the other. All pairs of the first are neighbours.
pub(super) fn two_digests(first: &Digest, second: &Digest) -> Vec<u8> {
    let (first, second) = (DigestKey::of(first), DigestKey::of(second));
    [first.as_slice(), second.as_slice()].concat()
}

/// A text, a byte that no name contains, and the digest. All pairs of a text are neighbours.
pub(super) fn pair_key(text: &str, digest: &Digest) -> Vec<u8> {
    let digest = DigestKey::of(digest);
    [text.as_bytes(), &[0], digest.as_slice()].concat()
}

/// `None` for a key that no version of this code has written.
pub(super) fn decode_pair(key: &[u8]) -> Option<(&str, Digest)> {
    let (text, digest) = split_pair(key)?;
    Some((std::str::from_utf8(text).ok()?, decode_digest(digest)?))
}

/// `None` for a key that no version of this code has written.
pub(super) fn decode_link(key: &[u8]) -> Option<(RepoKey, Digest)> {
    let (repo, digest) = decode_pair(key)?;
    Some((repo.parse().ok()?, digest))
}

/// A pair's text and the key of its digest.
pub(super) fn split_pair(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = key.iter().position(|byte| *byte == 0)?;
    Some((&key[..end], &key[end + 1..]))
}

/// The repository and the tag, divided by the last colon: no tag contains one, and no repository
/// name does after the port of its host.
pub(super) fn tag_key(repo: &RepoKey, tag: &Tag) -> String {
    format!("{}:{}", repo.as_str(), tag.as_str())
}

/// `None` for a key that no version of this code has written.
pub(super) fn decode_tag(key: &str) -> Option<(RepoKey, Tag)> {
    let (repo, tag) = key.rsplit_once(':')?;
    Some((repo.parse().ok()?, tag.parse().ok()?))
}

pub(super) fn now_ms() -> u64 {
    to_ms(SystemTime::now())
}

/// Milliseconds since 1970; an earlier time counts as 1970.
pub(super) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn from_ms(ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_tags_read_back() {
        let digest = Digest::of(Algorithm::Sha512, b"hello");
        let tag: Tag = "v1.2".parse().unwrap();
        for text in ["docker.io/library/hello", "localhost:5000/a/b/c"] {
            let repo: RepoKey = text.parse().unwrap();
            assert_eq!(
                decode_link(&pair_key(repo.as_str(), &digest)),
                Some((repo.clone(), digest))
            );
            assert_eq!(
                decode_tag(&tag_key(&repo, &tag)),
                Some((repo.clone(), tag.clone()))
            );
        }
        assert_eq!(decode_link(b"no zero byte"), None);
        assert_eq!(decode_tag("no colon"), None);
    }

    #[test]
    fn a_digest_key_reads_back_as_the_digest() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"hello");
            assert_eq!(
                decode_digest(DigestKey::of(&digest).as_slice()),
                Some(digest)
            );
        }
    }

    #[test]
    fn a_foreign_key_is_no_digest() {
        assert_eq!(decode_digest(&[]), None);
        assert_eq!(decode_digest(&[1, 2, 3]), None);
        assert_eq!(decode_digest(&[9; 33]), None);
    }
}
