//! Cells of the shared snapshot, each with its provider around it.

use std::collections::BTreeMap;
use std::time::Duration;

use echora_rehearsal::cell::Cell;
use echora_rehearsal::front_door::{FrontDoor, Login};
use echora_rehearsal::metadata::{Metadata, setting_for};
use echora_rehearsal::network::Network;

use super::query_script;
use super::snapshot::{Built, shared};

/// Far more than a first boot takes here.
pub(crate) const BOOT: Duration = Duration::from_secs(180);

/// A cell with all around it; what runs ends before what it runs in goes.
pub(crate) struct Rented {
    pub(crate) cell: Cell,
    pub(crate) metadata: Metadata,
    pub(crate) network: Network,
}

impl Rented {
    /// Made from the shared snapshot and not started yet.
    pub(crate) async fn make() -> Self {
        Self::of(shared().await).await
    }

    /// Made from any and not started yet.
    pub(crate) async fn of(Built { entry, disk, .. }: &Built) -> Self {
        let network = Network::create(&[]).await.unwrap();
        let setting = setting_for(entry, Vec::new(), String::new(), BTreeMap::new());
        let metadata = Metadata::serve(&network, &entry.fixture, setting).await.unwrap();
        let cell = Cell::make(disk, "i-1").await.unwrap();
        Self { cell, metadata, network }
    }

    /// Powers it on.
    pub(crate) async fn start(&mut self) {
        self.cell.start(&self.network).await.unwrap();
    }

    pub(crate) async fn login(&mut self, from: usize) -> Login {
        self.cell.login(from, BOOT).await.unwrap()
    }

    /// Waits until a login works.
    pub(crate) async fn wait_for_site(&self, login: &Login) {
        let end = tokio::time::Instant::now() + BOOT;
        while let Err(error) = self.role(login).await {
            assert!(tokio::time::Instant::now() < end, "the site did not come back: {error:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The role of the account that a login opens.
    pub(crate) async fn role(&self, login: &Login) -> anyhow::Result<String> {
        FrontDoor::new(&self.network, &login.url).prove(login).await
    }

    /// Answers of the database, one a line.
    pub(crate) async fn query(&self, question: &str) -> String {
        self.cell.inside(&query_script(question)).await.unwrap().trim().to_owned()
    }
}
