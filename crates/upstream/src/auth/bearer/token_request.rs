//! A request for one token: whether the realm may be asked, how it is asked, and how its answer
//! reads.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use login::{GoObject, Login, sensitive};
use manifest_model::RepoName;
use protocol::host::Host;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use url::Url;

use crate::{
    auth::{challenge::BearerChallenge, token_slot::Token},
    error::{HttpError, RealmError, RejectedRealm},
    gather::{Gather, Gathered, Ungathered},
    redirect,
    response::retry_after,
    transport,
};

/// The life of a token without `expires_in` (Docker's token specification).
const DEFAULT_TOKEN_LIFE: Duration = Duration::from_mins(1);

/// The longest life of a token; a longer `expires_in` is cut to this.
const MAX_TOKEN_LIFE: Duration = Duration::from_hours(12);

/// The largest answer read from a realm.
const MAX_TOKEN_ANSWER: usize = 1024 * 1024;

/// The longest token that is kept: clients choose how many scopes there are. One beyond that fits in
/// the header of no request that a registry would read.
const MAX_TOKEN: usize = 64 * 1024;

/// How long a realm may take: as long as a registry by default. A call may have less time; then the
/// token serves the next one.
pub(super) const REALM_TIMEOUT: Duration = Duration::from_secs(8);

/// Our name where a refresh token is turned into an access token.
const CLIENT_ID: &str = "archway";

/// A token to get: from which realm, for which service and scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) struct TokenRequest {
    realm: Url,
    service: Option<String>,
    scope: Option<String>,
}

/// Why a realm gave no token.
#[derive(Debug)]
pub(super) enum TokenFailure {
    /// The realm refused the login, with this status.
    Refused(u16),
    /// The realm limits our requests; its `Retry-After`.
    Throttled(Option<Duration>),
    /// Anything else.
    Failed(RealmError),
}

impl From<RealmError> for TokenFailure {
    fn from(error: RealmError) -> Self {
        Self::Failed(error)
    }
}

impl TokenRequest {
    /// The token that `challenge` asks for, if its realm may be asked. Without a scope it is for
    /// `repository` alone.
    pub(in crate::auth) fn new(
        challenge: &BearerChallenge,
        endpoint: &Url,
        repository: Option<&RepoName>,
        private: &[Host],
    ) -> Result<Self, RejectedRealm> {
        let realm = Url::parse(&challenge.realm).map_err(|_| RejectedRealm::NotUrl)?;
        let allowed = match realm.scheme() {
            "https" => true,
            "http" => endpoint.scheme() == "http",
            _ => false,
        };
        if !allowed {
            return Err(RejectedRealm::NotHttps);
        }
        let is_named = private.iter().any(|host| redirect::means(host, &realm));
        if !is_named {
            redirect::check_host(&realm, endpoint).map_err(|source| {
                let name = realm.host_str().unwrap_or_default().to_owned();
                RejectedRealm::Host { name, source }
            })?;
        }
        let own_scope = || Some(format!("repository:{}:pull", repository?));
        Ok(Self {
            realm,
            service: challenge.service.clone(),
            scope: challenge.scope.clone().or_else(own_scope),
        })
    }

    /// How long its texts are.
    pub(super) fn length(&self) -> usize {
        let texts = [&self.service, &self.scope].into_iter().flatten();
        self.realm.as_str().len() + texts.map(String::len).sum::<usize>()
    }

    /// The URL of the realm. Its origin identifies the realm.
    pub(super) fn realm(&self) -> &Url {
        &self.realm
    }

    /// Asks the realm: with a password or without a login by GET, as registries have always done;
    /// with an identity token by POST (OAuth 2's `refresh_token` grant), the only way for those.
    pub(super) async fn send(
        &self,
        client: &Client,
        login: Option<&Login>,
    ) -> Result<Token, TokenFailure> {
        let answered = async {
            let response = match login {
                None => self.get(client, None).await?,
                Some(Login::Basic(login)) => self.get(client, Some(login)).await?,
                Some(Login::IdentityToken(token)) => self.post(client, token).await?,
            };
            answer(response, login.is_some()).await
        };
        tokio::time::timeout(REALM_TIMEOUT, answered)
            .await
            .unwrap_or_else(|_| Err(RealmError::Timeout(REALM_TIMEOUT).into()))
    }

    async fn get(
        &self,
        client: &Client,
        login: Option<&HeaderValue>,
    ) -> Result<Response, RealmError> {
        let mut request = client.get(self.url());
        if let Some(login) = login {
            request = request.header(header::AUTHORIZATION, login);
        }
        ask(request).await
    }

    async fn post(&self, client: &Client, token: &str) -> Result<Response, RealmError> {
        let request = client
            .post(self.realm.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form(token));
        ask(request).await
    }

    fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let service = self.service.as_deref().map(|service| ("service", service));
        let scope = self.scope.as_deref().map(|scope| ("scope", scope));
        service.into_iter().chain(scope)
    }

    fn url(&self) -> Url {
        let mut url = self.realm.clone();
        if self.pairs().next().is_some() {
            url.query_pairs_mut().extend_pairs(self.pairs());
        }
        url
    }

    fn form(&self, token: &str) -> String {
        let grant = [
            ("grant_type", "refresh_token"),
            ("client_id", CLIENT_ID),
            ("refresh_token", token),
        ];
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(grant).extend_pairs(self.pairs()).finish()
    }
}

async fn ask(request: RequestBuilder) -> Result<Response, RealmError> {
    let request = request.header(header::ACCEPT, "application/json");
    transport::send(request).await.map_err(unreachable)
}

async fn answer(mut response: Response, has_login: bool) -> Result<Token, TokenFailure> {
    let status = response.status();
    match status {
        _ if status.is_success() => Ok(read(body(&mut response).await?.as_ref())?),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(TokenFailure::Refused(status.as_u16()))
        }
        // What OAuth 2 says of a login; without one it is about the rest of the request.
        StatusCode::BAD_REQUEST if has_login => Err(TokenFailure::Refused(status.as_u16())),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(TokenFailure::Throttled(retry_after(response.headers())))
        }
        _ => Err(RealmError::Status(status.as_u16()).into()),
    }
}

async fn body(response: &mut Response) -> Result<Gathered, RealmError> {
    let fault = |fault| match fault {
        Ungathered::NotGzip(_) => RealmError::NotToken,
        Ungathered::TooLarge | Ungathered::NoRoom => RealmError::TooLarge(MAX_TOKEN_ANSWER),
    };
    let mut body = Gather::new(response.headers(), MAX_TOKEN_ANSWER, None);
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body = body.put(&chunk).map_err(fault)?;
    }
    body.finish().map_err(fault)
}

/// The token of an answer, under either of its names. A life that is no number, or none at all, is
/// an absent one.
fn read(body: &[u8]) -> Result<Token, RealmError> {
    let answer = GoObject::parse(body).map_err(|_| RealmError::NotToken)?;
    let names = ["access_token", "token"];
    let token = names
        .into_iter()
        .find_map(|name| answer.text(name).ok().flatten());
    if token.as_ref().is_some_and(|token| token.len() > MAX_TOKEN) {
        return Err(RealmError::TooLarge(MAX_TOKEN));
    }
    let header = token.and_then(|token| sensitive(&format!("Bearer {token}")));
    let header = header.ok_or(RealmError::Empty)?;
    let life = answer.field("expires_in").and_then(seconds);
    let life = life.map_or(DEFAULT_TOKEN_LIFE, Duration::from_secs);
    Ok(Token::new(header, life.min(MAX_TOKEN_LIFE)))
}

/// A positive number of seconds, also as a text or with a fraction.
fn seconds(value: &Value) -> Option<u64> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let whole = text.split('.').next()?.parse().ok();
    whole.filter(|seconds| *seconds > 0)
}

/// A realm's URL may hold a secret, so it is kept out of the error.
fn unreachable(error: reqwest::Error) -> RealmError {
    RealmError::Unreachable(HttpError::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(realm: &str, private: &[&str]) -> Result<TokenRequest, RejectedRealm> {
        let challenge = BearerChallenge {
            realm: realm.into(),
            service: Some("registry".into()),
            scope: None,
        };
        let endpoint = Url::parse("https://registry.example").unwrap();
        let private: Vec<Host> = private.iter().map(|host| host.parse().unwrap()).collect();
        let name = "team/app".parse().unwrap();
        TokenRequest::new(&challenge, &endpoint, Some(&name), &private)
    }

    #[test]
    fn a_realm_without_a_scope_is_asked_for_this_repository_alone() {
        let request = request("https://auth.example/token", &[]).unwrap();
        assert_eq!(
            request.url().as_str(),
            "https://auth.example/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull"
        );
    }

    #[test]
    fn an_identity_token_is_sent_in_the_body() {
        let request = request("https://auth.example/token", &[]).unwrap();
        assert_eq!(
            request.form("a&b"),
            "grant_type=refresh_token&client_id=archway&refresh_token=a%26b&service=registry&scope=repository%3Ateam%2Fapp%3Apull"
        );
    }

    #[test]
    fn a_hostile_realm_is_refused() {
        for hostile in [
            "http://auth.example/",
            "https://127.0.0.1/",
            "http://169.254.169.254/",
            "file:///x",
            "nonsense",
        ] {
            assert!(request(hostile, &[]).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_realm_in_a_private_network_is_asked_if_private_hosts_names_it() {
        let realm = "https://10.1.2.3:8443/token";
        let reason = request(realm, &["10.1.2.3:443"]).unwrap_err().to_string();
        assert!(reason.contains("add \"10.1.2.3\""), "{reason}");
        assert!(request(realm, &["10.1.2.3:8443"]).is_ok());
        assert!(request(realm, &["10.1.2.3"]).is_ok());
    }

    #[test]
    fn a_token_is_read_as_clients_written_in_go_read_it() {
        let life = |text: &str| read(text.as_bytes()).ok().map(|token| token.life());
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, expected) in [
            (r#"{"token":"a"}"#, seconds(60)),
            (r#"{"access_token":"a","expires_in":300}"#, seconds(300)),
            (r#"{"token":"","access_token":"a"}"#, seconds(60)),
            (
                r#"{"token":null,"access_token":"a","expires_in":null}"#,
                seconds(60),
            ),
            (
                r#"{"Token":"a","access_token":null,"issued_at":null}"#,
                seconds(60),
            ),
            (r#"{"token":"a","expires_in":0}"#, seconds(60)),
            (r#"{"token":"a","expires_in":-1}"#, seconds(60)),
            (r#"{"token":"a","expires_in":"300"}"#, seconds(300)),
            (r#"{"token":"a","expires_in":300.5}"#, seconds(300)),
            (r#"{"token":"a","expires_in":[],"scope":5}"#, seconds(60)),
            (r#"{"token":""}"#, None),
            (r#"{"token":null}"#, None),
            ("null", None),
            ("<html>", None),
        ] {
            assert_eq!(life(text), expected, "{text}");
        }
    }

    #[test]
    fn a_token_that_no_header_has_room_for_is_not_kept() {
        let answer = |length| format!(r#"{{"token":"{}"}}"#, "t".repeat(length));
        assert!(read(answer(MAX_TOKEN).as_bytes()).is_ok());
        let refused = read(answer(MAX_TOKEN + 1).as_bytes());
        assert!(matches!(refused, Err(RealmError::TooLarge(MAX_TOKEN))));
    }
}
