//! Where things are; tests put them elsewhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::settings::Settings;

/// The machine that is set up.
#[derive(Debug, Clone)]
pub struct System {
    /// Folder that stands for `/`.
    pub root: PathBuf,
    /// Replaces the metadata service's base address.
    pub metadata: Option<String>,
    /// The backend's address, on loopback.
    pub backend: String,
    /// Settings of the command line.
    pub settings: Settings,
    /// The longest that anything is waited for; `None` leaves every wait its own deadline.
    pub longest: Option<Duration>,
}

impl Default for System {
    fn default() -> Self {
        Self {
            root: "/".into(),
            metadata: None,
            backend: "http://127.0.0.1:3000".into(),
            settings: Settings::default(),
            longest: None,
        }
    }
}

impl System {
    pub(crate) fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(Path::new(absolute).strip_prefix("/").unwrap_or(Path::new(absolute)))
    }

    /// `wait`, or the longest that anything is waited for here.
    pub(crate) fn at_most(&self, wait: Duration) -> Duration {
        self.longest.map_or(wait, |longest| wait.min(longest))
    }

    pub(crate) fn plan(&self) -> PathBuf {
        self.path("/etc/echora/provider.toml")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("/etc/echora/config.toml")
    }

    /// Docker's socket.
    pub(crate) fn engine(&self) -> PathBuf {
        self.path("/var/run/docker.sock")
    }

    pub(crate) fn stack(&self) -> PathBuf {
        self.path("/opt/echora")
    }

    pub(crate) fn environment(&self) -> PathBuf {
        self.path("/opt/echora/.env")
    }

    /// Folder that Caddy reads its instance's configuration from.
    pub(crate) fn caddy(&self) -> PathBuf {
        self.path("/var/lib/echora/caddy")
    }

    /// Folder of Caddy's own: accounts, keys, certificates.
    pub(crate) fn caddy_data(&self) -> PathBuf {
        self.path("/var/lib/echora/caddy-data")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("/var/lib/echora/state.json")
    }

    /// How long the steps of the last boot took. It goes with that boot.
    pub(crate) fn boot_times(&self) -> PathBuf {
        self.path("/run/echora/boot.json")
    }

    /// Where a state that cannot be read is put.
    pub(crate) fn damaged_state(&self) -> PathBuf {
        self.path("/var/lib/echora/state.json.damaged")
    }

    /// The owner's account between its making and the end of the boot.
    pub(crate) fn owner(&self) -> PathBuf {
        self.path("/var/lib/echora/owner.json")
    }

    /// Settings that were handed in, until they are used.
    pub(crate) fn settings_file(&self) -> PathBuf {
        self.path("/var/lib/echora/settings.toml")
    }

    /// How far the database has come: `begun` or `made`.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("/var/lib/echora/database")
    }

    /// Which names and addresses the site has.
    pub(crate) fn site(&self) -> PathBuf {
        self.path("/var/lib/echora/site.json")
    }

    /// What was last found out about the domain.
    pub(crate) fn domain_report(&self) -> PathBuf {
        self.path("/var/lib/echora/domain.json")
    }

    /// How to undo the change of the site that is under way.
    pub(crate) fn change(&self) -> PathBuf {
        self.path("/var/lib/echora/change.json")
    }

    /// Variables that only some servers have.
    pub(crate) fn backend_environment(&self) -> PathBuf {
        self.path("/var/lib/echora/backend.env")
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.path("/var/lib/echora/uploads")
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.path("/root/echora-credentials")
    }
}
