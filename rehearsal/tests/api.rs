//! The engine of the simulators: what every description has to say, and what is true of each of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use echora_rehearsal::api::{Api, Nothing, Options, Token};
use provider_profiles::{Catalog, Simulator};
use tokio::net::TcpListener;

const TOKEN: &str = "token-of-a-test";

fn descriptions() -> BTreeMap<String, Simulator> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Catalog::simulators_in(&checkout.join("provider-profiles/simulators")).unwrap()
}

async fn serve(simulator: Simulator) -> anyhow::Result<Api> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let token = Token { value: TOKEN.into(), read_only: false };
    let options = Options { tokens: vec![token], speed: 1000.0, requests: None };
    Api::serve(simulator, listener, &url, &options, Arc::new(Nothing))
}

#[tokio::test]
async fn every_description_is_whole() {
    let descriptions = descriptions();
    assert!(!descriptions.is_empty());
    for (id, simulator) in descriptions {
        if let Err(error) = serve(simulator).await {
            panic!("{id}: {error:#}");
        }
    }
}
