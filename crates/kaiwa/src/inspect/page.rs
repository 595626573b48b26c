//! The page: one file, which asks nobody for anything.

use std::path::{self, Path};

use kaiwa_protocol::Audio;

use super::{sound::Stereo, story::Story};
use crate::record::AUDIO;

const HTML: &str = include_str!("page.html");
const CSS: &str = include_str!("page.css");
const LANES: &str = include_str!("lanes.js");
const SCRIPT: &str = include_str!("page.js");

/// Most bytes of sound that are put into the page: three and a half minutes of two sides.
const MOST: usize = 20 << 20;

/// Where the page has its sound from.
pub(super) enum Source {
    /// Out of a file; this is its address.
    Beside(String),
    /// Out of itself.
    Within(String),
}

impl Source {
    /// For a page at `page` about the recording in `folder`.
    pub(super) fn of(sound: &Stereo, folder: &Path, page: &Path) -> Self {
        if sound.file.len() <= MOST {
            // An audio payload of the protocol is base64 in JSON, that is, between quotes.
            let quoted = serde_json::to_string(&Audio::from(&sound.file[..])).unwrap_or_default();
            let base64 = quoted.trim_matches('"');
            return Self::Within(format!("data:audio/wav;base64,{base64}"));
        }
        let whole = |path: &Path| path::absolute(path).ok();
        let is_beside = whole(page).and_then(|page| Some(page.parent()? == whole(folder)?));
        Self::Beside(match is_beside {
            Some(true) => AUDIO.to_owned(),
            _ => {
                let file = whole(&folder.join(AUDIO)).unwrap_or_else(|| folder.join(AUDIO));
                file.display().to_string()
            }
        })
    }

    fn address(&self) -> &str {
        match self {
            Self::Beside(address) | Self::Within(address) => address,
        }
    }
}

/// The page as it is written.
pub(super) fn html(story: &Story, source: &Source) -> String {
    let parts = [
        ("/*style*/", CSS.to_owned()),
        ("/*lanes*/", LANES.to_owned()),
        ("/*script*/", SCRIPT.to_owned()),
        ("/*story*/", in_script(story)),
        ("/*sound*/", in_script(&source.address())),
    ];
    // Each part is filled in once, in order, so that nothing in a part is taken for a place.
    let mut page = String::with_capacity(HTML.len() + source.address().len());
    let mut rest = HTML;
    while let Some(at) = rest.find("/*") {
        page.push_str(&rest[..at]);
        let part = parts
            .iter()
            .find(|(place, _)| rest[at..].starts_with(place));
        match part {
            Some((place, part)) => {
                page.push_str(part);
                rest = &rest[at + place.len()..];
            }
            None => {
                page.push_str("/*");
                rest = &rest[at + 2..];
            }
        }
    }
    page.push_str(rest);
    page
}

/// JSON that cannot end the element it stands in, whatever a model has said.
fn in_script(value: &impl serde::Serialize) -> String {
    // Numbers, names and texts: there is nothing in a story that JSON cannot say.
    let json = serde_json::to_string(value).unwrap_or_default();
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_said_ends_the_script() {
        let said = "</script><!-- \u{2028} <b>/*sound*/";
        let json = in_script(&said);
        assert!(!json.contains('<'), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), said);
    }

    #[test]
    fn the_page_asks_nobody_for_anything() {
        for part in [HTML, CSS, LANES, SCRIPT] {
            for address in ["http:", "https:", "//cdn", "@import", "url(", "innerHTML"] {
                assert!(!part.contains(address), "{address}");
            }
        }
        assert!(HTML.contains("default-src 'none'"));
    }
}
