//! Which program asks, by the beginning of its `User-Agent`.
//!
//! Owns the closed list of those that are told apart, so that no client chooses a label. What a
//! client says of itself proves nothing, and nothing is decided by it here.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The programs by name, each with the beginnings of its `User-Agent`. The last two are of all others,
/// and of those that send none.
const FAMILIES: [(&str, &[&str]); 14] = [
    ("containerd", &["containerd/"]),
    ("docker", &["docker/", "moby/"]),
    ("cri-o", &["cri-o/"]),
    ("buildkit", &["buildkit/"]),
    ("podman", &["libpod/", "podman/", "Buildah/", "buildah/"]),
    ("skopeo", &["skopeo/"]),
    ("containers-image", &["containers/"]),
    (
        "go-containerregistry",
        &["go-containerregistry/", "crane/", "kaniko/", "cosign/"],
    ),
    ("regclient", &["regclient/"]),
    ("oras", &["oras/", "oras-go"]),
    ("helm", &["Helm/"]),
    ("archway", &["archway/", "archway-command/"]),
    (OTHER, &[]),
    (NONE, &[]),
];

const OTHER: &str = "other";
const NONE: &str = "none";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FamilyLabels {
    family: &'static str,
}

/// The requests of each family. Clones are handles to the same counters.
#[derive(Clone, Debug)]
pub(super) struct FamilyCounters {
    family: Family<FamilyLabels, Counter>,
    counters: [Counter; FAMILIES.len()],
}

impl Default for FamilyCounters {
    fn default() -> Self {
        let family: Family<FamilyLabels, Counter> = Family::default();
        let counters =
            FAMILIES.map(|(name, _)| family.get_or_create_owned(&FamilyLabels { family: name }));
        Self { family, counters }
    }
}

impl FamilyCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests answered, by the program that its User-Agent names";
        registry.register("client_requests", help, self.family.clone());
    }

    /// The counter of the program that names itself so.
    pub(super) fn of(&self, user_agent: &str) -> &Counter {
        &self.counters[place(user_agent)]
    }
}

fn place(user_agent: &str) -> usize {
    let wanted = |beginnings: &[&str]| beginnings.iter().any(|one| user_agent.starts_with(one));
    let named = FAMILIES.iter().position(|(_, known)| wanted(known));
    // Of a program that is not known, or of none.
    named.unwrap_or(FAMILIES.len() - if user_agent.is_empty() { 1 } else { 2 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_the_beginning_of_what_it_says() {
        for (user_agent, family) in [
            ("containerd/v2.2.0", "containerd"),
            ("docker/28.5.2 go/go1.25 os/linux arch/amd64", "docker"),
            ("cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64", "cri-o"),
            ("buildkit/v0.25", "buildkit"),
            ("Buildah/1.41.0", "podman"),
            (
                "containers/5.36 (github.com/containers/image)",
                "containers-image",
            ),
            ("go-containerregistry/v0.20.6", "go-containerregistry"),
            ("Helm/3.19.0", "helm"),
            ("archway-command/0.1.0", "archway"),
            ("Mozilla/5.0 docker/28", OTHER),
            ("", NONE),
        ] {
            assert_eq!(FAMILIES[place(user_agent)].0, family, "{user_agent}");
        }
    }
}
