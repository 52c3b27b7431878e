//! The stand-in for Amazon ECR: one for all tests, started by the first that asks, with the images
//! in it.

use std::collections::HashMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::cell::{Cell, output};
use crate::images::{Image, Kind, TAG};
use crate::setup::{LIBRARY, TEAM};
use crate::tools;

/// The registry's name, as image references have it.
pub(crate) const ECR_HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// The architectures that have a tag `TAG-ARCHITECTURE` of their own as well, in the team's
/// namespace.
pub(crate) const MADE_OF: [&str; 2] = ["amd64", "arm64"];

/// See the module's head.
pub(crate) struct Standin {
    /// docker-registry on S3: its blobs are redirects to pre-signed URLs.
    pub(crate) registry: SocketAddr,
    /// Answers `GetAuthorizationToken`.
    pub(crate) ecr_api: SocketAddr,
    /// The password of the user `AWS`.
    pub(crate) token: String,
    /// The file that holds it.
    pub(crate) token_file: PathBuf,
    /// What a client of the ECR API has in its environment.
    pub(crate) credentials: Vec<(String, String)>,
    /// The same ones in every namespace.
    pub(crate) images: [Image; 2],
    /// Indexes that list one platform alone, of each of [`MADE_OF`] one; in every namespace too.
    pub(crate) single: [Image; 2],
    /// One with attestations, in every namespace too.
    pub(crate) attested: [Image; 1],
    cell: Cell,
}

/// The stand-in of this run. It ends with the test process.
pub(crate) fn shared() -> &'static Standin {
    static SHARED: OnceLock<Standin> = OnceLock::new();
    SHARED.get_or_init(Standin::start)
}

impl Standin {
    /// One of its own, for a test that does to it what others must not notice.
    pub(crate) fn start() -> Self {
        let (cell, settings) = {
            // Ports are free until they are taken: one stand-in at a time looks for some.
            static LOOKING_FOR_PORTS: Mutex<()> = Mutex::new(());
            let _turn = LOOKING_FOR_PORTS.lock().expect("no panic under it");
            let cell = Cell::new();
            output(script(&cell, "up").env("BASE", free_ports().to_string()));
            let settings = fs::read_to_string(folder(&cell).join("standin.env"));
            (cell, settings.expect("what standin.sh wrote"))
        };
        let folder = folder(&cell);
        let settings: HashMap<&str, &str> = settings
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let address = |name| {
            settings[name]
                .trim_start_matches("http://")
                .parse()
                .expect("an address")
        };
        let standin = Self {
            registry: address("STANDIN_REGISTRY"),
            ecr_api: address("STANDIN_API"),
            token_file: folder.join("token"),
            token: fs::read_to_string(folder.join("token"))
                .expect("what standin.sh wrote")
                .trim()
                .to_owned(),
            credentials: owned(settings.iter().filter(|(name, _)| name.starts_with("AWS_"))),
            images: [Image::new(Kind::Oci), Image::new(Kind::Docker)],
            single: MADE_OF.map(|only| Image::of(Kind::Oci, only, &[only])),
            attested: [Image::attested()],
            cell,
        };
        standin.preload();
        standin
    }

    /// `user:password`.
    pub(crate) fn user_and_token(&self) -> String {
        format!("AWS:{}", self.token)
    }

    /// The same as the header `Authorization: Basic` has it.
    pub(crate) fn basic_credentials(&self) -> String {
        STANDARD.encode(self.user_and_token())
    }

    /// A `config.json` with the credentials of the registry, as `docker login` would write it.
    pub(crate) fn docker_config(&self) -> String {
        json!({"auths": {self.registry.to_string(): {"auth": self.basic_credentials()}}})
            .to_string()
    }

    /// Runs `standin.sh COMMAND` on it.
    pub(crate) fn script(&self, command: &str) {
        output(&mut script(&self.cell, command));
    }

    /// How many tokens it has handed out since it was marked.
    pub(crate) fn tokens(&self) -> usize {
        let calls = fs::read_to_string(folder(&self.cell).join("calls"));
        calls.expect("a file from the start").lines().count()
    }

    /// A path in its folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.cell.path(relative)
    }

    fn preload(&self) {
        for image in &self.images {
            let source = self.push(image);
            for architecture in MADE_OF {
                self.push_part(image, &source, architecture);
            }
        }
        for image in self.single.iter().chain(&self.attested) {
            self.push(image);
        }
    }

    /// Pushes an image into every namespace; gives skopeo's name for what it was pushed from.
    fn push(&self, image: &Image) -> String {
        let source = image.store(&self.cell.path(image.name));
        for namespace in [LIBRARY, TEAM] {
            let target = format!(
                "docker://{}/{namespace}/{}:{TAG}",
                self.registry, image.name
            );
            output(
                self.skopeo()
                    .args([
                        "copy",
                        "--quiet",
                        "--all",
                        "--preserve-digests",
                        "--dest-tls-verify=false",
                    ])
                    .args(["--dest-creds", &self.user_and_token(), &source, &target]),
            );
        }
        source
    }

    /// One architecture's image under a tag of its own.
    fn push_part(&self, image: &Image, source: &str, architecture: &str) {
        let target = format!(
            "docker://{}/{TEAM}/{}:{TAG}-{architecture}",
            self.registry, image.name
        );
        let mut copy = self.skopeo();
        copy.args(["--override-os", "linux", "--override-arch", architecture])
            .args([
                "copy",
                "--quiet",
                "--preserve-digests",
                "--dest-tls-verify=false",
            ])
            .args(["--dest-creds", &self.user_and_token(), source, &target]);
        output(&mut copy);
    }

    /// skopeo in the stand-in's own cell.
    pub(crate) fn skopeo(&self) -> Command {
        let mut skopeo = self.cell.command(tools::system("skopeo"));
        skopeo.arg("--insecure-policy");
        skopeo
    }
}

fn folder(cell: &Cell) -> PathBuf {
    cell.path("standin")
}

fn script(cell: &Cell, command: &str) -> Command {
    let mut script = cell.command(tools::repository().join("tests/standin/standin.sh"));
    script
        .env("ARCHWAY_TOOLS", tools::folder())
        .arg(command)
        .arg(folder(cell));
    script
}

fn owned<'a>(pairs: impl Iterator<Item = (&'a &'a str, &'a &'a str)>) -> Vec<(String, String)> {
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The first of three ports in a row that nobody uses, as `standin.sh` wants them.
fn free_ports() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    // Below the ports that the kernel gives to connections and to listeners on port 0.
    (22_100..32_000)
        .step_by(3)
        .find(|base| (*base..*base + 3).all(|port| free(&port)))
        .expect("three free ports")
}
