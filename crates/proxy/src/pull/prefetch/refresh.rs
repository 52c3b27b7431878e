//! Asking for tags without a client, so that one that has moved is here before the first client asks.

use std::{collections::HashSet, sync::Arc, time::SystemTime};

use cache::{CacheError, TagRow};
use protocol::{error_chain::ErrorChain, host::Host};
use tracing::{debug, warn};
use upstream::{FetchError, Urgency};

use super::{
    super::{
        Pull, PullError, Repository,
        freshness::{TagState, tag_state},
    },
    ANY, place_of_tag,
};

/// Tags read from the index at once.
const PAGE: usize = 256;

impl Pull {
    /// Starts a round over the tags that clients pull, unless the last one is still under way, or nothing is to be downloaded
    /// ahead. A tag within its time to live is not asked for again.
    pub fn refresh_tags(&self) {
        let prefetch = &self.inner.prefetch;
        if !prefetch.is_on() {
            return;
        }
        let Ok(round) = Arc::clone(&prefetch.refreshing).try_acquire_owned() else {
            return;
        };
        self.ahead(async move |pull| {
            if let Err(error) = pull.refresh_round().await {
                warn!(error = %ErrorChain(&error), "the tags cannot be asked for again");
            }
            drop(round);
        });
    }

    async fn refresh_round(&self) -> Result<(), CacheError> {
        // One that is in trouble is left alone for the rest of the round.
        let mut troubled = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let rows = self.inner.cache.tags(after.as_deref(), PAGE)?;
            for row in &rows {
                let place = place_of_tag(&row.repository, &row.tag);
                if self.learned_at(&place).is_empty()
                    || troubled.contains(row.repository.upstream())
                {
                    continue;
                }
                if let Err(error) = self.refresh_tag(row).await {
                    debug!(error = %ErrorChain(&error), %place, "a tag could not be asked for again");
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
        let Some(known) = self.inner.cache.tag(&repository.key, &row.tag) else {
            return Ok(());
        };
        let is_immutable = self.is_immutable(&repository, &row.tag, &known.digest);
        let (is_immutable, config) = (is_immutable.await?, repository.upstream.config());
        if tag_state(&known, &row.tag, is_immutable, config, SystemTime::now()) == TagState::Fresh {
            return Ok(());
        }
        // A client would be given what the tag was; here trouble is to be seen.
        let asked_as = Some((known, Urgency::Confirmation));
        let manifest = self.ask(&repository, &row.tag, asked_as).await?.manifest;
        if manifest.digest() == known.digest {
            return Ok(());
        }
        debug!(repository = %row.repository, tag = %row.tag, "a tag has moved");
        let kinds = self.learned(&repository);
        if manifest.is_index() {
            self.warm_index(&repository, &manifest, &kinds).await;
        } else if kinds.iter().any(|kind| kind == ANY) {
            self.warm_image(&repository, &manifest).await;
        }
        Ok(())
    }

    /// The repository of a row; none where its upstream is no longer configured.
    fn repository_of(&self, row: &TagRow) -> Result<Option<Repository>, PullError> {
        let host = row.repository.upstream().parse::<Host>();
        let name = row.repository.name().parse();
        match (host, name) {
            (Ok(host), Ok(name)) => self.repository(&host, &name),
            _ => Ok(None),
        }
    }
}
