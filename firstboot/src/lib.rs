//! First boot of an Echora server.
//!
//! [`boot::boot`] reads top to bottom like the boot sequence; every other module is one of its means. The host's
//! command line tool uses [`login`] to read what a console printed.

pub mod boot;
pub mod climb;
pub mod doctor;
pub mod domain;
pub mod form;
pub mod login;
pub mod ready;
pub mod settings;
pub mod tuning;

mod caddy;
mod change;
mod clone;
mod command;
mod compose;
mod console;
mod credentials;
mod database;
mod disk;
mod dns;
mod document;
mod engine;
mod environment;
mod fence;
mod files;
mod inputs;
mod instance;
mod interrupt;
mod memory;
pub mod metadata;
mod owner;
mod ports;
mod reach;
mod secrets;
mod site;
mod state;
mod swap;
mod system;
mod turn;

pub use instance::Instance;
pub use interrupt::Interrupted;
pub use system::System;
