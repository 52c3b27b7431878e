//! Where AWS hands out identities: STS, the agent of EKS Pod Identity, and the instance metadata
//! service.
//!
//! Each gives out one key and checks what its real part would refuse.

use std::collections::HashMap;

use futures_util::FutureExt;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use crate::registry::log::{RequestLog, query_of};
use crate::server::{Body, Server, full};

/// Long after any test.
const EXPIRES: &str = "2099-01-01T00:00:00Z";

/// The key that an identity double gives out.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its id: who signs with it is that identity.
    pub id: &'static str,
    /// Its secret; it must never leave the process.
    pub secret: &'static str,
    /// The session token that goes with each request.
    pub session: &'static str,
}

impl Key {
    fn json(&self) -> String {
        json!({
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": "2026-01-01T00:00:00Z",
            "AccessKeyId": self.id,
            "SecretAccessKey": self.secret,
            "Token": self.session,
            "Expiration": EXPIRES,
        })
        .to_string()
    }

    fn xml(&self, action: &str) -> String {
        let Self {
            id,
            secret,
            session,
        } = self;
        format!(
            "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
             <AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/pull/archway</Arn>\
             <AssumedRoleId>AROA:archway</AssumedRoleId></AssumedRoleUser>\
             <Credentials><AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>\
             <SessionToken>{session}</SessionToken><Expiration>{EXPIRES}</Expiration></Credentials>\
             </{action}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        )
    }
}

/// What an STS double wants to hear before it gives its key.
#[derive(Clone, Debug)]
pub enum Proof {
    /// `AssumeRoleWithWebIdentity` with this token, as IRSA does.
    WebIdentity(&'static str),
    /// `AssumeRole`, signed with the key of this id, with this external id.
    Signed(&'static str, &'static str),
}

/// A running double; clones are the same one.
#[derive(Clone)]
pub struct Identity {
    server: Server,
    log: RequestLog,
}

impl Identity {
    /// STS, which gives `key` for `role`.
    pub async fn sts(role: &'static str, proof: Proof, key: Key) -> Self {
        Self::start("sts", move |request| {
            let (role, proof, key) = (role, proof.clone(), key.clone());
            async move {
                let signed = header_of(&request, "authorization");
                let body = request.into_body().collect().await.expect("a whole body");
                let form = String::from_utf8(body.to_bytes().to_vec()).expect("a form");
                let form: HashMap<String, String> = query_of(&form).into_iter().collect();
                let is = |name: &str, value: &str| form.get(name).is_some_and(|is| is == value);
                let (action, proven) = match proof {
                    Proof::WebIdentity(token) => (
                        "AssumeRoleWithWebIdentity",
                        signed.is_empty() && is("WebIdentityToken", token),
                    ),
                    Proof::Signed(id, external) => (
                        "AssumeRole",
                        signed.contains(&format!("Credential={id}/"))
                            && is("ExternalId", external),
                    ),
                };
                if proven && is("Action", action) && is("RoleArn", role) {
                    Response::new(full(key.xml(action)))
                } else {
                    let error = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                                 <Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>";
                    refused(StatusCode::FORBIDDEN, error)
                }
            }
        })
        .await
    }

    /// The agent of EKS Pod Identity, which gives `key` to whoever has `token`.
    pub async fn pod(token: &'static str, key: Key) -> Self {
        Self::start("pod", move |request| {
            let good = header_of(&request, "authorization") == token;
            let key = key.clone();
            std::future::ready(if good {
                Response::new(full(key.json()))
            } else {
                refused(StatusCode::UNAUTHORIZED, "{}")
            })
        })
        .await
    }

    /// The instance metadata service in its second version: nothing without a token.
    pub async fn instance(key: Key) -> Self {
        const TOKEN: &str = "metadata-token";
        Self::start("imds", move |request| {
            let known = header_of(&request, "x-aws-ec2-metadata-token") == TOKEN;
            let ttl = header_of(&request, "x-aws-ec2-metadata-token-ttl-seconds");
            let answer = match (request.method(), request.uri().path()) {
                (&Method::PUT, "/latest/api/token") if !ttl.is_empty() => {
                    let mut response = Response::new(full(TOKEN));
                    let ttl = ttl.parse().expect("a header value");
                    let name = "x-aws-ec2-metadata-token-ttl-seconds";
                    response.headers_mut().insert(name, ttl);
                    response
                }
                (&Method::GET, "/latest/meta-data/iam/security-credentials/") if known => {
                    Response::new(full("node-role"))
                }
                (&Method::GET, "/latest/meta-data/iam/security-credentials/node-role") if known => {
                    Response::new(full(key.json()))
                }
                _ => refused(StatusCode::UNAUTHORIZED, ""),
            };
            std::future::ready(answer)
        })
        .await
    }

    async fn start<A, F>(name: &'static str, answer: A) -> Self
    where
        A: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let log = RequestLog::default();
        let entries = log.clone();
        let server = Server::start(move |request, _| {
            let entry = entries.record(name, &request);
            let answer = answer(request);
            async move {
                let response = answer.await;
                entry.answered(response.status());
                response
            }
            .boxed()
        })
        .await;
        Self { server, log }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Stops listening.
    pub async fn close(&self) {
        self.server.close().await;
    }

    /// What was asked of it.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }
}

fn header_of(request: &Request<Incoming>, name: &str) -> String {
    let value = request.headers().get(name);
    let text = value.and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

fn refused(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status;
    let xml = header::HeaderValue::from_static("text/xml");
    response.headers_mut().insert(header::CONTENT_TYPE, xml);
    response
}
