//! The words of an expression.

use super::super::error::{TableError, invalid};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// A bare word: an attribute, a function, or a keyword.
    Word(&'a str),
    /// `#name`
    Name(&'a str),
    /// `:value`
    Value(&'a str),
    Index(&'a str),
    /// Punctuation and comparators.
    Sign(&'a str),
}

impl<'a> Token<'a> {
    pub fn text(self) -> &'a str {
        match self {
            Self::Word(t) | Self::Name(t) | Self::Value(t) | Self::Index(t) | Self::Sign(t) => t,
        }
    }
}

pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, TableError> {
    let mut out = Vec::new();
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let rest = &text[at..];
        let word = |from: usize| from + rest[from..].bytes().take_while(|b| is_word(*b)).count();
        let (token, length) = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'#' if word(1) > 1 => (Token::Name(&rest[..word(1)]), word(1)),
            b':' if word(1) > 1 => (Token::Value(&rest[..word(1)]), word(1)),
            b if b.is_ascii_alphabetic() => (Token::Word(&rest[..word(0)]), word(0)),
            b if b.is_ascii_digit() => {
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                (Token::Index(&rest[..digits]), digits)
            }
            _ => {
                let signs = ["<>", "<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", "+", "-"];
                let Some(sign) = signs.into_iter().find(|sign| rest.starts_with(sign)) else {
                    return Err(syntax(rest.chars().next().map(String::from).unwrap_or_default().as_str()));
                };
                (Token::Sign(&rest[..sign.len()]), sign.len())
            }
        };
        out.push(token);
        at += length;
    }
    Ok(out)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub fn syntax(token: &str) -> TableError {
    invalid(format!("Syntax error; token: \"{token}\""))
}
