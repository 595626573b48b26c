//! The first exchange of a session: the client's configuration, in a dialect that may
//! turn out to be the wrong one.

use kaiwa_protocol::{Dialect, ErrorDetail, ServerEvent, codes};

use crate::link::Link;

/// What has been said about the configuration so far.
#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// The id of the `session.update` that counts.
    update: String,
    /// The dialect it was written in.
    dialect: Dialect,
    /// The id of one in the wrong dialect. What the server says of it means nothing.
    mistaken: Option<String>,
}

/// What an event means for the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// It was taken.
    Accepted,
    /// It has to be sent again, in the link's dialect.
    Again,
    /// Nothing.
    None,
    /// It was refused.
    Refused,
    /// The event is about an update in the wrong dialect and is to be ignored.
    Stale,
}

impl Opening {
    /// Notes that the configuration was sent over `link` as `event_id`.
    pub(crate) fn sent(&mut self, event_id: impl Into<String>, link: &Link) {
        let earlier = std::mem::replace(&mut self.update, event_id.into());
        if self.dialect != link.dialect() && !earlier.is_empty() {
            self.mistaken = Some(earlier);
        }
        self.dialect = link.dialect();
    }

    /// What `event` means; the link changes its dialect when that is the lesson.
    pub(crate) fn observe(&self, event: &ServerEvent, link: &mut Link) -> Progress {
        match event {
            ServerEvent::SessionCreated(_) if link.dialect() != self.dialect => Progress::Again,
            ServerEvent::SessionUpdated(_) => Progress::Accepted,
            ServerEvent::Error(event) => self.fault(&event.error, link),
            _ => Progress::None,
        }
    }

    fn fault(&self, error: &ErrorDetail, link: &mut Link) -> Progress {
        let id = error.event_id.as_deref();
        let in_ga_words = error.code.as_deref() == Some(codes::UNKNOWN_PARAMETER)
            && matches!(
                error.param.as_deref(),
                Some("session.type" | "session.audio" | "session.output_modalities")
            );
        if self.mistaken.is_some() && (id == self.mistaken.as_deref() || in_ga_words) {
            return Progress::Stale;
        }
        if id.is_some_and(|id| id != self.update) {
            return Progress::None;
        }
        if in_ga_words && link.adapts() {
            link.set_dialect(Dialect::Beta);
            return Progress::Again;
        }
        // Nothing else of ours has been sent that could be at fault; some servers do not say
        // which event they mean.
        let of_session = (error.param.as_deref()).is_some_and(|path| path.starts_with("session."));
        if id.is_some() || of_session {
            Progress::Refused
        } else {
            Progress::None
        }
    }
}
