//! Requests to a running Archway: to its registry API like any client, and to its admin listener.

use std::{any::Any, fmt::Display, time::Duration};

use admin_api::{Events, Evictions, Fills, Topic, Upstreams};
use cluster::NodeReport;
use config::{Config, KeyPairFiles, Listener};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use image_inventory::{Image, Listing};
use manifest_model::{Digest, Manifest, MediaType, Reference};
use protocol::{
    headers::{ARCHWAY_CACHE, ARCHWAY_INDEX},
    host::Host,
    image_name::ImageName,
    link,
};
use replicas::ReplicasReport;
use reqwest::{Client, Response, redirect::Policy};
use serde::de::DeserializeOwned;
use server::exchange::REQUEST_ID;
use url::Url;
use wishes::WishList;

use super::{
    address,
    answer::Answer,
    error::{ClientError, UrlOption},
    watch::Watch,
};

/// The time to connect: an Archway is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The time between two reads of an answer: longer than Archway waits for an upstream.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The most pages of one list that are read.
const MAX_PAGES: usize = 1000;

/// A running Archway, by the URLs of its listeners; an unknown one is the option that would name
/// it.
#[derive(Clone, Debug)]
pub struct Server {
    http: Client,
    registry: Result<String, UrlOption>,
    admin: Result<String, UrlOption>,
    /// The upstream of a name without a host, if known from the configuration.
    default_upstream: Option<Host>,
    config: Config,
}

impl Server {
    /// The Archway at these URLs. A missing one is that of the Archway this configuration starts.
    pub fn new(config: &Config, registry: Option<&Url>, admin: Option<&Url>) -> Self {
        let given = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let listener = address::listener(config).filter(|_| registry.is_none());
        let default_upstream = listener.and_then(|listener| listener.upstream.as_ref());
        let default_upstream = default_upstream.unwrap_or(&config.default_upstream);
        Self {
            http: http(listener),
            registry: registry
                .map(given)
                .or_else(|| listener.map(address::registry))
                .ok_or(UrlOption::Server),
            admin: admin
                .map(given)
                .or_else(|| address::admin(config))
                .ok_or(UrlOption::Admin),
            default_upstream: registry.is_none().then(|| default_upstream.clone()),
            config: config.clone(),
        }
    }

    /// The image with its upstream in the name, so that the registry API, the admin listener and
    /// the upstream itself mean the same one. With `--server`, a name without an upstream stays as
    /// it is: the default upstream there is unknown.
    ///
    /// A name as clients print it begins with the address of the mirror, which is left out.
    pub fn named(&self, image: &ImageName) -> ImageName {
        let image = match &image.host {
            Some(host) if self.is_asked_at(host) => image.behind_host(),
            _ => image.clone(),
        };
        let host = image.host.as_ref().or(self.default_upstream.as_ref());
        ImageName {
            host: host.cloned(),
            ..image
        }
    }

    /// Whether a host is the Archway that is asked, and no upstream.
    fn is_asked_at(&self, host: &Host) -> bool {
        let authority = self.registry.as_deref().ok();
        let authority = authority
            .and_then(|url| url.split_once("://"))
            .map(|(_, rest)| rest);
        authority == Some(host.as_str()) || self.config.is_own(host)
    }

    /// The headers of a manifest, by HEAD: Archway does not count that as a use. An error is asked
    /// for again by GET, for its body.
    pub async fn look(
        &self,
        image: &ImageName,
        reference: &Reference,
        headers: HeaderMap,
    ) -> Result<Answer, ClientError> {
        let answer = self
            .ask(Method::HEAD, image, reference, headers.clone())
            .await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        self.ask(Method::GET, image, reference, headers).await
    }

    /// A manifest, by GET with these headers; the status may be an error.
    pub async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
        headers: HeaderMap,
    ) -> Result<Answer, ClientError> {
        self.ask(Method::GET, image, reference, headers).await
    }

    /// A manifest as it is: of an index that goes out as one of its images, to whoever asks at this
    /// listener or by this URL, the index.
    pub async fn whole_manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
    ) -> Result<Manifest, ClientError> {
        let everything = || accepting(MediaType::MANIFESTS);
        let answer = self.manifest(image, reference, everything()).await?;
        let index = answer.header(&ARCHWAY_INDEX);
        let Some(index) = index.and_then(|index| index.parse().ok()) else {
            return answer.manifest();
        };
        let index = Reference::Digest(index);
        let answer = self.manifest(image, &index, everything()).await?;
        answer.manifest()
    }

    async fn ask(
        &self,
        method: Method,
        image: &ImageName,
        reference: &Reference,
        headers: HeaderMap,
    ) -> Result<Answer, ClientError> {
        let url = self.url(image, "manifests", reference)?;
        let request = self.http.request(method, &url).headers(headers);
        let response = sent(request, &url, UrlOption::Server).await?;
        if !is_archways(&response) {
            let url = found(&self.registry)?.to_owned();
            return Err(ClientError::NotArchway { url });
        }
        Answer::read(response, url).await
    }

    /// The digests that the upstream lists as referring to `subject`, page by page; none where it has no
    /// such list.
    pub async fn referrers(
        &self,
        image: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, ClientError> {
        let first = self.url(image, "referrers", subject)?;
        let (mut url, mut digests) = (first.clone(), Vec::new());
        for _ in 0..MAX_PAGES {
            let response = sent(self.http.get(&url), &url, UrlOption::Server).await?;
            if response.status() == StatusCode::NOT_FOUND {
                break;
            }
            let answer = Answer::read(response, url).await?.successful()?;
            let next = answer.header(&header::LINK).and_then(link::next);
            let next = next.and_then(|next| next.split_once('?'));
            let next = next.map(|(_, query)| query.to_owned());
            let page = answer.manifest()?;
            digests.extend(page.entries().iter().map(|entry| entry.digest));
            let Some(query) = next else {
                break;
            };
            url = format!("{}?{query}", before_query(&first));
        }
        Ok(digests)
    }

    /// Reads a blob to its end, piece by piece. Its digest is not checked here: Archway withholds
    /// the end of a blob that does not match.
    pub async fn read_blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        mut read: impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        let url = self.url(image, "blobs", digest)?;
        let response = sent(self.http.get(&url), &url, UrlOption::Server).await?;
        if !response.status().is_success() {
            Answer::read(response, url).await?.successful()?;
            return Ok(());
        }
        let broken = |error: reqwest::Error| ClientError::Invalid {
            url: url.clone(),
            source: error.into(),
        };
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.try_next().await.map_err(broken)? {
            read(&piece);
        }
        Ok(())
    }

    fn url(
        &self,
        image: &ImageName,
        endpoint: &str,
        reference: impl Display,
    ) -> Result<String, ClientError> {
        let base = found(&self.registry)?;
        let image = self.named(image);
        let mut url = format!("{base}/v2/{}/{endpoint}/{reference}", image.repository);
        if let Some(host) = image.host {
            url.push_str("?ns=");
            url.push_str(host.as_str());
        }
        Ok(url)
    }

    /// One page of images from the admin listener.
    pub async fn images(&self, query: &[(&str, String)]) -> Result<Listing, ClientError> {
        self.told("images", query).await
    }

    /// What clients asked for and is not here, or that of the last while.
    pub async fn wanted(&self, since: Option<Duration>) -> Result<WishList, ClientError> {
        let since = since.map(|since| ("since", since.as_secs().to_string()));
        self.told("wanted", since.as_slice()).await
    }

    /// The nodes of the cluster, as the server knows them.
    pub async fn nodes(&self) -> Result<NodeReport, ClientError> {
        self.told("nodes", &[]).await
    }

    /// The replicas that share downloads, as the server sees them.
    pub async fn replicas(&self) -> Result<ReplicasReport, ClientError> {
        self.told("replicas", &[]).await
    }

    /// The downloads that run, and the last that ended.
    pub async fn fills(&self) -> Result<Fills, ClientError> {
        self.told("fills", &[]).await
    }

    /// The upstreams in use, and how each is.
    pub async fn upstreams(&self) -> Result<Upstreams, ClientError> {
        self.told("upstreams", &[]).await
    }

    /// How full the cache is, and the first `limit` blobs that leave it next.
    pub async fn evictions(&self, limit: usize) -> Result<Evictions, ClientError> {
        let limit = ("limit", limit.to_string());
        self.told("evictions", &[limit]).await
    }

    /// The remembered events, the latest first.
    pub async fn events(&self) -> Result<Events, ClientError> {
        self.told("events", &[]).await
    }

    /// The remembered events, then those that come.
    pub async fn watch_events(&self) -> Result<Watch<Events>, ClientError> {
        let base = found(&self.admin)?;
        let url = format!("{base}/_archway/v1/stream?topics={}", Topic::Events);
        let response = sent(self.http.get(&url), &url, UrlOption::Admin).await?;
        if response.status().is_success() {
            return Ok(Watch::new(response, url));
        }
        let answer = Answer::read(response, url).await?;
        Err(answer.refusal())
    }

    /// The answer of a private route of the admin listener.
    async fn told<T: DeserializeOwned>(
        &self,
        route: &str,
        query: &[(&str, String)],
    ) -> Result<T, ClientError> {
        let base = found(&self.admin)?;
        let mut url = format!("{base}/_archway/v1/{route}");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let response = sent(self.http.get(&url), &url, UrlOption::Admin).await?;
        let answer = Answer::read(response, url).await?.successful()?;
        serde_json::from_slice(&answer.body).map_err(|error| answer.invalid(error))
    }

    /// One image from the admin listener; `None` if it is not cached.
    pub async fn known(&self, image: &ImageName) -> Result<Option<Image>, ClientError> {
        let named = self.named(image);
        let listing = self.images(&[("name", named.to_string())]).await?;
        Ok(listing.images.into_iter().next())
    }

    /// All pages of [`Self::images`].
    pub async fn all_images(&self, query: &[(&str, String)]) -> Result<Listing, ClientError> {
        let mut all = Listing::default();
        let mut after = None;
        loop {
            let mut query = query.to_vec();
            query.extend(after.map(|after| ("after", after)));
            let page = self.images(&query).await?;
            all.images.extend(page.images);
            all.offline = page.offline;
            // A page has the upstreams of its own images.
            all.down.extend(page.down);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

/// The `Accept` headers of a client that takes these media types.
pub fn accepting(types: impl IntoIterator<Item = MediaType>) -> HeaderMap {
    let types = types.into_iter().map(|kind| {
        let value = HeaderValue::from_str(kind.as_str()).expect("media types are header text");
        (header::ACCEPT, value)
    });
    let mut headers = HeaderMap::new();
    types.for_each(|(name, value)| {
        headers.append(name, value);
    });
    headers
}

/// Whether Archway gave an answer for a manifest: each success says where it came from, and each
/// error has the request's id.
fn is_archways(response: &Response) -> bool {
    let headers = response.headers();
    if response.status().is_success() {
        headers.contains_key(ARCHWAY_CACHE)
    } else {
        headers.contains_key(REQUEST_ID)
    }
}

fn found(url: &Result<String, UrlOption>) -> Result<&str, ClientError> {
    url.as_deref()
        .map_err(|&option| ClientError::NoListener { option })
}

/// An HTTP client; with a TLS listener of the configuration, one that trusts its certificate.
fn http(listener: Option<&Listener>) -> Client {
    let mut builder = Client::builder()
        // Archway is in the local network, which an outgoing proxy does not reach.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("archway-command/", env!("CARGO_PKG_VERSION")));
    if let Some(tls) = listener.and_then(|listener| pinned(listener.tls.as_ref()?)) {
        builder = builder.tls_backend_preconfigured(tls);
    }
    builder.build().expect("no option of the builder can fail")
}

/// Settings that trust the server with the first certificate of `files`, if it can be read.
fn pinned(files: &KeyPairFiles) -> Option<impl Any + use<>> {
    let certificate = files.read().ok()?.cert.first()?.clone();
    trust::pinned(certificate).ok()
}

fn before_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(address, _)| address)
}

async fn sent(
    request: reqwest::RequestBuilder,
    url: &str,
    option: UrlOption,
) -> Result<Response, ClientError> {
    request
        .send()
        .await
        .map_err(|source| ClientError::Unreachable {
            url: url.to_owned(),
            option,
            source,
        })
}
