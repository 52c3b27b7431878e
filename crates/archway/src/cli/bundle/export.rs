//! `archway bundle export`: writes stored images to a bundle.

mod live;
mod output;
mod planned;
mod selected;

use std::{collections::HashSet, path::PathBuf};

use airgap::{ExportPlanError, Running, Stored, Supply};
use bundle::{AttachedScope, IndexContent, Layout, Lock, SeriesName, WriteError};
use cache::inspect::{Contents, Directory};
use clap::{Args, ValueEnum};
use manifest_model::{Digest, Platform};
use protocol::image_name::ImageName;
use terminal::table::size;
use url::Url;

use self::{live::Live, planned::Planned, selected::ChosenFlags};
use super::{error::ExportError, part_size::PartSize};
use crate::cli::{
    cache::CachePlace,
    image_list::{ImageList, ImageListError, Platforms},
    images::url,
    output::{CommandOutput, Exit, Failure, counted},
};

const HELP: &str = "\
The bundle is a tar that is an OCI image layout. It keeps every digest: an index stays as it is, also
where manifests of other platforms are left out. The same lock makes the same bytes.

While Archway runs on the directory, it pulls what is missing, once, with what is attached to each image,
and goes on serving: manifests first, then, unless with --dry-run, the blobs that the bundle carries. Else
the images must be stored whole. What does not come, an image of a list or something attached, is left
out and named; the exit code is 1 then. The command reads the files of the directory itself, so run it as
the user of the server, or as root. Set SOURCE_DATE_EPOCH to fix the time in the bundle.

With --lock, the bundle of that lock is made again, byte for byte, or one of its parts.

Exit codes: 0 written; 1 an image or one of its parts is not stored; 2 the command could not run.

Examples:
  archway bundle export docker.io/library/hello:1.0 --platform linux/amd64,linux/arm64 -o site.tar
  archway bundle export --cached 'docker.io/*' --used 30d --platform linux/amd64 -o used.tar
  archway bundle export --from-file images.txt --platform all -o - | ssh gateway 'cat > site.tar'
  archway bundle export --from-file images.txt --platform linux/arm64 --since old.tar -o delta.tar
  archway bundle export --lock site.lock.json --split 4GiB --part 17 -o site.tar";

/// Write stored images to a bundle
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Export {
    #[arg(
        help = "Images: [HOST/]REPOSITORY[:TAG|@DIGEST] [default tag: latest]",
        value_name = "REF",
        required_unless_present_any = ["from_file", "cached", "used", "lock"]
    )]
    images: Vec<ImageName>,
    /// File with more images, one a line, each with its platform if it is for one alone; `#` starts a
    /// comment, `-` is standard input
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    #[command(flatten)]
    chosen: ChosenFlags,
    #[command(flatten)]
    scope: Scope,
    #[arg(
        help = "The bundle to write; `-` is standard output",
        short,
        long,
        value_name = "FILE"
    )]
    output: PathBuf,
    #[arg(
        help = "Write parts of this size: 4GiB, 650MB, dvd, bd",
        long,
        value_name = "SIZE"
    )]
    split: Option<PartSize>,
    /// Continue an interrupted export of the same bundle
    #[arg(long, conflicts_with = "split")]
    resume: bool,
    /// Show what would be carried; write nothing
    #[arg(long)]
    dry_run: bool,
    #[arg(
        help = "Make the bundle of this lock, or of this bundle's, again",
        long,
        value_name = "FILE",
        conflicts_with_all = ["images", "from_file", "cached", "used", "platform", "docker", "since", "series"]
    )]
    lock: Option<PathBuf>,
    /// Write this part alone
    #[arg(long, value_name = "N", requires = "split", value_parser = clap::value_parser!(u64).range(1..))]
    part: Option<u64>,
    #[arg(
        help = "Registry listener of the Archway that runs on the directory [default: from the configuration]",
        long,
        value_name = "URL",
        value_parser = url,
        conflicts_with = "path"
    )]
    server: Option<Url>,
    #[command(flatten)]
    directory: CachePlace,
}

/// What of each image is carried.
#[derive(Debug, Args)]
pub(super) struct Scope {
    #[arg(
        help = "Platforms, comma-separated os/arch[/variant], or `all`, of images not listed for one",
        long,
        value_name = "PLATFORM",
        value_delimiter = ',',
        required_unless_present_any = ["from_file", "lock"]
    )]
    platform: Vec<Platforms>,
    #[arg(
        help = "Platform for tools that know no OCI layout [default: the only one, else linux/amd64]",
        long,
        value_name = "PLATFORM"
    )]
    docker: Option<Platform>,
    /// Bundle or inventory whose blobs the site has already: they are left out. May be repeated
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
    #[arg(
        help = "Series of the bundle: a site refuses older ones of it",
        long,
        value_name = "NAME"
    )]
    series: Option<SeriesName>,
    /// What is carried of that which is attached to images
    #[arg(long, value_name = "WHAT", default_value = "all")]
    attached: AttachedFlag,
    /// What each image must have
    #[arg(long, value_name = "WHAT")]
    require_attached: Option<RequiredFlag>,
    /// What other tools see of the bundle
    #[arg(long, value_name = "WHAT", default_value = "images")]
    index: IndexFlag,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AttachedFlag {
    /// Signatures, SBOMs, attestations and whatever else refers to them
    All,
    /// Signatures
    Signatures,
    /// Nothing
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RequiredFlag {
    /// A signature of the image, or of each of its manifests
    Signatures,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum IndexFlag {
    /// The images that run from this file alone
    Images,
    /// What is attached too, which some tools take for images
    All,
}

impl Scope {
    fn attached(&self) -> AttachedScope {
        match self.attached {
            AttachedFlag::All => AttachedScope::All,
            AttachedFlag::Signatures => AttachedScope::Signatures,
            AttachedFlag::None => AttachedScope::None,
        }
    }

    fn index(&self) -> IndexContent {
        match self.index {
            IndexFlag::Images => IndexContent::Images,
            IndexFlag::All => IndexContent::All,
        }
    }
}

impl Export {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let live = Live::find(&self.directory, self.server.as_ref())?;
        let directory = self.directory.open()?.directory;
        let planned = self
            .export(&directory, live.as_ref())
            .map_err(|error| match &error {
                ExportError::Plan(
                    ExportPlanError::NoRegistry { .. } | ExportPlanError::Running(_),
                ) => Failure::unusable(&error),
                ExportError::Missing { .. }
                | ExportError::Plan(_)
                | ExportError::Write(WriteError::Blob { .. } | WriteError::Damaged(_)) => {
                    Failure::negative(&error)
                }
                _ => Failure::unusable(&error),
            })?;
        let exit = if planned.is_whole {
            Exit::Success
        } else {
            Exit::Negative
        };
        // Standard output may be the bundle.
        Ok(CommandOutput::new(String::new(), exit).with_notes(planned.notes))
    }

    fn export(&self, directory: &Directory, live: Option<&Live>) -> Result<Planned, ExportError> {
        let mut contents = match live {
            Some(live) => live.contents(directory)?,
            None => directory.contents()?,
        };
        // A lock lists its blobs; what a name means is in the index alone.
        if self.lock.is_none()
            && let Some(source) = contents.unread.take()
        {
            return Err(ExportError::Unread { source });
        }
        let stored = Stored::of(directory, &contents);
        let supply = Supply::new(&stored, live.map(|live| live as &dyn Running));
        let mut planned = match &self.lock {
            Some(path) => self.given(path)?,
            None => self.plan(directory, live, &supply, &contents)?,
        };
        let lock = Lock::parse(&planned.lock).map_err(bundle::LayoutError::from)?;
        let layout = Layout::new(&planned.lock, &lock)?;
        if !self.dry_run {
            if self.lock.is_some() {
                self.check_target(directory, layout.size())?;
                self.bring(&supply, &lock, &layout)?;
            }
            self.write(&planned.lock, &layout, &stored)?;
        }
        planned.notes += &summary(&lock, &layout, &planned.lock);
        Ok(planned)
    }

    /// Has pulled what a given lock lists and is missing, of one part what that needs.
    fn bring(&self, supply: &Supply<'_>, lock: &Lock, layout: &Layout) -> Result<(), ExportError> {
        let written = self.written(layout)?;
        let needed: HashSet<Digest> = layout
            .carried()
            .filter(|(_, size, at)| *at < written.end && at + size > written.start)
            .map(|(digest, _, _)| digest)
            .collect();
        let missing = supply.bring_lock(lock, |digest| needed.contains(digest));
        let missing = missing.map_err(ExportPlanError::Running)?;
        if missing.is_empty() {
            return Ok(());
        }
        let reasons = missing.join("\n");
        Err(ExportError::Missing { reasons })
    }

    /// The images asked for, each with its platforms.
    fn wanted(&self, contents: &Contents) -> Result<Vec<planned::WantedImage>, ImageListError> {
        let mut images = self.images.clone();
        images.extend(self.chosen.of(contents));
        let list = ImageList::new(images, self.from_file.clone());
        let default = Platforms::of_flags(&self.scope.platform);
        let images = list.for_platforms(default.as_ref())?;
        // A bundle of nothing would pass for one that was made.
        if images.is_empty() {
            return Err(ImageListError::Empty);
        }
        Ok(images)
    }
}

fn summary(lock: &Lock, layout: &Layout, bytes: &[u8]) -> String {
    let carried = lock.carried().count() as u64;
    let all = lock.blobs.len() as u64;
    let of = if carried == all {
        String::new()
    } else {
        format!(" of {all}")
    };
    format!(
        "{}, {carried}{of} blobs, {}\nbundle {}\n",
        counted(lock.images.len() as u64, "image"),
        size(layout.size()),
        Lock::id(bytes)
    )
}
