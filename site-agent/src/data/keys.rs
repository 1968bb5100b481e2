//! Signs that a table program has damaged a column of patient keys.

use std::collections::BTreeMap;

/// What looks wrong about a column of keys; nothing is changed, keys stay the texts they are.
pub(super) fn warnings<'k>(column: &str, keys: impl Iterator<Item = &'k str>) -> Vec<String> {
    let keys: Vec<&str> = keys.filter(|key| !key.is_empty()).collect();
    let mut found = Vec::new();
    found.extend(lost_zeros(column, &keys));
    found.extend(two_spellings(column, &keys));
    found.extend(decimals(column, &keys));
    found
}

/// Keys of digits alone, of mixed lengths, none of which starts with a zero.
fn lost_zeros(column: &str, keys: &[&str]) -> Option<String> {
    let digits = |key: &&str| key.bytes().all(|byte| byte.is_ascii_digit());
    if keys.is_empty() || !keys.iter().all(digits) || keys.iter().any(|key| key.starts_with('0')) {
        return None;
    }
    let lengths = || keys.iter().map(|key| key.len());
    let (shortest, longest) = (lengths().min()?, lengths().max()?);
    (shortest < longest).then(|| {
        format!(
            "{column}: the patient keys are numbers of {shortest} to {longest} digits and none starts \
             with 0; if they had leading zeros, a table program has cut them off"
        )
    })
}

/// Keys that differ only by leading zeros.
fn two_spellings(column: &str, keys: &[&str]) -> Option<String> {
    let mut spellings: BTreeMap<&str, &str> = BTreeMap::new();
    let mut first = None;
    let mut pairs = 0;
    for key in keys.iter().filter(|key| key.bytes().all(|byte| byte.is_ascii_digit())) {
        let known = spellings.entry(key.trim_start_matches('0')).or_insert(key);
        if known != key {
            pairs += 1;
            first.get_or_insert((*known, *key));
        }
    }
    let (one, other) = first?;
    Some(format!(
        "{column}: '{one}' and '{other}' count as two patients ({pairs} rows have such a key)"
    ))
}

/// Numbers with `.0`, as programs write them that once read keys as numbers.
fn decimals(column: &str, keys: &[&str]) -> Option<String> {
    let whole = |key: &&&str| {
        key.strip_suffix(".0")
            .is_some_and(|k| !k.is_empty() && k.bytes().all(|b| b.is_ascii_digit()))
    };
    let count = keys.iter().filter(whole).count();
    let example = keys.iter().find(|key| whole(key))?;
    Some(format!(
        "{column}: {count} patient keys end in .0 ('{example}'), as if read as numbers once; they are \
         taken as they are"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: &[&str]) -> usize {
        warnings("id", keys.iter().copied()).len()
    }

    #[test]
    fn damaged_keys_are_reported() {
        let lost = warnings("id", ["7", "31", "1204"].into_iter());
        assert_eq!(lost.len(), 1);
        assert!(lost[0].contains("1 to 4 digits"), "{}", lost[0]);
        let both = warnings("id", ["007", "7", "8"].into_iter());
        assert_eq!(both, ["id: '007' and '7' count as two patients (1 rows have such a key)"]);
        assert_eq!(found(&["1.0", "12.0"]), 1);
    }

    #[test]
    fn sound_keys_are_not() {
        assert_eq!(found(&[]), 0);
        assert_eq!(found(&["007", "031", "204"]), 0);
        assert_eq!(found(&["17", "31", "31"]), 0);
        assert_eq!(found(&["p1", "p31", "p204"]), 0);
        assert_eq!(found(&["HAM_1", "2"]), 0);
    }
}
