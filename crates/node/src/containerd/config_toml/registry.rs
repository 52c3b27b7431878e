//! What the files say about pulls, put together, and what is in force then.

use toml_edit::TableLike;

use super::{CRI_THREE, CRI_TWO, ConfigTomlError, CriConfig, Format, Origin, PullBy};
use crate::containerd::Version;

/// The default from 2.2 on.
pub(super) const DEFAULT_PATH: &str = "/etc/containerd/certs.d:/etc/docker/certs.d";
/// What an unset `max_concurrent_downloads` is.
const DEFAULT_DOWNLOADS: i64 = 3;

/// What files say about pulls; nothing where they say nothing.
#[derive(Default)]
pub(super) struct Registry {
    path: Option<(String, String)>,
    inline_mirrors: Option<bool>,
    inline_others: Option<bool>,
    local: Option<bool>,
    discards_layers: Option<bool>,
    syncs: Option<bool>,
    hides_annotations: Option<bool>,
    downloads: Option<i64>,
}

impl Registry {
    /// The part of a file that is about pulls; `None` if the plugin is not in it at all.
    pub(super) fn of(
        root: &dyn TableLike,
        format: Format,
        path: &str,
        running: Option<Version>,
    ) -> Option<Self> {
        let plugins = table(root, "plugins")?;
        let cri = match format {
            // 2.x renames the short name and leaves the long one, 1.x knows the short one alone.
            Format::One if running.is_some_and(|version| !version.is_two()) => {
                table(plugins, "cri")?
            }
            Format::One => table(plugins, CRI_TWO).or_else(|| table(plugins, "cri"))?,
            Format::Two => table(plugins, CRI_TWO)?,
            Format::Three => table(plugins, CRI_THREE)?,
        };
        // From version 3 on, the keys about images are keys of the plugin itself.
        let images = match format {
            Format::Three => Some(cri),
            Format::One | Format::Two => table(cri, "containerd"),
        };
        let registry = table(cri, "registry");
        let is_filled = |key| {
            let inner = registry.and_then(|registry| table(registry, key));
            inner.map(|inner| !inner.is_empty())
        };
        let flag = |table: Option<&dyn TableLike>, key: &str| table?.get(key)?.as_bool();
        let config_path = registry.and_then(|registry| registry.get("config_path")?.as_str());
        Some(Self {
            path: config_path.map(|value| (value.to_owned(), path.to_owned())),
            inline_mirrors: is_filled("mirrors"),
            inline_others: match (is_filled("configs"), is_filled("auths")) {
                (None, None) => None,
                (configs, auths) => Some(configs == Some(true) || auths == Some(true)),
            },
            local: flag(Some(cri), "use_local_image_pull"),
            discards_layers: flag(images, "discard_unpacked_layers"),
            syncs: flag(Some(cri), "image_pull_with_sync_fs"),
            hides_annotations: flag(images, "disable_snapshot_annotations"),
            downloads: cri
                .get("max_concurrent_downloads")
                .and_then(toml_edit::Item::as_integer),
        })
    }

    /// Adds a file that is read later. containerd 1.x replaces a plugin's table as a whole.
    pub(super) fn merge(&mut self, later: Self, version: Option<Version>) {
        if version.is_some_and(|version| !version.is_two()) {
            *self = later;
            return;
        }
        *self = Self {
            path: later.path.or_else(|| self.path.take()),
            inline_mirrors: later.inline_mirrors.or(self.inline_mirrors),
            inline_others: later.inline_others.or(self.inline_others),
            local: later.local.or(self.local),
            discards_layers: later.discards_layers.or(self.discards_layers),
            syncs: later.syncs.or(self.syncs),
            hides_annotations: later.hides_annotations.or(self.hides_annotations),
            downloads: later.downloads.or(self.downloads),
        };
    }

    pub(super) fn in_force(
        self,
        version: Option<Version>,
        format: Option<Format>,
    ) -> Result<CriConfig, ConfigTomlError> {
        let has_inline_mirrors = self.inline_mirrors == Some(true);
        let pull_by = self.pull_by(version);
        let set = self.path.filter(|(path, _)| !path.is_empty());
        let (path, origin) = match (set, version) {
            (Some((path, file)), _) => (path, Origin::File(file)),
            (None, _) if has_inline_mirrors => (String::new(), Origin::Default),
            (None, None) => return Err(ConfigTomlError::VersionNeeded),
            (None, Some(version)) if version.has_default_path() => {
                (DEFAULT_PATH.to_owned(), Origin::Default)
            }
            (None, Some(_)) => (String::new(), Origin::Default),
        };
        let new = match version {
            Some(version) if version.is_two() => Format::Three,
            _ => Format::Two,
        };
        Ok(CriConfig {
            path,
            origin,
            pull_by,
            has_inline_mirrors,
            format: format.unwrap_or(new),
            is_new: format.is_none(),
        })
    }

    /// Who pulls, as containerd decides it. An unknown version may be one with the transfer service.
    fn pull_by(&self, version: Option<Version>) -> PullBy {
        if version.is_some_and(|version| !version.pulls_by_transfer()) {
            return PullBy::Client("want of another way");
        }
        let reasons = [
            (self.local == Some(true), "use_local_image_pull = true"),
            (
                self.hides_annotations == Some(false),
                "disable_snapshot_annotations = false",
            ),
            (
                self.discards_layers == Some(true),
                "discard_unpacked_layers = true",
            ),
            (self.inline_mirrors == Some(true), "registry.mirrors"),
            (
                self.inline_others == Some(true),
                "registry.configs or registry.auths",
            ),
            (
                self.downloads
                    .is_some_and(|count| count != DEFAULT_DOWNLOADS),
                "max_concurrent_downloads",
            ),
            (self.syncs == Some(true), "image_pull_with_sync_fs = true"),
        ];
        let mut reasons = reasons.into_iter();
        reasons
            .find(|(holds, _)| *holds)
            .map_or(PullBy::Transfer, |(_, reason)| PullBy::Client(reason))
    }
}

fn table<'a>(parent: &'a dyn TableLike, key: &str) -> Option<&'a dyn TableLike> {
    parent.get(key)?.as_table_like()
}
