//! Questions that only a check of the set-up asks: what an endpoint says of itself, its certificate, its clock, our budget.
//!
//! An inspector has the trust, the timeouts and the credentials of the upstream it stands for, and follows no redirect.

use std::{sync::Arc, time::SystemTime};

use config::{EndpointConfig, UpstreamConfig};
use http::{HeaderMap, Method, header};
use manifest_model::{RepoName, Tag};
use protocol::{error_body, host::Host};
use reqwest::{Client, Response, tls::TlsInfo};
use url::Url;

use super::{
    EcrTokens,
    auth::{Authenticator, Refusal},
    error::{Absent, FetchError, Trouble},
    manifest, transport,
};

/// The largest error body read for its code and message.
const LARGEST_ERROR: usize = 64 * 1024;

/// One endpoint of an upstream, to be looked at.
#[derive(Debug)]
pub struct Inspector {
    host: Host,
    base: Url,
    client: Client,
    auth: Authenticator,
    config: UpstreamConfig,
}

/// How an endpoint answers who says nothing.
#[derive(Debug)]
pub struct Greeting {
    /// The status of `/v2/`; 401 is a good one.
    pub status: u16,
    /// What its clock says.
    pub date: Option<SystemTime>,
    /// Its certificate (DER), where it has one. It was verified.
    pub certificate: Option<Vec<u8>>,
}

impl Greeting {
    /// Whether nobody has to say who they are.
    pub fn lets_everybody_in(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Inspector {
    /// Contacts nothing yet.
    pub fn new(
        host: &Host,
        config: &UpstreamConfig,
        endpoint: &EndpointConfig,
        ecr: &Arc<EcrTokens>,
    ) -> Result<Self, FetchError> {
        let builder = transport::builder(host, config)?.tls_info(true);
        let client = transport::build(host, builder)?;
        Ok(Self {
            auth: Authenticator::new(host, config, endpoint, client.clone(), ecr),
            host: host.clone(),
            base: endpoint.url.clone(),
            client,
            config: config.clone(),
        })
    }

    /// Asks for `/v2/` as nobody. Whatever is answered is an answer.
    pub async fn greet(&self) -> Result<Greeting, FetchError> {
        let response = self.send(&Method::GET, "", &HeaderMap::new(), None).await?;
        let date = response.headers().get(header::DATE);
        let date = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| httpdate::parse_http_date(date).ok());
        let certificate = response.extensions().get::<TlsInfo>();
        let certificate = certificate
            .and_then(TlsInfo::peer_certificate)
            .map(<[u8]>::to_vec);
        Ok(Greeting {
            status: response.status().as_u16(),
            date,
            certificate,
        })
    }

    /// Asks for `/v2/` with our credentials, in the name of `repository` where there is one; succeeds where we are let in.
    pub async fn sign_in(&self, repository: Option<&RepoName>) -> Result<(), FetchError> {
        let headers = HeaderMap::new();
        self.ask(&Method::GET, "", repository, headers).await?;
        Ok(())
    }

    /// The headers of a tag, by HEAD, which no registry counts as a pull.
    pub async fn head_tag(
        &self,
        repository: &RepoName,
        tag: &Tag,
    ) -> Result<HeaderMap, FetchError> {
        let path = format!("{repository}/manifests/{tag}");
        let accept = manifest::accept_everything();
        let response = self.ask(&Method::HEAD, &path, Some(repository), accept);
        Ok(response.await?.headers().clone())
    }

    async fn ask(
        &self,
        method: &Method,
        path: &str,
        repository: Option<&RepoName>,
        headers: HeaderMap,
    ) -> Result<Response, FetchError> {
        let mut credential = self.auth.credential(repository).await?;
        let mut response = self
            .send(method, path, &headers, credential.as_ref())
            .await?;
        if let Some(refusal) = Refusal::of(response.status(), response.headers()) {
            let body = error_body(response).await;
            let renewed = self
                .auth
                .renew(repository, &refusal, &body, credential.as_ref());
            let Some(renewed) = renewed.await? else {
                return Err(self.refused(refusal.status, &body, path, credential.as_ref()));
            };
            response = self.send(method, path, &headers, Some(&renewed)).await?;
            credential = Some(renewed);
        }
        let status = response.status();
        match status.as_u16() {
            200..400 => Ok(response),
            404 => Err(FetchError::Absent {
                upstream: self.host.clone(),
                what: Absent::Manifest,
                by_stand_in: false,
            }),
            429 => Err(FetchError::Throttled {
                upstream: self.host.clone(),
                retry_after: None,
            }),
            400..500 => {
                let body = error_body(response).await;
                Err(self.refused(status, &body, path, credential.as_ref()))
            }
            status => Err(FetchError::Broken {
                upstream: self.host.clone(),
                source: Trouble::Status(status),
            }),
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        credential: Option<&http::HeaderValue>,
    ) -> Result<Response, FetchError> {
        let mut url = self.base.clone();
        url.set_path(&format!("/v2/{path}"));
        let mut request = self
            .client
            .request(method.clone(), url)
            .headers(headers.clone());
        if let Some(credential) = credential {
            request = request.header(header::AUTHORIZATION, credential);
        }
        let patience = self.config.header_timeout;
        let source = match tokio::time::timeout(patience, request.send()).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => Trouble::Http(error.without_url()),
            Err(_) => Trouble::Timeout(patience),
        };
        Err(FetchError::Unreachable {
            upstream: self.host.clone(),
            source,
        })
    }

    fn refused(
        &self,
        status: http::StatusCode,
        body: &error_body::Read,
        path: &str,
        sent: Option<&http::HeaderValue>,
    ) -> FetchError {
        // What kind of thing was asked for decides which permission lacks; the repository does not.
        let kind = path
            .rsplit_once("/manifests/")
            .map_or(path, |_| "manifests");
        FetchError::Refused {
            upstream: self.host.clone(),
            status: status.as_u16(),
            reason: self.auth.reason(status, body, kind, sent),
        }
    }
}

async fn error_body(mut response: Response) -> error_body::Read {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > LARGEST_ERROR {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    error_body::Read::parse(&body)
}
