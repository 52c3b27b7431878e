//! podman, buildah, skopeo and CRI-O: a drop-in of `registries.conf`.
//!
//! They do not name the registry in a request, so each mirror's location does.

use std::fmt::Write;

use super::{ClientFiles, location};
use crate::{Registries, Settings};

const PATH: &str = "/etc/containers/registries.conf.d/50-archway.conf";

pub(super) fn podman(settings: &Settings) -> ClientFiles {
    files(settings).note("podman, buildah and skopeo read it at each call")
}

pub(super) fn crio(settings: &Settings) -> ClientFiles {
    files(settings).note("CRI-O reads it when it starts and at `systemctl reload crio`")
}

fn files(settings: &Settings) -> ClientFiles {
    let mut text = String::from(HEAD);
    for registry in settings.registries.names() {
        text.push_str(&tables(settings, registry.as_str()));
    }
    let mut files = ClientFiles::one(PATH, text);
    if let Some(authority) = &settings.authority {
        let path = format!("/etc/containers/certs.d/{}/ca.crt", settings.mirror.host());
        files.add(path, authority.pem().to_owned());
    }
    if let Registries::All(_) = settings.registries {
        return files.note(
            "registries.conf has no word for all registries: these are the well-known ones; name your own, each ECR host too, by --registries",
        );
    }
    files
}

const HEAD: &str = "\
# Leads podman, buildah, skopeo and CRI-O to Archway. Their requests do not name the registry, so
# the location does.
";

fn tables(settings: &Settings, registry: &str) -> String {
    let location = location(settings, registry);
    let mut text = format!("\n[[registry]]\nprefix = \"{registry}\"\n");
    if settings.fallback {
        let _ = writeln!(text, "location = \"{registry}\"\n\n[[registry.mirror]]");
    }
    let _ = writeln!(text, "location = \"{location}\"");
    if !settings.mirror.is_tls() {
        // Plain http; with TLS it would mean not to verify the certificate.
        text.push_str("insecure = true\n");
    }
    text
}
