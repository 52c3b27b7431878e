//! `endpoints`: the places that serve an upstream, and which of them get its credentials.

use std::ops::Range;

use protocol::host::Host;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use toml::Spanned;
use url::Url;

use super::{
    auth::Auth,
    endpoint::{self, Endpoint},
};
use crate::{
    meaning::Meaning,
    problem::{Problem, Problems},
    table::{Table, Value},
};

/// A place that serves an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointConfig {
    /// Its base URL, without a path.
    pub url: Url,
    /// The credentials for it.
    pub auth: Auth,
    /// Whether it serves many registries and is told which, as `?ns=HOST`.
    pub names_upstream: bool,
}

impl EndpointConfig {
    /// Another Archway, which is asked without credentials.
    pub(super) fn parent(url: Url) -> Self {
        Self {
            url,
            auth: Auth::Anonymous,
            names_upstream: true,
        }
    }
}

/// The list of one table; empty: at the host itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(super) struct Endpoints(Vec<ListedEndpoint>);

#[derive(Clone, Debug, PartialEq)]
struct ListedEndpoint {
    url: Url,
    /// Whether the upstream's `auth` holds there, if the file sets it.
    auth: Option<bool>,
}

/// The list with the place of each endpoint.
pub(super) struct PlacedEndpoints(Vec<(Range<usize>, ListedEndpoint)>);

impl Endpoints {
    pub(super) fn read(table: &mut Table<'_>) -> PlacedEndpoints {
        let Some(values) = table.values("endpoints") else {
            return PlacedEndpoints(Vec::new());
        };
        if values.get_ref().is_empty() {
            let problem = Problem::new(values.span(), "`endpoints` is empty")
                .label("no endpoint to ask")
                .help("name one, or remove the key for https:// and the host");
            table.problems.add(problem);
        }
        let values = values.into_inner().into_iter();
        let listed = values.filter_map(|value| {
            let span = value.span.clone();
            Some((span, ListedEndpoint::read(value)?))
        });
        PlacedEndpoints(listed.collect())
    }

    /// Whether the file names none.
    pub(super) fn are_default(&self) -> bool {
        self.0.is_empty()
    }

    /// The endpoints of one host, with `auth` or without credentials.
    pub(super) fn for_host(&self, host: &Host, auth: &Auth) -> Vec<EndpointConfig> {
        if self.0.is_empty() {
            let (url, auth) = (endpoint::default(host), auth.clone());
            return vec![EndpointConfig {
                url,
                auth,
                names_upstream: false,
            }];
        }
        let listed = self.0.iter();
        listed
            .map(|listed| EndpointConfig {
                url: listed.url.clone(),
                auth: match listed.auth {
                    Some(false) => Auth::Anonymous,
                    Some(true) | None => auth.clone(),
                },
                names_upstream: false,
            })
            .collect()
    }
}

impl PlacedEndpoints {
    /// `has_secrets` is whether the `auth` beside the list may show something that is ours alone.
    pub(super) fn checked(self, has_secrets: bool, problems: &Problems) -> Endpoints {
        let is_https = |listed: &ListedEndpoint| listed.url.scheme() == "https";
        if has_secrets && self.0.iter().any(|(_, listed)| is_https(listed)) {
            for (span, listed) in &self.0 {
                if is_https(listed) || listed.auth.is_some() {
                    continue;
                }
                let url = endpoint::text(&listed.url);
                let title = "`endpoints` does not say whether credentials may be sent in the clear";
                let problem = Problem::new(span.clone(), title)
                    .label("http beside https")
                    .help(format!(
                        "write {{ url = \"{url}\", auth = false }} to send none there, or auth = true"
                    ));
                problems.add(problem);
            }
        }
        Endpoints(self.0.into_iter().map(|(_, listed)| listed).collect())
    }
}

impl ListedEndpoint {
    /// From a URL, or from a table with one.
    fn read(value: Value<'_>) -> Option<Self> {
        if value.as_str().is_some() {
            let Endpoint(url) = value.read("endpoints")?.into_inner();
            return Some(Self { url, auth: None });
        }
        let expected = format!(
            "{} such as {}, or a table such as {{ url = \"https://mirror.example\", auth = false }}",
            Endpoint::WHAT,
            Endpoint::EXAMPLE
        );
        let listed = value.table(&expected, |table| {
            let url = table.required_value("url");
            let auth = table.spanned_flag("auth").map(Spanned::into_inner);
            let Endpoint(url) = url?.read("endpoints")?.into_inner();
            Some(Self { url, auth })
        });
        listed.flatten()
    }
}

impl Serialize for ListedEndpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let url = endpoint::text(&self.url);
        let Some(auth) = self.auth else {
            return serializer.serialize_str(&url);
        };
        let mut table = serializer.serialize_struct("endpoint", 2)?;
        table.serialize_field("url", &url)?;
        table.serialize_field("auth", &auth)?;
        table.end()
    }
}
