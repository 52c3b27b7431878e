//! Where the programs are that the tests run. A missing one fails the test and names what installs
//! it.

use std::env;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests live in the repository")
        .to_owned()
}

/// A program of the system, as Debian's packages install it.
///
/// Never looked up in the caller's `PATH`: another release of the same program may be in there.
pub(crate) fn system(name: &str) -> PathBuf {
    let candidates = ["/usr/sbin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    found(name, &candidates)
}

/// A program that `tests/tools/install.sh` builds into its own folder.
pub(crate) fn built(name: &str) -> PathBuf {
    found(name, &[folder().join("bin").join(name)])
}

/// `$ARCHWAY_TOOLS`, by default `.tools` at the top of the repository.
pub(crate) fn folder() -> PathBuf {
    env::var_os("ARCHWAY_TOOLS").map_or_else(|| repository().join(".tools"), PathBuf::from)
}

fn found(name: &str, candidates: &[PathBuf]) -> PathBuf {
    candidates
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .unwrap_or_else(|| {
            panic!(
                "{name} is missing (looked for {candidates:?}): run tests/tools/install.sh clients"
            )
        })
}
