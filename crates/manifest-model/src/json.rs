//! Reading JSON field by field, so that an error can name the field.
//!
//! [`object`] cuts an object into its known fields as raw text; [`field`] then reads each of them.
//! Unknown fields are ignored and `null` counts as absent. A field that occurs twice is refused,
//! because readers differ in which of the two values they use.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Reads an object and nothing else: serde alone would read an array into a struct as well.
///
/// Fails, too, where a known field occurs twice.
pub(crate) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ()> {
    if !text
        .trim_start_matches([' ', '\t', '\r', '\n'])
        .starts_with('{')
    {
        return Err(());
    }
    serde_json::from_str(text).map_err(|_| ())
}

/// Reads the value of a field: its type's default where the field is absent or `null`.
///
/// A value of another type is an error that carries the field's name.
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

/// For `deserialize_with`: keeps a `null` as raw text, so that it differs from an absent field.
pub(crate) fn present<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}
