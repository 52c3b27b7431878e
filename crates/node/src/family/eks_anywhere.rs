//! EKS Anywhere: a part of the cluster's specification.

use std::fmt::Write;

use super::{ClientFiles, Family, FamilyError, ITS_OWN_LISTENER, NO_PLATFORM, NO_WAY_BACK};
use crate::Settings;

pub(super) fn files(settings: &Settings) -> Result<ClientFiles, FamilyError> {
    let family = Family::EksAnywhere;
    if settings.platform.is_some() {
        return Err(family.cannot(NO_PLATFORM, ITS_OWN_LISTENER));
    }
    if !settings.fallback {
        let instead = "it has no setting for it; keep it from the registries by the network";
        return Err(family.cannot(NO_WAY_BACK, instead));
    }
    if !settings.mirror.is_tls() {
        let instead =
            "it speaks https alone; give Archway's [[listener]] a certificate and write https://";
        return Err(family.cannot(PLAIN_HTTP, instead));
    }
    let mut text = String::from(HEAD);
    let (host, port) = (settings.mirror.host().name(), settings.mirror.port());
    let _ = writeln!(
        text,
        "spec:\n  registryMirrorConfiguration:\n    endpoint: \"{host}\"\n    port: \"{port}\"\n    ociNamespaces:"
    );
    for registry in settings.registries.names() {
        let _ = writeln!(
            text,
            "      - registry: \"{registry}\"\n        namespace: \"{registry}\""
        );
    }
    if let Some(authority) = &settings.authority {
        let _ = write!(
            text,
            "    caCertContent: |\n{}",
            authority.indented("      ")
        );
    }
    Ok(ClientFiles::one("cluster-patch.yaml", text)
        .note("merge it into the Cluster of your configuration, then `eksctl anywhere upgrade cluster`")
        .note("registries that are not listed are asked directly; on Bottlerocket only public.ecr.aws is heeded"))
}

pub(super) const PLAIN_HTTP: &str = "a listener without TLS";

const HEAD: &str = "\
# Leads the nodes of an EKS Anywhere cluster to Archway.
apiVersion: anywhere.eks.amazonaws.com/v1alpha1
kind: Cluster
";
