//! A played API where its clients look for it, inside a machine's network: at an address that they are told, or under the
//! provider's own name when they know no other.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use provider_profiles::Simulator;
use tempfile::TempDir;

use super::{Api, Hypervisor, Options, Tls};
use crate::network::Network;

/// The machine itself does not reach it there, as in the field.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HTTPS: u16 = 443;

/// A played API in a network.
pub struct Reachable {
    /// The API.
    pub api: Api,
    /// What leads clients that run in the network there.
    pub environment: Vec<(String, String)>,
    /// Where they find the authority that vouches for the provider's name.
    _authority: Option<TempDir>,
}

impl Reachable {
    /// Serves `simulator` in `network`.
    pub async fn serve(
        network: &Network,
        simulator: Simulator,
        options: &Options,
        hypervisor: Arc<dyn Hypervisor>,
    ) -> Result<Self> {
        let Some(host) = simulator.host.clone() else {
            let listener = network.listen(SocketAddr::new(ADDRESS, 0)).await?;
            let url = format!("http://{}", listener.local_addr().context("the API has no address")?);
            let api = Api::serve(simulator, listener, &url, options, hypervisor)?;
            return Ok(Self { environment: environment(&api)?, api, _authority: None });
        };
        network.name(&host, ADDRESS)?;
        let tls = Tls::new(network.listen(SocketAddr::new(ADDRESS, HTTPS)).await?, &host)?;
        let folder = tempfile::tempdir().context("cannot make a folder for an authority")?;
        let authority = folder.path().join("authority.pem");
        fs::write(&authority, tls.authority()).context("cannot write down an authority")?;
        let api = Api::serve(simulator, tls, &format!("https://{host}"), options, hypervisor)?;
        let mut environment = environment(&api)?;
        environment.push(("SSL_CERT_FILE".into(), authority.display().to_string()));
        Ok(Self { api, environment, _authority: Some(folder) })
    }
}

/// The provider's own variables; a proxy of the user's is out of reach in the network.
fn environment(api: &Api) -> Result<Vec<(String, String)>> {
    let mut environment = api.environment()?;
    environment.push(("NO_PROXY".into(), "*".into()));
    Ok(environment)
}
