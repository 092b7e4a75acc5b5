//! One module per command of the command line.

mod accounts;
pub mod boot;
pub mod build;
pub mod cache;
pub mod contract;
pub mod credentials;
pub mod generate;
pub mod images;
pub mod providers;
pub mod prune;
pub mod shell;
