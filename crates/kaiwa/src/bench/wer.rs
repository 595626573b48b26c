/// Word errors of a transcript: substitutions, deletions and insertions (the Levenshtein
/// distance over words), and the number of words of the reference.
///
/// Words are what white space separates; both texts are expected to be normalised alike.
/// With characters separated by white space it counts character errors.
pub(crate) fn word_errors(reference: &str, hypothesis: &str) -> (usize, usize) {
    let errors = errors_by_length(reference, hypothesis);
    let words = errors.len() - 1;
    (errors[words], words)
}

/// How many words of a text were said that somebody began to read and was stopped, by a
/// transcript of it: the fewest and the most of equally good answers, and the transcript's
/// errors in them.
pub(crate) fn heard_words(text: &str, transcript: &str) -> ([usize; 2], usize) {
    let errors = errors_by_length(text, transcript);
    let fewest = errors.iter().copied().min().unwrap_or_default();
    let is_best = |errors: &usize| *errors == fewest;
    let first = errors.iter().position(is_best).unwrap_or_default();
    let last = errors.iter().rposition(is_best).unwrap_or_default();
    ([first, last], fewest)
}

/// The errors of a transcript of the first so many words of the reference, from none to all.
fn errors_by_length(reference: &str, hypothesis: &str) -> Vec<usize> {
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    // The distances of the reference read so far to every beginning of the hypothesis.
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    let mut errors = vec![hypothesis.len()];
    for (deleted, expected) in reference.split_whitespace().enumerate() {
        let mut diagonal = row[0];
        row[0] = deleted + 1;
        for (column, actual) in hypothesis.iter().enumerate() {
            let substituted = diagonal + usize::from(expected != *actual);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
        errors.push(row[hypothesis.len()]);
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_the_fewest_edits() {
        for (reference, hypothesis, expected) in [
            ("", "", (0, 0)),
            ("", "a b", (2, 0)),
            ("a b", "", (2, 2)),
            ("a b c", "a b c", (0, 3)),
            ("a b c", " a  c ", (1, 3)),
            ("a c", "a b c", (1, 2)),
            ("a b c", "a x c", (1, 3)),
            ("a b c d", "b c d a", (2, 4)),
            ("the cat sat on the mat", "cat sat at the mat now", (3, 6)),
            ("k i t t e n", "s i t t i n g", (3, 6)),
        ] {
            assert_eq!(word_errors(reference, hypothesis), expected, "{reference}");
        }
    }
}
