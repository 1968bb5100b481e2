//! Which few more must be hidden: the greedy choice that every rule here makes.

/// Hides more until `safe`: if one alone is enough the cheapest such, else the cheapest and on.
/// Then shows again what turned out not to be needed, the dearest first. `false` when even hiding
/// all isn't enough; all are hidden then.
pub(super) fn hide_until(
    hidden: &mut [bool],
    costs: &[u64],
    safe: impl Fn(&[bool]) -> bool,
) -> bool {
    let needed = hidden.to_vec();
    while !safe(hidden) {
        let mut open: Vec<usize> = (0..hidden.len()).filter(|&at| !hidden[at]).collect();
        open.sort_by_key(|&at| costs[at]);
        let Some(&cheapest) = open.first() else { return false };
        let alone = open.into_iter().find(|&at| {
            hidden[at] = true;
            let enough = safe(hidden);
            hidden[at] = false;
            enough
        });
        hidden[alone.unwrap_or(cheapest)] = true;
    }
    let mut more: Vec<usize> = (0..hidden.len()).filter(|&at| hidden[at] && !needed[at]).collect();
    more.sort_by_key(|&at| std::cmp::Reverse(costs[at]));
    for at in more {
        hidden[at] = false;
        if !safe(hidden) {
            hidden[at] = true;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_that_is_enough_is_hidden() {
        let costs = [9, 1, 4, 6];
        let worth = |least: u64| {
            move |hidden: &[bool]| {
                hidden.iter().zip(costs).filter(|(h, _)| **h).map(|(_, c)| c).sum::<u64>() >= least
            }
        };
        let hide = |least: u64| {
            let mut hidden = [false; 4];
            (hide_until(&mut hidden, &costs, worth(least)), hidden)
        };
        assert_eq!(hide(0), (true, [false; 4]));
        assert_eq!(hide(5), (true, [false, false, false, true]));
        // None alone is, so the cheapest, and with it the next that is.
        assert_eq!(hide(10), (true, [true, true, false, false]));
        assert_eq!(hide(21), (false, [true; 4]));
    }
}
