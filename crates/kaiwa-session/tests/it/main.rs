//! Whole sessions, driven by a virtual clock and scripted engines.

mod harness;

mod barge_in;
mod context;
mod errors;
mod function_calls;
mod interleavings;
mod items;
mod limits;
mod listening;
mod responses;
mod session;
mod transcription;
mod turns;
