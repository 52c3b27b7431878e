//! The changes that undo those for Archway: of all registries, or of those that an earlier run was
//! for.

use std::{collections::BTreeSet, fs, path::PathBuf};

use super::{Change, MARK, Plan, PlanError, cut, directories, file_of};
use crate::{
    containerd::{
        ConfigTomlError, CriConfig, HostDirectory, Root,
        directory::{self, HOSTS_TOML},
        disk,
        edit::{self, Scope},
    },
    family::containerd::{self as family, FOLDER},
};

/// dockerd's folder, which containerd reads too from 2.2 on.
const DOCKER_FOLDER: &str = "/etc/docker/certs.d";

/// Collects the changes that undo the others.
pub(super) struct Remover<'a> {
    root: &'a Root,
    /// The names of directories that keep Archway's table.
    spared: Vec<String>,
    /// The directories that were looked at, by their real paths: links may lead to one twice.
    seen: BTreeSet<PathBuf>,
    plan: Plan,
}

impl<'a> Remover<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Self::sparing(root, Vec::new())
    }

    /// Leaves Archway's table in the directories of these names.
    pub(super) fn sparing(root: &'a Root, names: Vec<String>) -> Self {
        Self {
            root,
            spared: names,
            seen: BTreeSet::new(),
            plan: Plan::default(),
        }
    }

    /// All that was ever made, and what a kill has left aside.
    pub(super) fn everything(mut self, cri: Result<CriConfig, ConfigTomlError>) -> Plan {
        let cri = match cri {
            Ok(cri) => Some(cri),
            // Whatever the version makes of a file without `config_path`: its folders are these.
            Err(ConfigTomlError::VersionNeeded) => None,
            Err(error) => {
                self.plan.faults.push(PlanError::Config(error));
                None
            }
        };
        let named = cri.as_ref().map(CriConfig::directories).unwrap_or_default();
        let folders: BTreeSet<&str> = named.into_iter().chain([FOLDER, DOCKER_FOLDER]).collect();
        let folders: Vec<&str> = folders.into_iter().collect();
        for folder in &folders {
            self.tree(folder);
        }
        for folder in &folders {
            self.left_aside(folder);
        }
        let root = self.root;
        let mut plan = self.blocks(&folders);
        match file_that_names_the_authority(root, &folders) {
            None => plan.changes.extend(removal(root, family::CA)),
            Some(by) if root.has(family::CA) => plan.faults.push(PlanError::Named {
                path: family::CA.to_owned(),
                by,
            }),
            Some(_) => {}
        }
        plan
    }

    /// Archway's tables in the directories of these folders, and the links to those directories.
    pub(super) fn blocks(mut self, folders: &[&str]) -> Plan {
        for folder in folders {
            self.links(folder);
        }
        for folder in folders {
            self.files(folder);
        }
        self.plan
    }

    fn gone_if_there(&mut self, path: &str) {
        self.plan.changes.extend(removal(self.root, path));
    }

    /// The tree beside a folder, if it is ours.
    fn tree(&mut self, folder: &str) {
        let tree = format!("{folder}:");
        let (mark, _) = MARK;
        if self.root.has(&format!("{tree}/{mark}")) {
            self.plan.changes.push(Change::Remove(tree));
        }
        if let Some((parent, name)) = folder.rsplit_once('/') {
            let authority = family::CA.rsplit('/').next().unwrap_or_default();
            for left in [&format!("{name}:"), authority] {
                self.gone_if_there(&format!("{parent}/{}{left}", disk::ASIDE));
            }
        }
    }

    /// What a kill has left aside in a folder and in its directories.
    fn left_aside(&mut self, folder: &str) {
        let names = directory::names(self.root, folder).unwrap_or_default();
        for name in names {
            if name.starts_with(disk::ASIDE) {
                self.gone_if_there(&format!("{folder}/{name}"));
            } else {
                self.gone_if_there(&format!("{folder}/{name}/{}{HOSTS_TOML}", disk::ASIDE));
            }
        }
    }

    /// Links of ours to directories of other folders.
    fn links(&mut self, folder: &str) {
        for found in self.listed(folder) {
            if self.is_link_of_ours(&found) {
                self.plan.changes.push(Change::Remove(found.path));
            }
        }
    }

    fn is_link_of_ours(&self, found: &HostDirectory) -> bool {
        self.root.at(&found.path).is_symlink()
            && matches!(cut(found), Ok(Some(cut)) if cut.kept.is_linked)
    }

    fn files(&mut self, folder: &str) {
        for mut found in self.listed(folder) {
            if found.text.is_none() {
                continue;
            }
            // Through a link of ours, which goes, the file is not reached any more.
            match self.root.real(&found.path) {
                Some((real, path)) if !self.seen.contains(&real) => {
                    self.seen.insert(real);
                    found.path = path;
                }
                Some(_) => continue,
                None => {
                    self.plan.faults.push(PlanError::Dangling(found.path));
                    continue;
                }
            }
            let uncovered = match cut(&found) {
                Ok(None) => continue,
                Ok(Some(cut)) => self.uncovered(&found, cut),
                Err(source) => Err(PlanError::Edit {
                    path: found.file(),
                    source,
                }),
            };
            match uncovered {
                Ok(change) => self.plan.changes.push(change),
                Err(fault) => self.plan.faults.push(fault),
            }
        }
    }

    /// What is left of a directory without our block.
    fn uncovered(&self, found: &HostDirectory, cut: edit::Cut) -> Result<Change, PlanError> {
        let path = file_of(self.root, found)?;
        let names = directory::names(self.root, &found.path).unwrap_or_default();
        let is_alone = names.iter().all(|name| name == HOSTS_TOML);
        Ok(if cut.kept.scope == Scope::File || !cut.rest.is_empty() {
            Change::Write {
                path,
                text: cut.rest,
            }
        } else if cut.kept.scope == Scope::Nothing && is_alone {
            Change::Remove(found.path.clone())
        } else {
            Change::Remove(path)
        })
    }

    fn listed(&mut self, folder: &str) -> Vec<HostDirectory> {
        match directories(self.root, folder) {
            Ok(mut found) => {
                found.retain(|found| !self.spared.contains(&found.name));
                found
            }
            Err(fault) => {
                self.plan.faults.push(fault);
                Vec::new()
            }
        }
    }
}

/// The removal of what is there.
fn removal(root: &Root, path: &str) -> Option<Change> {
    let is_there = fs::symlink_metadata(root.at(path)).is_ok();
    is_there.then(|| Change::Remove(path.to_owned()))
}

/// A file that still names our certificate authority without our block.
fn file_that_names_the_authority(root: &Root, folders: &[&str]) -> Option<String> {
    let found = folders
        .iter()
        .filter_map(|folder| directories(root, folder).ok())
        .flatten();
    let mut naming = found.filter(|found| {
        let rest = match cut(found) {
            Ok(Some(cut)) => Some(cut.rest),
            Ok(None) | Err(_) => found.text.clone(),
        };
        rest.is_some_and(|rest| rest.contains(family::CA))
    });
    naming.next().map(|found| found.file())
}
