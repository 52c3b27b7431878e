//! JSON Schema, as far as the schemas in docs/reference use it. A keyword that is not known here is a
//! mistake of the schema: it would check nothing.

use std::path::PathBuf;

use serde_json::Value;

/// The keywords that say nothing about a value.
const ABOUT: [&str; 3] = ["$schema", "title", "description"];

/// The folder of the schemas.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference")
}

/// Panics with the place and the fault unless `value` is as `name` in docs/reference says.
pub fn check(name: &str, value: &Value) {
    let path = folder().join(format!("{name}.schema.json"));
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
    if let Err(fault) = valid(&schema, value, name) {
        panic!("{fault}\nin {value:#}");
    }
}

/// The first fault of `value` at `place`.
pub fn valid(schema: &Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = schema.as_object().ok_or(format!("{place}: no schema"))?;
    for (keyword, wanted) in schema {
        let is_met = match keyword.as_str() {
            about if ABOUT.contains(&about) => true,
            "type" => types(wanted).any(|kind| is(kind, value)),
            "enum" => wanted.as_array().is_some_and(|all| all.contains(value)),
            "minimum" => value
                .as_i64()
                .is_none_or(|number| Some(number) >= wanted.as_i64()),
            "maximum" => value
                .as_i64()
                .is_none_or(|number| wanted.as_i64() >= Some(number)),
            "pattern" => value.as_str().is_none_or(is_digest),
            "format" => value.as_str().is_none_or(is_time),
            "required" => {
                let names = wanted.as_array().into_iter().flatten();
                let mut missing = names.filter(|name| {
                    let object = value.as_object();
                    object.is_some_and(|all| !all.contains_key(name.as_str().unwrap_or_default()))
                });
                match missing.next() {
                    None => true,
                    Some(name) => return Err(format!("{place}: {name} is missing")),
                }
            }
            "items" => {
                for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                    valid(wanted, item, &format!("{place}[{at}]"))?;
                }
                true
            }
            "properties" | "additionalProperties" => true,
            unknown => {
                return Err(format!(
                    "{place}: the schema has {unknown}, which nothing checks"
                ));
            }
        };
        if !is_met {
            return Err(format!("{place}: {keyword} is {wanted}, and it is {value}"));
        }
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let place = format!("{place}.{name}");
        match (
            schema.get("properties").and_then(|all| all.get(name)),
            schema.get("additionalProperties"),
        ) {
            (Some(known), _) => valid(known, inner, &place)?,
            (None, None | Some(Value::Bool(true))) => {}
            (None, Some(Value::Bool(false))) => {
                return Err(format!("{place} is not in the schema"));
            }
            (None, Some(others)) => valid(others, inner, &place)?,
        }
    }
    Ok(())
}

fn types(wanted: &Value) -> impl Iterator<Item = &str> {
    let several = wanted.as_array().into_iter().flatten();
    several
        .chain(wanted.is_string().then_some(wanted))
        .filter_map(Value::as_str)
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// The one pattern there is: a digest.
fn is_digest(text: &str) -> bool {
    let hex = text
        .strip_prefix("sha256:")
        .or_else(|| text.strip_prefix("sha512:"));
    hex.is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The one format there is: RFC 3339, in UTC, whole seconds.
fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == "0000-00-00T00:00:00Z"
}
