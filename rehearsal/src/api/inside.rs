//! A simulator in a machine's network, where clients reach it as they reach the provider.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use provider_profiles::Simulator;
use tempfile::NamedTempFile;

use super::hypervisor::Hypervisor;
use super::tls::Tls;
use super::{Api, Options};
use crate::network::{GATEWAY_V4, Network};

/// A simulator that listens inside; dropping it stops it.
pub struct Inside {
    api: Api,
    /// The authority's certificate and the host that it is good for.
    trust: Option<(NamedTempFile, String)>,
}

impl Inside {
    /// Serves `simulator` on the network's gateway: under the API's own host name with TLS when the description has
    /// one, else with plain HTTP on a free port.
    pub async fn serve(
        simulator: Simulator,
        network: &Network,
        options: &Options,
        hypervisor: Arc<dyn Hypervisor>,
    ) -> Result<Self> {
        let Some(host) = simulator.host.clone() else {
            let listener = network.listen(SocketAddr::from((GATEWAY_V4, 0))).await?;
            let url = format!("http://{}", listener.local_addr()?);
            return Ok(Self {
                api: Api::serve(simulator, listener, &url, options, hypervisor)?,
                trust: None,
            });
        };
        network.name(&[&host])?;
        let tls = Tls::new(network.listen(SocketAddr::from((GATEWAY_V4, 443))).await?, &host)?;
        let mut authority = NamedTempFile::new().context("cannot make a temporary file")?;
        authority.write_all(tls.authority().as_bytes()).context("cannot keep the authority's certificate")?;
        let api = Api::serve(simulator, tls, &format!("https://{host}"), options, hypervisor)?;
        Ok(Self { api, trust: Some((authority, host)) })
    }

    /// The simulator itself.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The environment that leads the provider's clients to it when they run inside; no proxy of the user's is asked.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut environment = self.api.environment()?;
        let host = match &self.trust {
            Some((authority, host)) => {
                environment.push(("SSL_CERT_FILE".into(), authority.path().display().to_string()));
                host.clone()
            }
            None => GATEWAY_V4.to_string(),
        };
        environment.push(("NO_PROXY".into(), host));
        Ok(environment)
    }
}
