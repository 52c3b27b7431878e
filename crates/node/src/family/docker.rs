//! dockerd: mirrors are for Docker Hub alone.

use super::{ClientFiles, Family, FamilyError, ITS_OWN_LISTENER, NO_PLATFORM, NO_WAY_BACK};
use crate::Settings;

pub(super) fn files(settings: &Settings) -> Result<ClientFiles, FamilyError> {
    if settings.platform.is_some() {
        return Err(Family::Docker.cannot(NO_PLATFORM, ITS_OWN_LISTENER));
    }
    if !settings.fallback {
        let instead = "it asks Docker Hub after its mirrors; keep it from there by the network, or pull by names that begin with Archway's";
        return Err(Family::Docker.cannot(NO_WAY_BACK, instead));
    }
    let mirror = &settings.mirror;
    let mut keys = vec![format!("  \"registry-mirrors\": [\"{mirror}\"]")];
    if !mirror.is_tls() && !mirror.is_loopback() {
        keys.push(format!(
            "  \"insecure-registries\": [\"{}\"]",
            mirror.host()
        ));
    }
    let mut files = ClientFiles::one(
        "/etc/docker/daemon.json",
        format!("{{\n{}\n}}\n", keys.join(",\n")),
    );
    if let Some(authority) = &settings.authority {
        let path = format!("/etc/docker/certs.d/{}/ca.crt", mirror.host());
        files.add(path, authority.pem().to_owned());
    }
    Ok(files
        .note("merge it into a daemon.json that is there, then `systemctl reload docker`")
        .note(format!(
            "dockerd has mirrors for Docker Hub alone, so Archway's default upstream must be docker.io; pull other images as {}/REGISTRY/REPOSITORY:TAG",
            mirror.host()
        )))
}
