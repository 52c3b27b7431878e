//! Whether a node's containerd asks Archway, judged by its files: for each registry the places it
//! will ask, in their order, and all that keeps it from Archway without a word in its log.
//!
//! Refuses to change anything, and to pull: that a node really comes is shown by a probe.

mod bypass;
mod environment;
mod lookup;
mod route;

use std::{collections::BTreeSet, fmt};

use manifest_model::Platform;
use protocol::host::Host;
use url::Url;

pub use self::{
    bypass::Bypass,
    lookup::CheckError,
    route::{Route, Stop},
};
use self::{
    environment::Environment,
    lookup::{Looked, look_up},
    route::scope_of,
};
use super::{
    ConfigOwner, Content, CriConfig, HostDirectory, HostsFault, HostsFile, Place, PullBy, Root,
    Version, edit,
};
use crate::{
    Mirror, Registries, Settings,
    family::containerd::{self as family, DEFAULT},
};

/// Names that people take for that of Docker Hub.
const HUB_ALIASES: [&str; 2] = ["registry-1.docker.io", "index.docker.io"];

/// What the files of a node mean for its pulls.
#[derive(Debug)]
pub struct Check {
    /// Where containerd looks for files, and why there.
    pub folders: String,
    /// A route for each registry.
    pub routes: Vec<Route>,
    /// What keeps containerd from Archway; none where all is well.
    pub findings: Vec<Bypass>,
    /// The system that writes the files itself, if one does.
    owner: Option<ConfigOwner>,
}

impl Check {
    /// Reads the files that `cri` leads to. Without a `version`, files are taken as any version
    /// takes them. An error means that the question has no answer.
    pub fn of(
        root: &Root,
        version: Option<Version>,
        cri: &CriConfig,
        settings: &Settings,
    ) -> Result<Self, CheckError> {
        let mut checker = Checker {
            root,
            version,
            cri,
            settings,
            check: Self {
                folders: folders(version, cri),
                routes: Vec::new(),
                findings: Vec::new(),
                owner: ConfigOwner::of(root),
            },
        };
        checker.config();
        for registry in checker.registries()? {
            checker.registry(&registry)?;
        }
        checker.hub_aliases();
        checker.owner()?;
        checker.proxy()?;
        Ok(checker.check)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.folders)?;
        for route in &self.routes {
            writeln!(formatter, "{}", route.registry)?;
            for (number, Stop { url, reason }) in (1..).zip(&route.stops) {
                writeln!(formatter, "  {number}. {url}: {reason}")?;
            }
        }
        for finding in &self.findings {
            writeln!(formatter, "finding: {}", finding.told(self.owner.as_ref()))?;
        }
        Ok(())
    }
}

/// Collects routes and findings.
struct Checker<'a> {
    root: &'a Root,
    version: Option<Version>,
    cri: &'a CriConfig,
    settings: &'a Settings,
    check: Check,
}

impl Checker<'_> {
    /// Each finding once, whatever the number of registries that it is about.
    fn find(&mut self, bypass: Bypass) {
        if !self.check.findings.contains(&bypass) {
            self.check.findings.push(bypass);
        }
    }

    /// What `config.toml` alone decides.
    fn config(&mut self) {
        if self.reads_nothing() {
            self.find(Bypass::NoConfigPath {
                has_inline_mirrors: self.cri.has_inline_mirrors,
                version: self.version,
                lines: self.cri.lines_for(family::FOLDER),
            });
        } else if self.is_misled() {
            self.find(Bypass::ColonList {
                path: self.cri.path.clone(),
                first: self.cri.directories()[0].to_owned(),
            });
        }
    }

    fn reads_nothing(&self) -> bool {
        self.cri.path.is_empty()
    }

    /// Whether the path is read as one that is not there.
    fn is_misled(&self) -> bool {
        self.cri.is_misread() && !self.root.has(&self.cri.path)
    }

    /// The registries that are asked about: those that are named, and those that have a directory.
    fn registries(&self) -> Result<Vec<Host>, CheckError> {
        let mut hosts = self.settings.registries.names().to_vec();
        if matches!(self.settings.registries, Registries::Named(_)) {
            return Ok(hosts);
        }
        let mut more = BTreeSet::new();
        for folder in self.cri.roots() {
            for found in self.directories(folder)? {
                more.extend(registry_of(&found.name));
            }
        }
        more.retain(|host| !hosts.contains(host));
        hosts.extend(more);
        Ok(hosts)
    }

    fn directories(&self, folder: &str) -> Result<Vec<HostDirectory>, CheckError> {
        HostDirectory::all(self.root, folder, self.version).map_err(CheckError::read(folder))
    }

    fn registry(&mut self, registry: &Host) -> Result<(), CheckError> {
        let looked = look_up(self.root, &self.cri.roots(), registry, self.version)?;
        let route = Route::of(registry, looked.as_ref());
        self.check.routes.push(route);
        self.judge(registry, looked);
        Ok(())
    }

    /// What keeps the images of a registry from Archway.
    fn judge(&mut self, registry: &Host, looked: Option<Looked>) {
        let Some(Looked { taken, hidden }) = looked else {
            // The reason that is the same for all registries was found already.
            if !self.reads_nothing() && !self.is_misled() {
                self.find(Bypass::NotLed {
                    registry: registry.clone(),
                    by: None,
                });
            }
            return;
        };
        let path = taken.file();
        match taken.content {
            Content::Hosts(file) => self.judge_file(registry, path, &file, &hidden),
            Content::Faulty(fault) => self.find(match fault {
                HostsFault::Capability(word) => Bypass::Capability { path, word },
                HostsFault::NoHost => Bypass::NoHostTable { path },
                fault => Bypass::BrokenFile { path, fault },
            }),
            Content::Empty | Content::Certificates { .. } => {
                let has_certificates = !matches!(taken.content, Content::Empty);
                let path = taken.path;
                self.find(Bypass::EmptyDirectory {
                    path,
                    has_certificates,
                });
            }
        }
    }

    fn judge_file(
        &mut self,
        registry: &Host,
        path: String,
        file: &HostsFile,
        hidden: &[HostDirectory],
    ) {
        let mirror = &self.settings.mirror;
        let Some(number) = file.hosts.iter().position(|place| leads_to(place, mirror)) else {
            return self.judge_server(registry, path, file, hidden);
        };
        let place = &file.hosts[number];
        if number > 0 {
            let first = file.hosts[0].url.clone();
            self.find(Bypass::NotFirst {
                path: path.clone(),
                first,
            });
        }
        if !place.resolves || !place.pulls {
            self.find(Bypass::NotForAll {
                path: path.clone(),
                scope: scope_of(place),
            });
        }
        if let Some(wanted) = &self.settings.platform
            && !names(place, wanted)
        {
            self.find(Bypass::OtherPlatform {
                path: path.clone(),
                named: place.platform.clone(),
                wanted: wanted.to_string(),
            });
        }
        self.wait(path, place);
    }

    /// A file without a table for Archway may name it as the last place to ask.
    fn judge_server(
        &mut self,
        registry: &Host,
        path: String,
        file: &HostsFile,
        hidden: &[HostDirectory],
    ) {
        let mirror = &self.settings.mirror;
        let is_last = (file.server.as_deref()).is_some_and(|server| is_at(server, mirror));
        let led = hidden.iter().find(|found| match &found.content {
            Content::Hosts(file) => file.hosts.iter().any(|place| leads_to(place, mirror)),
            _ => false,
        });
        match (is_last, file.hosts.first(), led) {
            (true, None, _) => {}
            (true, Some(first), _) => self.find(Bypass::NotFirst {
                path,
                first: first.url.clone(),
            }),
            (false, _, Some(led)) => self.find(Bypass::Shadowed {
                by: path,
                hidden: led.file(),
            }),
            (false, _, None) => self.find(Bypass::NotLed {
                registry: registry.clone(),
                by: Some(path),
            }),
        }
    }

    /// On this machine a closed port refuses at once; across a network nobody may answer at all.
    fn wait(&mut self, path: String, place: &Place) {
        let too_old = self.version.filter(|version| !version.knows_dial_timeout());
        let waits = too_old.is_some() || place.dial_timeout.is_none();
        if waits && !self.settings.mirror.is_loopback() {
            self.find(Bypass::LongWait { path, too_old });
        }
    }

    /// Directories for Docker Hub under names that containerd never looks for.
    fn hub_aliases(&mut self) {
        for folder in self.cri.directories() {
            for alias in HUB_ALIASES {
                let path = format!("{folder}/{alias}");
                if self.root.behind(&path).is_dir() {
                    self.find(Bypass::HubAlias { path });
                }
            }
        }
    }

    fn proxy(&mut self) -> Result<(), CheckError> {
        let environment = Environment::read(self.root, self.check.owner.as_ref())?;
        if let Some((proxy, path)) = environment.proxy_for(&self.settings.mirror) {
            let host = self.settings.mirror.host().name().to_owned();
            self.find(Bypass::Proxy { path, proxy, host });
        }
        Ok(())
    }

    /// A system that writes the files itself: whatever does not come from its own settings is gone
    /// after its next start. It comes first, since `apply`, which mends other findings, refuses there.
    fn owner(&mut self) -> Result<(), CheckError> {
        let Some(owner) = self.check.owner else {
            return Ok(());
        };
        let is_led = self.check.findings.is_empty();
        let is_its_own = match owner.settings_file() {
            Some(path) => {
                let text = self.root.read(path).map_err(CheckError::read(path))?;
                text.is_some_and(|text| text.contains(&self.settings.mirror.to_string()))
            }
            // Its settings are in no file; what it has written itself has no mark of ours.
            None => !self.has_block_of_ours()?,
        };
        if !is_led || !is_its_own {
            self.check.findings.insert(0, Bypass::Regenerated(owner));
        }
        Ok(())
    }

    fn has_block_of_ours(&self) -> Result<bool, CheckError> {
        for folder in self.cri.directories() {
            let all = self.directories(folder)?;
            if all.iter().any(is_ours) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Where a containerd looks, by its `config.toml`.
fn folders(version: Option<Version>, cri: &CriConfig) -> String {
    let name = version.map_or_else(String::new, |version| format!(" {version}"));
    let roots = cri.roots();
    if roots.is_empty() {
        return format!("containerd{name} reads no hosts.toml");
    }
    let by = match cri.pull_by {
        PullBy::Client(reason) => format!("its CRI plugin, for {reason}"),
        PullBy::Transfer => "its transfer service".to_owned(),
    };
    let (roots, origin) = (roots.join(", then in "), &cri.origin);
    format!("containerd{name} looks in {roots} (from {origin}), and pulls by {by}")
}

/// Whether Archway's table is in a directory's file.
fn is_ours(found: &HostDirectory) -> bool {
    let cut = found.text.as_deref().map(edit::cut);
    !matches!(cut, None | Some(Ok(None)))
}

/// The registry that a directory is for; `None` for the one for all, and for what is no host.
fn registry_of(name: &str) -> Option<Host> {
    if name == DEFAULT || HUB_ALIASES.contains(&name) {
        return None;
    }
    let spelled = name
        .strip_suffix('_')
        .and_then(|name| name.rsplit_once('_'))
        .map(|(host, port)| format!("{host}:{port}"));
    spelled.unwrap_or_else(|| name.to_owned()).parse().ok()
}

/// Whether a place is asked for this platform.
fn names(place: &Place, wanted: &Platform) -> bool {
    let named = place.platform.as_deref();
    let named = named.and_then(|named| named.parse::<Platform>().ok());
    named.is_some_and(|named| named.normalized() == wanted.normalized())
}

fn leads_to(place: &Place, mirror: &Mirror) -> bool {
    is_at(&place.url, mirror)
}

/// Whether a URL, which may have a path, is of this listener.
fn is_at(url: &str, mirror: &Mirror) -> bool {
    let whole = if url.starts_with("http") {
        url.to_owned()
    } else {
        format!("https://{url}")
    };
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    origin(&whole).is_some_and(|found| Some(found) == origin(&mirror.to_string()))
}

#[cfg(test)]
mod tests;
