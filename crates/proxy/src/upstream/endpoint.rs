//! One endpoint of an upstream: a request with its credentials, its redirects followed by hand, its failures named.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::RepoName;
use reqwest::{Client, ClientBuilder, Response, redirect::Policy};
use url::Url;

use super::{
    auth::{Authenticator, Refusal},
    error::{Absent, FetchError, Trouble},
    redirect,
};
use crate::{
    config::UpstreamConfig,
    protocol::{error_body, host::Host},
};

/// The largest error body read for its code and message.
const LARGEST_ERROR: usize = 64 * 1024;

/// The longest wait an upstream may ask for and still be quoted.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The HTTP client of one upstream: its own connections, trust and timeouts.
pub(super) fn client(host: &Host, config: &UpstreamConfig) -> Result<Client, FetchError> {
    builder(host, config)?
        .build()
        .map_err(|source| FetchError::Unreachable {
            upstream: host.clone(),
            source: Trouble::Http(source),
        })
}

/// The client of [`client`], for who wants to set more.
pub(super) fn builder(host: &Host, config: &UpstreamConfig) -> Result<ClientBuilder, FetchError> {
    let local = |reason: String| FetchError::Unreachable {
        upstream: host.clone(),
        source: Trouble::Local(reason),
    };
    let mut builder = Client::builder()
        .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(config.connect_timeout)
        // Between two pieces of a body. There is no total: a large blob may take an hour, a stalled one may not.
        .read_timeout(config.idle_timeout)
        .tcp_nodelay(true);
    if let Some(path) = &config.ca_file {
        let pem = std::fs::read(path)
            .map_err(|error| local(format!("cannot read {}: {error}", path.display())))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .map_err(|error| local(format!("{} holds no certificates: {error}", path.display())))?;
        builder = builder.tls_certs_merge(roots);
    }
    Ok(builder)
}

/// One place that serves an upstream.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: Host,
    base: Url,
    client: Client,
    auth: Arc<Authenticator>,
    header_timeout: Duration,
    private_hosts: Vec<Host>,
}

/// A question to an endpoint.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) repository: &'a RepoName,
    /// Below `/v2/NAME/`.
    pub(super) path: String,
    pub(super) query: Option<&'a str>,
    pub(super) headers: HeaderMap,
    /// What a 404 means, unless its code says more.
    pub(super) absent: Absent,
}

/// What to do with a redirect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    Follow,
    /// It is the answer: whoever redirects has the thing.
    Stop,
}

impl Endpoint {
    pub(super) fn new(
        host: Host,
        base: Url,
        client: Client,
        auth: Arc<Authenticator>,
        config: &UpstreamConfig,
    ) -> Self {
        Self {
            host,
            base,
            client,
            auth,
            header_timeout: config.header_timeout,
            private_hosts: config.private_hosts.clone(),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.base.as_str()
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    /// The answer, if it is a good one: 2xx, or a redirect where those are not followed.
    ///
    /// A store that refuses a signed URL gets a fresh one, once: the first may have expired on the way.
    pub(super) async fn ask(
        &self,
        ask: Ask<'_>,
        redirects: Redirects,
    ) -> Result<Response, FetchError> {
        let mut response = self.try_ask(&ask, redirects).await?;
        if self.is_elsewhere(&response) && is_signature_refusal(response.status()) {
            response = self.try_ask(&ask, redirects).await?;
        }
        if response.status().is_success() || response.status().is_redirection() {
            Ok(response)
        } else if self.is_elsewhere(&response) && response.status() == StatusCode::NOT_FOUND {
            // The registry has just said that it has the thing: a store without it is trouble, not absence.
            Err(self.broken(Trouble::Status(response.status().as_u16())))
        } else {
            Err(self.failure(response, ask.absent).await)
        }
    }

    fn is_elsewhere(&self, response: &Response) -> bool {
        !redirect::same_place(response.url(), &self.base)
    }

    async fn try_ask(&self, ask: &Ask<'_>, redirects: Redirects) -> Result<Response, FetchError> {
        let url = self.url(ask);
        let mut credential = self.auth.credential(Some(ask.repository)).await?;
        let mut response = self.send(ask, &url, credential.as_ref()).await?;
        if let Some(refusal) = Refusal::of(response.status(), response.headers()) {
            let body = self.error_body(response).await;
            let renewed = self
                .auth
                .renew(
                    Some(ask.repository),
                    &self.base,
                    &refusal,
                    &body,
                    credential.as_ref(),
                )
                .await?;
            let Some(renewed) = renewed else {
                let reason =
                    self.auth
                        .reason(refusal.status, &body, &ask.path, credential.as_ref());
                return Err(self.refused(refusal.status, reason));
            };
            response = self.send(ask, &url, Some(&renewed)).await?;
            if Refusal::of(response.status(), response.headers()).is_some() {
                let status = response.status();
                let body = self.error_body(response).await;
                let reason = self.auth.reason(status, &body, &ask.path, Some(&renewed));
                return Err(self.refused(status, reason));
            }
            credential = Some(renewed);
        }
        if response.status().is_redirection() {
            if redirects == Redirects::Stop {
                return Ok(response);
            }
            response = self
                .follow(ask, &url, response, credential.as_ref())
                .await?;
        }
        Ok(response)
    }

    fn url(&self, ask: &Ask<'_>) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{}/{}", ask.repository, ask.path));
        url.set_query(ask.query);
        url
    }

    async fn follow(
        &self,
        ask: &Ask<'_>,
        first: &Url,
        mut response: Response,
        credential: Option<&HeaderValue>,
    ) -> Result<Response, FetchError> {
        let mut current = first.clone();
        for _ in 0..redirect::MAX_HOPS {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok());
            let location =
                location.ok_or_else(|| self.broken(Trouble::Redirect("it names no target")))?;
            current = redirect::target(&current, location, &self.base, &self.private_hosts)
                .map_err(|reason| self.broken(Trouble::Redirect(reason)))?;
            // Ours stays with the registry: a store behind it must not see it, and S3 refuses two ways to sign.
            let credential = credential.filter(|_| redirect::same_place(first, &current));
            response = self.send(ask, &current, credential).await?;
        }
        if response.status().is_redirection() {
            return Err(self.broken(Trouble::Redirect("too many times")));
        }
        Ok(response)
    }

    async fn send(
        &self,
        ask: &Ask<'_>,
        url: &Url,
        credential: Option<&HeaderValue>,
    ) -> Result<Response, FetchError> {
        let mut request = self
            .client
            .request(ask.method.clone(), url.clone())
            .headers(ask.headers.clone());
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if let Some(credential) = credential {
            request = request.header(header::AUTHORIZATION, credential);
        }
        match tokio::time::timeout(self.header_timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.unreachable(Trouble::Http(error.without_url()))),
            Err(_) => Err(self.unreachable(Trouble::Timeout(self.header_timeout))),
        }
    }

    async fn failure(&self, response: Response, absent: Absent) -> FetchError {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        match status {
            StatusCode::NOT_FOUND => {
                let what = match self.error_body(response).await.code.as_str() {
                    "NAME_UNKNOWN" if absent != Absent::Endpoint => Absent::Repository,
                    _ => absent,
                };
                FetchError::Absent {
                    upstream: self.host.clone(),
                    what,
                }
            }
            StatusCode::TOO_MANY_REQUESTS => FetchError::Throttled {
                upstream: self.host.clone(),
                retry_after,
            },
            _ if status.is_client_error() => {
                let body = self.error_body(response).await;
                self.refused(status, body.reason().to_owned())
            }
            _ => self.broken(Trouble::Status(status.as_u16())),
        }
    }

    async fn error_body(&self, response: Response) -> error_body::Read {
        self.bytes(response, LARGEST_ERROR)
            .await
            .map(|body| error_body::Read::parse(&body))
            .unwrap_or_default()
    }

    /// A small body, whole.
    pub(super) async fn bytes(
        &self,
        mut response: Response,
        limit: usize,
    ) -> Result<bytes::Bytes, FetchError> {
        let mut body = bytes::BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.interrupted(error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(self.broken(Trouble::TooLarge(limit)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn refused(&self, status: StatusCode, reason: String) -> FetchError {
        FetchError::Refused {
            upstream: self.host.clone(),
            status: status.as_u16(),
            reason,
        }
    }

    fn unreachable(&self, source: Trouble) -> FetchError {
        FetchError::Unreachable {
            upstream: self.host.clone(),
            source,
        }
    }

    /// The body broke off or stalled.
    pub(super) fn interrupted(&self, error: reqwest::Error) -> FetchError {
        self.unreachable(Trouble::Http(error.without_url()))
    }

    pub(super) fn broken(&self, source: Trouble) -> FetchError {
        FetchError::Broken {
            upstream: self.host.clone(),
            source,
        }
    }
}

/// How stores refuse a signed URL whose time is over. A 429 is not among them: asking again at once would make it worse.
fn is_signature_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST
            | StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::GONE
    )
}

/// `Retry-After` in either of its forms (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value)
            .ok()?
            .duration_since(std::time::SystemTime::now())
            .ok()?,
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}
