//! What other tools make of a bundle: the table of `docs/bundles.md`, seen here. `UPDATE_BUNDLES=1`
//! writes it there.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::air_gap::{succeeded, text};
use crate::cell::{Failed, attempt, output};
use crate::containerd::{Node, Release};
use crate::dockerd::Daemon;
use crate::dockerd_29;
use crate::images::{Image, TAG};
use crate::layout;
use crate::matrix::{Recorded, foreign, native};
use crate::podman::on_store;
use crate::setup::{Setup, TEAM, runtime};
use crate::skopeo::skopeo;
use crate::standin::ECR_HOST;
use crate::tools;

const BEGIN: &str = "<!-- begin of what the tests have seen -->\n";
const END: &str = "<!-- end of what the tests have seen -->\n";
const HEAD: &str = "| tool | an image, all platforms | an image, one left out | two images, one left out \
    | a delta |\n|---|---|---|---|---|\n";

/// What a tool says that it has loaded, by digest: of names, or of what it was asked for.
type Loaded = Result<BTreeSet<String>, Failed>;

/// A tool, and what it does with a bundle.
struct Tool {
    name: &'static str,
    load: fn(&Setup, &Bundle) -> Loaded,
}

const TOOLS: [Tool; 9] = [
    Tool {
        name: "`ctr images import`, containerd 1.6",
        load: |setup, bundle| ctr(setup, bundle, Release::V1_6),
    },
    Tool {
        name: "`ctr images import`, containerd 2.4",
        load: |setup, bundle| ctr(setup, bundle, Release::V2),
    },
    Tool {
        name: "`docker load`, 20.10",
        load: docker,
    },
    Tool {
        name: "`docker load`, 29, whose store is containerd's",
        load: docker_29,
    },
    Tool {
        name: "`podman load`, 4.3",
        load: podman,
    },
    Tool {
        name: "`skopeo copy oci-archive:FILE:NAME`, 1.9",
        load: skopeo_copy,
    },
    Tool {
        name: "`oras copy --from-oci-layout FILE@DIGEST`, 1.3",
        load: oras,
    },
    Tool {
        name: "`regctl image import --name NAME`, 0.11",
        load: regctl,
    },
    Tool {
        name: "`crane push DIR`, 0.22, unpacked",
        load: crane,
    },
];

/// A bundle, and the images whose blobs are all in it.
struct Bundle {
    path: PathBuf,
    images: Vec<&'static Image>,
}

/// A connected side with all images of two tags, and the four bundles of it.
struct Bundles {
    setup: Setup,
    all: [Bundle; 4],
}

impl Bundles {
    fn new() -> Self {
        let mut setup = Setup::signed_in();
        let own = native().rsplit('/').next().unwrap_or_default();
        let mut single = setup.standin.single.iter();
        let single = single.find(|image| image.children.contains_key(own));
        let images = [&setup.standin.images[0], single.expect("one of ours")];
        let names = images.map(name);
        let all = ["full", "sparse", "two", "delta"];
        let all = all.map(|name| setup.cell.path(format!("{name}.tar")));
        let both = format!("{},{}", native(), foreign());
        let every = "all";
        runtime().block_on(async {
            let server = setup.archway.url();
            for (name, platform) in [
                (&names[0], native()),
                (&names[0], foreign()),
                (&names[0], "linux/arm/v7"),
                (&names[1], native()),
            ] {
                let warm = ["warm", name, "--platform", platform, "--server", &server];
                succeeded(&integration_tests::proxy::run(&warm).await);
            }
            setup.archway.terminate();
            setup.archway.ended().await;
            let [full, sparse, two, delta] = all.each_ref().map(|path| text(path));
            for (names, platforms, file, more) in [
                (&names[..1], every, full, &[][..]),
                (&names[..1], native(), sparse, &[]),
                (&names[..], native(), two, &[]),
                (&names[..1], &both, delta, &["--since", sparse]),
            ] {
                let mut words = vec!["export"];
                words.extend(names.iter().map(String::as_str));
                words.extend(["--platform", platforms, "-o", file]);
                words.extend(more);
                succeeded(&setup.archway.bundle_command(&words).await);
            }
        });
        let of = |index: usize, images: &[&'static Image]| Bundle {
            path: all[index].clone(),
            images: images.to_vec(),
        };
        let all = [
            of(0, &images[..1]),
            of(1, &images[..1]),
            of(2, &images),
            of(3, &images[..1]),
        ];
        Self { setup, all }
    }
}

fn name(image: &Image) -> String {
    format!("{ECR_HOST}/{TEAM}/{}:{TAG}", image.name)
}

#[test]
fn other_tools_load_a_bundle_as_the_page_says() {
    let bundles = Bundles::new();
    let mut table = String::from(HEAD);
    for tool in &TOOLS {
        let cells = bundles.all.iter().map(|bundle| {
            let loaded = (tool.load)(&bundles.setup, bundle);
            described(&bundle.images, loaded)
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(table, "| {} | {} |", tool.name, cells.join(" | "));
    }
    let path = tools::repository().join("docs/bundles.md");
    let page = fs::read_to_string(&path).expect("a page");
    let (before, rest) = page.split_once(BEGIN).expect("a place for the table");
    let (written, after) = rest.split_once(END).expect("its end");
    if std::env::var_os("UPDATE_BUNDLES").is_some() {
        let page = format!("{before}{BEGIN}{table}{END}{after}");
        fs::write(&path, page).expect("docs/ is writable");
    } else {
        assert_eq!(
            written, table,
            "run with UPDATE_BUNDLES=1 and look at the difference"
        );
    }
}

/// What became of the images, by the digests that a tool has for them.
fn described(images: &[&Image], loaded: Loaded) -> String {
    let Ok(loaded) = loaded else {
        return "refused".to_owned();
    };
    let has = |digest: String| loaded.contains(&digest);
    let own = native().rsplit('/').next().unwrap_or_default();
    if images.iter().all(|image| has(image.index.to_string())) {
        "the digest of the index".to_owned()
    } else if images
        .iter()
        .all(|image| has(image.children[own].manifest.to_string()))
    {
        "that of the manifest".to_owned()
    } else if loaded.len() == images.len() {
        "digests of its own".to_owned()
    } else if loaded.is_empty() {
        "nothing, and says so of nothing".to_owned()
    } else {
        format!("{} of {}", loaded.len(), images.len())
    }
}

fn ctr(setup: &Setup, bundle: &Bundle, release: Release) -> Loaded {
    static NODES: [OnceLock<Node>; 2] = [const { OnceLock::new() }; 2];
    let place = usize::from(release == Release::V2);
    let node = NODES[place].get_or_init(|| Node::start(setup, release));
    let images = || {
        let mut ctr = node.ctr(setup);
        ctr.arg("images");
        ctr
    };
    let imported = attempt(images().args(["import", "--no-unpack"]).arg(&bundle.path));
    let listed = output(images().arg("list"));
    let words = listed
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().nth(2));
    let digests = words.map(str::to_owned).collect();
    let names = output(images().args(["list", "--quiet"]));
    if !names.is_empty() {
        output(images().args(["remove", "--sync"]).args(names.lines()));
    }
    imported.map(|_| digests)
}

fn docker(setup: &Setup, bundle: &Bundle) -> Loaded {
    static DAEMON: OnceLock<Daemon> = OnceLock::new();
    let daemon = DAEMON.get_or_init(|| Daemon::start(setup));
    let loaded = attempt(daemon.docker(setup).arg("load").arg("-i").arg(&bundle.path));
    let inspected = bundle.images.iter().map(|image| {
        let mut inspect = daemon.docker(setup);
        inspect.args(["image", "inspect", &name(image)]);
        attempt(&mut inspect)
    });
    let digests: Result<Vec<_>, Failed> = inspected.collect();
    let digests = digests.map(|all| all.iter().flat_map(|text| of_inspected(text)).collect());
    daemon.wipe(setup);
    loaded.and(digests)
}

/// It says of a delta that it was loaded; what counts is what it has.
fn docker_29(setup: &Setup, bundle: &Bundle) -> Loaded {
    static DAEMON: OnceLock<Daemon> = OnceLock::new();
    let daemon = DAEMON.get_or_init(|| dockerd_29::start(setup));
    let loaded = attempt(daemon.docker(setup).arg("load").arg("-i").arg(&bundle.path));
    let images = bundle.images.iter();
    let inspected = images.filter_map(|image| {
        let of_platform = daemon.inspect_in_store(setup, &name(image), native());
        Some(Recorded::inspected(&of_platform.ok()?).without_names())
    });
    let digests = inspected.flat_map(|recorded| recorded.digests).collect();
    daemon.wipe(setup);
    loaded.map(|_| digests)
}

fn podman(setup: &Setup, bundle: &Bundle) -> Loaded {
    let store = setup.folder();
    let podman = || on_store("podman", setup, store.path());
    attempt(podman().arg("load").arg("-i").arg(&bundle.path))?;
    let mut digests = BTreeSet::new();
    for image in &bundle.images {
        let inspected = attempt(podman().args(["image", "inspect", &name(image)]))?;
        digests.extend(of_inspected(&inspected));
    }
    Ok(digests)
}

/// The digests under which `inspect` knows an image, else its id.
fn of_inspected(text: &str) -> BTreeSet<String> {
    let images: Value = serde_json::from_str(text).expect("JSON");
    let image = &images[0];
    let known = image["RepoDigests"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let known = known.iter().filter_map(Value::as_str);
    let known: BTreeSet<_> = known
        .filter_map(|name| Some(name.split_once('@')?.1.to_owned()))
        .collect();
    if known.is_empty() {
        let id = image["Id"].as_str().expect("an id");
        return BTreeSet::from([id.to_owned()]);
    }
    known
}

fn skopeo_copy(setup: &Setup, bundle: &Bundle) -> Loaded {
    let mut digests = BTreeSet::new();
    for image in &bundle.images {
        let target = setup.folder();
        let mut copy = skopeo(setup);
        copy.args(["copy", "--quiet"]);
        copy.arg(format!(
            "oci-archive:{}:{}",
            bundle.path.display(),
            name(image)
        ));
        attempt(copy.arg(format!("dir:{}", target.path().display())))?;
        digests.extend(layout::dir_recorded(target.path()).digests);
    }
    Ok(digests)
}

fn oras(setup: &Setup, bundle: &Bundle) -> Loaded {
    let mut digests = BTreeSet::new();
    for image in &bundle.images {
        let target = setup.folder();
        let mut copy = setup.cell.command(tools::built("oras"));
        copy.args(["copy", "--no-tty", "--from-oci-layout", "--to-oci-layout"]);
        copy.args(["--platform", native()]);
        copy.arg(format!("{}@{}", bundle.path.display(), image.index));
        attempt(copy.arg(format!("{}:copy", target.path().display())))?;
        digests.insert(layout::root(target.path()));
    }
    Ok(digests)
}

fn regctl(setup: &Setup, bundle: &Bundle) -> Loaded {
    let mut digests = BTreeSet::new();
    for image in &bundle.images {
        let target = setup.folder();
        let mut import = setup.cell.command(tools::built("regctl"));
        import.args(["image", "import", "--name", &name(image)]);
        import.arg(format!("ocidir://{}:copy", target.path().display()));
        attempt(import.arg(&bundle.path))?;
        digests.insert(layout::root(target.path()));
    }
    Ok(digests)
}

/// It pushes layouts in folders alone, into the stand-in here.
fn crane(setup: &Setup, bundle: &Bundle) -> Loaded {
    let folder = setup.folder();
    output(
        Command::new(tools::system("tar"))
            .arg("xf")
            .arg(&bundle.path)
            .arg("-C")
            .arg(folder.path()),
    );
    let target = format!("{}/loads/crane:{TAG}", setup.standin.registry);
    let mut push = setup.cell.command(tools::built("crane"));
    push.args(["push", "--insecure"]);
    if bundle.images.len() > 1 {
        push.arg("--index");
    }
    attempt(push.arg(folder.path()).arg(&target))?;
    let mut digest = setup.cell.command(tools::built("crane"));
    let digest = output(digest.args(["digest", "--insecure", &target]));
    Ok(BTreeSet::from([digest.trim().to_owned()]))
}
