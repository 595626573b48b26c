//! Reading what should not have been sent.
//!
//! Servers in the field leave required members out or send null for them. A client that reads such frames tolerantly
//! gets the default of the member's type instead of an error. Serde has no way to hand a mode down to nested objects,
//! so it is kept beside the reading, as the [`trail`](super::trail) is.

use std::cell::Cell;

/// Runs `read` so that required members may be missing or null.
pub(crate) fn tolerantly<T>(read: impl FnOnce() -> T) -> T {
    /// Ends the mode also when reading panics.
    struct Restore(bool);

    impl Drop for Restore {
        fn drop(&mut self) {
            TOLERANT.set(self.0);
        }
    }

    let _restore = Restore(TOLERANT.replace(true));
    read()
}

/// Whether required members may be missing or null.
pub(crate) fn is_tolerant() -> bool {
    TOLERANT.get()
}

thread_local! {
    static TOLERANT: Cell<bool> = const { Cell::new(false) };
}
