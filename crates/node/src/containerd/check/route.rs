//! The places that containerd asks for images of one registry, in their order.

use protocol::host::Host;

use super::lookup::Looked;
use crate::containerd::{Content, Place};

/// Where Docker Hub's images come from. containerd looks for their short name alone.
const HUB: &str = "docker.io";
const HUB_SERVER: &str = "https://registry-1.docker.io";

/// The places that containerd asks for images of one registry, in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The registry.
    pub registry: Host,
    /// The places.
    pub stops: Vec<Stop>,
}

/// A place that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its URL.
    pub url: String,
    /// Why it is asked, and for what.
    pub reason: String,
}

impl Route {
    /// By the directory that is taken for the registry, if there is one.
    pub(super) fn of(registry: &Host, looked: Option<&Looked>) -> Self {
        let mut stops = Vec::new();
        let mut last = Stop {
            url: server_of(registry),
            reason: "the registry itself".to_owned(),
        };
        if let Some(Looked { taken, .. }) = looked
            && let Content::Hosts(file) = &taken.content
        {
            let path = taken.file();
            stops.extend(file.hosts.iter().map(|place| Stop {
                url: place.url.clone(),
                reason: format!("{}, by {path}", scope_of(place)),
            }));
            if let Some(server) = &file.server {
                last = Stop {
                    url: server.clone(),
                    reason: format!("`server` of {path}"),
                };
            }
        }
        stops.push(last);
        Self {
            registry: registry.clone(),
            stops,
        }
    }
}

fn server_of(registry: &Host) -> String {
    if registry.as_str() == HUB {
        HUB_SERVER.to_owned()
    } else {
        format!("https://{registry}")
    }
}

/// What a place is asked for.
pub(super) fn scope_of(place: &Place) -> &'static str {
    match (place.resolves, place.pulls) {
        (true, true) => "for tags and digests",
        (true, false) => "for tags alone",
        (false, true) => "for digests alone",
        (false, false) => "for nothing",
    }
}
