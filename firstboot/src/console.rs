//! What the buyer sees: progress on every console, and in the journal all but the login.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use crate::login::LoginBlock;
use crate::system::System;

/// The consoles of this machine.
#[derive(Debug)]
pub(crate) struct Console {
    devices: Vec<PathBuf>,
}

impl Console {
    /// The plan's devices; one that this machine does not have is passed over.
    pub(crate) fn new(system: &System, devices: &[String]) -> Self {
        Self {
            devices: devices.iter().map(|device| system.path(device)).filter(|path| path.exists()).collect(),
        }
    }

    /// A line for everybody.
    pub(crate) fn say(&self, text: &str) {
        println!("{text}");
        self.write(&format!("echora: {text}\n"));
    }

    /// The login, for who stands before the machine: never in the journal.
    pub(crate) fn login(&self, block: &LoginBlock) {
        println!("the login is on the console and in /root/echora-credentials");
        self.write(&format!("\n{}\n", block.render()));
    }

    fn write(&self, text: &str) {
        for device in &self.devices {
            // A console that is gone or stuck must not keep a server from coming up.
            let open = OpenOptions::new().append(true).open(device);
            let _ = open.and_then(|mut file| file.write_all(text.as_bytes()));
        }
    }
}
