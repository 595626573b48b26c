//! Prompts stored on the server.

use std::collections::BTreeMap;

use crate::content::ImageDetail;
use crate::wire::{Maybe, either, object, union};

object! {
    /// A stored prompt and what to fill in.
    pub struct Prompt {
        /// Its id.
        pub id: String,
        /// Its version; absent for the current one.
        pub version: Maybe<String>,
        /// Values for its variables, by name.
        pub variables: Maybe<BTreeMap<String, PromptVariable>>,
    }
}

either! {
    /// A value for a variable of a prompt.
    pub enum PromptVariable {
        /// Plain text.
        Text => Text(String),
        /// Text, a picture or a file.
        Object => Part(PromptPart),
    }
    expected "a string or an object"
}

union! {
    /// Text, a picture or a file for a variable of a prompt.
    pub enum PromptPart {
        /// Text.
        Text(PromptText),
        /// A picture.
        Image(PromptImage),
        /// A file.
        File(PromptFile),
    }
}

object! {
    /// Text for a variable of a prompt.
    pub struct PromptText = "input_text" {
        /// The text.
        pub text: String,
        /// Where the prompt cache may end.
        pub prompt_cache_breakpoint: Maybe<CacheBreakpoint>,
    }
}

object! {
    /// A picture for a variable of a prompt.
    pub struct PromptImage = "input_image" {
        /// How closely to look at it.
        pub detail: Maybe<ImageDetail>,
        /// A file known to the server.
        pub file_id: Maybe<String>,
        /// A URL or a `data:` URI.
        pub image_url: Maybe<String>,
        /// Where the prompt cache may end.
        pub prompt_cache_breakpoint: Maybe<CacheBreakpoint>,
    }
}

object! {
    /// A file for a variable of a prompt.
    pub struct PromptFile = "input_file" {
        /// How closely to look at its pages.
        pub detail: Maybe<ImageDetail>,
        /// Its content, base64.
        pub file_data: Maybe<String>,
        /// A file known to the server.
        pub file_id: Maybe<String>,
        /// Where to fetch it.
        pub file_url: Maybe<String>,
        /// Its name.
        pub filename: Maybe<String>,
        /// Where the prompt cache may end.
        pub prompt_cache_breakpoint: Maybe<CacheBreakpoint>,
    }
}

object! {
    /// A place where the prompt cache may end.
    pub struct CacheBreakpoint {
        /// `explicit`.
        pub mode: String,
        /// How long to keep the cache: `30m` or `12h`.
        pub ttl: Maybe<String>,
    }
}
