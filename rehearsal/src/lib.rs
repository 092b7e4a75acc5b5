//! The local cloud: machines, their network, metadata service and disks, for builds without an account.
//!
//! Everything here is async and owned by guards: dropping a future or a guard stops its processes and takes its
//! namespaces, mounts and temporary files away, so that Ctrl-C needs no code of its own.

pub mod api;
pub mod base;
pub mod cache;
pub mod cell;
pub mod cloud;
pub mod crowd;
pub mod depth;
pub mod forward;
pub mod front_door;
pub mod host;
pub mod images;
pub mod machine;
pub mod metadata;
pub mod mirror;
pub mod need;
pub mod network;
pub mod plugins;
pub mod process;
pub mod scan;
pub mod tools;
