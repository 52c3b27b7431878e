//! What `config.toml` means, as containerd 1.6 to 2.4 read it.

use std::fs;

use super::{registry::DEFAULT_PATH, *};

const MAIN: &str = "/etc/containerd/config.toml";

fn node(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::new(folder.path());
    for (path, text) in files {
        fs::create_dir_all(root.at(path).parent().unwrap()).unwrap();
        fs::write(root.at(path), text).unwrap();
    }
    (folder, root)
}

fn read(files: &[(&str, &str)], version: &str) -> Result<CriConfig, ConfigTomlError> {
    let (_folder, root) = node(files);
    CriConfig::read(&root, MAIN, Some(version.parse().unwrap()))
}

#[test]
fn without_a_file_the_version_decides() {
    for (version, path, pull_by) in [
        ("1.6", "", "want of another way"),
        ("2.0", "", "want of another way"),
        ("2.1", "", ""),
        ("2.2", DEFAULT_PATH, ""),
        ("2.4", DEFAULT_PATH, ""),
    ] {
        let cri = read(&[], version).unwrap();
        assert_eq!(
            (cri.path.as_str(), &cri.origin),
            (path, &Origin::Default),
            "{version}"
        );
        let why = match cri.pull_by {
            PullBy::Client(why) => why,
            PullBy::Transfer => "",
        };
        assert_eq!(why, pull_by, "{version}");
        assert_eq!(cri.is_misread(), version >= "2.2", "{version}");
    }
}

#[test]
fn an_unknown_version_is_an_error_only_where_it_matters() {
    let (_folder, root) = node(&[]);
    let unknown = CriConfig::read(&root, MAIN, None);
    assert!(matches!(unknown, Err(ConfigTomlError::VersionNeeded)));
    let set = "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/a'\n";
    let (_folder, root) = node(&[(MAIN, set)]);
    assert_eq!(CriConfig::read(&root, MAIN, None).unwrap().path, "/a");
}

#[test]
fn both_spellings_of_the_table_count_with_their_version() {
    let two =
        "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/a:/b\"\n";
    let three =
        "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/a:/b'\n";
    for (text, version) in [(two, "1.6"), (two, "2.4"), (three, "2.0")] {
        let cri = read(&[(MAIN, text)], version).unwrap();
        assert_eq!(cri.path, "/a:/b");
        assert_eq!(cri.origin, Origin::File(MAIN.into()));
    }
    let wrong = three.replace("version = 3", "version = 2");
    assert_eq!(read(&[(MAIN, &wrong)], "2.1").unwrap().path, "");
    let error = read(&[(MAIN, three)], "1.7").unwrap_err().to_string();
    assert!(
        error.contains("`version = 3`, which containerd 1.7 does not read"),
        "{error}"
    );
}

#[test]
fn the_lines_to_add_are_in_the_spelling_of_the_file() {
    let two = read(&[(MAIN, "version = 2\n")], "2.1").unwrap();
    assert!(
        two.lines_for("/x")
            .starts_with("[plugins.\"io.containerd.grpc.v1.cri\".registry]\n")
    );
    let none = read(&[], "2.1").unwrap().lines_for("/x");
    assert!(none.starts_with("version = 3\n[plugins.\"io.containerd.cri.v1.images\".registry]\n"));
    let old = read(&[], "1.6").unwrap().lines_for("/x");
    assert!(old.starts_with("version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".registry]\n"));
    let oldest = read(&[(MAIN, "oom_score = 0\n")], "1.6").unwrap();
    assert!(
        oldest
            .lines_for("/x")
            .starts_with("[plugins.\"cri\".registry]\n")
    );
}

/// The lines make the version that they are for read the folder, in a file that has them.
#[test]
fn what_the_lines_say_is_in_force() {
    for (text, version) in [("", "1.6"), ("", "2.1"), ("oom_score = 0\n", "1.7")] {
        let files: &[(&str, &str)] = if text.is_empty() {
            &[]
        } else {
            &[(MAIN, text)]
        };
        let lines = read(files, version).unwrap().lines_for("/x");
        let with_them = format!("{text}{lines}");
        let read = read(&[(MAIN, &with_them)], version).unwrap();
        assert_eq!(read.path, "/x", "{version}: {with_them}");
    }
}

#[test]
fn the_long_name_means_nothing_to_1_x_in_a_file_without_a_version() {
    let text = "[plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = \"/x\"\n";
    assert_eq!(read(&[(MAIN, text)], "1.6").unwrap().path, "");
    assert_eq!(read(&[(MAIN, text)], "2.1").unwrap().path, "/x");
}

#[test]
fn each_setting_that_forbids_the_transfer_service_is_known() {
    let images = "version = 3\n[plugins.'io.containerd.cri.v1.images']\n";
    for setting in [
        "use_local_image_pull = true",
        "disable_snapshot_annotations = false",
        "discard_unpacked_layers = true",
        "max_concurrent_downloads = 5",
        "image_pull_with_sync_fs = true",
        "registry.configs.x.auth.username = 'me'",
    ] {
        let cri = read(&[(MAIN, &format!("{images}{setting}\n"))], "2.4").unwrap();
        assert!(matches!(cri.pull_by, PullBy::Client(_)), "{setting}");
        assert_eq!(
            cri.roots(),
            ["/etc/containerd/certs.d", "/etc/docker/certs.d"]
        );
    }
    for setting in [
        "discard_unpacked_layers = false",
        "max_concurrent_downloads = 3",
    ] {
        let cri = read(&[(MAIN, &format!("{images}{setting}\n"))], "2.4").unwrap();
        assert_eq!(cri.roots(), [DEFAULT_PATH], "{setting}");
    }
    let two = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.containerd]\ndiscard_unpacked_layers = true\n";
    let cri = read(&[(MAIN, two)], "2.4").unwrap();
    assert_eq!(
        cri.pull_by,
        PullBy::Client("discard_unpacked_layers = true")
    );
}

#[test]
fn mirrors_in_config_toml_itself_leave_no_default() {
    let text = "version = 2\n[plugins.'io.containerd.grpc.v1.cri'.registry.mirrors.'docker.io']\nendpoint = ['http://x']\n";
    let cri = read(&[(MAIN, text)], "2.4").unwrap();
    assert!(cri.has_inline_mirrors && cri.path.is_empty());
}

#[test]
fn imports_are_read_in_order_and_a_later_one_wins() {
    let main = "version = 3\nimports = ['conf.d/*.toml', '/opt/one.toml']\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '/main'\n";
    let file = |path: &str| {
        format!(
            "version = 3\n[plugins.'io.containerd.cri.v1.images'.registry]\nconfig_path = '{path}'\n"
        )
    };
    let (one, two) = (file("/one"), file("/two"));
    let files = [
        (MAIN, main),
        ("/etc/containerd/conf.d/20.toml", two.as_str()),
        (
            "/etc/containerd/conf.d/10.toml",
            "version = 3\nimports = ['/etc/containerd/config.toml']\n",
        ),
        ("/etc/containerd/conf.d/not.yaml", "{"),
        ("/opt/one.toml", one.as_str()),
    ];
    let cri = read(&files, "2.4").unwrap();
    assert_eq!(
        (cri.path.as_str(), cri.origin),
        ("/one", Origin::File("/opt/one.toml".into()))
    );
    let cri = read(&files[..4], "2.4");
    let error = cri.unwrap_err().to_string();
    assert_eq!(error, "cannot read /opt/one.toml");
}

/// 2.x merges key by key, 1.x takes the later file's table as a whole.
#[test]
fn an_import_that_does_not_say_is_silent_in_2_and_an_empty_table_in_1() {
    let main = "version = 2\nimports = ['/opt/more.toml']\n[plugins.'io.containerd.grpc.v1.cri'.registry]\nconfig_path = '/main'\n";
    let more = "version = 2\n[plugins.'io.containerd.grpc.v1.cri']\nsandbox_image = 'pause'\n";
    let files = [(MAIN, main), ("/opt/more.toml", more)];
    assert_eq!(read(&files, "2.1").unwrap().path, "/main");
    assert_eq!(read(&files, "1.7").unwrap().path, "");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let error = read(&[(MAIN, "version = 3\n\nplugins = [\n")], "2.4").unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("/etc/containerd/config.toml is broken"),
        "{text}"
    );
    assert!(text.contains("line 3") || text.contains("line 4"), "{text}");
}
