//! The table of `docs/clients.md`: every client against every answer that a tag can have.
//!
//! A client is set up with what the page shows, told to ask for a platform or for none, and pulls a
//! tag that is answered by an index or, where Archway was given a hint, by one of its children.
//! Each pull is made once more straight from the upstream, of a tag that is there what Archway's
//! answer is here. Both must end alike; how they end is a cell, and [`page`] holds it against what
//! is written. `UPDATE_CLIENTS=1` writes it instead.

mod containerd;
mod copiers;
mod dockerd;
mod end;
mod page;
mod podman;

use crate::cell::Failed;
use crate::images::{Image, Kind, TAG};
use crate::matrix::{Recorded, foreign, native};
use crate::setup::Setup;
use crate::standin::{self, Standin};
use end::End;
use page::Snippet;

/// How a client names the platform it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// Not at all: it takes its own.
    Missing,
    /// `--platform linux/arm64`
    Platform,
    /// `--override-arch arm64`
    Architecture,
}

/// What a client does when it is told of no platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Untold {
    TakesItsOwn,
    TakesAll,
}

/// A line, or a few, of the table.
#[derive(Debug)]
struct About {
    /// As the table's first column has it.
    name: &'static str,
    flag: Flag,
    untold: Untold,
}

/// All of the table, in its order.
const ALL: [&About; 12] = [
    &containerd::CRI_1_6,
    &containerd::CRI_2,
    &containerd::CTR_1_6,
    &containerd::CTR_2,
    &dockerd::BY_MIRROR,
    &dockerd::BY_NAME,
    &podman::PODMAN,
    &podman::BUILDAH,
    &podman::SKOPEO,
    &copiers::CRANE,
    &copiers::ORAS,
    &copiers::REGCTL_0_11,
];

/// Which way a pull takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Straight from the upstream, with its credentials.
    Upstream,
    /// Through Archway, set up with what the page shows.
    Archway,
    /// Through Archway, set up with what the page shows for a machine of this platform.
    Hinted(&'static str),
}

/// One pull, always into an empty store.
#[derive(Debug)]
struct Pull {
    image: &'static Image,
    tag: String,
    way: Way,
    platform: Option<&'static str>,
}

impl Pull {
    /// The image as it is called below these repositories.
    fn below(&self, repositories: &str) -> String {
        format!("{repositories}/{}:{}", self.image.name, self.tag)
    }

    /// What the page shows under this name, and beside it for a hint, with this Archway's address;
    /// nothing where the pull goes straight to the upstream.
    fn shown(&self, name: &str, setup: &Setup) -> Option<String> {
        let snippet = match self.way {
            Way::Upstream => return None,
            Way::Archway => Snippet::named(name),
            Way::Hinted(platform) => Snippet::named(&format!("{name}, hint")).hinting(platform),
        };
        Some(snippet.at(setup.archway.address()).text())
    }
}

/// A client in a cell of its own, in front of its own Archway.
trait Client {
    fn pull(&self, pull: &Pull) -> Result<Recorded, Failed>;
}

/// What a tag is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Index,
    /// By an explicit hint: the manifest of the platform that the client wants.
    RightChild,
    /// By an explicit hint: the manifest of another.
    WrongChild,
    IndexWithoutIt,
}

impl Answer {
    /// The columns of the table.
    const ALL: [Self; 4] = [
        Self::Index,
        Self::RightChild,
        Self::WrongChild,
        Self::IndexWithoutIt,
    ];

    /// The pull that meets it, and the one straight from the upstream that must end alike.
    fn pulls(self, platform: Option<&'static str>) -> [Pull; 2] {
        let wanted = platform.unwrap_or(native());
        let pull = |image, tag: &str, way| Pull {
            image,
            tag: tag.to_owned(),
            way,
            platform,
        };
        let hinted = |hint: &'static str| {
            let own_tag = format!("{TAG}-{}", architecture(hint));
            [
                pull(image(), TAG, Way::Hinted(hint)),
                pull(image(), &own_tag, Way::Upstream),
            ]
        };
        let unhinted = |image| [Way::Archway, Way::Upstream].map(|way| pull(image, TAG, way));
        match self {
            Self::Index => unhinted(image()),
            Self::RightChild => hinted(wanted),
            Self::WrongChild => hinted(other_than(wanted)),
            Self::IndexWithoutIt => unhinted(image_without(wanted)),
        }
    }

    /// What must hold of every client.
    fn assert_rules(self, about: &About, platform: Option<&str>, end: &End) {
        let wanted = platform.unwrap_or(native());
        let what = format!("{}, told {platform:?}, {self:?}: {end:?}", about.name);
        let takes_all = platform.is_none() && about.untold == Untold::TakesAll;
        match self {
            Self::Index if takes_all => assert!(end.is_whole(image()), "{what}"),
            Self::Index => assert!(end.is_of(architecture(wanted)), "{what}"),
            Self::RightChild => assert!(end.is_child(architecture(wanted)), "{what}"),
            Self::WrongChild => {
                let other = architecture(other_than(wanted));
                let is_hinted = end.is_child(other);
                assert!(is_hinted || end.has_failed(), "{what}");
            }
            Self::IndexWithoutIt if takes_all => {
                assert!(end.is_whole(image_without(wanted)), "{what}");
            }
            Self::IndexWithoutIt => assert!(end.has_no_layers(), "{what}"),
        }
    }
}

/// Holds a client against the rules, and against its lines of the table.
fn check(about: &About, client: &dyn Client) {
    let mut told = vec![None];
    if about.flag != Flag::Missing {
        told.extend([Some(native()), Some(foreign())]);
    }
    let lines = told.into_iter().map(|platform| {
        assert_hint_for_what_is_not_there_fails(about, client, platform);
        let cells = Answer::ALL.map(|answer| end_of(about, client, answer, platform).to_string());
        (platform, cells)
    });
    page::assert_has(about, &lines.collect::<Vec<_>>());
}

fn end_of(
    about: &About,
    client: &dyn Client,
    answer: Answer,
    platform: Option<&'static str>,
) -> End {
    let [through, straight] = answer
        .pulls(platform)
        .map(|pull| End::of(client.pull(&pull), pull.image));
    assert!(
        through.is_like(&straight),
        "{}, told {platform:?}, {answer:?}:\n{through:?} through Archway,\n{straight:?} straight from the upstream",
        about.name
    );
    answer.assert_rules(about, platform, &through);
    through
}

/// No client is given another platform than the one that is hinted.
fn assert_hint_for_what_is_not_there_fails(
    about: &About,
    client: &dyn Client,
    platform: Option<&'static str>,
) {
    let hint = platform.unwrap_or(native());
    let pull = Pull {
        image: image_without(hint),
        tag: TAG.to_owned(),
        way: Way::Hinted(hint),
        platform,
    };
    let end = client.pull(&pull);
    assert!(end.is_err(), "{}, {pull:?}: {end:?}", about.name);
}

fn standin() -> &'static Standin {
    standin::shared()
}

/// The image that has all platforms.
fn image() -> &'static Image {
    let mut all = standin().images.iter();
    all.find(|image| image.kind == Kind::Oci).expect("one")
}

/// An image whose index lists only another platform.
fn image_without(platform: &str) -> &'static Image {
    let mut all = standin().single.iter();
    all.find(|image| !image.children.contains_key(architecture(platform)))
        .expect("one for each")
}

fn architecture(platform: &str) -> &str {
    platform.rsplit('/').next().unwrap_or_default()
}

fn other_than(platform: &str) -> &'static str {
    if platform == native() {
        foreign()
    } else {
        native()
    }
}
