//! `archway client-config`: the files that lead clients to Archway.

mod node_commands;
pub(super) mod place;
mod taint;
mod watch;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use config::PUBLIC_REGISTRIES;
use manifest_model::Platform;
use node::{Authority, AuthorityError, Mirror, Registries, Settings, family::Family};
use protocol::host::{Host, HostError};

use self::node_commands::NodeCommand;
use super::output::{CommandOutput, Failure};

/// Print the configuration that leads a client to Archway, or apply it to this node
#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ClientConfig {
    #[command(subcommand)]
    action: Option<NodeCommand>,
    #[arg(
        help = "Kind of client",
        value_name = "FAMILY",
        required = true,
        value_parser = PossibleValuesParser::new(Family::ALL.map(Family::name)).try_map(|name| name.parse::<Family>())
    )]
    family: Option<Family>,
    #[command(flatten)]
    told: Told,
    /// Leave the registry itself out, where Archway does not answer
    #[arg(long)]
    no_fallback: bool,
    #[arg(
        help = "Directory to write the files into, in a tree as on the client; a file that differs is not replaced",
        short,
        long,
        value_name = "DIR"
    )]
    output: Option<PathBuf>,
}

/// What a client is told.
#[derive(Debug, Args)]
pub(crate) struct Told {
    #[arg(
        help = "Listener of Archway, as the client reaches it",
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:5000",
        value_parser = Mirror::parse
    )]
    server: Mirror,
    #[arg(
        help = "Registries whose images go through Archway, comma-separated hosts, or `all`",
        long,
        value_name = "HOSTS",
        default_value = "all",
        value_parser = registries
    )]
    registries: Registries,
    #[arg(
        help = "Platform that the client names to Archway, os/arch[/variant]; without one it takes an index and chooses",
        long
    )]
    platform: Option<Platform>,
    #[arg(
        help = "Certificate authority of the listener, in PEM, for a client that does not trust it anyway",
        long,
        value_name = "FILE"
    )]
    ca: Option<PathBuf>,
}

const HELP: &str = "\
One file is printed as it is, several with a comment that names each; where they go and what else
is to be done is on standard error. docs/nodes.md has a page for each family.

Exit codes: 0 printed or written; 2 the client has no setting for what was asked, or a file cannot
be written.

Examples:
  archway client-config containerd > /etc/containerd/certs.d/_default/hosts.toml
  archway client-config podman --server https://archway.example --registries docker.io,ghcr.io -o /
  archway client-config karpenter --server http://archway.internal:5000
  archway client-config apply containerd             # on the node itself: see its own help";

/// Why a client's configuration could not be made.
#[derive(Debug, thiserror::Error)]
enum ClientConfigError {
    #[error("cannot read the certificate authority {}", path.display())]
    ReadCa { path: PathBuf, source: io::Error },
    #[error("the certificate authority {} {source}", path.display())]
    Ca {
        path: PathBuf,
        source: AuthorityError,
    },
}

impl ClientConfig {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let Some(family) = self.family else {
            return match &self.action {
                Some(action) => action.run(),
                None => Ok(CommandOutput::success(String::new())),
            };
        };
        let settings = Settings {
            fallback: !self.no_fallback,
            ..self.told.settings()?
        };
        let files = (family.files(&settings)).map_err(|error| Failure::unusable(&error))?;
        match &self.output {
            None => Ok(CommandOutput::success(files.printed()).with_notes(files.notes_printed())),
            Some(folder) => {
                let written = files.write_below(folder);
                let written = written.map_err(|error| Failure::unusable(&error))?;
                let lines = written.iter().map(|path| format!("{}\n", path.display()));
                Ok(CommandOutput::success(lines.collect()).with_notes(files.advice()))
            }
        }
    }
}

impl Told {
    /// Reads the certificate authority, and with it all that a client is told.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let authority = match &self.ca {
            Some(path) => Some(authority(path).map_err(|error| Failure::unusable(&error))?),
            None => None,
        };
        Ok(Settings {
            mirror: self.server.clone(),
            registries: self.registries.clone(),
            platform: self.platform.clone(),
            authority,
            fallback: true,
        })
    }
}

fn authority(path: &Path) -> Result<Authority, ClientConfigError> {
    let path = || path.to_owned();
    let text = fs::read_to_string(path()).map_err(|source| ClientConfigError::ReadCa {
        path: path(),
        source,
    })?;
    Authority::parse(&text).map_err(|source| ClientConfigError::Ca {
        path: path(),
        source,
    })
}

fn registries(text: &str) -> Result<Registries, HostError> {
    let hosts = |names: &[&str]| -> Result<Vec<Host>, HostError> {
        let hosts = names.iter().map(|name| name.trim().parse::<Host>());
        hosts.map(|host| Ok(host?.canonical())).collect()
    };
    if text == "all" {
        return Ok(Registries::All(hosts(&PUBLIC_REGISTRIES)?));
    }
    let names: Vec<&str> = text.split(',').collect();
    Ok(Registries::Named(hosts(&names)?))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command, output::Exit};

    fn run(arguments: &[&str]) -> CommandOutput {
        let all = ["archway", "client-config"].iter().chain(arguments);
        match Cli::try_parse_from(all).unwrap().command {
            Command::ClientConfig(command) => command.run().unwrap_or_else(CommandOutput::from),
            _ => panic!("`client-config` was asked for"),
        }
    }

    #[test]
    fn one_file_is_printed_alone_and_its_place_is_a_note() {
        let output = run(&["docker"]);
        let expected = "{\n  \"registry-mirrors\": [\"http://127.0.0.1:5000\"]\n}\n";
        assert_eq!(
            (output.out.as_str(), output.exit),
            (expected, Exit::Success)
        );
        assert!(
            output
                .err
                .starts_with("note: this is /etc/docker/daemon.json\n")
        );
    }

    #[test]
    fn several_files_are_printed_with_their_paths() {
        let output = run(&["containerd", "--registries", "docker.io,ghcr.io"]);
        let paths: Vec<_> = (output.out.lines())
            .filter(|line| line.starts_with("# /"))
            .collect();
        let expected = [
            "# /etc/containerd/certs.d/docker.io/hosts.toml",
            "# /etc/containerd/certs.d/ghcr.io/hosts.toml",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_written_tree_is_written_again_only_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let file = folder
            .path()
            .join("etc/containerd/certs.d/_default/hosts.toml");
        for _ in 0..2 {
            let output = run(&["containerd", "-o", place]);
            assert_eq!(output.exit, Exit::Success, "{}", output.err);
            assert_eq!(output.out, format!("{}\n", file.display()));
        }
        let other = run(&["containerd", "--platform", "linux/arm64", "-o", place]);
        assert_eq!(other.exit, Exit::Unusable);
        assert!(
            other.err.contains("is there already and differs"),
            "{}",
            other.err
        );
        assert!(!fs::read_to_string(file).unwrap().contains("arm64"));
    }

    #[test]
    fn a_certificate_authority_that_is_none_is_named_with_its_fault() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let output = run(&["containerd", "--ca", path]);
        assert_eq!(output.exit, Exit::Unusable);
        let expected = format!("error: the certificate authority {path} has no `-----BEGIN");
        assert!(output.err.starts_with(&expected), "{}", output.err);
    }

    #[test]
    fn what_a_client_cannot_be_told_ends_with_2() {
        let output = run(&["docker", "--platform", "linux/arm64"]);
        assert_eq!((output.exit, output.out.as_str()), (Exit::Unusable, ""));
        let expected = "error: docker cannot be told a platform: give Archway a [[listener]]";
        assert!(output.err.starts_with(expected), "{}", output.err);
    }
}
