//! The realm of a Bearer challenge: whether we go there, how it is asked, and what it answers.

use std::time::Duration;

use http::{StatusCode, header};
use manifest_model::RepoName;
use protocol::{error_chain::ErrorChain, host::Host};
use reqwest::{Client, RequestBuilder, Response};
use serde::Deserialize;
use url::Url;

use crate::{
    answer::retry_after,
    auth::{challenge::Demand, login::Login, sensitive, slot::Token},
    redirect,
};

/// What a token lives where the realm does not say (Docker's token specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);

/// No token is kept longer, whatever the realm says.
const LONGEST_LIFE: Duration = Duration::from_hours(12);

/// The largest answer read from a realm.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// How long a realm may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// How we are called where a refresh token is turned into an access token.
const CLIENT_ID: &str = "archway";

/// A token that is to be had: from where, for which service, for which scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) struct Wanted {
    realm: Url,
    service: Option<String>,
    scope: Option<String>,
}

/// Why a realm gave no token.
#[derive(Debug)]
pub(super) enum NoToken {
    /// It refuses us, with this status.
    Refused(u16),
    /// It is asked too often; how long it wants to be left alone.
    Throttled(Option<Duration>),
    /// It let us wait, or nothing listens there.
    Outage(String),
    /// It answered with an error or hung up.
    Error(String),
    /// It answered something else than a token.
    Wrong(String),
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Wanted {
    /// What `demand` asks for, if we go there. Without a scope in it, it is about `repository` alone.
    pub(in crate::auth) fn of(
        demand: &Demand,
        endpoint: &Url,
        repository: Option<&RepoName>,
        private: &[Host],
    ) -> Result<Self, String> {
        let realm =
            Url::parse(&demand.realm).map_err(|_| "the token realm is no URL".to_owned())?;
        let allowed = match realm.scheme() {
            "https" => true,
            "http" => endpoint.scheme() == "http",
            _ => false,
        };
        if !allowed {
            return Err("the token realm is not on https".to_owned());
        }
        let is_named = private.iter().any(|host| redirect::means(host, &realm));
        if !is_named {
            redirect::check_host(&realm, endpoint).map_err(|reason| {
                let name = realm.host_str().unwrap_or_default();
                format!("the token realm is {reason}; add \"{name}\" to `private_hosts` of the upstream to allow it")
            })?;
        }
        let own_scope = || Some(format!("repository:{}:pull", repository?));
        Ok(Self {
            realm,
            service: demand.service.clone(),
            scope: demand.scope.clone().or_else(own_scope),
        })
    }

    /// Where it is had; of one origin there is one realm to know about.
    pub(super) fn realm(&self) -> &Url {
        &self.realm
    }

    /// Asks the realm: with a password or as nobody by GET, as registries have it since ever, with an identity token by POST
    /// (OAuth 2's `refresh_token` grant), which is the only way for those.
    pub(super) async fn ask(
        &self,
        client: &Client,
        login: Option<&Login>,
    ) -> Result<Token, NoToken> {
        let request = match login {
            None => client.get(self.url()),
            Some(Login::Basic(login)) => client
                .get(self.url())
                .header(header::AUTHORIZATION, login.clone()),
            Some(Login::IdentityToken(token)) => client
                .post(self.realm.clone())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(self.form(token)),
        };
        tokio::time::timeout(PATIENCE, answer(request))
            .await
            .unwrap_or_else(|_| Err(NoToken::Outage("the token realm did not answer".to_owned())))
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

async fn answer(request: RequestBuilder) -> Result<Token, NoToken> {
    let request = request.header(header::ACCEPT, "application/json");
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    match status {
        _ if status.is_success() => read(&body(&mut response).await?),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
            Err(NoToken::Refused(status.as_u16()))
        }
        StatusCode::TOO_MANY_REQUESTS => Err(NoToken::Throttled(retry_after(response.headers()))),
        _ => {
            let reason = format!("the token realm answered {}", status.as_u16());
            Err(if status.is_server_error() {
                NoToken::Error(reason)
            } else {
                NoToken::Wrong(reason)
            })
        }
    }
}

async fn body(response: &mut Response) -> Result<Vec<u8>, NoToken> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(wrong("the token realm's answer is too large"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn read(body: &[u8]) -> Result<Token, NoToken> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| wrong("the token realm's answer is no token"))?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty());
    let header = token.and_then(|token| sensitive(&format!("Bearer {token}")));
    let header = header.ok_or_else(|| wrong("the token realm's answer holds no token"))?;
    let life = answer
        .expires_in
        .map_or(DEFAULT_LIFE, Duration::from_secs)
        .min(LONGEST_LIFE);
    Ok(Token::living(header, life))
}

/// A realm's URL may hold what its owner would not have in a log.
fn unreachable(error: reqwest::Error) -> NoToken {
    let error = error.without_url();
    let reason = format!("the token realm cannot be reached: {}", ErrorChain(&error));
    if error.is_connect() || error.is_timeout() {
        NoToken::Outage(reason)
    } else {
        NoToken::Error(reason)
    }
}

fn wrong(reason: &str) -> NoToken {
    NoToken::Wrong(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(realm: &str, private: &[&str]) -> Result<Wanted, String> {
        let demand = Demand {
            realm: realm.into(),
            service: Some("registry".into()),
            scope: None,
        };
        let endpoint = Url::parse("https://registry.example").unwrap();
        let private: Vec<Host> = private.iter().map(|host| host.parse().unwrap()).collect();
        let name = "team/app".parse().unwrap();
        Wanted::of(&demand, &endpoint, Some(&name), &private)
    }

    #[test]
    fn a_realm_without_a_scope_is_asked_for_this_repository_alone() {
        let wanted = wanted("https://auth.example/token", &[]).unwrap();
        assert_eq!(
            wanted.url().as_str(),
            "https://auth.example/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull"
        );
    }

    #[test]
    fn an_identity_token_is_sent_in_the_body() {
        let wanted = wanted("https://auth.example/token", &[]).unwrap();
        assert_eq!(
            wanted.form("a&b"),
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
            assert!(wanted(hostile, &[]).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_realm_in_a_private_network_is_asked_where_it_is_allowed_by_name() {
        let realm = "https://10.1.2.3:8443/token";
        let reason = wanted(realm, &["10.1.2.3:443"]).unwrap_err();
        assert!(reason.contains("add \"10.1.2.3\""), "{reason}");
        assert!(wanted(realm, &["10.1.2.3:8443"]).is_ok());
        assert!(wanted(realm, &["10.1.2.3"]).is_ok());
    }

    #[test]
    fn both_spellings_of_a_token_are_read() {
        assert!(read(br#"{"token":"a"}"#).is_ok());
        assert!(read(br#"{"access_token":"a","expires_in":300}"#).is_ok());
        assert!(read(br#"{"token":""}"#).is_err());
        assert!(read(b"<html>").is_err());
    }
}
