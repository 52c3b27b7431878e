//! Whether a body is the list that was asked for: a page of a web server, an error that came with
//! a 200 or half a JSON text is trouble, and no list.
//!
//! Nothing of the list is kept. What clients find in it beyond that is theirs to judge.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, Visitor},
};

use super::ListingKind;
use crate::{error::Cause, gather::Gathered};

/// A body above this is read on a thread that may block: 32 MiB take a tenth of a second.
const LARGE: usize = 256 * 1024;

/// The body, if it is the list that it must be.
pub(super) async fn read(body: Gathered, kind: ListingKind) -> Result<Gathered, Cause> {
    if body.as_ref().len() <= LARGE {
        return judge(body, kind);
    }
    let judged = tokio::task::spawn_blocking(move || judge(body, kind)).await;
    judged.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn judge(body: Gathered, kind: ListingKind) -> Result<Gathered, Cause> {
    let (expected, read) = match kind {
        ListingKind::Tags => ("a list of tags", is::<TagPage>(&body)),
        ListingKind::Referrers(_) => ("a list of referrers", is::<ReferrersPage>(&body)),
    };
    match read {
        Ok(()) => Ok(body),
        Err(source) => Err(Cause::List { expected, source }),
    }
}

fn is<T: DeserializeOwned>(body: &Gathered) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<T>(body.as_ref()).map(drop)
}

/// `{"tags": ["a", "b"]}`; of an empty repository some say `null`.
struct TagPage;

/// `{"manifests": [{"digest": "..."}]}`, an index.
struct ReferrersPage;

impl<'de> Deserialize<'de> for TagPage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_list::<Text, D>(deserializer, "tags").map(|()| Self)
    }
}

impl<'de> Deserialize<'de> for ReferrersPage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_list::<Entry, D>(deserializer, "manifests").map(|()| Self)
    }
}

/// An object with a list of `T` under `key`. If the key occurs twice, each must be one.
fn with_list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    key: &'static str,
) -> Result<(), D::Error> {
    let object = ObjectWithList {
        key,
        item: std::marker::PhantomData::<T>,
    };
    deserializer.deserialize_map(object)
}

struct ObjectWithList<T> {
    key: &'static str,
    item: std::marker::PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectWithList<T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with the list `{}`", self.key)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.key {
                // A list of values without a size takes no memory.
                map.next_value::<Option<Vec<T>>>()?;
                found = true;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if found {
            Ok(())
        } else {
            Err(A::Error::missing_field(self.key))
        }
    }
}

/// Any string.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText;
        impl Visitor<'_> for AnyText {
            type Value = Text;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }
        deserializer.deserialize_str(AnyText)
    }
}

/// An object with a digest, of whatever algorithm.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "digest")]
    _digest: Text,
}

#[cfg(test)]
mod tests {
    use manifest_model::{Algorithm, Digest};

    use super::*;
    use crate::gather::Gather;

    fn is_list(kind: ListingKind, body: &str) -> bool {
        let gather = Gather::new(&http::HeaderMap::new(), 1 << 20, None);
        let body = gather.put(body.as_bytes()).unwrap().finish().unwrap();
        judge(body, kind).is_ok()
    }

    #[test]
    fn only_an_object_with_its_list_is_a_list() {
        let referrers = ListingKind::Referrers(Digest::of(Algorithm::Sha256, b""));
        for (kind, body, expected) in [
            (
                ListingKind::Tags,
                r#"{"name":"a","tags":["b","\u00e4"]}"#,
                true,
            ),
            (
                ListingKind::Tags,
                r#"{"tags":null,"child":[{"x":1}],"manifest":{}}"#,
                true,
            ),
            (ListingKind::Tags, r#"{"tags":[],"tags":["a"]}"#, true),
            (ListingKind::Tags, r#"{"tags":[1]}"#, false),
            (ListingKind::Tags, r#"{"tags":["a"#, false),
            (ListingKind::Tags, r#"{"tags":["a"]} x"#, false),
            (
                ListingKind::Tags,
                r#"{"errors":[{"code":"DENIED"}]}"#,
                false,
            ),
            (ListingKind::Tags, r#"["a"]"#, false),
            (
                ListingKind::Tags,
                "<!doctype html><title>Sign in</title>",
                false,
            ),
            (ListingKind::Tags, "", false),
            (
                referrers,
                r#"{"schemaVersion":2,"manifests":[{"digest":"blake3:00","size":1}]}"#,
                true,
            ),
            (referrers, r#"{"manifests":[]}"#, true),
            (referrers, r#"{"manifests":[{"size":1}]}"#, false),
            (referrers, r#"{"manifests":["sha256:00"]}"#, false),
            (referrers, r#"{"tags":[]}"#, false),
        ] {
            assert_eq!(is_list(kind, body), expected, "{kind:?}: {body}");
        }
    }
}
