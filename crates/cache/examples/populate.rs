//! Fills a cache directory with many small blobs and tags, for measuring a large cache:
//! `cargo run --release -p cache --example populate -- FOLDER BLOBS TAGS`.
//!
//! It writes the blobs as files and has the index built from them, as after its loss. The tags are
//! spread over a hundred repositories and all point at one manifest.

use std::{fs, path::PathBuf};

use cache::{Cache, Options, RepoKey};
use manifest_model::{Algorithm, Digest, Manifest, Tag};

const REPOSITORIES: usize = 100;

/// Blobs between two lines of progress.
const STEP: usize = 100_000;

#[allow(clippy::print_stderr)]
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: populate FOLDER BLOBS TAGS");
    let folder = PathBuf::from(next()?);
    let blobs: usize = next()?.parse()?;
    let tags: usize = next()?.parse()?;

    let target = folder.join("blobs/sha256");
    fs::create_dir_all(&target)?;
    for number in 0..blobs {
        let content = format!("blob {number}\n");
        let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
        fs::write(target.join(digest.hex()), content)?;
        if (number + 1) % STEP == 0 {
            eprintln!("{} of {blobs} blobs", number + 1);
        }
    }
    let cache = Cache::open(&Options {
        path: folder,
        max_size: u64::MAX,
        low_water: u64::MAX,
        min_free: 0,
        anew: false,
        max_open_files: 16,
    })?;
    eprintln!("the index is built");

    let manifest = manifest();
    for number in 0..tags {
        let repository = format!("team/app-{}", number % REPOSITORIES).parse()?;
        let repository = RepoKey::new("registry.example", &repository);
        let tag: Tag = format!("v{}", number / REPOSITORIES).parse()?;
        if number < REPOSITORIES {
            cache
                .store_manifest(&repository, &manifest, Some(&tag))
                .await?;
        } else {
            cache
                .confirm_tag(&repository, &tag, &manifest.digest())
                .await?;
        }
    }
    eprintln!("{tags} tags");
    Ok(())
}

fn manifest() -> Manifest {
    let config = Digest::of(Algorithm::Sha256, b"blob 0\n");
    let text = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":7}},"layers":[]}}"#
    );
    Manifest::parse(text.into(), None, Algorithm::Sha256).expect("a manifest")
}
