//! Identifiers of the protocol: a prefix and 21 base-62 characters, from a seed.

/// Digits of the identifiers, as in recorded sessions.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Characters after the prefix: 62^21 is more than 125 bits.
const DIGITS: usize = 21;

/// Draws identifiers. Two sources with the same seed draw the same ones.
///
/// The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
/// number generators", OOPSLA 2014, with Stafford's "Mix13" constants). It is not
/// cryptographic: an identifier is a name, never a secret.
#[derive(Clone, Debug)]
pub(crate) struct IdSource {
    state: u64,
}

impl IdSource {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn event(&mut self) -> String {
        self.draw("event_")
    }

    pub(crate) fn session(&mut self) -> String {
        self.draw("sess_")
    }

    pub(crate) fn conversation(&mut self) -> String {
        self.draw("conv_")
    }

    pub(crate) fn response(&mut self) -> String {
        self.draw("resp_")
    }

    pub(crate) fn item(&mut self) -> String {
        self.draw("item_")
    }

    pub(crate) fn call(&mut self) -> String {
        self.draw("call_")
    }

    pub(crate) fn tool_listing(&mut self) -> String {
        self.draw("mcpl_")
    }

    pub(crate) fn tool_call(&mut self) -> String {
        self.draw("mcp_")
    }

    pub(crate) fn approval_request(&mut self) -> String {
        self.draw("mcpr_")
    }

    pub(crate) fn segment(&mut self) -> String {
        self.draw("seg_")
    }

    fn draw(&mut self, prefix: &str) -> String {
        let mut id = String::with_capacity(prefix.len() + DIGITS);
        id.push_str(prefix);
        while id.len() < prefix.len() + DIGITS {
            let mut bits = self.next_u64();
            // Ten digits of six bits a draw; values of 62 and 63 are thrown away, so that
            // every digit is equally likely.
            for _ in 0..10 {
                let digit = (bits & 63) as usize;
                bits >>= 6;
                if let Some(&character) = ALPHABET.get(digit)
                    && id.len() < prefix.len() + DIGITS
                {
                    id.push(char::from(character));
                }
            }
        }
        id
    }

    fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // First outputs for seed 1234567, as published with the reference code.
        let mut ids = IdSource::new(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| ids.next_u64()).collect();
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn identifiers_have_their_prefix_and_21_characters() {
        let mut ids = IdSource::new(1);
        for (id, prefix) in [
            (ids.event(), "event_"),
            (ids.session(), "sess_"),
            (ids.conversation(), "conv_"),
            (ids.response(), "resp_"),
            (ids.item(), "item_"),
            (ids.call(), "call_"),
            (ids.tool_listing(), "mcpl_"),
            (ids.tool_call(), "mcp_"),
            (ids.approval_request(), "mcpr_"),
            (ids.segment(), "seg_"),
        ] {
            let digits = id.strip_prefix(prefix).expect(prefix);
            assert_eq!(digits.len(), 21, "{id}");
            assert!(digits.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_identifiers_and_no_seed_repeats_one() {
        let draw = |seed| {
            let mut ids = IdSource::new(seed);
            (0..2000).map(|_| ids.item()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        let distinct: HashSet<_> = draw(7).into_iter().chain(draw(8)).collect();
        assert_eq!(distinct.len(), 4000);
    }
}
