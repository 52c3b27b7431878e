//! Archway as an operator would run it: JSON access log to a file, metrics on, a cache on disk.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::free_address;
use super::nginx::Certificate;
use super::process::Server;
use crate::client::pull;
use crate::place::Place;

/// The line in the table of an upstream that switches parallel fetching off.
pub(crate) const PARALLEL_OFF: &str = "parallel = 1";

/// The name of the only upstream.
const UPSTREAM: &str = "origin.test";

/// What Archway is started with.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// The base URL of what it pulls from.
    origin: String,
    /// More lines for the upstream's table.
    lines: String,
    /// More lines for the server's table.
    server_lines: String,
    tls: Option<Certificate>,
}

impl Setup {
    pub(crate) fn in_front_of(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            ..Self::default()
        }
    }

    pub(crate) fn upstream_line(mut self, line: &str) -> Self {
        self.lines.push_str(line);
        self.lines.push('\n');
        self
    }

    pub(crate) fn server_line(mut self, line: &str) -> Self {
        self.server_lines.push_str(line);
        self.server_lines.push('\n');
        self
    }

    pub(crate) fn tls(mut self, certificate: &Certificate) -> Self {
        self.tls = Some(certificate.clone());
        self
    }

    /// Whether this binary knows all the keys of this config.
    pub(crate) fn is_known_to(&self, place: &Place) -> anyhow::Result<bool> {
        let folder = place.folder("check")?;
        let config = folder.join("archway.toml");
        let addresses = (free_address()?, free_address()?);
        std::fs::write(&config, self.text(&folder, addresses))?;
        let mut command = command(place, &folder);
        let output = command.args(["config", "check"]).arg(&config).output()?;
        Ok(output.status.success())
    }

    /// Starts it with an empty cache.
    pub(crate) fn start(&self, place: &Place) -> anyhow::Result<Server> {
        self.start_in(place, &place.folder("archway")?)
    }

    /// The same, in a folder of its own, so that another one can run beside it.
    pub(crate) fn start_beside(&self, place: &Place) -> anyhow::Result<Server> {
        self.start_in(place, &place.folder("archway-beside")?)
    }

    /// The same, after a first client has pulled the manifest: layers are asked for only then, by
    /// every client.
    pub(crate) fn start_with_manifest(&self, place: &Place) -> anyhow::Result<Server> {
        // What earlier runs wrote is not to be paid for by this one.
        rustix::fs::sync();
        let server = self.start(place)?;
        let manifest = &place.content.manifest;
        let [_, by_tag] = place.content.manifest_paths();
        pull::verify(server.address, &by_tag, manifest)?;
        Ok(server)
    }

    /// Starts it with the cache that lies in `folder`, if there is one.
    pub(crate) fn start_in(&self, place: &Place, folder: &Path) -> anyhow::Result<Server> {
        let config = folder.join("archway.toml");
        let addresses = (free_address()?, free_address()?);
        std::fs::write(&config, self.text(folder, addresses))?;
        let mut command = command(place, folder);
        command.args(["serve", "--config"]).arg(&config);
        let log = folder.join("archway.log");
        // On a TLS listener the plain request gets a plain answer, or none: the admin listener
        // always answers.
        let (address, path) = match self.tls {
            None => (addresses.0, "/v2/"),
            Some(_) => (addresses.1, "/readyz"),
        };
        let server = Server::start(command, &place.cores, address, path, &log);
        let mut server = server.context("archway")?;
        server.address = addresses.0;
        Ok(server)
    }

    fn text(
        &self,
        folder: &Path,
        (registry, admin): (std::net::SocketAddr, std::net::SocketAddr),
    ) -> String {
        let mut text = format!(
            "default_upstream = \"{UPSTREAM}\"\n\
             [[listener]]\naddress = \"{registry}\"\n"
        );
        if let Some(Certificate { cert, key }) = &self.tls {
            let _ = writeln!(
                text,
                "tls = {{ cert = \"{}\", key = \"{}\" }}",
                cert.display(),
                key.display()
            );
        }
        let _ = write!(
            text,
            "[server]\n{}[admin]\naddress = \"{admin}\"\n\
             [log]\nformat = \"json\"\naccess = true\n\
             [cache]\npath = \"{}\"\n\
             [upstream.\"{UPSTREAM}\"]\nendpoints = [\"{}\"]\ntag_ttl = \"1h\"\n{}",
            self.server_lines,
            cache(folder).display(),
            self.origin,
            self.lines
        );
        text
    }
}

/// Where the cache lies in the folder of a server.
pub(crate) fn cache(folder: &Path) -> PathBuf {
    folder.join("cache")
}

fn command(place: &Place, folder: &Path) -> Command {
    let mut command = Command::new(&place.archway);
    command
        .env_clear()
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .current_dir(folder);
    command
}
