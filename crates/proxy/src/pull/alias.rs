//! The name of one architecture, answered from the name that has them all.

use manifest_model::{Matcher, Platform};

use super::{
    Pull, PullError, Repository,
    rules::{Looked, Made},
};

impl Pull {
    /// The one image for exactly `platform` below the target: an older variant or the 32-bit ancestor is not what the
    /// name promises.
    pub(super) async fn alias(
        &self,
        repository: &Repository,
        looked: Vec<Looked>,
        platform: &Platform,
    ) -> Result<Made, PullError> {
        let tried = || looked.iter().map(Looked::name).collect();
        let Some(target) = looked.first() else {
            return Err(PullError::NoSource { tried: tried() });
        };
        let Some(root) = self.look(target).await? else {
            return Err(PullError::NoSource { tried: tried() });
        };
        let leaves = self.leaves(&target.repository, root).await?;
        let matcher = Matcher::strict(platform);
        let fits = |platform: &Platform| matcher.matches(platform);
        let mut fitting: Vec<_> = leaves
            .iter()
            .filter(|leaf| !leaf.is_attestation() && leaf.platform.as_ref().is_some_and(fits))
            .map(|leaf| leaf.digest)
            .collect();
        fitting.sort_by_key(ToString::to_string);
        fitting.dedup();
        match *fitting {
            [] => Err(PullError::NothingFits {
                wanted: platform.clone(),
                offered: manifest_model::offered(&leaves),
            }),
            [child] => {
                let manifest = self.by_digest(&target.repository, &child).await?.manifest;
                let is_elsewhere = target.repository.key != repository.key;
                let lent = is_elsewhere.then(|| (target.repository.clone(), child));
                Ok(Made {
                    manifest,
                    lent: Vec::from_iter(lent),
                })
            }
            _ => Err(PullError::Ambiguous {
                platform: platform.clone(),
                candidates: fitting
                    .iter()
                    .map(|digest| format!("{}@{digest}", target.name()))
                    .collect(),
            }),
        }
    }
}
