//! What `config.toml` says about registries, as the version that runs reads it: with its imports,
//! its old spellings and its defaults.

mod imports;
mod registry;

use std::{
    collections::{BTreeSet, VecDeque},
    fmt, io,
};

use toml_edit::Document;

use self::registry::Registry;
use super::{Root, Version, toml_place};

/// Where containerd looks for its configuration.
pub const CONFIG_TOML: &str = "/etc/containerd/config.toml";

/// Imports of imports: more are a circle, or nobody's idea of a configuration.
const MAX_FILES: usize = 100;
/// The plugin's table in the second format, and in the third.
const CRI_TWO: &str = "io.containerd.grpc.v1.cri";
const CRI_THREE: &str = "io.containerd.cri.v1.images";

/// What is in force for pulls of the kubelet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CriConfig {
    /// The text of `config_path`; empty means that no `hosts.toml` is read.
    pub(crate) path: String,
    /// Where that comes from.
    pub(crate) origin: Origin,
    /// What reads it.
    pub(crate) pull_by: PullBy,
    /// Whether mirrors are configured in `config.toml` itself, the old way.
    pub(crate) has_inline_mirrors: bool,
    /// The `version` that a new table in `config.toml` is written in.
    pub(crate) format: Format,
    /// Whether there is no `config.toml` yet.
    pub(crate) is_new: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// containerd's own default.
    Default,
    /// This file.
    File(String),
}

/// What carries out a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullBy {
    /// The CRI plugin's own client, which splits `config_path` at its colons. Why it is not the
    /// transfer service.
    Client(&'static str),
    /// The transfer service, which takes `config_path` for one directory.
    Transfer,
}

/// The spelling of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// No `version`, or `version = 1`.
    One,
    /// `version = 2`.
    Two,
    /// `version = 3`, and later.
    Three,
}

/// Why `config.toml` does not tell what is in force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigTomlError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file is not TOML, or has a value of another type.
    #[error("{path} is broken, so containerd cannot start with it: {message}")]
    Invalid {
        /// Which.
        path: String,
        /// What is wrong, with its place.
        message: String,
    },
    /// The format is too new for the version that runs.
    #[error("{path} has `version = {format}`, which containerd {version} does not read")]
    TooNew {
        /// Which.
        path: String,
        /// Its `version`.
        format: i64,
        /// The version that runs.
        version: Version,
    },
    /// The answer depends on the version, which nobody told.
    #[error("`config_path` is not set, and what that means depends on containerd's version")]
    VersionNeeded,
}

impl CriConfig {
    /// Reads `config.toml` at `path` of the node and what it imports. Without a version the answer
    /// is given only where it does not matter.
    pub fn read(
        root: &Root,
        path: &str,
        version: Option<Version>,
    ) -> Result<Self, ConfigTomlError> {
        let mut all = Registry::default();
        let mut format = None;
        let (mut seen, mut queue) = (BTreeSet::new(), VecDeque::from([path.to_owned()]));
        while let Some(path) = queue.pop_front() {
            if seen.len() >= MAX_FILES || !seen.insert(path.clone()) {
                continue;
            }
            let read = |source| ConfigTomlError::Read {
                path: path.clone(),
                source,
            };
            let Some(text) = root.read(&path).map_err(read)? else {
                if seen.len() == 1 {
                    // Without a file containerd runs with its defaults.
                    break;
                }
                return Err(read(io::ErrorKind::NotFound.into()));
            };
            let file = File::parse(&path, &text, version)?;
            check_format(&file, version)?;
            format.get_or_insert(file.format);
            if let Some(registry) = file.registry {
                all.merge(registry, version);
            }
            for import in &file.imports {
                queue.extend(imports::resolve(root, &path, import).map_err(read)?);
            }
        }
        all.in_force(version, format)
    }

    /// The directories, as whoever pulls sees them.
    pub(crate) fn roots(&self) -> Vec<&str> {
        match self.pull_by {
            PullBy::Client(_) => self.directories(),
            PullBy::Transfer if self.path.is_empty() => Vec::new(),
            PullBy::Transfer => vec![&self.path],
        }
    }

    /// The directories that are meant.
    pub(crate) fn directories(&self) -> Vec<&str> {
        self.path
            .split(':')
            .filter(|path| !path.is_empty())
            .collect()
    }

    /// Whether several directories are meant and one is read, which is none of them.
    pub(crate) fn is_misread(&self) -> bool {
        self.pull_by == PullBy::Transfer && self.path.contains(':')
    }

    /// The two lines of `config.toml` that make containerd read `hosts.toml` below `directory`, behind
    /// the one that a new file begins with: without it, it is of the first format.
    pub(crate) fn lines_for(&self, directory: &str) -> String {
        let (plugin, version) = match self.format {
            Format::One => ("cri", 1),
            Format::Two => (CRI_TWO, 2),
            Format::Three => (CRI_THREE, 3),
        };
        let begin = if self.is_new {
            format!("version = {version}\n")
        } else {
            String::new()
        };
        format!("{begin}[plugins.\"{plugin}\".registry]\n  config_path = \"{directory}\"\n")
    }
}

impl Format {
    fn of(version: i64) -> Self {
        match version {
            3.. => Self::Three,
            2 => Self::Two,
            _ => Self::One,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("containerd's default"),
            Self::File(path) => formatter.write_str(path),
        }
    }
}

/// One file, as far as it is about pulls.
struct File {
    path: String,
    version: i64,
    format: Format,
    registry: Option<Registry>,
    imports: Vec<String>,
}

impl File {
    fn parse(path: &str, text: &str, running: Option<Version>) -> Result<Self, ConfigTomlError> {
        let invalid = |message: String| ConfigTomlError::Invalid {
            path: path.to_owned(),
            message,
        };
        let document = Document::parse(text).map_err(|error| {
            let (line, message) = toml_place::of(text, &error);
            invalid(format!("line {line}: {message}"))
        })?;
        let root = document.as_table();
        let version = root.get("version").and_then(toml_edit::Item::as_integer);
        let version = version.unwrap_or(1);
        let imports = root.get("imports").and_then(|item| item.as_array());
        let imports = imports
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str());
        Ok(Self {
            path: path.to_owned(),
            version,
            format: Format::of(version),
            registry: Registry::of(root, Format::of(version), path, running),
            imports: imports.map(str::to_owned).collect(),
        })
    }
}

fn check_format(file: &File, version: Option<Version>) -> Result<(), ConfigTomlError> {
    match version {
        Some(version) if file.format == Format::Three && !version.is_two() => {
            Err(ConfigTomlError::TooNew {
                path: file.path.clone(),
                format: file.version,
                version,
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
