//! Clients that all want the same images at the same time, each by way of one replica of those that are open.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, Download, End, blob_path};
use integration_tests::images::{Blob, Content};
use integration_tests::proxy::Archway;
use integration_tests::wait::eventually;

use super::Fleet;

/// An image, by its tag.
pub(super) struct Image {
    pub(super) tag: String,
    pub(super) content: Content,
}

impl Image {
    pub(super) fn new(tag: &str, content: Content) -> Self {
        Self {
            tag: tag.to_owned(),
            content,
        }
    }
}

/// The replicas that a balancer sends clients to.
pub(super) struct Doors(Mutex<Vec<Door>>);

struct Door {
    client: Client,
    is_open: bool,
    /// Those who have asked and were not answered yet.
    waiting: Arc<()>,
}

impl Door {
    fn of(replica: &Archway) -> Self {
        Self {
            client: replica.client(),
            is_open: true,
            waiting: Arc::default(),
        }
    }
}

impl Doors {
    pub(super) fn of(fleet: &Fleet) -> Self {
        Self(Mutex::new(fleet.replicas.iter().map(Door::of).collect()))
    }

    /// Sends nobody there any more, and waits until all who were sent there are answered, as a balancer
    /// does that knows before the end. Their bodies may still come.
    pub(super) async fn close(&self, number: usize) {
        self.0.lock().expect("no panic under it")[number].is_open = false;
        eventually("nobody waits at a door that is shut", async || {
            let doors = self.0.lock().expect("no panic under it");
            (Arc::strong_count(&doors[number].waiting) == 1).then_some(())
        })
        .await;
    }

    pub(super) fn open(&self, number: usize, replica: &Archway) {
        self.0.lock().expect("no panic under it")[number] = Door::of(replica);
    }

    /// The door of this number, or the next one that is open, and a place to wait there.
    fn of_number(&self, number: usize) -> (Client, Arc<()>) {
        let doors = self.0.lock().expect("no panic under it");
        let mut from = doors.iter().cycle().skip(number % doors.len());
        let open = from.by_ref().take(doors.len()).find(|door| door.is_open);
        let open = open.expect("one is open");
        (open.client.clone(), Arc::clone(&open.waiting))
    }
}

/// What a herd has seen.
#[derive(Default)]
pub(super) struct Seen {
    /// Of the pulls that failed, why.
    pub(super) failures: Vec<String>,
    /// Of each blob, from its request on.
    pub(super) first_bytes: Vec<Duration>,
    pub(super) took: Duration,
}

/// So many clients pull all images, one after the other.
pub(super) async fn herd(doors: &Doors, clients: usize, images: &[Image]) -> Seen {
    let begun = Instant::now();
    let pulls = (0..clients).map(|client| async move {
        let mut seen = Vec::new();
        for image in images {
            seen.push(pull(doors, client, image).await);
        }
        seen
    });
    let mut all = Seen::default();
    for pulled in join_all(pulls).await.into_iter().flatten() {
        match pulled {
            Ok(first_bytes) => all.first_bytes.extend(first_bytes),
            Err(problem) => all.failures.push(problem),
        }
    }
    all.took = begun.elapsed();
    all
}

/// Pulls an image as a client does: by its tag, then all of its blobs at once.
async fn pull(doors: &Doors, client: usize, image: &Image) -> Result<Vec<Duration>, String> {
    let path = format!("/v2/team/app/manifests/{}", image.tag);
    let (answer, _) = open(doors, client, &path).await?;
    if answer.status() != 200 {
        return Err(format!("{path}: {}", answer.status()));
    }
    answer.drain().await;
    let blobs = image.content.blobs.iter();
    let blobs = join_all(blobs.map(|blob| pull_blob(doors, client, blob))).await;
    blobs.into_iter().collect()
}

async fn pull_blob(doors: &Doors, client: usize, blob: &Blob) -> Result<Duration, String> {
    let path = blob_path("team/app", blob.digest());
    let (mut download, asked) = open(doors, client, &path).await?;
    let status = download.status();
    let has_begun = status == 200 && download.try_read_to(1, blob).await;
    let first = asked.elapsed();
    match download.finish_with_pause(blob).await.0 {
        End::Complete(size) if has_begun && size == blob.size() => Ok(first),
        end => Err(format!("{path}: {status}, {end:?}")),
    }
}

/// The answer to a client, and when it asked.
async fn open(doors: &Doors, client: usize, path: &str) -> Result<(Download, Instant), String> {
    let (door, _waiting) = doors.of_number(client);
    let asked = Instant::now();
    let answer = door.try_open(Method::GET, path).await;
    let answer = answer.map_err(|error| format!("{path}: {error:?}"))?;
    Ok((answer, asked))
}
