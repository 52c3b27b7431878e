//! Checks of the set-up for one endpoint: its answer, its certificate, its clock, our login.
//!
//! A prober has the trust, the timeouts and the credentials of its upstream. It follows no redirect
//! and waits for no rate limit.

use std::{sync::Arc, time::SystemTime};

use config::{EndpointConfig, UpstreamConfig, UpstreamSettings};
use http::{HeaderMap, Method, header};
use manifest_model::{RepoName, Tag};
use protocol::host::Host;
use reqwest::{Response, tls::TlsInfo};
use tally::UpstreamMetrics;
use tokio_util::task::TaskTracker;

use crate::{
    auth::{Authenticator, EcrTokens},
    endpoint::{Endpoint, Exchange, Request, Shared},
    error::{CallKind, Cause, FetchError, Resource},
    manifest,
    policy::{Budget, Deadline, Urgency},
    transport,
};

/// Probes one endpoint of an upstream.
#[derive(Debug)]
pub struct Prober {
    endpoint: Endpoint,
    settings: Arc<UpstreamSettings>,
}

/// An endpoint's answer to a request without credentials.
#[derive(Debug)]
pub struct PingAnswer {
    /// The status of `/v2/`; 401 is a good one.
    pub status: u16,
    /// The time of its clock.
    pub date: Option<SystemTime>,
    /// Whether it is a page for people, as a login of a network gives in place of any answer.
    pub is_page: bool,
    /// Its certificate (DER), which has been verified; none on plain HTTP.
    pub certificate: Option<Vec<u8>>,
}

impl PingAnswer {
    /// Whether the endpoint answers without credentials.
    pub fn is_open(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Prober {
    /// Builds the client, and sends nothing yet.
    pub fn new(
        host: &Host,
        config: &UpstreamConfig,
        endpoint: &EndpointConfig,
        ecr: &Arc<EcrTokens>,
    ) -> Result<Self, FetchError> {
        let client = transport::client_with_tls_info(host, config)?;
        let tally = UpstreamMetrics::default().tally(&config.pattern);
        let auth = Authenticator::new(host, config, endpoint, client.clone(), ecr, &tally);
        let (budget, tasks) = (Budget::unlimited(), TaskTracker::new());
        let shared = Shared::new(host.clone(), config, client, budget, tally, tasks);
        Ok(Self {
            settings: Arc::clone(&config.settings),
            endpoint: Endpoint::new(Arc::new(shared), endpoint, auth, true),
        })
    }

    /// Asks for `/v2/` without credentials. Any answer counts.
    pub async fn ping(&self) -> Result<PingAnswer, FetchError> {
        let request = Request::ping(None);
        let endpoint = &self.endpoint;
        let response = endpoint
            .exchange_anonymously(&request, &self.deadline())
            .await?;
        let date = response.headers().get(header::DATE);
        let date = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok());
        let certificate = response.extensions().get::<TlsInfo>();
        let certificate = certificate
            .and_then(TlsInfo::peer_certificate)
            .map(<[u8]>::to_vec);
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Ok(PingAnswer {
            is_page: kind.starts_with("text/html"),
            status: response.status().as_u16(),
            date,
            certificate,
        })
    }

    /// Asks for `/v2/` with our credentials, those for `repository` if there is one. Succeeds if
    /// the registry accepts them.
    pub async fn authenticate(&self, repository: Option<&RepoName>) -> Result<(), FetchError> {
        self.ask(Request::ping(repository)).await?;
        Ok(())
    }

    /// The headers of a tag, by HEAD, which no registry counts as a pull.
    pub async fn head_tag(
        &self,
        repository: &RepoName,
        tag: &Tag,
    ) -> Result<HeaderMap, FetchError> {
        let path = format!("manifests/{tag}");
        let mut request = Request::new(Method::HEAD, Resource::Manifest, repository, &path);
        request.headers = manifest::accept_all();
        Ok(self.ask(request).await?.headers().clone())
    }

    fn deadline(&self) -> Deadline {
        Deadline::new(&self.settings)
    }

    /// The answer if it is not an error. Unlike for clients, every 404 means "not found".
    async fn ask(&self, request: Request<'_>) -> Result<Response, FetchError> {
        let (endpoint, resource) = (&self.endpoint, request.resource);
        let deadline = self.deadline();
        let call = endpoint.call(Urgency::Pull, resource, &deadline);
        let Exchange {
            response,
            credential,
        } = endpoint.exchange(&request, &call).await?;
        match response.status().as_u16() {
            200..400 => Ok(response),
            404 => Err(FetchError::NotFound {
                upstream: endpoint.host().clone(),
                what: resource,
                from_fallback: false,
            }),
            429 => Err(FetchError::Throttled {
                upstream: endpoint.host().clone(),
                calls: CallKind::of(resource).as_str(),
                retry_after: None,
            }),
            400..500 => {
                let refusal = endpoint.refusal(response, resource, credential.as_ref(), &deadline);
                Err(refusal.await)
            }
            status => Err(endpoint.broken(Cause::Status(status))),
        }
    }
}
