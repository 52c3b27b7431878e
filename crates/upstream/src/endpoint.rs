//! One endpoint of an upstream: a request with its credentials, its redirects followed by hand, its failures named.

use std::{error::Error, io, iter, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use manifest_model::RepoName;
use protocol::{
    error_body, error_chain::ErrorChain, headers::DOCKER_DISTRIBUTION_API_VERSION, host::Host,
};
use reqwest::{Client, Response};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{
    answer::{is_redirect, read, remaining_pulls},
    auth::{Authenticator, Refusal},
    budget::{Budget, Kind, Throttle},
    error::{Absent, FetchError, Trouble},
    health::{Failure, Health},
    patience::Turn,
    redirect,
};
use crate::metrics::UpstreamTally;

/// The largest error body read for its code and message.
const LARGEST_ERROR: usize = 64 * 1024;

/// How long a small body may take as a whole; the idle timeout alone would let it trickle for ever.
const LONGEST_BODY: Duration = Duration::from_mins(1);

/// What the endpoints of one upstream share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) host: Host,
    pub(super) client: Client,
    pub(super) budget: Budget,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) private_hosts: Vec<Host>,
    pub(super) tally: UpstreamTally,
    pub(super) tasks: TaskTracker,
}

/// One place that serves an upstream.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) shared: Arc<Shared>,
    pub(super) base: Url,
    pub(super) auth: Authenticator,
    pub(super) health: Arc<Health>,
    pub(super) throttle: Throttle,
    /// The last in the list waits out its 429s; before it there is another to turn to.
    pub(super) is_last: bool,
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

impl Ask<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self.absent {
            Absent::Manifest => Kind::Manifest,
            Absent::Blob => Kind::Blob,
            Absent::Repository | Absent::Endpoint => Kind::List,
        }
    }
}

impl Endpoint {
    pub(super) fn new(shared: Arc<Shared>, base: Url, auth: Authenticator, is_last: bool) -> Self {
        Self {
            shared,
            base,
            auth,
            health: Health::new(),
            throttle: Throttle::default(),
            is_last,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.base.as_str()
    }

    pub(super) fn host(&self) -> &Host {
        &self.shared.host
    }

    pub(super) async fn judge(
        &self,
        response: Response,
        absent: Absent,
    ) -> Result<Response, FetchError> {
        let status = response.status();
        // A store of blobs that lacks one is trouble; manifests and lists are redirected to other registries, whose word counts.
        // That a range lies beyond the end, only the store can know.
        let is_word = status == StatusCode::RANGE_NOT_SATISFIABLE
            || (status == StatusCode::NOT_FOUND && absent != Absent::Blob);
        if status.is_success() || status.is_redirection() {
            Ok(response)
        } else if self.is_elsewhere(&response) && !is_word {
            // The registry has just said that it has the thing and that we may: a place that refuses it is trouble.
            Err(self.broken(Trouble::Status(status.as_u16())))
        } else {
            Err(self.failure(response, absent).await)
        }
    }

    /// A part from a store that an earlier answer of this endpoint has redirected to. Any answer but a good one is an error, and
    /// the registry is to be asked again: what was a right address a minute ago may have expired.
    ///
    /// It takes no turn in the registry's budget and says nothing about the registry's health.
    pub(super) async fn ask_store(&self, url: &Url, ask: &Ask<'_>) -> Result<Response, FetchError> {
        let response = self.send(ask, url, None).await?;
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(self.broken(Trouble::Status(response.status().as_u16())))
        }
    }

    /// Whether an answer comes from another place than the endpoint: a store it has redirected to.
    pub(super) fn is_elsewhere(&self, response: &Response) -> bool {
        !redirect::same_place(response.url(), &self.base)
    }

    pub(super) async fn try_ask(&self, ask: &Ask<'_>, turn: Turn) -> Result<Response, FetchError> {
        let url = self.url(ask);
        let auth = &self.auth;
        let mut credential = auth.credential(Some(ask.repository)).await?;
        self.turn(turn).await?;
        let mut response = self.send(ask, &url, credential.as_ref()).await?;
        if let Some(refusal) = Refusal::of(response.status(), response.headers()) {
            let body = self.error_body(response).await;
            let renewed = auth
                .renew(Some(ask.repository), &refusal, &body, credential.as_ref())
                .await?;
            let Some(renewed) = renewed else {
                let reason = auth.reason(refusal.status, &body, &ask.path, credential.as_ref());
                return Err(self.refused(refusal.status, reason));
            };
            self.turn(turn).await?;
            response = self.send(ask, &url, Some(&renewed)).await?;
            if Refusal::of(response.status(), response.headers()).is_some() {
                let status = response.status();
                let body = self.error_body(response).await;
                let reason = auth.reason(status, &body, &ask.path, Some(&renewed));
                return Err(self.refused(status, reason));
            }
            credential = Some(renewed);
        }
        if is_redirect(response.status()) {
            response = self
                .follow(ask, &url, response, credential.as_ref(), turn)
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
        turn: Turn,
    ) -> Result<Response, FetchError> {
        let mut current = first.clone();
        for _ in 0..redirect::MAX_HOPS {
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let location = response
                .headers()
                .get(header::LOCATION)
                .and_then(|value| value.to_str().ok());
            let location =
                location.ok_or_else(|| self.broken(Trouble::Redirect("it names no target")))?;
            let private = &self.shared.private_hosts;
            current = redirect::target(&current, location, &self.base, private)
                .map_err(|reason| self.broken(Trouble::Redirect(reason)))?;
            if redirect::same_place(&current, &self.base) {
                self.turn(turn).await?;
            }
            // Ours stays with the registry: a store behind it must not see it, and S3 refuses two ways to sign.
            let credential = credential.filter(|_| redirect::same_place(first, &current));
            response = self.send(ask, &current, credential).await?;
        }
        if is_redirect(response.status()) {
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
        let shared = &self.shared;
        let once = || {
            let mut request = shared
                .client
                .request(ask.method.clone(), url.clone())
                .headers(ask.headers.clone())
                .header(header::ACCEPT_ENCODING, "identity");
            if let Some(credential) = credential {
                request = request.header(header::AUTHORIZATION, credential);
            }
            request.send()
        };
        let asked = Instant::now();
        let twice = async {
            match once().await {
                // Most likely a connection from the pool that the server was about to close.
                Err(error) if has_hung_up(&error) => once().await,
                answer => answer,
            }
        };
        let answer = match tokio::time::timeout(shared.header_timeout, twice).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Trouble::Http(error.without_url())),
            Err(_) => Err(Trouble::Timeout(shared.header_timeout)),
        };
        if redirect::same_place(url, &self.base) {
            self.note(asked, &answer);
        }
        answer.map_err(|trouble| self.unreachable(trouble))
    }

    /// Remembers what an answer, or its lack, says about the endpoint.
    fn note(&self, asked: Instant, answer: &Result<Response, Trouble>) {
        match answer {
            Ok(response) if response.status().is_server_error() => {
                let trouble = Trouble::Status(response.status().as_u16());
                let now = Instant::now();
                self.health
                    .failed(asked, now, Failure::Error, || trouble.to_string());
            }
            Ok(response) => {
                self.health.answered(Instant::now());
                if response.status() != StatusCode::TOO_MANY_REQUESTS {
                    self.throttle.answered();
                }
                if let Some(left) = remaining_pulls(response.headers()) {
                    self.shared.tally.pulls_remaining(left);
                }
            }
            Err(trouble) => self.note_trouble(asked, trouble),
        }
    }

    fn note_trouble(&self, asked: Instant, trouble: &Trouble) {
        let failure = match trouble {
            Trouble::Http(error) if !error.is_connect() && !error.is_timeout() => Failure::Error,
            _ => Failure::Outage,
        };
        let now = Instant::now();
        self.health
            .failed(asked, now, failure, || ErrorChain(trouble).to_string());
    }

    async fn failure(&self, response: Response, absent: Absent) -> FetchError {
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND => {
                let headers = response.headers();
                // Registries need not know every list; those that do not say so as any server says it.
                let is_believed = absent == Absent::Endpoint
                    || headers.contains_key(DOCKER_DISTRIBUTION_API_VERSION);
                let code = self.error_body(response).await.code;
                if code.is_empty() && !is_believed {
                    // What stands before a registry says this too, while there is no way to it.
                    return self.broken(Trouble::Status(status.as_u16()));
                }
                let what = match code.as_str() {
                    "NAME_UNKNOWN" if absent != Absent::Endpoint => Absent::Repository,
                    _ => absent,
                };
                FetchError::Absent {
                    upstream: self.host().clone(),
                    what,
                    by_stand_in: false,
                }
            }
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
        response: Response,
        limit: usize,
    ) -> Result<bytes::Bytes, FetchError> {
        let (asked, is_elsewhere) = (Instant::now(), self.is_elsewhere(&response));
        let read = tokio::time::timeout(LONGEST_BODY, read(response, limit)).await;
        let read = read.unwrap_or(Err(Trouble::Timeout(LONGEST_BODY)));
        read.map_err(|trouble| match trouble {
            Trouble::TooLarge(_) => self.broken(trouble),
            trouble => {
                if !is_elsewhere {
                    self.note_trouble(asked, &trouble);
                }
                self.unreachable(trouble)
            }
        })
    }

    fn refused(&self, status: StatusCode, reason: String) -> FetchError {
        FetchError::Refused {
            upstream: self.host().clone(),
            status: status.as_u16(),
            reason,
        }
    }

    pub(super) fn unreachable(&self, source: Trouble) -> FetchError {
        FetchError::Unreachable {
            upstream: self.host().clone(),
            source,
        }
    }

    pub(super) fn broken(&self, source: Trouble) -> FetchError {
        FetchError::Broken {
            upstream: self.host().clone(),
            source,
        }
    }
}

/// Whether a connection that stood has ended before the answer began. All we ask may be asked again (RFC 9110, section 9.2.2).
fn has_hung_up(error: &reqwest::Error) -> bool {
    let mut causes = iter::successors(error.source(), |cause| (*cause).source());
    let is_end = causes.any(|cause| {
        let ended = cause.downcast_ref::<hyper::Error>();
        let reset = cause.downcast_ref::<io::Error>();
        ended.is_some_and(|error| error.is_incomplete_message() || error.is_canceled())
            || reset.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    });
    is_end && !error.is_connect()
}
