//! containerd on a node: where it looks for `hosts.toml`, what it finds there, and how Archway's
//! table gets in and out again.
//!
//! [`CriConfig`] is what `config.toml` means to the version that runs. [`Check`] says where pulls go,
//! and [`Node`] changes that: its plan compares what is there with what should be, and keeps every
//! byte of others. All paths are those of the node; a [`Root`] says where its file system is mounted.
//!
//! A kill at any moment leaves each file as it was or as it should be: files are written aside,
//! synced and renamed, and a directory of a host appears with its file in it, since an empty one
//! would hide `_default`.

mod check;
mod config_toml;
mod directory;
mod disk;
mod edit;
mod hosts_toml;
mod node;
mod owner;
mod plan;
mod root;
mod toml_place;
mod version;

pub use self::{
    check::{Bypass, Check, CheckError, Route, Stop},
    config_toml::{CONFIG_TOML, ConfigTomlError, CriConfig},
    disk::DiskError,
    hosts_toml::HostsFault,
    node::{Changes, Node, NodeError},
    owner::ConfigOwner,
    root::Root,
    version::{Version, VersionError},
};
pub(crate) use self::{
    config_toml::PullBy,
    directory::{Content, HostDirectory},
    hosts_toml::{HostsFile, Place},
};
