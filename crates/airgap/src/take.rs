//! Taking one bundle after the other, and telling how far it has come.

use std::sync::Arc;

use cache::Cache;
use serde::{Deserialize, Serialize};

use crate::{
    error::ImportError,
    import::{Import, Imported, blocking},
    open::Opened,
    rules::Rules,
};

/// What there is to tell of an import while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A bundle was judged by its lock, and so many bytes are to be read.
    Begun {
        /// How many.
        bytes: u64,
    },
    /// So many were read since the last step.
    Read {
        /// How many.
        bytes: u64,
    },
    /// All of a bundle is visible, or would be.
    Taken {
        /// How people call it.
        name: String,
        /// What it brought.
        imported: Imported,
    },
}

/// Whether anything changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Bundles come in.
    Import,
    /// They are judged, and nothing changes.
    DryRun,
}

/// Why a bundle was not taken; those before it were.
#[derive(Debug, thiserror::Error)]
#[error("{name}")]
pub struct TakeError {
    /// How people call it.
    pub name: String,
    /// Why.
    pub source: ImportError,
}

/// Takes one bundle after the other, up to one that fails. Whatever came survives the loss of the
/// index when this returns. `tell` is also held by work that is left behind when the future is
/// dropped, until that has stopped.
pub async fn take(
    cache: &Cache,
    rules: &Arc<Rules>,
    bundles: Vec<Opened>,
    mode: Mode,
    tell: Arc<dyn Fn(Step) + Send + Sync>,
) -> Result<(), TakeError> {
    let mut outcome = Ok(());
    let mut any_came = false;
    for bundle in bundles {
        let name = bundle.path.display().to_string();
        match take_one(cache, rules, bundle, mode, &tell).await {
            Ok(imported) => {
                any_came = true;
                tell(Step::Taken { name, imported });
            }
            Err(source) => {
                outcome = Err(TakeError { name, source });
                break;
            }
        }
    }
    if any_came && mode == Mode::Import {
        let kept = keep(cache).await.map_err(|source| TakeError {
            name: "the index".to_owned(),
            source,
        });
        outcome = outcome.and(kept);
    }
    outcome
}

async fn take_one(
    cache: &Cache,
    rules: &Arc<Rules>,
    bundle: Opened,
    mode: Mode,
    tell: &Arc<dyn Fn(Step) + Send + Sync>,
) -> Result<Imported, ImportError> {
    let (judging, rules) = (cache.clone(), Arc::clone(rules));
    let judge = move || Import::new(&judging, rules, bundle);
    let import = blocking(judge).await?;
    if mode == Mode::DryRun {
        return Ok(import.preview());
    }
    let bytes = import.bytes();
    tell(Step::Begun { bytes });
    let tell = Arc::clone(tell);
    import.run(move |bytes| tell(Step::Read { bytes })).await
}

/// Writes down what a lost index could not tell.
async fn keep(cache: &Cache) -> Result<(), ImportError> {
    cache.flush_uses().await?;
    Ok(cache.write_snapshot(|| true).await?)
}
