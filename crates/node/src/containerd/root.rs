//! The node's file system, which a container has below a directory of its own.
//!
//! A path is walked here, name by name, as the node's own programs would: an absolute link leads to
//! the node's file of that path, and `..` not above the node's root. So nothing outside of it is ever
//! read or written, whatever the links on a node say.

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
}

/// What becomes of the last name of a path, if it is a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLink {
    Followed,
    Kept,
}

impl Root {
    /// The file system below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Whether it is this process's own.
    pub fn is_own(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Where a path of the node is for this process, behind the links on the way to it. What is there
    /// may be a link itself, which must not be followed: see [`Self::behind`].
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.walk(path, LastLink::Kept)
    }

    /// As `at`, behind the link that the path itself may be. What is not there keeps its name.
    pub fn behind(&self, path: &str) -> PathBuf {
        self.walk(path, LastLink::Followed)
    }

    /// The path of the node without a link in it, whether or not it is there.
    pub(crate) fn without_links(&self, path: &str) -> String {
        self.on_node(&self.behind(path))
    }

    /// The node's path of a place that was walked to.
    fn on_node(&self, place: &Path) -> String {
        let path = place.strip_prefix(&self.path).unwrap_or(place);
        format!("/{}", path.display())
    }

    fn walk(&self, path: &str, last: LastLink) -> PathBuf {
        let mut place = self.path.clone();
        let (mut left, mut links, mut depth) = (names_from_the_end(Path::new(path)), 0, 0_usize);
        while let Some(name) = left.pop() {
            if name == ".." {
                if depth > 0 {
                    place.pop();
                    depth -= 1;
                }
                continue;
            }
            place.push(name);
            depth += 1;
            if left.is_empty() && last == LastLink::Kept {
                break;
            }
            let Ok(target) = fs::read_link(&place) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return self.path.join(too_many_links());
            }
            if target.is_absolute() {
                place.clone_from(&self.path);
                depth = 0;
            } else {
                place.pop();
                depth -= 1;
            }
            left.extend(names_from_the_end(&target));
        }
        place
    }

    /// Whether something is there, behind all links.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.behind(path).exists()
    }

    /// The real place of a path that is there, behind all links, and its path on the node; `None` if
    /// it is not there.
    pub(crate) fn real(&self, path: &str) -> Option<(PathBuf, String)> {
        let place = self.behind(path);
        let on_node = self.on_node(&place);
        place.exists().then_some((place, on_node))
    }

    /// Whether a link on the path, or the path itself, leads to what is not there.
    pub(crate) fn dangles(&self, path: &str) -> bool {
        let mut passed = String::new();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            passed = format!("{passed}/{name}");
            if self.at(&passed).is_symlink() && !self.has(&passed) {
                return true;
            }
        }
        false
    }

    /// The text of a file; `None` if there is none.
    pub(crate) fn read(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read(self.behind(path)) {
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

/// A name longer than a file may have, so that each use of it fails: to stop at a link would let the
/// kernel follow it, out of the root.
fn too_many_links() -> String {
    "too-many-links-".repeat(20)
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

    /// A root with links from one path to another.
    fn linked(links: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        for path in ["/etc/containerd", "/opt/certs.d/docker.io"] {
            fs::create_dir_all(root.at(path)).unwrap();
        }
        for (link, target) in links {
            symlink(target, root.at(link)).unwrap();
        }
        (folder, root)
    }

    #[test]
    fn a_link_leads_where_the_node_takes_it() {
        let (_folder, node) = linked(&[
            ("/etc/containerd/certs.d", "/opt/certs.d"),
            (
                "/opt/certs.d/ghcr.io",
                "../../../../opt/./certs.d/docker.io",
            ),
        ]);
        fs::write(node.at("/opt/certs.d/docker.io/hosts.toml"), "text").unwrap();
        for registry in ["docker.io", "ghcr.io"] {
            let path = format!("/etc/containerd/certs.d/{registry}/hosts.toml");
            assert_eq!(node.read(&path).unwrap().as_deref(), Some("text"), "{path}");
            let real = node.without_links(&path);
            assert_eq!(real, "/opt/certs.d/docker.io/hosts.toml");
        }
        assert_eq!(node.read("/etc/containerd/certs.d/none").unwrap(), None);
        let link = node.at("/etc/containerd/certs.d/ghcr.io");
        assert!(link.is_symlink() && link.ends_with("opt/certs.d/ghcr.io"));
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "x").unwrap();
        let away = outside.path().to_str().unwrap();
        let up = "../".repeat(40) + away.trim_start_matches('/');
        let (_folder, node) = linked(&[("/opt/absolute", away), ("/opt/relative", &up)]);
        for link in ["/opt/absolute", "/opt/relative"] {
            assert!(node.at(link).exists(), "for this process it leads there");
            let path = format!("{link}/secret");
            assert_eq!(node.read(&path).unwrap(), None, "{path}");
            assert!(node.behind(&path).starts_with(&node.path), "{path}");
            assert!(node.real(link).is_none() && node.dangles(&path));
        }
        assert!(!node.dangles("/opt/none") && !node.dangles("/opt/certs.d"));
    }

    /// The kernel would follow forty links more from where this walk had stopped.
    #[test]
    fn a_circle_or_a_longer_chain_than_linux_follows_leads_nowhere() {
        let (_folder, node) = linked(&[("/opt/circle", "/opt/circle"), ("/opt/0", "/etc")]);
        for at in 0..MAX_LINKS {
            symlink(format!("/opt/{at}"), node.at(&format!("/opt/{}", at + 1))).unwrap();
        }
        let last = format!("/opt/{}", MAX_LINKS - 1);
        assert!(node.has(&last));
        for path in ["/opt/circle", &format!("/opt/{MAX_LINKS}")] {
            assert!(!node.has(path), "{path}");
            assert!(fs::create_dir_all(node.behind(path)).is_err());
        }
    }
}
