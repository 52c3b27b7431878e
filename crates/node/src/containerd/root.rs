//! The node's file system, which a container has below a directory of its own.

use std::{
    ffi::OsString,
    fs, io,
    path::{Component, Path, PathBuf},
};

/// As many links as Linux follows on one path.
const MAX_LINKS: usize = 40;

/// Where the node's file system begins: `/`, or `/host` in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    path: PathBuf,
    links: Links,
}

/// Where an absolute symbolic link leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// Into the file system of this process, where nothing of the node's may be written.
    OfProcess,
    /// Into that of the node, as for the node's own programs.
    OfNode,
}

impl Root {
    /// The file system below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            links: Links::OfProcess,
        }
    }

    /// The same file system, read as the node's own programs read it: a link to `/opt` leads to the
    /// node's `/opt`. Nothing is written through this one.
    #[must_use]
    pub fn as_the_node_reads_it(&self) -> Self {
        let links = if self.is_own() {
            Links::OfProcess
        } else {
            Links::OfNode
        };
        Self {
            links,
            ..self.clone()
        }
    }

    /// Whether it is this process's own.
    pub fn is_own(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Where a path of the node is for this process.
    pub fn at(&self, path: &str) -> PathBuf {
        match self.links {
            Links::OfProcess => self.path.join(path.trim_start_matches('/')),
            Links::OfNode => self.behind_links(Path::new(path)),
        }
    }

    /// The place of a path behind all its links. What is not there keeps its name.
    fn behind_links(&self, path: &Path) -> PathBuf {
        let mut place = self.path.clone();
        let (mut left, mut links) = (names_from_the_end(path), 0);
        while let Some(name) = left.pop() {
            if name == ".." {
                if place != self.path {
                    place.pop();
                }
                continue;
            }
            place.push(name);
            if links < MAX_LINKS
                && let Ok(target) = fs::read_link(&place)
            {
                links += 1;
                if target.is_absolute() {
                    place.clone_from(&self.path);
                } else {
                    place.pop();
                }
                left.extend(names_from_the_end(&target));
            }
        }
        place
    }

    /// The real place of a path that is there, behind all links, and its path on the node; `None` if
    /// it is not there, or a link leads out of the node's file system as it is mounted here.
    pub(crate) fn real(&self, path: &str) -> Option<(PathBuf, String)> {
        let (root, place) = (
            self.path.canonicalize().ok()?,
            self.at(path).canonicalize().ok()?,
        );
        let on_node = place.strip_prefix(root).ok()?.to_str()?.to_owned();
        Some((place, format!("/{on_node}")))
    }

    /// The text of a file; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read(self.at(path)) {
            Ok(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the file is not UTF-8")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new("/")
    }
}

/// The names on a path, the last one first.
fn names_from_the_end(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_leads_where_the_node_takes_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        for path in ["/etc/containerd", "/opt/certs.d/docker.io"] {
            fs::create_dir_all(root.at(path)).unwrap();
        }
        for (link, target) in [
            ("/etc/containerd/certs.d", "/opt/certs.d"),
            (
                "/opt/certs.d/ghcr.io",
                "../../../../opt/./certs.d/docker.io",
            ),
            ("/opt/circle", "/opt/circle"),
        ] {
            symlink(target, root.at(link)).unwrap();
        }
        fs::write(root.at("/opt/certs.d/docker.io/hosts.toml"), "text").unwrap();
        let node = root.as_the_node_reads_it();
        for registry in ["docker.io", "ghcr.io"] {
            let path = format!("/etc/containerd/certs.d/{registry}/hosts.toml");
            assert_eq!(node.read(&path).unwrap().as_deref(), Some("text"), "{path}");
        }
        assert_eq!(node.read("/etc/containerd/certs.d/none").unwrap(), None);
        assert_eq!(node.at("/opt/circle"), root.at("/opt/circle"));
    }
}
