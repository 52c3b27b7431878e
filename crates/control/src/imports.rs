//! Bundles on their way into a running Archway: over the socket, while clients pull.
//!
//! The client has opened the files and hands them over; what they hold is judged here, by the
//! configuration in force. The same code runs for a stopped directory, in the command itself.

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use airgap::{Imported, Mode, NewPlace, OpenError, Rules, Step, TakeError, take};
use bundle::FileAccess;
use cache::Allowance;
use config::Config;
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{info, warn};

use crate::{
    Control,
    trust::{self, TrustError},
};

/// How often the client is told how far an import has come.
const TELL_INTERVAL: Duration = Duration::from_millis(100);

/// What is imported, and how.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportBundles {
    /// The names of the files that are handed over, in their order: bundles, their parts, and what
    /// lies beside them; `-` is a pipe.
    pub files: Vec<String>,
    /// As the flags of the command.
    pub flags: ImportFlags,
}

/// The flags of an import.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFlags {
    /// The place of the images, as `HOST/REPOSITORY`, if it is not their own.
    pub place: Option<String>,
    /// What is allowed that is refused as a rule.
    pub allowed: Vec<Allowance>,
    /// Whether what earlier bundles of the series brought goes.
    pub prune: bool,
    /// Whether nothing changes.
    pub dry_run: bool,
}

/// A line of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportLine {
    /// It goes on.
    Step(Step),
    /// It ended early; bundles that were taken before stay.
    Failed(ImportFailure),
    /// All is done.
    Done,
}

/// Why an import ended early.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportFailure {
    /// The reason, with what helps.
    pub message: String,
    /// Whether a bundle is damaged, incomplete or refused; else it could not be taken.
    pub is_of_the_bundle: bool,
}

/// Why bundles were not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportsError {
    /// The place is none.
    #[error(transparent)]
    Place(#[from] airgap::RenameError),
    /// A trusted key cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// What was named is nothing that can be imported.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A bundle was not taken.
    #[error(transparent)]
    Take(#[from] TakeError),
    /// Other files came than were named.
    #[error("{named} files are named, and {came} came with the request")]
    Files {
        /// How many are named.
        named: usize,
        /// How many came.
        came: usize,
    },
    /// The process ends.
    #[error("this Archway is shutting down; what has come stays, so run the import again")]
    Ending,
}

impl ImportsError {
    /// Whether a bundle is damaged, incomplete or refused; else it could not be taken.
    pub fn is_of_the_bundle(&self) -> bool {
        match self {
            Self::Open(error) => error.is_of_the_bundle(),
            Self::Take(error) => error.source.is_of_the_bundle(),
            Self::Place(_) | Self::Trust(_) | Self::Files { .. } | Self::Ending => false,
        }
    }
}

impl From<&ImportsError> for ImportFailure {
    fn from(error: &ImportsError) -> Self {
        Self {
            message: ErrorChain(error).to_string(),
            is_of_the_bundle: error.is_of_the_bundle(),
        }
    }
}

impl ImportFlags {
    /// What a site with this configuration takes.
    pub fn rules(&self, config: &Config) -> Result<Rules, ImportsError> {
        let upstreams = config.upstreams.clone();
        Ok(Rules {
            trusted: trust::keys(&config.bundles.trusted_keys)?,
            is_configured: Box::new(move |host| upstreams.find(host).is_some()),
            allowed: self.allowed.clone(),
            place: self.place()?,
            prune: self.prune,
        })
    }

    /// Where images go, if not to their own names.
    pub fn place(&self) -> Result<Option<NewPlace>, ImportsError> {
        let place = self.place.as_deref().map(str::parse);
        Ok(place.transpose()?)
    }

    /// Whether anything changes.
    pub fn mode(&self) -> Mode {
        if self.dry_run {
            Mode::DryRun
        } else {
            Mode::Import
        }
    }
}

/// Imports what was handed over, one request at a time, and tells how far it has come.
pub(crate) async fn import(
    control: Control,
    asked: ImportBundles,
    files: Vec<File>,
    lines: UnboundedSender<ImportLine>,
) {
    let stop = control.stop.clone();
    let tell = Teller::new(lines.clone(), asked.flags.mode());
    let work = import_all(&control, asked, files, tell);
    let outcome = stop.run_until_cancelled(work).await;
    let last = match outcome.unwrap_or(Err(ImportsError::Ending)) {
        Ok(()) => ImportLine::Done,
        Err(error) => {
            warn!(error = %ErrorChain(&error), "a bundle was not imported");
            ImportLine::Failed((&error).into())
        }
    };
    // Who has left needs no answer.
    let _ = lines.send(last);
}

async fn import_all(
    control: &Control,
    asked: ImportBundles,
    files: Vec<File>,
    tell: Teller,
) -> Result<(), ImportsError> {
    let ImportBundles {
        files: names,
        flags,
    } = asked;
    if names.len() != files.len() {
        return Err(ImportsError::Files {
            named: names.len(),
            came: files.len(),
        });
    }
    let names: Vec<PathBuf> = names.into_iter().map(PathBuf::from).collect();
    let files: BTreeMap<_, _> = names.iter().cloned().zip(files).collect();
    let place = flags.place()?;
    let config = control.config.current();
    // Reads the heads, which may be those of a pipe that somebody is slow to fill.
    let open = move || airgap::open_all(&names, &FileAccess::Handed(files), place.as_ref());
    let opened = tokio::task::spawn_blocking(open).await;
    let opened = opened.map_err(|_| ImportsError::Ending)??;
    let rules = Arc::new(flags.rules(&config)?);
    let turn = Arc::clone(&control.turns.importing).lock_owned().await;
    // What is left behind by a client that leaves keeps its turn until it has stopped.
    let tell = move |step| {
        let _turn = &turn;
        tell.tell(step);
    };
    let cache = control.pull.cache();
    let taken = take(cache, &rules, opened, flags.mode(), Arc::new(tell)).await;
    // Some may be here even if another failed.
    control.server.forget_answers();
    Ok(taken?)
}

/// Tells a client of steps, and logs what came.
struct Teller {
    lines: UnboundedSender<ImportLine>,
    mode: Mode,
    untold: AtomicU64,
    last: Mutex<Instant>,
}

impl Teller {
    fn new(lines: UnboundedSender<ImportLine>, mode: Mode) -> Self {
        Self {
            lines,
            mode,
            untold: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    fn tell(&self, step: Step) {
        if let Step::Read { bytes } = step {
            self.untold.fetch_add(bytes, Ordering::Relaxed);
            let mut last = self.last.lock();
            if last.elapsed() < TELL_INTERVAL {
                return;
            }
            *last = Instant::now();
        }
        let bytes = self.untold.swap(0, Ordering::Relaxed);
        if bytes > 0 {
            let _ = self.lines.send(ImportLine::Step(Step::Read { bytes }));
        }
        if let Step::Taken { name, imported } = &step
            && self.mode == Mode::Import
        {
            log(name, imported);
        }
        if !matches!(step, Step::Read { .. }) {
            let _ = self.lines.send(ImportLine::Step(step));
        }
    }
}

/// Notes what a bundle brought, as `bundle ls` does.
pub(crate) fn log(name: &str, imported: &Imported) {
    info!(
        name,
        id = %imported.id,
        images = imported.images,
        blobs = imported.new_blobs,
        bytes = imported.new_bytes,
        mended = imported.mended,
        "a bundle was imported"
    );
}
