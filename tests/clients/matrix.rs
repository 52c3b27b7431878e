//! What every client pulls, and what is demanded of it.
//!
//! Each image is pulled by tag, by the digest of its index and by the digest of one platform's
//! manifest, for this machine's platform and for a foreign one. First straight from the upstream,
//! then through Archway, then through Archway again with the upstream stopped; always into an empty
//! store. What the client has recorded must be the same each time, and be of the platform that was
//! asked for.

use std::collections::BTreeSet;
use std::env::consts;
use std::fmt;

use manifest_model::Digest;
use serde_json::Value;

use crate::images::{Image, TAG};
use crate::setup::Setup;

/// Which way a pull takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// Straight from the upstream, with its credentials.
    Upstream,
    /// Through Archway, without any.
    Archway,
}

/// How an image is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Tag,
    IndexDigest,
    ChildDigest,
}

/// One pull.
pub(crate) struct Want {
    pub(crate) image: &'static Image,
    pub(crate) by: By,
    /// `linux/ARCHITECTURE`.
    pub(crate) platform: &'static str,
}

/// What a client says of an image once it has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// `DIGEST`, or `NAME@DIGEST` where the name is the same on both routes.
    pub(crate) digests: BTreeSet<String>,
    pub(crate) architecture: String,
}

impl fmt::Debug for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} by {:?} for {}",
            self.image.name, self.by, self.platform
        )
    }
}

impl Want {
    /// What follows the repository's name: `:TAG` or `@DIGEST`.
    pub(crate) fn suffix(&self) -> String {
        match self.by {
            By::Tag => format!(":{TAG}"),
            By::IndexDigest => format!("@{}", self.image.index),
            By::ChildDigest => format!("@{}", self.child()),
        }
    }

    /// `REPOSITORIES/IMAGE:TAG` or `REPOSITORIES/IMAGE@DIGEST`.
    pub(crate) fn reference(&self, repositories: &str) -> String {
        format!("{repositories}/{}{}", self.image.name, self.suffix())
    }

    pub(crate) fn architecture(&self) -> &'static str {
        self.platform.rsplit('/').next().unwrap_or_default()
    }

    /// The manifest of the platform asked for.
    pub(crate) fn child(&self) -> Digest {
        self.image.children[self.architecture()].manifest
    }

    pub(crate) fn is_native(&self) -> bool {
        self.platform == native()
    }
}

impl Recorded {
    pub(crate) fn of<const N: usize>(digests: [String; N], architecture: &str) -> Self {
        Self {
            digests: BTreeSet::from(digests),
            architecture: architecture.to_owned(),
        }
    }

    /// From what `docker image inspect` and `podman image inspect` say.
    pub(crate) fn inspected(image: &Value) -> Self {
        let digests = image["RepoDigests"].as_array().expect("a list").iter();
        Self {
            digests: digests
                .map(|digest| digest.as_str().expect("text").to_owned())
                .collect(),
            architecture: image["Architecture"].as_str().expect("text").to_owned(),
        }
    }

    /// Only the digests, for clients that record them under the name of the server they asked.
    pub(crate) fn without_names(self) -> Self {
        let digests = self
            .digests
            .iter()
            .map(|name| name.rsplit('@').next().unwrap_or(name).to_owned())
            .collect();
        Self { digests, ..self }
    }
}

/// The platform of this machine.
pub(crate) fn native() -> &'static str {
    match consts::ARCH {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        other => panic!("the test images have nothing for {other}"),
    }
}

/// One that is not this machine's.
pub(crate) fn foreign() -> &'static str {
    if native() == "linux/arm64" {
        "linux/amd64"
    } else {
        "linux/arm64"
    }
}

/// All pulls of the table above.
pub(crate) fn wants(images: &'static [Image]) -> Vec<Want> {
    let mut wants = Vec::new();
    for image in images {
        for platform in [native(), foreign()] {
            wants.extend([By::Tag, By::IndexDigest, By::ChildDigest].map(|by| Want {
                image,
                by,
                platform,
            }));
        }
    }
    wants
}

/// Holds a client against the rules of the module's head. `pull` starts from an empty store each
/// time.
pub(crate) fn check(
    setup: &mut Setup,
    wants: &[Want],
    pull: impl Fn(&Setup, Route, &Want) -> Recorded,
) {
    let straight: Vec<Recorded> = wants
        .iter()
        .map(|want| pull(setup, Route::Upstream, want))
        .collect();
    for (want, recorded) in wants.iter().zip(&straight) {
        assert_eq!(
            recorded.architecture,
            want.architecture(),
            "{want:?} straight from the upstream"
        );
        assert!(
            !recorded.digests.is_empty(),
            "{want:?} straight from the upstream recorded nothing"
        );
    }
    setup.with_upstream_running_then_stopped(|setup, upstream| {
        for (want, straight) in wants.iter().zip(&straight) {
            let through = pull(setup, Route::Archway, want);
            assert_eq!(
                &through, straight,
                "{want:?} through Archway, {upstream}; right: straight from it"
            );
        }
    });
}
