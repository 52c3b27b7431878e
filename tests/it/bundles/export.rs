//! Exports: the same bytes from the same lock, whatever happened on the way, and no more than is new.

use std::fs;
use std::process::Command;

use super::*;

/// The calls that an export writes with, and reads blobs with.
const DISK_CALLS: [&str; 5] = ["openat", "read", "write", "copy_file_range", "fsync"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[tokio::test]
async fn an_export_that_is_killed_at_any_disk_call_is_resumed_to_the_same_bytes() {
    let source = Source::new().await;
    let whole = source.file("whole.tar");
    let lock = source.file("whole.lock.json");
    said(&source.export(&whole, &["--platform", BOTH]).await, 0);
    let bytes = fs::read(&whole).expect("it was written");
    let described = said(&run(&["bundle", "split", "1GiB", text(&whole)]).await, 0);
    assert!(described.contains("1 part"), "{described}");

    let cut = source.file("cut.tar");
    let mut killed = 0;
    for disk_call in DISK_CALLS {
        for count in (1..).map(|number| number + number * number / 6) {
            let trace = format!("trace={disk_call}");
            let inject = format!("inject={disk_call}:signal=SIGKILL:when={count}");
            let strace = ["strace", "-f", "-qq", "-o", "/dev/null"];
            let program = [&strace[..], &["-e", &trace, "-e", &inject]].concat();
            let words = ["export", "--lock", text(&lock), "-o", text(&cut)];
            let archway = &source.archway;
            let output = archway.bundle_command_by(&program, &words).await;
            if output.status.success() {
                fs::remove_file(&cut).expect("it was written");
                break;
            }
            killed += 1;
            if cut.exists() {
                // Killed behind the last step, the name.
                assert!(fs::read(&cut).expect("it is there") == bytes);
            } else {
                let again = [&words[..], &["--resume"]].concat();
                said(&archway.bundle_command(&again).await, 0);
                assert!(
                    fs::read(&cut).expect("it was written") == bytes,
                    "{disk_call} {count}"
                );
            }
            fs::remove_file(&cut).expect("it was written");
        }
    }
    assert!(killed >= 20, "{killed}");
}

#[tokio::test]
async fn the_same_lock_makes_the_same_bytes_in_another_cache_and_each_part_alone() {
    let source = Source::new().await;
    let whole = source.file("whole.tar");
    said(&source.export(&whole, &["--platform", BOTH]).await, 0);
    let length = fs::metadata(&whole).expect("it was written").len();
    let part_size = (length / 7 / 4096 * 4096).to_string();
    said(
        &run(&["bundle", "split", &part_size, text(&whole)]).await,
        0,
    );
    let lock = source.file("whole.lock.json");

    let site = site().await;
    said(&site.bundle_command(&["import", text(&whole)]).await, 0);
    let other = source.file("other.tar");
    let words = ["export", "--lock", text(&lock), "-o", text(&other)];
    said(&site.bundle_command(&words).await, 0);
    assert!(fs::read(&other).expect("it was written") == fs::read(&whole).expect("it is there"));

    let parts = (1..).map(|part| source.file(&format!("whole.tar.{part:03}")));
    let parts: Vec<PathBuf> = parts.take_while(|part| part.exists()).collect();
    assert!(parts.len() >= 7, "{}", parts.len());
    for (number, part) in (1..).zip(&parts) {
        let number = number.to_string();
        let again = source.file(&format!("again-{number}.tar"));
        let words = [
            "export",
            "--lock",
            text(&lock),
            "--split",
            &part_size,
            "--part",
            &number,
        ];
        let words = [&words[..], &["-o", text(&again)]].concat();
        said(&site.bundle_command(&words).await, 0);
        let again = source.file(&format!("again-{number}.tar.{number:0>3}"));
        assert!(fs::read(&again).expect("one part") == fs::read(part).expect("the first one"));
    }
    let words = [
        "export",
        "--lock",
        text(&lock),
        "--split",
        &part_size,
        "--part",
        "99",
        "-o",
        "x.tar",
    ];
    let said = said(&site.bundle_command(&words).await, 2);
    assert!(said.contains("so there is no part 99"), "{said}");
}

#[tokio::test]
async fn a_later_bundle_of_a_series_takes_the_place_of_an_earlier_one() {
    let source = Source::new().await;
    let site = site().await;
    let mut files = Vec::new();
    for (number, platform) in [(1, BOTH), (2, "linux/arm64")] {
        let file = source.file(&format!("site-{number}.tar"));
        let words = ["--platform", platform, "--series", "site"];
        said(&source.export(&file, &words).await, 0);
        let text = said(&run(&["bundle", "inspect", text(&file)]).await, 0);
        assert!(text.contains(&format!("site, number {number}")), "{text}");
        files.push(file);
    }
    let delta = source.file("delta.tar");
    let words = [
        "--platform",
        BOTH,
        "--series",
        "site",
        "--since",
        text(&files[1]),
    ];
    said(&source.export(&delta, &words).await, 0);
    let shown = said(&run(&["bundle", "inspect", text(&delta)]).await, 0);
    assert!(shown.contains("site, number 3"), "{shown}");

    said(&site.bundle_command(&["import", text(&files[1])]).await, 0);
    let older = ["import", text(&files[0])];
    let refused = said(&site.bundle_command(&older).await, 1);
    assert!(
        refused.contains("is number 1 of the series site, and number 2"),
        "{refused}"
    );
    let allowed = [&older[..], &["--allow-older"]].concat();
    said(&site.bundle_command(&allowed).await, 0);
    let listed = said(&site.bundle_command(&["ls"]).await, 0);
    assert!(listed.contains("older"), "{listed}");
    said(
        &site
            .bundle_command(&["import", text(&delta), "--prune"])
            .await,
        0,
    );
    let listed = said(&site.bundle_command(&["ls", "-o", "json"]).await, 0);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["bundles"].as_array().expect("a list").len(), 1);
    assert_eq!(listed["bundles"][0]["sequence"], 3);

    said(
        &site
            .bundle_command(&["import", text(&files[1]), "--allow-older"])
            .await,
        0,
    );
    said(&site.bundle_command(&["keep", "--last", "1"]).await, 0);
    let listed = said(&site.bundle_command(&["ls"]).await, 0);
    assert!(
        listed.contains("site 3") && !listed.contains("site 2"),
        "{listed}"
    );
}

#[tokio::test]
async fn a_name_that_is_mistyped_in_a_list_stops_no_other() {
    let source = Source::new().await;
    let list = source.file("images.txt");
    let file = source.file("listed.tar");
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    fs::write(&list, format!("{UPSTREAM}/{REPOSITORY}:v11\n{name}\n")).expect("a folder");
    let words = [
        "export",
        "--from-file",
        text(&list),
        "--platform",
        "linux/arm64",
    ];
    let words = [&words[..], &["-o", text(&file)]].concat();
    let summary = said(&source.archway.bundle_command(&words).await, 1);
    assert!(summary.contains("left out: "), "{summary}");
    assert!(summary.contains("v11 is not stored"), "{summary}");
    assert!(summary.contains("1 image"), "{summary}");
    said(&run(&["bundle", "verify", text(&file)]).await, 0);
}

/// The program at the end of docs/bundle-format.md.
fn writer() -> &'static str {
    let page = include_str!("../../../docs/bundle-format.md");
    let (_, program) = page.split_once("```python\n").expect("a program");
    program.split("```").next().expect("its end")
}

#[tokio::test]
async fn who_reads_the_specification_makes_the_same_bytes_of_a_lock() {
    let source = Source::new().await;
    let program = source.file("bundle.py");
    fs::write(&program, writer()).expect("a writable folder");
    let base = source.file("base.tar");
    for (name, words) in [
        ("base", &["--platform", "linux/arm64"][..]),
        (
            "all",
            &["--platform", "all", "--index", "all", "--series", "site"],
        ),
        ("delta", &["--platform", BOTH, "--since", text(&base)]),
    ] {
        let file = source.file(&format!("{name}.tar"));
        said(&source.export(&file, words).await, 0);
        let folder = source.file(name);
        fs::create_dir(&folder).expect("a writable folder");
        let mut unpack = Command::new("tar");
        unpack.arg("xf").arg(&file).arg("-C").arg(&folder);
        assert!(unpack.status().expect("tar").success());
        let mut python = Command::new("python3");
        python.arg(&program).arg(folder.join("archway/lock.json"));
        let made = python.arg(folder.join("blobs")).output().expect("python3");
        let failed = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(
            made.stdout == fs::read(&file).expect("it is there"),
            "{name}: {failed}"
        );
    }
}

#[tokio::test]
async fn what_is_stored_and_used_is_chosen_by_name_and_time() {
    let source = Source::new().await;
    let name = format!("{UPSTREAM}/{REPOSITORY}:v1");
    let by_host = format!("{UPSTREAM}/*");
    for (words, code) in [
        (&["--cached", &by_host][..], 0),
        (&["--used", "1h"], 0),
        (&["--cached", "*/app", "--used", "1h"], 0),
        (&["--cached", "docker.io/*"], 2),
        (&["--used", "0s"], 2),
    ] {
        let file = source.file("chosen.tar");
        let export = ["export", "--platform", "linux/arm64", "-o", text(&file)];
        let output = source
            .archway
            .bundle_command(&[&export[..], words].concat())
            .await;
        let shown = said(&output, code);
        if code == 0 {
            let inspected = said(&run(&["bundle", "inspect", text(&file)]).await, 0);
            assert!(inspected.contains(&name), "{words:?}: {inspected}");
            fs::remove_file(&file).expect("it was written");
        } else {
            assert!(shown.contains("no image is listed"), "{words:?}: {shown}");
        }
    }
}
