//! The stack's containers, asked of the engine itself.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::text;
use crate::compose::CONTAINERS;
use crate::engine;
use crate::system::System;

/// A container, or the lack of one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) name: String,
    /// `running`, `restarting`, `exited`, ...; `missing`.
    pub(crate) state: String,
    /// `healthy`, `unhealthy` or `starting`; none where it has no check.
    pub(crate) health: Option<String>,
    /// When it was started, as the engine writes it.
    pub(crate) started: String,
    /// How often it was started again because it had ended.
    pub(crate) restarts: u64,
    /// Whether the kernel ended it for want of memory.
    pub(crate) out_of_memory: bool,
    /// Whether its log is rotated.
    pub(crate) log_is_bounded: bool,
}

impl Container {
    /// Whether it does what it is there for.
    pub(crate) fn is_well(&self) -> bool {
        self.state == "running" && self.health.as_deref() != Some("unhealthy")
    }
}

/// All that compose.yaml names.
pub(crate) fn containers(system: &System, patience: Duration) -> Result<Vec<Container>> {
    let of = |name: &str| {
        let path = format!("/containers/{name}/json");
        let about = engine::look_within(system, &path, patience)?;
        let missing = Container { state: "missing".into(), log_is_bounded: true, ..Container::default() };
        let known = about.map_or(missing, |about| read(&about));
        Ok(Container { name: name.to_owned(), ..known })
    };
    CONTAINERS.iter().map(|name| of(name)).collect::<Result<_>>().context("the containers are not known")
}

fn read(about: &Value) -> Container {
    let state = &about["State"];
    let log = &about["HostConfig"]["LogConfig"];
    // The driver `local` has bounds of its own: https://docs.docker.com/engine/logging/drivers/local/
    let log_is_bounded = log["Type"] != "json-file" || log["Config"]["max-size"].is_string();
    Container {
        name: String::new(),
        state: text(&state["Status"]),
        health: state["Health"]["Status"].as_str().map(str::to_owned),
        started: text(&state["StartedAt"]),
        restarts: about["RestartCount"].as_u64().unwrap_or_default(),
        out_of_memory: state["OOMKilled"] == true,
        log_is_bounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_answer_is_read() {
        let about = serde_json::json!({
            "State": {"Status": "running", "OOMKilled": true, "StartedAt": "2026-11-25T06:00:00Z", "Health": {"Status": "unhealthy"}},
            "RestartCount": 3, "HostConfig": {"LogConfig": {"Type": "json-file", "Config": {}}}});
        let container = read(&about);
        assert!(!container.is_well() && container.out_of_memory && !container.log_is_bounded);
        assert_eq!(container.restarts, 3);
        let about = serde_json::json!({"State": {"Status": "running"}, "HostConfig": {"LogConfig": {"Type": "local"}}});
        assert!(read(&about).is_well() && read(&about).log_is_bounded);
    }
}
