//! Who may ask on a listener, under which names, and for which upstreams.

use std::net::IpAddr;

use ipnet::IpNet;
use protocol::{
    forwarded,
    host::{Host, HostPattern},
};
use serde::Serialize;
use toml::Spanned;

use crate::{
    platform::Network,
    problem::{Problem, Problems},
    show,
    table::Table,
    upstreams::Upstreams,
};

/// The limits of a listener. An empty list is no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Access {
    /// The upstreams that can be reached through it.
    #[serde(serialize_with = "show::texts", skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<HostPattern>,
    /// The networks of its clients.
    #[serde(serialize_with = "show::texts", skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<IpNet>,
    /// Host names it is called by, beside those that every listener has.
    #[serde(serialize_with = "show::texts")]
    pub names: Vec<Host>,
}

impl Access {
    /// Whether a request that comes in here may be for this upstream.
    pub fn allows_upstream(&self, host: &Host) -> bool {
        self.upstreams.is_empty() || self.upstreams.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether some host of the pattern can be reached through it.
    pub(crate) fn allows_some_of(&self, pattern: &HostPattern) -> bool {
        self.upstreams.is_empty() || self.upstreams.iter().any(|one| one.overlaps(pattern))
    }

    /// Whether a client with this address may ask here.
    pub fn allows_client(&self, address: IpAddr) -> bool {
        self.allow_from.is_empty() || forwarded::is_trusted(address, &self.allow_from)
    }

    /// Reads the limits; `upstream` is the listener's own, and `known` are those of the file.
    pub(super) fn read(
        table: &mut Table<'_>,
        upstream: Option<&Spanned<Host>>,
        known: &Upstreams,
    ) -> Self {
        let problems = table.problems;
        let upstreams = table.limit::<HostPattern>("upstreams").into_iter();
        let upstreams: Vec<HostPattern> = upstreams
            .filter_map(|pattern| known.known_pattern(pattern, problems))
            .collect();
        let allow_from = table.limit("allow_from").into_iter();
        let access = Self {
            upstreams,
            allow_from: allow_from
                .map(|network| {
                    let Network(network) = network.into_inner();
                    network
                })
                .collect(),
            names: table.list("names"),
        };
        if let Some(upstream) = upstream {
            access.check_default(upstream, problems);
        }
        access
    }

    /// The upstream of a name without a registry must be reachable where it is set.
    fn check_default(&self, upstream: &Spanned<Host>, problems: &Problems) {
        let host = upstream.get_ref();
        if !self.allows_upstream(host) {
            let title = "`upstream` is not one of this listener's `upstreams`";
            let problem = Problem::new(upstream.span(), title)
                .label("no request could reach it here")
                .help(format!(
                    "add \"{host}\" to `upstreams`, or remove `upstream`"
                ));
            problems.add(problem);
        }
    }
}
