//! How JSON is read here: field by field, so that an error can name the field.
//!
//! An object is first cut into its known fields as raw text ([`object`]) and each is then read on its own ([`field`]).
//! Unknown fields are ignored, `null` is as good as absent, and a field that occurs twice is refused: readers differ in
//! which of the two they believe.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Reads an object, and nothing but an object: serde would take an array for a struct as well.
///
/// # Errors
/// `Err` also where a field occurs twice.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ()> {
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err(());
    }
    serde_json::from_str(text).map_err(|_| ())
}

/// Reads the value of a field, which is its type's default where the field is absent or `null`.
///
/// # Errors
/// The field's name, where the value has another type.
pub(crate) fn field<T: DeserializeOwned + Default>(
    raw: Option<&RawValue>,
    name: &'static str,
) -> Result<T, &'static str> {
    match raw {
        Some(raw) => serde_json::from_str::<Option<T>>(raw.get())
            .map(Option::unwrap_or_default)
            .map_err(|_| name),
        None => Ok(T::default()),
    }
}

/// For `deserialize_with`: a `null` is kept as raw text, so that it can be told from an absent field.
pub(crate) fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
