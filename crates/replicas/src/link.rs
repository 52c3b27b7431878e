//! The connections to other replicas, and what every request to them carries.

use std::time::{Duration, SystemTime};

use config::ReplicasConfig;
use http::{HeaderName, HeaderValue, Method, header};
use reqwest::{Client, RequestBuilder, redirect::Policy};

use crate::{
    secret::{Rejected, Secret},
    tls::{self, PeerTlsError},
    view::MemberName,
};

/// In a request, how often it was passed on: a replica serves it, and passes it on no more.
pub const ARCHWAY_HOPS: HeaderName = HeaderName::from_static("archway-hops");
/// In a request, `1` asks only for what is stored or on its way.
pub const ARCHWAY_HELD: HeaderName = HeaderName::from_static("archway-held");
/// In an answer about a tag, how many milliseconds ago the upstream confirmed it.
pub const ARCHWAY_AGE: HeaderName = HeaderName::from_static("archway-age");
/// In an answer that no digest can judge, the proof of who gave it.
pub const ARCHWAY_PROOF: HeaderName = HeaderName::from_static("archway-proof");
/// In an answer, that the replica is about to end.
pub const ARCHWAY_LEAVING: HeaderName = HeaderName::from_static("archway-leaving");

/// How long a connection may take. Replicas are near each other.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// How long an unused connection is kept.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(50);

/// Whether a replica is to bring what it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It brings it.
    Brought,
    /// It gives only what is there or on its way.
    Held,
}

/// The way to other replicas.
#[derive(Debug)]
pub(crate) struct Link {
    client: Client,
    scheme: &'static str,
    /// None with mutual TLS, which proves both ends.
    secret: Option<Secret>,
}

/// A request that is ready to go out.
pub(crate) struct Question {
    pub(crate) request: RequestBuilder,
    /// Its `Authorization`, which the proof of its answer is for.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Link {
    /// Reads the secret, or the certificates.
    pub(crate) fn new(config: &ReplicasConfig) -> Result<Self, PeerTlsError> {
        let builder = Client::builder()
            .user_agent(concat!("archway/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .http1_only()
            .tcp_nodelay(true);
        let (builder, scheme) = match &config.tls {
            Some(files) => (
                builder.tls_backend_preconfigured(tls::client(files)?),
                "https",
            ),
            None => (builder, "http"),
        };
        Ok(Self {
            client: builder.build().map_err(PeerTlsError::Client)?,
            scheme,
            secret: tls::secret(config)?,
        })
    }

    /// A GET of `target` at a member. It is the first and last time that it is passed on.
    pub(crate) fn get(&self, member: &MemberName, target: &str) -> Question {
        let url = format!("{}://{member}{target}", self.scheme);
        let mut request = self.client.get(url).header(ARCHWAY_HOPS, "1");
        let secret = self.secret.as_ref();
        let authorization =
            secret.map(|secret| secret.sign(&Method::GET, target, SystemTime::now()));
        if let Some(authorization) = &authorization {
            request = request.header(header::AUTHORIZATION, authorization.clone());
        }
        Question {
            request,
            authorization,
        }
    }

    /// Whether a request comes from a replica. With mutual TLS its connection has proved that.
    pub(crate) fn check(
        &self,
        method: &Method,
        target: &str,
        authorization: Option<&HeaderValue>,
    ) -> Result<(), Rejected> {
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        secret.check(method, target, authorization, SystemTime::now())
    }

    /// The proof of an answer, if the two ends share a secret.
    pub(crate) fn prove(&self, authorization: &HeaderValue, facts: &str) -> Option<String> {
        let secret = self.secret.as_ref()?;
        Some(secret.prove(authorization, facts))
    }

    /// Whether an answer to `question` comes from who knows the secret.
    pub(crate) fn is_proved(
        &self,
        authorization: Option<&HeaderValue>,
        facts: &str,
        proof: Option<&str>,
    ) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        match (authorization, proof) {
            (Some(authorization), Some(proof)) => secret.is_proved(authorization, facts, proof),
            _ => false,
        }
    }
}
