//! One `[upstream."HOST"]` table: for one host, or for all that its pattern matches.

use std::{ops::Deref, sync::Arc};

use protocol::host::{Host, HostPattern};
use serde::Serialize;
use toml::Spanned;

use super::{
    auth::AuthSetting,
    endpoints::{EndpointConfig, Endpoints},
    settings::UpstreamSettings,
};
use crate::{show, table::Table};

/// One upstream host: where it is reached, and its settings. A clone shares the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamConfig {
    /// The key of its table: of these there are as many as the file has, so metrics may be labelled
    /// with it.
    pub pattern: HostPattern,
    /// Whether it is served from what is stored alone, and never asked: by its own table, or since
    /// all are.
    pub offline: bool,
    /// Where it is served, tried in order; never empty.
    pub endpoints: Vec<EndpointConfig>,
    /// Everything that is the same for all hosts of the table.
    pub settings: Arc<UpstreamSettings>,
}

impl Deref for UpstreamConfig {
    type Target = UpstreamSettings;

    fn deref(&self) -> &Self::Target {
        &self.settings
    }
}

/// A table of the file, before the host is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    #[serde(skip)]
    pub(super) pattern: HostPattern,
    /// Whether it is never asked.
    pub(super) offline: bool,
    #[serde(skip_serializing_if = "Endpoints::are_default")]
    endpoints: Endpoints,
    /// Host names of Archway itself that mean this upstream.
    #[serde(serialize_with = "show::texts")]
    pub(super) hosts: Vec<Host>,
    #[serde(flatten)]
    settings: Arc<UpstreamSettings>,
    #[serde(skip_serializing_if = "AuthSetting::is_inferred")]
    auth: AuthSetting,
}

/// The keys that other mirrors have.
const FOREIGN: [(&str, &str); 6] = [
    ("insecure", PLAIN_HTTP),
    ("skip_verify", OWN_AUTHORITY),
    ("tls_verify", OWN_AUTHORITY),
    ("url", ENDPOINTS),
    ("remoteurl", ENDPOINTS),
    ("mirrors", ENDPOINTS),
];

const PLAIN_HTTP: &str =
    "of a registry on plain http, write the address: endpoints = [\"http://HOST:PORT\"]";
const OWN_AUTHORITY: &str =
    "certificates are always checked: name the registry's own, or its authority's, in `ca_file`";
const ENDPOINTS: &str = "write endpoints = [\"https://HOST\"]";

impl Entry {
    /// The entry, and the virtual hosts it claims; the caller decides which of them it gets.
    pub(super) fn read(pattern: HostPattern, table: &mut Table<'_>) -> (Self, Vec<Spanned<Host>>) {
        table.explain(&FOREIGN);
        let offline = table.flag("offline", false);
        let endpoints = Endpoints::read(table);
        let hosts = table.spanned_list("hosts");
        let auth = AuthSetting::read(table, &pattern);
        let endpoints = endpoints.checked(!auth.is_nobody(&pattern), table.problems);
        let settings = UpstreamSettings::read(table, &auth, &pattern);
        let entry = Self {
            pattern,
            offline,
            endpoints,
            hosts: Vec::new(),
            settings: Arc::new(settings),
            auth,
        };
        (entry, hosts)
    }

    /// The identity its hosts see, without any secret; `None` if they see none.
    pub(super) fn identity(&self) -> Option<String> {
        self.auth.identity(&self.pattern)
    }

    /// The configuration of one host; `None` when `auth` has no meaning for it.
    pub(super) fn for_host(&self, host: &Host) -> Option<UpstreamConfig> {
        let auth = self.auth.for_host(host)?;
        Some(UpstreamConfig {
            pattern: self.pattern.clone(),
            offline: self.offline,
            endpoints: self.endpoints.for_host(host, &auth),
            settings: Arc::clone(&self.settings),
        })
    }
}
