//! The connections to other replicas, and what every request to them and every answer carries.
//!
//! What a request asks for and what an answer says are headers, and those that count are listed here: no
//! other one reaches the routes, or is believed. With a secret each end proves its own.

use std::time::{Duration, SystemTime};

use config::ReplicasConfig;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use protocol::headers::{ARCHWAY_CACHE, ARCHWAY_PLATFORM, DOCKER_CONTENT_DIGEST, header_string};
use reqwest::{Client, RequestBuilder, Response, redirect::Policy};

use crate::{
    secret::{Rejected, Secret},
    tls::{self, PeerTlsError},
    view::MemberName,
};

/// In a request, how often it was passed on: a replica serves it, and passes it on no more.
pub const ARCHWAY_HOPS: HeaderName = HeaderName::from_static("archway-hops");
/// In a request, `1` asks only for what is stored or on its way.
pub const ARCHWAY_HELD: HeaderName = HeaderName::from_static("archway-held");
/// In a request, the replica that it is for, as the list of members spells it.
const ARCHWAY_TO: HeaderName = HeaderName::from_static("archway-to");
/// In an answer about a tag, how many milliseconds ago the upstream said so, at most.
pub const ARCHWAY_AGE: HeaderName = HeaderName::from_static("archway-age");
/// In an answer, the proof of who gave it and of all that it says.
const ARCHWAY_PROOF: HeaderName = HeaderName::from_static("archway-proof");
/// In an answer, that the replica is about to end.
pub const ARCHWAY_LEAVING: HeaderName = HeaderName::from_static("archway-leaving");

/// The headers of a request that mean something.
const ASKED: [HeaderName; 7] = [
    header::ACCEPT,
    ARCHWAY_HELD,
    ARCHWAY_HOPS,
    ARCHWAY_PLATFORM,
    ARCHWAY_TO,
    header::IF_NONE_MATCH,
    header::RANGE,
];

/// The headers of an answer that mean something.
const SAID: [HeaderName; 6] = [
    ARCHWAY_AGE,
    ARCHWAY_CACHE,
    ARCHWAY_LEAVING,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    DOCKER_CONTENT_DIGEST,
];

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
    request: RequestBuilder,
    /// Its `Authorization`, which the proof of its answer is for.
    authorization: Option<HeaderValue>,
}

/// A request that has come in and proved the secret. Its answer is proved for it alone.
#[derive(Debug)]
pub struct Admitted {
    authorization: Option<HeaderValue>,
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

    /// A GET of `target` at a member, with these headers, of which only the listed ones count. It is the
    /// first and last time that it is passed on.
    pub(crate) fn get(
        &self,
        member: &MemberName,
        target: &str,
        mut headers: HeaderMap,
    ) -> Question {
        let url = format!("{}://{member}{target}", self.scheme);
        headers.insert(ARCHWAY_HOPS, HeaderValue::from_static("1"));
        headers.insert(ARCHWAY_TO, header_string(member.to_string()));
        // The client would add one that is not signed.
        headers
            .entry(header::ACCEPT)
            .or_insert(HeaderValue::from_static("*/*"));
        let asked = asked(&Method::GET, target, &headers);
        let secret = self.secret.as_ref();
        let authorization = secret.map(|secret| secret.sign(&asked, SystemTime::now()));
        if let Some(authorization) = &authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Question {
            request: self.client.get(url).headers(headers),
            authorization,
        }
    }

    /// Whether a request comes from a replica and is for this one, which `is_called` knows by name. With
    /// mutual TLS its connection has proved the first. Takes away what counts for nothing, and what proves
    /// it.
    pub(crate) fn admit(
        &self,
        (method, target): (&Method, &str),
        headers: &mut HeaderMap,
        is_called: impl FnOnce(&str) -> bool,
    ) -> Result<Admitted, Rejected> {
        let authorization = headers.remove(header::AUTHORIZATION);
        if let Some(secret) = &self.secret {
            let asked = asked(method, target, headers);
            secret.check(&asked, authorization.as_ref(), SystemTime::now())?;
            let to = headers.get(ARCHWAY_TO).and_then(|to| to.to_str().ok());
            if !to.is_some_and(is_called) {
                return Err(Rejected::ForAnother);
            }
        }
        let kept = ASKED.into_iter().chain([header::HOST, header::USER_AGENT]);
        let mut counts = HeaderMap::new();
        for name in kept {
            for value in headers.get_all(&name) {
                counts.append(name.clone(), value.clone());
            }
        }
        *headers = counts;
        Ok(Admitted { authorization })
    }

    /// Adds to an answer the proof of its head, if the two ends share a secret.
    pub(crate) fn prove(&self, request: &Admitted, status: StatusCode, headers: &mut HeaderMap) {
        if let (Some(secret), Some(authorization)) = (&self.secret, &request.authorization) {
            let proof = secret.prove(authorization, &said(status, headers));
            headers.insert(ARCHWAY_PROOF, header_string(proof));
        }
    }

    /// Whether the head of an answer comes from who knows the secret, as it is.
    fn is_proved(&self, authorization: Option<&HeaderValue>, answer: &Response) -> bool {
        let Some(secret) = &self.secret else {
            return true;
        };
        let proof = answer.headers().get(ARCHWAY_PROOF);
        let proof = proof.and_then(|proof| proof.to_str().ok());
        let said = said(answer.status(), answer.headers());
        authorization
            .zip(proof)
            .is_some_and(|(authorization, proof)| secret.is_proved(authorization, &said, proof))
    }

    /// Sends a request; with its answer, whether that is proved.
    pub(crate) async fn send(&self, question: Question) -> reqwest::Result<(Response, bool)> {
        let answer = question.request.send().await?;
        let is_proved = self.is_proved(question.authorization.as_ref(), &answer);
        Ok((answer, is_proved))
    }
}

/// All that a request asks for.
fn asked(method: &Method, target: &str, headers: &HeaderMap) -> Vec<u8> {
    let mut text = format!("{method} {target}\n").into_bytes();
    push(&mut text, headers, &ASKED);
    text
}

/// All that the head of an answer says. The length of what is no content is the HTTP library's.
fn said(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut text = format!("{}\n", status.as_u16()).into_bytes();
    push(&mut text, headers, &SAID);
    if status.is_success() {
        push(&mut text, headers, &[header::CONTENT_LENGTH]);
    }
    text
}

/// One line for each header: no value has a line break.
fn push(text: &mut Vec<u8>, headers: &HeaderMap, names: &[HeaderName]) {
    for name in names {
        for value in headers.get_all(name) {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: &str = "/v2/team/app/manifests/v1?ns=docker.io";

    fn link() -> Link {
        Link {
            client: Client::new(),
            scheme: "http",
            secret: Secret::parse("of all of them"),
        }
    }

    /// A request to `member` as it arrives: its headers.
    fn arrived(link: &Link, member: &str, headers: HeaderMap) -> HeaderMap {
        let question = link.get(&member.into(), TARGET, headers);
        question.request.build().unwrap().headers().clone()
    }

    fn asks_for(held: &str) -> HeaderMap {
        HeaderMap::from_iter([(ARCHWAY_HELD, HeaderValue::from_str(held).unwrap())])
    }

    fn admitted(link: &Link, mut headers: HeaderMap) -> Result<HeaderMap, Rejected> {
        let is_called = |name: &str| name == "10.0.0.1:5002";
        link.admit((&Method::GET, TARGET), &mut headers, is_called)?;
        Ok(headers)
    }

    #[test]
    fn a_request_is_for_one_replica_and_counts_as_it_was_sent() {
        let link = link();
        let sent = arrived(&link, "10.0.0.1:5002", asks_for("1"));
        let counts = admitted(&link, sent.clone()).unwrap();
        assert_eq!(counts.get(ARCHWAY_HELD).unwrap(), "1");
        assert_eq!(counts.get(header::AUTHORIZATION), None);

        let mut changed = sent.clone();
        changed.remove(ARCHWAY_HELD);
        assert_eq!(admitted(&link, changed).err(), Some(Rejected::OtherSecret));
        let mut more = sent;
        more.insert("archway-explain", HeaderValue::from_static("1"));
        assert!(
            !admitted(&link, more)
                .unwrap()
                .contains_key("archway-explain")
        );

        let to_another = arrived(&link, "10.0.0.2:5002", asks_for("1"));
        assert_eq!(
            admitted(&link, to_another).err(),
            Some(Rejected::ForAnother)
        );
    }

    #[test]
    fn an_answer_is_believed_as_it_was_given_and_no_other_way() {
        let link = link();
        let mut request = arrived(&link, "10.0.0.1:5002", HeaderMap::new());
        let authorization = request.get(header::AUTHORIZATION).cloned();
        let asked = (&Method::GET, TARGET);
        let request = link.admit(asked, &mut request, |_| true).unwrap();
        let text = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let mut given = HeaderMap::from_iter([
            text(DOCKER_CONTENT_DIGEST, "sha256:1"),
            text(ARCHWAY_CACHE, "stale"),
            text(ARCHWAY_AGE, "60000"),
            text(header::CONTENT_TYPE, "text/plain"),
        ]);
        link.prove(&request, StatusCode::OK, &mut given);
        let is_believed = |status: StatusCode, headers: &HeaderMap| {
            let mut answer = http::Response::new(Vec::new());
            *answer.status_mut() = status;
            *answer.headers_mut() = headers.clone();
            link.is_proved(authorization.as_ref(), &Response::from(answer))
        };
        assert!(is_believed(StatusCode::OK, &given));
        assert!(!is_believed(StatusCode::NOT_FOUND, &given), "its status");
        for name in [
            DOCKER_CONTENT_DIGEST,
            ARCHWAY_CACHE,
            ARCHWAY_AGE,
            header::CONTENT_TYPE,
        ] {
            let mut changed = given.clone();
            changed.insert(name.clone(), HeaderValue::from_static("0"));
            assert!(!is_believed(StatusCode::OK, &changed), "{name}");
            changed.remove(&name);
            assert!(!is_believed(StatusCode::OK, &changed), "{name}");
        }
        let mut sized = given;
        sized.insert(header::CONTENT_LENGTH, HeaderValue::from(7));
        assert!(!is_believed(StatusCode::OK, &sized), "its length");
    }
}
