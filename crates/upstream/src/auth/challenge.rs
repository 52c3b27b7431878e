//! `WWW-Authenticate`: the challenges that can be answered.
//!
//! Read as registries' own clients read it, which is not as strictly as the standard: a line counts
//! as far as it can be read, and an empty parameter is an absent one.

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
        let lines = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let mut basic = None;
        for line in lines.filter_map(|line| str::from_utf8(line.as_bytes()).ok()) {
            for challenge in challenges(line) {
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
                if challenge.scheme.eq_ignore_ascii_case("bearer")
                    && let Some(realm) = challenge.parameter("realm")
                {
                    return Some(Self::Bearer(BearerChallenge {
                        realm,
                        service: challenge.parameter("service"),
                        scope: challenge.parameter("scope"),
                    }));
                }
            }
        }
        basic
    }
}

/// Whether a realm was found.
#[cfg(fuzzing)]
pub fn fuzz_challenge(headers: &HeaderMap) -> bool {
    matches!(Challenge::best(headers), Some(Challenge::Bearer(_)))
}

/// A challenge as it stands in a line.
struct Written<'a> {
    scheme: &'a str,
    parameters: Vec<(&'a str, String)>,
}

impl Written<'_> {
    /// The first parameter of a name, unless it is empty.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut parameters = self.parameters.iter();
        let found = parameters.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    }
}

/// The challenges of a line, up to where it cannot be read.
fn challenges(mut rest: &str) -> Vec<Written<'_>> {
    let mut found: Vec<Written<'_>> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word;
        (word, rest) = token(rest);
        if word.is_empty() {
            return found;
        }
        let value = rest.trim_start_matches([' ', '\t']).strip_prefix('=');
        match (value, found.last_mut()) {
            // A word without a value begins a challenge.
            (None, _) => found.push(Written {
                scheme: word,
                parameters: Vec::new(),
            }),
            (Some(value), Some(challenge)) => {
                let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else {
                    return found;
                };
                challenge.parameters.push((word, value));
                rest = after;
            }
            (Some(_), None) => return found,
        }
    }
}

/// The token at the beginning of `text`, and what follows it.
fn token(text: &str) -> (&str, &str) {
    let is_separator =
        |char: char| char.is_ascii_control() || " ()<>@,;:\\\"/[]?={}".contains(char);
    text.split_at(text.find(is_separator).unwrap_or(text.len()))
}

/// The value at the beginning of `text`, a token or quoted, and what follows it; `None` if its quote
/// does not end.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return Some((value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            char => value.push(char),
        }
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
    fn an_empty_parameter_is_an_absent_one_and_a_line_counts_as_far_as_it_can_be_read() {
        let realm = r#"realm="https://auth.example/token""#;
        for (line, service, scope) in [
            (format!(r#"Bearer {realm},service="",scope="""#), None, None),
            (
                format!(r#"Bearer {realm},service="s",scope="#),
                Some("s"),
                None,
            ),
            (format!("bearer {realm} , SERVICE = s,,"), Some("s"), None),
            (
                format!(r#"Bearer {realm} service="s" scope="a""#),
                Some("s"),
                Some("a"),
            ),
            (
                format!(r#"Basic realm="x", Bearer {realm},scope="a \"b\"""#),
                None,
                Some("a \"b\""),
            ),
            (
                format!(r#"Bearer {realm},service="s",scope="a"#),
                Some("s"),
                None,
            ),
            (format!(r#"Bearer {realm},service="ü";;"#), Some("ü"), None),
        ] {
            let challenge = BearerChallenge {
                realm: "https://auth.example/token".into(),
                service: service.map(str::to_owned),
                scope: scope.map(str::to_owned),
            };
            assert_eq!(best(&[&line]), Some(Challenge::Bearer(challenge)), "{line}");
        }
        let read = r#"Bearer realm="https://auth.example/token""#;
        assert!(best(&["=x", "\"", read]).is_some());
        assert_eq!(
            best(&[r#"Bearer realm="",Basic realm="x""#]),
            Some(Challenge::Basic)
        );
    }

    #[test]
    fn a_challenge_that_cannot_be_answered_is_ignored() {
        assert_eq!(best(&["Negotiate"]), None);
        assert_eq!(best(&["Bearer"]), None);
        assert_eq!(best(&[]), None);
    }

    proptest! {
        #[test]
        fn no_header_panics(line in "[ -~\u{a0}-\u{ff}]{0,120}") {
            best(&[&line]);
        }
    }
}
