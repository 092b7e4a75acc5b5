//! A port of this machine that leads to a machine's site: the network of the machine has no other way in.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::network::{MACHINE_V4, Network};

/// The open port; dropping it closes it.
#[derive(Debug)]
pub struct Forward {
    task: JoinHandle<()>,
}

impl Forward {
    /// Leads connections to `from` to port 443 of the machine in `network`.
    pub async fn open(network: &Network, from: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(from).await.with_context(|| format!("cannot listen on {from}"))?;
        let network = network.handle();
        let task = tokio::spawn(async move {
            while let Ok((outer, _)) = listener.accept().await {
                let network = network.clone();
                // A connection that fails is the browser's to repeat.
                tokio::spawn(async move { join(outer, network).await });
            }
        });
        Ok(Self { task })
    }
}

async fn join(mut outer: TcpStream, network: crate::network::Handle) -> Result<()> {
    let target = SocketAddr::new(IpAddr::V4(MACHINE_V4), 443);
    let mut inner = network.connect(target).await?;
    tokio::io::copy_bidirectional(&mut outer, &mut inner).await.context("the connection broke off").map(drop)
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}
