//! How much memory this machine has.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::system::System;

/// What `/proc/meminfo` tells, in MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_field_names, reason = "the unit is part of what machines read")]
pub(crate) struct Memory {
    /// What the kernel can use: somewhat less than was paid for.
    pub(crate) total_mb: u64,
    /// What programs can still have without swapping.
    pub(crate) available_mb: u64,
    pub(crate) swap_mb: u64,
    pub(crate) swap_free_mb: u64,
}

impl Memory {
    pub(crate) fn read(system: &System) -> Result<Self> {
        let path = system.path("/proc/meminfo");
        let text = files::read(&path)?.with_context(|| format!("there is no {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} does not tell the memory", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mb = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(value.trim().strip_suffix(" kB")?.parse::<u64>().ok()? / 1024)
        };
        Some(Self {
            total_mb: mb("MemTotal")?,
            available_mb: mb("MemAvailable")?,
            swap_mb: mb("SwapTotal")?,
            swap_free_mb: mb("SwapFree")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figures_are_read() {
        let text = "MemTotal:         984380 kB\nMemFree:  1 kB\nMemAvailable:     512000 kB\nSwapCached: 5 kB\n\
                    SwapTotal:       1048572 kB\nSwapFree:        1048572 kB\n";
        let memory = Memory { total_mb: 961, available_mb: 500, swap_mb: 1023, swap_free_mb: 1023 };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse("MemTotal: 1 kB\n"), None);
    }
}
