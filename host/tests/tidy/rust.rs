//! Just enough of Rust's grammar: comments and literals blanked out, functions, traits, and the paths that code names.

/// A path that code names, as `crate::a::b` or `wasmtime::Engine`.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// line, from 1
    pub line: usize,
    /// its parts
    pub parts: Vec<String>,
}

/// The same text with comments, strings and characters replaced by spaces; line ends stay where they are.
pub fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = skip(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        chars[at..end].iter().for_each(|c| out.push(if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

/// The end of the comment or literal that begins here; here if none does.
fn skip(chars: &[char], at: usize) -> usize {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => line_end(chars, at),
        '/' if next == Some('*') => comment_end(chars, at),
        '"' => string_end(chars, at),
        '\'' => character_end(chars, at),
        'r' | 'b' | 'c' if !is_word(chars, at) => prefixed_end(chars, at),
        _ => at,
    }
}

/// Whether a word goes on here.
fn is_word(chars: &[char], at: usize) -> bool {
    at > 0 && is_name(chars[at - 1])
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn line_end(chars: &[char], at: usize) -> usize {
    (at..chars.len()).find(|place| chars[*place] == '\n').unwrap_or(chars.len())
}

fn comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

/// A character, or a lifetime, which is left as it is.
fn character_end(chars: &[char], at: usize) -> usize {
    match (chars.get(at + 1), chars.get(at + 2)) {
        (Some('\\'), _) => {
            (at + 3..chars.len()).find(|place| chars[*place] == '\'').map_or(chars.len(), |place| place + 1)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// Literals with letters in front: `r"..."`, `br#"..."#`, `b'x'`.
fn prefixed_end(chars: &[char], at: usize) -> usize {
    let mut open = at;
    while open < chars.len() && matches!(chars[open], 'r' | 'b' | 'c') && open - at < 2 {
        open += 1;
    }
    let raw = chars[at..open].contains(&'r');
    let hashes = chars[open..].iter().take_while(|c| **c == '#').count();
    match chars.get(open + hashes) {
        Some('"') if raw => raw_end(chars, open + hashes + 1, hashes),
        Some('"') if hashes == 0 => string_end(chars, open),
        Some('\'') if hashes == 0 && !raw => character_end(chars, open).max(at),
        _ => at,
    }
}

fn raw_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes = |place: &usize| {
        chars[*place] == '"' && chars[place + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (from..chars.len()).find(closes).map_or(chars.len(), |place| place + 1 + hashes)
}

/// Items that begin with this word, as (first line, last line, text of the item).
pub fn items<'a>(code: &'a str, word: &str) -> Vec<(usize, usize, &'a str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(word) {
        let alone = |byte: Option<&u8>| byte.is_none_or(|b| !is_name(char::from(*b)));
        let bytes = code.as_bytes();
        if !(alone(at.checked_sub(1).and_then(|b| bytes.get(b))) && bytes.get(at + word.len()) == Some(&b' ')) {
            continue;
        }
        let Some(open) = body(&code[at..]) else { continue };
        let end = at + open + block(&code[at + open..]);
        let line = |place: usize| code[..place].matches('\n').count() + 1;
        found.push((line(at), line(end), &code[at..end]));
    }
    found
}

/// Where the body of an item begins; none where it ends before one.
fn body(item: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' | '}' if depth <= 0 => return None,
            _ => {}
        }
    }
    None
}

/// The length of a block, its braces included.
pub fn block(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    text.len()
}

/// Every path in the code whose first part is `root`, groups taken apart.
pub fn paths(code: &str, root: &str) -> Vec<Named> {
    let chars: Vec<char> = code.chars().collect();
    let wanted: Vec<char> = format!("{root}::").chars().collect();
    let mut found = Vec::new();
    let (mut line, mut in_use) = (1, None);
    for at in 0..chars.len() {
        line += usize::from(chars[at] == '\n');
        if chars[at..].starts_with(&['u', 's', 'e', ' ']) && !is_word(&chars, at) {
            in_use = Some(at + 4);
        } else if chars[at] == ';' {
            in_use = None;
        }
        // Inside of `use a::{...}` a name is a part of that path, whatever crate is called so too.
        let begins = in_use.is_none_or(|from| from == at) && (at == 0 || chars[at - 1] != ':');
        if chars[at..].starts_with(&wanted) && !is_word(&chars, at) && begins {
            let mut parts = vec![root.to_owned()];
            tree(&chars, at + wanted.len(), line, &mut parts, &mut found);
        }
    }
    found
}

/// Reads what follows `a::`: a name, more of the path, or a group. Gives back where it ends.
fn tree(chars: &[char], mut at: usize, mut line: usize, parts: &mut Vec<String>, found: &mut Vec<Named>) -> usize {
    if chars.get(at) == Some(&'{') {
        at += 1;
        while at < chars.len() && chars[at] != '}' {
            if is_name(chars[at]) || chars[at] == '*' {
                let end = tree(chars, at, line, parts, found);
                line += chars[at..end].iter().filter(|c| **c == '\n').count();
                at = end;
            } else {
                line += usize::from(chars[at] == '\n');
                at += 1;
            }
        }
        return at + 1;
    }
    let end = (at..chars.len()).find(|place| !is_name(chars[*place]) && chars[*place] != '*').unwrap_or(chars.len());
    if end == at {
        return at + 1;
    }
    parts.push(chars[at..end].iter().collect());
    let end = if chars[end..].starts_with(&[':', ':']) && chars.get(end + 2) != Some(&'<') {
        tree(chars, end + 2, line, parts, found)
    } else {
        found.push(Named { line, parts: parts.clone() });
        end
    };
    parts.pop();
    end
}

#[test]
fn comments_and_literals_are_blanked() {
    let text = "a // x\n\"s\\\"{\" 'c' '\\'' &'l r#\"}\"# b'{' /* /* */ { */ br\"{\" end";
    let blanked = blank(text);
    assert_eq!(blanked.len(), text.len());
    assert_eq!(blanked.split_whitespace().collect::<Vec<_>>(), ["a", "&'l", "end"]);
}

#[test]
fn items_and_paths_are_found() {
    let code = "use crate::{a::{B, c::D},\n e};\nfn f(x: [u8; 2]) -> u8 {\n  crate::g::<u8>()\n}\nfn h();";
    assert_eq!(items(code, "fn").iter().map(|(a, b, _)| (*a, *b)).collect::<Vec<_>>(), [(3, 5)]);
    let found: Vec<(usize, String)> = paths(code, "crate").into_iter().map(|p| (p.line, p.parts.join("."))).collect();
    let expected = [(1, "crate.a.B"), (1, "crate.a.c.D"), (2, "crate.e"), (4, "crate.g")];
    assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    let inner = "use super::{state, rocksdb::Store};\nuse rocksdb::DB;";
    assert_eq!(paths(inner, "rocksdb").iter().map(|named| named.line).collect::<Vec<_>>(), [2]);
}
