//! From text to trees: conditions, updates, projections.
//!
//! The grammar is the service's: NOT binds tighter than AND, AND tighter than OR; keywords in any case, functions in lower
//! case; parentheses around parentheses are refused.

use super::super::error::{TableError, invalid};
use super::super::value::Value;
use super::condition::{Comparison, Condition, Operand, wrong_type};
use super::lexer::{Token, syntax, tokens};
use super::path::{Element, Path};
use super::update::{Action, Sum, Term};
use super::{Placeholders, is_reserved};

/// Keeps hostile nesting off the stack.
const MAX_NESTING: usize = 300;
const MAX_OPERATORS: usize = 300;
const MAX_PATH: usize = 32;
const CONDITION_FUNCTIONS: [&str; 6] =
    ["attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"];
const UPDATE_FUNCTIONS: [&str; 2] = ["if_not_exists", "list_append"];

pub struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    placeholders: &'a Placeholders,
    nesting: usize,
    operators: usize,
}

type Parsed<T> = Result<T, TableError>;

impl<'a> Parser<'a> {
    pub fn new(text: &'a str, placeholders: &'a Placeholders) -> Parsed<Self> {
        Ok(Self { tokens: tokens(text)?, at: 0, placeholders, nesting: 0, operators: 0 })
    }

    /// The whole text and nothing after it.
    pub fn whole<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let out = parse(self)?;
        if self.at < self.tokens.len() { Err(self.unexpected()) } else { Ok(out) }
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn unexpected(&self) -> TableError {
        syntax(self.peek().map_or("<EOF>", Token::text))
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = self.peek() == Some(Token::Sign(sign));
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(invalid("The expression is nested too deeply"));
        }
        let out = parse(self);
        self.nesting -= 1;
        out
    }

    fn operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > MAX_OPERATORS {
            return Err(invalid("The expression contains too many operators"));
        }
        Ok(())
    }

    pub fn condition(&mut self) -> Parsed<Condition> {
        let mut left = self.conjunction()?;
        while self.keyword("OR") {
            self.operator()?;
            left = Condition::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Parsed<Condition> {
        let mut left = self.negation()?;
        while self.keyword("AND") {
            self.operator()?;
            left = Condition::And(Box::new(left), Box::new(self.negation()?));
        }
        Ok(left)
    }

    fn negation(&mut self) -> Parsed<Condition> {
        if self.keyword("NOT") {
            self.operator()?;
            return Ok(Condition::Not(Box::new(self.deeper(Self::negation)?)));
        }
        if self.peek() == Some(Token::Sign("(")) && !self.parenthesis_is_operand() {
            let inner = self.tokens.get(self.at + 1) == Some(&Token::Sign("("));
            let start = self.at + 1;
            self.at += 1;
            let condition = self.deeper(Self::condition)?;
            self.expect(")")?;
            // ((a = b)): the inner pair ends just before the outer one.
            if inner && self.closes(start) == Some(self.at - 2) {
                return Err(invalid("The expression has redundant parentheses;"));
            }
            return Ok(condition);
        }
        let condition = self.comparison()?;
        condition.check()?;
        Ok(condition)
    }

    /// Where the parenthesis at `open` ends.
    fn closes(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token {
                Token::Sign("(") => depth += 1,
                Token::Sign(")") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    /// `(a) = :b`: the parentheses hold an operand, which a comparator follows.
    fn parenthesis_is_operand(&self) -> bool {
        let after = self.closes(self.at).and_then(|end| self.tokens.get(end + 1));
        match after {
            Some(Token::Sign(sign)) => Comparison::of_sign(sign).is_some(),
            Some(Token::Word(word)) => word.eq_ignore_ascii_case("BETWEEN") || word.eq_ignore_ascii_case("IN"),
            _ => false,
        }
    }

    fn comparison(&mut self) -> Parsed<Condition> {
        if let Some(function) = self.function_ahead()
            && function != "size"
        {
            return self.function(function);
        }
        let left = self.operand()?;
        self.operator()?;
        if self.keyword("BETWEEN") {
            let low = self.operand()?;
            if !self.keyword("AND") {
                return Err(self.unexpected());
            }
            return Ok(Condition::Between(left, low, self.operand()?));
        }
        if self.keyword("IN") {
            self.expect("(")?;
            let mut list = vec![self.operand()?];
            while self.sign(",") {
                list.push(self.operand()?);
            }
            self.expect(")")?;
            return Ok(Condition::In(left, list));
        }
        let Some(comparison) = self.peek().and_then(|t| Comparison::of_sign(t.text())) else {
            let alone = matches!(left, Operand::Size(_));
            return Err(if alone { misused("size") } else { self.unexpected() });
        };
        self.at += 1;
        Ok(Condition::Compare(comparison, left, self.operand()?))
    }

    fn function_ahead(&self) -> Option<&'a str> {
        match (self.peek(), self.tokens.get(self.at + 1)) {
            (Some(Token::Word(word)), Some(Token::Sign("("))) => Some(word),
            _ => None,
        }
    }

    fn arguments(&mut self, function: &str, count: usize) -> Parsed<Vec<Operand>> {
        self.at += 2;
        let mut out = vec![self.operand()?];
        while self.sign(",") {
            out.push(self.operand()?);
        }
        self.expect(")")?;
        if out.len() == count {
            return Ok(out);
        }
        Err(invalid(format!(
            "Incorrect number of operands for operator or function; operator or function: {function}, number of \
             operands: {}",
            out.len()
        )))
    }

    fn function(&mut self, name: &'a str) -> Parsed<Condition> {
        self.operator()?;
        if UPDATE_FUNCTIONS.contains(&name) {
            return Err(misused(name));
        }
        if !CONDITION_FUNCTIONS.contains(&name) {
            return Err(invalid(format!("Invalid function name; function: {name}")));
        }
        let count = if name.starts_with("attribute_") && name.ends_with("exists") { 1 } else { 2 };
        let mut arguments = self.arguments(name, count)?;
        let second = (count == 2).then(|| arguments.pop()).flatten();
        let (Some(first), second) = (arguments.pop(), second) else {
            return Err(self.unexpected());
        };
        let condition = match (name, first, second) {
            ("attribute_exists", Operand::Path(path), _) => Condition::Exists(path),
            ("attribute_not_exists", Operand::Path(path), _) => Condition::Not(Box::new(Condition::Exists(path))),
            ("attribute_type", first, Some(Operand::Value(Value::S(kind)))) => Condition::Type(first, kind),
            ("attribute_type", _, second) => {
                let kind = second.as_ref().and_then(Operand::literal).map_or("path", Value::type_name);
                return Err(wrong_type(name, kind));
            }
            ("begins_with", first, Some(second)) => Condition::BeginsWith(first, second),
            ("contains", first, Some(second)) => Condition::Contains(first, second),
            _ => {
                return Err(invalid(format!(
                    "Operator or function requires a document path; operator or function: {name}"
                )));
            }
        };
        let compared = self.peek().is_some_and(|t| Comparison::of_sign(t.text()).is_some());
        if compared { Err(misused(name)) } else { Ok(condition) }
    }

    fn operand(&mut self) -> Parsed<Operand> {
        if self.sign("(") {
            if self.peek() == Some(Token::Sign("(")) {
                return Err(invalid("The expression has redundant parentheses;"));
            }
            let inner = self.deeper(Self::operand)?;
            self.expect(")")?;
            return Ok(inner);
        }
        if let Some(function) = self.function_ahead() {
            return match function {
                "size" => self.size(),
                known if CONDITION_FUNCTIONS.contains(&known) || UPDATE_FUNCTIONS.contains(&known) => {
                    Err(misused(known))
                }
                other => Err(invalid(format!("Invalid function name; function: {other}"))),
            };
        }
        if let Some(value) = self.value()? {
            return Ok(Operand::Value(value));
        }
        Ok(Operand::Path(self.path()?))
    }

    fn size(&mut self) -> Parsed<Operand> {
        let of = self.deeper(|p| p.arguments("size", 1))?.remove(0);
        let bad = match &of {
            Operand::Size(_) => Some("N"),
            Operand::Value(value) if value.count().is_none() => Some(value.type_name()),
            _ => None,
        };
        match bad {
            Some(kind) => Err(wrong_type("size", kind)),
            None => Ok(Operand::Size(Box::new(of))),
        }
    }

    fn value(&mut self) -> Parsed<Option<Value>> {
        let Some(Token::Value(key)) = self.peek() else {
            return Ok(None);
        };
        self.at += 1;
        self.placeholders.value(key).map(Some)
    }

    fn name(&mut self) -> Parsed<String> {
        let name = match self.peek() {
            Some(Token::Name(key)) => self.placeholders.name(key)?,
            Some(Token::Word(word)) if is_reserved(word) => {
                return Err(invalid(format!("Attribute name is a reserved keyword; reserved keyword: {word}")));
            }
            Some(Token::Word(word)) => word.to_owned(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    fn path(&mut self) -> Parsed<Path> {
        let mut path = vec![Element::Name(self.name()?)];
        loop {
            if self.sign(".") {
                path.push(Element::Name(self.name()?));
            } else if self.sign("[") {
                let Some(Token::Index(digits)) = self.peek() else {
                    return Err(self.unexpected());
                };
                if digits.len() > 1 && digits.starts_with('0') {
                    return Err(self.unexpected());
                }
                let index = digits
                    .parse::<u32>()
                    .map_err(|_| invalid(format!("List index is not within the allowable range; index: [{digits}]")))?;
                self.at += 1;
                path.push(Element::Index(index as usize));
                self.expect("]")?;
            } else if path.len() > MAX_PATH {
                return Err(invalid("The document path has too many nesting elements"));
            } else {
                return Ok(Path(path));
            }
        }
    }

    pub fn projection(&mut self) -> Parsed<Vec<Path>> {
        let mut paths = vec![self.path()?];
        while self.sign(",") {
            paths.push(self.path()?);
        }
        Ok(paths)
    }

    pub fn update(&mut self) -> Parsed<Vec<Action>> {
        let mut seen = Vec::new();
        let mut actions = Vec::new();
        while let Some(token) = self.peek() {
            let section = token.text().to_ascii_uppercase();
            let one: fn(&mut Self) -> Parsed<Action> = match (token, section.as_str()) {
                (Token::Word(_), "SET") => Self::set,
                (Token::Word(_), "REMOVE") => |p| Ok(Action::Remove(p.path()?)),
                (Token::Word(_), "ADD") => Self::add,
                (Token::Word(_), "DELETE") => Self::delete,
                _ => return Err(self.unexpected()),
            };
            if seen.contains(&section) {
                return Err(invalid(format!(
                    "The \"{section}\" section can only be used once in an update expression;"
                )));
            }
            seen.push(section);
            self.at += 1;
            actions.push(one(self)?);
            while self.sign(",") {
                actions.push(one(self)?);
            }
        }
        if actions.is_empty() { Err(self.unexpected()) } else { Ok(actions) }
    }

    fn set(&mut self) -> Parsed<Action> {
        let path = self.path()?;
        self.expect("=")?;
        Ok(Action::Set(path, self.sum()?))
    }

    fn sum(&mut self) -> Parsed<Sum> {
        // (a + b) stands for a + b; (a) + b begins with a term.
        let all = self.peek() == Some(Token::Sign("("))
            && self
                .closes(self.at)
                .is_some_and(|end| !matches!(self.tokens.get(end + 1), Some(Token::Sign("+" | "-"))));
        if all && self.sign("(") {
            if self.peek() == Some(Token::Sign("(")) {
                return Err(invalid("The expression has redundant parentheses;"));
            }
            let inner = self.deeper(Self::sum)?;
            self.expect(")")?;
            return Ok(inner);
        }
        let left = self.term(false)?;
        let sign = self.peek().filter(|t| matches!(t, Token::Sign("+" | "-")));
        let Some(sign) = sign.map(Token::text) else {
            return Ok(Sum::One(left));
        };
        self.at += 1;
        let right = self.term(false)?;
        for term in [&left, &right] {
            match term {
                Term::Value(Value::N(_)) | Term::Path(_) | Term::IfNotExists(..) => {}
                Term::Value(value) => return Err(wrong_type(sign, value.type_name())),
                Term::ListAppend(..) => return Err(misused("list_append")),
            }
        }
        Ok(if sign == "+" { Sum::Plus(left, right) } else { Sum::Minus(left, right) })
    }

    fn term(&mut self, within: bool) -> Parsed<Term> {
        if self.sign("(") {
            let inner = self.deeper(|p| p.term(within))?;
            self.expect(")")?;
            return Ok(inner);
        }
        match self.function_ahead() {
            Some("if_not_exists") => {
                let (path, otherwise) = self.deeper(|p| p.two_terms("if_not_exists"))?;
                return match path {
                    Term::Path(_) if path == otherwise => Err(invalid(
                        "The first operand must be distinct from the remaining operands for this operator or function; \
                         operator: if_not_exists",
                    )),
                    Term::Path(path) => Ok(Term::IfNotExists(path, Box::new(otherwise))),
                    _ => Err(invalid(
                        "Operator or function requires a document path; operator or function: if_not_exists",
                    )),
                };
            }
            Some("list_append") if within => return Err(misused("list_append")),
            Some("list_append") => {
                let (first, second) = self.deeper(|p| p.two_terms("list_append"))?;
                for term in [&first, &second] {
                    if let Term::Value(value) = term
                        && !matches!(value, Value::L(_))
                    {
                        return Err(wrong_type("list_append", value.type_name()));
                    }
                }
                return Ok(Term::ListAppend(Box::new(first), Box::new(second)));
            }
            Some(name) if CONDITION_FUNCTIONS.contains(&name) => {
                return Err(invalid(format!("The function is not allowed in an update expression; function: {name}")));
            }
            Some(name) => return Err(invalid(format!("Invalid function name; function: {name}"))),
            None => {}
        }
        match self.value()? {
            Some(value) => Ok(Term::Value(value)),
            None => Ok(Term::Path(self.path()?)),
        }
    }

    fn two_terms(&mut self, function: &str) -> Parsed<(Term, Term)> {
        self.operator()?;
        self.at += 2;
        let first = self.term(true)?;
        if !self.sign(",") {
            return Err(invalid(format!(
                "Incorrect number of operands for operator or function; operator or function: {function}"
            )));
        }
        let second = self.term(true)?;
        self.expect(")")?;
        Ok((first, second))
    }

    fn literal(&mut self) -> Parsed<Value> {
        let value = self.value()?;
        value.ok_or_else(|| self.unexpected())
    }

    fn add(&mut self) -> Parsed<Action> {
        let path = self.path()?;
        match self.literal()? {
            value @ (Value::N(_) | Value::Ss(_) | Value::Ns(_) | Value::Bs(_)) => Ok(Action::Add(path, value)),
            other => Err(wrong_type("ADD", other.type_name())),
        }
    }

    fn delete(&mut self) -> Parsed<Action> {
        let path = self.path()?;
        match self.literal()? {
            value @ (Value::Ss(_) | Value::Ns(_) | Value::Bs(_)) => Ok(Action::Delete(path, value)),
            other => Err(wrong_type("DELETE", other.type_name())),
        }
    }
}

fn misused(function: &str) -> TableError {
    invalid(format!("The function is not allowed to be used this way in an expression; function: {function}"))
}
