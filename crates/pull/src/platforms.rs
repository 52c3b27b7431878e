//! Whether a tag that is an index is answered with one of its children, and with which.
//!
//! The mode of the upstream decides whether a hint may replace the index; `manifest_model` chooses
//! the child as containerd would. `docs/clients.md` shows how each client handles either answer.

use std::sync::Arc;

use cache::ReadBy;
use config::Resolve;
use futures_util::TryStreamExt;
use manifest_model::{
    Choice, Descriptor, Digest, ImageConfig, MAX_INDEX_DEPTH, Manifest, Matcher, Platform,
    Reference, offered,
};
use moka::sync::Cache;

use crate::{
    PullError, Repository, Substitution,
    answer::Client,
    blobs::Blobs,
    hint::{Hint, PlatformRequest, Source},
    manifests::Manifests,
};

/// Whether an index is answered with a child, by the upstream's mode, the client's hint and what
/// the client can read.
///
/// A client that takes no index gets a child in every mode: of the hint's platform, else of the
/// default one. A client that takes indexes gets a child only where the mode lets the hint's source
/// decide.
pub fn choose_substitution(
    mode: Resolve,
    hint: Option<&Hint>,
    takes_index: bool,
    default: &Platform,
) -> Option<Substitution> {
    let (source, platform) = match hint {
        Some(Hint {
            wish: PlatformRequest::All,
            ..
        }) => return None,
        Some(Hint {
            source,
            wish: PlatformRequest::Platform(platform),
        }) => (*source, platform),
        None => (Source::Default, default),
    };
    let decides = match mode {
        Resolve::Needed => false,
        Resolve::Explicit => source.is_explicit(),
        Resolve::Always => source != Source::Default,
    };
    (decides || !takes_index).then(|| Substitution {
        platform: platform.clone(),
        source,
    })
}

/// The same for what `client` has asked for and found. A digest is answered with its own bytes, and a
/// list of referrers is for no platform.
pub(super) fn substitution_for(
    mode: Resolve,
    repository: &Repository,
    reference: &Reference,
    found: &Manifest,
    client: &Client<'_>,
) -> Option<Substitution> {
    let Reference::Tag(tag) = reference else {
        return None;
    };
    if !found.is_index() || tag.is_of_referrers() {
        return None;
    }
    let default = repository.upstream.config().platform_of(&repository.name);
    let default = default.unwrap_or(client.default_platform);
    choose_substitution(mode, client.hint, client.takes_index, default)
}

/// What goes out to `client` for a child that was looked for. Without one, an index for no platform, as
/// one of artifacts, goes out whole, but to nobody who takes no index.
pub(super) fn for_client(
    child: Result<Option<Manifest>, PullError>,
    wanted: &Platform,
    client: &Client<'_>,
) -> Result<Option<Manifest>, PullError> {
    match child {
        Ok(None) if !client.takes_index => Err(nothing_fits(wanted, Vec::new())),
        child => child,
    }
}

fn nothing_fits(wanted: &Platform, offered: Vec<Platform>) -> PullError {
    PullError::NothingFits {
        wanted: wanted.clone(),
        offered,
    }
}

/// What there is where no entry of `current` fits, an index below `index` or that itself: no child where
/// only the client may be able to read one, or where both are for no platform.
pub(super) fn nothing_in(
    index: &Manifest,
    current: &Manifest,
    wanted: &Platform,
) -> Result<Option<Manifest>, PullError> {
    let indexes = [index, current];
    if indexes.iter().any(|index| index.unreadable() > 0) {
        return Ok(None);
    }
    let all = indexes.map(|index| offered(index.entries()));
    match all.into_iter().find(|offered| !offered.is_empty()) {
        Some(offered) => Err(nothing_fits(wanted, offered)),
        None => Ok(None),
    }
}

/// Looks below indexes, and into image configs where an index names no platform.
#[derive(Debug)]
pub(super) struct Platforms {
    manifests: Arc<Manifests>,
    blobs: Arc<Blobs>,
    choices: Choices,
}

impl Platforms {
    pub(super) fn new(manifests: Arc<Manifests>, blobs: Arc<Blobs>) -> Self {
        Self {
            manifests,
            blobs,
            choices: Choices::new(),
        }
    }

    /// The child of `index` for `wanted`, as containerd would choose it. Nested indexes are
    /// followed; an entry without a platform is judged by its image's config.
    ///
    /// `None` where the index is for no platform at all, as one of artifacts, and where the child may
    /// be an entry that only the client can read.
    pub(super) async fn child(
        &self,
        repository: &Repository,
        index: &Manifest,
        wanted: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        match self.choices.of(index, wanted) {
            Some(Chosen::Child(child)) => {
                let child = self.manifests.get(repository, &child).await?;
                return Ok(Some(child.manifest));
            }
            Some(Chosen::Whole) => return Ok(None),
            Some(Chosen::Nothing(offered)) => {
                return Err(nothing_fits(wanted, offered.to_vec()));
            }
            None => {}
        }
        let outcome = self.choose(repository, index, wanted).await;
        self.choices.note(index, wanted, &outcome);
        outcome
    }

    async fn choose(
        &self,
        repository: &Repository,
        index: &Manifest,
        wanted: &Platform,
    ) -> Result<Option<Manifest>, PullError> {
        let matcher = Matcher::new(wanted);
        if index.is_index_of_artifacts() {
            return Ok(None);
        }
        let mut current = index.clone();
        for _ in 0..=MAX_INDEX_DEPTH {
            let (entry, is_named) = match current.choice(&matcher)? {
                Choice::Manifest(entry) => (entry, true),
                Choice::Unverified(entry) | Choice::Index(entry) => (entry, false),
                Choice::None => return nothing_in(index, &current, wanted),
            };
            // Its bytes decide whether it is an index; the entry may be wrong about it.
            let manifest = self
                .manifests
                .get(repository, &entry.digest)
                .await?
                .manifest;
            if manifest.is_index() {
                current = manifest;
                continue;
            }
            let is_image = manifest.media_type().is_image();
            if is_image && is_named {
                return Ok(Some(manifest).filter(|manifest| !manifest.is_artifact()));
            }
            if let Some(ambiguity) = manifest.ambiguity() {
                return Err(ambiguity.into());
            }
            let Some(config) = manifest.config().filter(|_| is_image) else {
                return nothing_in(index, &current, wanted);
            };
            let platform = self.config_platform(repository, config).await?;
            return if matcher.matches(&platform) {
                Ok(Some(manifest))
            } else if platform.architecture.is_empty() {
                nothing_in(index, &current, wanted)
            } else {
                Err(nothing_fits(wanted, offered(index.entries())))
            };
        }
        Err(PullError::Unresolvable("its indexes are nested too deep"))
    }

    /// The platform in an image's config; an empty one where it has none, as that of an artifact.
    pub(super) async fn config_platform(
        &self,
        repository: &Repository,
        config: &Descriptor,
    ) -> Result<Platform, PullError> {
        let answer = self.blobs.get(repository, &config.digest).await?;
        let mut stream = answer.bytes.read(0, None, ReadBy::Copy);
        let mut bytes = Vec::new();
        let broken = |_| PullError::Unresolvable("an image's config could not be read");
        while let Some(piece) = stream.try_next().await.map_err(broken)? {
            if bytes.len() + piece.len() > ImageConfig::MAX_BYTES {
                return Err(PullError::Unresolvable("an image's config is too large"));
            }
            bytes.extend_from_slice(&piece);
        }
        let config = ImageConfig::parse(&bytes).ok();
        let platform = config.as_ref().and_then(ImageConfig::platform);
        Ok(platform.cloned().unwrap_or_default())
    }
}

/// An index of this size or more has its choices remembered.
const LARGE_INDEX: usize = 64 * 1024;

/// What the remembered choices may weigh.
const MAX_CHOICES: u64 = 4 * 1024 * 1024;

/// What a choice weighs, and a platform that it lists.
const CHOICE_WEIGHT: usize = 400;
const PLATFORM_WEIGHT: usize = 150;

/// The choices from large indexes: one among thousands of entries takes milliseconds.
#[derive(Debug)]
struct Choices(Cache<(Digest, Platform), Chosen>);

/// What was chosen from an index.
#[derive(Clone, Debug, PartialEq)]
enum Chosen {
    /// This child. Whether the repository has it is asked again.
    Child(Digest),
    /// None: the client is to read the index.
    Whole,
    /// None fits, of these.
    Nothing(Arc<[Platform]>),
}

impl Choices {
    fn new() -> Self {
        let weigh = |_: &(Digest, Platform), chosen: &Chosen| {
            let listed = match chosen {
                Chosen::Nothing(offered) => offered.len(),
                Chosen::Child(_) | Chosen::Whole => 0,
            };
            u32::try_from(CHOICE_WEIGHT + listed * PLATFORM_WEIGHT).unwrap_or(u32::MAX)
        };
        let choices = Cache::builder().max_capacity(MAX_CHOICES).weigher(weigh);
        Self(choices.build())
    }

    fn of(&self, index: &Manifest, wanted: &Platform) -> Option<Chosen> {
        let is_large = index.bytes().len() >= LARGE_INDEX;
        is_large.then(|| self.0.get(&(index.digest(), wanted.clone())))?
    }

    /// That no child is chosen is remembered only where the index alone says so. What a child or its
    /// config says is for repositories that have these.
    fn note(
        &self,
        index: &Manifest,
        wanted: &Platform,
        outcome: &Result<Option<Manifest>, PullError>,
    ) {
        if index.bytes().len() < LARGE_INDEX {
            return;
        }
        let has_no_entry = || matches!(index.choice(&Matcher::new(wanted)), Ok(Choice::None));
        let chosen = match outcome {
            Ok(Some(child)) => Chosen::Child(child.digest()),
            Ok(None) if has_no_entry() => Chosen::Whole,
            Err(PullError::NothingFits { offered, .. }) if has_no_entry() => {
                Chosen::Nothing(offered.as_slice().into())
            }
            Ok(None) | Err(_) => return,
        };
        self.0.insert((index.digest(), wanted.clone()), chosen);
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, net::Ipv4Addr};

    use manifest_model::Algorithm;

    use super::*;

    fn said(source: Source) -> Hint {
        Hint {
            source,
            wish: PlatformRequest::Platform("linux/arm64".parse().unwrap()),
        }
    }

    fn source(mode: Resolve, hint: Option<&Hint>, takes_index: bool) -> Option<Source> {
        choose_substitution(mode, hint, takes_index, &"linux/amd64".parse().unwrap())
            .map(|chosen| chosen.source)
    }

    #[test]
    fn a_client_that_takes_no_index_gets_a_child_in_every_mode() {
        for mode in [Resolve::Needed, Resolve::Explicit, Resolve::Always] {
            assert_eq!(source(mode, None, false), Some(Source::Default));
            assert_eq!(
                source(mode, Some(&said(Source::UserAgent)), false),
                Some(Source::UserAgent)
            );
            assert_eq!(
                source(mode, Some(&said(Source::Header)), false),
                Some(Source::Header)
            );
        }
    }

    #[test]
    fn a_client_that_takes_indexes_gets_a_child_only_where_the_mode_says_so() {
        let (explicit, implicit) = (said(Source::Header), said(Source::Address));
        assert_eq!(source(Resolve::Needed, Some(&explicit), true), None);
        assert_eq!(
            source(Resolve::Explicit, Some(&explicit), true),
            Some(Source::Header)
        );
        assert_eq!(source(Resolve::Explicit, Some(&implicit), true), None);
        assert_eq!(
            source(Resolve::Always, Some(&implicit), true),
            Some(Source::Address)
        );
        assert_eq!(source(Resolve::Always, None, true), None);
    }

    #[test]
    fn all_means_the_index_always() {
        let all = Hint {
            source: Source::Query,
            wish: PlatformRequest::All,
        };
        for mode in [Resolve::Needed, Resolve::Explicit, Resolve::Always] {
            assert_eq!(source(mode, Some(&all), true), None);
            assert_eq!(source(mode, Some(&all), false), None);
        }
    }

    #[test]
    fn an_index_for_no_platform_goes_out_whole_but_not_to_who_takes_none() {
        let wanted = "linux/arm64".parse().unwrap();
        for takes_index in [true, false] {
            let client = Client {
                hint: None,
                takes_index,
                default_platform: &wanted,
                is_read: true,
                address: Ipv4Addr::LOCALHOST.into(),
            };
            let served = for_client(Ok(None), &wanted, &client);
            assert_eq!(served.is_ok(), takes_index);
        }
    }

    const ENTRIES: [usize; 2] = [1, 400];

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(text.to_owned().into(), None, Algorithm::Sha256).unwrap()
    }

    /// An index with so many entries, each for a platform of its own, and the last for linux/arm64.
    fn index(entries: usize) -> Manifest {
        let mut list = String::new();
        for at in 1..=entries {
            let architecture = if at == entries {
                "arm64".into()
            } else {
                format!("made-up-{at}")
            };
            let entry = format!(
                r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":7,"digest":"sha256:{at:064x}","platform":{{"os":"linux","architecture":"{architecture}"}}}},"#,
            );
            list.write_str(&entry).unwrap();
        }
        let list = list.trim_end_matches(',');
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{list}]}}"#
        );
        manifest(&text)
    }

    fn nothing_of(wanted: &Platform, index: &Manifest) -> Result<Option<Manifest>, PullError> {
        Err(nothing_fits(wanted, offered(index.entries())))
    }

    #[test]
    fn what_was_chosen_from_a_large_index_is_remembered_and_that_nothing_fits_too() {
        let (there, missing) = ("linux/arm64".parse().unwrap(), "plan9/vax".parse().unwrap());
        let child = manifest(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:0000000000000000000000000000000000000000000000000000000000000001"},"layers":[]}"#,
        );
        for entries in ENTRIES {
            let (choices, index) = (Choices::new(), index(entries));
            let is_large = index.bytes().len() >= LARGE_INDEX;
            assert_eq!(is_large, entries > 1);
            choices.note(&index, &there, &Ok(Some(child.clone())));
            choices.note(&index, &missing, &nothing_of(&missing, &index));
            let known = [&there, &missing].map(|wanted| choices.of(&index, wanted));
            let offered = offered(index.entries());
            let expected = [
                Chosen::Child(child.digest()),
                Chosen::Nothing(offered.into()),
            ];
            assert_eq!(known, expected.map(|chosen| is_large.then_some(chosen)));
        }
    }

    #[test]
    fn that_a_child_does_not_fit_is_not_remembered_for_other_repositories() {
        let (choices, index) = (Choices::new(), index(400));
        let wanted = "linux/arm64".parse().unwrap();
        // The index has an entry for it; its config says another platform.
        choices.note(&index, &wanted, &nothing_of(&wanted, &index));
        choices.note(&index, &wanted, &Ok(None));
        assert_eq!(choices.of(&index, &wanted), None);
    }
}
