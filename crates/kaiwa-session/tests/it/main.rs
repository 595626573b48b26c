//! Whole sessions, driven by a virtual clock and scripted engines.

mod harness;

mod ahead;
mod backchannels;
mod barge_in;
mod context;
mod errors;
mod function_calls;
mod interleavings;
mod items;
mod journal;
mod limits;
mod listening;
mod mcp;
mod noise;
mod partial;
mod responses;
mod semantic;
mod session;
mod transcription;
mod turns;
