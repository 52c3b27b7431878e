//! Bottlerocket: settings, as user data or for `apiclient`.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{ClientFiles, Family, FamilyError, ITS_OWN_LISTENER, NO_PLATFORM, NO_WAY_BACK};
use crate::Settings;

pub(super) fn files(settings: &Settings) -> Result<ClientFiles, FamilyError> {
    if settings.platform.is_some() {
        return Err(Family::Bottlerocket.cannot(NO_PLATFORM, ITS_OWN_LISTENER));
    }
    if !settings.fallback {
        let instead = "it has no setting for it; keep it from the registries by the network";
        return Err(Family::Bottlerocket.cannot(NO_WAY_BACK, instead));
    }
    let mut text = String::from("# Leads the containerd of this node to Archway.\n");
    for registry in settings.registries.or_word("*") {
        let _ = writeln!(
            text,
            "\n[[settings.container-registry.mirrors]]\nregistry = \"{registry}\"\nendpoint = [\"{}\"]",
            settings.mirror
        );
    }
    if let Some(authority) = &settings.authority {
        let data = STANDARD.encode(authority.pem());
        let _ = writeln!(
            text,
            "\n[settings.pki.archway]\ndata = \"{data}\"\ntrusted = true"
        );
    }
    Ok(ClientFiles::one("user-data.toml", text)
        .note("no other way lasts there: the system writes containerd's files itself, and takes foreign ones away")
        .note("it has no setting for how long to wait for a connection: a node without its mirror waits 30 s for each object, unless the port is refused"))
}
