//! A place in a network for a machine that is no emulated one.

use anyhow::{Context, Result};
use tokio::process::Command;

use super::{BRIDGE, COMMAND_DEADLINE, GATEWAY_V4, Handle, MAC, MACHINE_V4, MACHINE_V6, Namespace, Network};
use crate::process::run;

/// A machine's end of a network; dropping it unplugs it.
#[derive(Debug)]
pub struct Port {
    namespace: Namespace,
}

impl Port {
    /// Name of the machine's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace.name
    }

    /// A way into the machine's namespace.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { path: self.namespace.path() }
    }
}

impl Network {
    /// A place in the network for a machine that is no emulated one: a namespace of its own with the machine's card and
    /// addresses.
    pub async fn port(&self) -> Result<Port> {
        let port = Port { namespace: Namespace::add().await? };
        let (cloud, machine) = (self.namespace.name.as_str(), port.namespace.name.as_str());
        let (v4, v6) = (format!("{MACHINE_V4}/24"), format!("{MACHINE_V6}/64"));
        // One that is taken away is gone a moment later: each has a name of its own.
        let plug = format!("cell{}", machine.rsplit('-').next().unwrap_or_default());
        let gateway = GATEWAY_V4.to_string();
        let steps: &[(&str, &[&str])] = &[
            (
                cloud,
                &[
                    "link", "add", &plug, "type", "veth", "peer", "name", "eth0", "address", MAC, "netns",
                    machine,
                ],
            ),
            (cloud, &["link", "set", &plug, "master", BRIDGE, "up"]),
            (machine, &["link", "set", "lo", "up"]),
            (machine, &["address", "add", &v4, "dev", "eth0"]),
            (machine, &["address", "add", &v6, "dev", "eth0", "nodad"]),
            (machine, &["link", "set", "eth0", "up"]),
            (machine, &["route", "add", "default", "via", &gateway]),
            (machine, &["-6", "route", "add", "default", "via", "2001:db8::1"]),
        ];
        for (namespace, step) in steps {
            let mut command = Command::new("ip");
            command.args(["-netns", namespace]).args(*step);
            run(&mut command, "ip", COMMAND_DEADLINE)
                .await
                .context("cannot plug into the machine's network")?;
        }
        Ok(port)
    }
}
