//! EKS nodes of Amazon Linux 2023: a script in the user data of an instance, by itself or in
//! Karpenter's node class.
//!
//! containerd of these nodes has two folders for `hosts.toml`. From 2.1 on it pulls by a service
//! that takes the two for one path, unless another setting forbids that service. The script makes
//! that path lead to the first folder, so that either way finds the file, in every version, without
//! a restart and without a line of config.toml, which nodeadm writes anew at each boot.

use std::fmt::Write;

use super::{ClientFiles, containerd};
use crate::Settings;

const BOUNDARY: &str = "ARCHWAY";

pub(super) fn nodeadm(settings: &Settings) -> ClientFiles {
    let script = script(settings);
    let text = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\n\n\
         --{BOUNDARY}\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n{script}\n--{BOUNDARY}--\n"
    );
    ClientFiles::one("user-data.txt", text)
        .note("it is the user data of the launch template; a managed node group adds its own part")
        .note(REACHABLE)
}

pub(super) fn karpenter(settings: &Settings) -> ClientFiles {
    let script: String = script(settings)
        .lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            line => format!("    {line}\n"),
        })
        .collect();
    let text = format!(
        "# A patch for your node class: `kubectl patch ec2nodeclass NAME --type merge --patch-file FILE`.\n\
         spec:\n  userData: |\n{script}"
    );
    ClientFiles::one("ec2nodeclass-patch.yaml", text)
        .note("Karpenter replaces the nodes of a class whose user data changes")
        .note(REACHABLE)
}

const REACHABLE: &str = "use an address that answers before the node has joined: 127.0.0.1 or an internal load balancer, never a ClusterIP";

fn script(settings: &Settings) -> String {
    let folder = containerd::FOLDER;
    let mut text = String::from("#!/bin/sh\n# Leads containerd to Archway.\nset -eu\n");
    for registry in settings.registries.or_word(containerd::DEFAULT) {
        let directory = format!("{folder}/{}", containerd::directory(registry));
        let _ = writeln!(text, "mkdir -p '{directory}'");
        text.push_str(&here(
            &format!("{directory}/hosts.toml"),
            &containerd::hosts_toml(settings),
        ));
    }
    if let Some(authority) = &settings.authority {
        text.push_str(&here(containerd::CA, authority.pem()));
    }
    text + CURE
}

/// Writes a file from within a script.
fn here(path: &str, content: &str) -> String {
    format!("cat >'{path}' <<'END_OF_FILE'\n{content}END_OF_FILE\n")
}

/// Said of the place, not of the version: where nobody looks there, it does no harm.
const CURE: &str = "\
# containerd 2.1 and later may take its two folders, joined by a colon, for one path.
mkdir -p '/etc/containerd/certs.d:/etc/docker'
ln -sfn ../../../certs.d '/etc/containerd/certs.d:/etc/docker/certs.d'
";
