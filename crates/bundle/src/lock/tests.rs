use super::*;

fn digest(text: &str) -> Digest {
    Digest::of(Algorithm::Sha256, text.as_bytes())
}

fn lock() -> Lock {
    Lock {
        blobs: vec![Blob {
            digest: digest("index"),
            place: Place::Bundle,
            offset: Some(0),
            size: 5,
        }],
        created: "2026-11-28T00:00:00Z".to_owned(),
        format: FORMAT.to_owned(),
        images: vec![Image {
            attached: Vec::new(),
            children: vec![Child {
                digest: digest("amd64"),
                platform: Some(PlatformName("linux/amd64".parse().unwrap())),
                presence: Presence::LeftOut,
            }],
            digest: digest("index"),
            docker: None,
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            name: "docker.io/library/hello:1.0".parse().unwrap(),
            size: 5,
            whole: false,
        }],
        index: IndexContent::Images,
        platforms: vec![PlatformName("linux/arm64".parse().unwrap())],
        requires: Vec::new(),
        sequence: None,
        series: None,
    }
}

#[test]
fn a_lock_is_read_as_it_was_written() {
    let bytes = lock().to_bytes();
    let read = Lock::parse(&bytes).unwrap();
    assert_eq!(read, lock());
    assert_eq!(read.to_bytes(), bytes);
}

#[test]
fn keys_of_a_later_version_are_ignored() {
    let text = String::from_utf8(lock().to_bytes()).unwrap();
    let later = text.replacen('{', r#"{"aLaterKey":[1],"#, 1);
    assert_eq!(Lock::parse(later.as_bytes()).unwrap(), lock());
}

#[test]
fn what_is_wrong_with_a_lock_is_named() {
    type Change = fn(&mut Lock);
    let cases: [(Change, &str); 5] = [
        (
            |lock| "archway.bundle/2".clone_into(&mut lock.format),
            "has the format \"archway.bundle/2\"",
        ),
        (
            |lock| lock.blobs.push(lock.blobs[0].clone()),
            "lists the blob sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6 \
             twice",
        ),
        (
            |lock| lock.blobs.clear(),
            "which docker.io/library/hello:1.0 needs",
        ),
        (
            |lock| lock.series = Some("site".parse().unwrap()),
            "a series without a sequence",
        ),
        (
            |lock| lock.images[0].name = "hello:1.0".parse().unwrap(),
            "\"hello:1.0\" is not a whole image name",
        ),
    ];
    for (change, expected) in cases {
        let mut lock = lock();
        change(&mut lock);
        let error = Lock::parse(&lock.to_bytes()).unwrap_err();
        let error = protocol::error_chain::ErrorChain(&error).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
