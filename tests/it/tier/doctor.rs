//! `archway doctor tier` and `archway tier clean`.

use integration_tests::bucket::{Bucket, Mood};
use integration_tests::images;
use integration_tests::registry::FakeRegistry;

use super::{REPOSITORY, holds, settles, setup, setup_with};

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn the_doctor_tells_a_good_bucket_from_one_that_refuses() {
    let registry = FakeRegistry::start().await;
    let bucket = Bucket::start().await;
    let words = ["doctor", "tier", "--config", "CONFIG"];
    let good = setup(&registry, &bucket).run(&words).await;
    assert_eq!(good.status.code(), Some(0), "{}", text(&good));
    assert!(text(&good).contains("AbortIncompleteMultipartUpload"));
    assert!(bucket.keys().is_empty(), "it leaves nothing");
    for mood in [Mood::Refuses(403, "AccessDenied"), Mood::Silent] {
        bucket.be(mood);
        let bad = setup(&registry, &bucket).run(&words).await;
        assert_eq!(bad.status.code(), Some(1), "{}", text(&bad));
        assert!(text(&bad).contains("FAIL"), "{}", text(&bad));
    }
}

#[tokio::test]
async fn cleaning_keeps_the_bucket_below_its_size() {
    let image = images::multi_platform("app");
    let registry = FakeRegistry::with(REPOSITORY, "v1", &image).await;
    let bucket = Bucket::start().await;
    let archway = setup(&registry, &bucket).start().await;
    let pulled = archway.client().pull(REPOSITORY, "v1").await;
    holds(&bucket, &pulled.parts).await;
    settles(&archway).await;
    drop(archway);
    let words = ["tier", "clean", "--config", "CONFIG"];
    let roomy = setup_with(&registry, &bucket, "max_size = \"1GiB\"");
    let output = roomy.run(&words).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    holds(&bucket, &pulled.parts).await;
    bucket.grow_old();
    let tight = setup_with(&registry, &bucket, "max_size = \"1B\"");
    let output = tight.run(&words).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!pulled.parts.iter().any(|digest| bucket.has(digest)));
    let keys = bucket.keys();
    let is_record = |key: &&String| key.starts_with("tags/") || key.starts_with("manifests/");
    assert_eq!(keys.iter().find(is_record), None, "they name what has gone");
}
