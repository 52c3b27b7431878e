//! GKE: the runtime configuration file of a node pool.

use std::fmt::Write;

use super::{ClientFiles, Family, FamilyError, NO_WAY_BACK, eks_anywhere::PLAIN_HTTP, quoted_list};
use crate::Settings;

/// As many as the file may hold.
const MAX_REGISTRIES: usize = 25;

pub(super) fn files(settings: &Settings) -> Result<ClientFiles, FamilyError> {
    if !settings.fallback {
        let instead = "it has no setting for it; keep it from the registries by the network";
        return Err(Family::Gke.cannot(NO_WAY_BACK, instead));
    }
    if !settings.mirror.is_tls() {
        let instead = "its file names a host without a scheme, which means https; give Archway's [[listener]] a certificate and write https://";
        return Err(Family::Gke.cannot(PLAIN_HTTP, instead));
    }
    if settings.registries.names().len() > MAX_REGISTRIES {
        let instead = "its file takes 25; name the ones that matter by --registries";
        return Err(Family::Gke.cannot("so many registries", instead));
    }
    let mut text =
        String::from("# Leads the nodes of a GKE node pool to Archway.\nregistryHosts:\n");
    for registry in settings.registries.names() {
        let _ = write!(
            text,
            "- server: \"{registry}\"\n  hosts:\n{}",
            host(settings)
        );
    }
    let files = ClientFiles::one("containerd-configuration.yaml", text).note(
        "`gcloud container node-pools update POOL --containerd-config-from-file=FILE`: GKE makes the nodes anew",
    );
    Ok(match settings.authority {
        Some(_) => files.note("put the certificate authority into Secret Manager and its name in place of PROJECT; the file itself does not carry it"),
        None => files,
    })
}

fn host(settings: &Settings) -> String {
    let capabilities = quoted_list(["HOST_CAPABILITY_PULL", "HOST_CAPABILITY_RESOLVE"]);
    let mut text = format!(
        "  - host: \"{}\"\n    capabilities: [{capabilities}]\n    dialTimeout: \"{:?}\"\n",
        settings.mirror.host(),
        settings.mirror.dial_timeout()
    );
    if let Some(platform) = &settings.platform {
        let _ = writeln!(
            text,
            "    header:\n    - key: \"Archway-Platform\"\n      value: [\"{platform}\"]"
        );
    }
    if settings.authority.is_some() {
        text.push_str("    ca:\n    - gcpSecretManagerSecretUri: \"projects/PROJECT/secrets/archway-ca/versions/latest\"\n");
    }
    text
}
