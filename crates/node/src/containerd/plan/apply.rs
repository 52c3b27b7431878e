//! The changes that lead containerd to Archway.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Change, Plan, PlanError, directories, file_of, read};
use crate::{
    Registries, Settings,
    containerd::{
        Content, HostDirectory, Root, directory,
        edit::{self, Kept, Scope},
    },
    family::containerd::{self as family, DEFAULT},
};

/// Collects the changes for a mirror.
pub(super) struct Builder<'a> {
    root: &'a Root,
    settings: &'a Settings,
    url: String,
    table: String,
    plan: Plan,
}

impl<'a> Builder<'a> {
    pub(super) fn new(root: &'a Root, settings: &'a Settings) -> Self {
        Self {
            root,
            settings,
            url: settings.mirror.to_string(),
            table: family::host_table(settings),
            plan: Plan::default(),
        }
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }

    fn add(&mut self, part: impl FnOnce(&mut Self) -> Result<(), PlanError>) {
        if let Err(fault) = part(self) {
            self.plan.faults.push(fault);
        }
    }

    /// The certificate authority, before a file names it.
    pub(super) fn authority(&mut self) {
        self.add(|builder| {
            let Some(authority) = &builder.settings.authority else {
                return Ok(());
            };
            let there = builder.root.read(family::CA).map_err(read(family::CA))?;
            if there.as_deref() != Some(authority.pem()) {
                builder.plan.changes.push(Change::Write {
                    path: family::CA.to_owned(),
                    text: authority.pem().to_owned(),
                });
            }
            Ok(())
        });
    }

    /// The directories of all registries that are led to Archway. Returns their names, so of all that
    /// may have Archway's table; `None` if the directories there are cannot be listed.
    pub(super) fn registries(&mut self, folders: &[&str]) -> Option<Vec<String>> {
        let names = self.all_registries(folders);
        names.map_err(|fault| self.plan.faults.push(fault)).ok()
    }

    fn all_registries(&mut self, folders: &[&str]) -> Result<Vec<String>, PlanError> {
        let (folder, later) = (folders[0], &folders[1..]);
        if self.root.dangles(folder) {
            return Err(PlanError::Dangling(folder.to_owned()));
        }
        if !self.root.has(folder) {
            self.plan.changes.push(Change::Folder(folder.to_owned()));
        }
        for folder in folders {
            self.unseen(folder)?;
        }
        let ours = directories(self.root, folder)?;
        let mut theirs = Vec::new();
        for folder in later {
            // Of two folders that have it, containerd takes the first.
            for found in directories(self.root, folder)? {
                let is_new = |known: &HostDirectory| known.name != found.name;
                if ours.iter().chain(&theirs).all(is_new) && found.content != Content::Empty {
                    theirs.push(found);
                }
            }
        }
        let names: Vec<String> = match &self.settings.registries {
            // Every directory hides the one for all; that one is written last.
            Registries::All(_) => {
                let names = ours.iter().chain(&theirs).map(|found| found.name.clone());
                let names = names.filter(|name| name != DEFAULT);
                names.chain([DEFAULT.to_owned()]).collect()
            }
            Registries::Named(hosts) => hosts
                .iter()
                .map(|host| self.name_of(host.as_str(), folders))
                .collect(),
        };
        for name in &names {
            let known =
                |all: &[HostDirectory]| all.iter().find(|found| found.name == *name).cloned();
            let path = format!("{folder}/{name}");
            self.add(|builder| match (known(&ours), known(&theirs)) {
                (Some(found), _) => builder.directory(&found, false),
                (None, Some(found)) => builder.linked(&path, folder, &found),
                (None, None) => {
                    let text =
                        edit::whole(&Content::Empty, &builder.table, Kept::new(Scope::Nothing));
                    builder.plan.changes.push(Change::Directory { path, text });
                    Ok(())
                }
            });
        }
        Ok(names)
    }

    /// Directories that the node has behind links and a container does not see: each hides the one for all.
    fn unseen(&mut self, folder: &str) -> Result<(), PlanError> {
        if self.root.is_own() {
            return Ok(());
        }
        for name in directory::names(self.root, folder).map_err(read(folder))? {
            let path = format!("{folder}/{name}");
            if self.root.dangles(&path) {
                self.plan.faults.push(PlanError::Dangling(path));
            }
        }
        Ok(())
    }

    /// The directory that containerd would take for a registry, or the one to make.
    fn name_of(&self, host: &str, folders: &[&str]) -> String {
        let spellings = [family::directory(host), host.to_owned()];
        let exists = |name: &&String| {
            let mut all = folders.iter();
            all.any(|folder| self.root.behind(&format!("{folder}/{name}")).is_dir())
        };
        spellings
            .iter()
            .find(exists)
            .unwrap_or(&spellings[0])
            .clone()
    }

    /// A directory of a later folder, which the first one is about to hide. Its file is first, since
    /// it says whose the link is.
    fn linked(&mut self, path: &str, folder: &str, found: &HostDirectory) -> Result<(), PlanError> {
        self.directory(found, true)?;
        // The link is read from where its folder really is.
        let [from, to] = [folder, &found.path].map(|path| self.root.without_links(path));
        let target = relative(&from, &to);
        let path = path.to_owned();
        self.plan.changes.push(Change::Link { path, target });
        Ok(())
    }

    /// A directory that is there.
    fn directory(&mut self, found: &HostDirectory, is_linked: bool) -> Result<(), PlanError> {
        let text = self.wanted(found, is_linked)?;
        if found.text.as_deref() != Some(&text) {
            let path = file_of(self.root, found)?;
            self.plan.changes.push(Change::Write { path, text });
        }
        Ok(())
    }

    /// What its file should say. Where it says nothing, containerd uses the certificates beside it, and
    /// goes on to do so.
    fn wanted(&self, found: &HostDirectory, is_linked: bool) -> Result<String, PlanError> {
        let fault = |source| PlanError::Edit {
            path: found.file(),
            source,
        };
        let (rest, mut kept) = match found.text.as_deref() {
            None => (String::new(), Kept::new(Scope::Directory)),
            Some(text) => match edit::cut(text).map_err(fault)? {
                Some(cut) => (cut.rest, cut.kept),
                None => (text.to_owned(), Kept::new(Scope::File)),
            },
        };
        kept.is_linked |= is_linked;
        if rest.is_empty() {
            let certificates = directory::certificates(self.root, &found.path);
            let certificates = certificates.map_err(|source| PlanError::Read {
                path: found.path.clone(),
                source,
            })?;
            return Ok(edit::whole(&certificates, &self.table, kept));
        }
        // Whatever others added to a file of ours is a file of theirs.
        kept.scope = Scope::File;
        let put = edit::put_first(&rest, &self.url, &self.table, kept).map_err(fault)?;
        Ok(put.unwrap_or(rest))
    }

    /// The tree for a `config_path` of several folders that is read as one.
    pub(super) fn workaround(&mut self, config_path: &str, folder: &str) {
        self.add(|builder| builder.tree(config_path, folder));
    }

    fn tree(&mut self, config_path: &str, folder: &str) -> Result<(), PlanError> {
        let path = format!("{folder}:");
        let Some(rest) = config_path.strip_prefix(&path) else {
            return Ok(());
        };
        let mut folders: Vec<String> = rest
            .split('/')
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        let Some(link) = folders.pop() else {
            return Ok(());
        };
        let own = folder.rsplit('/').next().unwrap_or_default();
        let target = format!("{}{own}", "../".repeat(folders.len() + 1));
        let place = self.root.at(config_path);
        match fs::read_link(&place) {
            Ok(leads) if leads == Path::new(&target) => return Ok(()),
            _ if self.root.has(&path) => return Err(PlanError::Foreign(path)),
            _ => {}
        }
        self.plan.changes.push(Change::Workaround {
            path,
            folders,
            link,
            target,
        });
        Ok(())
    }
}

/// A path from one folder to another, which is right below every root.
fn relative(from: &str, to: &str) -> String {
    let from: Vec<&str> = from.split('/').filter(|part| !part.is_empty()).collect();
    let to: Vec<&str> = to.split('/').filter(|part| !part.is_empty()).collect();
    let shared = from
        .iter()
        .zip(&to)
        .take_while(|(from, to)| from == to)
        .count();
    let mut path = PathBuf::new();
    path.extend(from[shared..].iter().map(|_| ".."));
    path.extend(&to[shared..]);
    path.display().to_string()
}
