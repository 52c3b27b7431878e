//! What clients pull, kept beside what they pulled. The words are the caller's.

use std::time::Duration;

use crate::{Cache, Learned, error::CacheError};

impl Cache {
    /// Adds one pull of `kind` at `place`; what was there before has decayed by `half_life`. A place must not contain a NUL.
    pub async fn learn(
        &self,
        place: String,
        kind: String,
        half_life: Duration,
    ) -> Result<(), CacheError> {
        self.blocking(move |cache| Ok(cache.index().learn(&place, &kind, half_life)?))
            .await
    }

    /// What is pulled at `place`, the most pulled first; what is long ago is not among it.
    pub fn learned(&self, place: &str, half_life: Duration) -> Result<Vec<Learned>, CacheError> {
        Ok(self.index().learned(place, half_life)?)
    }

    /// Sweeps what has decayed to nothing.
    pub async fn unlearn(&self, half_life: Duration) -> Result<(), CacheError> {
        self.blocking(move |cache| Ok(cache.index().unlearn(half_life)?))
            .await
    }
}
