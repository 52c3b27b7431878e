//! The lock of an export: planned from what is stored, or that of an interrupted one.

use std::{collections::HashSet, env, fmt::Write as _, fs, path::Path, time::SystemTime};

use airgap::{Draft, Lacking, OnMissing, Request, Supply, fits};
use bundle::{Bundle, FilesError, Plan, ReadError, Selection, SeriesName, open_file, read_lock};
use cache::inspect::{Contents, Directory};
use manifest_model::{Digest, Platform};
use protocol::{error_chain::ErrorChain, image_name::ImageName};
use terminal::table;

use super::{Export, RequiredFlag, live::Live};
use crate::cli::{
    bundle::{diff::Described, error::ExportError, partial},
    image_list::Platforms,
};

/// An image of an export, and its platforms.
pub(super) type WantedImage = (ImageName, Platforms);

/// What is shorter has no lock yet.
const SHORTEST_HEAD: u64 = 1536;

/// A lock to be written, and what there is to say of it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) lock: Vec<u8>,
    pub(super) notes: String,
    /// Whether all that was asked for is in it.
    pub(super) is_whole: bool,
}

impl Planned {
    pub(super) fn of_lock(lock: Vec<u8>) -> Self {
        Self {
            lock,
            notes: String::new(),
            is_whole: true,
        }
    }
}

impl Export {
    pub(super) fn plan(
        &self,
        directory: &Directory,
        live: Option<&Live>,
        supply: &Supply<'_>,
        contents: &Contents,
    ) -> Result<Planned, ExportError> {
        let images = self.wanted(contents)?;
        let (selection, least) = self.selection(&images)?;
        let left = self.left()?;
        let count = images.len();
        let lenient = self.from_file.is_some() || self.chosen.is_given();
        let images = images.into_iter();
        let request = Request {
            images: images
                .map(|(name, platforms)| (name, platforms.as_slice().to_vec()))
                .collect(),
            selection,
            begun: left.as_ref().map(Bundle::lock),
            on_missing: if lenient {
                OnMissing::LeaveOut
            } else {
                OnMissing::Fail
            },
        };
        let mut draft = request.draft(supply, Lacking::Counted)?;
        if !self.dry_run {
            self.check_target(directory, draft.plan.carried_bytes())?;
            draft = request.draft(supply, Lacking::Pulled)?;
        }
        let notes = notes(&draft);
        if draft.left_out.len() == count {
            return Err(ExportError::NothingStored { notes });
        }
        let is_whole = draft.left_out.is_empty() && draft.failures.is_empty();
        let lock = if let Some(left) = &left {
            self.resumed(draft.plan, left)?
        } else {
            let number = self.number(directory, live, least)?;
            draft.plan.finish(created()?, number)?.to_bytes()
        };
        Ok(Planned {
            lock,
            notes,
            is_whole,
        })
    }

    /// Fails if what is to be written of so many bytes does not fit there.
    pub(super) fn check_target(
        &self,
        directory: &Directory,
        carried: u64,
    ) -> Result<(), ExportError> {
        if self.output == Path::new("-") {
            return Ok(());
        }
        let folder = self.output.parent();
        let folder = folder.filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        let left = fs::metadata(partial(&self.output)).map_or(0, |left| left.len());
        let (needed, longest) = match (self.split, self.part) {
            (Some(size), Some(number)) => {
                let before = (number - 1).saturating_mul(size.0);
                let part = carried.saturating_sub(before).min(size.0);
                (part, part)
            }
            (Some(size), None) => (carried, carried.min(size.0)),
            (None, _) => (carried.saturating_sub(left), carried),
        };
        Ok(fits(folder, directory.path(), needed, longest)?)
    }

    /// The series and the next number in it.
    fn number(
        &self,
        directory: &Directory,
        live: Option<&Live>,
        least: u64,
    ) -> Result<Option<(SeriesName, u64)>, ExportError> {
        let Some(series) = &self.scope.series else {
            return Ok(None);
        };
        let number = if self.dry_run {
            least
        } else if let Some(live) = live {
            live.next_in_series(series.as_str(), least)?
        } else {
            directory.own()?.next_in_series(series.as_str(), least)?
        };
        Ok(Some((series.clone(), number)))
    }

    /// What to carry, and the least number of the bundle in its series.
    fn selection(&self, images: &[WantedImage]) -> Result<(Selection, u64), ExportError> {
        let scope = &self.scope;
        let platforms = Platforms::together(images.iter().map(|(_, platforms)| platforms));
        let platforms = platforms.as_slice().to_vec();
        let (mut base, mut requires) = (HashSet::<Digest>::new(), Vec::new());
        let mut least = 1;
        for path in &scope.since {
            match Described::read(path)? {
                Described::Lock(older) => {
                    let lock = older.lock();
                    base.extend(lock.blobs.iter().map(|blob| blob.digest));
                    requires.push(older.id());
                    if lock.series == scope.series {
                        least = least.max(lock.sequence.unwrap_or(0).saturating_add(1));
                    }
                }
                Described::Inventory(site) => {
                    base.extend(site.blobs.keys());
                    requires.extend(&site.bundles);
                }
            }
        }
        let docker = scope.docker.clone();
        let selection = Selection {
            docker: Some(docker.unwrap_or_else(|| for_docker(&platforms))),
            attached: scope.attached(),
            require_signatures: scope.require_attached == Some(RequiredFlag::Signatures),
            index: scope.index(),
            platforms,
            base,
            requires,
        };
        Ok((selection, least))
    }

    /// What an interrupted export to the same file has left; `None` if nothing, or if it ended before
    /// its lock was written.
    fn left(&self) -> Result<Option<Bundle>, ExportError> {
        if self.output == Path::new("-") || self.dry_run || self.split.is_some() {
            return Ok(None);
        }
        if self.output.exists() {
            return Err(ExportError::Exists {
                path: self.output.clone(),
            });
        }
        let path = partial(&self.output);
        let Ok(metadata) = fs::metadata(&path) else {
            return Ok(None);
        };
        if !self.resume {
            return Err(ExportError::Interrupted { path });
        }
        match open_file(&path) {
            Ok((_, bundle)) => Ok(Some(bundle)),
            Err(FilesError::Read {
                source: ReadError::CutShort { .. },
                ..
            }) => Ok(None),
            Err(_) if metadata.len() < SHORTEST_HEAD => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lock in a file, unless the file to be continued is of another one.
    pub(super) fn given(&self, lock: &Path) -> Result<Planned, ExportError> {
        let given = match Described::read(lock)? {
            Described::Lock(bundle) => *bundle,
            // The lock's reader says why that is none.
            Described::Inventory(_) => read_lock(lock)?,
        };
        let lock = given.lock_bytes().to_vec();
        match self.left()? {
            Some(left) if left.lock_bytes() != lock => {
                let path = partial(&self.output);
                Err(ExportError::OtherExport { path })
            }
            _ => Ok(Planned::of_lock(lock)),
        }
    }

    /// The lock of the interrupted export, if what is asked for now makes the same one: whatever flag
    /// differs, differs there.
    fn resumed(&self, plan: Plan<'_, Supply<'_>>, left: &Bundle) -> Result<Vec<u8>, ExportError> {
        let lock = left.lock();
        let series = lock.series.clone().zip(lock.sequence);
        let now = plan.finish(lock.created.clone(), series)?.to_bytes();
        if lock.series == self.scope.series && now == left.lock_bytes() {
            return Ok(now);
        }
        let path = partial(&self.output);
        Err(ExportError::OtherExport { path })
    }
}

/// What a plan lacks, a line each.
fn notes(draft: &Draft<'_>) -> String {
    let mut notes = String::new();
    for error in &draft.left_out {
        let _ = writeln!(notes, "left out: {}", ErrorChain(error));
    }
    for line in &draft.failures {
        let _ = writeln!(notes, "note: {line}");
    }
    for (name, digest) in draft.plan.incomplete() {
        let _ = writeln!(
            notes,
            "note: left out {digest}, attached to {name}: parts of it are not stored"
        );
    }
    notes
}

/// The platform of `manifest.json` where none is named.
fn for_docker(platforms: &[Platform]) -> Platform {
    match platforms {
        [only] => only.clone(),
        _ => "linux/amd64".parse().expect("a platform"),
    }
}

/// The time in the bundle, which `SOURCE_DATE_EPOCH` fixes.
fn created() -> Result<String, ExportError> {
    let now = match env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => match text.parse() {
            Ok(fixed) if fixed <= table::MAX_UNIX_SECONDS => fixed,
            _ => return Err(ExportError::Epoch { text }),
        },
        Err(_) => table::seconds(SystemTime::now()),
    };
    Ok(table::time(now))
}
