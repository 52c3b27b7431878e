//! Listeners that give everybody on a network what only an identity of ours may read.

use std::{fmt, net::SocketAddr};

use crate::Config;

/// A plain listener beyond loopback, open to every address, and the upstreams that see an identity
/// of ours because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    /// The listener.
    pub listener: SocketAddr,
    /// The upstreams with this identity that it serves, as the file names them.
    pub upstreams: Vec<String>,
    /// The identity, without its secret.
    pub identity: String,
}

impl Config {
    /// Every such listener, once for each identity.
    pub fn exposures(&self) -> Vec<Exposure> {
        let mut exposures: Vec<Exposure> = Vec::new();
        let open = self.listeners.iter().filter(|listener| {
            let is_local = listener.address.ip().to_canonical().is_loopback();
            !is_local && listener.tls.is_none() && listener.access.allow_from.is_empty()
        });
        for listener in open {
            for (pattern, identity) in self.upstreams.identities() {
                if !listener.access.allows_some_of(pattern) {
                    continue;
                }
                let known = exposures.iter_mut().find(|exposure| {
                    exposure.listener == listener.address && exposure.identity == identity
                });
                match known {
                    Some(exposure) => exposure.upstreams.push(pattern.to_string()),
                    None => exposures.push(Exposure {
                        listener: listener.address,
                        upstreams: vec![pattern.to_string()],
                        identity,
                    }),
                }
            }
        }
        exposures
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "everybody who reaches {} reads {} as {}; limit the listener by `allow_from` or `upstreams`, or bind it to loopback",
            self.listener,
            self.upstreams.join(", "),
            self.identity
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposed(text: &str) -> Vec<(String, Vec<String>, String)> {
        let config = Config::parse("archway.toml", text).unwrap();
        let exposures = config.exposures().into_iter();
        exposures
            .map(|one| (one.listener.to_string(), one.upstreams, one.identity))
            .collect()
    }

    const UPSTREAMS: &str = r#"
[upstream."docker.io"]
[upstream."hub.test"]
auth = { username = "me", password_env = "SECRET" }
[upstream."*.dkr.ecr.*.amazonaws.com"]
"#;

    #[test]
    fn an_open_listener_before_credentials_is_named_with_each_identity() {
        let text = format!("[[listener]]\naddress = \"0.0.0.0:5000\"\n{UPSTREAMS}");
        let found = exposed(&text);
        let listener = || "0.0.0.0:5000".to_owned();
        let ecr = "*.dkr.ecr.*.amazonaws.com".to_owned();
        assert_eq!(
            found,
            [
                (
                    listener(),
                    vec!["hub.test".to_owned()],
                    "the user me".to_owned()
                ),
                (
                    listener(),
                    vec![ecr],
                    "the AWS identity of this process".to_owned()
                ),
            ]
        );
    }

    #[test]
    fn what_is_local_limited_or_without_credentials_is_not() {
        for listener in [
            "address = \"127.0.0.1:5000\"",
            "address = \"[::1]:5000\"",
            "address = \"0.0.0.0:5000\"\nallow_from = [\"10.0.0.0/8\"]",
            "address = \"0.0.0.0:5000\"\nupstreams = [\"docker.io\"]\nupstream = \"docker.io\"",
        ] {
            let found = exposed(&format!("[[listener]]\n{listener}\n{UPSTREAMS}"));
            assert_eq!(found, [], "{listener}");
        }
    }

    #[test]
    fn without_a_file_of_upstreams_it_is_ecr() {
        let found = exposed("[[listener]]\naddress = \"10.0.0.1:5000\"");
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].2, "the AWS identity of this process");
    }
}
