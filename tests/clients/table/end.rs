//! How a pull ended, for the rules and as a cell of the table.

use std::collections::BTreeSet;
use std::fmt;

use crate::cell::Failed;
use crate::images::Image;
use crate::matrix::Recorded;

/// See the module's head.
#[derive(Debug)]
pub(super) enum End {
    Has(Held),
    Failed(Failed),
}

/// What a client has that says it has the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Those of which it has the layers.
    architectures: BTreeSet<String>,
    /// What it has recorded as the image's digest.
    recorded: BTreeSet<Root>,
}

/// What a recorded digest is the digest of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Root {
    Index,
    /// Of this architecture.
    Child(&'static str),
}

/// How clients say why they failed, in words that are the same at every pull.
const REASONS: [&str; 8] = [
    "no match for platform in manifest",
    "no matching manifest for linux/",
    "no image found in image index for architecture",
    "no child with platform",
    "no matching manifest was found in the manifest list",
    "platform in manifest does not match target platform",
    "platform not found",
    // dockerd has left its mirror.
    r#"Get "https://registry-1.docker.io/v2/""#,
];

impl End {
    pub(super) fn of(pulled: Result<Recorded, Failed>, image: &'static Image) -> Self {
        let recorded = match pulled {
            Ok(recorded) => recorded.without_names(),
            Err(failed) => return Self::Failed(failed),
        };
        let names = recorded.architecture.split(" and ");
        let digests = recorded.digests.iter();
        Self::Has(Held {
            architectures: names
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            recorded: digests.map(|digest| Root::of(digest, image)).collect(),
        })
    }

    /// Whether a client with this end is as well off as with the other. Why it failed may differ:
    /// it may have asked another registry in between.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Has(held), Self::Has(others)) => held == others,
            (Self::Failed(_), Self::Failed(_)) => true,
            _ => false,
        }
    }

    /// Whether it is this platform's image, by whatever digest.
    pub(super) fn is_of(&self, architecture: &str) -> bool {
        matches!(self, Self::Has(held) if held.is_of(architecture) && !held.recorded.is_empty())
    }

    /// Whether it is this platform's image, and its manifest is what was recorded.
    pub(super) fn is_child(&self, architecture: &str) -> bool {
        let is_it = |root: &Root| matches!(root, Root::Child(of) if *of == architecture);
        matches!(self, Self::Has(held) if held.is_of(architecture)
            && !held.recorded.is_empty() && held.recorded.iter().all(is_it))
    }

    /// Whether it is everything the index lists.
    pub(super) fn is_whole(&self, image: &Image) -> bool {
        let all = image.children.keys().map(|name| (*name).to_owned());
        matches!(self, Self::Has(held) if held.architectures == all.collect()
            && held.recorded == BTreeSet::from([Root::Index]))
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    pub(super) fn has_no_layers(&self) -> bool {
        match self {
            Self::Has(held) => held.architectures.is_empty(),
            Self::Failed(_) => true,
        }
    }
}

impl Held {
    fn is_of(&self, architecture: &str) -> bool {
        self.architectures == BTreeSet::from([architecture.to_owned()])
    }
}

impl Root {
    fn of(digest: &str, image: &'static Image) -> Self {
        let mut children = image.children.iter();
        if digest == image.index.to_string() {
            return Self::Index;
        }
        let child = children.find(|(_, child)| child.manifest.to_string() == digest);
        let (architecture, _) = child.unwrap_or_else(|| panic!("{digest} is not of {image:?}"));
        Self::Child(architecture)
    }
}

/// As the cell has it: "amd64; index", or "fails:" and why.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = match self {
            Self::Has(held) => held,
            Self::Failed(failed) => return write!(f, "fails: `{}`", reason(failed)),
        };
        match held.architectures.len() {
            0 => f.write_str("**no layers**")?,
            _ => f.write_str(&joined(held.architectures.iter().map(String::as_str)))?,
        }
        let recorded = held.recorded.iter().map(|root| match root {
            Root::Index => "index",
            Root::Child(_) => "child",
        });
        write!(f, "; {}", joined(recorded))
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

fn reason(failed: &Failed) -> &'static str {
    let mut known = REASONS.into_iter();
    known
        .find(|words| failed.0.contains(words))
        .unwrap_or_else(|| panic!("a way to fail that has no words yet: {failed:?}"))
}
