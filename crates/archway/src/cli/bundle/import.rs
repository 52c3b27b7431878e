//! `archway bundle import`: brings the content of bundles into a cache, that of a running Archway or a
//! directory.

use std::{
    fmt::Write as _,
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use airgap::{Imported, NewPlace, OpenError, Step, TakeError, open_all, take};
use bundle::{BundleFiles, FileAccess, FilesError};
use cache::{Allowance, Cache, CacheError, inspect::FileSystem};
use clap::Args;
use client::ImportSocket;
use config::Config;
use control::{ImportBundles as Asked, ImportFailure, ImportFlags, ImportLine, ImportsError};
use parking_lot::Mutex;
use proxy::app::cache_options;
use terminal::{progress::Progress, table::size};

use crate::cli::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, counted, in_runtime},
};

const HELP: &str = "\
All of a bundle becomes visible at once, when every digest has matched, and stays until `archway
bundle rm`: nothing evicts it. An import that was interrupted is run again and skips what is stored.
Parts are named in any order; `-` is standard input.

A running Archway takes it in while clients pull: this command finds its socket by the configuration,
and hands the open files over. Where none runs, the cache directory is used.

OCI image layouts of other tools are taken too, as a folder or a tar: docker save, buildx, ctr, skopeo,
oras, crane, regctl. Where they name no registry, --as does.

Refused, before the first byte of content: what no trusted key has signed, a number of a series that
is not higher than the one here, a delta whose base is not here, images of other upstreams than those
configured.

Exit codes: 0 imported; 1 a bundle is damaged or refused, or lacks what it builds on; 2 the command
could not run, for want of room for example.

Examples:
  archway bundle import site.tar --config /etc/archway.toml
  archway bundle import /media/usb/site.tar.0* --dry-run
  docker save hello:1.0 -o hello.tar; archway bundle import hello.tar
  ssh builder 'cat site.tar' | archway bundle import -";

/// Bring the images of bundles into the cache
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ImportBundles {
    /// Bundles, whole or in parts, or image layouts of other tools; `-` is standard input
    #[arg(value_name = "FILE|DIR", required = true)]
    files: Vec<PathBuf>,
    /// Remove tags and pins that earlier bundles of the series brought and this one does not list
    #[arg(long)]
    prune: bool,
    /// Show what would be imported; change nothing
    #[arg(long)]
    dry_run: bool,
    #[arg(
        help = "The registry and the repository for the images, in place of their own",
        long = "as",
        value_name = "HOST/REPO",
        value_parser = place
    )]
    place: Option<String>,
    #[command(flatten)]
    allowed: Allowed,
    #[command(flatten)]
    config: ConfigFile,
}

/// What is refused unless these flags allow it.
#[derive(Debug, Args)]
struct Allowed {
    /// Import it though a later one of its series is here
    #[arg(long)]
    allow_older: bool,
    /// Import it whoever has signed it, or nobody
    #[arg(long)]
    unsigned: bool,
}

/// What a running Archway says of a failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct ServerSaid(String);

fn place(text: &str) -> Result<String, airgap::RenameError> {
    text.parse::<NewPlace>().map(|_| text.to_owned())
}

impl ImportBundles {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let config = self.config.load()?;
        let shown = Arc::<Mutex<Shown>>::default();
        let ended = match ImportSocket::find(&config)? {
            Some(socket) => self.hand_over(socket, &shown),
            None => in_runtime(async {
                let taken = self.take(&config, &shown).await;
                taken.map_err(failure)
            }),
        };
        let output = match ended {
            Ok(()) => CommandOutput::success(String::new()),
            Err(failure) => failure.into(),
        };
        // What came before a bundle that failed is here.
        let mut shown = shown.lock();
        shown.end();
        Ok(CommandOutput {
            out: std::mem::take(&mut shown.text),
            ..output
        })
    }

    fn flags(&self) -> ImportFlags {
        let allowed = [
            (self.allowed.unsigned, Allowance::Unsigned),
            (self.allowed.allow_older, Allowance::Older),
        ];
        let allowed = allowed.into_iter().filter(|(is_given, _)| *is_given);
        ImportFlags {
            place: self.place.clone(),
            allowed: allowed.map(|(_, allowance)| allowance).collect(),
            prune: self.prune,
            dry_run: self.dry_run,
        }
    }

    /// Into the directory that no server uses.
    async fn take(&self, config: &Config, shown: &Arc<Mutex<Shown>>) -> Result<(), ImportsError> {
        let flags = self.flags();
        let place = flags.place()?;
        let opened = open_all(&self.files, &FileAccess::Paths, place.as_ref())?;
        let rules = Arc::new(flags.rules(config)?);
        let cannot = |source: CacheError| TakeError {
            name: config.cache.path.display().to_string(),
            source: source.into(),
        };
        let disk = FileSystem::of(&config.cache.path).map_err(cannot)?;
        let cache = Cache::open(&cache_options(&config.cache, disk)).map_err(cannot)?;
        let shown = Arc::clone(shown);
        let tell = Arc::new(move |step| shown.lock().step(step));
        Ok(take(&cache, &rules, opened, flags.mode(), tell).await?)
    }

    /// Into a running Archway.
    fn hand_over(&self, socket: ImportSocket, shown: &Mutex<Shown>) -> Result<(), Failure> {
        let handed = self.opened().map_err(|error| failure(error.into()))?;
        let (names, files): (Vec<_>, Vec<_>) = handed.into_iter().unzip();
        let asked = Asked {
            files: names,
            flags: self.flags(),
        };
        let mut failed = None;
        socket.import(&asked, &files, |line| match line {
            ImportLine::Step(step) => shown.lock().step(step),
            ImportLine::Failed(failure) => failed = Some(failure),
            ImportLine::Done => {}
        })?;
        match failed {
            None => Ok(()),
            Some(ImportFailure {
                message,
                is_of_the_bundle: true,
            }) => Err(Failure::negative(&ServerSaid(message))),
            Some(failure) => Err(Failure::unusable(&ServerSaid(failure.message))),
        }
    }

    /// All files of what was named, opened here, with their names.
    fn opened(&self) -> Result<Vec<(String, File)>, OpenError> {
        let mut opened = Vec::new();
        let (pipes, files): (Vec<_>, Vec<_>) = self
            .files
            .iter()
            .cloned()
            .partition(|path| FileAccess::is_pipe(path));
        for files in BundleFiles::group(&files)? {
            for path in files.paths() {
                opened.push((path.display().to_string(), open(&path, File::open(&path))?));
            }
        }
        if let Some(path) = pipes.first() {
            let input = io::stdin().as_fd().try_clone_to_owned();
            opened.push((path.display().to_string(), open(path, input)?.into()));
        }
        Ok(opened)
    }
}

fn open<T>(path: &Path, opened: io::Result<T>) -> Result<T, FilesError> {
    let path = path.to_owned();
    opened.map_err(|source| FilesError::Open { path, source })
}

/// What is said of an import, and its progress.
#[derive(Default)]
struct Shown {
    text: String,
    progress: Option<Progress>,
}

impl Shown {
    fn step(&mut self, step: Step) {
        match step {
            Step::Begun { bytes } => self.progress = Some(Progress::of("imported", bytes)),
            Step::Read { bytes } => {
                if let Some(progress) = &self.progress {
                    progress.advance(bytes);
                }
            }
            Step::Taken { name, imported } => {
                self.end();
                self.text += &described(&name, &imported);
            }
        }
    }

    fn end(&mut self) {
        if let Some(progress) = self.progress.take() {
            progress.end();
        }
    }
}

fn described(name: &str, imported: &Imported) -> String {
    let mut text = format!(
        "{name}: {}, {} new of {} blobs, {}\n",
        counted(imported.images, "image"),
        imported.new_blobs,
        imported.blobs,
        size(imported.new_bytes),
    );
    for tag in &imported.pruned {
        let _ = writeln!(text, "- {tag}");
    }
    if imported.mended > 0 {
        let blobs = counted(imported.mended, "stored blob");
        let _ = writeln!(
            text,
            "note: {blobs} had to come again: damaged, or just evicted"
        );
    }
    for allowance in &imported.allowed {
        let note = match allowance {
            Allowance::Unsigned => "no trusted key has signed it",
            Allowance::Older => "a later one of its series was here",
        };
        let _ = writeln!(text, "note: {note}");
    }
    let _ = writeln!(text, "bundle {}", imported.id);
    text
}

fn failure(error: ImportsError) -> Failure {
    match error {
        ImportsError::Take(TakeError {
            source: airgap::ImportError::Cache(error @ CacheError::Locked { .. }),
            ..
        }) => error.into(),
        error if error.is_of_the_bundle() => Failure::negative(&error),
        error => Failure::unusable(&error),
    }
}
