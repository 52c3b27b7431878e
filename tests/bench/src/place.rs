//! Where a run happens: its folder, its cores, its content and its clock.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, ensure};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::content::Content;
use crate::options::Options;

/// Everything a measure needs to know that is not its own.
pub(crate) struct Place {
    pub(crate) runs: usize,
    pub(crate) archway: PathBuf,
    pub(crate) populate: Option<PathBuf>,
    pub(crate) cores: Cores,
    pub(crate) content: LazyLock<Content>,
    folder: PathBuf,
    started: Instant,
}

impl Place {
    /// An empty folder, and this process on the cores of the client.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let folder = &options.folder;
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let cores = Cores::split()?;
        sched_setaffinity(None, &cores.client)?;
        Ok(Self {
            runs: options.runs.into(),
            archway: options
                .archway
                .canonicalize()
                .with_context(|| format!("{}: build it first", options.archway.display()))?,
            populate: options.populate.clone(),
            cores,
            content: LazyLock::new(Content::make),
            folder: folder.canonicalize()?,
            started: Instant::now(),
        })
    }

    /// A folder of this name, emptied.
    pub(crate) fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
        }
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(path)
    }

    /// Where all of it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.folder
    }

    /// Tells whoever waits how far it is.
    pub(crate) fn say(&self, what: &str) {
        eprintln!("[{:4}s] {what}", self.started.elapsed().as_secs());
    }

    /// Tells which run has begun.
    pub(crate) fn say_run(&self, run: usize, what: &str) {
        self.say(&format!("  {what}: run {} of {}", run + 1, self.runs));
    }
}

/// The first core belongs to the server, the others to the client.
pub(crate) struct Cores {
    pub(crate) server: CpuSet,
    pub(crate) client: CpuSet,
}

impl Cores {
    fn split() -> anyhow::Result<Self> {
        let all = sched_getaffinity(None)?;
        ensure!(
            all.count() >= 2,
            "two cores are needed: one for the server, one for the client"
        );
        let first = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core));
        let first = first.context("a machine has cores")?;
        let (mut server, mut client) = (CpuSet::new(), all);
        server.set(first);
        client.unset(first);
        Ok(Self { server, client })
    }

    /// Threads a client starts: one per core.
    pub(crate) fn clients(&self) -> usize {
        self.client.count() as usize
    }

    /// Runs `start` on the server's core, so that what it spawns stays there.
    pub(crate) fn on_server<T>(&self, start: impl FnOnce() -> T) -> anyhow::Result<T> {
        sched_setaffinity(None, &self.server)?;
        let started = start();
        sched_setaffinity(None, &self.client)?;
        Ok(started)
    }
}
