//! Bearer tokens (Docker's token protocol): had from a realm, kept while they live, one request at a time per scope.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, header};
use manifest_model::RepoName;
use moka::future::Cache;
use reqwest::Client;
use serde::Deserialize;
use url::Url;

use super::{basic, challenge::Demand, sensitive};
use crate::upstream::redirect;

/// What a token lives where the realm does not say (Docker's token specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);

/// No token is kept longer, whatever the realm says.
const LONGEST_LIFE: Duration = Duration::from_hours(12);

/// The largest answer read from a realm.
const LARGEST_ANSWER: usize = 1024 * 1024;

/// How long a realm may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Repositories whose tokens are kept.
const MAX_TOKENS: u64 = 10_000;

/// A name and a password.
pub(super) struct Login {
    pub(super) username: String,
    pub(super) password: Arc<str>,
}

impl Login {
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        basic(&self.username, &self.password)
    }
}

#[derive(Clone, Debug)]
struct Token {
    header: HeaderValue,
    /// When it is no longer sent without being asked for: half of its life.
    until: Instant,
}

/// The tokens of one upstream, by repository.
#[derive(Debug)]
pub(super) struct Bearer {
    client: Client,
    tokens: Cache<RepoName, Token>,
    demands: moka::sync::Cache<RepoName, Demand>,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Bearer {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            tokens: Cache::new(MAX_TOKENS),
            demands: moka::sync::Cache::new(MAX_TOKENS),
        }
    }

    /// The repository's token, while it lives. It stays in the cache after that: see [`Self::token`].
    pub(super) async fn known(&self, repository: &RepoName) -> Option<HeaderValue> {
        let token = self.tokens.get(repository).await?;
        (Instant::now() < token.until).then_some(token.header)
    }

    /// What the repository's token was had for.
    pub(super) fn last_demand(&self, repository: &RepoName) -> Option<Demand> {
        self.demands.get(repository)
    }

    /// A token other than `refused`. Of several callers one asks the realm.
    pub(super) async fn token(
        &self,
        repository: &RepoName,
        endpoint: &Url,
        demand: &Demand,
        login: Option<&Login>,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, String> {
        if let Some(known) = self.tokens.get(repository).await {
            if Some(&known.header) != refused && Instant::now() < known.until {
                return Ok(known.header);
            }
            self.tokens.invalidate(repository).await;
        }
        self.demands.insert(repository.clone(), demand.clone());
        let asked = self.tokens.try_get_with(
            repository.clone(),
            self.ask(repository, endpoint, demand, login),
        );
        asked
            .await
            .map(|token| token.header)
            .map_err(|reason| String::clone(&reason))
    }

    async fn ask(
        &self,
        repository: &RepoName,
        endpoint: &Url,
        demand: &Demand,
        login: Option<&Login>,
    ) -> Result<Token, String> {
        let url = realm(endpoint, demand, repository)?;
        let mut request = self
            .client
            .get(url)
            .header(header::ACCEPT, "application/json");
        if let Some(login) = login.and_then(Login::basic) {
            request = request.header(header::AUTHORIZATION, login);
        }
        let fetched = async {
            let mut response = request
                .send()
                .await
                .map_err(|error| describe(&error.without_url()))?;
            if !response.status().is_success() {
                return Err(format!(
                    "the token realm answered {}",
                    response.status().as_u16()
                ));
            }
            let mut body = Vec::new();
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| describe(&error.without_url()))?
            {
                if body.len() + chunk.len() > LARGEST_ANSWER {
                    return Err("the token realm's answer is too large".to_owned());
                }
                body.extend_from_slice(&chunk);
            }
            read(&body)
        };
        tokio::time::timeout(PATIENCE, fetched)
            .await
            .unwrap_or_else(|_| Err("the token realm did not answer".to_owned()))
    }
}

fn describe(error: &reqwest::Error) -> String {
    format!(
        "the token realm cannot be reached: {}",
        crate::upstream::error::Chain(error)
    )
}

fn realm(endpoint: &Url, demand: &Demand, repository: &RepoName) -> Result<Url, String> {
    let mut url = Url::parse(&demand.realm).map_err(|_| "the token realm is no URL".to_owned())?;
    let allowed = match url.scheme() {
        "https" => true,
        "http" => endpoint.scheme() == "http",
        _ => false,
    };
    if !allowed {
        return Err("the token realm is not on https".to_owned());
    }
    redirect::check_host(&url, endpoint)
        .map_err(|reason| format!("the token realm is {reason}"))?;
    let scope = demand
        .scope
        .clone()
        .unwrap_or_else(|| format!("repository:{repository}:pull"));
    let mut query = url.query_pairs_mut();
    if let Some(service) = &demand.service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", &scope);
    drop(query);
    Ok(url)
}

fn read(body: &[u8]) -> Result<Token, String> {
    let answer: Answer = serde_json::from_slice(body)
        .map_err(|_| "the token realm's answer is no token".to_owned())?;
    let token = answer
        .token
        .or(answer.access_token)
        .filter(|token| !token.is_empty());
    let header = token.and_then(|token| sensitive(&format!("Bearer {token}")));
    let header = header.ok_or_else(|| "the token realm's answer holds no token".to_owned())?;
    let life = answer
        .expires_in
        .map_or(DEFAULT_LIFE, Duration::from_secs)
        .min(LONGEST_LIFE);
    Ok(Token {
        header,
        until: Instant::now() + life / 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(realm: &str) -> Demand {
        Demand {
            realm: realm.into(),
            service: Some("registry".into()),
            scope: None,
        }
    }

    #[test]
    fn a_realm_without_a_scope_is_asked_for_this_repository_alone() {
        let endpoint = Url::parse("https://registry.example").unwrap();
        let name = "team/app".parse().unwrap();
        let url = realm(&endpoint, &demand("https://auth.example/token"), &name).unwrap();
        assert_eq!(
            url.as_str(),
            "https://auth.example/token?service=registry&scope=repository%3Ateam%2Fapp%3Apull"
        );
    }

    #[test]
    fn a_hostile_realm_is_refused() {
        let endpoint = Url::parse("https://registry.example").unwrap();
        let name = "app".parse().unwrap();
        for hostile in [
            "http://auth.example/",
            "https://127.0.0.1/",
            "http://169.254.169.254/",
            "file:///x",
            "nonsense",
        ] {
            assert!(
                realm(&endpoint, &demand(hostile), &name).is_err(),
                "{hostile}"
            );
        }
    }

    #[test]
    fn both_spellings_of_a_token_are_read() {
        assert!(read(br#"{"token":"a"}"#).is_ok());
        assert!(read(br#"{"access_token":"a","expires_in":300}"#).is_ok());
        assert!(read(br#"{"token":""}"#).is_err());
        assert!(read(b"<html>").is_err());
    }
}
