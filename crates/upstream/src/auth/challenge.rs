//! `WWW-Authenticate`: the challenges that can be answered.

use http::{HeaderMap, header};

/// The credential that an upstream asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from a realm.
    Bearer(BearerChallenge),
    /// Name and password. ECR adds a `service` parameter, which changes nothing.
    Basic,
}

/// The realm to get a token from, and the service and scope to name there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// The strongest challenge that can be answered, from all header lines.
    pub(super) fn best(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for line in headers.get_all(header::WWW_AUTHENTICATE) {
            for challenge in http_auth::parse_challenges(line.to_str().ok()?).unwrap_or_default() {
                let parameter = |name: &str| {
                    let found = challenge
                        .params
                        .iter()
                        .find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| value.to_unescaped())
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    if let Some(realm) = parameter("realm") {
                        let (service, scope) = (parameter("service"), parameter("scope"));
                        return Some(Self::Bearer(BearerChallenge {
                            realm,
                            service,
                            scope,
                        }));
                    }
                } else if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn best(lines: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_str(line).unwrap(),
            );
        }
        Challenge::best(&headers)
    }

    #[test]
    fn docker_hubs_challenge_is_read() {
        let line = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/hello:pull""#;
        let challenge = BearerChallenge {
            realm: "https://auth.docker.io/token".into(),
            service: Some("registry.docker.io".into()),
            scope: Some("repository:library/hello:pull".into()),
        };
        assert_eq!(best(&[line]), Some(Challenge::Bearer(challenge)));
    }

    #[test]
    fn ecrs_second_parameter_does_no_harm() {
        let line = r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#;
        assert_eq!(best(&[line]), Some(Challenge::Basic));
    }

    #[test]
    fn a_token_is_preferred_over_a_password() {
        let bearer = r#"Bearer realm="https://auth.example/token""#;
        assert!(matches!(
            best(&["Basic realm=\"x\"", bearer]),
            Some(Challenge::Bearer(_))
        ));
    }

    #[test]
    fn a_challenge_that_cannot_be_answered_is_ignored() {
        assert_eq!(best(&["Negotiate"]), None);
        assert_eq!(best(&["Bearer"]), None);
        assert_eq!(best(&[]), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(line in "[ -~]{0,120}") {
            best(&[&line]);
        }
    }
}
