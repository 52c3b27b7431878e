//! kind: a cluster's configuration that mounts containerd's files into each node.

use std::fmt::Write;

use super::{ClientFiles, containerd};
use crate::Settings;

pub(super) fn files(settings: &Settings) -> ClientFiles {
    let folder = containerd::FOLDER;
    let mut files = ClientFiles::one("kind.yaml", CLUSTER.to_owned());
    for registry in settings.registries.or_word(containerd::DEFAULT) {
        files.add(
            format!("certs.d/{}/hosts.toml", containerd::directory(registry)),
            containerd::hosts_toml(settings),
        );
    }
    if let Some(authority) = &settings.authority {
        files.add("archway-ca.crt", authority.pem().to_owned());
        let _ = writeln!(
            files.files[0].text,
            "      - hostPath: archway-ca.crt\n        containerPath: {}\n        readOnly: true",
            containerd::CA
        );
    }
    let files = files.note(format!(
        "write the tree with -o DIR, and there `kind create cluster --config kind.yaml`; kind's containerd reads {folder} since 0.27"
    ));
    if settings.mirror.is_loopback() {
        return files.note(
            "within a node 127.0.0.1 is the node itself: name this machine's address on the network `kind` by --server",
        );
    }
    files
}

const CLUSTER: &str = "\
# A kind cluster whose nodes pull through Archway. Repeat extraMounts for each node.
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraMounts:
      - hostPath: certs.d
        containerPath: /etc/containerd/certs.d
        readOnly: true
";
