//! Asking for tags without a client, so that the image of a tag that has moved is here before the
//! first client asks.

use std::{collections::HashSet, sync::Arc};

use cache::{CacheError, TagRow};
use protocol::{error_chain::ErrorChain, host::Host};
use pull::{Asker, PullError, Repository};
use tracing::{debug, warn};
use upstream::FetchError;

use super::{ImageKind, Prefetch};

/// Tags read from the index at once.
const PAGE: usize = 256;

impl Prefetch {
    /// Starts a round over the tags that clients pull, unless the last one is still under way, or
    /// nothing is to be downloaded ahead. A tag within its time to live is not asked for again.
    pub(crate) fn refresh_tags(&self) {
        if !self.is_on() {
            return;
        }
        let Ok(round) = Arc::clone(&self.shared.refreshing).try_acquire_owned() else {
            return;
        };
        let prefetch = self.clone();
        self.shared.warmer.queue(async move {
            if let Err(error) = prefetch.refresh_round().await {
                warn!(error = %ErrorChain(&error), "the known tags cannot be read to ask for them again");
            }
            drop(round);
        });
    }

    async fn refresh_round(&self) -> Result<(), CacheError> {
        let cache = self.shared.pull.cache();
        // An upstream in trouble is left alone for the rest of the round.
        let mut troubled = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let rows = cache.tags(after.as_deref(), PAGE)?;
            for row in &rows {
                if !self.learned().has_tag(&row.repository, &row.tag)
                    || troubled.contains(row.repository.upstream())
                {
                    continue;
                }
                if let Err(error) = self.refresh_tag(row).await {
                    debug!(error = %ErrorChain(&error), repository = %row.repository, tag = %row.tag, "a tag could not be asked for again");
                    if error.fetch_error().is_some_and(FetchError::allows_stale) {
                        troubled.insert(row.repository.upstream().to_owned());
                    }
                }
            }
            match rows.last() {
                Some(last) if rows.len() == PAGE => after = Some(last.key()),
                _ => return Ok(()),
            }
        }
    }

    async fn refresh_tag(&self, row: &TagRow) -> Result<(), PullError> {
        let Some(repository) = self.repository_of(row)? else {
            return Ok(());
        };
        let Some(manifest) = self.shared.pull.renew(&repository, &row.tag).await? else {
            return Ok(());
        };
        let kinds = self.kinds_in(&manifest, repository.key());
        let (warmer, what) = (&self.shared.warmer, self.ahead_of(&repository));
        if manifest.is_index() {
            warmer
                .warm_index(&repository, &manifest, &kinds, what)
                .await;
        } else if kinds.contains(&ImageKind::Any) {
            warmer.warm_image(&repository, &manifest, what).await;
        }
        Ok(())
    }

    /// The repository of a row; `None` where its upstream is no longer configured.
    pub(super) fn repository_of(&self, row: &TagRow) -> Result<Option<Repository>, PullError> {
        let host = row.repository.upstream().parse::<Host>();
        let name = row.repository.name().parse();
        match (host, name) {
            (Ok(host), Ok(name)) => self.shared.pull.repository(&host, &name, Asker::Ahead),
            _ => Ok(None),
        }
    }
}
