//! The keys of AWS for services beside ECR, from the same chain.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use protocol::error_chain::ErrorChain;
use tokio::sync::Mutex;

use super::credential_chain;

/// How long keys that do not say when they end are kept: files and variables may change.
const KEPT_FOR: Duration = Duration::from_mins(15);

/// How long before its end a key is replaced.
const BEFORE_END: Duration = Duration::from_mins(5);

/// The keys of AWS that the one chain finds in a region, kept until shortly before they end.
pub struct AwsKeys {
    region: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    provider: Option<SharedCredentialsProvider>,
    /// The last key, and until when it is given out.
    key: Option<(Arc<AwsKey>, SystemTime)>,
}

/// One key of AWS.
pub struct AwsKey {
    /// Its public part.
    pub id: String,
    /// Its secret part.
    pub secret: String,
    /// The token of its session, if it is of one.
    pub session: Option<String>,
    /// When it ends, if it does.
    pub ends: Option<SystemTime>,
}

/// Why there is no key of AWS.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAwsKey(String);

impl AwsKeys {
    /// Asks nobody yet. STS, where it is needed, is asked in `region`.
    pub fn new(region: &str) -> Self {
        Self {
            region: region.to_owned(),
            state: Mutex::default(),
        }
    }

    /// A key that holds for a while. One that has not ended yet is given out while no new one can be
    /// had.
    pub async fn current(&self) -> Result<Arc<AwsKey>, NoAwsKey> {
        let mut state = self.state.lock().await;
        let now = SystemTime::now();
        if let Some((key, until)) = &state.key
            && now < *until
        {
            return Ok(Arc::clone(key));
        }
        let provider = if let Some(provider) = &state.provider {
            provider.clone()
        } else {
            let config = Box::pin(credential_chain::config(&self.region, None)).await;
            let provider = config.credentials_provider();
            let provider = provider.ok_or_else(|| NoAwsKey("no AWS credentials".into()))?;
            state.provider.insert(provider).clone()
        };
        let found = Box::pin(provider.provide_credentials()).await;
        let found = match (found, &state.key) {
            (Ok(found), _) => found,
            (Err(_), Some((key, _))) if key.ends.is_none_or(|ends| now < ends) => {
                return Ok(Arc::clone(key));
            }
            (Err(error), _) => return Err(NoAwsKey(ErrorChain(&error).to_string())),
        };
        let key = Arc::new(AwsKey {
            id: found.access_key_id().to_owned(),
            secret: found.secret_access_key().to_owned(),
            session: found.session_token().map(str::to_owned),
            ends: found.expiry(),
        });
        let until = key.ends.and_then(|ends| ends.checked_sub(BEFORE_END));
        state.key = Some((Arc::clone(&key), until.unwrap_or(now + KEPT_FOR)));
        Ok(key)
    }
}

impl fmt::Debug for AwsKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AwsKeys")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AwsKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = &self.ends;
        formatter
            .debug_struct("AwsKey")
            .field("ends", ends)
            .finish_non_exhaustive()
    }
}
