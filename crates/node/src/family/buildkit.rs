//! `BuildKit`: mirrors by registry in `buildkitd.toml`.

use std::fmt::Write;

use super::{ClientFiles, Family, FamilyError, NO_WAY_BACK, location};
use crate::{Registries, Settings};

const CA: &str = "/etc/buildkit/archway-ca.crt";

pub(super) fn files(settings: &Settings) -> Result<ClientFiles, FamilyError> {
    if !settings.fallback {
        let instead = "it asks the registry after its mirrors; keep it from there by the network";
        return Err(Family::Buildkit.cannot(NO_WAY_BACK, instead));
    }
    let mut text = String::from(HEAD);
    for registry in settings.registries.names() {
        let location = location(settings, registry.as_str());
        let _ = writeln!(
            text,
            "\n[registry.\"{registry}\"]\n  mirrors = [\"{location}\"]"
        );
    }
    let host = settings.mirror.host();
    if !settings.mirror.is_tls() {
        let _ = writeln!(text, "\n{PLAIN}\n[registry.\"{host}\"]\n  http = true");
    } else if settings.authority.is_some() {
        let _ = writeln!(text, "\n[registry.\"{host}\"]\n  ca = [\"{CA}\"]");
    }
    let mut files = ClientFiles::one("/etc/buildkit/buildkitd.toml", text);
    if let Some(authority) = &settings.authority {
        files.add(CA, authority.pem().to_owned());
    }
    let files = files.note(
        "buildkitd reads it when it starts; for buildx: `docker buildx create --buildkitd-config FILE`",
    );
    Ok(match settings.registries {
        Registries::All(_) => files.note(
            "buildkitd.toml has no word for all registries: these are the well-known ones; name your own, each ECR host too, by --registries",
        ),
        Registries::Named(_) => files,
    })
}

const HEAD: &str = "\
# Leads BuildKit to Archway: the request is /v2/REGISTRY/REPOSITORY/...?ns=REGISTRY .
";

const PLAIN: &str = "\
# Plain http. Do not add `insecure = true`, which means TLS without verification.";
