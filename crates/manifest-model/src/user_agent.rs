//! Platforms in `User-Agent` headers.
//!
//! dockerd and CRI-O name the operating system and processor they were built for; no other client
//! does. The header does not carry the user's `--platform`, so the result is only a hint.

use crate::Platform;

/// The trusted daemons, by the product their header names first.
const DAEMON_PREFIXES: [&str; 2] = ["docker/", "cri-o/"];

/// The runtimes of Kubernetes' nodes, which pull for the machine they run on.
const RUNTIME_PREFIXES: [&str; 3] = ["containerd/", "cri-o/", "docker/"];

/// Words of programs that build images, often for other machines than their own.
const BUILDER_WORDS: [&str; 2] = ["buildkit", "buildah"];

/// The start of the part where dockerd repeats its client's header, which proves nothing.
const CLIENT_PART: &str = "UpstreamClient(";

/// The platform of a dockerd or CRI-O:
/// `docker/28.5.2 go/go1.25 ... os/linux arch/arm64 UpstreamClient(...)`.
///
/// `None` for all other clients, above all for builders. Also `None` for `arch/arm`, which may be
/// any of the variants v5 to v7, and for Windows without its build: a guess that is too high would
/// give the client an image it cannot run.
pub fn platform(user_agent: &str) -> Option<Platform> {
    let lower = user_agent.to_ascii_lowercase();
    if !DAEMON_PREFIXES
        .iter()
        .any(|daemon| user_agent.starts_with(daemon))
        || BUILDER_WORDS.iter().any(|word| lower.contains(word))
    {
        return None;
    }
    let own = user_agent.split(CLIENT_PART).next().unwrap_or_default();
    let word = |key| own.split(' ').find_map(|word| word.strip_prefix(key));
    let (os, architecture) = (word("os/")?, word("arch/")?);
    let platform: Platform = match os {
        "windows" => format!("{os}({})/{architecture}", windows_version(own)?),
        _ => format!("{os}/{architecture}"),
    }
    .parse()
    .ok()?;
    (platform.architecture != "arm").then_some(platform)
}

/// Whether it is a container runtime's. Builders, and tools that people run, pull for other machines than
/// the one they run on.
pub fn is_runtime(user_agent: &str) -> bool {
    let lower = user_agent.to_ascii_lowercase();
    RUNTIME_PREFIXES
        .iter()
        .any(|runtime| lower.starts_with(runtime))
        && !BUILDER_WORDS.iter().any(|word| lower.contains(word))
}

/// `10.0.20348` of `kernel/10.0 20348 (20348.1.amd64fre.fe_release.210507-1500)`, the part of a
/// dockerd on Windows.
fn windows_version(own: &str) -> Option<String> {
    let (_, kernel) = own.split_once(" kernel/")?;
    let mut words = kernel.split(' ');
    let (version, build) = (words.next()?, words.next()?);
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (major, minor) = version.split_once('.')?;
    [major, minor, build]
        .into_iter()
        .all(is_number)
        .then(|| format!("{version}.{build}"))
}

#[cfg(test)]
mod tests {
    use super::{is_runtime, platform};

    const DOCKERD: &str = "docker/28.5.2 go/go1.25.3 git-commit/89c5e8f kernel/6.1.0-40-amd64 os/linux arch/amd64 \
                           UpstreamClient(Docker-Client/28.2.2 \\(linux\\))";

    fn found(user_agent: &str) -> Option<String> {
        platform(user_agent).map(|platform| platform.to_string())
    }

    #[test]
    fn dockerd_names_its_platform() {
        assert_eq!(found(DOCKERD).as_deref(), Some("linux/amd64"));
        let arm64 = DOCKERD.replace("arch/amd64", "arch/arm64");
        assert_eq!(found(&arm64).as_deref(), Some("linux/arm64"));
        let store = DOCKERD.replace(
            " os/",
            " containerd-client/2.1.9+unknown storage-driver/overlayfs os/",
        );
        assert_eq!(found(&store).as_deref(), Some("linux/amd64"));
    }

    #[test]
    fn cri_o_names_its_platform() {
        assert_eq!(
            found("cri-o/1.33.2 go/go1.24.4 os/linux arch/arm64").as_deref(),
            Some("linux/arm64")
        );
    }

    #[test]
    fn runtimes_pull_for_their_own_machine_and_nobody_else_does() {
        for runtime in [
            DOCKERD,
            "containerd/v2.4.2",
            "containerd/1.7.24-k3s1",
            "cri-o/1.33.2 go/go1.24",
        ] {
            assert!(is_runtime(runtime), "{runtime}");
        }
        for other in [
            "",
            "buildkit/v0.25.1",
            "docker/28.5.2 buildkit/0.25 os/linux",
            "go-containerregistry",
            "containers/5.39.2 (github.com/containers/image)",
            "kaniko containerd/2",
            "Buildah/1.28.2",
        ] {
            assert!(!is_runtime(other), "{other}");
        }
    }

    #[test]
    fn other_clients_are_never_believed() {
        for client in [
            "containerd/2.1.4",
            "containers/5.39.2",
            "skopeo/1.22.0",
            "xdocker/1",
            "Docker-Client/28",
            "",
        ] {
            assert_eq!(
                found(&format!("{client} os/linux arch/amd64")),
                None,
                "{client}"
            );
        }
    }

    #[test]
    fn builders_are_never_believed() {
        for builder in [
            "buildkit/v0.25.1",
            "Buildah/1.28.2",
            "docker/28.5.2 buildkit/v0.25.1",
        ] {
            assert_eq!(
                found(&format!("{builder} os/linux arch/amd64")),
                None,
                "{builder}"
            );
        }
        assert_eq!(
            found(&DOCKERD.replace("Docker-Client/28.2.2", "buildkit/v0.25.1")),
            None
        );
    }

    #[test]
    fn the_header_of_dockerds_client_is_not_dockerds() {
        assert_eq!(
            found("docker/28.5.2 go/go1.25.3 UpstreamClient(x os/linux arch/s390x )"),
            None
        );
        assert_eq!(
            found("docker/28.5.2 os/linux UpstreamClient(x arch/s390x )"),
            None
        );
    }

    #[test]
    fn half_a_platform_or_a_malformed_one_is_none() {
        for rest in [
            "os/linux",
            "arch/amd64",
            "os/ arch/amd64",
            "os/linux arch/",
            "os/linux arch/a/b/c",
            "os/* arch/*",
        ] {
            assert_eq!(found(&format!("docker/28.5.2 {rest}")), None, "{rest}");
        }
    }

    #[test]
    fn a_windows_without_its_build_is_none() {
        let windows = "docker/28.5.2 go/go1.25.3 git-commit/89c5e8f \
                       kernel/10.0 20348 (20348.1.amd64fre.fe_release.210507-1500) os/windows arch/amd64 \
                       UpstreamClient(Docker-Client/28.5.2 \\(windows\\))";
        assert_eq!(found(windows).as_deref(), Some("windows(10.0.20348)/amd64"));
        for kernel in [
            "kernel/6.1.0",
            "kernel/10.0",
            "kernel/10.0 (20348)",
            "kernel/ 1",
        ] {
            let without = windows.replace("kernel/10.0 20348", kernel);
            assert_eq!(found(&without), None, "{without}");
        }
        assert_eq!(found("docker/28.5.2 os/windows arch/amd64"), None);
    }

    #[test]
    fn a_32_bit_arm_may_be_any_of_three() {
        assert_eq!(found(&DOCKERD.replace("arch/amd64", "arch/arm")), None);
    }
}
