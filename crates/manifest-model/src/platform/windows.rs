//! The Windows containers that a Windows host runs.
//!
//! Host and container share a kernel. Until Windows Server 2022 their builds had to be equal. Since
//! then a host runs every build from the last long-term release before its own up to its own.

/// The name of the operating system these rules are for.
pub(super) const OS: &str = "windows";

/// The builds of the long-term releases with a stable kernel interface: Windows Server 2022 and
/// 2025.
const LONG_TERM_BUILDS: [u16; 2] = [20348, 26100];

/// A feature that every Windows host counts as having, so that it never excludes an image.
pub(super) const WIN32K: &str = "win32k";

/// The compared parts of an `os.version`. Its fourth part, the patch level, does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Version {
    major: u8,
    minor: u8,
    build: u16,
}

/// Whether a host of version `host` runs containers of version `container`.
///
/// A missing version on either side matches, and so does a malformed version of the host. A
/// malformed version of the container does not.
pub(super) fn runs(host: &str, container: &str) -> bool {
    let host = version(host).unwrap_or_default();
    if container.is_empty() || host == Version::default() {
        return true;
    }
    let container = version(container).unwrap_or_default();
    if (host.major, host.minor) != (container.major, container.minor) {
        return false;
    }
    let [first, ..] = LONG_TERM_BUILDS;
    if host.build < first {
        return host.build == container.build;
    }
    let oldest = LONG_TERM_BUILDS
        .into_iter()
        .rfind(|&release| release < host.build)
        .unwrap_or(first);
    (oldest..=host.build).contains(&container.build)
}

/// Parses `10.0.20348` or `10.0.20348.2700`.
fn version(text: &str) -> Option<Version> {
    let mut parts = text.split('.');
    let major = digits(parts.next()?)?.parse().ok()?;
    let minor = digits(parts.next()?)?.parse().ok()?;
    let build = digits(parts.next()?)?.parse().ok()?;
    Some(Version {
        major,
        minor,
        build,
    })
}

/// `part`, if it is all digits: `parse` alone would accept a sign.
fn digits(part: &str) -> Option<&str> {
    part.bytes().all(|b| b.is_ascii_digit()).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::runs;

    const SERVER_2019: &str = "10.0.17763";
    const SERVER_2022: &str = "10.0.20348";
    const WINDOWS_11: &str = "10.0.22621";
    const SERVER_2025: &str = "10.0.26100";
    const LATER: &str = "10.0.29000";

    #[test]
    fn before_2022_builds_must_be_equal() {
        assert!(runs(SERVER_2019, SERVER_2019));
        assert!(!runs(SERVER_2019, "10.0.14393"));
        assert!(!runs(SERVER_2019, SERVER_2022));
    }

    #[test]
    fn since_2022_the_previous_long_term_release_runs_too() {
        assert!(runs(SERVER_2022, SERVER_2022));
        assert!(!runs(SERVER_2022, SERVER_2019));
        assert!(runs(WINDOWS_11, SERVER_2022));
        assert!(runs(SERVER_2025, SERVER_2022));
        assert!(!runs(SERVER_2025, SERVER_2019));
        assert!(runs(LATER, SERVER_2025));
        assert!(!runs(LATER, SERVER_2022));
    }

    #[test]
    fn nothing_newer_than_the_host_runs() {
        assert!(!runs(SERVER_2022, SERVER_2025));
        assert!(!runs(WINDOWS_11, SERVER_2025));
    }

    #[test]
    fn the_patch_level_is_ignored() {
        assert!(runs("10.0.17763.1", "10.0.17763.9999"));
    }

    #[test]
    fn a_missing_version_matches() {
        assert!(runs("", SERVER_2019));
        assert!(runs(SERVER_2019, ""));
        assert!(runs("ltsc2019", SERVER_2022));
    }

    #[test]
    fn a_malformed_version_of_a_container_does_not_match() {
        assert!(!runs(SERVER_2022, "ltsc2022"));
        assert!(!runs(SERVER_2022, "10.0.+20348"));
    }

    #[test]
    fn another_major_version_never_runs() {
        assert!(!runs("11.0.20348", SERVER_2022));
    }
}
