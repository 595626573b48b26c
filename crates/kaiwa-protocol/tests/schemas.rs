//! One instance of every event, with every member of this crate's types filled in, obeys the published schemas.
//!
//! The instances are JSON texts (`tests/events/*.json`) rather than values, so that a member misspelt in the types shows:
//! it would end up in `extra`, and nothing may.

mod common;

use jsonschema::Validator;
use kaiwa_protocol::{ClientEvent, ServerEvent};
use serde_json::{Value, json};

use common::protocol_file;
