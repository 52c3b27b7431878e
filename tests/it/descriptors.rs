//! The limit of open files: raised as far as it goes, and what it does not reach to is bounded
//! rather than broken.

use integration_tests::proxy::{Archway, Setup};
use integration_tests::registry::FakeRegistry;
use tokio::net::TcpStream;

/// More connections than the limits of these tests have room for.
const CROWD: usize = 200;

async fn crowd(archway: &Archway) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let client = TcpStream::connect(archway.address()).await;
        crowd.push(client.expect("it listens"));
    }
    crowd
}

#[tokio::test]
async fn a_low_soft_limit_is_raised_to_the_hard_one() {
    let registry = FakeRegistry::start().await;
    let archway = Setup::in_front_of(&registry).limit("-Sn 128").start().await;
    let _crowd = crowd(&archway).await;
    archway.client().get("/v2/").await.expect(200);
    assert!(!archway.log().text().contains("may open too few files"));
}

#[tokio::test]
async fn a_low_hard_limit_makes_clients_wait_and_breaks_nothing() {
    let (registry, _) = FakeRegistry::with_app().await;
    let archway = Setup::in_front_of(&registry).limit("-n 1000").start().await;
    archway.log().says("may open too few files").await;
    let crowd = crowd(&archway).await;
    archway.admin().get("/livez").await.expect(200);
    drop(crowd);
    archway.client().pull("team/app", "v1").await;
    assert!(!archway.log().text().contains("cannot accept"));
}
