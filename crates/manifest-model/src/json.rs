//! Reading JSON field by field, as the clients do that are written in Go.
//!
//! A [`Reader`] cuts an object into its known fields as raw text; [`field`] and [`text`] then read
//! each of them, so that an error can name the field. Unknown fields are ignored and `null` counts
//! as absent. Like Go, it takes a key in any case, the last value of a key that occurs twice, and
//! U+FFFD for half a surrogate pair, as a text has it that was cut in the middle of an emoji.

use std::{array, borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Which value counts where an object has a key in two spellings, such as `layers` and `Layers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// The last one: Go.
    Last,
    /// The one that is spelled as the specification does: most other languages.
    Exact,
}

/// Reads objects, and notes whether the spelling of a key mattered.
#[derive(Debug)]
pub(crate) struct Reader {
    prefers: Spelling,
    /// Whether an object had two spellings of a key, with values that differ.
    pub(crate) is_contested: bool,
}

impl Reader {
    pub(crate) fn new(prefers: Spelling) -> Self {
        Self {
            prefers,
            is_contested: false,
        }
    }

    /// The raw values of the fields `names` of an object; fails for anything but an object.
    pub(crate) fn object<'a, const N: usize>(
        &mut self,
        text: &'a str,
        names: [&'static str; N],
    ) -> Result<[Option<&'a RawValue>; N], ()> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(FieldsOf(names));
        let fields = fields.and_then(|fields| deserializer.end().map(|()| fields));
        let fields = fields.map_err(|_| ())?;
        Ok(fields.map(|found| {
            self.is_contested |= found.is_contested();
            match self.prefers {
                Spelling::Last => found.last,
                Spelling::Exact => found.exact.or(found.last),
            }
        }))
    }
}

/// The values of one field.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    /// The last one of any spelling.
    last: Option<&'a RawValue>,
    /// The last one under the exact name.
    exact: Option<&'a RawValue>,
}

impl Found<'_> {
    fn is_contested(&self) -> bool {
        matches!((self.last, self.exact), (Some(last), Some(exact)) if last.get() != exact.get())
    }
}

/// Visits an object and keeps the fields of these names.
struct FieldsOf<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for FieldsOf<N> {
    type Value = [Found<'de>; N];

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = array::from_fn(|_| Found::default());
        while let Some(Key(key)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            for (name, found) in self.0.iter().zip(&mut fields) {
                if *key == **name {
                    found.exact = Some(value);
                    found.last = Some(value);
                } else if folds_to(&key, name) {
                    found.last = Some(value);
                }
            }
        }
        Ok(fields)
    }
}

/// Whether Go takes `key` for `name`. Beside ASCII case, the long s and the Kelvin sign fold.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars()
        .map(fold)
        .eq(name.chars().map(|c| c.to_ascii_lowercase()))
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

/// Reads a text; the empty one where the field is absent or `null`.
pub(crate) fn text(raw: Option<&RawValue>, name: &'static str) -> Result<String, &'static str> {
    field::<Text>(raw, name).map(|Text(text)| text)
}

/// Whether a field is present and not `null`.
pub(crate) fn has_value(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get() != "null")
}

/// A text as Go reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Key(text) = Key::deserialize(deserializer)?;
        Ok(Self(text.into_owned()))
    }
}

/// A text as Go reads it, borrowed where it holds no escape.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `serde_json` fails on half a surrogate pair in a string, but not in bytes.
        deserializer.deserialize_bytes(BytesVisitor(PhantomData))
    }
}

struct BytesVisitor<'a>(PhantomData<&'a ()>);

impl<'de> Visitor<'de> for BytesVisitor<'de> {
    type Value = Key<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Key<'de>, E> {
        Ok(Key(String::from_utf8_lossy(bytes)))
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Key<'de>, E> {
        Ok(Key(Cow::Owned(String::from_utf8_lossy(bytes).into_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of `a` and `size`, in both readings.
    fn read(text: &str) -> [[Option<&str>; 2]; 2] {
        [Spelling::Last, Spelling::Exact].map(|spelling| {
            let fields = Reader::new(spelling).object(text, ["a", "size"]).unwrap();
            fields.map(|raw| raw.map(RawValue::get))
        })
    }

    fn is_contested(text: &str) -> bool {
        let mut reader = Reader::new(Spelling::Last);
        reader.object(text, ["a", "size"]).unwrap();
        reader.is_contested
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        let text = r#"{"a":1,"b":0,"a":[2],"size":null}"#;
        assert_eq!(read(text), [[Some("[2]"), Some("null")]; 2]);
        assert!(!is_contested(text));
    }

    #[test]
    fn a_key_counts_in_any_case_and_the_readings_differ_only_beside_its_exact_spelling() {
        for text in [
            r#"{"A":1}"#,
            r#"{"A":0,"A":1}"#,
            r#"{"A":0,"a":1}"#,
            r#"{"a":1,"A":1}"#,
            r#"{"\u0041":1}"#,
        ] {
            assert_eq!(read(text), [[Some("1"), None]; 2], "{text}");
        }
        let text = r#"{"a":1,"A":2}"#;
        assert_eq!(read(text), [[Some("2"), None], [Some("1"), None]]);
        assert!(is_contested(text));
        assert!(is_contested("{\"size\":1,\"\u{17f}ize\":2}"));
        assert!(!is_contested(r#"{"A":0,"a":1}"#), "Go, too, takes the last");
    }

    #[test]
    fn half_a_surrogate_pair_becomes_a_replacement_character_in_texts_and_keys() {
        let text = r#"{"\ud83d":1,"a\udc00":2,"a":"x\ud83d","size":"\ud83d\ude00"}"#;
        let [a, size] = Reader::new(Spelling::Last)
            .object(text, ["a", "size"])
            .unwrap();
        let cut = super::text(a, "a").unwrap();
        assert!(cut.starts_with("x\u{fffd}"), "{cut}");
        assert_eq!(super::text(size, "size").unwrap(), "\u{1f600}");
        let map: Result<std::collections::BTreeMap<Text, Text>, _> =
            serde_json::from_str(r#"{"k\ud83d":"v"}"#);
        assert_eq!(map.unwrap().len(), 1);
    }

    #[test]
    fn anything_but_one_object_is_refused() {
        for text in [
            "",
            "[]",
            "null",
            "1",
            "\"a\"",
            "{} {}",
            "{",
            "{\"a\":}",
            "{1:2}",
            "\u{feff}{}",
        ] {
            let read = Reader::new(Spelling::Last).object(text, ["a"]);
            assert!(read.is_err(), "{text}");
        }
        assert!(Reader::new(Spelling::Last).object(" {}\n", ["a"]).is_ok());
    }

    #[test]
    fn a_text_is_a_string_and_nothing_else() {
        for value in ["1", "[]", "[97]", "{}", "true"] {
            let raw: Box<RawValue> = serde_json::from_str(value).unwrap();
            assert_eq!(super::text(Some(&raw), "a"), Err("a"), "{value}");
        }
    }
}
