//! Engines on other servers: the options that choose them, and the engines they make.

mod args;
mod build;

pub(crate) use self::{
    args::{Elsewhere, RemoteArgs},
    build::Builder,
};
