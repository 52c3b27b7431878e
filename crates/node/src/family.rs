//! The kinds of clients, and the files that lead each of them to Archway.
//!
//! A family has a file of its own here and a line in [`Family::ALL`]. What a client cannot be told
//! is an error that says what to do instead, never a file that says less than was asked.

mod bottlerocket;
mod buildkit;
pub(crate) mod containerd;
mod docker;
mod eks_anywhere;
mod gke;
mod image_library;
mod kaniko;
mod kind;
mod rancher;
mod talos;
mod tree;
mod user_data;

pub use self::tree::TreeError;

use std::{fmt, str::FromStr};

use manifest_model::Platform;

use crate::Settings;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// containerd, of a node or by itself.
    Containerd,
    /// dockerd.
    Docker,
    /// podman, buildah and skopeo.
    Podman,
    /// CRI-O.
    Crio,
    /// `BuildKit`.
    Buildkit,
    /// kaniko.
    Kaniko,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Nodes of Amazon Linux 2023 in EKS.
    Nodeadm,
    /// Nodes that Karpenter makes.
    Karpenter,
    /// Bottlerocket.
    Bottlerocket,
    /// EKS Anywhere.
    EksAnywhere,
    /// GKE.
    Gke,
    /// Talos.
    Talos,
    /// kind.
    Kind,
}

/// A file of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFile {
    /// Where it goes: an absolute path on the client, or the name of a file for a program.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The files of a client, and what else is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// At least one.
    pub files: Vec<ClientFile>,
    /// A sentence each.
    pub notes: Vec<String>,
}

/// A client cannot be told what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FamilyError {
    /// There is no such family.
    #[error("no client is called `{0}`; there are {names}", names = Family::ALL.map(Family::name).join(", "))]
    Unknown(String),
    /// It has no setting for this.
    #[error("{family} cannot be told {what}: {instead}")]
    Unsupported {
        /// Who.
        family: Family,
        /// What was asked.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

impl Family {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 15] = [
        Self::Containerd,
        Self::Docker,
        Self::Podman,
        Self::Crio,
        Self::Buildkit,
        Self::Kaniko,
        Self::K3s,
        Self::Rke2,
        Self::Nodeadm,
        Self::Karpenter,
        Self::Bottlerocket,
        Self::EksAnywhere,
        Self::Gke,
        Self::Talos,
        Self::Kind,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Crio => "crio",
            Self::Buildkit => "buildkit",
            Self::Kaniko => "kaniko",
            Self::K3s => "k3s",
            Self::Rke2 => "rke2",
            Self::Nodeadm => "nodeadm",
            Self::Karpenter => "karpenter",
            Self::Bottlerocket => "bottlerocket",
            Self::EksAnywhere => "eks-anywhere",
            Self::Gke => "gke",
            Self::Talos => "talos",
            Self::Kind => "kind",
        }
    }

    /// The files that lead such a client to Archway.
    pub fn files(self, settings: &Settings) -> Result<ClientFiles, FamilyError> {
        match self {
            Self::Containerd => Ok(containerd::files(settings)),
            Self::Docker => docker::files(settings),
            Self::Podman => Ok(image_library::podman(settings)),
            Self::Crio => Ok(image_library::crio(settings)),
            Self::Buildkit => buildkit::files(settings),
            Self::Kaniko => Ok(kaniko::files(settings)),
            Self::K3s => Ok(rancher::files("k3s", settings)),
            Self::Rke2 => Ok(rancher::files("rke2", settings)),
            Self::Nodeadm => Ok(user_data::nodeadm(settings)),
            Self::Karpenter => Ok(user_data::karpenter(settings)),
            Self::Bottlerocket => bottlerocket::files(settings),
            Self::EksAnywhere => eks_anywhere::files(settings),
            Self::Gke => gke::files(settings),
            Self::Talos => Ok(talos::files(settings)),
            Self::Kind => Ok(kind::files(settings)),
        }
    }

    fn cannot(self, what: &'static str, instead: &'static str) -> FamilyError {
        FamilyError::Unsupported {
            family: self,
            what,
            instead,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = FamilyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::ALL.into_iter();
        all.find(|family| family.name() == text)
            .ok_or_else(|| FamilyError::Unknown(text.to_owned()))
    }
}

impl ClientFiles {
    fn one(path: impl Into<String>, text: String) -> Self {
        let mut files = Self::default();
        files.add(path, text);
        files
    }

    fn add(&mut self, path: impl Into<String>, text: String) {
        let path = path.into();
        self.files.push(ClientFile { path, text });
    }

    fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

const NO_PLATFORM: &str = "a platform";
const ITS_OWN_LISTENER: &str = "give Archway a [[listener]] with `platform` for such clients, and name that listener by --server";
const NO_WAY_BACK: &str = "not to fall back";

/// `/platform/linux-arm64`, or nothing: what a client puts before the rest of a path.
fn platform_path(platform: Option<&Platform>) -> String {
    platform.map_or_else(String::new, |platform| {
        format!("/platform/{}", platform.to_string().replace('/', "-"))
    })
}

/// The place of Archway for a registry, as a client writes it that has no other way to name the
/// registry: `archway.example:5000[/platform/linux-arm64]/docker.io`.
fn location(settings: &Settings, registry: &str) -> String {
    let platform = platform_path(settings.platform.as_ref());
    format!("{}{platform}/{registry}", settings.mirror.host())
}

/// A list in quotes that JSON, TOML and YAML agree on.
fn quoted_list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| format!("\"{word}\""))
        .collect();
    words.join(", ")
}

#[cfg(test)]
mod tests;
