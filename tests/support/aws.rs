//! The AWS API double: answers ECR's and ECR Public's `GetAuthorizationToken`, ECR's
//! `DescribeImages`, and nothing else.
//!
//! It checks what a real endpoint would refuse (method, target, a `SigV4` signature for the service
//! by the expected key), but not the signature itself.

mod describe;
pub mod identity;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body_util::BodyExt;
use manifest_model::Digest;
use serde_json::json;

use self::describe::Images;

use crate::auth::EcrToken;
use crate::registry::log::{Entry, RequestLog};
use crate::server::{Body, Server, full};

/// The name of an ECR registry, as clients know it.
pub const ECR_HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// The key id that Archway gets by its environment in these tests.
pub const ACCESS_KEY_ID: &str = "AKIAARCHWAYTEST00000";
/// Its secret; it must never leave the process.
pub const SECRET_ACCESS_KEY: &str = "aws-secret-that-must-stay-home";

/// Which of the two services it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Private ECR.
    Ecr,
    /// ECR Public.
    Public,
}

impl Service {
    fn target(self) -> &'static str {
        match self {
            Self::Ecr => "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            Self::Public => "SpencerFrontendService.GetAuthorizationToken",
        }
    }

    fn scope(self, region: &str) -> String {
        match self {
            Self::Ecr => format!("/{region}/ecr/aws4_request"),
            Self::Public => "/us-east-1/ecr-public/aws4_request".to_owned(),
        }
    }
}

/// The environment with which Archway finds its AWS credentials.
pub fn environment() -> [(&'static str, &'static str); 3] {
    [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
        ("AWS_REGION", "us-east-1"),
    ]
}

/// An endpoint of ECR's API; clones are the same one.
#[derive(Clone)]
pub struct EcrApi {
    server: Server,
    log: RequestLog,
    state: Arc<Mutex<State>>,
}

struct State {
    token: EcrToken,
    lifetime: Lifetime,
    mood: Mood,
    service: Service,
    principal: String,
    region: String,
    images: Images,
}

enum Mood {
    Good,
    Down,
    /// The identity has no permission.
    Denying,
}

/// When the token it hands out is said to expire.
#[derive(Clone, Copy, Debug)]
pub enum Lifetime {
    /// So long from now on.
    Of(Duration),
    /// In the past already, as one well-known stand-in says.
    Past,
}

impl EcrApi {
    /// Hands out `token`, good for twelve hours.
    pub async fn start(token: EcrToken) -> Self {
        Self::start_as(Service::Ecr, token).await
    }

    /// The same of this service.
    pub async fn start_as(service: Service, token: EcrToken) -> Self {
        let state = Arc::new(Mutex::new(State {
            token,
            lifetime: Lifetime::Of(Duration::from_hours(12)),
            mood: Mood::Good,
            service,
            principal: ACCESS_KEY_ID.to_owned(),
            region: "us-east-1".to_owned(),
            images: Images::default(),
        }));
        let log = RequestLog::default();
        let (for_requests, entries) = (Arc::clone(&state), log.clone());
        let server = Server::start(move |request, _| {
            let entry = entries.record("ecr", &request);
            let state = Arc::clone(&for_requests);
            let answer = async move {
                let (request, body) = request.into_parts();
                let body = body.collect().await.expect("a whole body").to_bytes();
                let state = state.lock().expect("no panic under it");
                let response = state.answer(&request.method, &request.headers, &body);
                entry.answered(response.status());
                response
            };
            answer.boxed()
        })
        .await;
        Self { server, log, state }
    }

    /// The line of an upstream's table that makes Archway ask here for its tokens, with more keys
    /// for ECR.
    pub fn auth(&self, keys: &str) -> String {
        format!(
            "auth = {{ ecr = {{ endpoint = \"{}\"{keys} }} }}",
            self.url()
        )
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The same, as an address.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many tokens were asked for.
    pub fn calls(&self) -> usize {
        self.log.all().len() - self.descriptions()
    }

    /// How often it was asked about images.
    pub fn descriptions(&self) -> usize {
        let all = self.log.all();
        let is_meant = |entry: &&Arc<Entry>| entry.header("x-amz-target") == describe::TARGET;
        all.iter().filter(is_meant).count()
    }

    /// It has this image from now on, pushed at `at` (seconds since 1970).
    pub fn has(&self, account: &str, repository: &str, digest: Digest, at: u64) {
        let key = (account.into(), repository.into(), digest.to_string());
        let mut state = self.state.lock().expect("no panic under it");
        state.images.pushed.insert(key, at);
    }

    /// From here on the identity may not ask about images.
    pub fn deny_descriptions(&self) {
        let mut state = self.state.lock().expect("no panic under it");
        state.images.is_denied = true;
    }

    /// From here on it is asked too much about images.
    pub fn throttle_descriptions(&self) {
        let mut state = self.state.lock().expect("no panic under it");
        state.images.is_throttling = true;
    }

    /// From here on it is the API of another region.
    pub fn move_to(&self, region: &str) {
        region.clone_into(&mut self.state.lock().expect("no panic under it").region);
    }

    /// From here on tokens are said to expire then.
    pub fn set_lifetime(&self, lifetime: Lifetime) {
        self.state.lock().expect("no panic under it").lifetime = lifetime;
    }

    /// From here on every call fails with 500.
    pub fn break_down(&self) {
        self.state.lock().expect("no panic under it").mood = Mood::Down;
    }

    /// From here on every call is refused for lack of a permission.
    pub fn deny(&self) {
        self.state.lock().expect("no panic under it").mood = Mood::Denying;
    }

    /// From here on calls have to be signed with this key.
    pub fn expect_key(&self, id: &str) {
        id.clone_into(&mut self.state.lock().expect("no panic under it").principal);
    }

    /// What was asked of it.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }
}

impl State {
    fn answer(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        match self.mood {
            Mood::Good => {}
            Mood::Down => return answer(StatusCode::INTERNAL_SERVER_ERROR, "InternalFailure"),
            Mood::Denying => return answer(StatusCode::BAD_REQUEST, "AccessDeniedException"),
        }
        let target = header("x-amz-target");
        let is_description = self.service == Service::Ecr && target == describe::TARGET;
        if method != Method::POST || !(is_description || target == self.service.target()) {
            return answer(StatusCode::BAD_REQUEST, "UnknownOperationException");
        }
        let authorization = header(header::AUTHORIZATION.as_str());
        let credential = format!("AWS4-HMAC-SHA256 Credential={}/", self.principal);
        if !authorization.starts_with(&credential)
            || !authorization.contains(&self.service.scope(&self.region))
        {
            return answer(StatusCode::BAD_REQUEST, "UnrecognizedClientException");
        }
        if is_description {
            return self.images.answer(body);
        }
        let expires = match self.lifetime {
            Lifetime::Of(lifetime) => SystemTime::now() + lifetime,
            Lifetime::Past => UNIX_EPOCH + Duration::from_hours(394_464),
        };
        let expires = expires.duration_since(UNIX_EPOCH).expect("after 1970");
        let data = json!({
            "authorizationToken": self.token.token(),
            "expiresAt": expires.as_secs_f64(),
            "proxyEndpoint": format!("https://{ECR_HOST}"),
        });
        let body = match self.service {
            Service::Ecr => json!({ "authorizationData": [data] }),
            Service::Public => json!({ "authorizationData": data }),
        };
        with_type(Response::new(full(body.to_string())))
    }
}

fn answer(status: StatusCode, kind: &str) -> Response<Body> {
    let body = json!({ "__type": kind, "message": "refused by the double" });
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = status;
    with_type(response)
}

fn with_type(mut response: Response<Body>) -> Response<Body> {
    let value = header::HeaderValue::from_static("application/x-amz-json-1.1");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}
