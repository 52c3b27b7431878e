//! `archway bundle ls`, `rm` and `keep`: the bundles of a site.

use std::fmt::Write as _;

use airgap::{BundleId, BundleIdError, brought, surplus};
use cache::{Allowance, BundleRow, ListedBundle, Stage, inspect::Owned};
use clap::Args;
use client::ControlSocket;
use control::Purged;
use manifest_model::Digest;
use serde_json::json;
use terminal::{
    format::Format,
    table::{Side, Table, short, size, time},
};

use crate::cli::{
    cache::CachePlace,
    output::{CommandOutput, Failure, counted, in_runtime, json as to_json},
};

const LS_HELP: &str = "\
OWN is what would be free if the bundle were removed: the bytes that no other one pins.

Exit codes: 0 done; 2 the command could not run.

Examples:
  archway bundle ls --config /etc/archway.toml
  archway bundle ls -o json";

const RM_HELP: &str = "\
Its images stay and are served until something else needs their room. --purge removes them now: all
that no other bundle pins and no other repository has.

Exit codes: 0 removed; 1 there is no such bundle; 2 the command could not run.

Example:
  archway bundle rm 3f1c9a0b7d52 --purge";

const KEEP_HELP: &str = "\
Each series keeps the bundles with its highest numbers. Bundles without a series stay.

Exit codes: 0 done; 2 the command could not run.

Example:
  archway bundle keep --last 3";

/// List the bundles of a cache
#[derive(Debug, Args)]
#[command(after_help = LS_HELP)]
pub(crate) struct ListBundles {
    #[command(flatten)]
    place: CachePlace,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t)]
    output: Format,
}

/// Remove bundles: what they brought may be evicted then
#[derive(Debug, Args)]
#[command(after_help = RM_HELP)]
pub(crate) struct RemoveBundles {
    /// The ids, or at least their first twelve digits
    #[arg(value_name = "ID", required = true)]
    bundles: Vec<BundleId>,
    /// Remove their images too, at once
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    place: CachePlace,
}

/// Remove all bundles of each series but the last ones
#[derive(Debug, Args)]
#[command(after_help = KEEP_HELP)]
pub(crate) struct KeepBundles {
    /// How many stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: u32,
    #[command(flatten)]
    place: CachePlace,
}

impl ListBundles {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let bundles = if let Some(socket) = self.place.running()? {
            in_runtime(async { Ok(socket.bundles().await?) })?
        } else {
            let bundles = self.place.open()?.directory.bundles();
            bundles.map_err(|unread| Failure::unusable(&unread))?
        };
        Ok(CommandOutput::success(match self.output {
            Format::Text => table(&bundles),
            Format::Json => {
                let bundles: Vec<_> = bundles.iter().map(described).collect();
                to_json(&json!({ "bundles": bundles }))
            }
        }))
    }
}

fn table(bundles: &[ListedBundle]) -> String {
    let mut table = Table::new([
        ("BUNDLE", Side::Left),
        ("SERIES", Side::Left),
        ("SINCE", Side::Left),
        ("IMAGES", Side::Right),
        ("PINNED", Side::Right),
        ("OWN", Side::Right),
        ("NOTE", Side::Left),
    ]);
    let mut bundles: Vec<_> = bundles.iter().collect();
    bundles.sort_by_key(|bundle| bundle.row.since);
    for ListedBundle {
        row,
        pinned_bytes,
        own_bytes,
    } in bundles
    {
        let series = row.series.as_ref();
        table.row([
            short(&row.id),
            series.map_or_else(
                || "-".to_owned(),
                |(name, number)| format!("{name} {number}"),
            ),
            time(row.since).chars().take("2026-11-29".len()).collect(),
            row.images.to_string(),
            size(*pinned_bytes),
            size(*own_bytes),
            note(row),
        ]);
    }
    table.to_string()
}

fn note(row: &BundleRow) -> String {
    let mut notes: Vec<&str> = row.allowed.iter().copied().map(allowance).collect();
    if row.stage == Stage::Arriving {
        notes.push("unfinished");
    }
    notes.join(", ")
}

fn allowance(allowance: Allowance) -> &'static str {
    match allowance {
        Allowance::Unsigned => "unsigned",
        Allowance::Older => "older",
    }
}

fn described(bundle: &ListedBundle) -> serde_json::Value {
    let row = &bundle.row;
    json!({
        "id": row.id,
        "finished": row.stage == Stage::Imported,
        "since": time(row.since),
        "series": row.series.as_ref().map(|(name, _)| name),
        "sequence": row.series.as_ref().map(|(_, number)| number),
        "key": row.signer,
        "allowed": row.allowed.iter().copied().map(allowance).collect::<Vec<_>>(),
        "images": row.images,
        "names": row.names,
        "pinned_bytes": bundle.pinned_bytes,
        "own_bytes": bundle.own_bytes,
    })
}

/// Bundles that can be removed: of a running Archway, or of a directory without one.
enum Holder {
    Running(ControlSocket),
    Stopped(Box<Owned>),
}

impl Holder {
    fn of(place: &CachePlace) -> Result<Self, Failure> {
        Ok(match place.running()? {
            Some(socket) => Self::Running(socket),
            None => Self::Stopped(Box::new(place.open()?.directory.own()?)),
        })
    }

    fn bundles(&self) -> Result<Vec<ListedBundle>, Failure> {
        match self {
            Self::Running(socket) => in_runtime(async { Ok(socket.bundles().await?) }),
            Self::Stopped(owned) => Ok(owned.bundles()?),
        }
    }

    fn remove(
        &self,
        known: &[ListedBundle],
        ids: Vec<Digest>,
        purge: bool,
    ) -> Result<Purged, Failure> {
        match self {
            Self::Running(socket) => {
                let asked = control::RemoveBundles { ids, purge };
                in_runtime(async { Ok(socket.remove_bundles(&asked).await?) })
            }
            Self::Stopped(owned) => {
                let free = owned.remove_bundles(&ids)?;
                if !purge {
                    return Ok(Purged::default());
                }
                Ok(Purged::of(&owned.remove(&brought(known, &ids, free))?))
            }
        }
    }
}

impl RemoveBundles {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let holder = Holder::of(&self.place)?;
        let known = holder.bundles()?;
        let ids = self.bundles.iter();
        let ids = ids.map(|id| id.find(known.iter().map(|bundle| &bundle.row)));
        let ids = ids.collect::<Result<Vec<_>, BundleIdError>>();
        let ids = ids.map_err(|error| Failure::negative(&error))?;
        let mut text = removed(&known, &ids);
        let purged = holder.remove(&known, ids, self.purge)?;
        if self.purge {
            let (blobs, bytes) = (counted(purged.blobs, "blob"), size(purged.bytes));
            let _ = writeln!(text, "removed {blobs}, {bytes}");
        }
        Ok(CommandOutput::success(text))
    }
}

impl KeepBundles {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let holder = Holder::of(&self.place)?;
        let known = holder.bundles()?;
        let last = usize::try_from(self.last).unwrap_or(usize::MAX);
        let ids = surplus(known.iter().map(|bundle| &bundle.row), last);
        let text = removed(&known, &ids);
        holder.remove(&known, ids, false)?;
        Ok(CommandOutput::success(text))
    }
}

/// A line for each bundle that goes.
fn removed(known: &[ListedBundle], ids: &[Digest]) -> String {
    let mut text = String::new();
    for bundle in known.iter().filter(|bundle| ids.contains(&bundle.row.id)) {
        let own = size(bundle.own_bytes);
        let _ = writeln!(text, "{}: removed; {own} of its own", bundle.row.id);
    }
    text
}
