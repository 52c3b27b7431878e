//! What the control groups of this process let it use.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The smallest limit of any group from ours up; `None` where there is none.
pub(super) fn of_cgroup() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    smallest(&groups, Path::new("/sys/fs/cgroup"))
}

/// The smallest limit of the groups that `/proc/self/cgroup` lists, mounted at `root`.
///
/// Inside a container the path may be the one outside of it: then only the root of the mount is
/// there, which is the container's own group.
fn smallest(groups: &str, root: &Path) -> Option<u64> {
    groups
        .lines()
        .filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let (root, file) = match controllers {
                "" => (root.to_owned(), "memory.max"),
                list if list.split(',').any(|one| one == "memory") => {
                    (root.join("memory"), "memory.limit_in_bytes")
                }
                _ => return None,
            };
            limits(&root, path, file).min()
        })
        .min()
}

fn limits<'a>(root: &Path, path: &str, file: &'a str) -> impl Iterator<Item = u64> + use<'a> {
    let (root, own) = (root.to_owned(), root.join(path.trim_start_matches('/')));
    let up: Vec<PathBuf> = own.ancestors().map(Path::to_owned).collect();
    up.into_iter()
        .take_while(move |folder| folder.starts_with(&root))
        .filter_map(move |folder| {
            let text = fs::read_to_string(folder.join(file)).ok()?;
            // "max" is no number, and version 1 writes a very large one for it.
            text.trim().parse().ok().filter(|limit| *limit < 1 << 60)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_limit_from_our_group_up_counts_in_both_versions() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "400\n");
        write("a/b/memory.max", "max\n");
        write("memory/c/memory.limit_in_bytes", "300\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        for (groups, expected) in [
            ("0::/a/b\n", Some(400)),
            ("0::/elsewhere\n", None),
            ("4:memory:/c\n3:cpuset:/c\n0::/\n", Some(300)),
            ("4:memory:/not/mounted\n", None),
            ("", None),
        ] {
            assert_eq!(smallest(groups, root.path()), expected, "{groups}");
        }
    }
}
