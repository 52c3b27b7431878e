//! Clients that all want the same images at the same time, each by way of one replica of those that are open.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::Method;
use integration_tests::client::{Client, End, blob_path};
use integration_tests::images::{Blob, Content};
use integration_tests::proxy::Archway;

use super::Fleet;

/// How often a client that finds a door shut tries the next one.
const MOST_TRIES: usize = 20;

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
pub(super) struct Doors(Mutex<Vec<Option<Client>>>);

impl Doors {
    pub(super) fn of(fleet: &Fleet) -> Self {
        let all = fleet.replicas.iter().map(|replica| Some(replica.client()));
        Self(Mutex::new(all.collect()))
    }

    pub(super) fn close(&self, number: usize) {
        self.0.lock().expect("no panic under it")[number] = None;
    }

    pub(super) fn open(&self, number: usize, replica: &Archway) {
        self.0.lock().expect("no panic under it")[number] = Some(replica.client());
    }

    /// The door of this number, or the next one that is open.
    fn of_number(&self, number: usize) -> Client {
        let doors = self.0.lock().expect("no panic under it");
        let mut from = doors.iter().cycle().skip(number % doors.len());
        let open = from.by_ref().take(doors.len()).flatten().next();
        open.expect("one is open").clone()
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

/// The answer to a client, and when it asked. A door that shuts as it comes is none.
async fn open(
    doors: &Doors,
    client: usize,
    path: &str,
) -> Result<(integration_tests::client::Download, Instant), String> {
    let mut problem = String::new();
    for attempt in 0..MOST_TRIES {
        let asked = Instant::now();
        match doors
            .of_number(client + attempt)
            .try_open(Method::GET, path)
            .await
        {
            Ok(answer) => return Ok((answer, asked)),
            Err(error) if error.is_connect() => problem = format!("{path}: {error:?}"),
            Err(error) => return Err(format!("{path}: {error:?}")),
        }
    }
    Err(problem)
}
