//! "Did you mean": the nearest of some names.
//!
//! The rule: a suggestion is only made when it is near, so that it never misleads. Left to others: the message around it.

/// The part of a message that names the nearest of `known`, else what there is; empty when nothing is known.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let near = known.iter().map(|name| (distance(wrong, name), *name)).min();
    match near {
        None => String::new(),
        Some((steps, name)) if steps <= wrong.chars().count().min(64) / 3 + 1 => format!("; did you mean `{name}`?"),
        Some(_) => {
            let shown: Vec<String> = known.iter().take(12).map(|name| format!("`{name}`")).collect();
            let more = if known.len() > shown.len() { ", ..." } else { "" };
            format!("; there is {}{more}", shown.join(", "))
        }
    }
}

/// How many characters must change to turn one name into the other; names are cut at 64 characters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let swap = corner + usize::from(!from.eq_ignore_ascii_case(to));
            corner = row[j + 1];
            row[j + 1] = swap.min(corner + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        assert_eq!(did_you_mean("delya", ["delay", "origin"]), "; did you mean `delay`?");
        assert_eq!(did_you_mean("zzzzzz", ["delay", "origin"]), "; there is `delay`, `origin`");
        assert_eq!(did_you_mean("x", []), "");
    }
}
