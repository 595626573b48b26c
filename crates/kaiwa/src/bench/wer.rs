/// Word errors of a transcript: substitutions, deletions and insertions (the Levenshtein
/// distance over words), and the number of words of the reference.
///
/// Words are what white space separates; both texts are expected to be normalised alike.
/// With characters separated by white space it counts character errors.
pub(crate) fn word_errors(reference: &str, hypothesis: &str) -> (usize, usize) {
    let reference: Vec<&str> = reference.split_whitespace().collect();
    let hypothesis: Vec<&str> = hypothesis.split_whitespace().collect();
    // The distances of the reference read so far to every beginning of the hypothesis.
    let mut row: Vec<usize> = (0..=hypothesis.len()).collect();
    for (deleted, expected) in reference.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = deleted + 1;
        for (column, actual) in hypothesis.iter().enumerate() {
            let substituted = diagonal + usize::from(expected != actual);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    (row[hypothesis.len()], reference.len())
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
