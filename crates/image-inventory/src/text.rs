//! Our grammar types as JSON texts, for `#[serde(with = ...)]`: `Display` writes, `FromStr` reads.

use std::{fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(super) fn serialize<T: Display, S: Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(Error::custom)
}

/// The same for a value that may be missing.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Display, Error, FromStr, Serializer};

    #[expect(clippy::ref_option, reason = "the signature serde wants")]
    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &Option<T>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(Error::custom))
            .transpose()
    }
}

/// The same for a platform. An index may name one that breaks every grammar: it reads back as an
/// operating system of that name, which prints alike and which no machine asks for.
pub(super) mod platform {
    use manifest_model::Platform;

    use super::{Deserialize, Deserializer, Serializer, optional};

    #[expect(clippy::ref_option, reason = "the signature serde wants")]
    pub(crate) fn serialize<S: Serializer>(
        value: &Option<Platform>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        optional::serialize(value, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Platform>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| {
            text.parse().unwrap_or_else(|_| Platform {
                os: text,
                ..Platform::default()
            })
        }))
    }
}
