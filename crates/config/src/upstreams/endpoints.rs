//! `endpoints`: the places that serve an upstream, and which of them may know who Archway is.

use std::{fmt, ops::Range};

use protocol::host::Host;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_spanned::Spanned;
use url::Url;

use super::{
    auth::Auth,
    endpoint::{self, Endpoint},
};
use crate::{
    error::{Problem, Problems},
    field::{Field, Meaning, Wrong},
    print::{Page, quoted},
};

/// A place that serves an upstream.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointConfig {
    /// Its base URL, without a path.
    pub url: Url,
    /// Who Archway is there.
    pub auth: Auth,
}

/// The list of one table; empty: at the host itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Endpoints(Vec<Listed>);

#[derive(Debug, Clone, PartialEq)]
struct Listed {
    url: Url,
    /// Whether the upstream's `auth` holds there, where the file says so.
    auth: Option<bool>,
}

/// A URL, or a table with one.
#[derive(Debug)]
pub(super) enum RawEndpoint {
    Url(Result<Endpoint, Wrong>),
    Table(RawEndpointTable),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpointTable {
    url: Field<Endpoint>,
    auth: Option<bool>,
}

impl Endpoints {
    /// `has_secrets` says whether the `auth` beside the list may show something that is ours alone.
    pub(super) fn resolve(
        raw: Spanned<Vec<Spanned<RawEndpoint>>>,
        has_secrets: bool,
        problems: &mut Problems,
    ) -> Endpoints {
        if raw.get_ref().is_empty() {
            let problem = Problem::new(raw.span(), "`endpoints` is empty").label("nothing to ask");
            problems.add(problem.help("name one, or leave the key out for https:// and the host"));
        }
        let mut listed = Vec::new();
        for raw in raw.into_inner() {
            let span = raw.span();
            if let Some(endpoint) = raw.into_inner().take(span.clone(), problems) {
                listed.push((span, endpoint));
            }
        }
        if has_secrets
            && listed
                .iter()
                .any(|(_, listed)| listed.url.scheme() == "https")
        {
            let in_clear = |listed: &Listed| listed.url.scheme() == "http" && listed.auth.is_none();
            for (span, endpoint) in listed.iter().filter(|(_, listed)| in_clear(listed)) {
                let title = "`endpoints` does not say whether credentials may be sent in the clear";
                let problem = Problem::new(span.clone(), title);
                let url = quoted(&endpoint::text(&endpoint.url));
                problems.add(problem.label("http beside https").help(format!(
                    "write {{ url = {url}, auth = false }} to send none there, or auth = true"
                )));
            }
        }
        Endpoints(listed.into_iter().map(|(_, listed)| listed).collect())
    }

    /// The endpoints of one host, at which Archway is `auth` or nobody.
    pub(super) fn for_host(&self, host: &Host, auth: &Auth) -> Vec<EndpointConfig> {
        if self.0.is_empty() {
            let (url, auth) = (endpoint::default(host), auth.clone());
            return vec![EndpointConfig { url, auth }];
        }
        let listed = self.0.iter();
        listed
            .map(|listed| EndpointConfig {
                url: listed.url.clone(),
                auth: match listed.auth {
                    Some(false) => Auth::Anonymous,
                    Some(true) | None => auth.clone(),
                },
            })
            .collect()
    }

    pub(super) fn print(&self, host: Option<&Host>, page: &mut Page) {
        match (self.0.as_slice(), host) {
            ([], None) => page.comment("endpoints: https:// and the host"),
            ([], Some(host)) => page.comment(&format!(
                "endpoints: {}",
                endpoint::text(&endpoint::default(host))
            )),
            (listed, _) => {
                let listed: Vec<_> = listed.iter().map(Listed::toml).collect();
                page.raw("endpoints", format_args!("[{}]", listed.join(", ")));
            }
        }
    }
}

impl Listed {
    fn toml(&self) -> String {
        let url = quoted(&endpoint::text(&self.url));
        match self.auth {
            Some(auth) => format!("{{ url = {url}, auth = {auth} }}"),
            None => url,
        }
    }
}

impl RawEndpoint {
    fn take(self, span: Range<usize>, problems: &mut Problems) -> Option<Listed> {
        let (url, auth) = match self {
            RawEndpoint::Url(url) => (Field::new(span, url), None),
            RawEndpoint::Table(table) => (table.url, table.auth),
        };
        let Endpoint(url) = url.take("endpoints", problems)?;
        Some(Listed { url, auth })
    }
}

impl<'de> Deserialize<'de> for RawEndpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EndpointVisitor;
        impl<'de> Visitor<'de> for EndpointVisitor {
            type Value = RawEndpoint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "{} such as {}, or a table such as {{ url = \"https://mirror.example\", auth = false }}",
                    Endpoint::WHAT,
                    Endpoint::EXAMPLE
                )
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawEndpoint::Url(Endpoint::read(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = RawEndpointTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawEndpoint::Table(table))
            }
        }
        deserializer.deserialize_any(EndpointVisitor)
    }
}
