//! Builds 1-Click VM images of Echora and proves them; `main.rs` is the command line over this.

pub mod account;
pub mod cli;
pub mod commands;
pub mod error;
pub mod interrupt;
pub mod listings;
pub mod preflight;
pub mod project;
pub mod record;
pub mod render;
pub mod time;
pub mod ui;
