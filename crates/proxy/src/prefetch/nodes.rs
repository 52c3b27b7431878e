//! The platforms of the cluster's nodes: an image is downloaded for them too, and for a new one all that
//! clients pull, so that it is here before the first of its nodes asks.

use std::sync::Arc;

use cache::{CacheError, RepoKey, TagRow};
use manifest_model::{Manifest, Platform};
use protocol::error_chain::ErrorChain;
use pull::PullError;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::{ImageKind, Prefetch};
use image_inventory as inventory;

/// Tags read from the index at once.
const PAGE: usize = 256;

/// News of platforms, for one who waits for them.
#[derive(Debug)]
pub(crate) struct NodeNews {
    platforms: Option<watch::Receiver<Vec<Arc<Platform>>>>,
    known: Vec<Arc<Platform>>,
}

impl NodeNews {
    /// Returns when there are nodes of a platform that had none.
    pub(crate) async fn next(&mut self) {
        loop {
            let changed = match &mut self.platforms {
                Some(platforms) => platforms.changed().await,
                None => std::future::pending().await,
            };
            if changed.is_err() {
                self.platforms = None;
                continue;
            }
            let now = self.platforms.as_ref().map(|now| now.borrow().clone());
            let now = now.unwrap_or_default();
            let is_new = now.iter().any(|platform| !self.known.contains(platform));
            self.known = now;
            if is_new {
                return;
            }
        }
    }
}

impl Prefetch {
    /// News of the platforms of nodes.
    pub(crate) fn node_news(&self) -> NodeNews {
        NodeNews {
            platforms: self.shared.nodes.platform_news(),
            known: Vec::new(),
        }
    }

    /// The platforms of nodes, where images are downloaded for them.
    fn node_platforms(&self) -> Vec<Arc<Platform>> {
        if self.shared.settings.current().nodes {
            self.shared.nodes.platforms()
        } else {
            Vec::new()
        }
    }

    /// The kinds of images that are kept of a repository, where it is known what is pulled there: those
    /// that clients pull, and those of all nodes.
    pub(crate) fn kept_kinds(&self, repository: &RepoKey) -> Vec<ImageKind> {
        let mut kinds = self.learned().kinds(repository);
        if !kinds.is_empty() {
            let platforms = self.node_platforms();
            kinds.extend(
                platforms
                    .iter()
                    .map(|one| ImageKind::Platform(one.to_string().into())),
            );
        }
        kinds
    }

    /// The kinds to download of an index.
    pub(super) fn kinds_in(&self, index: &Manifest, repository: &RepoKey) -> Vec<ImageKind> {
        let mut kinds = self.learned().kinds(repository);
        for platform in self.node_platforms() {
            let kind = ImageKind::chosen(index, &platform);
            kinds.extend(kind.filter(|kind| !kinds.contains(kind)));
        }
        kinds
    }

    /// Starts a round over the tags that clients pull, which downloads their images for the platforms
    /// of all nodes, behind a round that is still under way. No tag is asked for.
    pub(crate) fn warm_for_nodes(&self) {
        let platforms = self.node_platforms();
        if !self.is_on() || platforms.is_empty() {
            return;
        }
        let names: Vec<_> = platforms.iter().map(ToString::to_string).collect();
        let platforms = names.join(", ");
        let prefetch = self.clone();
        self.shared.warmer.queue(async move {
            let Ok(_round) = prefetch.shared.refreshing.acquire().await else {
                return;
            };
            info!(platforms, "there are nodes of a new platform: downloading what is pulled for them");
            if let Err(error) = prefetch.node_round().await {
                warn!(error = %ErrorChain(&error), "the known tags cannot be read to download them for new nodes");
            }
        });
    }

    async fn node_round(&self) -> Result<(), CacheError> {
        let cache = self.shared.pull.cache();
        let mut after: Option<String> = None;
        loop {
            let rows = cache.tags(after.as_deref(), PAGE)?;
            for row in &rows {
                if self.learned().has_tag(&row.repository, &row.tag)
                    && let Err(error) = self.warm_tag(row).await
                {
                    debug!(error = %ErrorChain(&error), repository = %row.repository, tag = %row.tag, "a tag is not downloaded for new nodes");
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => after = Some(last.key()),
                _ => return Ok(()),
            }
        }
    }

    /// Downloads the images of a tag as it is stored.
    async fn warm_tag(&self, row: &TagRow) -> Result<(), PullError> {
        let repository = self.repository_of(row)?;
        let Some(repository) = repository.filter(|one| !one.upstream().is_offline()) else {
            return Ok(());
        };
        let index = inventory::stored(self.shared.pull.cache(), &row.entry.digest)?;
        let Some(index) = index.filter(Manifest::is_index) else {
            return Ok(());
        };
        let kinds = self.kinds_in(&index, repository.key());
        let what = self.ahead_of(&repository);
        self.shared.parts.note_children(repository.key(), &index);
        let warmer = &self.shared.warmer;
        warmer.warm_index(&repository, &index, &kinds, what).await;
        Ok(())
    }
}
