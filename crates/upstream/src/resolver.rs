//! Resolves names, and drops the private addresses of names that a stranger chose.
//!
//! The operator has written an endpoint's own name, so it may resolve to anything; so may the names
//! in `private_hosts` and those of the system's proxies. Any other name, such as a redirect's
//! target or a token realm, keeps only its public addresses, unless the endpoint itself is in a
//! private network (`PrivateLink`). Nothing is cached: each new connection resolves again, and so
//! follows a change of DNS.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use config::UpstreamConfig;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use crate::redirect;

/// The variables that name the system's proxies.
const PROXY_VARIABLES: [&str; 6] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
];

type Lookup = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The resolver of one upstream.
pub(crate) struct Resolver {
    lookup: Box<Lookup>,
    rules: Arc<Rules>,
}

struct Rules {
    /// Names of endpoints.
    own: Vec<String>,
    /// Names that may resolve to private addresses.
    trusted: Vec<String>,
    /// All addresses of an endpoint's name were private.
    is_private: AtomicBool,
}

/// A name without an address that may be connected to.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} resolves to an address of this machine or network; name it in `private_hosts` to allow it"
)]
struct PrivateName(String);

impl Resolver {
    /// The system's resolver under the rules of an upstream.
    pub(crate) fn new(config: &UpstreamConfig) -> Self {
        let system = |name: String| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.collect()) })
        };
        let proxies = PROXY_VARIABLES
            .iter()
            .filter_map(|name| std::env::var(name).ok())
            .filter_map(|url| proxy_name(&url));
        let private = &config.private_hosts;
        let private = private.iter().map(|host| host.name().to_owned());
        Self {
            lookup: Box::new(system),
            rules: Arc::new(Rules {
                own: config
                    .endpoints
                    .iter()
                    .filter_map(|endpoint| name_of(&endpoint.url))
                    .collect(),
                trusted: private.chain(proxies).collect(),
                is_private: AtomicBool::new(false),
            }),
        }
    }
}

/// `http://proxy.internal:3128` and `proxy.internal:3128` alike.
fn proxy_name(text: &str) -> Option<String> {
    let url = if text.contains("://") {
        text.parse().ok()?
    } else {
        format!("http://{text}").parse().ok()?
    };
    name_of(&url)
}

fn name_of(url: &Url) -> Option<String> {
    url.domain().map(canonical)
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl Rules {
    /// The addresses of `name` that may be connected to.
    fn allowed(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, PrivateName> {
        let name = canonical(name);
        let is_local = |address: &SocketAddr| redirect::is_local(address.ip());
        if self.own.contains(&name) {
            // All of them: one private address beside public ones may come from a stranger's DNS.
            if found.iter().all(is_local) {
                self.is_private.store(true, Ordering::Relaxed);
            }
            return Ok(found);
        }
        if self.trusted.contains(&name) {
            return Ok(found);
        }
        let is_private = self.is_private.load(Ordering::Relaxed);
        let may_connect = |address: &SocketAddr| {
            !redirect::is_metadata_address(address.ip()) && (is_private || !is_local(address))
        };
        let found: Vec<_> = found.into_iter().filter(may_connect).collect();
        if found.is_empty() {
            return Err(PrivateName(name));
        }
        Ok(found)
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let found = (self.lookup)(name.clone());
        let rules = Arc::clone(&self.rules);
        Box::pin(async move {
            let found = rules.allowed(&name, found.await?)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(answers: &'static [(&str, &[&str])]) -> Resolver {
        let lookup = move |name: String| -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let found = answers.iter().find(|(known, _)| *known == name);
            let found = found.map(|(_, addresses)| {
                let parsed = addresses.iter().map(|address| address.parse().unwrap());
                parsed.map(|ip| SocketAddr::new(ip, 0)).collect()
            });
            Box::pin(async move { found.ok_or_else(|| io::ErrorKind::NotFound.into()) })
        };
        Resolver {
            lookup: Box::new(lookup),
            rules: Arc::new(Rules {
                own: vec!["registry.example".into()],
                trusted: vec!["minio.internal".into()],
                is_private: AtomicBool::new(false),
            }),
        }
    }

    async fn ask(resolver: &Resolver, name: &str) -> Result<Vec<String>, String> {
        match resolver.resolve(name.parse().unwrap()).await {
            Ok(addresses) => Ok(addresses.map(|address| address.ip().to_string()).collect()),
            Err(error) => Err(error.to_string()),
        }
    }

    const ELSEWHERE: &[(&str, &[&str])] = &[
        ("registry.example", &["192.0.2.1"]),
        ("minio.internal", &["10.0.0.7"]),
        ("rebound.example", &["127.0.0.1", "::1"]),
        ("both.example", &["10.0.0.8", "192.0.2.2"]),
        ("metadata.example", &["169.254.169.254"]),
        ("mapped.example", &["::ffff:169.254.169.254"]),
        ("nat64.example", &["64:ff9b::a9fe:a9fe"]),
        ("store.example", &["192.0.2.3", "2001:db8::3"]),
    ];

    #[tokio::test]
    async fn a_strangers_name_does_not_lead_into_our_network() {
        let resolver = resolver(ELSEWHERE);
        for name in [
            "rebound.example",
            "metadata.example",
            "mapped.example",
            "nat64.example",
        ] {
            let refused = ask(&resolver, name).await.unwrap_err();
            assert!(refused.contains("private_hosts"), "{refused}");
        }
        assert_eq!(ask(&resolver, "both.example").await.unwrap(), ["192.0.2.2"]);
        assert_eq!(
            ask(&resolver, "store.example").await.unwrap(),
            ["192.0.2.3", "2001:db8::3"]
        );
    }

    #[tokio::test]
    async fn a_name_from_the_configuration_may_be_anywhere() {
        let resolver = resolver(ELSEWHERE);
        assert_eq!(ask(&resolver, "MINIO.internal.").await.ok(), None);
        assert_eq!(
            ask(&resolver, "minio.internal").await.unwrap(),
            ["10.0.0.7"]
        );
    }

    #[tokio::test]
    async fn an_endpoint_in_a_private_network_may_have_its_store_there() {
        let resolver = resolver(&[
            ("registry.example", &["10.1.2.3"]),
            ("store.example", &["10.1.2.4"]),
            ("metadata.example", &["169.254.169.254"]),
        ]);
        assert!(ask(&resolver, "store.example").await.is_err());
        ask(&resolver, "registry.example").await.unwrap();
        assert_eq!(ask(&resolver, "store.example").await.unwrap(), ["10.1.2.4"]);
        assert!(ask(&resolver, "metadata.example").await.is_err());
    }

    #[test]
    fn a_proxy_is_named_with_or_without_a_scheme() {
        for text in [
            "http://proxy.internal:3128",
            "proxy.internal:3128",
            "Proxy.Internal",
        ] {
            assert_eq!(
                proxy_name(text).as_deref(),
                Some("proxy.internal"),
                "{text}"
            );
        }
        assert_eq!(proxy_name("10.0.0.1:3128"), None);
    }
}
