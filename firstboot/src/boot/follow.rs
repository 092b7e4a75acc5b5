//! Later boots of a machine that is set up: when its address has changed, the site follows.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Boot, announce, door};
use crate::caddy::{self, Gate};
use crate::compose;
use crate::credentials;
use crate::engine;
use crate::environment::Environment;
use crate::files;
use crate::instance::Instance;
use crate::metadata::Patience;
use crate::site::Site;
use crate::turn::Turn;

/// The site runs while the question is open, and a service that is dead or ill changes nothing.
const PATIENCE: Patience = Patience {
    total: Duration::from_secs(3),
    troubled: Duration::from_secs(3),
    attempt: Duration::from_secs(2),
    pause: Duration::from_millis(500),
};

impl Boot<'_> {
    /// Asks once who this machine is. The state is written last: a boot that is cut off finds the change again.
    pub(super) fn follow(&mut self) -> Result<()> {
        self.enter("metadata");
        let Some(instance) = self.look() else {
            return Ok(());
        };
        if self.is_at(&instance) {
            return Ok(());
        }
        self.enter("address");
        self.console.say("the address of this server has changed: the site follows");
        self.move_to(&instance).context("the site cannot follow the change of address")
    }

    /// What the service tells now, if it tells an address.
    fn look(&self) -> Option<Instance> {
        let mut instance = self.client(PATIENCE).instance().ok()?;
        instance.drop_unreachable();
        instance.address().is_some().then_some(instance)
    }

    fn is_at(&self, instance: &Instance) -> bool {
        self.state.public_ipv4 == instance.public_ipv4 && self.state.public_ipv6 == instance.public_ipv6
    }

    fn move_to(&mut self, instance: &Instance) -> Result<()> {
        let _turn = Turn::take(self.system)?;
        engine::wait(self.system)?;
        let path = self.system.environment();
        let mut environment = Environment::parse(&files::read(&path)?.unwrap_or_default());
        announce(&mut environment, instance);
        files::write(&path, 0o600, &environment.render())?;
        let site = Site::read(self.system)?.unwrap_or_default();
        // Where the domain leads is its operator's matter: its certificate is good until it ends.
        let site = site.at(instance.public_ipv4.as_deref(), instance.public_ipv6.as_deref());
        caddy::write(self.system, Gate::Site, &site)?;
        compose::start(self.system, &["backend"])?;
        compose::wait_for_app(self.system)?;
        compose::reload_caddy(self.system)?;
        let url = site.url();
        door::check(self.system, &url)?;
        credentials::readdress(self.system, &url)?;
        self.remember_place(&url, instance.clone());
        self.state.write(self.system)?;
        self.console.say(&format!("this server is at {url}; the login stays as it is"));
        Ok(())
    }

    pub(super) fn remember_place(&mut self, url: &str, instance: Instance) {
        url.clone_into(&mut self.state.url);
        self.state.public_ipv4 = instance.public_ipv4;
        self.state.public_ipv6 = instance.public_ipv6;
        self.state.machine = instance.id;
        self.state.region = instance.region;
    }
}
