//! How clients are known: by which sources, and from which networks.

use admin_api::{ClientFamily, ClientHints, Clients, KnownNetwork};

use crate::parts::Parts;

pub(crate) fn gather(parts: &Parts) -> Clients {
    let counted = parts.counted();
    let config = parts.config.current();
    let hints = counted.by_two("platform_requests_total", ["source", "platform"]);
    let hints = hints.into_iter().filter(|(_, requests)| *requests > 0);
    let mut hints: Vec<_> = hints
        .map(|([source, platform], requests)| ClientHints {
            source,
            platform,
            requests,
        })
        .collect();
    hints.sort_by_key(|hint| std::cmp::Reverse(hint.requests));
    let families = counted.by("client_requests_total", "family");
    let families = families.into_iter().filter(|(_, requests)| *requests > 0);
    let mut families: Vec<_> = families
        .map(|(family, requests)| ClientFamily { family, requests })
        .collect();
    families.sort_by_key(|family| std::cmp::Reverse(family.requests));
    let networks = config.platform.addresses.iter();
    let networks = networks.map(|(network, wish)| KnownNetwork {
        network: network.to_string(),
        platform: wish.to_string(),
    });
    let nodes = parts.nodes.all();
    let limit = counted.sum("connections_limit");
    Clients {
        connections: counted.sum("connections"),
        max_connections: (limit > 0).then_some(limit),
        hints,
        families,
        networks: networks.collect(),
        nodes: nodes.len() as u64,
        silent_nodes: nodes.iter().filter(|node| node.is_silent).count() as u64,
    }
}
