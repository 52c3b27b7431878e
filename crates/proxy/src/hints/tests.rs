use std::{collections::BTreeMap, net::Ipv4Addr};

use http::{HeaderValue, header::USER_AGENT};
use protocol::headers::ARCHWAY_PLATFORM;

use super::*;

const DOCKERD: &str = "docker/28.5.2 go/go1.24 git-commit/x kernel/6 os/linux arch/arm64 UpstreamClient(Docker-Client/28)";

#[derive(Clone)]
struct Given {
    query: Vec<String>,
    headers: HeaderMap,
    path: Option<&'static str>,
    listener: Option<PlatformRequest>,
    host: Option<Host>,
    peer: IpAddr,
    config: PlatformConfig,
}

impl Given {
    fn nothing() -> Self {
        let hosts =
            BTreeMap::from([("arm64.mirror.example".parse().unwrap(), wish("linux/arm64"))]);
        let addresses = vec![
            ("10.1.2.0/24".parse().unwrap(), wish("linux/amd64")),
            ("10.1.0.0/16".parse().unwrap(), wish("linux/arm64")),
        ];
        let embedded = config::Config::embedded().unwrap().platform;
        let config = PlatformConfig {
            hosts,
            addresses,
            ..embedded
        };
        let peer = Ipv4Addr::LOCALHOST.into();
        Self {
            query: vec![],
            headers: HeaderMap::new(),
            path: None,
            listener: None,
            host: None,
            peer,
            config,
        }
    }

    fn header(mut self, value: &'static str) -> Self {
        self.headers
            .append(ARCHWAY_PLATFORM, HeaderValue::from_static(value));
        self
    }

    fn hint(&self) -> Result<Option<Hint>, HintError> {
        let said = hints(&Clues {
            query: &self.query,
            headers: &self.headers,
            path: self.path,
            listener: self.listener.as_ref(),
            host: self.host.as_ref(),
            peer: self.peer,
            node: None,
            config: &self.config,
        });
        said.map(|hints| hints.into_iter().next())
    }

    fn said(&self) -> (Source, String) {
        let hint = self.hint().unwrap().unwrap();
        (hint.source, hint.wish.to_string())
    }
}

fn wish(text: &str) -> PlatformRequest {
    PlatformRequest::parse(text).unwrap()
}

#[test]
fn without_clues_there_is_no_hint() {
    assert_eq!(Given::nothing().hint().unwrap(), None);
}

#[test]
fn every_source_is_heard() {
    let arm = "linux/arm64".to_owned();
    let query = Given {
        query: vec!["linux/arm64".into()],
        ..Given::nothing()
    };
    assert_eq!(query.said(), (Source::Query, arm.clone()));
    assert_eq!(
        Given::nothing().header("linux/arm64").said(),
        (Source::Header, arm.clone())
    );
    let path = Given {
        path: Some("linux-arm64"),
        ..Given::nothing()
    };
    assert_eq!(path.said(), (Source::Path, arm.clone()));
    let listener = Given {
        listener: Some(wish("linux/arm64")),
        ..Given::nothing()
    };
    assert_eq!(listener.said(), (Source::Listener, arm.clone()));
    let host = Given {
        host: Some("arm64.mirror.example".parse().unwrap()),
        ..Given::nothing()
    };
    assert_eq!(host.said(), (Source::VirtualHost, arm.clone()));
    let mut agent = Given::nothing();
    agent
        .headers
        .insert(USER_AGENT, HeaderValue::from_static(DOCKERD));
    assert_eq!(agent.said(), (Source::UserAgent, arm.clone()));
    let address = Given {
        peer: Ipv4Addr::new(10, 1, 3, 4).into(),
        ..Given::nothing()
    };
    assert_eq!(address.said(), (Source::Address, arm));
}

#[test]
fn the_longest_prefix_of_an_address_wins() {
    let given = Given {
        peer: Ipv4Addr::new(10, 1, 2, 3).into(),
        ..Given::nothing()
    };
    assert_eq!(given.said(), (Source::Address, "linux/amd64".into()));
}

#[test]
fn an_explicit_source_beats_an_implicit_one() {
    let mut given = Given::nothing().header("linux/amd64");
    given
        .headers
        .insert(USER_AGENT, HeaderValue::from_static(DOCKERD));
    assert_eq!(given.said(), (Source::Header, "linux/amd64".into()));
}

#[test]
fn explicit_sources_that_mean_the_same_agree() {
    let given = Given {
        path: Some("linux-aarch64"),
        ..Given::nothing()
    }
    .header("linux/arm64/v8");
    assert_eq!(given.said(), (Source::Header, "linux/arm64".into()));
}

#[test]
fn explicit_sources_that_disagree_are_both_named() {
    let given = Given {
        query: vec!["linux/arm/v7".into()],
        ..Given::nothing()
    }
    .header("linux/arm64");
    let message = given.hint().unwrap_err().to_string();
    assert_eq!(
        message,
        "the query asks for linux/arm/v7, the header for linux/arm64; remove one of them"
    );
}

#[test]
fn a_source_must_not_contradict_itself() {
    assert!(matches!(
        Given::nothing()
            .header("linux/arm64")
            .header("linux/amd64")
            .hint(),
        Err(HintError::Conflict { .. })
    ));
    assert!(
        Given::nothing()
            .header("linux/arm64")
            .header("linux/arm64")
            .hint()
            .is_ok()
    );
}

#[test]
fn all_is_a_wish_and_disagrees_with_a_platform() {
    assert_eq!(
        Given::nothing().header("all").said(),
        (Source::Header, "all".into())
    );
    let given = Given {
        path: Some("all"),
        ..Given::nothing()
    }
    .header("linux/arm64");
    assert!(matches!(given.hint(), Err(HintError::Conflict { .. })));
}

#[test]
fn nonsense_names_its_source() {
    let message = Given::nothing()
        .header("linux//")
        .hint()
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("the header does not name a platform"),
        "{message}"
    );
}
