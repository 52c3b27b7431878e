//! `archway bundle import`: brings the content of bundles into a cache.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use airgap::{Import, ImportError, Imported, NewPlace, OpenError, Rules, Source};
use bundle::{Bundle, BundleFiles, FilesError};
use cache::{Allowance, Cache, CacheError, inspect::FileSystem};
use clap::Args;
use config::Config;
use proxy::app::cache_options;

use super::{error::TakeError, trust};
use crate::cli::{
    config_file::ConfigFile,
    output::{CommandOutput, Failure, counted, in_runtime},
    progress::Progress,
    table::size,
};

const HELP: &str = "\
All of a bundle becomes visible at once, when every digest has matched, and stays until `archway
bundle rm`: nothing evicts it. An import that was interrupted is run again and skips what is stored.
Parts are named in any order; `-` is standard input. No server may run on the cache directory.

OCI image layouts of other tools are taken too, as a folder or a tar: docker save, buildx, ctr, skopeo,
oras, crane, regctl. Where they name no registry, --as does.

Refused, before the first byte of content: what no trusted key has signed, a number of a series that
is not higher than the one here, a delta whose base is not here, images of other upstreams than those
configured.

Exit codes: 0 imported; 1 a bundle is damaged or refused, or lacks what it builds on; 2 the command
could not run.

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
        value_name = "HOST/REPO"
    )]
    place: Option<NewPlace>,
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

impl ImportBundles {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let config = self.config.load()?;
        in_runtime(async { self.take_all(&config).await.map_err(failure) })
    }

    async fn take_all(&self, config: &Config) -> Result<CommandOutput, TakeError> {
        let bundles = self.bundles()?;
        let rules = Arc::new(self.rules(config)?);
        let disk = FileSystem::of(&config.cache.path)?;
        let cache = Cache::open(&cache_options(&config.cache, disk))?;
        let mut text = String::new();
        let mut ended = self.take_each(&cache, &rules, bundles, &mut text).await;
        let any_came = !self.dry_run && !text.is_empty();
        if any_came {
            ended = ended.and(keep(&cache).await);
        }
        let output = match ended {
            Ok(()) => CommandOutput::success(String::new()),
            Err(error) => failure(error).into(),
        };
        // What came before a bundle that failed is here.
        Ok(CommandOutput {
            out: text,
            ..output
        })
    }

    /// Takes one bundle after the other, up to one that fails, and tells of each.
    async fn take_each(
        &self,
        cache: &Cache,
        rules: &Arc<Rules>,
        bundles: Vec<(PathBuf, Bundle, Source)>,
        text: &mut String,
    ) -> Result<(), TakeError> {
        for (path, bundle, source) in bundles {
            let name = path.display().to_string();
            let imported = self.take(cache, rules, bundle, source).await;
            let imported = imported.map_err(|source| TakeError::Import {
                name: name.clone(),
                source,
            })?;
            *text += &described(&name, &imported);
        }
        Ok(())
    }

    /// All bundles with their heads read, so that a wrong one is found before the first import.
    fn bundles(&self) -> Result<Vec<(PathBuf, Bundle, Source)>, OpenError> {
        let (pipe, files): (Vec<_>, Vec<_>) = self
            .files
            .iter()
            .cloned()
            .partition(|file| file == Path::new("-"));
        let mut bundles = Vec::new();
        for files in BundleFiles::group(&files)? {
            let (bundle, source) = airgap::open(&files, self.place.as_ref())?;
            bundles.push((files.path().to_owned(), bundle, source));
        }
        if let Some(path) = pipe.into_iter().next() {
            let mut input = io::stdin();
            let bundle = Bundle::open(&mut input).map_err(|source| FilesError::Read {
                path: path.clone(),
                source,
            })?;
            bundles.push((path, bundle, Source::Pipe(Box::new(input))));
        }
        Ok(bundles)
    }

    fn rules(&self, config: &Config) -> Result<Rules, TakeError> {
        let upstreams = config.upstreams.clone();
        let allowed = [
            (self.allowed.unsigned, Allowance::Unsigned),
            (self.allowed.allow_older, Allowance::Older),
        ];
        let allowed = allowed.into_iter().filter(|(is_given, _)| *is_given);
        Ok(Rules {
            trusted: trust::keys(&config.bundles.trusted_keys)?,
            is_configured: Box::new(move |host| upstreams.find(host).is_some()),
            allowed: allowed.map(|(_, allowance)| allowance).collect(),
            place: self.place.clone(),
            prune: self.prune,
        })
    }

    async fn take(
        &self,
        cache: &Cache,
        rules: &Arc<Rules>,
        bundle: Bundle,
        source: Source,
    ) -> Result<Imported, ImportError> {
        let import = Import::new(cache, Arc::clone(rules), bundle, source)?;
        let preview = import.preview();
        if self.dry_run {
            return Ok(preview);
        }
        let progress = Arc::new(Progress::of("imported", preview.new_bytes));
        let shown = Arc::clone(&progress);
        let imported = import.run(move |bytes| shown.advance(bytes)).await;
        progress.end();
        imported
    }
}

/// Writes down what a lost index could not tell.
async fn keep(cache: &Cache) -> Result<(), TakeError> {
    cache.flush_uses().await?;
    Ok(cache.write_snapshot(|| true).await?)
}

fn described(name: &str, imported: &Imported) -> String {
    let mut text = format!(
        "{name}: {}, {} new of {} blobs, {}\n",
        counted(imported.images, "image"),
        imported.new_blobs,
        imported.blobs,
        size(imported.new_bytes),
    );
    for (repository, tag) in &imported.pruned {
        let _ = writeln!(text, "- {repository}:{tag}");
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

fn failure(error: TakeError) -> Failure {
    match error {
        TakeError::Cache(error @ CacheError::Locked { .. }) => error.into(),
        TakeError::Import {
            source:
                ImportError::NotConfigured { .. }
                | ImportError::TooLarge { .. }
                | ImportError::NoSpace { .. }
                | ImportError::NoSeries
                | ImportError::Rename(_)
                | ImportError::Cache(_),
            ..
        }
        | TakeError::Cache(_)
        | TakeError::Trust(_) => Failure::unusable(&error),
        TakeError::Open(
            OpenError::Files(FilesError::Parts { .. })
            | OpenError::Foreign { .. }
            | OpenError::Cut { .. },
        )
        | TakeError::Import { .. } => Failure::negative(&error),
        TakeError::Open(_) => Failure::unusable(&error),
    }
}
