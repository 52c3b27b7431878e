//! Values that the JSON of a bundle has in their text form: written as they print, read as they parse.

use std::{fmt, str::FromStr};

use manifest_model::{ParseError, Tag};
use protocol::image_name::{ImageName, NameError};
use serde::{Deserialize, Deserializer, Serializer, de};

pub(crate) fn as_text<S: Serializer>(
    value: &impl fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(super) fn as_optional_text<S: Serializer>(
    value: &Option<impl fmt::Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

pub(super) fn parsed<'de, D: Deserializer<'de>, T>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr<Err: fmt::Display>,
{
    String::deserialize(deserializer)?
        .parse()
        .map_err(de::Error::custom)
}

pub(super) fn optional_tag<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Tag>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let tag = text.map(|text| text.parse()).transpose();
    tag.map_err(|error: ParseError| de::Error::custom(error))
}

/// A name without a registry would mean another image at each site.
pub(crate) fn whole_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<ImageName, D::Error> {
    let text = String::deserialize(deserializer)?;
    let name: ImageName = text
        .parse()
        .map_err(|error: NameError| de::Error::custom(format!("\"{text}\": {error}")))?;
    if name.host.is_none() || name.to_string() != text {
        return Err(de::Error::custom(format!(
            "\"{text}\" is not a whole image name, such as docker.io/library/hello:1.0"
        )));
    }
    Ok(name)
}
