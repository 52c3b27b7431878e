//! What is noted with an object or in a record, and the code that proves who wrote it.
//!
//! Bytes need no proof but their digest. That an upstream has them, or that a tag pointed somewhere,
//! nothing proves: with a key only those who have it can say so.

use std::path::Path;

use config::{SecretError, SecretSource};
use hmac::{Hmac, KeyInit, Mac};
use manifest_model::Digest;
use object_store::{Attribute, Attributes};
use sha2::Sha256;

/// The names under which objects note who sent their bytes, and the code of that.
const SENDER: &str = "archwaysender";
const CODE: &str = "archwaycode";

/// The secrets that records are signed with, if there are any: by the first one. All are accepted, so
/// that one can take another's place.
#[derive(Clone, Default)]
pub(crate) struct Key(Vec<Vec<u8>>);

impl Key {
    /// The secrets in a file, one a line. Blocks.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, SecretError> {
        let source = file.map(|path| SecretSource::File(path.to_owned()));
        let text = source.as_ref().map(SecretSource::read).transpose()?;
        Ok(Self::of(&text.unwrap_or_default()))
    }

    fn of(text: &str) -> Self {
        let lines = text.lines().map(str::trim);
        let secrets = lines.filter(|line| !line.is_empty());
        Self(secrets.map(|secret| secret.as_bytes().to_vec()).collect())
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// The code of these parts; none without a key.
    pub(crate) fn code(&self, parts: &[&str]) -> Option<String> {
        let mac = mac(self.0.first()?, parts)?;
        Some(hex::encode(mac.finalize().into_bytes()))
    }

    /// Whether the code is that of these parts. Without a key everything holds.
    pub(crate) fn holds(&self, parts: &[&str], code: Option<&str>) -> bool {
        if !self.is_there() {
            return true;
        }
        let Some(code) = code.and_then(|code| hex::decode(code).ok()) else {
            return false;
        };
        let mut macs = self.0.iter().filter_map(|secret| mac(secret, parts));
        macs.any(|mac| mac.verify_slice(&code).is_ok())
    }

    /// What is noted with a blob that `upstream` sent.
    pub(crate) fn sent_by(&self, upstream: &str, digest: &Digest) -> Attributes {
        let mut noted = Attributes::new();
        noted.insert(
            Attribute::Metadata(SENDER.into()),
            upstream.to_owned().into(),
        );
        if let Some(code) = self.code(&["sender", upstream, &digest.to_string()]) {
            noted.insert(Attribute::Metadata(CODE.into()), code.into());
        }
        noted
    }

    /// The upstream that sent a blob, as far as what is noted with it can be believed.
    pub(crate) fn sender(&self, noted: &Attributes, digest: &Digest) -> Option<String> {
        let value = |name: &'static str| {
            let value = noted.get(&Attribute::Metadata(name.into()))?;
            Some(value.as_ref().to_owned())
        };
        let sender = value(SENDER)?;
        let code = value(CODE);
        let parts = ["sender", &sender, &digest.to_string()];
        self.holds(&parts, code.as_deref()).then_some(sender)
    }
}

fn mac(secret: &[u8], parts: &[&str]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    for part in parts {
        // No two lists of parts have the same bytes.
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key(is_there: {})", self.is_there())
    }
}

#[cfg(test)]
mod tests {
    use manifest_model::Algorithm;

    use super::*;

    fn key(text: &str) -> Key {
        Key::of(text)
    }

    #[test]
    fn a_secret_can_take_anothers_place() {
        let parts = ["tag", "latest"];
        let code = key("old").code(&parts);
        assert!(key("new\nold").holds(&parts, code.as_deref()));
        assert!(!key("new").holds(&parts, code.as_deref()));
        assert_eq!(key("new\nold").code(&parts), key("new").code(&parts));
    }

    #[test]
    fn only_who_has_the_key_can_say_who_sent_a_blob() {
        let digest = Digest::of(Algorithm::Sha256, b"hello");
        let other = Digest::of(Algorithm::Sha256, b"other");
        let noted = key("a").sent_by("docker.io", &digest);
        assert_eq!(
            key("a").sender(&noted, &digest).as_deref(),
            Some("docker.io")
        );
        assert_eq!(key("a").sender(&noted, &other), None);
        assert_eq!(key("b").sender(&noted, &digest), None);
        let unsigned = Key::default().sent_by("docker.io", &digest);
        assert_eq!(key("a").sender(&unsigned, &digest), None);
        assert!(Key::default().sender(&unsigned, &digest).is_some());
    }

    #[test]
    fn a_part_ends_where_it_ends() {
        let key = key("a");
        assert_ne!(key.code(&["ab", "c"]), key.code(&["a", "bc"]));
    }
}
