//! When the upstream got an image. Only private ECR says so, by its API, and only where the configuration wants it asked.

use manifest_model::{Digest, RepoName};

use super::{
    Upstream,
    auth::ecr::{Place, Pushed},
};

impl Upstream {
    /// Whether it is to be asked when images were pushed.
    pub fn tells_pushed(&self) -> bool {
        self.config.pushed_at
    }

    /// When images of a repository were pushed. What cannot be found out is left out.
    pub async fn pushed(&self, repository: &RepoName, digests: &[Digest]) -> Pushed {
        let Some((tokens, key)) = self
            .endpoints
            .iter()
            .find_map(|endpoint| endpoint.auth.ecr())
        else {
            return Pushed::default();
        };
        let ecr = self.host.ecr();
        let place = Place {
            account: ecr.as_ref().map(|ecr| ecr.account.as_str()),
            repository,
        };
        tokens.pushed(key, place, digests).await
    }
}
