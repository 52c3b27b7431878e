use std::{cell::RefCell, collections::HashMap, error::Error, fs, path::PathBuf};

use bundle::Selection;
use cache::inspect::Directory;
use manifest_model::{Algorithm, Digest, Manifest, MediaType, Reference};
use protocol::image_name::ImageName;
use tempfile::TempDir;

use super::{
    ExportPlanError, Lacking, OnMissing, Part, PullError, Request, Running, Supply, running::Cause,
};
use crate::stored::Stored;

const KIND: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a registry has, and what was asked of the Archway before it.
struct Upstream {
    blobs: PathBuf,
    tags: HashMap<String, Digest>,
    content: HashMap<Digest, Vec<u8>>,
    /// What it lists, and cannot send.
    broken: Vec<Digest>,
    asked: RefCell<Vec<Asked>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Hold(Vec<Digest>),
    Pull(Vec<Digest>, u64),
}

impl Upstream {
    fn new(directory: &TempDir) -> Self {
        let blobs = directory.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder");
        Self {
            blobs,
            tags: HashMap::new(),
            content: HashMap::new(),
            broken: Vec::new(),
            asked: RefCell::default(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, bytes);
        self.content.insert(digest, bytes.to_vec());
        digest
    }

    /// An image with one layer; its manifest, its config and its layer.
    fn image(&mut self, name: &str) -> [Digest; 3] {
        let (config, layer) = (format!("{{\"of\": \"{name}\"}}"), name.repeat(100));
        let digests = [&config, &layer].map(|text| self.put(text.as_bytes()));
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": KIND,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digests[0].to_string(),
                "size": config.len(),
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": digests[1].to_string(),
                "size": layer.len(),
            }],
        });
        let manifest = self.put(manifest.to_string().as_bytes());
        self.tags.insert(format!("docker.io/{name}:1"), manifest);
        [manifest, digests[0], digests[1]]
    }
}

fn absent() -> PullError {
    PullError::Absent("404".into())
}

impl Running for Upstream {
    fn can_pull(&self, _: &ImageName) -> bool {
        true
    }

    fn manifest(&self, name: &ImageName, reference: &Reference) -> Result<Manifest, PullError> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(tag) => {
                let host = name.host.as_ref().expect("a host");
                self.tags.get(&format!("{host}/{}:{tag}", name.repository))
            }
        };
        let bytes = digest.and_then(|digest| self.content.get(digest));
        let bytes = bytes.ok_or_else(absent)?.clone();
        let kind: MediaType = KIND.parse().expect("a media type");
        let parsed = Manifest::parse(bytes.into(), Some(&kind), Algorithm::Sha256);
        Ok(parsed.expect("a manifest"))
    }

    fn referrers(&self, _: &ImageName, _: &Digest) -> Result<Vec<Digest>, PullError> {
        Ok(Vec::new())
    }

    fn pull(&self, parts: &[Part], bytes: u64) -> Vec<Result<(), PullError>> {
        let digests = parts.iter().map(|part| part.digest).collect();
        self.asked.borrow_mut().push(Asked::Pull(digests, bytes));
        let pulled = parts.iter().map(|part| {
            if self.broken.contains(&part.digest) {
                return Err(PullError::Failed("502".into()));
            }
            let content = &self.content[&part.digest];
            fs::write(self.blobs.join(part.digest.hex()), content).expect("a folder");
            Ok(())
        });
        pulled.collect()
    }

    fn hold(&self, digests: &[Digest]) -> Result<(), Cause> {
        self.asked.borrow_mut().push(Asked::Hold(digests.to_vec()));
        Ok(())
    }
}

fn request(names: &[&str], on_missing: OnMissing, base: &[Digest]) -> Request<'static> {
    let reference = |name: &&str| format!("docker.io/{name}:1").parse().expect("a name");
    Request {
        images: names
            .iter()
            .map(|name| (reference(name), Vec::new()))
            .collect(),
        selection: Selection {
            base: base.iter().copied().collect(),
            ..Selection::default()
        },
        begun: None,
        on_missing,
    }
}

/// Drafts over an empty directory; the digests of the lock, the errors of what is left out, the rest.
type Drafted = Result<(Vec<Digest>, Vec<String>, Vec<String>), Box<dyn Error>>;

fn drafted(
    folder: &TempDir,
    upstream: &Upstream,
    request: &Request<'_>,
    lacking: Lacking,
) -> Drafted {
    let directory = Directory::at(folder.path())?;
    let stored = Stored::of(&directory, &directory.contents()?);
    let supply = Supply::new(&stored, Some(upstream));
    let draft = request.draft(&supply, lacking)?;
    let lock = draft.plan.finish("2026-11-30T00:00:00Z".to_owned(), None)?;
    let left_out = draft.left_out.iter().map(ExportPlanError::to_string);
    Ok((
        lock.blobs.iter().map(|blob| blob.digest).collect(),
        left_out.collect(),
        draft.failures,
    ))
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn a_plan_that_is_all_that_is_wanted_pulls_no_blob() -> Result<(), Box<dyn Error>> {
    let folder = folder();
    let mut upstream = Upstream::new(&folder);
    let image = upstream.image("a");
    let request = request(&["a"], OnMissing::Fail, &[]);
    let (blobs, _, _) = drafted(&folder, &upstream, &request, Lacking::Counted)?;
    assert_eq!(blobs, image);
    assert_eq!(*upstream.asked.borrow(), []);
    Ok(())
}

#[test]
fn all_that_is_planned_is_held_before_the_first_of_it_is_pulled() -> Result<(), Box<dyn Error>> {
    let folder = folder();
    let mut upstream = Upstream::new(&folder);
    let image = upstream.image("a").to_vec();
    let bytes = image[1..].iter().map(|blob| upstream.content[blob].len());
    let bytes = bytes.sum::<usize>() as u64;
    let request = request(&["a"], OnMissing::Fail, &[]);
    let (blobs, _, _) = drafted(&folder, &upstream, &request, Lacking::Pulled)?;
    assert_eq!(blobs, image);
    let expected = [
        Asked::Hold(image.clone()),
        Asked::Pull(image.clone(), bytes),
        // What has come is on the disk when this is answered.
        Asked::Hold(image.clone()),
        Asked::Hold(image),
    ];
    assert_eq!(*upstream.asked.borrow(), expected);
    Ok(())
}

#[test]
fn what_the_site_has_is_neither_pulled_nor_held() -> Result<(), Box<dyn Error>> {
    let folder = folder();
    let mut upstream = Upstream::new(&folder);
    let image = upstream.image("a");
    let request = request(&["a"], OnMissing::Fail, &image);
    drafted(&folder, &upstream, &request, Lacking::Pulled)?;
    assert_eq!(*upstream.asked.borrow(), [Asked::Hold(Vec::new())]);
    Ok(())
}

#[test]
fn an_image_of_which_a_part_does_not_come_is_left_out_of_a_list_and_told_once()
-> Result<(), Box<dyn Error>> {
    let folder = folder();
    let mut upstream = Upstream::new(&folder);
    let (good, bad) = (upstream.image("a"), upstream.image("b"));
    upstream.broken.push(bad[2]);
    let request = request(&["a", "b", "never"], OnMissing::LeaveOut, &[]);
    let (blobs, left_out, failures) = drafted(&folder, &upstream, &request, Lacking::Pulled)?;
    assert_eq!(blobs, good);
    let told = [
        format!("{} of docker.io/b:1 could not be pulled", bad[2]),
        "docker.io/never:1 is not stored, and could not be pulled".to_owned(),
    ];
    assert_eq!(left_out, told);
    assert_eq!(failures, [""; 0]);
    Ok(())
}

#[test]
fn an_image_that_is_asked_for_by_itself_and_does_not_come_is_an_error() {
    let folder = folder();
    let mut upstream = Upstream::new(&folder);
    let image = upstream.image("a");
    upstream.broken.push(image[1]);
    let request = request(&["a"], OnMissing::Fail, &[]);
    let error = drafted(&folder, &upstream, &request, Lacking::Pulled).expect_err("a part lacks");
    assert!(error.to_string().contains("could not be pulled"), "{error}");
}
