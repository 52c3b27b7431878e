//! docker-registry as a pull-through cache.

use std::process::Command;

use anyhow::Context;

use super::free_address;
use super::process::Server;
use crate::place::Place;

/// Starts it with an empty cache in front of `origin`.
pub(crate) fn start(place: &Place, origin: &str) -> anyhow::Result<Server> {
    let folder = place.folder("registry")?;
    let address = free_address()?;
    let config = folder.join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: error, accesslog: {{ disabled: true }} }}\n\
         storage: {{ filesystem: {{ rootdirectory: \"{}\" }}, cache: {{ blobdescriptor: inmemory }} }}\n\
         http: {{ addr: \"{address}\", secret: bench }}\nproxy: {{ remoteurl: \"{origin}\" }}\n",
        folder.join("data").display()
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new("docker-registry");
    command
        .arg("serve")
        .arg(&config)
        .env("OTEL_TRACES_EXPORTER", "none");
    let log = folder.join("registry.log");
    Server::start(command, &place.cores, address, "/v2/", &log).context("docker-registry")
}
