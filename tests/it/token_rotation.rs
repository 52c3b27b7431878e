//! A token that is replaced in the middle of a pull: nobody notices, and one new one is asked for.

use futures_util::future::join_all;
use integration_tests::auth::{Auth, EcrToken, Expired};
use integration_tests::aws::{ECR_HOST, EcrApi};
use integration_tests::client::Client;
use integration_tests::faults::{Fault, Gate, On};
use integration_tests::images::{self, Blob};
use integration_tests::proxy::Setup;
use integration_tests::registry::{Blobs, FakeRegistry};

const LAYERS: usize = 20;

async fn whole(client: &Client, blob: &Blob) {
    let answer = client.blob("team/app", blob.digest()).await.expect(200);
    assert!(blob.holds_at(0, &answer.body));
}

#[tokio::test]
async fn a_token_rotated_within_a_pull_of_20_layers_is_renewed_once_and_nobody_notices() {
    for expired in [Expired::Forbidden, Expired::Unauthorized] {
        let names = (0..LAYERS).map(|layer| format!("layer {layer}"));
        let layers: Vec<_> = names
            .map(|name| Blob::from(images::noise(&name, 40_000)))
            .collect();
        let content = images::of_blobs(&layers);
        let registry = FakeRegistry::with("team/app", "v1", &content).await;
        registry.quirks(|quirks| quirks.blobs = Blobs::Redirected);
        let token = EcrToken::new(expired);
        registry.require(Auth::Ecr(token.clone()));
        let api = EcrApi::start(token.clone()).await;
        let setup = Setup::in_front_of_as(ECR_HOST, &registry, &api.auth("")).aws_credentials();
        let archway = setup.start().await;
        let client = archway.client();
        client.manifest("team/app", "v1").await.expect(200);
        // Half of the layers stand at the store while the token goes; the others ask with the old
        // one afterwards.
        let gate = Gate::new();
        let hold = Fault::HoldHeaders(gate.clone());
        registry.faults().add(On::path("/layers/"), hold);
        let (early, late) = layers.split_at(LAYERS / 2);
        let rotate = async {
            gate.arrived().await;
            token.rotate();
            let rest = join_all(late.iter().map(|layer| whole(&client, layer)));
            gate.open();
            rest.await
        };
        let pulled = join_all(early.iter().map(|layer| whole(&client, layer)));
        tokio::join!(pulled, rotate);
        assert_eq!(
            api.calls(),
            2,
            "the first token and one renewal: {expired:?}"
        );
    }
}
