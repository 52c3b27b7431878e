//! kaniko: arguments of its container.
//!
//! It takes the first part of a mapped path for a registry if that part has a dot, and then asks
//! the registry itself. So each path begins with `platform/`, and `all` is the platform of one who
//! names none: an index stays an index.

use std::fmt::Write;

use super::{ClientFiles, platform_path};
use crate::{Registries, Settings};

const CA: &str = "/kaniko/ssl/certs/archway-ca.crt";

pub(super) fn files(settings: &Settings) -> ClientFiles {
    let host = settings.mirror.host();
    let platform = match platform_path(settings.platform.as_ref()) {
        none if none.is_empty() => "/platform/all".to_owned(),
        path => path,
    };
    let mut text = String::from(HEAD);
    for registry in settings.registries.names() {
        // kaniko's name of Docker Hub; Archway knows it by that name too.
        let known_as = match registry.as_str() {
            "docker.io" => "index.docker.io",
            other => other,
        };
        let _ = writeln!(
            text,
            "  - --registry-map={known_as}={host}{platform}/{registry}"
        );
    }
    if !settings.mirror.is_tls() {
        let _ = writeln!(text, "  - --insecure-registry={host}\n  - --insecure-pull");
    }
    if settings.authority.is_some() {
        let _ = writeln!(text, "  - --registry-certificate={host}={CA}");
    }
    if !settings.fallback {
        text.push_str("  - --skip-default-registry-fallback\n");
    }
    let mut files = ClientFiles::one("kaniko-args.yaml", text);
    if let Some(authority) = &settings.authority {
        files.add(CA, authority.pem().to_owned());
    }
    let files = files.note("add these to the `args` of the container that builds");
    match settings.registries {
        Registries::All(_) => files.note(
            "kaniko has no word for all registries: these are the well-known ones; name your own, each ECR host too, by --registries",
        ),
        Registries::Named(_) => files,
    }
}

const HEAD: &str = "\
# Leads kaniko to Archway. A path must not begin with a registry: kaniko would ask that one.
args:
";
