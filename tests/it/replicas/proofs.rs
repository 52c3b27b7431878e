//! What somebody between two replicas can do who does not know their secret: nothing but keep them apart.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use integration_tests::client::Client;
use integration_tests::images::{self, Flavor};
use integration_tests::registry::FakeRegistry;
use integration_tests::server::{Body, Server, full};

use super::{Each, Fleet, ONE_CONNECTION, big, free_addresses};

/// What is made of an answer to a path.
type Change = Box<dyn Fn(&str, Response<Bytes>) -> Response<Bytes> + Send>;

/// Two replicas, with somebody in between who passes on all that the first asks the second.
struct Overheard {
    fleet: Fleet,
    change: Arc<Mutex<Option<Change>>>,
}

impl Overheard {
    async fn start(registry: &FakeRegistry) -> Self {
        let own = free_addresses(2);
        let change: Arc<Mutex<Option<Change>>> = Arc::default();
        let (theirs, to) = (Arc::clone(&change), own[1]);
        let between =
            Server::start(move |request, _| pass_on(request, to, Arc::clone(&theirs)).boxed());
        let members = [own[0], between.await.address()];
        let each = Each {
            lines: ONE_CONNECTION.to_owned(),
            ..Each::default()
        };
        let fleet = Fleet::at(registry, &members, &own, each).await;
        Self { fleet, change }
    }

    fn client(&self, number: usize) -> Client {
        self.fleet.replicas[number].client()
    }

    /// The first of these that the second one owns.
    fn of_second<T>(&self, made: impl Fn(u32) -> T, key: impl Fn(&T) -> String) -> T {
        let mut made = (0..).map(made);
        let found = made.find(|one| self.fleet.owner(&key(one)) == 1);
        found.expect("half of them are")
    }

    fn change(&self, change: impl Fn(&str, Response<Bytes>) -> Response<Bytes> + Send + 'static) {
        *self.change.lock().expect("no panic under it") = Some(Box::new(change));
    }
}

async fn pass_on(
    request: Request<Incoming>,
    to: SocketAddr,
    change: Arc<Mutex<Option<Change>>>,
) -> Response<Body> {
    let path = request.uri().to_string();
    let asked = reqwest::Client::new()
        .get(format!("http://{to}{path}"))
        .headers(request.headers().clone());
    let Ok(answer) = asked.send().await else {
        let mut refusal = Response::new(full(Bytes::new()));
        *refusal.status_mut() = StatusCode::BAD_GATEWAY;
        return refusal;
    };
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(header::TRANSFER_ENCODING);
    let mut passed = Response::new(answer.bytes().await.unwrap_or_default());
    (*passed.status_mut(), *passed.headers_mut()) = (status, headers);
    if let Some(change) = &*change.lock().expect("no panic under it") {
        passed = change(&path, passed);
    }
    passed.map(full)
}

#[tokio::test]
async fn who_is_in_between_cannot_give_a_repository_a_blob_that_its_upstream_does_not_have_there() {
    let registry = FakeRegistry::with_app().await.0;
    let both = Overheard::start(&registry).await;
    let key = |blob: &images::Blob| blob.digest().to_string();
    let blob = both.of_second(|number| big(&format!("private {number}"), 100_000), key);
    registry.push("team/private", "v1", &images::of_blob(&blob));
    let had = both.client(1).blob("team/private", blob.digest()).await;
    let bytes = had.expect(200).body;
    both.change(move |path, answer| {
        if !path.contains("/blobs/") {
            return answer;
        }
        let mut changed = answer.map(|_| bytes.clone());
        *changed.status_mut() = StatusCode::OK;
        let length = header::HeaderValue::from(bytes.len());
        changed.headers_mut().insert(header::CONTENT_LENGTH, length);
        changed
    });
    let answer = both.client(0).blob("team/app", blob.digest()).await;
    assert_eq!(answer.status, 404, "it is private");
}

#[tokio::test]
async fn who_is_in_between_cannot_make_a_tag_one_that_is_not_there() {
    let registry = FakeRegistry::start().await;
    let both = Overheard::start(&registry).await;
    let key = |name: &String| format!("registry.test/{name}");
    let name = both.of_second(|number| format!("team/app{number}"), key);
    registry.push(
        &name,
        "v1",
        &images::single("app", "linux/amd64", Flavor::Oci),
    );
    both.client(0).manifest(&name, "v1").await.expect(200);
    both.change(|path, answer| {
        if !path.contains("/manifests/") {
            return answer;
        }
        let mut changed = answer.map(|_| Bytes::new());
        *changed.status_mut() = StatusCode::NOT_FOUND;
        changed.headers_mut().remove(header::CONTENT_LENGTH);
        changed
    });
    registry.push(
        &name,
        "v2",
        &images::single("two", "linux/amd64", Flavor::Oci),
    );
    both.client(0).manifest(&name, "v2").await.expect(200);
}
