//! A bundle as people name it: by its id, or the beginning of it.

use std::str::FromStr;

use cache::BundleRow;
use manifest_model::Digest;

const ALGORITHM: &str = "sha256:";
/// Fewer digits could be those of another bundle next week.
const MIN_DIGITS: usize = 12;

/// The id of a bundle, or at least its first twelve digits, with or without `sha256:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleId(String);

/// Why a text names no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleIdError {
    /// It is no id.
    #[error("write the id of a bundle, or at least its first {MIN_DIGITS} digits")]
    Form,
    /// There is no such bundle here.
    #[error("no bundle {0} is here; see `archway bundle ls`")]
    Unknown(String),
    /// It means several.
    #[error("{0} is the beginning of several ids; write more of it")]
    Ambiguous(String),
}

impl FromStr for BundleId {
    type Err = BundleIdError;

    fn from_str(text: &str) -> Result<Self, BundleIdError> {
        let digits = text.strip_prefix(ALGORITHM).unwrap_or(text);
        let is_hex = digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_hex && (MIN_DIGITS..=64).contains(&digits.len()) {
            return Ok(Self(format!("{ALGORITHM}{digits}")));
        }
        Err(BundleIdError::Form)
    }
}

impl BundleId {
    /// The one of these bundles that is meant.
    pub fn find<'a>(
        &self,
        bundles: impl Iterator<Item = &'a BundleRow>,
    ) -> Result<Digest, BundleIdError> {
        let mut meant = bundles.filter(|row| row.id.to_string().starts_with(&self.0));
        let found = meant.next();
        let found = found.ok_or_else(|| BundleIdError::Unknown(self.0.clone()))?;
        match meant.next() {
            Some(_) => Err(BundleIdError::Ambiguous(self.0.clone())),
            None => Ok(found.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_at_least_twelve_digits() {
        let whole = "0123456789ab".repeat(5) + "cdef";
        for text in [&whole[..], &whole[..12], &format!("sha256:{whole}")] {
            assert!(text.parse::<BundleId>().is_ok(), "{text}");
        }
        for text in ["", "0123456789a", "latest-of-all", &format!("{whole}0")] {
            assert_eq!(text.parse::<BundleId>(), Err(BundleIdError::Form), "{text}");
        }
    }
}
