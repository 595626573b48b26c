//! What went into a session and what came out of it, kept so that it can be looked at and
//! gone through again.
//!
//! A driver that keeps a journal asks a [`Writer`] for a [`Line`] for everything that it
//! tells a session and everything that the session wants done, in order. Lines are JSON
//! objects of one member, whose name says what the line is:
//!
//! ```json
//! {"head":{"format":1,"kaiwa":"0.1.0","options":{"model":"kaiwa","seed":7}}}
//! {"start":{"at":0}}
//! {"send":{"at":0,"event":{"type":"session.created","event_id":"event_…"}}}
//! {"audio":{"at":20,"bytes":"AAAA…"}}
//! {"run":{"at":20,"job":1,"work":"detect"}}
//! {"voice":{"at":21,"job":1,"p":0.02}}
//! ```
//!
//! A [`Replay`] gives the inputs to a fresh session and says where what comes out differs
//! from what came out then. That works because a session depends on nothing else: keep what
//! it is told whole, and the rest follows. Secrets are the exception: what MCP servers are to
//! be sent is masked, in a way that changes nothing a session looks at.

mod line;
mod replay;
mod writer;

pub use self::{
    line::{FORMAT, Head, Line, Work},
    replay::{Difference, Replay, Replayed},
    writer::Writer,
};
pub(crate) use line::samples;
