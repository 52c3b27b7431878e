//! JSON objects as Go reads them into a struct, for files and answers whose other readers are all
//! written in Go: docker's config, what its helpers print, the tokens of a realm.
//!
//! `null` is absent, a name counts in any case, and of a name that occurs twice the last counts. It
//! is kinder than Go in one thing: only the fields that are asked for can be wrong.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// The fields of an object.
#[derive(Debug, Default)]
pub struct GoObject(Map<String, Value>);

impl GoObject {
    /// Reads a whole text. `null` is an object without fields.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        // Go reads bytes that are no UTF-8 as U+FFFD.
        let text: Cow<'_, str> = String::from_utf8_lossy(text);
        let fields: Option<Map<String, Value>> = serde_json::from_str(&text)?;
        Ok(Self(fields.unwrap_or_default()))
    }

    /// A field, unless it is absent.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let exact = self.0.get(name);
        let found = exact.or_else(|| {
            let mut fields = self.0.iter();
            let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value)
        });
        found.filter(|value| !value.is_null())
    }

    /// A text; an empty one is an absent one. Anything else in its place is an error.
    pub fn text(&self, name: &str) -> Result<Option<&str>, NotText> {
        match self.field(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(NotText),
        }
    }

    /// The entries of a map, whose names are exact; those that are `null` are absent.
    pub fn entries(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        let map = self.field(name).and_then(Value::as_object);
        let entries = map.into_iter().flatten();
        entries
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.as_str(), value))
    }
}

impl From<&Map<String, Value>> for GoObject {
    fn from(fields: &Map<String, Value>) -> Self {
        Self(fields.clone())
    }
}

/// A field that should be a text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotText;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_any_case_and_null_and_empty_are_absent() {
        let text = br#"{"Token":"a","other":null,"empty":"","number":5,"twice":"x","twice":"y"}"#;
        let object = GoObject::parse(text).unwrap();
        for (name, read) in [
            ("token", Ok(Some("a"))),
            ("other", Ok(None)),
            ("empty", Ok(None)),
            ("missing", Ok(None)),
            ("twice", Ok(Some("y"))),
            ("number", Err(NotText)),
        ] {
            assert_eq!(object.text(name), read, "{name}");
        }
    }

    #[test]
    fn a_whole_text_may_be_null_and_nothing_else_than_an_object() {
        assert!(GoObject::parse(b"null").unwrap().field("x").is_none());
        assert!(
            GoObject::parse(b"{\"x\":\"\xff\"}")
                .unwrap()
                .text("x")
                .is_ok()
        );
        for text in [&b"[]"[..], b"", b"5", b"{"] {
            assert!(GoObject::parse(text).is_err(), "{text:?}");
        }
    }
}
