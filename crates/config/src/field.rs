//! Values as they stand in the file: read, but with their place kept, so that a mistake can be shown there.
//!
//! A `Field` holds what a string meant or why it meant nothing. Deserialising never fails over the meaning, only over
//! the type; the section that owns the key takes the value out and the problem, if any, joins the others.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Range, RangeInclusive},
};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_spanned::Spanned;

use super::error::{Problem, Problems};

/// What a string in the file can mean.
pub(super) trait Meaning: Sized {
    /// With its article: "a duration".
    const WHAT: &'static str;
    /// A value to show, as it is written in the file.
    const EXAMPLE: &'static str;

    fn read(text: &str) -> Result<Self, Wrong>;
}

/// Why a string means nothing.
#[derive(Debug, Clone)]
pub(super) struct Wrong {
    /// What to say below the value.
    pub(super) label: String,
    /// How to mend it; `None` shows the example.
    pub(super) help: Option<String>,
    /// Whether the value holds a secret, and is not to be shown.
    pub(super) secret: bool,
}

impl Wrong {
    pub(super) fn new(label: impl fmt::Display) -> Self {
        Wrong {
            label: label.to_string(),
            help: None,
            secret: false,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A string of the file, its place, and what it means.
#[derive(Debug, Clone)]
pub(super) struct Field<T> {
    pub(super) span: Range<usize>,
    value: Result<T, Wrong>,
}

impl<T: Meaning> Field<T> {
    pub(super) fn new(span: Range<usize>, value: Result<T, Wrong>) -> Self {
        Field { span, value }
    }

    /// The value; when there is none, the problem is noted.
    pub(super) fn take(self, key: &str, problems: &mut Problems) -> Option<T> {
        match self.value {
            Ok(value) => Some(value),
            Err(wrong) => {
                let help = wrong
                    .help
                    .unwrap_or_else(|| format!("write it like this: {}", T::EXAMPLE));
                let title = format!("`{key}` must be {}", T::WHAT);
                let problem = Problem::new(self.span, title).secret(wrong.secret);
                problems.add(problem.label(wrong.label).help(help));
                None
            }
        }
    }
}

/// The value of an optional key, else its default.
pub(super) fn or<T: Meaning>(
    field: Option<Field<T>>,
    key: &str,
    default: T,
    problems: &mut Problems,
) -> T {
    field
        .and_then(|field| field.take(key, problems))
        .unwrap_or(default)
}

impl<'de, T: Meaning> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Spanned::<Text<T>>::deserialize(deserializer)?;
        let span = text.span();
        Ok(Field {
            span,
            value: text.into_inner().0,
        })
    }
}

/// Only a string is taken; for any other type serde says what was wanted.
struct Text<T>(Result<T, Wrong>);

impl<'de, T: Meaning> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<T>(PhantomData<T>);
        impl<T: Meaning> Visitor<'_> for TextVisitor<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} such as {}", T::WHAT, T::EXAMPLE)
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(T::read(text)))
            }
        }
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

/// A whole number and its place.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Count(Spanned<Whole>);

impl Count {
    /// The number, when it lies in the range; else the problem is noted.
    pub(super) fn take(
        &self,
        key: &str,
        range: RangeInclusive<usize>,
        problems: &mut Problems,
    ) -> Option<usize> {
        let found = usize::try_from(self.0.get_ref().0)
            .ok()
            .filter(|number| range.contains(number));
        if found.is_none() {
            let problem = Problem::new(self.0.span(), format!("`{key}` is out of bounds"));
            problems.add(problem.label(format!(
                "from {} to {} is possible",
                range.start(),
                range.end()
            )));
        }
        found
    }
}

#[derive(Debug, Clone, Copy)]
struct Whole(i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;
        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number without quotes")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Whole(number))
            }
        }
        deserializer.deserialize_i64(WholeVisitor)
    }
}

/// A table whose keys mean something, in the order of the file.
#[derive(Debug, Clone)]
pub(super) struct Entries<K, V>(pub(super) Vec<(Field<K>, V)>);

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Entries(Vec::new())
    }
}

impl<'de, K: Meaning, V: Deserialize<'de>> Deserialize<'de> for Entries<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Meaning, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<K, V> {
            type Value = Entries<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a table whose keys are each {}", K::WHAT)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                // The parser hands a table over sorted by key.
                entries.sort_by_key(|(key, _): &(Field<K>, V)| key.span.start);
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}
