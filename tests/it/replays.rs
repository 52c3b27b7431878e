//! Requests that are the same byte for byte are answered the same, whatever comes before, between
//! and after them.

use http::{HeaderMap, Method, Version};
use integration_tests::client::{Answer, Client, Dialect, Http, Tls, blob_path};
use integration_tests::proxy::Setup;
use integration_tests::registry::FakeRegistry;
use integration_tests::tls::{Authority, Mounted};
use integration_tests::wait::{eventually, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Reads until what came since ends with `body`.
async fn read_to(stream: &mut TcpStream, body: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    while !answer.ends_with(body) {
        let read = within("more of the answer", stream.read_buf(&mut answer)).await;
        assert_ne!(read.expect("a connection that holds"), 0, "it ended early");
    }
    answer
}

/// The headers of an answer but for those that name the time and the request.
fn head(answer: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("date:") && !line.starts_with("x-request-id:"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn an_answer_given_again_is_the_same_and_pipelined_requests_keep_their_order() {
    equal_requests_get_equal_answers_in_order("").await;
}

#[tokio::test]
async fn without_replay_equal_requests_get_equal_answers_in_order_too() {
    equal_requests_get_equal_answers_in_order("[server]\nreplay = false").await;
}

async fn equal_requests_get_equal_answers_in_order(server: &str) {
    let (registry, content) = FakeRegistry::with_app().await;
    let setup = Setup::in_front_of(&registry).table(server);
    let archway = setup.start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let body = &content.root().bytes;
    let get = |path: &str, more: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n{more}\r\n").into_bytes()
    };
    let manifest = get("/v2/team/app/manifests/v1", "");
    let mut stream = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let mut heads = Vec::new();
    for _ in 0..5 {
        stream.write_all(&manifest).await.expect("a connection");
        heads.push(head(&read_to(&mut stream, body).await));
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");

    let ping = get("/v2/", "connection: close\r\n");
    let pipelined = [&manifest[..], &manifest, &ping].concat();
    stream.write_all(&pipelined).await.expect("a connection");
    let mut rest = Vec::new();
    let read = within("the rest", stream.read_to_end(&mut rest)).await;
    read.expect("an orderly end");
    let text = String::from_utf8_lossy(&rest);
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 3, "{text}");
    assert!(
        text.ends_with("{}"),
        "the last asked is the last answered: {text}"
    );

    eventually("every one of them is logged", async || {
        let requests = archway.log().requests();
        let same = requests.iter().filter(|request| {
            request["path"] == "/v2/team/app/manifests/v1" && request["method"] == "GET"
        });
        (same.count() >= 7).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_head_given_again_has_no_body() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let ask = |method: &str| {
        format!(
            "{method} /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let mut heads = Vec::new();
    for _ in 0..4 {
        let request = ask("HEAD");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("a connection");
        heads.push(head(&read_to(&mut stream, b"\r\n\r\n").await));
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
    let request = ask("GET");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a connection");
    let answer = read_to(&mut stream, &content.root().bytes).await;
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert_eq!(head(&answer), heads[0]);
}

#[tokio::test]
async fn a_304_given_again_is_the_same() {
    let (registry, content) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).start().await;
    let pulled = archway.client().pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let known = content.root().digest;
    let request = format!(
        "GET /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: localhost\r\nif-none-match: \"{known}\"\r\n\r\n"
    );
    let mut stream = TcpStream::connect(archway.address())
        .await
        .expect("it listens");
    let mut heads = Vec::new();
    for _ in 0..4 {
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("a connection");
        heads.push(head(&read_to(&mut stream, b"\r\n\r\n").await));
    }
    assert_eq!(
        heads[0].first().map(String::as_str),
        Some("HTTP/1.1 304 Not Modified")
    );
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");
}

/// What an answer says, but for the time and the request's name.
fn said(answer: &Answer) -> (u16, HeaderMap, Vec<u8>) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    assert!(headers.remove("x-request-id").is_some());
    (answer.status.as_u16(), headers, answer.body.to_vec())
}

/// The answers to each kind of request over HTTP/2, asked five times each.
async fn answers_over_http_2(server: &str) -> Vec<(u16, HeaderMap, Vec<u8>)> {
    let (registry, content) = FakeRegistry::with_app().await;
    let authority = Authority::new("authority.test");
    let mounted = Mounted::with(&authority.issue());
    let setup = Setup::in_front_of(&registry).listener("127.0.0.1", &mounted.line());
    let archway = setup.table(server).start().await;
    let recent = Dialect::new(Tls::V13, Http::Two);
    let client = Client::over_tls(&archway.https_url(), &authority, recent);
    let pulled = client.pull("team/app", "v1").await;
    archway.stores_all(&pulled).await;
    let tag = "/v2/team/app/manifests/v1".to_owned();
    let first = client.open(Method::GET, &tag).await;
    assert_eq!(first.version(), Version::HTTP_2);
    let digest = format!("/v2/team/app/manifests/{}", content.root().digest);
    let part = pulled.parts.last().expect("an image has parts");
    let known = format!("\"{}\"", content.root().digest);
    let mut answers = Vec::new();
    for path in [tag, digest, blob_path("team/app", part)] {
        for (method, name, value) in [
            (Method::GET, "x-one", "1"),
            (Method::HEAD, "x-one", "1"),
            (Method::GET, "if-none-match", &known),
            (Method::GET, "archway-platform", "linux/amd64"),
        ] {
            let client = client.clone().with(name, value);
            let one = said(&client.send(method.clone(), &path).await);
            for _ in 0..4 {
                let again = said(&client.send(method.clone(), &path).await);
                assert_eq!(again, one, "{method} {path} with {name}");
            }
            answers.push(one);
        }
    }
    let asked = answers.len() * 5;
    eventually("every one of them is logged", async || {
        let requests = archway.log().requests();
        let complete = requests
            .iter()
            .filter(|request| request["complete"] == true);
        (complete.count() > asked).then_some(())
    })
    .await;
    answers
}

/// Content and names are the same in both, so all that is said is.
#[tokio::test]
async fn over_http_2_an_answer_given_again_is_what_the_routes_say() {
    let with = answers_over_http_2("").await;
    let without = answers_over_http_2("[server]\nreplay = false").await;
    assert_eq!(with, without);
    let statuses: Vec<_> = with.iter().map(|(status, ..)| *status).collect();
    assert!(
        statuses.contains(&304) && statuses.contains(&200),
        "{statuses:?}"
    );
}
