//! A hundred images in one repository of the stand-in: the layers of one, and a config and a
//! manifest of its own for each.

use std::sync::OnceLock;

use http::{Method, StatusCode, header};
use manifest_model::{Algorithm, Digest};
use reqwest::{Client, Response, Url};
use serde_json::{Value, json};
use tokio::runtime;

use crate::images::TAG;
use crate::setup::TEAM;
use crate::standin::Standin;

/// How many there are, under the tags `v0`, `v1`, ...
pub(crate) const NUMBER: usize = 100;

/// Where they are.
pub(crate) const REPOSITORY: &str = "team/many";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The manifests' digests, in the order of their tags; pushed by the first that asks.
pub(crate) fn pushed(standin: &Standin) -> &'static [Digest] {
    static PUSHED: OnceLock<Vec<Digest>> = OnceLock::new();
    PUSHED.get_or_init(|| {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(push_all(&Registry::of(standin)))
    })
}

async fn push_all(registry: &Registry) -> Vec<Digest> {
    let source = format!("{TEAM}/oci");
    let tag = format!("{TAG}-amd64");
    let manifest: Value = registry.json(&source, "manifests", &tag).await;
    let config = manifest["config"]["digest"].as_str().expect("a digest");
    let config: Value = registry.json(&source, "blobs", config).await;
    for layer in manifest["layers"].as_array().expect("layers") {
        let digest = layer["digest"].as_str().expect("a digest");
        registry.mount(digest, &source).await;
    }
    let mut digests = Vec::new();
    for number in 0..NUMBER {
        let (mut config, mut manifest) = (config.clone(), manifest.clone());
        config["config"]["Labels"] = json!({ "number": number.to_string() });
        let config = config.to_string();
        let digest = registry.upload(config.clone()).await;
        manifest["config"]["digest"] = digest.to_string().into();
        manifest["config"]["size"] = config.len().into();
        let manifest = manifest.to_string();
        digests.push(digest_of(&manifest));
        registry.put_manifest(&format!("v{number}"), manifest).await;
    }
    digests
}

fn digest_of(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

/// The stand-in's registry, to be pushed to.
struct Registry {
    client: Client,
    base: Url,
    token: String,
}

impl Registry {
    fn of(standin: &Standin) -> Self {
        Self {
            client: Client::builder().no_proxy().build().expect("a client"),
            base: format!("http://{}/v2/", standin.registry)
                .parse()
                .expect("a URL"),
            token: standin.token.clone(),
        }
    }

    async fn ask(&self, method: Method, url: Url, body: String, kind: &str) -> Response {
        let request = self
            .client
            .request(method, url.clone())
            .basic_auth("AWS", Some(&self.token))
            .header(header::CONTENT_TYPE, kind)
            .header(header::ACCEPT, MANIFEST)
            .body(body);
        let response = request.send().await.expect("an answer");
        assert!(
            response.status().is_success(),
            "{url}: {}",
            response.status()
        );
        response
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("a URL")
    }

    async fn json(&self, repository: &str, kind: &str, reference: &str) -> Value {
        let url = self.url(&format!("{repository}/{kind}/{reference}"));
        let response = self.ask(Method::GET, url, String::new(), "").await;
        let bytes = response.bytes().await.expect("a body");
        serde_json::from_slice(&bytes).expect("JSON")
    }

    async fn mount(&self, digest: &str, from: &str) {
        let url = self.url(&format!(
            "{REPOSITORY}/blobs/uploads/?mount={digest}&from={from}"
        ));
        let response = self.ask(Method::POST, url, String::new(), "").await;
        assert_eq!(response.status(), StatusCode::CREATED);
    }

    async fn upload(&self, content: String) -> Digest {
        let url = self.url(&format!("{REPOSITORY}/blobs/uploads/"));
        let begun = self.ask(Method::POST, url, String::new(), "").await;
        let location = begun.headers()[header::LOCATION].to_str().expect("text");
        let mut url = self.base.join(location).expect("a URL");
        let digest = digest_of(&content);
        url.query_pairs_mut()
            .append_pair("digest", &digest.to_string());
        self.ask(Method::PUT, url, content, "application/octet-stream")
            .await;
        digest
    }

    async fn put_manifest(&self, tag: &str, manifest: String) {
        let url = self.url(&format!("{REPOSITORY}/manifests/{tag}"));
        self.ask(Method::PUT, url, manifest, MANIFEST).await;
    }
}
