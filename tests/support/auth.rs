//! How a registry double asks who is there, and its token service.
//!
//! Four manners: open, Basic, Bearer with a token endpoint of its own ([`TokenService`]), and ECR's
//! Basic whose password is a token that expires ([`EcrToken`]). What a dead token is refused with
//! differs between the real registries, so it is part of the manner ([`Expired`]).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::FutureExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;

use crate::faults::Gate;
use crate::registry::error_response;
use crate::registry::log::{RequestLog, query_of};
use crate::server::{Body, Server, full};

/// What a registry double demands of a request.
#[derive(Clone, Default)]
pub enum Auth {
    /// Nothing.
    #[default]
    Open,
    /// A user name and a password.
    Basic(Login),
    /// A token of this service, for the repository.
    Bearer(TokenService),
    /// `AWS:` and the token that is valid at the moment.
    Ecr(EcrToken),
    /// Refuses everybody, whatever is sent: an account that was locked.
    Nobody,
}

/// A user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Who.
    pub user: String,
    /// The secret.
    pub password: String,
}

impl Login {
    /// A login.
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The value of an `Authorization` header with it.
    pub fn header(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        format!("Basic {}", BASE64.encode(pair))
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        authorization(headers) == Some(&self.header())
    }
}

/// How a token that was good once is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expired {
    /// 401 with a challenge, as most registries do.
    #[default]
    Unauthorized,
    /// 403 `DENIED`, as private ECR does.
    Forbidden,
    /// 400 `DENIED`, as ECR Public does.
    BadRequest,
}

impl Expired {
    fn response(self, challenge: &str) -> Response<Body> {
        match self {
            Self::Unauthorized => unauthorized(challenge),
            Self::Forbidden => error_response(
                StatusCode::FORBIDDEN,
                "DENIED",
                "Your authorization token has expired. Reauthenticate and try again.",
            ),
            Self::BadRequest => error_response(
                StatusCode::BAD_REQUEST,
                "DENIED",
                "Your Authorization Token is invalid.",
            ),
        }
    }
}

impl Auth {
    /// The refusal, or nothing where the request may pass.
    pub(crate) fn refuse(
        &self,
        headers: &HeaderMap,
        repository: Option<&str>,
    ) -> Option<Response<Body>> {
        match self {
            Self::Open => None,
            Self::Basic(login) if login.is_in(headers) => None,
            Self::Basic(_) | Self::Nobody => Some(unauthorized("Basic realm=\"double\"")),
            Self::Bearer(service) => service.refuse(headers, repository),
            Self::Ecr(token) => token.refuse(headers),
        }
    }
}

fn unauthorized(challenge: &str) -> Response<Body> {
    let mut response = error_response(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "authentication required",
    );
    let challenge = challenge.parse().expect("a valid header value");
    response
        .headers_mut()
        .insert(header::WWW_AUTHENTICATE, challenge);
    response
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// ECR's registry password, which changes under a running registry; clones are the same one.
#[derive(Clone)]
pub struct EcrToken {
    state: Arc<Mutex<EcrState>>,
}

struct EcrState {
    generation: u32,
    expired: Expired,
}

impl EcrToken {
    /// A first token.
    pub fn new(expired: Expired) -> Self {
        let state = EcrState {
            generation: 1,
            expired,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Lets the token in force expire.
    pub fn rotate(&self) {
        self.state.lock().expect("no panic under it").generation += 1;
    }

    /// The password in force.
    pub fn password(&self) -> String {
        let state = self.state.lock().expect("no panic under it");
        format!("ecr-secret-{}", state.generation)
    }

    /// The token as `GetAuthorizationToken` hands it out.
    pub fn token(&self) -> String {
        BASE64.encode(format!("AWS:{}", self.password()))
    }

    fn refuse(&self, headers: &HeaderMap) -> Option<Response<Body>> {
        let challenge = "Basic realm=\"https://123456789012.dkr.ecr.us-east-1.amazonaws.com/\",\
                         service=\"ecr.amazonaws.com\"";
        let wanted = format!("Basic {}", self.token());
        match authorization(headers) {
            Some(given) if given == wanted => None,
            Some(given) if given.starts_with("Basic ") => {
                let state = self.state.lock().expect("no panic under it");
                Some(state.expired.response(challenge))
            }
            _ => Some(unauthorized(challenge)),
        }
    }
}

/// A token endpoint: hands out tokens per scope, on a listener of its own; clones are the same one.
#[derive(Clone)]
pub struct TokenService {
    server: Server,
    state: Arc<TokenState>,
    log: RequestLog,
}

struct TokenState {
    login: Option<Login>,
    /// The only thing it takes, by POST, where it is set.
    refresh_token: Option<String>,
    lifetime: Duration,
    expired: Expired,
    issued: Mutex<HashMap<String, Grant>>,
    /// The `Retry-After` of its 429s, while it throttles.
    throttle: Mutex<Option<u64>>,
    wording: Mutex<Wording>,
    /// Before its answers.
    gate: Mutex<Option<Gate>>,
}

/// How its challenges and answers are worded, where that is not the usual way.
#[derive(Clone, Default)]
pub struct Wording {
    /// The scope of a challenge.
    pub scope: Option<String>,
    /// The address of the realm in a challenge.
    pub realm: Option<String>,
    /// An answer in which the token stands for `TOKEN`.
    pub answer: Option<String>,
}

struct Grant {
    scope: String,
    until: Instant,
}

const SERVICE: &str = "registry.double";

impl TokenService {
    /// Tokens for everybody, or for who gives `login`, good for five minutes.
    pub async fn start(login: Option<Login>) -> Self {
        Self::start_with(login, Duration::from_mins(5), Expired::default()).await
    }

    /// As [`TokenService::start`], with the lifetime it announces and the refusal of dead tokens.
    pub async fn start_with(login: Option<Login>, lifetime: Duration, expired: Expired) -> Self {
        Self::start_state(TokenState {
            login,
            refresh_token: None,
            lifetime,
            expired,
            issued: Mutex::default(),
            throttle: Mutex::default(),
            wording: Mutex::default(),
            gate: Mutex::default(),
        })
        .await
    }

    /// Tokens for who has this refresh token, as docker's identity tokens are: by POST, and not
    /// otherwise.
    pub async fn start_for_identity_token(token: &str) -> Self {
        Self::start_state(TokenState {
            login: None,
            refresh_token: Some(token.to_owned()),
            lifetime: Duration::from_mins(5),
            expired: Expired::default(),
            issued: Mutex::default(),
            throttle: Mutex::default(),
            wording: Mutex::default(),
            gate: Mutex::default(),
        })
        .await
    }

    async fn start_state(state: TokenState) -> Self {
        let state = Arc::new(state);
        let log = RequestLog::default();
        let (for_requests, entries) = (Arc::clone(&state), log.clone());
        let server = Server::start(move |request, _| {
            let entry = entries.record("token", &request);
            let state = Arc::clone(&for_requests);
            async move {
                let gate = state.gate.lock().expect("no panic under it").clone();
                if let Some(gate) = gate {
                    gate.pass().await;
                }
                let response = state.answer(request).await;
                entry.answered(response.status());
                response
            }
            .boxed()
        })
        .await;
        Self { server, state, log }
    }

    /// Stops listening.
    pub async fn close(&self) {
        self.server.close().await;
    }

    /// Listens again where it did before.
    pub async fn reopen(&self) {
        self.server.reopen().await;
    }

    /// From here on it answers 429, and wants to be left alone for so long.
    pub fn throttle(&self, seconds: u64) {
        *self.state.throttle.lock().expect("no panic under it") = Some(seconds);
    }

    /// From here on it does not answer before the gate opens.
    pub fn hold(&self, gate: &Gate) {
        *self.state.gate.lock().expect("no panic under it") = Some(gate.clone());
    }

    /// Changes its words.
    pub fn word(&self, change: impl FnOnce(&mut Wording)) {
        change(&mut self.state.wording.lock().expect("no panic under it"));
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What was asked of it.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// Lets every token that was handed out expire.
    pub fn revoke_all(&self) {
        let mut issued = self.state.issued.lock().expect("no panic under it");
        for grant in issued.values_mut() {
            grant.until = Instant::now();
        }
    }

    fn refuse(&self, headers: &HeaderMap, repository: Option<&str>) -> Option<Response<Body>> {
        let scope = repository.map_or_else(String::new, |name| format!("repository:{name}:pull"));
        let wording = self
            .state
            .wording
            .lock()
            .expect("no panic under it")
            .clone();
        let realm = wording.realm.unwrap_or_else(|| self.server.url());
        let mut challenge = format!("Bearer realm=\"{realm}/token\",service=\"{SERVICE}\"");
        if let Some(other) = &wording.scope {
            challenge = format!("{challenge},scope=\"{other}\"");
        } else if !scope.is_empty() {
            challenge = format!("{challenge},scope=\"{scope}\"");
        }
        let Some(token) = authorization(headers).and_then(|value| value.strip_prefix("Bearer "))
        else {
            return Some(unauthorized(&challenge));
        };
        let issued = self.state.issued.lock().expect("no panic under it");
        match issued.get(token) {
            Some(grant) if grant.until <= Instant::now() => {
                Some(self.state.expired.response(&challenge))
            }
            Some(grant) if scope.is_empty() || grant.scope.split(' ').any(|one| one == scope) => {
                None
            }
            _ => Some(unauthorized(&challenge)),
        }
    }
}

impl TokenState {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if let Some(seconds) = *self.throttle.lock().expect("no panic under it") {
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut response = error_response(status, "TOOMANYREQUESTS", "slow down");
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, seconds.into());
            return response;
        }
        if let Some(login) = &self.login
            && !login.is_in(request.headers())
        {
            return unauthorized("Basic realm=\"tokens\"");
        }
        let query = match (&self.refresh_token, request.method()) {
            (None, &Method::GET) => query_of(request.uri().query().unwrap_or_default()),
            (Some(_), &Method::POST) => {
                let body = request.into_body().collect().await.expect("a whole body");
                query_of(&String::from_utf8_lossy(&body.to_bytes()))
            }
            _ => return error_response(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "no"),
        };
        self.grant(&query)
    }

    fn grant(&self, query: &[(String, String)]) -> Response<Body> {
        let one = |key: &str| {
            let values = query.iter().filter(|(name, _)| name == key);
            values
                .map(|(_, value)| value.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        };
        if let Some(token) = &self.refresh_token
            && (one("grant_type") != "refresh_token" || one("refresh_token") != *token)
        {
            return unauthorized("Bearer realm=\"tokens\"");
        }
        if one("service") != SERVICE {
            return error_response(StatusCode::BAD_REQUEST, "UNSUPPORTED", "unknown service");
        }
        // As docker_auth: a scope that is there has three parts.
        let mut scopes = query.iter().filter(|(name, _)| name == "scope");
        if scopes.any(|(_, scope)| scope.split(':').count() < 3) {
            return error_response(StatusCode::BAD_REQUEST, "UNSUPPORTED", "no such scope");
        }
        let mut issued = self.issued.lock().expect("no panic under it");
        let token = format!("bearer-secret-{}", issued.len() + 1);
        let grant = Grant {
            scope: one("scope"),
            until: Instant::now() + self.lifetime,
        };
        issued.insert(token.clone(), grant);
        let wording = self.wording.lock().expect("no panic under it");
        if let Some(answer) = &wording.answer {
            return Response::new(full(answer.replace("TOKEN", &token)));
        }
        let body = json!({ "token": token, "expires_in": self.lifetime.as_secs() });
        Response::new(full(body.to_string()))
    }
}
