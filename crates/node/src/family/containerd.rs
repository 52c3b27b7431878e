//! containerd: a `hosts.toml` for each registry, or one for all.

use std::fmt::Write;

use super::ClientFiles;
use crate::Settings;

/// The folder of containerd's that is right in every version, once it is set.
pub(crate) const FOLDER: &str = "/etc/containerd/certs.d";
/// The directory for registries that have none of their own.
pub(crate) const DEFAULT: &str = "_default";
/// Where the certificate authority goes.
pub(crate) const CA: &str = "/etc/containerd/archway-ca.crt";

pub(super) fn files(settings: &Settings) -> ClientFiles {
    let mut files = ClientFiles::default();
    for registry in settings.registries.or_word(DEFAULT) {
        let text = format!("{HEAD}\n{}", hosts_toml(settings));
        files.add(format!("{FOLDER}/{}/hosts.toml", directory(registry)), text);
    }
    if let Some(authority) = &settings.authority {
        files.add(CA, authority.pem().to_owned());
    }
    files.note(format!(
        "containerd reads hosts.toml at each pull, if config_path is {FOLDER}. Out of the box, 1.x to 2.1 read none, \
         and 2.2 to 2.4 look in the wrong place: `archway client-config apply containerd` sees to it, \
         `archway client-config status containerd` says whether it has"
    ))
}

const HEAD: &str = "\
# Leads containerd to Archway. The registry itself arrives there as ?ns=HOST.
";

/// The directory of a registry, which may have a port: a colon is not for every file system.
pub(crate) fn directory(registry: &str) -> String {
    match registry.rsplit_once(':') {
        Some((name, port)) => format!("{name}_{port}_"),
        None => registry.to_owned(),
    }
}

/// A whole `hosts.toml`. It has a `[host]` table in any case: containerd 1.6 takes no file without.
pub(super) fn hosts_toml(settings: &Settings) -> String {
    let mut text = String::new();
    if !settings.fallback {
        // The last place to ask, which otherwise is the registry itself.
        let _ = writeln!(text, "server = \"{}\"", settings.mirror);
        text.push_str(&keys(settings, ""));
        text.push('\n');
    }
    text + &host_table(settings)
}

/// The `[host]` table alone.
pub(crate) fn host_table(settings: &Settings) -> String {
    format!("[host.\"{}\"]\n{}", settings.mirror, keys(settings, "  "))
}

fn keys(settings: &Settings, indent: &str) -> String {
    let mut text = format!("{indent}capabilities = [\"pull\", \"resolve\"]\n");
    let wait = settings.mirror.dial_timeout();
    let _ = writeln!(text, "{indent}dial_timeout = \"{wait:?}\"");
    if settings.authority.is_some() {
        let _ = writeln!(text, "{indent}ca = \"{CA}\"");
    }
    if let Some(platform) = &settings.platform {
        let _ = writeln!(
            text,
            "{indent}header = {{ Archway-Platform = [\"{platform}\"] }}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_spelled_without_a_colon() {
        assert_eq!(directory("docker.io"), "docker.io");
        assert_eq!(directory("registry.example:5000"), "registry.example_5000_");
        assert_eq!(directory("[::1]:5000"), "[::1]_5000_");
    }
}
