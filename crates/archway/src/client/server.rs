//! Asking a running Archway: its registry API as any client, and its admin listener.

use protocol::image_name::ImageName;
use std::{fmt::Display, time::Duration};

use config::{Config, Listener};
use futures_util::TryStreamExt;
use http::{HeaderMap, HeaderValue, Method, header};
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference};
use protocol::{error_body, headers, host::Host};
use proxy::inventory::{Image, Listing};
use reqwest::{Client, Response, redirect::Policy};
use url::Url;

use super::{ClientError, pinned, place};

/// How long connecting may take. An Archway is near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take: longer than Archway waits for an upstream.
const READ_TIMEOUT: Duration = Duration::from_secs(90);

/// The option that names the missing URL.
type WhichOption = &'static str;

const SERVER: &str = "--server URL";
const ADMIN: &str = "--admin URL";

/// A running Archway.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    http: Client,
    registry: Result<String, WhichOption>,
    admin: Result<String, WhichOption>,
    /// The upstream of a name without one, if the configuration applies to this Archway.
    default_upstream: Option<Host>,
}

/// Its answer to a request for a manifest.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub status: http::StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; empty for a HEAD.
    pub body: bytes::Bytes,
    url: String,
}

impl Server {
    /// The Archway at these URLs. In place of a missing URL, that of the Archway that this
    /// configuration would start.
    pub(crate) fn new(config: &Config, registry: Option<&Url>, admin: Option<&Url>) -> Self {
        let given = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
        let listener = place::listener(config).filter(|_| registry.is_none());
        let default_upstream = listener.and_then(|listener| listener.upstream.as_ref());
        let default_upstream = default_upstream.unwrap_or(&config.default_upstream);
        Self {
            http: http(listener),
            registry: registry
                .map(given)
                .or_else(|| listener.map(place::registry))
                .ok_or(SERVER),
            admin: admin
                .map(given)
                .or_else(|| place::admin(config))
                .ok_or(ADMIN),
            default_upstream: registry.is_none().then(|| default_upstream.clone()),
        }
    }

    /// The image with its upstream in its name, so that every Archway and upstream takes it for the
    /// same one. At an Archway with another configuration, a name without an upstream stays as it
    /// is, and that Archway resolves it.
    pub(crate) fn named(&self, image: &ImageName) -> ImageName {
        let host = image.host.as_ref().or(self.default_upstream.as_ref());
        ImageName {
            host: host.cloned(),
            ..image.clone()
        }
    }

    /// A manifest's headers, or the whole answer if that is an error. A HEAD is no pull: Archway
    /// learns nothing from it.
    pub(crate) async fn look(
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

    /// Asks for a manifest with these headers. An answer of any status is a success.
    pub(crate) async fn manifest(
        &self,
        image: &ImageName,
        reference: &Reference,
        headers: HeaderMap,
    ) -> Result<Answer, ClientError> {
        self.ask(Method::GET, image, reference, headers).await
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
        let response = sent(request, &url, SERVER).await?;
        Answer::read(response, url).await
    }

    /// Reads a blob to its end, piece by piece. Its digest needs no check: Archway withholds the
    /// end of a blob that does not match.
    pub(crate) async fn read_blob(
        &self,
        image: &ImageName,
        digest: &Digest,
        mut read: impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        let url = self.url(image, "blobs", digest)?;
        let response = sent(self.http.get(&url), &url, SERVER).await?;
        if !response.status().is_success() {
            Answer::read(response, url).await?.successful()?;
            return Ok(());
        }
        let broken = |error: reqwest::Error| ClientError::Unreadable {
            url: url.clone(),
            reason: error.to_string(),
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
        let mut url = format!("{base}/v2/{}/{endpoint}/{reference}", image.repository);
        if let Some(host) = self.named(image).host {
            url.push_str("?ns=");
            url.push_str(host.as_str());
        }
        Ok(url)
    }

    /// Images as the admin listener lists them.
    pub(crate) async fn images(&self, query: &[(&str, String)]) -> Result<Listing, ClientError> {
        let base = found(&self.admin)?;
        let mut url = format!("{base}/_archway/v1/images");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        if !query.is_empty() {
            url = format!("{url}?{query}");
        }
        let response = sent(self.http.get(&url), &url, ADMIN).await?;
        let answer = Answer::read(response, url).await?.successful()?;
        serde_json::from_slice(&answer.body).map_err(|error| answer.unreadable(error))
    }

    /// One image as the admin listener knows it; `None` if it knows none of this name.
    pub(crate) async fn known(&self, image: &ImageName) -> Result<Option<Image>, ClientError> {
        let query = [("name", self.named(image).to_string())];
        let listing = self.images(&query).await?;
        Ok(listing.images.into_iter().next())
    }

    /// All pages of [`Self::images`].
    pub(crate) async fn all_images(
        &self,
        query: &[(&str, String)],
    ) -> Result<Listing, ClientError> {
        let mut all = Listing::default();
        let mut after = None;
        loop {
            let mut query = query.to_vec();
            query.extend(after.map(|after| ("after", after)));
            let page = self.images(&query).await?;
            all.images.extend(page.images);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}

impl Answer {
    async fn read(response: Response, url: String) -> Result<Self, ClientError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response
            .bytes()
            .await
            .map_err(|error| ClientError::Unreadable {
                url: url.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            status,
            headers,
            body,
            url,
        })
    }

    /// The answer itself, or an error if its status is one.
    pub(crate) fn successful(self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(ClientError::Refused {
            status: self.status,
            message: self.message(),
        })
    }

    /// The error for an answer that cannot be read.
    pub(crate) fn unreadable(&self, reason: impl Display) -> ClientError {
        ClientError::Unreadable {
            url: self.url.clone(),
            reason: reason.to_string(),
        }
    }

    /// The message of its error body.
    pub(crate) fn message(&self) -> String {
        let error = error_body::Read::parse(&self.body);
        if error.message.is_empty() {
            String::from_utf8_lossy(&self.body).trim().to_owned()
        } else {
            error.message
        }
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The digest it names.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.header(&headers::DOCKER_CONTENT_DIGEST)?.parse().ok()
    }

    /// The media type of its body.
    pub(crate) fn media_type(&self) -> Option<MediaType> {
        self.header(&header::CONTENT_TYPE)?.parse().ok()
    }

    /// Its body as a manifest.
    pub(crate) fn manifest(self) -> Result<Manifest, ClientError> {
        let answer = self.successful()?;
        let media_type = answer.media_type();
        let algorithm = answer
            .digest()
            .map_or(Algorithm::Sha256, |digest| digest.algorithm());
        Manifest::parse(answer.body.clone(), media_type.as_ref(), algorithm)
            .map_err(|error| answer.unreadable(error))
    }
}

/// An `Accept` header of these types, one line each.
pub(crate) fn accepting(types: impl IntoIterator<Item = MediaType>) -> HeaderMap {
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

fn found(place: &Result<String, WhichOption>) -> Result<&str, ClientError> {
    place
        .as_deref()
        .map_err(|&option| ClientError::Nowhere { option })
}

/// A client for any server, or for one listener of the configuration.
fn http(listener: Option<&Listener>) -> Client {
    let mut builder = Client::builder()
        // Archway is in the local network, which a proxy for outside traffic may not reach.
        .no_proxy()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")));
    let pair = listener.and_then(|listener| listener.tls.as_ref());
    if let Some(tls) = pair.and_then(pinned::trusting) {
        builder = builder.tls_backend_preconfigured(tls);
    }
    builder
        .build()
        .expect("a client without wishes that could fail")
}

async fn sent(
    request: reqwest::RequestBuilder,
    url: &str,
    option: &'static str,
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
