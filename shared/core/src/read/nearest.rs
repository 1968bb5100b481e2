//! The known word nearest to a misspelt one.

/// The candidate that is few edits away from `word`, the first of the nearest; `None` when none is
/// near. Two edits are few, one for words of up to three letters (Damerau-Levenshtein, restricted:
/// insert, delete, replace, swap neighbours; case and '-' against '_' don't count).
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = plain(word);
    let few = if word.len() <= 3 { 1 } else { 2 };
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate)), candidate))
        .filter(|&(edits, candidate)| edits <= few && edits < candidate.chars().count())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> Vec<char> {
    let letters = word.chars().flat_map(char::to_lowercase);
    // Nobody misspells a longer word; the bound keeps a hostile file from costing time.
    letters.map(|c| if c == '-' { '_' } else { c }).take(64).collect()
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let replace = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut edits = replace.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                edits = edits.min(before[j - 2] + 1);
            }
            next.push(edits);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour() {
        let known = ["column", "positive", "negative", "c", "folds", "on_site_lost"];
        for (word, found) in [
            ("colunm", Some("column")),
            ("Positive", Some("positive")),
            ("on-site-lost", Some("on_site_lost")),
            ("fold", Some("folds")),
            ("d", None),
            ("threshold", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), found, "{word}");
        }
    }
}
