//! k3s and RKE2: `registries.yaml`, from which they write containerd's files at each start.

use std::fmt::Write;

use super::{ClientFiles, platform_path};
use crate::Settings;

pub(super) fn files(program: &str, settings: &Settings) -> ClientFiles {
    let ca = format!("/etc/rancher/{program}/archway-ca.crt");
    let endpoint = match platform_path(settings.platform.as_ref()) {
        none if none.is_empty() => settings.mirror.to_string(),
        // With a path, the endpoint is the whole place of the API.
        path => format!("{}/v2{path}", settings.mirror),
    };
    let mut text = String::from(HEAD);
    for registry in settings.registries.or_word("*") {
        let _ = writeln!(
            text,
            "  \"{registry}\":\n    endpoint:\n      - \"{endpoint}\""
        );
    }
    if settings.authority.is_some() {
        let host = settings.mirror.host();
        let _ = writeln!(
            text,
            "configs:\n  \"{host}\":\n    tls:\n      ca_file: \"{ca}\""
        );
    }
    let mut files = ClientFiles::one(format!("/etc/rancher/{program}/registries.yaml"), text);
    if let Some(authority) = &settings.authority {
        files.add(ca, authority.pem().to_owned());
    }
    if !settings.fallback {
        files.add(
            format!("/etc/rancher/{program}/config.yaml.d/50-archway.yaml"),
            "disable-default-registry-endpoint: true\n".to_owned(),
        );
    }
    files.note(format!(
        "restart {program} on each node, servers too: it reads the file when it starts, and then writes containerd's anew"
    ))
}

const HEAD: &str = "\
# Leads the containerd of this node to Archway.
mirrors:
";
