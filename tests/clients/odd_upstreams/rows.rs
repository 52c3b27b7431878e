//! The odd things, each with the letter of its kind.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderValue, Method, StatusCode, header};
use integration_tests::auth::{Auth, Login, TokenService};
use integration_tests::faults::{Fault, On};
use integration_tests::images::{self, BigBlob, Blob, Content, Flavor, OCI_INDEX, OCI_MANIFEST};
use integration_tests::registry::{Blobs, FakeRegistry};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Odd, PASSWORD, USER};

/// Of a layer: more than a download asks for at first.
const LAYER: u64 = 30_000_000;

/// An image with a place in its manifest changed.
fn edited(edit: impl FnOnce(&mut Value)) -> Content {
    let content = images::single("app", "linux/amd64", Flavor::Oci);
    let mut root = serde_json::from_slice(&content.root().bytes).expect("JSON");
    edit(&mut root);
    content.under(OCI_MANIFEST, root.to_string())
}

fn annotated(from: &str, to: &str) -> Content {
    let content = edited(|root| root["layers"][0]["annotations"] = json!({"a": "ODD"}));
    let text = String::from_utf8_lossy(&content.root().bytes).replacen(from, to, 1);
    content.under(OCI_MANIFEST, text)
}

/// An index of which one entry has a digest of an algorithm that nobody knows.
fn blake3() -> Content {
    let content = images::multi_platform("app");
    let mut root: Value = serde_json::from_slice(&content.root().bytes).expect("JSON");
    let entries = root["manifests"].as_array_mut().expect("entries");
    let foreign = entries
        .iter_mut()
        .find(|entry| entry["platform"]["architecture"] != "amd64");
    foreign.expect("another platform")["digest"] = json!(format!("blake3:{}", "0".repeat(64)));
    content.under(OCI_INDEX, root.to_string())
}

fn status(code: u16) -> Fault {
    Fault::Status(StatusCode::from_u16(code).expect("a status"))
}

fn refuse_ranges(registry: &FakeRegistry, code: u16) {
    let status = StatusCode::from_u16(code).expect("a status");
    let refuse = Fault::RefuseRange(0, status);
    registry.faults().add(On::path("/blobs/"), refuse);
}

fn throttle_until(registry: &FakeRegistry, until: &'static str) {
    let (faults, all) = (registry.faults(), On::path("/manifests/"));
    faults.times(1, all.clone(), status(429));
    let wait = Fault::Header(header::RETRY_AFTER, HeaderValue::from_static(until));
    faults.times(1, all, wait);
}

fn tags(count: usize) -> Vec<u8> {
    let tags: Vec<_> = (0..count).map(|at| format!("tag-{at:090}")).collect();
    json!({"name": "team/app", "tags": tags})
        .to_string()
        .into_bytes()
}

pub(super) fn small() -> Content {
    images::single("app", "linux/amd64", Flavor::Oci)
}

fn large() -> Content {
    images::of_blob(&Blob::from(BigBlob::new("layer", LAYER)))
}

/// What manifests hold, and what happens to ranges.
pub(super) fn odd_content() -> Vec<Odd> {
    let cut_emoji = annotated("\"ODD\"", r#""x\ud83d""#);
    let twice = annotated("{\"a\":\"ODD\"}", "{\"a\":\"1\",\"a\":\"2\"}");
    vec![
        Odd::pull("A: an entry with a blake3 digest", blake3(), |_, _| ()),
        Odd::pull("A: an annotation cut in an emoji", cut_emoji, |_, _| ()),
        Odd::pull("A: an annotation twice", twice, |_, _| ()),
        Odd::pull(
            "B: 416 to ranges that end beyond the blob",
            large(),
            |registry, _| {
                registry
                    .faults()
                    .add(On::path("/blobs/"), Fault::StrictRange);
            },
        ),
        Odd::pull("B: 403 to every range", large(), |registry, _| {
            refuse_ranges(registry, 403);
        }),
        Odd::pull("B: 501 to every range", large(), |registry, _| {
            refuse_ranges(registry, 501);
        }),
        Odd::pull("B: 206 without Content-Range", large(), |registry, _| {
            registry.faults().add(On::path("/blobs/"), Fault::HideRange);
        }),
    ]
}

/// What is answered, and what is not.
pub(super) fn odd_answers() -> Vec<Odd> {
    vec![
        Odd::pull(
            "C: one 429 with a Unix time that is over",
            small(),
            |registry, _| {
                throttle_until(registry, "1746136938");
            },
        ),
        Odd::list("D: tags as gzip that nobody asked for", |registry, _| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(&tags(3)).expect("room");
            let body = gzip.finish().expect("room");
            let (faults, lists) = (registry.faults(), On::path("/tags/list"));
            faults.add(
                lists.clone(),
                Fault::Replace("application/json", body.into()),
            );
            let gzip = HeaderValue::from_static("gzip");
            faults.add(lists, Fault::Header(header::CONTENT_ENCODING, gzip));
        }),
        Odd::list("D: an unpaged list of 12 MB", |registry, _| {
            let list = Fault::Replace("application/json", tags(120_000).into());
            registry.faults().add(On::path("/tags/list"), list);
        }),
        Odd::pull(
            "E: a challenge with an empty scope",
            small(),
            |registry, runtime| {
                let tokens = runtime.block_on(TokenService::start(None));
                tokens.word(|wording| wording.scope = Some(String::new()));
                registry.require(Auth::Bearer(tokens));
            },
        ),
        Odd {
            hangs_up: true,
            ..Odd::pull("F: it hangs up on the first connection", small(), |_, _| ())
        },
        Odd::pull("G: HEAD of a manifest is a 404", small(), |registry, _| {
            let heads = On::path("/manifests/").method(Method::HEAD);
            registry.faults().add(heads, status(404));
        }),
        Odd::pull("H: 406 to the referrers API", small(), |registry, _| {
            registry.faults().add(On::path("/referrers/"), status(406));
        }),
        Odd {
            config: Some(with_nulls),
            ..Odd::pull("I: nulls in docker's config", small(), want_login)
        },
        Odd {
            config: Some(with_empty_helper),
            ..Odd::pull("I: an empty helper for the host", small(), want_login)
        },
        Odd::pull("J: the store says 503 at first", large(), |registry, _| {
            store_fails_once(registry, 503);
        }),
        Odd::pull("J: the store says 500 at first", large(), |registry, _| {
            store_fails_once(registry, 500);
        }),
    ]
}

fn want_login(registry: &FakeRegistry, _: &Runtime) {
    registry.require(Auth::Basic(Login::new(USER, PASSWORD)));
}

/// What encoders write that have an empty map, and the entry of a host that nobody asks.
fn with_nulls(registry: &str) -> String {
    let auth = Login::new(USER, PASSWORD).header().replace("Basic ", "");
    let entry = json!({ "auth": auth, "identitytoken": null });
    let auths = json!({ "other.example": null, registry: entry });
    json!({ "credHelpers": null, "credsStore": null, "auths": auths }).to_string()
}

fn with_empty_helper(registry: &str) -> String {
    let auth = Login::new(USER, PASSWORD).header().replace("Basic ", "");
    let auths = json!({ registry: { "auth": auth } });
    json!({ "credHelpers": { registry: "" }, "auths": auths }).to_string()
}

fn store_fails_once(registry: &FakeRegistry, code: u16) {
    registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
    registry
        .faults()
        .times(1, On::path("/layers/"), status(code));
}
